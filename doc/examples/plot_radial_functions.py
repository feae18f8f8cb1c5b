"""
Radial functions of your own choice
===================================

Grids of Gaussians are a default, not a rule. A material scientist may know better: a repulsion that decays
exponentially, an angle with a short reach, one hopping integral.
"""

# %%
# Families
# --------
# :mod:`plip.radial` has eight families. A number or list for a parameter makes a grid of all combinations,
# and an integer for ``centers`` is a count. Scalar instances can be called.
import matplotlib.pyplot as plt
import numpy as np

from plip.radial import Gaussian, LogNormal, Slater, StillingerWeber, cutoff_function

r = np.linspace(0.8, 5.0, 300)
figure, ax = plt.subplots(layout="constrained")
for function in (
    Gaussian(eta=2.0, centers=2.0),
    Slater(powers=1.0, zeta=1.5),
    LogNormal(onsets=0.5, scales=1.5),
    StillingerWeber(gamma=-1.0, onset=1.0),
):
    ax.plot(r, function(r) * cutoff_function(r, 5.0)[0], label=function.label())
ax.set(xlabel="r (Å)", ylabel="with the cutoff of 5 Å")
ax.legend(frameon=False)

# %%
# Interactions
# ------------
# Each interaction has its own functions and may have its own, shorter cutoff. Several families may stand in
# a list.
from plip import PLIPDescriptors, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.metrics import neg_energy_rmse, neg_force_rmse

train, test = load_silicon_carbide()
own = PLIPDescriptors(
    cutoff=4.5,
    two_body=TwoBody([Slater(powers=0.0, zeta=[1.5, 3.0, 5.0]), Gaussian(eta=2.0, centers=[2.0, 2.6, 3.2])]),
    three_body=ThreeBody(LogNormal(onsets=0.3, scales=[1.4, 2.2]), max_power=3, mixed=True, cutoff=3.4),
    n_body=NBody(Slater(powers=0.0, zeta=[1.0, 2.0]), powers=(0.5, 2)),
)
model = PLIPRegressorCV(own, max_terms=30).fit(train)
print(f"{len(model.coef_)} candidate terms, {model.n_terms_} terms kept")
for term, coefficient in model.potential_.terms[:5]:
    print(f"{coefficient:10.3e} x {term.formula()}")

# %%
# The default has more candidates: fewer of them leave less to choose from, and are searched faster.
default = PLIPRegressorCV(max_terms=30).fit(train)
for name, fitted in (("own functions", model), ("default", default)):
    energy, force = -1e3 * neg_energy_rmse(fitted, test), -neg_force_rmse(fitted, test)
    print(f"{name:>13}: {len(fitted.coef_):>3} columns, {energy:.1f} meV/atom, {force:.3f} eV/Å")

# %%
from plip.inspection import PairDisplay

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained", sharey=True)
for ax, fitted, title in zip(axes, (model, default), ("own functions", "default"), strict=True):
    PairDisplay.from_estimator(fitted, ax=ax)
    ax.set_title(title)

# %%
# A function that no family has
# -----------------------------
# Any smooth function of the distance can be written as a sum of functions of a family. Here least squares
# write a Morse function with twelve exponentials; a fit to data does the same by itself.
morse = np.exp(-2 * 1.5 * (r - 1.9)) - 2 * np.exp(-1.5 * (r - 1.9))
grid = Slater(powers=0.0, zeta=np.linspace(0.5, 6.0, 12)).grid(cutoff=5.0)
basis = np.column_stack([function(r) for function in grid])
coefficients = np.linalg.lstsq(basis, morse, rcond=None)[0]
print(f"largest error: {np.abs(basis @ coefficients - morse).max():.1e} eV")

# %%
# A new family takes one class in ``plip/radial.py`` and one function in C; :doc:`/architecture` says
# where.
