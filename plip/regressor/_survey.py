"""Terms of the atoms that a fit remembers, found once for all who ask."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import joblib
import numpy as np
from ase import Atoms

from plip._core import TermValues, values_of_each
from plip._structures._evaluation import find_pairs, gather, take_atoms
from plip._types import FloatArray, Int32Array, IntArray
from plip._workers import new_workers
from plip.interactions import Term
from plip.normal_equations import NormalEquations

__all__ = ["MOST_IN_MEMORY", "AtomTerms", "Survey", "summaries_of_atoms", "terms_of_atoms"]

# Atoms whose terms are in memory at a time.
MOST_IN_MEMORY = 50_000
# Atoms whose terms are found at a time where they do not stay, and by one job.
_BATCH = 5_000
_OF_JOB = 250
# By one job that keeps a summary of them alone.
_OF_SUMMARY = 2_000

# Species, as places among those of the terms, and terms, (n_atoms, n_terms), of the atoms of a structure.
AtomTerms: TypeAlias = tuple[Int32Array, FloatArray]
Summary = TypeVar("Summary")


def terms_of_atoms(
    species: Sequence[str], terms: Sequence[Term], structures: Sequence[Atoms], n_jobs: int | None
) -> Iterator[AtomTerms]:
    """The terms of the atoms of each structure."""
    of_structures = _Finder(species, terms)
    # The core is of this process; sending it elsewhere would take longer than the work.
    with new_workers(n_jobs, is_local=True) as parallel:
        for batch in _cut(structures, _BATCH):
            jobs = (joblib.delayed(of_structures)(part) for part in _cut(batch, _OF_JOB))
            yield from itertools.chain.from_iterable(parallel(jobs))


def summaries_of_atoms(
    species: Sequence[str],
    terms: Sequence[Term],
    structures: Sequence[Atoms],
    n_jobs: int | None,
    summarize: Callable[[list[AtomTerms]], Summary],
) -> list[Summary]:
    """What a function makes of the terms of parts of the structures, which it gets one part at a time."""
    of_structures = _Finder(species, terms)

    def summary(part: Sequence[Atoms]) -> Summary:
        return summarize(of_structures(part))

    jobs = (joblib.delayed(summary)(part) for part in _cut(structures, _OF_SUMMARY))
    found: list[Summary] = new_workers(n_jobs, is_local=True)(jobs)
    return found


class _Finder:
    """Finds the terms of the atoms of structures that were checked; threads can call it at the same time."""

    def __init__(self, species: Sequence[str], terms: Sequence[Term]) -> None:
        self._species = species
        self._term_values = TermValues(species, terms)
        # Without a term any cutoff serves.
        self._cutoff = max((term.cutoff for term in terms), default=1.0)

    def __call__(self, structures: Sequence[Atoms]) -> list[AtomTerms]:
        arrays = gather(self._species, structures)
        values, are_done = values_of_each(self._term_values, *arrays, self._cutoff)
        found = list(zip(arrays.split(arrays.species), arrays.split(values), strict=True))
        for row in np.flatnonzero(~are_done).tolist():
            species_a, positions, cell = take_atoms(self._species, structures[row])
            neighbors = find_pairs(positions, cell, structures[row].pbc, self._cutoff)
            found[row] = species_a, self._term_values.values(neighbors, positions, cell, species_a)
        return found


def _cut(structures: Sequence[Atoms], n_atoms: int) -> Iterator[Sequence[Atoms]]:
    """Parts of at most so many atoms, or of one structure."""
    last = np.cumsum([len(atoms) for atoms in structures])
    first = 0
    while first < len(structures):
        before = last[first] - len(structures[first])
        end = max(int(np.searchsorted(last, before + n_atoms, side="right")), first + 1)
        yield structures[first:end]
        first = end


class Survey:
    """Terms of each atom of the structures that normal equations remember.

    Parameters
    ----------
    equations : NormalEquations
    columns : ndarray of int
        Terms that will be asked for, as places among those of the equations.
    n_jobs : int or None
        joblib workers; they change no bit.

    Attributes
    ----------
    structures : list of ase.Atoms
    n_jobs : int or None
        As given.
    """

    def __init__(self, equations: NormalEquations, columns: IntArray, n_jobs: int | None) -> None:
        self._equations = equations
        self.n_jobs = n_jobs
        self.structures = [] if equations.sample is None else list(equations.sample.structures())
        self._stays = sum(map(len, self.structures)) <= MOST_IN_MEMORY
        self._columns = np.unique(columns)
        self._found: list[AtomTerms] | None = None

    def values(self, columns: IntArray) -> Iterator[AtomTerms]:
        """Species and terms of the atoms of each structure.

        Parameters
        ----------
        columns : ndarray of int
            The terms, as ascending places among those of the equations.

        Yields
        ------
        species_a : ndarray of int32, shape (n_atoms,)
            As places among the species of the equations.
        values : ndarray of float64, shape (n_atoms, n_columns)
        """
        if not self._stays:
            yield from self._find(columns)
            return
        if self._found is None or not np.isin(columns, self._columns).all():
            self._columns = np.union1d(self._columns, columns)
            self._found = list(self._find(self._columns))
        places = np.searchsorted(self._columns, columns)
        for species_a, values in self._found:
            yield species_a, values if len(places) == values.shape[1] else values[:, places]

    def places(self, structures: Sequence[Atoms]) -> list[int] | None:
        """Where these structures are among its own; None if some are not, or their terms do not stay."""
        if not self._stays:
            return None
        known = {_geometry(atoms): place for place, atoms in enumerate(self.structures)}
        found = [known.get(_geometry(atoms)) for atoms in structures]
        return None if None in found else [place for place in found if place is not None]

    def _find(self, columns: IntArray) -> Iterator[AtomTerms]:
        terms = [self._equations.terms[n] for n in columns]
        return terms_of_atoms(self._equations.species, terms, self.structures, self.n_jobs)


def _geometry(atoms: Atoms) -> tuple[bytes, ...]:
    arrays = atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc
    return tuple(array.tobytes() for array in arrays)
