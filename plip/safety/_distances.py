"""How close two atoms of each pair of species may come."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from plip._structures._neighbors import find_all_neighbors
from plip.safety._cells import with_vacuum

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["BEGINNING", "Pair", "core_distances", "first_within", "labelable", "sorted_pair", "sum_of_radii"]

# The core distance of a pair of species is where its repulsion begins: at 0.96 to 1 of the shortest distance
# in the data.
BEGINNING = 0.96
# Of the core distance. Closer atoms feel little but the repulsion of their cores.
_DEEP = 0.8

Pair: TypeAlias = tuple[str, str]


def sorted_pair(first: str, second: str) -> Pair:
    """A sorted pair of species."""
    return (first, second) if first < second else (second, first)


def core_distances(potential: Potential, structures: list[Atoms]) -> dict[Pair, float]:
    """Core distance of each pair of species, in Angstrom.

    It is where the repulsion of the potential begins; without one, 0.96 of the shortest distance in the
    structures, or the sum of the covalent radii.
    """
    known = potential.repulsion or {}
    pairs = list(itertools.combinations_with_replacement(potential.species, 2))
    shortest = {pair: math.inf for pair in pairs if pair not in known}
    for atoms in structures if shortest else ():
        symbols = np.array(atoms.get_chemical_symbols())
        near = find_all_neighbors(atoms, potential.cutoff)
        first, second = symbols[near.centers(1)], symbols[near.neighbor_p]
        for pair in shortest:
            of_pair = near.distance_p[(first == pair[0]) & (second == pair[1])]
            shortest[pair] = of_pair.min(initial=shortest[pair])
    distances = {}
    for pair in pairs:
        if pair in known:
            distances[pair] = known[pair][1]
        else:
            distances[pair] = BEGINNING * shortest[pair] if shortest[pair] < math.inf else sum_of_radii(pair)
    return distances


def first_within(atoms: Atoms, limits: Mapping[Pair, float]) -> tuple[Pair, float] | None:
    """The first two atoms that are closer than the limit of their species, and their distance, or None."""
    near = find_all_neighbors(atoms, max(limits.values()))
    for i, j, r in zip(near.centers(1), near.neighbor_p, near.distance_p, strict=True):
        pair = sorted_pair(atoms.symbols[i], atoms.symbols[j])
        if r < limits[pair]:
            return pair, float(r)
    return None


def labelable(structures: Iterable[Atoms], distances: Mapping[Pair, float]) -> tuple[Atoms, ...]:
    """Atoms and cells, with vacuum, of those structures whose labels a fit could use.

    In others, two atoms are deep within the core distance of their species, or atoms have flown away.
    """
    limits = {pair: _DEEP * distance for pair, distance in distances.items()}
    found = []
    for atoms in structures:
        with contextlib.suppress(ValueError):
            if first_within(atoms, limits) is None:
                bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
                found.append(with_vacuum(bare))
    return tuple(found)


def sum_of_radii(pair: Pair) -> float:
    """Sum of the covalent radii in Angstrom."""
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair))
