"""Whether an atom must feel a force, by the places of its neighbors."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from plip._structures._neighbors import Neighbors, find_all_neighbors
from plip._types import BoolArray, FloatArray

__all__ = ["BALANCED", "are_bonded", "imbalances"]

# Angstrom. Neighbors this near tell whether symmetry forbids a force.
_NEAR = 5.0
# Largest imbalance that is rounding of positions in files.
BALANCED = 1e-3
# Farther than so many sums of covalent radii, potentials may have ended, as in scans of dimers: a force of
# zero may be true. Nearest neighbors in metals and ionic crystals are at 0.85 to 1.1 sums.
_BOND = 1.3


def are_bonded(atoms: Atoms) -> BoolArray:
    """Whether each atom has a neighbor within 1.3 times the sum of the covalent radii, shape (n_atoms,)."""
    return _are_bonded(atoms, find_all_neighbors(atoms, _NEAR))


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
    near = find_all_neighbors(atoms, _NEAR)
    i = near.centers(1)
    pull = (1 - near.distance_p / _NEAR) ** 2
    weights = (pull / near.distance_p)[:, None] * near.vector_pc
    sums = np.column_stack([np.bincount(i, weights=w, minlength=len(atoms)) for w in weights.T])
    total = np.bincount(i, weights=pull, minlength=len(atoms))
    bonded = _are_bonded(atoms, near)
    return np.divide(np.linalg.norm(sums, axis=1), total, out=np.zeros(len(atoms)), where=bonded)


def _are_bonded(atoms: Atoms, near: Neighbors) -> BoolArray:
    radii = covalent_radii[atoms.numbers]
    i = near.centers(1)
    is_bond = near.distance_p < _BOND * (radii[i] + radii[near.neighbor_p])
    return np.bincount(i[is_bond], minlength=len(atoms)) > 0
