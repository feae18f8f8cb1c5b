"""Phonon bands by finite displacements, with ase.phonons.

Usage: python phonons.py model.json Si diamond 5.47
"""

import sys

from ase.build import bulk
from ase.phonons import Phonons

from plip import load_potential


def main(model, symbol, structure, lattice_constant):
    atoms = bulk(symbol, structure, a=float(lattice_constant))
    phonons = Phonons(atoms, load_potential(model).calculator(), supercell=(5, 5, 5), delta=0.01)
    phonons.run()
    phonons.read(acoustic=True)
    phonons.clean()
    path = atoms.cell.bandpath(npoints=60)
    bands = phonons.get_band_structure(path)
    print(f"highest frequency: {1e3 * bands.energies.max():.1f} meV")
    return bands


if __name__ == "__main__":
    main(*sys.argv[1:])
