"""Design rows of one structure: neighbors, moments, values and derivatives of its columns."""

from __future__ import annotations

import functools
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from plip._core import ANY
from plip._core._rows import Kernel, vector_length
from plip._design._extent import Extent, density_range
from plip._design._part import Placement, of_one_species
from plip._design._plan import build_plan
from plip._design._sharing import SharedWork
from plip._design._tables import CACHE_LINE
from plip._structures._neighbors import find_surroundings
from plip._types import FloatArray, Int32Array, IntArray
from plip.interactions import Term

__all__ = ["RANGE_ATOMS", "Design", "StructureDesign", "StructureRows", "empty_on_lines"]


# Atoms whose values are summed at a time; threads that share a structure take one range after the other.
RANGE_ATOMS = 512

# Where more of the columns are touched than this, none are left out.
_MOST_COLUMNS = 0.9


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
    cutoff : float or None
        Where neighbors end, in Angstrom; None is the largest cutoff of the terms.
    present : sequence of int or None
        Numbers of the species that structures hold, ascending; None stands for all. Kernels know no others.

    Attributes
    ----------
    placement : Placement
        Where the columns stand among those of a larger design if this is a part of it.
    is_whole : bool
        Whether it is no such part.
    touched : dict of int to ndarray of int
        For each species that structures hold, the columns on which forces on its atoms can depend: all others
        are zero in their rows.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        species: Sequence[str],
        instruction_set: str = "auto",
        cutoff: float | None = None,
        present: Sequence[int] | None = None,
    ) -> None:
        self.terms = tuple(terms)
        self.species = tuple(species)
        self._index = np.full(len(atomic_numbers), -1, np.int32)
        self._index[[atomic_numbers[symbol] for symbol in self.species]] = np.arange(len(self.species))
        self.cutoff = max(term.cutoff for term in terms) if cutoff is None else cutoff
        self.placement = Placement.of(np.arange(len(self.terms)))
        self.is_whole = True
        self.present = None if present is None else np.array(present)
        held = range(len(self.species)) if present is None else present
        species = [self.species[s] for s in held]
        self.kernel = Kernel(build_plan(terms, species, vector_length(instruction_set)), instruction_set)
        self.touched = {s: _touched(self.terms, self.species[s]) for s in held}
        self._parts: dict[tuple[int, ...], Design] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Callable[[bytes], Design], tuple[bytes]]:
        return _from_bytes, (self._pickled,)

    @functools.cached_property
    def _pickled(self) -> bytes:
        """What the design is made of: bytes are quickly compared where it is ready already."""
        return pickle.dumps(
            (self.terms, self.species, self.cutoff, self.present, self.placement, self.is_whole)
        )

    def species_of(self, atoms: Atoms) -> Int32Array:
        """Species of each atom as an index, ndarray of int32, shape (n_atoms,)."""
        return self._index[atoms.numbers]

    def counts(self, atoms: Atoms) -> FloatArray:
        """Number of atoms of each species, ndarray of float64, shape (n_species,)."""
        return np.bincount(self.species_of(atoms), minlength=len(self.species)).astype(np.float64)

    def part(self, atoms: Atoms) -> Design:
        """The design of those columns that the species of a structure can touch; all others are zero for it.

        Of one species alone, terms of any species are those of this species, and are computed once. The
        design itself where it would be hardly smaller. It is made once for each set of species.
        """
        present = tuple(np.flatnonzero(np.bincount(self.species_of(atoms))).tolist())
        with self._lock:
            if present not in self._parts:
                self._parts[present] = self._part_of_species(present)
            return self._parts[present]

    def _part_of_species(self, present: tuple[int, ...]) -> Design:
        symbols = {ANY, *(self.species[s] for s in present)}
        columns = [k for k, term in enumerate(self.terms) if symbols.issuperset(term.species)]
        terms, placement = [self.terms[k] for k in columns], Placement.of(np.array(columns, int))
        if len(present) == 1 and any(ANY in term.species for term in terms):
            terms, sources, factors = of_one_species(terms, self.species[present[0]])
            placement = Placement(placement.columns, sources, factors)
        if not 0 < len(terms) <= _MOST_COLUMNS * len(self.terms):
            return self
        part = Design(terms, self.species, self.kernel.instruction_set, self.cutoff, present)
        part.placement, part.is_whole = placement, False
        return part


