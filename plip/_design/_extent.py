"""How far data reach: the shortest distances between atoms, and the densest surroundings of an atom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plip._types import FloatArray

__all__ = ["Extent", "density_range"]

# The density counts neighbors up to this share of the cutoff: the first shells, which show compression.
_RANGE = 0.8


def density_range(cutoff: float) -> float:
    """Distance in Angstrom up to which neighbors count for the density, for terms of this cutoff."""
    return round(_RANGE * cutoff, 3)


@dataclass(frozen=True, eq=False)
class Extent:
    """Extremes over structures.

    Attributes
    ----------
    shortest : ndarray of float64, shape (n_species, n_species)
        Shortest distance in Angstrom of each pair of species, symmetric; infinite where none is within the
        cutoff.
    densest : ndarray of float64, shape (n_species,)
        Largest density n = sum over neighbors of (1 - r^2 / range^2)^3 around an atom of each species.
    """

    shortest: FloatArray
    densest: FloatArray

    @classmethod
    def empty(cls, n_species: int) -> Extent:
        """The extent of no data."""
        return cls(np.full((n_species, n_species), np.inf), np.zeros(n_species))

    @classmethod
    def from_array(cls, array: FloatArray) -> Extent:
        """The inverse of `to_array`."""
        return cls(array[:, :-1], array[:, -1])

    def to_array(self) -> FloatArray:
        """Shortest distances and, in the last column, largest densities; (n_species, n_species + 1)."""
        return np.column_stack([self.shortest, self.densest])

    def merged(self, other: Extent) -> Extent:
        """The extent of both."""
        return Extent(np.minimum(self.shortest, other.shortest), np.maximum(self.densest, other.densest))

    def shortest_distances(self, species: Sequence[str]) -> dict[tuple[str, str], float]:
        """Shortest distances in Angstrom by sorted pair of species."""
        pairs = itertools.combinations_with_replacement(range(len(species)), 2)
        return {(species[s], species[t]): float(self.shortest[s, t]) for s, t in pairs}

    def largest_densities(self, species: Sequence[str]) -> dict[str, float]:
        """Largest densities by species."""
        return dict(zip(species, self.densest.tolist(), strict=True))
