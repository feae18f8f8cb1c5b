"""
Choose the number of terms
==========================

Few terms are fast and easy to read, many are accurate. One fit has all sizes, so that the choice is a look
at a curve.
"""

# %%
# :class:`~plip.PLIPRegressorCV` follows a path from the empty model to ``max_terms`` and knows the errors
# of the folds at each size. By default it takes the fewest terms whose error is at most 7 % above the best.
import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import PathDisplay
from plip.metrics import neg_energy_rmse, neg_force_rmse

train, test = load_silicon_carbide()
model = PLIPRegressorCV().fit(train)
print(model.selected_size_, "terms chosen")

# %%
# The training error falls with every term. The error of the folds levels off, and that is where to stop.
# The cancellation tells how much the terms work against each other.
figure, axes = plt.subplots(2, 2, figsize=(10.0, 7.0), layout="constrained")
path = PathDisplay.from_estimator(model, test, ax=axes[0, 0])
for ax, quantity in zip(axes.flat[1:], ("energy", "virial", "cancellation"), strict=True):
    path.plot(ax=ax, quantity=quantity)

# %%
# The potential of any size on the path is available, with its own reference energies.
crystal = next(atoms for atoms in train if atoms.info["group"] == "zincblende-eos")
for n_terms in (10, 20, 40, 60):
    potential = model.potential_at(n_terms)
    print(f"{len(potential.terms):>3} terms: {potential.energy(crystal) / len(crystal):.4f} eV/atom")

# %%
# ``selection="min"`` takes the size of least error, ``"one_standard_error"`` follows the rule of that name,
# and a number is the tolerance.
for selection in ("min", 0.07, 0.2):
    model.set_params(selection=selection).fit(train)
    energy, force = -1e3 * neg_energy_rmse(model, test), -neg_force_rmse(model, test)
    print(f"{selection!r:>5}: {model.n_terms_:>2} terms, test {energy:.1f} meV/atom, {force:.3f} eV/Å")
