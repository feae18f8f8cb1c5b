"""Where a sequence of structures is cut into chunks, the units of parallel work and of the order of sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["Chunk", "Cutter", "Share"]

# About the number of atoms in a chunk. Adding up the products of a chunk (n_terms^2) costs little beside
# making them (rows x n_terms^2), and chunks are small enough to share evenly.
CHUNK_ATOMS = 500

# Chunks grow with the square root of the atoms before them, up to so many times: large data send few matrices
# to whoever adds them up, and still have work for many workers.
_GROWTH = 0.3
_LARGEST = 32

# After so many chunks, so many at a time are added up to one sum first: on a worker, if it can send them on.
_SINGLE_CHUNKS = 256
GROUP = 32

# Into how many shares a large structure is divided, at most: each has a matrix of its own to add up.
_MOST_SHARES = 32


class Chunk(NamedTuple):
    """Structures that are next to each other.

    Attributes
    ----------
    n_structures : int
    n_shares : int
        Into how many shares of its atoms a single large structure is divided; 1 for all others.
    ends_group : bool
        Whether it is the last chunk of a group, whose sum is made before it is added to the total. The first
        chunks are each a group of their own.
    """

    n_structures: int
    n_shares: int
    ends_group: bool


class Share(NamedTuple):
    """A share of the rows of a chunk.

    The first one has all but the forces of other atoms.
    """

    number: int = 0
    n_shares: int = 1

    def atoms(self, size: int) -> slice:
        """The atoms of a structure of so many whose forces belong to it."""
        return slice(size * self.number // self.n_shares, size * (self.number + 1) // self.n_shares)


class Cutter:
    """Cuts a sequence of structures into chunks by their numbers of atoms.

    The borders depend on nothing but the numbers of atoms in their order, so that sums have the same bits
    however the structures come: as a list, in batches of a stream or in parts of files, for any number of
    workers.

    Attributes
    ----------
    seen_structures : int
        Number of structures that were added so far, of which each chunk is told.
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._waiting = 0
        self._done = 0
        self._n_chunks = 0
        self.seen_structures = 0

    @property
    def chunk_atoms(self) -> int:
        """int: number of atoms that the next chunk has at least, but for the last chunks of all."""
        growth = _GROWTH * math.sqrt(self._done / CHUNK_ATOMS)
        return int(CHUNK_ATOMS * min(max(1.0, growth), _LARGEST))

    @property
    def seen_atoms(self) -> int:
        """int: number of atoms that are in chunks or wait for it."""
        return self._done + self._waiting

    def add(self, sizes: Iterable[int]) -> Iterator[Chunk]:
        """Yield each chunk that is complete; `sizes` are numbers of atoms."""
        for size in sizes:
            self.seen_structures += 1
            if (n_shares := min(int(size) // self.chunk_atoms, _MOST_SHARES)) >= 2:
                # What waits is less than two chunks.
                if self._sizes:
                    yield self._take(len(self._sizes))
                self._wait_for(size)
                yield self._take(1, n_shares)
                continue
            self._wait_for(size)
            # What is left is the end, perhaps, which is cut finer.
            while self._waiting >= 2 * self.chunk_atoms:
                last = np.cumsum(self._sizes)
                yield self._take(int(np.searchsorted(last, self.chunk_atoms)) + 1)

    def finish(self) -> Iterator[Chunk]:
        """Yield the last chunks, small ones, so that workers end together."""
        if self._sizes:
            # Two workers get the same to do.
            n = 4 if self._waiting >= CHUNK_ATOMS else 2 if self._waiting >= CHUNK_ATOMS // 2 else 1
            last = np.cumsum(self._sizes)
            borders = np.searchsorted(last, last[-1] * np.arange(1, n) / n) + 1
            ends = np.unique(np.append(borders, len(self._sizes)))
            for count in np.diff(ends, prepend=0).tolist():
                yield self._take(count)

    def _wait_for(self, size: int) -> None:
        self._sizes.append(int(size))
        self._waiting += int(size)

    def _take(self, count: int, n_shares: int = 1) -> Chunk:
        taken = sum(self._sizes[:count])
        del self._sizes[:count]
        self._waiting -= taken
        self._done += taken
        self._n_chunks += 1
        n_grouped = self._n_chunks - _SINGLE_CHUNKS
        return Chunk(count, n_shares, n_grouped <= 0 or n_grouped % GROUP == 0)
