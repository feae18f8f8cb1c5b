"""Whether symmetry forbids a force on an atom."""

import numpy as np
from ase import Atoms

from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray

__all__ = ["BALANCED", "NEAR", "imbalances"]

# Angstrom. Neighbors this near tell whether symmetry forbids a force.
NEAR = 5.0
# Largest imbalance that is rounding of positions in files.
BALANCED = 1e-3


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
        forbids a force, 1 if all neighbors are on one side; 0 without neighbors.
    """
    near = find_all_neighbors(atoms, NEAR)
    i = near.centers(1)
    pull = (1 - near.distance_p / NEAR) ** 2
    weights = (pull / near.distance_p)[:, None] * near.vector_pc
    sums = np.column_stack([np.bincount(i, weights=w, minlength=len(atoms)) for w in weights.T])
    total = np.bincount(i, weights=pull, minlength=len(atoms))
    return np.divide(np.linalg.norm(sums, axis=1), total, out=np.zeros(len(atoms)), where=total > 0)
