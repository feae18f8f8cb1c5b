"""
Data that do not fit into memory, or arrive later
=================================================

A fit needs only sums over structures, not the structures. The sums have a fixed size and can be added,
saved and subtracted.
"""

# %%
# A stream
# --------
# ``fit`` takes a generator and reads it in batches. Here the generator makes crystals of copper and silver,
# with ASE's EMT in the place of first-principles calculations.
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip.metrics import neg_energy_rmse, neg_force_rmse


def crystals(n, seed):
    """Rattled and strained crystals of 32 atoms, one at a time."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        atoms = bulk("Cu", cubic=True, a=rng.uniform(3.5, 4.0)) * 2
        atoms.symbols[rng.random(32) < rng.random()] = "Ag"
        atoms.rattle(rng.uniform(0.02, 0.12), seed=int(rng.integers(1 << 31)))
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        yield atoms


descriptors = PLIPDescriptors.preset("fast", cutoff=5.0, species=("Ag", "Cu"))
test = list(crystals(40, seed=99))
start = time.perf_counter()
model = PLIPRegressor(descriptors, max_terms=40).fit(crystals(100, seed=0))
print(f"100 structures in {time.perf_counter() - start:.1f} s, of which EMT takes its part")
print(f"{-1e3 * neg_energy_rmse(model, test):.2f} meV/atom, {-neg_force_rmse(model, test):.4f} eV/Å")

# %%
# More data
# ---------
# ``partial_fit`` adds a batch to the sums and solves again. A fit to all data at once has the same sums.
errors, sizes = [], []
model = PLIPRegressor(descriptors, max_terms=40)
for seed in range(6):
    model.partial_fit(list(crystals(25, seed)))
    sizes.append(25 * (seed + 1))
    errors.append(-neg_force_rmse(model, test))

import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
ax.plot(sizes, errors, "o-")
ax.set(xlabel="structures", ylabel="force error on new structures (eV/Å)", ylim=(0.0, None))

# %%
# Several machines
# ----------------
# Each machine makes :class:`~plip.NormalEquations` of its share and saves them. The sums add up to those of
# all data, and subtracting one of them leaves its structures out.
folder = Path(tempfile.mkdtemp())
for name, seed in (("monday", 1), ("tuesday", 2)):
    part = NormalEquations.from_structures(list(crystals(40, seed)), model.descriptors_)
    part.save(folder / f"{name}.npz")
total = NormalEquations.load(folder / "monday.npz") + NormalEquations.load(folder / "tuesday.npz")
size = (folder / "monday.npz").stat().st_size
print(f"{total.n_structures} structures; a file of sums has {size / 1e6:.1f} MB, however many they are")

for weight in (10.0, 40.0, 160.0):
    model = PLIPRegressor(descriptors, max_terms=40, energy_weight=weight).fit_normal_equations(total)
    energy, force = -1e3 * neg_energy_rmse(model, test), -neg_force_rmse(model, test)
    print(f"energy weight {weight:5.0f}: {energy:.2f} meV/atom, {force:.4f} eV/Å")

# %%
# The last loop computes no descriptors at all: another weight, solver or size is arithmetic on small
# matrices.
