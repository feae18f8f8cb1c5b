"""
How sure is a prediction?
=========================

Standard deviations of energies and forces, and a grade for each atom that says whether its surroundings are
like those of the data. Both come with every fit, and cost no committee of models.
"""

# %%
# Predictions with deviations, as scikit-learn's Bayesian estimators give them:
from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide

train, test = load_silicon_carbide()
model = PLIPRegressorCV().fit(train)
energies, deviations = model.predict(test, return_std=True)
for atoms, energy, deviation in list(zip(test, energies, deviations, strict=True))[::6]:
    true = atoms.get_potential_energy()
    print(f"{atoms.info['group']:<20} {energy:8.2f} +- {deviation:.2f} eV, true {true:8.2f}")

# %%
# Are they right?
# ---------------
# The interval of 1.645 standard deviations should hold 90 % of the errors of structures that the fit has
# not seen.
from plip.metrics import coverage

forces, forces_std = model.predict_forces(test, return_std=True)
true = [atoms.get_forces() for atoms in test]
print(f"{100 * coverage(true, forces, forces_std):.1f} % of the force components")

# %%
# Structures with larger deviations have larger errors:
from plip.inspection import UncertaintyDisplay

UncertaintyDisplay.from_estimator(model, test)

# %%
# How far is an atom from the data?
# ---------------------------------
# The extrapolation grade is at most 1 for the atoms of the fit. Here a carbon atom moves from its site
# towards a silicon neighbor.
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk

crystal = bulk("SiC", "zincblende", a=4.38, cubic=True)
bond = crystal.get_distance(4, 0, mic=True, vector=True)
shares = np.linspace(0.0, 0.35, 30)
grades, largest = [], []
for share in shares:
    atoms = crystal.copy()
    atoms.positions[4] += share * bond
    found = model.potential_.evaluate(atoms, uncertainty=True)
    grades.append(found["extrapolation"].max())
    largest.append(found["forces_std"].max())

figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
axes[0].plot(shares, grades)
axes[0].axhline(1.0, color="gray", linestyle="--")
axes[0].set(xlabel="part of the bond", ylabel="largest extrapolation grade", yscale="log")
axes[1].plot(shares, largest)
axes[1].set(xlabel="part of the bond", ylabel="largest deviation of a force (eV/Å)")

# %%
# The next two examples use the grade: a simulation that stops where the data end, and a loop that asks for
# the data it needs. :doc:`/uncertainty` has the equations, and what deviations do not cover.
