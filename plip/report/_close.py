"""Structures whose atoms are closer than those of the fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from plip._structures._evaluation import take_atoms
from plip._structures._neighbors import find_all_neighbors
from plip.metrics import Evaluation

__all__ = ["ClosestPair", "closer_than_fitted"]


class ClosestPair(NamedTuple):
    """The closest atoms of a structure that feel the core repulsion: row, species, distance in Angstrom."""

    row: int
    pair: tuple[str, str]
    distance: float


def closer_than_fitted(evaluation: Evaluation) -> list[ClosestPair]:
    """Structures with atoms at distances where the core repulsion has replaced the terms.

    Returns
    -------
    list of ClosestPair
        One for each such structure, in their order.
    """
    potential = evaluation.potential
    begins = np.zeros((len(potential.species),) * 2)
    for pair, (_, outer) in (potential.repulsion or {}).items():
        i, j = (potential.species.index(symbol) for symbol in pair)
        begins[i, j] = begins[j, i] = outer
    if not begins.any():
        return []
    found = []
    for row, atoms in enumerate(evaluation.structures):
        species, _, _ = take_atoms(potential.species, atoms)
        near = find_all_neighbors(atoms, float(begins.max()))
        centers, neighbors = near.centers(1), near.neighbor_p
        is_inside = near.distance_p < begins[species[centers], species[neighbors]]
        if is_inside.any():
            p = int(np.where(is_inside, near.distance_p, np.inf).argmin())
            first, second = sorted((atoms.symbols[centers[p]], atoms.symbols[neighbors[p]]))
            found.append(ClosestPair(row, (first, second), float(near.distance_p[p])))
    return found
