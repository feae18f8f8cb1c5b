"""
For data scientists
===================

You know scikit-learn, but not what a virial is. This page has five minutes of physics, and then a sparse
linear regression.
"""

# %%
# The problem
# -----------
# A sample is a set of atoms: species and positions in space, often in a box that repeats in all directions.
# Quantum mechanics gives its energy, a number, at a cost of minutes to days. We want a function that gives
# it in microseconds.
#
# Three targets come from each calculation. One function gives them all, by its value and its derivatives:
#
# - the **energy** (eV), one number;
# - the **forces**, minus its gradient with respect to positions: three numbers for each atom (eV/Å);
# - the **stress**, its derivative with respect to a strain of the box, divided by the volume: six numbers
#   (eV/Å³). Times the volume it is called **virial**, the form in which it enters the fit.
from plip.datasets import load_silicon_carbide

train, test = load_silicon_carbide()
atoms = train[40]
print(len(train), "samples; one of them:", atoms.symbols)
print("energy", round(atoms.get_potential_energy(), 3))
print("forces", atoms.get_forces().shape, "stress", atoms.get_stress().shape)

# %%
# Samples are ``ase.Atoms``, and ``X`` is a list of them. Labels are attached, so that ``fit(X)`` needs no
# ``y``.
#
# The model
# ---------
# The energy must not change when atoms of one species are exchanged, or when the sample is moved or
# rotated. Sums over pairs, triplets and densities of neighbors have these symmetries by construction.
# :class:`~plip.PLIPDescriptors` is the transformer that computes them: one column for each sum.
from plip import PLIPDescriptors

descriptors = PLIPDescriptors.preset("fast").set_output(transform="pandas").fit(train)
X = descriptors.transform(train)
print(X.shape)
print(descriptors.terms_[0].formula())

# %%
# Columns are features of whole samples, and *linear* in them is the energy. Since derivatives of columns
# are known exactly, forces and stresses are linear in the same coefficients: one sample gives 1 + 3 n + 6
# rows of the regression.
#
# With energies alone this is plain scikit-learn. The column counts of species stand for the energies of
# single atoms.
import numpy as np
from sklearn.linear_model import LassoLarsCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

y = np.array([atoms.get_potential_energy() for atoms in train])
pipeline = make_pipeline(
    PLIPDescriptors.preset("fast", atom_counts=True), StandardScaler(), LassoLarsCV(max_iter=60)
)
print(f"R2 of the energies of {len(test)} test samples:", end=" ")
print(f"{pipeline.fit(train, y).score(test, [atoms.get_potential_energy() for atoms in test]):.4f}")

# %%
# The estimator
# -------------
# :class:`~plip.PLIPRegressorCV` fits all three targets and selects columns, with the number chosen by
# cross-validation. Rows are never stored: their products are added up sample by sample, and folds are
# differences of sums.
from plip import PLIPRegressorCV

model = PLIPRegressorCV().fit(train)
print(f"{model.n_terms_} of {len(model.coef_)} columns, score {model.score(test):.4f}")

# %%
# ``score`` is the mean of two R²: energies per atom (about what the composition alone predicts) and force
# components (about zero). Scorers for single targets are in :mod:`plip.metrics`, and everything of
# scikit-learn that takes an estimator takes this one.
from sklearn.model_selection import cross_validate

from plip import PLIPRegressor
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.model_selection import StratifiedByGroup

groups = [atoms.info["group"] for atoms in train]
scores = cross_validate(
    PLIPRegressor("fast", max_terms=30),
    train,
    groups=groups,
    cv=StratifiedByGroup(5, random_state=0),
    scoring={"energy": neg_energy_rmse, "force": neg_force_rmse},
)
print("meV/atom:", np.round(-1e3 * scores["test_energy"], 1))
print("eV/Å:    ", np.round(-scores["test_force"], 3))

# %%
# Bias and variance
# -----------------
# The path of models, from empty to full, with training, cross-validation and test errors:
import matplotlib.pyplot as plt

from plip.inspection import PathDisplay, UncertaintyDisplay

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
PathDisplay.from_estimator(model, test, quantity="force", ax=axes[0])
UncertaintyDisplay.from_estimator(model, test, ax=axes[1])

# %%
# On the right, errors against the standard deviations that were predicted for them, as in scikit-learn's
# Bayesian regressors: ``model.predict(X, return_std=True)``.
#
# Traps
# -----
# - **Samples are not independent.** Snapshots of one simulation are nearly copies. Keep them in one fold:
#   ``cv=GroupKFold()`` and ``fit(X, groups=...)``. plip always keeps the forces of one
#   sample together.
# - **The test set is a distribution, and simulations leave it.** They go where the predicted energy is low,
#   right or wrong: a model is queried where it errs. Hence the repulsion where the data end,
#   :meth:`plip.Potential.check_safety` and extrapolation grades.
# - **Units.** Energies in eV, lengths in Å. :func:`plip.audit.audit` tells when they are not.
# - **Errors add up.** 10 meV/atom is good; in a sample of a thousand atoms it is 10 eV. Differences of
#   energies between samples of the same kind are far more accurate than that.
#
# Next: :ref:`sphx_glr_auto_examples_plot_grid_search.py`, :ref:`sphx_glr_auto_examples_plot_large_data.py`,
# :ref:`sphx_glr_auto_examples_plot_uncertainty.py`, and the equations in :doc:`/model`.
