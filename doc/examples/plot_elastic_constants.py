"""
Lattice and elastic constants
=============================

Relaxation and finite strain with ASE's tools, for a cubic crystal.
"""

# %%
# The stress of a strained cell, with its atoms relaxed, divided by the strain:
import numpy as np
from ase.build import bulk
from ase.filters import StrainFilter
from ase.optimize import BFGS
from ase.units import GPa

STRAIN = 1e-3


def relaxed_crystal(calculator, symbol, structure, lattice_constant):
    """The cubic unit cell at zero stress."""
    atoms = bulk(symbol, structure, a=lattice_constant, cubic=True)
    atoms.calc = calculator
    BFGS(StrainFilter(atoms), logfile=None).run(fmax=1e-6)
    return atoms


def stress_derivative(atoms, component):
    """d sigma / d epsilon for one Voigt component of strain, atoms relaxed inside the strained cell."""
    stresses = []
    for size in (-STRAIN, STRAIN):
        strain = np.zeros((3, 3))
        row, column = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[component]
        strain[row, column] += size / 2
        strain[column, row] += size / 2
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        strained.calc = atoms.calc
        BFGS(strained, logfile=None).run(fmax=1e-6)
        stresses.append(strained.get_stress())
    return (stresses[1] - stresses[0]) / (2 * STRAIN)


def elastic_constants(atoms):
    """C11, C12 and C44 in GPa."""
    along, shear = stress_derivative(atoms, 0), stress_derivative(atoms, 3)
    return {"C11": along[0] / GPa, "C12": along[1] / GPa, "C44": shear[3] / GPa}


# %%
# Fits to silicon carbide with and without its stresses. Energies and forces of large displacements
# contain little about small strains; stresses do.
from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide

train, _ = load_silicon_carbide()
found = {}
for name, stress_weight in (("energies and forces", 0.0), ("and stresses", 5.0)):
    model = PLIPRegressorCV(stress_weight=stress_weight).fit(train)
    atoms = relaxed_crystal(model.potential_.calculator(), "SiC", "zincblende", 4.4)
    found[name] = elastic_constants(atoms)
    text = ", ".join(f"{key} = {value:.0f} GPa" for key, value in found[name].items())
    print(f"{name:<20} a = {atoms.cell[0, 0]:.3f} Å, {text}")

# %%
# The data themselves tell the lattice constant and the bulk modulus, ``(C11 + 2 C12) / 3``: an equation of
# state through the energies of the group "zincblende-eos" up to 6 % of strain.
from ase.eos import EquationOfState

cold = [atoms for atoms in train if atoms.info["group"] == "zincblende-eos" and 4.1 < atoms.cell[0, 0] < 4.65]
volumes, energies = zip(*((atoms.get_volume(), atoms.get_potential_energy()) for atoms in cold), strict=True)
volume, _, modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit()
print(f"first principles: a = {volume ** (1 / 3):.3f} Å, bulk modulus {modulus / GPa:.0f} GPa")
for name, constants in found.items():
    print(f"{name}: bulk modulus {(constants['C11'] + 2 * constants['C12']) / 3:.0f} GPa")

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(layout="constrained")
for k, (name, constants) in enumerate(found.items()):
    ax.bar(np.arange(3) + 0.4 * k - 0.2, list(constants.values()), 0.4, label=name)
ax.set_xticks(range(3), ["C11", "C12", "C44"])
ax.set(ylabel="GPa")
ax.legend(frameon=False)
