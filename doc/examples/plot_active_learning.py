"""
A potential that asks for the data it needs
===========================================

Active learning of copper, with ASE's EMT in the place of first-principles calculations. Each round runs
molecular dynamics with the potential until an atom is too far from the data, selects a few snapshots,
labels them and fits again.
"""

# %%
# The calculation that labels, and the simulation that explores.
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

SEED = 0
ROUNDS = 2
N_LABELS = 6  # of each round
LIMIT = 2.0  # of the extrapolation grade
N_SNAPSHOTS = 50  # of each run, at most
TEMPERATURES = (300, 800, 1300, 2000, 3000)
SNAPSHOT = 10  # steps

# Newer versions of ASE have another name for its function that draws velocities.
warnings.simplefilter("ignore", DeprecationWarning)
# The first potentials leave their data soon, as their calculators say.
warnings.simplefilter("ignore", UserWarning)


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


def explore(potential, random):
    """Snapshots of runs at all temperatures, and the steps until each of them stopped."""

    def is_far(atoms):
        return potential.evaluate(atoms, uncertainty=True)["extrapolation"].max() > LIMIT

    pool, steps = [], []
    for temperature in TEMPERATURES:
        found = run(
            start(temperature, random), potential.calculator(), temperature, N_SNAPSHOTS, random, is_far
        )
        pool += found
        steps.append(SNAPSHOT * len(found))
    return pool, steps


def errors(model):
    """meV/atom and eV/Å on structures that EMT's own dynamics visits, from cold crystals to melts."""
    return -1e3 * neg_energy_rmse(model, test), -neg_force_rmse(model, test)


random = np.random.default_rng(SEED)
test = [
    label(atoms)
    for temperature in TEMPERATURES
    for atoms in run(start(temperature, random), EMT(), temperature, 48, random)[7::8]
]

# %%
# The first fit
# -------------
# Ten snapshots of a cold crystal. A second potential takes as many of the same snapshots at random in each
# round.
labeled = [label(atoms) for atoms in run(start(300, random), EMT(), 300, 40, random)[3::4]]
model = PLIPRegressor(max_terms=30).fit(labeled)
by_chance = PLIPRegressor(max_terms=30).fit(labeled)
rows = [(len(labeled), *errors(model), *errors(by_chance))]

# %%
# The loop
# --------
# Explore, choose, label, add. :func:`~plip.selection.select_structures` chooses the snapshots whose labels
# would lower the uncertainty of all predictions most, and ``partial_fit`` adds them to the fit. ``calibrate``
# then needs all structures.
for number in range(1, ROUNDS + 1):
    pool, steps = explore(model.potential_, random)
    chosen = select_structures(pool, min(N_LABELS, len(pool)), model)
    more = [label(pool[k]) for k in chosen]
    labeled += more
    model.partial_fit(more).calibrate(labeled)
    by_chance.partial_fit([label(pool[k]) for k in random.choice(len(pool), len(chosen), replace=False)])
    rows.append((len(labeled), *errors(model), *errors(by_chance)))
    print(f"round {number}: runs of {', '.join(map(str, steps))} steps before an atom left the data")

print("\nlabels   chosen (meV/atom; eV/Å)   at random")
for n, energy, force, chance_energy, chance_force in rows:
    print(f"{n:>6} {energy:>12.2f} {force:>9.4f} {chance_energy:>14.2f} {chance_force:>9.4f}")

# %%
import matplotlib.pyplot as plt

n, energy, force, chance_energy, chance_force = zip(*rows, strict=True)
figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
for ax, ours, chance, unit in zip(
    axes,
    (energy, force),
    (chance_energy, chance_force),
    ("energy error (meV/atom)", "force error (eV/Å)"),
    strict=True,
):
    ax.plot(n, ours, "o-", label="chosen")
    ax.plot(n, chance, "s--", label="at random")
    ax.set(xlabel="labels", ylabel=unit, yscale="log")
axes[0].legend(frameon=False)

# %%
# :doc:`/more_data` has means over several seeds and more rounds, and tells where choosing saves nothing.
