"""Heat a crystal until its surroundings are unlike all training data, and keep the structure for labeling."""

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
try:
    for temperature in range(500, 20_000, 500):
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.run(100)
except ExtrapolationError as error:
    print(f"step {dynamics.nsteps}, {temperature} K: {error}")

far = read("far.xyz")
found = potential.evaluate(far, uncertainty=True)
print(f"Energy: {found['energy']:.2f} +- {found['energy_std']:.2f} eV")
print(f"Largest standard deviation of a force: {found['forces_std'].max():.2f} eV/A")
