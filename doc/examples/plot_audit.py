"""
Find what is wrong with data
============================

Four faults that real data have are planted here, and the audit finds them. It trusts no metadata: energies,
forces and stresses are derivatives of one function, and they fit together only if read in the right way.
"""

# %%
import numpy as np

from plip.audit import audit
from plip.datasets import load_silicon_carbide

train, test = load_silicon_carbide()
groups = np.array([atoms.info["group"] for atoms in train])
print(*np.unique(groups), sep=", ")

# %%
# Plant the faults
# ----------------
# Stresses of all structures are in kbar, forces of three structures have the opposite sign, a group has
# another zero of energy (as from another pseudopotential), and a test structure is among the training data.
for atoms in train:
    atoms.calc.results["stress"] = atoms.calc.results["stress"] * 1602.1766208
for k in np.flatnonzero(groups == "zincblende-thermal")[:3]:
    atoms = train[k]
    atoms.calc.results["forces"] = -atoms.calc.results["forces"]
for k in np.flatnonzero(groups == "wurtzite"):
    train[k].calc.results["energy"] += 0.3 * len(train[k])
train.append(test[5])

# %%
# Find them
# ---------
report = audit(train, test)
print(report)

# %%
# Each finding has its structures, the evidence, and a remedy, such as the option of ``plip fit`` that
# corrects it.
for finding in report.findings:
    print(f"{finding.kind:>14}: {len(finding.structures):>3} structures")

# %%
# What the faults would have cost
# -------------------------------
# The same fit to the data with and without the faults:
import warnings

import matplotlib.pyplot as plt

from plip import PLIPRegressor
from plip.inspection import ParityDisplay

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.4), layout="constrained", sharex=True, sharey=True)
clean, _ = load_silicon_carbide()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    for ax, data, title in zip(axes, (clean, train), ("as computed", "with the faults"), strict=True):
        model = PLIPRegressor("fast", max_terms=30).fit(data)
        ParityDisplay.from_estimator(model, test, target="force", ax=ax)
        ax.get_legend().remove()
        ax.set_title(title)
