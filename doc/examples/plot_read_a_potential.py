"""
Read a potential
================

A potential is a sum of terms, but nobody reads a list of Gaussians. Read functions: what do two atoms do to
each other, what does an angle cost, how does an atom like its density?
"""

# %%
# A readable potential has few terms that hardly cancel each other. ``plip fit --target readable`` takes at
# most 25.
import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import (
    AngleDisplay,
    DensityDisplay,
    EquationOfStateDisplay,
    PairDisplay,
    PartitionDisplay,
    StabilityDisplay,
)

train, test = load_silicon_carbide()
model = PLIPRegressorCV(max_terms=25).fit(train)
potential = model.potential_
potential

# %%
# Terms
# -----
# Each term has its interaction, species and formula. :meth:`~plip.Potential.to_latex` writes the equation
# for a paper.
for term, coefficient in potential.terms[:4]:
    print(f"{coefficient:10.3e} x {term.formula()}")

# %%
# Two atoms
# ---------
# The energy of two isolated atoms minus that of each. Strips at the bottom count the distances of the data,
# and curves are thick where there are any. A star says that the data have such pairs in larger structures
# only.
PairDisplay.from_estimator(model)

# %%
# Three atoms
# -----------
# The energy of an angle beyond that of its pairs, for arms of several lengths: silicon between two carbon
# atoms.
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained")
AngleDisplay.from_estimator(model, species=("Si", "C", "C"), ax=axes[0])
AngleDisplay.from_estimator(model, species=("Si", "C", "C"), kind="map", ax=axes[1])

# %%
# Densities and volumes
# ---------------------
# How much of the energy follows from the density around an atom, and how kinds of terms share the energy of
# the crystal when its volume changes.
crystal = next(atoms for atoms in train if atoms.info["group"] == "zincblende-eos")
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained")
DensityDisplay.from_estimator(model, ax=axes[0])
EquationOfStateDisplay.from_estimator(model, crystal, ax=axes[1])

# %%
# Parts
# -----
# :meth:`~plip.Potential.partition` divides energies and forces exactly. Pairs, triplets and densities are
# kinds of *terms*: the same physics can be written in several ways (:doc:`/reading` says when parts mean
# something).
by_group = {}
for atoms in train:
    by_group.setdefault(atoms.info["group"], []).append(atoms)
PartitionDisplay.from_estimator(model, by_group)

# %%
# How sure is a term?
# -------------------
# The share of folds whose model of the same size keeps a term. A term that all folds keep is a statement
# about the material.
StabilityDisplay.from_estimator(model, max_terms=15)
