"""Whether an atom must feel a force, by the places of its neighbors."""

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from plip._core import imbalances_of_each
from plip._structures._composition import species_of
from plip._structures._evaluation import gather
from plip._structures._neighbors import find_all_neighbors
from plip._types import BoolArray, FloatArray

__all__ = ["BALANCED", "have_bonds", "imbalances", "must_have_forces"]

# Angstrom. Neighbors this near tell whether symmetry forbids a force.
_NEAR = 5.0
# Largest imbalance that is rounding of positions in files.
BALANCED = 1e-3
# Farther than so many sums of covalent radii, potentials may have ended, as in scans of dimers: a force of
# zero may be true. Nearest neighbors in metals and ionic crystals are at 0.85 to 1.1 sums.
_BOND = 1.3
# Structures that are looked at in one call.
_AT_A_TIME = 500


def imbalances(atoms: Atoms) -> FloatArray:
    """How far the neighbors of each atom are from balance.

    Parameters
    ----------
    atoms : ase.Atoms
        Checked.

    Returns
    -------
    ndarray of float64, shape (n_atoms,)
        ``|sum_j f(r_ij) r_ij / |r_ij|| / sum_j f(r_ij)`` with ``f(r) = (1 - r / 5 A)^2``: 0 where symmetry
        forbids a force, 1 if all neighbors are on one side; 0 for atoms that are not bonded.
    """
    ((found, are_bonded),) = _each([atoms])
    return np.where(are_bonded, found, 0.0)


def must_have_forces(structures: Sequence[Atoms]) -> BoolArray:
    """Which structures have a bonded atom whose neighbors are not in balance, (n,)."""
    return np.array([(found[are_bonded] > BALANCED).any() for found, are_bonded in _each(structures)], bool)


def have_bonds(structures: Sequence[Atoms]) -> BoolArray:
    """Which structures have atoms within 1.3 times the sum of their covalent radii, (n,)."""
    return np.array([are_bonded.any() for _, are_bonded in _each(structures)], bool)


def _each(structures: Sequence[Atoms]) -> Iterator[tuple[FloatArray, BoolArray]]:
    """Imbalances of the atoms of each structure, and which of them are bonded."""
    species = species_of(structures)
    radii = covalent_radii[[atomic_numbers[symbol] for symbol in species]]
    for first in range(0, len(structures), _AT_A_TIME):
        some = structures[first : first + _AT_A_TIME]
        gathered = gather(species, some)
        found, are_bonded, are_done = imbalances_of_each(*gathered, radii, _BOND, _NEAR)
        for k, atoms in enumerate(some):
            if not are_done[k]:
                # This says why.
                find_all_neighbors(atoms, _NEAR)
            part = slice(gathered.borders[k], gathered.borders[k + 1])
            yield found[part], are_bonded[part]
