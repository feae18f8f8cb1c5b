"""What is kept of rows that were added up: the rows themselves, a triangular factor, packed products."""

from __future__ import annotations

import threading
from typing import IO

import numpy as np

from plip._core._blas import add_row_products
from plip._types import FloatArray, IntArray
from plip.normal_equations._packed import Packed

__all__ = ["Products"]

# Rows of which products are made again whenever they are needed, as a part of the number of columns.
_FEW_ROWS = 0.125

# A file has one place that is read next, whoever reads.
_one_reader = threading.Lock()


class _Stowed:
    """An array in a file that is open."""

    def __init__(self, array: FloatArray, file: IO[bytes]) -> None:
        self._file = file
        self._shape = array.shape
        self._start = file.seek(0, 2)
        file.write(np.ascontiguousarray(array).data)

    def load(self) -> FloatArray:
        with _one_reader:
            self._file.seek(self._start)
            data = self._file.read(8 * int(np.prod(self._shape)))
        return np.frombuffer(data, np.float64).reshape(self._shape)


class Products:
    """Products R^T R of rows R.

    Parameters
    ----------
    width : int
        Number of columns.
    factor : ndarray of float64, shape (k, width), or None
        All rows, or others with the same products.
    packed : Packed or None
        The products. None if the rows are so few that the products are made of them when they are needed.
    """

    def __init__(self, width: int, factor: FloatArray | None = None, packed: Packed | None = None) -> None:
        self.width = width
        self._factor: FloatArray | _Stowed | None = factor
        self._packed: FloatArray | _Stowed | None = None if packed is None else packed.values

    def stow(self, file: IO[bytes]) -> None:
        """Move the arrays to a file, from which they are read whenever they are needed.

        The products come along unless rows are so few that it takes as long to read them as to make them.
        """
        if isinstance(self._factor, np.ndarray):
            if self._packed is None and len(self._factor) > _FEW_ROWS * self.width:
                self._packed = self.packed.values
            self._factor = _Stowed(self._factor, file)
        if isinstance(self._packed, np.ndarray):
            self._packed = _Stowed(self._packed, file)

    @property
    def is_stowed(self) -> bool:
        """Whether the arrays are in a file."""
        return isinstance(self._factor, _Stowed) or isinstance(self._packed, _Stowed)

    @property
    def is_packed(self) -> bool:
        """Whether the products are known, not rows alone."""
        return self._packed is not None

    @property
    def factor(self) -> FloatArray | None:
        """ndarray of float64, shape (k, width), or None: as given."""
        return self._factor.load() if isinstance(self._factor, _Stowed) else self._factor

    @property
    def packed(self) -> Packed:
        """Packed: the products."""
        values = self._packed
        if values is None:
            matrix = np.zeros((self.width, self.width))
            if (rows := self.factor) is not None:
                add_row_products(np.ascontiguousarray(rows), matrix)
            return Packed.of(matrix)
        return Packed(self.width, values.load() if isinstance(values, _Stowed) else values)

    def rows(self, first: int) -> FloatArray:
        """ndarray of float64, shape (width - first, width): the last rows of the products."""
        if self._packed is not None:
            return self.packed.rows(first)
        rows = np.zeros((0, self.width)) if self.factor is None else self.factor
        return rows[:, first:].T @ rows

    def between(self, columns: IntArray) -> FloatArray:
        """ndarray of float64, shape (k, k): the products of some columns."""
        if self._packed is not None:
            return self.packed.between(columns)
        rows = np.zeros((0, self.width)) if self.factor is None else self.factor
        chosen = rows[:, columns]
        return chosen.T @ chosen

    def diagonal(self) -> FloatArray:
        """ndarray of float64, shape (width,): the diagonal of the products."""
        if self._packed is not None:
            return self.packed.diagonal()
        rows = np.zeros((0, self.width)) if self.factor is None else self.factor
        return np.einsum("rk,rk->k", rows, rows)

    def squares(self, vectors: FloatArray) -> FloatArray:
        """ndarray of float64, shape (m,): sums over rows of the squares of row times vector, (m, width)."""
        rows = self.factor
        if rows is None:
            return self.packed.squares(vectors)
        residuals = rows @ vectors.T
        return np.einsum("rm,rm->m", residuals, residuals)
