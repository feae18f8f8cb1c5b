"""Potentials whose functions are known, and structures that show all of them.

A fit to energies and forces of such a potential can be compared with the functions that made the data: the
Stillinger-Weber and the Tersoff potential of silicon by LAMMPS, and an embedded-atom potential by ASE.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.eam import EAM
from ase.calculators.singlepoint import SinglePointCalculator

from plip import PLIPRegressorCV

# F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985).
STILLINGER_WEBER = (
    "Si Si Si 2.1683 2.0951 1.8 21.0 1.2 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
)
# J. Tersoff, Phys. Rev. B 39, 5566 (1989).
TERSOFF = "Si Si Si 3.0 1.0 0.0 100390 16.217 -0.59825 0.78734 1.1e-6 1.7322 471.18 2.85 0.15 2.4799 1830.8\n"
# Angstrom of vacuum around molecules, more than any cutoff here.
VACUUM = 8.0


@dataclass
class Known:
    """A potential, and where its functions are compared.

    Attributes
    ----------
    calculator : ase.calculators.calculator.Calculator
    crystal : ase.Atoms
    bond : float
        Distance of nearest neighbors in Angstrom.
    reach : float
        Distance in Angstrom at which the potential ends.
    """

    calculator: Calculator
    crystal: Atoms
    bond: float
    reach: float

    @property
    def symbol(self):
        return self.crystal.symbols[0]

    def energy(self, positions):
        """Energy of isolated atoms less that of each of them, in eV."""
        alone = self._energy(np.zeros((1, 3)))
        return self._energy(positions) - len(positions) * alone

    def _energy(self, positions):
        atoms = boxed(Atoms([self.symbol] * len(positions), positions))
        atoms.calc = self.calculator
        return atoms.get_potential_energy()

    def pair_energy(self, r):
        return np.array([self.energy([[0, 0, 0], [length, 0, 0]]) for length in r])

    def triplet_energy(self, r_ij, r_ik, angles):
        energies = []
        for angle in np.radians(angles):
            ends = [[0, 0, 0], [r_ij, 0, 0], [r_ik * np.cos(angle), r_ik * np.sin(angle), 0]]
            across = np.linalg.norm(np.subtract(ends[1], ends[2]))
            energies.append(self.energy(ends) - self.pair_energy([r_ij, r_ik, across]).sum())
        return np.array(energies)


def boxed(atoms):
    atoms.center(vacuum=VACUUM)
    atoms.pbc = True
    return atoms


def stillinger_weber():
    return Known(_lammps("sw", STILLINGER_WEBER), bulk("Si", cubic=True), 2.35, 3.77)


def tersoff():
    return Known(_lammps("tersoff", TERSOFF), bulk("Si", cubic=True), 2.35, 3.0)


def _lammps(style, parameters):
    from ase.calculators.lammpslib import LAMMPSlib

    folder = tempfile.mkdtemp(prefix="known")
    path = Path(folder) / "Si.parameters"
    path.write_text(parameters)
    commands = [f"pair_style {style}", f"pair_coeff * * {path} Si"]
    return LAMMPSlib(lmpcmds=commands, atom_types={"Si": 1}, keep_alive=True, log_file=None)


def embedded_atom(embedding="logarithm"):
    """Copper with exponential pair and density, as F. Cleri and V. Rosato, Phys. Rev. B 48, 22 (1993).

    "logarithm": F = 4.16 eV x (ln x - 1) with the density x in units of 12 neighbors, as J. H. Rose et al.,
    Phys. Rev. B 29, 2963 (1984), and R. A. Johnson, Phys. Rev. B 39, 12554 (1989), have it. "root": Cleri and
    Rosato's own, F = -1.224 eV sqrt(12 x).
    """
    bond, reach, width = 2.556, 5.2, 1.5

    def ending(r):
        u = np.clip((r - reach + width) / width, 0.0, 1.0)
        return 1.0 - u**3 * (10.0 - 15.0 * u + 6.0 * u**2), -30.0 * u**2 * (1.0 - u) ** 2 / width

    def exponential(size, decay):
        def value(r):
            return size * np.exp(-decay * (r / bond - 1.0)) * ending(r)[0]

        def slope(r):
            f, df = ending(r)
            return size * np.exp(-decay * (r / bond - 1.0)) * (df - decay / bond * f)

        return value, slope

    def logarithm(density):
        x = np.maximum(density, 1e-300) / 12.0
        return 4.16 * x * (np.log(x) - 1.0)

    def slope_of_logarithm(density):
        return 4.16 / 12.0 * np.log(np.maximum(density, 1e-300) / 12.0)

    def root(density):
        return -1.224 * np.sqrt(density)

    def slope_of_root(density):
        return np.where(density > 0.0, -0.612 / np.sqrt(np.maximum(density, 1e-12)), 0.0)

    functions = {"logarithm": (logarithm, slope_of_logarithm), "root": (root, slope_of_root)}
    (f, df), (rho, drho), (phi, dphi) = (
        functions[embedding],
        exponential(1.0, 4.556),
        exponential(0.171, 10.96),
    )
    calculator = EAM(
        elements=["Cu"],
        embedded_energy=np.array([f]),
        electron_density=np.array([rho]),
        phi=np.array([[phi]]),
        d_embedded_energy=np.array([df]),
        d_electron_density=np.array([drho]),
        d_phi=np.array([[dphi]]),
        cutoff=reach,
        form="alloy",
    )
    return Known(calculator, bulk("Cu", cubic=True).repeat((2, 1, 1)), bond, reach)


def make_data(known, seed=0):
    """Pairs, triplets, clusters of 4 to 8 atoms and rattled, strained crystals, with energies and forces."""
    rng = np.random.default_rng(seed)
    symbol, bond = known.symbol, known.bond
    data = [Atoms(symbol + "2", [[0, 0, 0], [r, 0, 0]]) for r in np.linspace(0.83 * bond, known.reach, 40)]
    for _ in range(240):
        (a, b), angle = rng.uniform(0.85, 1.45, 2) * bond, np.radians(rng.uniform(45.0, 180.0))
        data.append(Atoms(symbol + "3", [[0, 0, 0], [a, 0, 0], [b * np.cos(angle), b * np.sin(angle), 0]]))
    data += [_cluster(rng, symbol, int(n), bond) for n in rng.integers(4, 9, size=60)]
    data = [boxed(atoms) for atoms in data]
    for _ in range(36):
        atoms = known.crystal.copy()
        strain = (1.0 + rng.uniform(-0.06, 0.08)) * np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=0.05 * bond * rng.uniform(0.2, 1.2), size=atoms.positions.shape)
        data.append(atoms)
    for atoms in data:
        atoms.calc = known.calculator
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return data


def _cluster(rng, symbol, n, bond):
    """Atoms at random places, none closer than 0.85 of a bond and none alone."""
    while True:
        positions = rng.uniform(-1.0, 1.0, (n, 3)) * bond * (0.55 * n ** (1 / 3) + 0.35)
        atoms = Atoms(f"{symbol}{n}", positions)
        nearest = np.sort(atoms.get_all_distances(), axis=1)[:, 1]
        if nearest.min() > 0.85 * bond and nearest.max() < 1.5 * bond:
            return atoms


def weights(data):
    """Pairs and triplets are few and small beside crystals, which have ten times as many forces."""
    return np.array([10.0 if len(atoms) < 4 else 1.0 for atoms in data])


def fine():
    """A model fine enough for a bond order that ends within 0.3 Angstrom."""
    return PLIPRegressorCV("extensive", max_terms=150, contribution_penalty=0.0, selection="min")
