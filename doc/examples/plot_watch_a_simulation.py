"""
Stop a simulation where the data end
====================================

Heat a crystal until the surroundings of an atom are unlike all training data, and keep the structure for
labeling.
"""

# %%
# An observer looks at the extrapolation grades every ten steps, stores the first structure above its limit,
# and stops the run.
import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.io import read
from ase.md.langevin import Langevin

from plip import PLIPRegressor
from plip.calculator import ExtrapolationError, ExtrapolationObserver
from plip.datasets import load_silicon_carbide

train, _ = load_silicon_carbide()
potential = PLIPRegressor().fit(train).potential_

atoms = bulk("SiC", "zincblende", a=4.38, cubic=True) * (2, 2, 2)
atoms.calc = potential.calculator()
settings = {"temperature_K": 300, "friction": 0.02 / units.fs, "fixcm": False}
dynamics = Langevin(atoms, 1 * units.fs, **settings, rng=np.random.default_rng(0))
observer = ExtrapolationObserver(atoms, limit=2.0, path="far.xyz")
dynamics.attach(observer, interval=10)
steps, grades = [], []


def note():
    steps.append(dynamics.nsteps)
    grades.append(atoms.calc.extrapolation(atoms).max())


dynamics.attach(note, interval=10)
try:
    for temperature in range(500, 20_000, 500):
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.run(100)
except ExtrapolationError as error:
    print(f"step {dynamics.nsteps}, {temperature} K: {error}")

# %%
# The structure that was stored is the one to label. The potential also tells how uncertain it is there.
far = read("far.xyz")
found = potential.evaluate(far, uncertainty=True)
print(f"Energy: {found['energy']:.2f} +- {found['energy_std']:.2f} eV")
print(f"Largest standard deviation of a force: {found['forces_std'].max():.2f} eV/A")

# %%
figure, ax = plt.subplots(figsize=(7.0, 3.6), layout="constrained")
ax.plot(steps, grades)
ax.axhline(2.0, color="gray", linestyle="--")
ax.set(xlabel="step (fs)", ylabel="largest extrapolation grade")

# %%
# LAMMPS does the same with ``fix pair`` and ``fix halt``; see :ref:`grades in LAMMPS <lammps-extrapolation>`.
