"""Design rows of one structure: neighbors, moments, values and derivatives of its columns."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from plip._core._rows import Kernel, vector_length
from plip._design._extent import Extent, density_range
from plip._design._plan import CACHE_LINE, build_plan
from plip._structures._neighbors import find_neighbors
from plip._types import FloatArray, Int32Array
from plip.interactions import Term

__all__ = ["Design", "StructureDesign", "StructureRows"]


class Design:
    """A table of terms made ready for the kernels.

    Parameters
    ----------
    terms : sequence of Term
        All columns, from `plip.interactions._terms.build_terms`.
    species : sequence of str
        Chemical symbols, sorted.
    instruction_set : {"auto", "avx512", "avx2", "baseline"}, default="auto"
        Which one the kernels use.
    """

    def __init__(self, terms: Sequence[Term], species: Sequence[str], instruction_set: str = "auto") -> None:
        self.terms = tuple(terms)
        self.species = tuple(species)
        self._index = np.full(len(atomic_numbers), -1, np.int32)
        self._index[[atomic_numbers[symbol] for symbol in self.species]] = np.arange(len(self.species))
        self.cutoff = max(term.cutoff for term in terms)
        self.kernel = Kernel(build_plan(terms, species, vector_length(instruction_set)), instruction_set)

    def __reduce__(self) -> tuple[Callable[[bytes], Design], tuple[bytes]]:
        # Bytes are quickly compared, and not taken apart where the design is already.
        return _from_bytes, (pickle.dumps((self.terms, self.species)),)

    def species_of(self, atoms: Atoms) -> Int32Array:
        """Species of each atom as an index, ndarray of int32, shape (n_atoms,)."""
        return self._index[atoms.numbers]

    def counts(self, atoms: Atoms) -> FloatArray:
        """Number of atoms of each species, ndarray of float64, shape (n_species,)."""
        return np.bincount(self.species_of(atoms), minlength=len(self.species)).astype(np.float64)


@functools.lru_cache(maxsize=2)
def _from_bytes(pickled: bytes) -> Design:
    """The design that was pickled. A process that gets it with every piece of work makes it ready once."""
    return Design(*pickle.loads(pickled))


def _empty_on_lines(n_rows: int, length: int) -> FloatArray:
    """An array without values that begins at a cache line, so that no vector crosses a line."""
    memory = np.empty(n_rows * length + CACHE_LINE)
    first = -(memory.ctypes.data // memory.itemsize) % CACHE_LINE
    return memory[first : first + n_rows * length].reshape(n_rows, length)


class StructureRows(Protocol):
    """What normal equations need of a structure; see `StructureDesign`."""

    atoms: Atoms
    values: FloatArray
    counts: FloatArray
    extent: Extent
    pairs: FloatArray
    force_factor: FloatArray | None

    def write_rows(self, first_atom: int, force_rows: FloatArray, virial_rows: FloatArray | None) -> None: ...


class StructureDesign:
    """The columns of one checked structure whose species are all known.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure.
    values : ndarray of float64, shape (n_terms,)
        X_n of the whole structure.
    counts : ndarray of float64, shape (n_species,)
        Number of atoms of each species.
    extent : Extent
        Its shortest distances and largest densities.
    pairs : ndarray of float64, shape (n_species, n_species)
        Number of neighbors of one species (column) around all atoms of another (row) within the cutoff.
    force_factor : None
        Force rows are computed, not stored as a triangular factor.
    """

    force_factor: FloatArray | None = None

    def __init__(self, design: Design, atoms: Atoms) -> None:
        self.atoms = atoms
        species_a = design.species_of(atoms)
        self._kernel = design.kernel
        self._neighbors = find_neighbors(atoms, species_a, len(design.species), design.cutoff)
        # Most rows of the second half are never written, and take no memory.
        self._states = _empty_on_lines(2 * len(atoms), self._kernel.state_size).reshape(2, len(atoms), -1)
        self._dominant = np.empty((len(atoms), self._kernel.n_labels))
        self.counts = design.counts(atoms)
        self.values = np.zeros(self._kernel.n_terms)
        near = self._neighbors
        self.extent = Extent.of_neighbors(near, len(design.species), density_range(design.cutoff))
        self.pairs = near.counts(len(design.species))
        self._kernel.values(near, self._states, self._dominant, self.values)

    def write_rows(self, first_atom: int, force_rows: FloatArray, virial_rows: FloatArray | None) -> None:
        """Write the rows of the atoms from `first_atom` on.

        Parameters
        ----------
        first_atom : int
            The first atom.
        force_rows : ndarray of float64, shape (3 * n_rows_atoms, at least n_terms)
            Overwritten in the first n_terms columns: -dX_n/dr of these atoms, x y z of each.
        virial_rows : ndarray of float64, shape (6, at least n_terms), or None
            The share of these atoms in dX_n/d(strain), order xx yy zz yz xz xy, is added.
        """
        self._kernel.derivatives(
            self._neighbors, self._states, self._dominant, first_atom, force_rows, virial_rows
        )
