"""How many atoms of each element structures have."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from plip._types import FloatArray, IntArray

__all__ = ["composition_of", "formula_key", "rows_of_compositions", "species_of"]


def composition_of(structures: Sequence[Atoms], numbers: ArrayLike | None = None) -> FloatArray:
    """Number of atoms of each element in each structure.

    Parameters
    ----------
    structures : sequence of n ase.Atoms
    numbers : sequence of m int, optional
        Atomic numbers; by default those that occur, sorted.

    Returns
    -------
    (n, m) ndarray of float64
    """
    if numbers is None:
        numbers = np.unique(np.concatenate([atoms.numbers for atoms in structures]))
    return np.array([(atoms.numbers[:, None] == numbers).sum(axis=0) for atoms in structures], np.float64)


def species_of(structures: Sequence[Atoms]) -> list[str]:
    """Chemical symbols that occur, sorted."""
    numbers = np.unique(np.concatenate([np.zeros(0, int), *(atoms.numbers for atoms in structures)]))
    return sorted(chemical_symbols[number] for number in numbers.tolist())


def formula_key(atoms: Atoms) -> bytes:
    """The same for structures of the same formula, and for no others; twenty times as fast as the formula."""
    return np.sort(atoms.numbers).tobytes()


def rows_of_compositions(structures: Sequence[Atoms]) -> list[IntArray]:
    """Places of the structures of each composition, whatever their numbers of atoms."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for k, atoms in enumerate(structures):
        numbers, counts = np.unique(atoms.numbers, return_counts=True)
        found[np.concatenate([numbers, counts // np.gcd.reduce(counts)]).tobytes()].append(k)
    return [np.array(rows) for rows in found.values()]
