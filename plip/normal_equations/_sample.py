"""The geometry of fitted structures, in memory that does not grow with the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray

__all__ = ["Sample", "Sampler"]

# Largest number of atoms: 3 MB. Of more data every second structure is kept, and so on.
_MOST_ATOMS = 100_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Structures without labels.

    Attributes
    ----------
    sizes : ndarray of int64, shape (n_structures,)
        Numbers of atoms.
    numbers : ndarray of int64, shape (n_atoms,)
        Atomic numbers of all atoms, one structure after the other.
    positions : ndarray of float64, shape (n_atoms, 3)
        Angstrom.
    cells : ndarray of float64, shape (n_structures, 3, 3)
        Angstrom.
    periodic : ndarray of bool, shape (n_structures, 3)
    """

    sizes: NDArray[np.int64]
    numbers: NDArray[np.int64]
    positions: FloatArray
    cells: FloatArray
    periodic: BoolArray

    @classmethod
    def of_structures(cls, structures: Sequence[Atoms]) -> Sample:
        """All structures of a list of ase.Atoms."""
        return cls(
            np.array([len(atoms) for atoms in structures], np.int64),
            np.concatenate([np.zeros(0, np.int64), *(atoms.numbers for atoms in structures)]),
            np.concatenate([np.zeros((0, 3)), *(atoms.positions for atoms in structures)]),
            np.array([atoms.cell.array for atoms in structures]).reshape(-1, 3, 3),
            np.array([atoms.pbc for atoms in structures], bool).reshape(-1, 3),
        )

    def structures(self, most_atoms: int | None = None) -> Iterator[Atoms]:
        """The structures one by one, or only those of at most so many atoms."""
        last = np.cumsum(self.sizes)
        for k, (end, size) in enumerate(zip(last, self.sizes, strict=True)):
            if most_atoms is not None and size > most_atoms:
                continue
            part = slice(end - size, end)
            yield Atoms(self.numbers[part], self.positions[part], cell=self.cells[k], pbc=self.periodic[k])

    def merged(self, other: Sample) -> Sample:
        """The sample of both."""
        sample = Sample._joined([self, other])
        while sample.is_large():
            sample = sample.every(2)
        return sample

    @classmethod
    def _joined(cls, samples: Sequence[Sample]) -> Sample:
        arrays = zip(*(sample.arrays().values() for sample in samples), strict=True)
        return cls(*map(np.concatenate, arrays))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in self.shapes(0, 0)}

    @staticmethod
    def shapes(n_structures: int, n_atoms: int) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Shape and dtype of each array by name."""
        return {
            "sizes": ((n_structures,), np.int64),
            "numbers": ((n_atoms,), np.int64),
            "positions": ((n_atoms, 3), np.float64),
            "cells": ((n_structures, 3, 3), np.float64),
            "periodic": ((n_structures, 3), np.bool_),
        }

    def is_large(self) -> bool:
        """Whether there are more atoms than a sample should have."""
        return bool(self.sizes.sum() > _MOST_ATOMS and len(self.sizes) > 1)

    def every(self, step: int, first: int = 0) -> Sample:
        """Every so many structures, beginning with the one at `first`."""
        kept = np.zeros(len(self.sizes), bool)
        kept[first::step] = True
        of_atoms = np.repeat(kept, self.sizes)
        return Sample(
            self.sizes[kept],
            self.numbers[of_atoms],
            self.positions[of_atoms],
            self.cells[kept],
            self.periodic[kept],
        )


class Sampler:
    """The sample of structures that come in parts; it does not depend on the parts."""

    def __init__(self) -> None:
        self._kept: list[Sample] = []
        self._n_atoms = 0
        self._step = 1
        self._n_seen = 0

    def add(self, structures: Sample) -> None:
        """Add all structures of the next part."""
        first = -self._n_seen % self._step
        self._n_seen += len(structures.sizes)
        self._keep([*self._kept, structures if self._step == 1 else structures.every(self._step, first)])
        while self._n_atoms > _MOST_ATOMS and (sample := self.sample()).is_large():
            self._step *= 2
            self._keep([sample.every(2)])

    def _keep(self, samples: list[Sample]) -> None:
        self._kept = samples
        self._n_atoms = sum(int(sample.sizes.sum()) for sample in samples)

    def sample(self) -> Sample:
        """The sample of all that were added."""
        return Sample._joined(self._kept or [Sample.of_structures([])])
