"""Atoms and pairs of atoms that data hold by themselves."""

from collections.abc import Iterable

import numpy as np
from ase import Atoms

from plip._structures._neighbors import find_all_neighbors

__all__ = ["MOST_ISOLATED", "is_isolated_atom", "isolated_pairs"]

# Atoms of a structure of pairs or triplets: these tell what two atoms do to each other. In larger ones a pair
# is known only together with its surroundings.
MOST_ISOLATED = 3


def is_isolated_atom(atoms: Atoms, cutoff: float) -> bool:
    """Whether a structure is one atom without neighbors, not even images of itself, within the cutoff."""
    # A vector of a primitive cell is mostly short enough to answer.
    if len(atoms) != 1 or (np.linalg.norm(atoms.cell.array[atoms.pbc], axis=1) < cutoff).any():
        return False
    return not find_all_neighbors(atoms, cutoff).distance_p.size


def isolated_pairs(structures: Iterable[Atoms], cutoff: float) -> set[tuple[str, str]]:
    """Sorted pairs of species that structures of two or three atoms hold, without periodic images.

    Parameters
    ----------
    structures : iterable of ase.Atoms
        Checked.
    cutoff : float
        Angstrom, below which atoms are neighbors.
    """
    found = set()
    for atoms in structures:
        if not 2 <= len(atoms) <= MOST_ISOLATED:
            continue
        near = find_all_neighbors(atoms, cutoff)
        i, j = near.centers(1), near.neighbor_p
        # An image would be a second neighbor of the same number, or the atom itself.
        if (i == j).any() or len(np.unique(i * len(atoms) + j)) < len(j):
            continue
        for a, b in zip(i.tolist(), j.tolist(), strict=True):
            first, second = sorted((atoms.symbols[a], atoms.symbols[b]))
            found.add((first, second))
    return found
