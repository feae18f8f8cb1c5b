"""Random structures: crystals, surfaces, wires, molecules, and cells that are skewed, flat, tiny or empty."""

import numpy as np

CRYSTALS = (
    ("Si", "diamond", 5.43),
    ("Cu", "fcc", 3.61),
    ("Fe", "bcc", 2.87),
    ("K", "bcc", 5.33),
    ("Xe", "fcc", 6.20),
    ("NaCl", "rocksalt", 5.64),
    ("SiC", "zincblende", 4.36),
    ("CsCl", "cesiumchloride", 4.12),
)
MOLECULES = ("H2", "H2O", "CH4", "CO2", "NH3", "CH3OH", "C2H4", "SiH4", "LiF")
ELEMENTS = ("H", "C", "O", "Na", "Si", "Ti", "Cu", "Au")


def _crystal(rng):
    from ase.build import bulk

    name, lattice, a = CRYSTALS[rng.integers(len(CRYSTALS))]
    atoms = bulk(name, lattice, a=a * rng.uniform(0.9, 1.1), cubic=bool(rng.integers(2)))
    if rng.random() < 0.2:
        atoms *= (1, 1, 2)
    return atoms


def _surface(rng):
    from ase.build import fcc111

    atoms = fcc111("Al", (1, 1 + int(rng.integers(2)), 2), orthogonal=False, vacuum=rng.uniform(1, 12))
    if rng.random() < 0.3:
        atoms.cell[2] = 0.0
    atoms.pbc = (True, True, False)
    return atoms


def _wire(rng):
    from ase import Atoms

    n = int(rng.integers(1, 5))
    positions = np.cumsum(rng.normal(scale=0.4, size=(n, 3)) + [0, 0, 1.2], axis=0)
    axis = int(rng.integers(3))
    positions = np.roll(positions, axis + 1, axis=1)
    cell = np.zeros((3, 3))
    cell[axis] = rng.normal(scale=0.2, size=3)
    cell[axis, axis] = 1.2 * n + 0.5
    pbc = np.zeros(3, bool)
    pbc[axis] = True
    return Atoms(rng.choice(["C", "Si"], n), positions, cell=cell, pbc=pbc)


def _molecule(rng):
    from ase.build import molecule

    atoms = molecule(MOLECULES[rng.integers(len(MOLECULES))])
    if rng.random() < 0.5:
        atoms.center(vacuum=rng.uniform(1.0, 8.0))
        atoms.pbc = rng.integers(2, size=3).astype(bool)
    return atoms


def _isolated(rng):
    from ase import Atoms

    atoms = Atoms(rng.choice(ELEMENTS))
    if rng.random() < 0.5:
        atoms.cell = np.eye(3) * rng.uniform(8, 30)
        atoms.pbc = bool(rng.integers(2))
    return atoms


def _tiny_cell(rng):
    from ase import Atoms

    cell = np.eye(3) * rng.uniform(1.3, 2.6) + rng.normal(scale=0.2, size=(3, 3))
    return Atoms(rng.choice(ELEMENTS), cell=cell, pbc=rng.random(3) < 0.8)


def random_cell(rng, n, symbols, shear):
    """Atoms that are not too close in a random cell with about 8 to 30 cubic Angstrom for each."""
    from ase import Atoms

    cell = np.eye(3) * np.cbrt(n * rng.uniform(8, 30)) * rng.uniform(0.7, 1.4, size=3)
    for a, b in ((1, 0), (2, 0), (2, 1)):
        cell[a] += shear * rng.uniform(-1, 1) * cell[b]
    if rng.random() < 0.3:
        cell = cell[[1, 0, 2]]  # left-handed
    cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pbc = rng.random(3) < 0.7
    atoms = Atoms(cell=cell, pbc=pbc)
    for _ in range(20 * n):
        trial = atoms + Atoms([rng.choice(symbols)], scaled_positions=[rng.random(3)], cell=cell, pbc=pbc)
        if len(trial) == 1 or trial.get_all_distances(mic=True)[-1, :-1].min() > 1.0:
            atoms = trial
        if len(atoms) == n:
            break
    return atoms


def _skewed(rng):
    return random_cell(rng, int(rng.integers(1, 7)), ["Si", "O"], rng.choice([0.5, 2.0, 6.0]))


def _sparse(rng):
    from ase import Atoms

    size = rng.choice([15.0, 60.0, 1e3, 1e5])
    n = int(rng.integers(1, 8))
    atoms = Atoms(rng.choice(["H", "O"], n), rng.random((n, 3)) * size)
    near = rng.random(n) < 0.5
    atoms.positions[near] = atoms.positions[0] + rng.normal(scale=1.2, size=(near.sum(), 3))
    if rng.random() < 0.7:
        atoms.cell = np.eye(3) * size
        atoms.pbc = rng.random(3) < 0.5
    return atoms


def _many_species(rng):
    n = int(rng.integers(3, 10))
    return random_cell(rng, n, rng.choice(ELEMENTS, min(n, 6), replace=False), 0.5)


def _extreme(rng):
    from ase import Atoms

    kind = rng.integers(5)
    if kind == 0:  # a close pair
        return Atoms("SiO", [[0, 0, 0], rng.normal(size=3) * rng.choice([2e-3, 0.05, 0.2])])
    if kind == 1:  # far from the origin
        atoms = _molecule(rng)
        atoms.positions += rng.choice([1e3, 1e6]) * rng.uniform(-1, 1, size=3)
        return atoms
    if kind == 2:  # outside the cell, by many of its vectors
        atoms = _crystal(rng)
        atoms.positions += rng.integers(-40, 40, size=(len(atoms), 3)) @ atoms.cell.array
        return atoms
    if kind == 3:  # a flat cell
        cell = np.diag([30.0, 30.0, rng.uniform(0.8, 1.5)])
        return Atoms("CC", [[0, 0, 0], [1.2, 0.4, 0.3]], cell=cell, pbc=True)
    # nearly coplanar vectors
    cell = [[4.0, 0, 0], [3.9, 0.4, 0], [0, 0, 4.0]]
    return Atoms("Cu", cell=np.array(cell) @ np.linalg.qr(rng.normal(size=(3, 3)))[0], pbc=True)


STRUCTURES = (
    _crystal,
    _surface,
    _wire,
    _molecule,
    _isolated,
    _tiny_cell,
    _skewed,
    _sparse,
    _many_species,
    _extreme,
)


def random_structure(rng):
    """A structure of a random kind, of 1 to about 16 atoms, rattled by nothing, rounding or much."""
    atoms = STRUCTURES[rng.integers(len(STRUCTURES))](rng)
    atoms.positions += rng.normal(size=atoms.positions.shape) * rng.choice([0.0, 1e-6, 0.03, 0.15])
    return atoms
