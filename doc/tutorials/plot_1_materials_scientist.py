"""
For materials scientists
========================

You have run first-principles calculations and want to simulate more atoms for longer. You need to know
nothing about machine learning.
"""

# %%
# What you get
# ------------
# A potential of plip is a sum of interactions as you know them from Stillinger-Weber or the embedded-atom
# method: pair functions, functions of angles, densities around atoms. The program does not ask you to
# choose their form. It offers some hundred candidates and keeps the few dozen that describe your
# calculations best.
#
# What you need
# -------------
# A hundred or so structures with energies and forces, and stresses if you care for elastic constants. They
# should hold what the simulation will meet: the crystal at several volumes, thermal displacements, defects,
# the liquid if you melt. Here it is silicon carbide, 167 cells of 4 to 8 atoms from density-functional
# theory, which come with plip.
from collections import Counter

from plip.datasets import load_silicon_carbide

train, test = load_silicon_carbide()
for group, number in Counter(atoms.info["group"] for atoms in train).items():
    print(f"{number:>4} {group}")

# %%
# Your own files are read with ``ase.io.read("vasprun.xml", ":")`` or whatever your program writes.
#
# The fit
# -------
# The fit is one line and takes seconds.
from plip import PLIPRegressorCV

model = PLIPRegressorCV().fit(train)
potential = model.potential_
potential

# %%
# Is it good enough?
# ------------------
# Look at structures that the fit has not seen, by kind. An error of 0.1 eV/Å in forces of several eV/Å is
# what a potential of this kind reaches for crystals; what matters is whether it is small beside what you
# want to see.
from plip.inspection import ParityDisplay

ParityDisplay.from_estimator(model, test, target="force")

# %%
# The largest errors are those of a hot cell in which two silicon atoms are closer than any in the data.
# Label more of its kind if your simulation gets that hot.
#
# Does it make sense?
# -------------------
# You know what a bond looks like. The energy of the crystal against its volume, by kind of term, and the
# energy of two atoms:
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk

from plip.inspection import EquationOfStateDisplay, PairDisplay

crystal = bulk("SiC", "zincblende", a=4.38, cubic=True)
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained")
EquationOfStateDisplay.from_estimator(model, crystal, ax=axes[0])
PairDisplay.from_estimator(model, ax=axes[1])

# %%
# The energies and volumes of three relaxed crystals are the numbers that you would look up first:
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

calculator = potential.calculator()
energies = {}
for name, atoms in {
    "zincblende": crystal,
    "wurtzite": bulk("SiC", "wurtzite", a=3.09, c=5.05),
    "rocksalt": bulk("SiC", "rocksalt", a=4.06, cubic=True),
}.items():
    atoms.calc = calculator
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3)
    energies[name] = atoms.get_potential_energy() / len(atoms)
    print(f"{name:<11} {energies[name]:.3f} eV/atom, {atoms.get_volume() / len(atoms):.2f} Å³/atom")

# %%
# The data hold relaxed zincblende, but wurtzite only strained and with displaced atoms. The two differ by a
# few meV/atom in first-principles calculations, and here by ten times that: if such differences matter,
# label the relaxed crystals as well.
#
# Where the potential can be trusted
# ----------------------------------
# Between the shortest distances of the data and zero, a repulsion of nuclei takes over, so that atoms do
# not fuse. A quick check looks for other dangers:
print(potential.check_safety(train))

# %%
# If it finds any, the report has the structures to label next (:doc:`/simulation`).
#
# Each atom also has an extrapolation grade, at most 1 for atoms of the data. The data have vacancies, but no
# interstitial atoms:
vacancy, interstitial = (bulk("SiC", "zincblende", a=4.38, cubic=True) * 2 for _ in range(2))
del vacancy[0]
interstitial.append("Si")
interstitial.positions[-1] = interstitial.positions[0] + 4.38 * np.array([0.5, 0.5, 0.5])
for name, atoms in (("vacancy", vacancy), ("interstitial", interstitial)):
    grade = potential.evaluate(atoms, uncertainty=True)["extrapolation"].max()
    print(f"{name}: largest grade {grade:.2f}")

# %%
# A simulation
# ------------
# In ASE the potential is a calculator. LAMMPS runs the same file with ``pair_style plip``
# (:ref:`sphx_glr_auto_examples_plot_lammps_melt_and_quench.py`). For silicon, a step takes 0.5 to 2.5 times
# as long as one of Tersoff's potential.
from ase import units
from ase.md.langevin import Langevin

atoms = bulk("SiC", "zincblende", a=4.38, cubic=True) * 3
atoms.calc = potential.calculator()
dynamics = Langevin(
    atoms,
    1 * units.fs,
    temperature_K=1000,
    friction=0.02 / units.fs,
    rng=np.random.default_rng(0),
    fixcm=False,
)
temperatures = []
dynamics.attach(lambda: temperatures.append(atoms.get_temperature()), interval=10)
dynamics.run(1000)

figure, ax = plt.subplots(figsize=(7.0, 3.0), layout="constrained")
ax.plot(10 * np.arange(len(temperatures)), temperatures)
ax.set(xlabel="time (fs)", ylabel="temperature (K)")

# %%
# Save it
# -------
# ``potential.save("SiC.json", uncertainty=True)`` writes one readable file. From the shell, ``plip fit
# train.xyz --test test.xyz -o SiC.json --report SiC.html`` fits, tests and checks like this page, and writes
# a report to share.
#
# Next: :ref:`sphx_glr_auto_examples_plot_audit.py` before you trust your data,
# :ref:`sphx_glr_auto_examples_plot_read_a_potential.py`,
# :ref:`sphx_glr_auto_examples_plot_active_learning.py` when you need more of them, and :doc:`/faq`.
