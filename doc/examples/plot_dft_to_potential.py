"""
From first-principles calculations to a potential
==================================================

Files of labeled structures go in, a potential comes out: read, check, fit, test, save, use.
"""

# %%
# Read
# ----
# :func:`ase.io.read` reads the output of most programs, and :class:`ase.Atoms` carry the labels along:
# energies in eV, forces in eV/Å, stresses in eV/Å³. Here we write a file with the silicon carbide that
# ships with plip and read it again, as if it were yours.
import tempfile
from pathlib import Path

from ase.io import read, write

from plip.datasets import load_silicon_carbide

folder = Path(tempfile.mkdtemp())
for name, structures in zip(("train", "test"), load_silicon_carbide(), strict=True):
    write(folder / f"{name}.xyz", structures)

train = read(folder / "train.xyz", ":")
test = read(folder / "test.xyz", ":")
print(f"{len(train)} structures to fit, {len(test)} to test")
print(train[0].symbols, train[0].info["group"], f"{train[0].get_potential_energy():.2f} eV")

# %%
# Check
# -----
# Units and signs go wrong more often than fits do. :func:`plip.audit.audit` finds out.
from plip.audit import audit

print(audit(train, test))

# %%
# Nothing is to be mended here; :ref:`sphx_glr_auto_examples_plot_audit.py` shows what it finds in worse
# data.
#
# Fit
# ---
# :class:`~plip.PLIPRegressorCV` chooses the number of terms by cross-validation.
from plip import PLIPRegressorCV

model = PLIPRegressorCV().fit(train)
potential = model.potential_
print(f"{len(potential.terms)} terms, R2 on the test set {model.score(test):.3f}")

# %%
# Test
# ----
# One number for all structures hides much. :class:`plip.metrics.Evaluation` has errors by group.
from plip.metrics import Evaluation
from plip.report import evaluation_report

print(evaluation_report({"test": Evaluation(potential, test)}))

# %%
from plip.inspection import ParityDisplay

ParityDisplay.from_estimator(model, test, target="force")

# %%
# Before a simulation, see whether the potential holds where the data end: at short distances, under
# compression, in hot crystals.
print(potential.check_safety(train))

# %%
# Save and use
# ------------
# The file is readable JSON. Whoever loads it needs neither the data nor scikit-learn.
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from plip import load_potential

potential.save(folder / "SiC.json", uncertainty=True)
atoms = bulk("SiC", "zincblende", a=4.5, cubic=True)
atoms.calc = load_potential(folder / "SiC.json").calculator()
BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4)
print(f"lattice constant: {atoms.cell[0, 0]:.3f} Å")

# %%
# The command line does all of this in one line, and writes a report beside the potential:
#
# .. code-block:: sh
#
#    plip fit train.xyz --test test.xyz -o SiC.json --report SiC.html
