"""Whether structures fill their cells, or leave vacuum beside a slab or around a molecule."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from plip._types import BoolArray, FloatArray, IntArray

__all__ = ["have_vacuum", "vacuum_of_arrays"]

# Angstrom: wider empty layers are vacuum. Planes of atoms in crystals are closer to each other.
_VACUUM = 4.5


def have_vacuum(structures: Sequence[Atoms]) -> BoolArray:
    """Whether there is an empty layer across one of the cell vectors.

    Parameters
    ----------
    structures : sequence of n ase.Atoms
        Periodic in three directions.

    Returns
    -------
    (n,) ndarray of bool
    """
    if not structures:
        return np.zeros(0, bool)
    return vacuum_of_arrays(
        np.array([len(atoms) for atoms in structures]),
        np.concatenate([atoms.positions for atoms in structures]),
        np.array([atoms.cell.array for atoms in structures]),
    )


def vacuum_of_arrays(sizes: IntArray, positions: FloatArray, cells: FloatArray) -> BoolArray:
    """The same of n structures, one after the other in arrays: sizes (n,), positions, cells (n, 3, 3)."""
    owner, first = np.repeat(np.arange(len(sizes)), sizes), np.cumsum(sizes) - sizes
    inverse = np.linalg.inv(cells)
    fractions = np.einsum("ac,acd->ad", positions, inverse[owner]) % 1.0
    widest = np.empty((len(sizes), 3))
    for direction in range(3):
        sorted_ones = fractions[np.lexsort((fractions[:, direction], owner)), direction]
        gaps = np.diff(sorted_ones, append=0.0)
        last = first + sizes - 1
        gaps[last] = 1.0 + sorted_ones[first] - sorted_ones[last]
        widest[:, direction] = np.maximum.reduceat(gaps, first)
    heights = 1.0 / np.linalg.norm(inverse, axis=1)
    found: BoolArray = (widest * heights > _VACUUM).any(axis=1)
    return found
