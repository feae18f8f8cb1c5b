"""Where a sequence of structures is cut into chunks, the units of parallel work and of the order of sums."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["Cutter", "cut"]

# About the number of atoms in a chunk. Adding up the products of a chunk (n_terms^2) costs little beside
# making them (rows x n_terms^2), and chunks are small enough to share evenly.
CHUNK_ATOMS = 500

# Chunks grow with the square root of the atoms before them, up to so many times: large data send few matrices
# to whoever adds them up, and still have work for many workers.
_GROWTH = 0.3
_LARGEST = 32


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

    def add(self, sizes: Iterable[int]) -> Iterator[int]:
        """Yield the number of structures of each chunk that is complete; `sizes` are numbers of atoms."""
        for size in sizes:
            self.seen_structures += 1
            self._sizes.append(int(size))
            self._waiting += int(size)
            # What is left is the end, perhaps, which is cut finer.
            while self._waiting >= 2 * self.chunk_atoms and len(self._sizes) > 1:
                last = np.cumsum(self._sizes)
                yield self._take(int(np.searchsorted(last, self.chunk_atoms)) + 1)

    def finish(self) -> Iterator[int]:
        """Yield the numbers of structures of the last chunks, small ones, so that workers end together."""
        if self._sizes:
            # Two workers get the same to do.
            n = 4 if self._waiting >= CHUNK_ATOMS else 2 if self._waiting >= CHUNK_ATOMS // 2 else 1
            last = np.cumsum(self._sizes)
            borders = np.searchsorted(last, last[-1] * np.arange(1, n) / n) + 1
            ends = np.unique(np.append(borders, len(self._sizes)))
            for count in np.diff(ends, prepend=0).tolist():
                yield self._take(count)

    def _take(self, count: int) -> int:
        taken = sum(self._sizes[:count])
        del self._sizes[:count]
        self._waiting -= taken
        self._done += taken
        return count


def cut(sizes: Iterable[int]) -> list[slice]:
    """The chunks of a whole sequence as slices."""
    cutter = Cutter()
    ends = itertools.accumulate([*cutter.add(sizes), *cutter.finish()])
    return [slice(start, end) for start, end in itertools.pairwise([0, *ends])]
