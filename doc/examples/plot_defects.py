"""
Vacancies and surfaces
======================

Defect energies are differences of large energies, and a hard test of a potential. Here the truth is known:
copper by ASE's EMT takes the place of first-principles calculations.
"""

# %%
# The training data have the kinds of structures that matter here: crystals, cells with a vacancy, slabs.
import numpy as np
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import BFGS

from plip import PLIPRegressorCV

A = 3.59
rng = np.random.default_rng(0)


def labeled(atoms, group):
    atoms.rattle(rng.uniform(0.02, 0.15), seed=int(rng.integers(1 << 31)))
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    atoms.info["group"] = group
    return atoms


def vacancy(n=3):
    atoms = bulk("Cu", cubic=True, a=A) * n
    del atoms[0]
    return atoms


def slab(facet, layers):
    make = {"100": fcc100, "110": fcc110, "111": fcc111}[facet]
    return make("Cu", (2, 2, layers), a=A, vacuum=8.0, periodic=True)


train = [labeled(bulk("Cu", cubic=True, a=A * rng.uniform(0.95, 1.06)) * 2, "bulk") for _ in range(25)]
train += [labeled(vacancy(2), "vacancy") for _ in range(12)]
train += [labeled(slab(facet, 5), f"surface {facet}") for facet in ("100", "111") for _ in range(8)]
model = PLIPRegressorCV("balanced", cv=5).fit(train)
print(f"{len(train)} structures, {model.n_terms_} terms")

# %%
# The vacancy
# -----------
# ``E(vacancy) - (n - 1)/n E(crystal)``, relaxed, in a cell larger than any of the data.


def vacancy_energy(calculator):
    crystal = bulk("Cu", cubic=True, a=A) * 3
    atoms = vacancy()
    crystal.calc = atoms.calc = calculator
    energy = crystal.get_potential_energy()
    BFGS(atoms, logfile=None).run(fmax=0.01)
    return atoms.get_potential_energy() - (len(crystal) - 1) / len(crystal) * energy


# %%
# Surfaces
# --------
# ``(E(slab) - n E(crystal)) / 2 area``, relaxed. The facet 110 is not among the data.


def surface_energy(calculator, facet):
    crystal = bulk("Cu", a=A)
    atoms = slab(facet, 9)
    crystal.calc = atoms.calc = calculator
    per_atom = crystal.get_potential_energy()
    BFGS(atoms, logfile=None).run(fmax=0.01)
    area = np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
    return 1e3 * (atoms.get_potential_energy() - len(atoms) * per_atom) / (2 * area)


calculators = {"potential": model.potential_.calculator(), "truth": EMT()}
print("vacancy (eV):", {name: round(vacancy_energy(calc), 3) for name, calc in calculators.items()})
energies = {
    name: [surface_energy(calculator, facet) for facet in ("100", "110", "111")]
    for name, calculator in calculators.items()
}
for name, values in energies.items():
    print(f"{name:>9}: " + ", ".join(f"{value:.1f}" for value in values), "meV/Å²")

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
for k, (name, values) in enumerate(energies.items()):
    ax.bar(np.arange(3) + 0.4 * k - 0.2, values, 0.4, label=name)
ax.set_xticks(range(3), ["100", "110, not in the data", "111"])
ax.set(ylabel="surface energy (meV/Å²)")
ax.legend(frameon=False)
