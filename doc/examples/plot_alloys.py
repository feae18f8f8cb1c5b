"""
Alloys, also those that no one has computed
===========================================

Terms that all species share describe what metals have in common. So a potential can know an alloy that is
missing in its data.
"""

# %%
# The data: copper, silver, gold and two of their three binary alloys, with ASE's EMT in the place of
# first-principles calculations. No structure holds silver and gold together.
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

LATTICE = {"Cu": 3.61, "Ag": 4.09, "Au": 4.08}


def alloys(first, second, n, rng):
    """Random solid solutions of 16 atoms, rattled and strained."""
    structures = []
    for _ in range(n):
        symbols = np.where(rng.random(16) < rng.uniform(0.1, 0.9), first, second)
        a = np.mean([LATTICE[symbol] for symbol in symbols]) * rng.uniform(0.97, 1.04)
        atoms = bulk("Cu", cubic=True, a=a) * (2, 2, 1)
        atoms.symbols[:] = symbols
        atoms.rattle(rng.uniform(0.02, 0.12), seed=int(rng.integers(1 << 31)))
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        structures.append(atoms)
    return structures


rng = np.random.default_rng(0)
train = [*alloys("Cu", "Ag", 40, rng), *alloys("Cu", "Au", 40, rng)]
for symbol in LATTICE:
    train += alloys(symbol, symbol, 12, rng)
tests = {"Ag-Cu": alloys("Cu", "Ag", 15, rng), "Ag-Au, not in the data": alloys("Ag", "Au", 15, rng)}

# %%
# Two fits. In the first, places ``*`` of terms stand for atoms of any species; terms of particular species
# are candidates where the data hold them. In the second, every term belongs to particular species. The fit
# warns that Ag and Au never meet.
import warnings

from plip import PLIPDescriptors, PLIPRegressor
from plip.metrics import neg_energy_rmse, neg_force_rmse

models = {}
for name, shared in (("shared", True), ("not shared", False)):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        models[name] = PLIPRegressor(PLIPDescriptors.preset("fast", shared=shared), max_terms=60).fit(train)
    print(f"{name}: {caught[0].message}" if caught else f"{name}: no warning")

# %%
terms = [term for term, _ in models["shared"].potential_.terms]
shared = [term for term in terms if "*" in term.species]
print(f"{len(shared)} of {len(terms)} terms have a place for any species, such as")
for term in shared[::8]:
    print(f"    {term.interaction:<11} {term.species}")

# %%
# What each knows of the alloy that is missing:
errors = {
    (name, kind): (-1e3 * neg_energy_rmse(model, test), -neg_force_rmse(model, test))
    for name, model in models.items()
    for kind, test in tests.items()
}
for (name, kind), (energy, force) in errors.items():
    print(f"{name:>10}, {kind:<23}: {energy:8.1f} meV/atom {force:7.3f} eV/Å")

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
for k, name in enumerate(models):
    values = [errors[name, kind][0] for kind in tests]
    bars = ax.bar(np.arange(2) + 0.4 * k - 0.2, values, 0.4, label=name)
    ax.bar_label(bars, fmt="%.3g")
ax.set_xticks([0, 1], list(tests))
ax.set(yscale="log", ylabel="energy error (meV/atom)")
ax.legend(frameon=False)

# %%
# How good a guess is depends on the elements: :doc:`/alloys` has measurements, and says what the data of
# two alloys cannot tell of a third.
