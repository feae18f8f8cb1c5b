"""
Search settings with scikit-learn
=================================

The regressor is a scikit-learn estimator. ``GridSearchCV``, ``cross_validate`` and pipelines take it as it
is, with lists of structures in the place of a matrix.
"""

# %%
# Nested parameters have scikit-learn's names. ``memory`` keeps the rows of each structure on disk, so that
# settings of the fit (sizes, weights, solvers) do not compute descriptors again.
import tempfile

import pandas as pd
from sklearn.model_selection import GridSearchCV

from plip import PLIPRegressor
from plip.datasets import load_silicon_carbide
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.model_selection import StratifiedByGroup

train, test = load_silicon_carbide()
groups = [atoms.info["group"] for atoms in train]

search = GridSearchCV(
    PLIPRegressor("fast", memory=tempfile.mkdtemp()),
    {"descriptors__cutoff": [3.6, 4.3, 5.0], "max_terms": [20, 40]},
    scoring={"energy": neg_energy_rmse, "force": neg_force_rmse},
    refit="force",
    cv=StratifiedByGroup(3, random_state=0),
)
search.fit(train, groups=groups)
print("best:", search.best_params_)

# %%
# Structures of one kind follow each other in these data. :class:`~plip.model_selection.StratifiedByGroup`
# puts a share of every kind into every fold.
results = pd.DataFrame(search.cv_results_)
results["energy (meV/atom)"] = -1e3 * results["mean_test_energy"]
results["force (eV/Å)"] = -results["mean_test_force"]
columns = ["param_descriptors__cutoff", "param_max_terms"]
table = results[[*columns, "energy (meV/atom)", "force (eV/Å)"]].sort_values("force (eV/Å)").round(3)
print(table.to_string(index=False))

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
for size, part in results.groupby("param_max_terms"):
    part = part.sort_values("param_descriptors__cutoff")
    ax.plot(part["param_descriptors__cutoff"], part["force (eV/Å)"], "o-", label=f"{size} terms")
ax.set(xlabel="cutoff (Å)", ylabel="force error of cross-validation (eV/Å)")
ax.legend(frameon=False)

# %%
# The search has refitted the best settings to all training data. The result can be read like any other model.
print(f"test: {-1e3 * neg_energy_rmse(search.best_estimator_, test):.1f} meV/atom, ", end="")
print(f"{-neg_force_rmse(search.best_estimator_, test):.3f} eV/Å")
search.best_estimator_.potential_
