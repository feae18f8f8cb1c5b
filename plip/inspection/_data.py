"""What the structures of a fit say of distances, angles and densities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from plip._structures._checks import check_structures
from plip._structures._evaluation import take_atoms
from plip._structures._isolated import isolated_pairs
from plip._structures._neighbors import Neighbors, find_neighbors
from plip._types import FloatArray
from plip.potential import Potential
from plip.potential._models import as_potential

__all__ = ["TrainingData", "data_of"]

# Of more atoms, every second structure is left out, and so on: a histogram does not need them.
_MOST_ATOMS = 20_000
_BINS = 120


class TrainingData:
    """Distances, angles and densities of structures.

    Parameters
    ----------
    structures : iterable of ase.Atoms
    potential : Potential
        Its species and cutoff.

    Attributes
    ----------
    structures : list of ase.Atoms
        Some of the structures, with at most about 20,000 atoms.
    edges : ndarray of float64, shape (n_bins + 1,)
        Distances in Angstrom between the bins of `distances`.
    distances : dict of (str, str) to ndarray of float64, shape (n_bins,)
        Number of pairs in each bin by sorted pair of species.
    isolated : set of (str, str)
        Sorted pairs of species that structures of two or three atoms hold.
    nearest : dict of (str, str) to float
        Median distance in Angstrom from an atom (first) to its nearest neighbor of a species (second).
    """

    def __init__(self, structures: Iterable[Atoms], potential: Potential) -> None:
        potential = as_potential(potential)
        # A single structure is a sequence of atoms.
        given = [structures] if isinstance(structures, Atoms) else structures
        kept = check_structures(given, species=potential.species, cutoff=potential.cutoff)
        while sum(map(len, kept)) > _MOST_ATOMS and len(kept) > 1:
            kept = kept[::2]
        self.structures = kept
        self.isolated = isolated_pairs(kept, potential.cutoff)
        self._species = potential.species
        self.edges = np.linspace(0.0, potential.cutoff, _BINS + 1)
        self.distances: dict[tuple[str, str], FloatArray] = {}
        nearest: dict[tuple[str, str], list[FloatArray]] = {}
        for atoms in kept:
            places = take_atoms(self._species, atoms)[0]
            neighbors = find_neighbors(atoms, places, len(self._species), potential.cutoff)
            self._count(neighbors, nearest)
        self.nearest = {pair: float(np.median(np.concatenate(found))) for pair, found in nearest.items()}

    def _count(self, neighbors: Neighbors, nearest: dict[tuple[str, str], list[FloatArray]]) -> None:
        """Add the pairs of one structure."""
        n_species = len(self._species)
        sizes = np.diff(neighbors.first_as)
        bucket = np.repeat(np.arange(len(sizes)), sizes)
        of_center = neighbors.species_a[bucket // n_species]
        for s, first in enumerate(self._species):
            for t, second in enumerate(self._species):
                is_pair = (of_center == s) & (bucket % n_species == t)
                if not is_pair.any():
                    continue
                r = neighbors.distance_p[is_pair]
                if s <= t:
                    counts = np.histogram(r, self.edges)[0] * (0.5 if s == t else 1.0)
                    self.distances[first, second] = self.distances.get((first, second), 0.0) + counts
                starts = np.flatnonzero(np.diff(bucket[is_pair], prepend=-1))
                nearest.setdefault((first, second), []).append(np.minimum.reduceat(r, starts))

    def angles(self, species: Sequence[str], reach: tuple[float, float], edges: FloatArray) -> FloatArray:
        """Number of angles in each bin, at atoms of the first species, to arms of the others.

        Parameters
        ----------
        species : (str, str, str)
            Center and arms.
        reach : (float, float)
            Longest arms in Angstrom.
        edges : ndarray of float64, shape (n_bins + 1,)
            Degrees.

        Returns
        -------
        ndarray of float64, shape (n_bins,)
        """
        counts = np.zeros(len(edges) - 1)
        center, *arms = (self._species.index(symbol) for symbol in species)
        for atoms in self.structures:
            places = take_atoms(self._species, atoms)[0]
            found = find_neighbors(atoms, places, len(self._species), max(reach))
            for i in np.flatnonzero(places == center).tolist():
                units = [
                    _unit_vectors(found, i * len(self._species) + s, r)
                    for s, r in zip(arms, reach, strict=True)
                ]
                angles = np.degrees(np.arccos(np.clip(units[0] @ units[1].T, -1.0, 1.0)))
                if arms[0] == arms[1]:
                    angles = angles[np.triu_indices(len(angles), 1, angles.shape[1])]
                counts += np.histogram(angles, edges)[0]
        return counts

    def densities(self, species: str, reach: float) -> FloatArray:
        """Density around each atom of a species, the sum of (1 - r^2 / reach^2)^3 over its neighbors."""
        found = []
        for atoms in self.structures:
            neighbors = find_neighbors(atoms, np.zeros(len(atoms), np.int32), 1, reach)
            parts = (1.0 - (neighbors.distance_p / reach) ** 2) ** 3
            sums = np.bincount(neighbors.centers(1), parts, minlength=len(atoms))
            found.append(sums[atoms.symbols == species])
        return np.concatenate([np.zeros(0), *found])

    def crystal(self, potential: Potential, species: str) -> Atoms | None:
        """The periodic structure with a species whose energy is the lowest, less reference energies.

        Structures of fewer species come first: the crystal of an element is the element.
        """
        with_species = [
            atoms for atoms in self.structures if atoms.pbc.all() and (atoms.symbols == species).any()
        ]
        fewest = min((len(set(atoms.symbols)) for atoms in with_species), default=0)
        least, best = np.inf, None
        for atoms in with_species:
            if len(set(atoms.symbols)) == fewest:
                reference = sum(potential.intercept[symbol] for symbol in atoms.symbols)
                energy = (potential.energy(atoms) - reference) / len(atoms)
                if energy < least:
                    least, best = energy, atoms
        return best


def _unit_vectors(neighbors: Neighbors, bucket: int, reach: float) -> FloatArray:
    part = slice(neighbors.first_as[bucket], neighbors.first_as[bucket + 1])
    r = neighbors.distance_p[part]
    vectors: FloatArray = neighbors.vector_pc[part] / r[:, None]
    return vectors[r < reach]


def data_of(model: Any) -> TrainingData | None:
    """Data of a fitted estimator; None if its normal equations do not know them, and for a potential."""
    potential = as_potential(model)
    estimator = getattr(model, "best_estimator_", model)
    sample = getattr(getattr(estimator, "normal_equations_", None), "sample", None)
    return None if sample is None else TrainingData(list(sample.structures()), potential)
