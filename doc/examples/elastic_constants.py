"""Lattice constant and elastic constants of a cubic crystal, by ASE's tools and finite strain.

Usage: python elastic_constants.py model.json Si diamond 5.43
"""

import sys

import numpy as np
from ase.build import bulk
from ase.filters import StrainFilter
from ase.optimize import BFGS
from ase.units import GPa

from plip import load_potential

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


def main(model, symbol, structure, lattice_constant):
    calculator = load_potential(model).calculator()
    atoms = relaxed_crystal(calculator, symbol, structure, float(lattice_constant))
    along, shear = stress_derivative(atoms, 0), stress_derivative(atoms, 3)
    print(f"a   = {atoms.cell[0, 0]:.4f} A")
    for name, value in (("C11", along[0]), ("C12", along[1]), ("C44", shear[3])):
        print(f"{name} = {value / GPa:.1f} GPa")


if __name__ == "__main__":
    main(*sys.argv[1:])
