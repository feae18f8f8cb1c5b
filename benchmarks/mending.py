"""How many labels mend a potential that fails the check of its safety.

    python benchmarks/mending.py --seeds 3

The data are 14 structures of one crystal, strained by some 2 % and slightly displaced, of eight materials
whose truth is known everywhere: five compounds of ASE's EMT and three crystals of a potential that LAMMPS
ships. Where the default fit fails the check, ten of the structures that the check names are labeled, chosen
by `plip.selection.select_structures`, and the fit is repeated, six times at most; in another run, ten more
structures of the kind of the data are labeled each time. The columns hold the numbers of labels after which
the check finds nothing, for each seed of the data: 0 if the first fit passes, "-" if the last one fails.
"""

import argparse
import warnings

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from materials import shipped
from tqdm import tqdm

from plip import PLIPRegressor
from plip.selection import select_structures

FIRST, PER_ROUND, ROUNDS = 14, 10, 6


def ordered(first, second, a):
    """Two species in layers of a face-centered cubic lattice."""
    atoms = bulk("Cu", a=a, cubic=True)
    atoms.symbols = [first, first, second, second]
    return atoms


SILICON_CARBIDE = shipped("tersoff", "SiC_Erhart-Albe.tersoff", ["Si", "C"])
MATERIALS = {
    "Al-Ni": (EMT, ordered("Al", "Ni", 3.75)),
    "Al-Pd": (EMT, ordered("Al", "Pd", 3.9)),
    "Al-Pt": (EMT, ordered("Al", "Pt", 4.0)),
    "Al-O": (EMT, bulk("AlO", "rocksalt", a=4.2, cubic=True)),
    "Pd-H": (EMT, bulk("PdH", "rocksalt", a=4.1, cubic=True)),
    "SiC": (SILICON_CARBIDE, bulk("SiC", "zincblende", a=4.36, cubic=True) * 2),
    "Si": (SILICON_CARBIDE, bulk("Si", a=5.43, cubic=True) * 2),
    "C": (SILICON_CARBIDE, bulk("C", a=3.57, cubic=True) * 2),
}


def labeled(atoms, calculator):
    """A copy with labels of the calculator, periodic in all directions if that needs it."""
    atoms = atoms.copy()
    if calculator is not EMT:
        atoms.pbc = True  # cells have vacuum where they were not periodic
    worker = atoms.copy()
    worker.calc = calculator()
    results = {"energy": worker.get_potential_energy(), "forces": worker.get_forces()}
    if atoms.pbc.all():
        results["stress"] = worker.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def displaced(crystal, calculator, count, rng):
    """Structures of a crystal near its minimum."""
    found = []
    for _ in range(count):
        atoms = crystal.copy()
        strain = np.eye(3) * (1.0 + rng.uniform(-0.04, 0.04)) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.rattle(0.05, rng=rng)
        found.append(labeled(atoms, calculator))
    return found


def n_labels(crystal, calculator, seed, named):
    """How many labels more make the fit safe, or None."""
    rng = np.random.default_rng(seed)
    train = displaced(crystal, calculator, FIRST, rng)
    for _ in range(ROUNDS + 1):
        model = PLIPRegressor().fit(train)
        report = model.potential_.check_safety(train)
        if report.is_safe:
            return len(train) - FIRST
        if named:
            pool = report.structures
            if not pool:
                return None
            chosen = select_structures(pool, min(PER_ROUND, len(pool)), model)
            train += [labeled(pool[k], calculator) for k in chosen]
        else:
            train += displaced(crystal, calculator, PER_ROUND, rng)
    return None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of data sets of each material (default: 3)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':8}  {'structures named':>20}  {'more of the same':>20}")
    for name, (calculator, crystal) in tqdm(MATERIALS.items(), disable=None):
        columns = []
        for named in (True, False):
            numbers = [n_labels(crystal, calculator, seed, named) for seed in range(options.seeds)]
            columns.append(", ".join("-" if number is None else str(number) for number in numbers))
        tqdm.write(f"{name:8}  {columns[0]:>20}  {columns[1]:>20}")


if __name__ == "__main__":
    main()
