"""
Elastic constants of training data
==================================

Lattice constant and elastic constants of a cubic crystal, from labeled stresses of strained cells. The
script is for data of your own and does not run here::

    python elastic_constants_of_data.py train.xyz Elastic 3.168

The structures are those of one group; their cells are strained multiples of the cubic cell with the given
lattice constant. Of crystals with several atoms in the primitive cell, the atoms must have relaxed.
"""

import sys

import numpy as np
from ase.io import read
from ase.units import GPa

LARGEST_STRAIN = 0.021


def strain(atoms, lattice_constant):
    """Lagrangian strain in Voigt order, shear components doubled."""
    multiples = np.round(atoms.cell.lengths() / lattice_constant)
    deformation = atoms.cell.array / (multiples * lattice_constant)[:, None]
    tensor = 0.5 * (deformation @ deformation.T - np.eye(3))
    return tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * [1, 1, 1, 2, 2, 2]


def elastic_constants(structures, lattice_constant):
    """Lattice constant at zero stress (A), C11, C12, C44 (eV/A^3), by least squares on the small strains."""
    rows, stresses = [], []
    for atoms in structures:
        e = strain(atoms, lattice_constant)
        if np.abs(e).max() > LARGEST_STRAIN:
            continue
        rows += [[1.0, e[k], e[:3].sum() - e[k], 0.0] for k in range(3)]
        rows += [[0.0, 0.0, 0.0, e[k]] for k in range(3, 6)]
        stresses += list(atoms.calc.results["stress"])
    pressure, c11, c12, c44 = np.linalg.lstsq(np.array(rows), np.array(stresses), rcond=None)[0]
    return lattice_constant * (1.0 - pressure / (c11 + 2.0 * c12)), c11, c12, c44


def main(file, group, lattice_constant):
    structures = [atoms for atoms in read(file, ":") if atoms.info.get("group") == group]
    found = elastic_constants(structures, float(lattice_constant))
    print(f"a   = {found[0]:.4f} A")
    for name, value in zip(("C11", "C12", "C44"), found[1:], strict=True):
        print(f"{name} = {value / GPa:.1f} GPa")


if __name__ == "__main__":
    main(*sys.argv[1:])