def _touched(terms: Sequence[Term], symbol: str) -> IntArray:
    """Places of the terms with a species in their names; of all where hardly any lacks it."""
    touched = [k for k, term in enumerate(terms) if symbol in term.species or ANY in term.species]
    return np.array(touched if len(touched) <= _MOST_COLUMNS * len(terms) else range(len(terms)), int)


@functools.lru_cache(maxsize=2)
def _from_bytes(pickled: bytes) -> Design:
    """The design that was pickled. A process that gets it with every piece of work makes it ready once."""
    terms, species, cutoff, present, placement, is_whole = pickle.loads(pickled)
    design = Design(terms, species, cutoff=cutoff, present=present)
    design.placement, design.is_whole = placement, is_whole
    return design


def empty_on_lines(n_rows: int, length: int) -> FloatArray:
    """An array without values that begins at a cache line, so that no vector crosses a line."""
    memory = np.empty(n_rows * length + CACHE_LINE)
    first = -(memory.ctypes.data // memory.itemsize) % CACHE_LINE
    return memory[first : first + n_rows * length].reshape(n_rows, length)


class StructureRows(Protocol):
    """What normal equations need of a structure; see `StructureDesign`."""

    atoms: Atoms
    counts: FloatArray
    extent: Extent
    pairs: FloatArray
    force_factor: FloatArray | None

    @property
    def values(self) -> FloatArray: ...

    @property
    def virials(self) -> FloatArray | None: ...

    def write_rows(self, first_atom: int, force_rows: FloatArray) -> None: ...


class StructureDesign:
    """The columns of one checked structure whose species are all known.

    Threads that ask for its values or rows at the same time share the work.

    Parameters
    ----------
    design : Design
    atoms : ase.Atoms
    has_virials : bool, default=False
        Whether to compute `virials`.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure.
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

    def __init__(self, design: Design, atoms: Atoms, has_virials: bool = False) -> None:
        self.atoms = atoms
        species_a = design.species_of(atoms)
        self._kernel = design.kernel
        near, shortest, densest, self.pairs = find_surroundings(
            atoms, species_a, len(design.species), design.cutoff, density_range(design.cutoff)
        )
        self._neighbors = near if design.present is None else near.of_species(design.present)
        # Most rows of the second half are never written, and take no memory.
        self._states = empty_on_lines(2 * len(atoms), self._kernel.state_size).reshape(2, len(atoms), -1)
        self._dominant = np.empty((len(atoms), self._kernel.n_labels))
        self._has_virials = has_virials
        self.counts = design.counts(atoms)
        self.extent = Extent(shortest, densest)
        self._sums: SharedWork[FloatArray] = SharedWork(-(-len(atoms) // RANGE_ATOMS))
        self._known: FloatArray | None = None

    @property
    def values(self) -> FloatArray:
        """ndarray of float64, shape (n_terms,): X_n of the whole structure."""
        return self._complete[0]

    @property
    def virials(self) -> FloatArray | None:
        """ndarray of float64, shape (6, n_terms), or None: dX_n/d(strain), order xx yy zz yz xz xy."""
        return self._complete[1:] if self._has_virials else None

    @property
    def _complete(self) -> FloatArray:
        """Values and virials of all atoms, whose states are there, too."""
        # No cached_property: that of Python 3.11 has one lock for all structures, so that threads take turns.
        if self._known is None:
            self._known = functools.reduce(np.add, self._sums.finish(self._sums_of_range))
        return self._known

    def _sums_of_range(self, number: int) -> FloatArray:
        """Values and virials of some atoms, whose states are written."""
        sums = np.zeros((1 + 6 * self._has_virials, self._kernel.n_terms))
        first = number * RANGE_ATOMS
        last = min(first + RANGE_ATOMS, len(self.atoms))
        virials = sums[1:] if self._has_virials else None
        self._kernel.values(self._neighbors, self._states, self._dominant, sums[0], virials, first, last)
        return sums

    def write_rows(self, first_atom: int, force_rows: FloatArray) -> None:
        """Write the rows of the atoms from `first_atom` on.

        Parameters
        ----------
        first_atom : int
            The first atom.
        force_rows : ndarray of float64, shape (3 * n_rows_atoms, at least n_terms)
            Overwritten in the first n_terms columns: -dX_n/dr of these atoms, x y z of each.
        """
        self._complete  # noqa: B018 (without it there are no states)
        self._kernel.derivatives(self._neighbors, self._states, self._dominant, first_atom, force_rows)
