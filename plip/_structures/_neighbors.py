"""From Atoms to flat neighbour arrays."""

from dataclasses import dataclass

import numpy as np

from plip import _core

__all__ = ["Neighbors", "find_neighbors"]


@dataclass(frozen=True)
class Neighbors:
    """Neighbours of every atom, by centre and by the species of the neighbour.

    Index suffixes: a atom, p (directed) pair, s species, c Cartesian.

    Attributes
    ----------
    species_a : ndarray of int32, shape (n_atoms,)
        Species of each atom, as an index.
    first_as : ndarray of int64, shape (n_atoms * n_species + 1,)
        Pairs ``first_as[i * n_species + s]`` to ``first_as[i * n_species + s + 1]`` are
        the neighbours of species s of atom i.
    neighbor_p : ndarray of int32, shape (n_pairs,)
        Index j of the neighbour.
    vector_pc : ndarray of float64, shape (n_pairs, 3)
        Vectors r_j - r_i (image included) in Angstrom.
    distance_p : ndarray of float64, shape (n_pairs,)
        Their lengths in Angstrom.
    """

    species_a: np.ndarray
    first_as: np.ndarray
    neighbor_p: np.ndarray
    vector_pc: np.ndarray
    distance_p: np.ndarray

    def counts(self, n_species):
        """Number of neighbors of each species (column) around all atoms of each (row), float64, square."""
        counts = np.zeros((n_species, n_species))
        np.add.at(counts, self.species_a, np.diff(self.first_as).reshape(-1, n_species))
        return counts

    def shortest_distances(self, n_species):
        """Shortest distance by species of center and neighbor, symmetric, infinite where no pair is.

        Parameters
        ----------
        n_species : int
            Number of species.

        Returns
        -------
        ndarray of float64, shape (n_species, n_species)
            Angstrom.
        """
        shortest = np.full((n_species, n_species), np.inf)
        # Buckets of one atom and one species; empty ones have no minimum of their own.
        bucket = np.flatnonzero(np.diff(self.first_as))
        if len(bucket):
            nearest = np.minimum.reduceat(self.distance_p, self.first_as[bucket])
            np.minimum.at(shortest, (self.species_a[bucket // n_species], bucket % n_species), nearest)
        # Rounding may tell the two directions of a pair apart.
        return np.minimum(shortest, shortest.T)


def find_neighbors(atoms, species_a, n_species, cutoff):
    """All neighbours within the cutoff, periodic images included.

    Parameters
    ----------
    atoms : ase.Atoms
        Structure, checked by `plip._structures._checks.check_structures`.
    species_a : ndarray of int32, shape (n_atoms,)
        Species of each atom, as an index below `n_species`.
    n_species : int
        Number of species.
    cutoff : float
        Cutoff in Angstrom.

    Returns
    -------
    Neighbors
        In an order that depends on the arguments only.

    Raises
    ------
    ValueError
        If there are more neighbours than memory should hold, or an atom is too far outside the cell.
    """
    first_as, neighbor_p, vector_pc, distance_p = _core.find_neighbors(
        np.ascontiguousarray(atoms.positions), atoms.cell.array, atoms.pbc, cutoff, species_a, n_species
    )
    return Neighbors(species_a, first_as, neighbor_p, vector_pc, distance_p)
