"""A potential that asks for the data it needs, with ASE's EMT in the place of density-functional theory.

    python active_learning.py --rounds 6

Each round runs molecular dynamics of copper with the potential, at several temperatures, until the
extrapolation grade of an atom exceeds a limit. It selects a few of the snapshots, labels them, adds them
to the fit and goes on. The table has the errors on structures that EMT's own dynamics visits, from cold
crystals to melts, and those of a second potential that takes as many of the same snapshots at random.
"""

import argparse
import warnings

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from plip import PLIPRegressor
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.selection import select_structures

TEMPERATURES = (300, 800, 1300, 2000, 3000)
SNAPSHOT = 10  # steps


def label(atoms):
    """Energy, forces and stress by "first principles"."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    results = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def start(temperature, random):
    """A crystal of 32 atoms with velocities."""
    atoms = bulk("Cu", cubic=True, a=3.61 * random.uniform(0.99, 1.05)).repeat(2)
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=random)
    return atoms


def run(atoms, calculator, temperature, n_snapshots, random, is_far=None):
    """Snapshots of molecular dynamics, until one is too far from the data."""
    atoms.calc = calculator
    options = {"temperature_K": temperature, "friction": 0.01 / units.fs, "fixcm": False, "rng": random}
    dynamics = Langevin(atoms, 3 * units.fs, **options)
    snapshots = []
    for _ in range(n_snapshots):
        dynamics.run(SNAPSHOT)
        snapshots.append(atoms.copy())
        if is_far is not None and is_far(atoms):
            break
    return snapshots


def explore(potential, limit, n_snapshots, random):
    """Snapshots of runs at all temperatures, and the step at which the first one of each stopped."""

    def is_far(atoms):
        return potential.evaluate(atoms, uncertainty=True)["extrapolation"].max() > limit

    pool, steps = [], []
    for temperature in TEMPERATURES:
        atoms = start(temperature, random)
        found = run(atoms, potential.calculator(), temperature, n_snapshots, random, is_far)
        pool += found
        steps.append(SNAPSHOT * len(found))
    return pool, steps


def errors(model, test):
    """meV/atom; eV/Angstrom."""
    return f"{-1000 * neg_energy_rmse(model, test):8.2f} {-neg_force_rmse(model, test):8.4f}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--labels", type=int, default=6, help="labels of each round")
    parser.add_argument("--limit", type=float, default=2.0, help="largest extrapolation grade")
    parser.add_argument("--snapshots", type=int, default=50, help="most snapshots of a run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # Newer versions of ASE have another name for its function that draws velocities.
    warnings.simplefilter("ignore", DeprecationWarning)
    # The first potentials leave their data soon, as their calculators say.
    warnings.simplefilter("ignore", UserWarning)
    random = np.random.default_rng(arguments.seed)
    test = [
        label(atoms)
        for temperature in TEMPERATURES
        for atoms in run(start(temperature, random), EMT(), temperature, 48, random)[7::8]
    ]
    first = [label(atoms) for atoms in run(start(300, random), EMT(), 300, 40, random)[3::4]]
    model, labeled = PLIPRegressor(max_terms=30).fit(first), list(first)
    by_chance = PLIPRegressor(max_terms=30).fit(first)
    print("                            chosen            at random (meV/atom; eV/A)")
    print(f"round 0, {len(labeled):>3} labels {'':>12}{errors(model, test)}  {errors(by_chance, test)}")
    for number in range(1, arguments.rounds + 1):
        pool, steps = explore(model.potential_, arguments.limit, arguments.snapshots, random)
        chosen = select_structures(pool, min(arguments.labels, len(pool)), model)
        more = [label(pool[k]) for k in chosen]
        labeled += more
        model.partial_fit(more).calibrate(labeled)
        others = random.choice(len(pool), len(chosen), replace=False)
        by_chance.partial_fit([label(pool[k]) for k in others])
        print(
            f"round {number}, {len(labeled):>3} labels {sum(steps):>5} steps {errors(model, test)}  "
            f"{errors(by_chance, test)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
