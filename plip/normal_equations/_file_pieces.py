"""Structures of files, which workers read."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._places import located
from plip._reading._parts import FilePart, find_file, split_file
from plip._structures._checks import describe
from plip._types import FloatArray, IntArray, StrPath
from plip.labels import TARGETS, LabelledStructures

__all__ = ["FilePiece", "FileSequence", "Treatment"]


class Treatment(NamedTuple):
    """What the user wants done with each structure that was read; both are called with it.

    Attributes
    ----------
    prepare : callable or None
        To attach labels.
    sample_weight : callable or None
        Its weight, or the three of its energy, forces and stress.
    """

    prepare: Callable[[Atoms], Any] | None = None
    sample_weight: Callable[[Atoms], ArrayLike] | None = None


@dataclass(frozen=True, eq=False)
class FilePiece:
    """Structures of a part of a file, whose numbers of atoms are known.

    Attributes
    ----------
    part : FilePart
    first : int
        Place of the first structure in the data.
    treatment : Treatment
    reading : dict
        Options of `LabelledStructures.read`.
    """

    part: FilePart
    first: int
    treatment: Treatment
    reading: dict[str, Any]

    @cached_property
    def n_atoms(self) -> IntArray:
        """(n,) ndarray of int: number of atoms of each structure."""
        return np.array(self.part.n_atoms, int)

    def __len__(self) -> int:
        return len(self.n_atoms)

    def take(self, rows: slice) -> FilePiece:
        """Some neighboring structures."""
        start = rows.indices(len(self))[0]
        return replace(self, part=self.part.take(rows), first=self.first + start)

    def read_here(self) -> LabelledStructures:
        """The structures with their labels, both checked."""
        with _located_in(self.part, self.first):
            return labeled(self.part.read(), self.first, self.treatment, self.reading)


def _located_in(part: FilePart, first: int) -> AbstractContextManager[None]:
    """Context for structures of a part of a file, the first of which has this place in the data."""
    return located(lambda index: part.place(index - first))


def labeled(
    structures: Sequence[Atoms], first: int, treatment: Treatment, reading: dict[str, Any]
) -> LabelledStructures:
    """Read the labels of structures and check both; parameters as for `FilePiece`."""
    if treatment.prepare is not None:
        for k, atoms in enumerate(structures, first):
            with _called(k, atoms, "prepare"):
                treatment.prepare(atoms)
    weights = None
    if treatment.sample_weight is not None:
        weights = np.empty((len(structures), len(TARGETS)))
        for k, atoms in enumerate(structures):
            with _called(first + k, atoms, "sample_weight"):
                weights[k] = _weights_of(treatment.sample_weight(atoms))
    # Some may lack labels or weight as long as others have them, in these files or in those of other jobs.
    return LabelledStructures.read(
        structures, sample_weight=weights, first=first, required=False, is_part=True, **reading
    )


@contextmanager
def _called(index: int, atoms: Atoms, name: str) -> Iterator[None]:
    """Context of a function of the user, whose errors do not know of which structure they are."""
    try:
        yield
    except Exception as error:  # of any kind
        reason = error if isinstance(error, ValueError) else f"{name} failed: {type(error).__name__}: {error}"
        raise ValueError(f"{describe(index, atoms)}: {reason}") from error


def _weights_of(given: ArrayLike) -> FloatArray:
    weights = np.asarray(given)
    if weights.dtype.kind not in "iufb" or weights.shape not in ((), (len(TARGETS),)):
        raise ValueError(f"sample_weight must return a number or three, got {given!r}")
    return weights.astype(np.float64)


class FileSequence:
    """The structures of files, one file after the other.

    Parameters
    ----------
    paths : sequence of str or path-like
        As `split_file` takes them.
    treatment : Treatment
    """

    def __init__(self, paths: Sequence[StrPath], treatment: Treatment) -> None:
        paths = list(paths)
        # A name that is wrong must not wait for the work on the files before it.
        for path in paths:
            find_file(path)
        self._rest: Iterator[FilePart] = (part for path in paths for part in split_file(path))
        self._treatment = treatment
        # Parts that were given out, and the places of their first structures in the data.
        self._parts: list[FilePart] = []
        self._firsts: list[int] = []
        self._n_given = 0

    def head(self, most: int, reading: dict[str, Any]) -> LabelledStructures:
        """Read so many structures here, or all if there are fewer; a few more if only reading tells."""
        found: list[Atoms] = []
        while len(found) < most and (part := next(self._rest, None)) is not None:
            n = most - len(found)
            if part.n_atoms is not None and len(part.n_atoms) > n:
                self._rest = itertools.chain([part.take(slice(n, None))], self._rest)
                part = part.take(slice(n))
            structures = part.read()
            self._give(part, len(structures))
            found += structures
        return labeled(found, 0, self._treatment, reading)

    def pieces(self, reading: dict[str, Any]) -> Iterator[FilePiece | LabelledStructures]:
        """All other structures. Workers read what tells its numbers of atoms, the rest is read here."""
        for part in self._rest:
            first = self._n_given
            if part.n_atoms is not None:
                self._give(part, len(part.n_atoms))
                yield FilePiece(part, first, self._treatment, reading)
            else:
                structures = part.read()
                self._give(part, len(structures))
                # Whatever thread asks for it.
                with _located_in(part, first):
                    data = labeled(structures, first, self._treatment, reading)
                yield data

    def _give(self, part: FilePart, n_structures: int) -> None:
        self._parts.append(part)
        self._firsts.append(self._n_given)
        self._n_given += n_structures

    def located(self) -> AbstractContextManager[None]:
        """Context in which errors and warnings say where their structures come from."""
        return located(self._place)

    def _place(self, index: int) -> str:
        """Where the structure at this place in the data comes from, if it was given out."""
        if index >= self._n_given:
            raise IndexError(index)
        row = bisect.bisect(self._firsts, index) - 1
        return self._parts[row].place(index - self._firsts[row])
