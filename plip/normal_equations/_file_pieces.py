"""Structures of files, which workers read."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from plip._reading._parts import FilePart, split_file
from plip._types import IntArray, StrPath
from plip.labels import LabelledStructures

__all__ = ["FilePiece", "FileSequence", "Prepare"]

# Is called with each structure of a file, to attach labels.
Prepare = Callable[[Atoms], Any]


@dataclass(frozen=True, eq=False)
class FilePiece:
    """Structures of a part of a file, whose numbers of atoms are known.

    Attributes
    ----------
    part : FilePart
    first : int
        Place of the first structure in the data.
    prepare : callable or None
        Is called with each structure.
    reading : dict
        Options of `LabelledStructures.read`.
    """

    part: FilePart
    first: int
    prepare: Prepare | None
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
        return labeled(self.part.read(), self.first, self.prepare, self.reading)


def labeled(
    structures: Sequence[Atoms], first: int, prepare: Prepare | None, reading: dict[str, Any]
) -> LabelledStructures:
    """Read the labels of structures and check both; parameters as for `FilePiece`."""
    if prepare is not None:
        for atoms in structures:
            prepare(atoms)
    # Some may lack labels as long as others have them.
    return LabelledStructures.read(structures, first=first, required=False, **reading)


class FileSequence:
    """The structures of files, one file after the other.

    Parameters
    ----------
    paths : sequence of str or path-like
        As `split_file` takes them.
    prepare : callable or None
        Is called with each structure.
    """

    def __init__(self, paths: Sequence[StrPath], prepare: Prepare | None) -> None:
        self._rest: Iterator[FilePart] = (part for path in paths for part in split_file(path))
        self._prepare = prepare
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
        return labeled(found, 0, self._prepare, reading)

    def pieces(self, reading: dict[str, Any]) -> Iterator[FilePiece | LabelledStructures]:
        """All other structures. Workers read what tells its numbers of atoms, the rest is read here."""
        for part in self._rest:
            first = self._n_given
            if part.n_atoms is not None:
                self._give(part, len(part.n_atoms))
                yield FilePiece(part, first, self._prepare, reading)
            else:
                structures = part.read()
                self._give(part, len(structures))
                yield labeled(structures, first, self._prepare, reading)

    def _give(self, part: FilePart, n_structures: int) -> None:
        self._parts.append(part)
        self._firsts.append(self._n_given)
        self._n_given += n_structures

    @contextmanager
    def located(self) -> Iterator[None]:
        """Context in which errors say where their structures come from."""
        try:
            yield
        except ValueError as error:
            # Those of reading name the file themselves.
            text = re.sub(r"(?<!, )\b[Ss]tructure (\d+)\b", self._place, str(error))
            raise ValueError(text) from error

    def _place(self, match: re.Match[str]) -> str:
        index = int(match[1])
        if index >= self._n_given:
            return match[0]
        row = bisect.bisect(self._firsts, index) - 1
        return self._parts[row].place(index - self._firsts[row])
