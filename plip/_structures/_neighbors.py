"""From Atoms to flat neighbor arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from plip import _core
from plip._types import FloatArray, Int32Array, IntArray

__all__ = ["Neighbors", "arrays_of", "find_all_neighbors", "find_neighbors", "find_surroundings"]


@dataclass(frozen=True)
class Neighbors:
    """Neighbors of every atom, by center and by the species of the neighbor.

    Index suffixes: a atom, p (directed) pair, s species, c Cartesian.

    Attributes
    ----------
    species_a : ndarray of int32, shape (n_atoms,)
        Species of each atom, as an index.
    first_as : ndarray of int64, shape (n_atoms * n_species + 1,)
        Pairs ``first_as[i * n_species + s]`` to ``first_as[i * n_species + s + 1]`` are
        the neighbors of species s of atom i.
    neighbor_p : ndarray of int32, shape (n_pairs,)
        Index j of the neighbor.
    vector_pc : ndarray of float64, shape (n_pairs, 3)
        Vectors r_j - r_i (image included) in Angstrom.
    distance_p : ndarray of float64, shape (n_pairs,)
        Their lengths in Angstrom.
    """

    species_a: Int32Array
    first_as: NDArray[np.int64]
    neighbor_p: Int32Array
    vector_pc: FloatArray
    distance_p: FloatArray

    def centers(self, n_species: int) -> NDArray[np.intp]:
        """Index of the center of every pair, shape (n_pairs,)."""
        return np.repeat(np.arange(len(self.species_a)), np.diff(self.first_as[::n_species]))

    def of_species(self, present: IntArray) -> Neighbors:
        """The same neighbors with fewer species: `present` are the numbers of those left, ascending.

        No atom may be of another species.
        """
        n_atoms = len(self.species_a)
        first = self.first_as[:-1].reshape(n_atoms, -1)[:, present]
        return Neighbors(
            np.searchsorted(present, self.species_a).astype(np.int32),
            np.append(first, self.first_as[-1]),
            self.neighbor_p,
            self.vector_pc,
            self.distance_p,
        )


def find_neighbors(atoms: Atoms, species_a: Int32Array, n_species: int, cutoff: float) -> Neighbors:
    """All neighbors within the cutoff, periodic images included.

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
        If there are more neighbors than memory should hold, or an atom is too far outside the cell.
    """
    positions, cell = arrays_of(atoms)
    return Neighbors(
        species_a,
        *_core.find_neighbors(positions, cell, atoms.pbc, cutoff, species_a, n_species),
    )


def find_surroundings(
    atoms: Atoms, species_a: Int32Array, n_species: int, cutoff: float, reach: float
) -> tuple[Neighbors, FloatArray, FloatArray, FloatArray]:
    """`find_neighbors`, and what is closest and densest among them.

    Parameters
    ----------
    atoms, species_a, n_species, cutoff
        As there.
    reach : float
        Range in Angstrom of the density.

    Returns
    -------
    neighbors : Neighbors
    shortest, densest, counts : ndarrays of float64
        As from `plip._core.find_surroundings`.

    Raises
    ------
    ValueError
        See `find_neighbors`.
    """
    positions, cell = arrays_of(atoms)
    first_as, neighbor_p, vector_pc, distance_p, shortest, densest, counts = _core.find_surroundings(
        positions, cell, atoms.pbc, cutoff, species_a, n_species, reach
    )
    return Neighbors(species_a, first_as, neighbor_p, vector_pc, distance_p), shortest, densest, counts


def arrays_of(atoms: Atoms) -> tuple[FloatArray, FloatArray]:
    """Positions and cell as the core takes them, however they lie in memory."""
    return (
        np.ascontiguousarray(atoms.positions, np.float64),
        np.ascontiguousarray(atoms.cell.array, np.float64),
    )


def find_all_neighbors(atoms: Atoms, cutoff: float) -> Neighbors:
    """The same, as if all atoms were of one species.

    Parameters
    ----------
    atoms : ase.Atoms
        Structure, checked.
    cutoff : float
        Cutoff in Angstrom.

    Returns
    -------
    Neighbors
        Those of atom i are the pairs ``first_as[i]`` to ``first_as[i + 1]``.

    Raises
    ------
    ValueError
        See `find_neighbors`.
    """
    return find_neighbors(atoms, np.zeros(len(atoms), np.int32), 1, cutoff)
