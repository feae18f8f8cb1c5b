"""How many atoms of each element structures have."""

import numpy as np

__all__ = ["composition_of"]


def composition_of(structures, numbers=None):
    """Number of atoms of each element in each structure.

    Parameters
    ----------
    structures : sequence of n ase.Atoms
    numbers : sequence of m int, optional
        Atomic numbers; those that occur, sorted, by default.

    Returns
    -------
    (n, m) ndarray of float64
    """
    if numbers is None:
        numbers = np.unique(np.concatenate([atoms.numbers for atoms in structures]))
    return np.array([(atoms.numbers[:, None] == numbers).sum(axis=0) for atoms in structures], np.float64)
