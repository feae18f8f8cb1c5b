"""A symmetric matrix in half of the memory."""

from __future__ import annotations

import numpy as np

from plip._core._blas import add_packed, add_products_of_columns, pack_lower
from plip._design._part import Placement
from plip._types import FloatArray, IntArray

__all__ = ["Packed", "mirror"]

# Rows that are unpacked at a time.
_BLOCK = 128


class Packed:
    """The lower triangle of a symmetric matrix, row by row.

    Attributes
    ----------
    width : int
        Number of rows and columns.
    values : ndarray of float64, shape (width (width + 1) / 2,)
        Element (i, j) of the matrix, i >= j, stands at i (i + 1) / 2 + j.
    """

    def __init__(self, width: int, values: FloatArray | None = None) -> None:
        self.width = width
        self.values = np.zeros(width * (width + 1) // 2) if values is None else values

    @classmethod
    def of(cls, matrix: FloatArray) -> Packed:
        """The lower triangle of a matrix of shape (width, width)."""
        return cls(len(matrix), pack_lower(matrix))

    def _rows(self) -> list[FloatArray]:
        """Views of the rows, up to the diagonal."""
        starts = np.cumsum(np.arange(self.width + 1)).tolist()
        return [self.values[start : start + k + 1] for k, start in enumerate(starts[:-1])]

    def add(self, other: Packed, sign: int = 1) -> None:
        """Add another matrix, or take it off."""
        if sign > 0:
            self.values += other.values
        else:
            self.values -= other.values

    def add_part(self, matrix: FloatArray, placement: Placement) -> None:
        """Add the products of a part of the columns, of which the lower triangle is known."""
        add_products_of_columns(matrix, *placement, self.width, self.values)

    def add_to(self, matrix: FloatArray, factor: float = 1.0) -> None:
        """Add a multiple to the lower triangle of a matrix of shape (width, width)."""
        add_packed(self.values, factor, matrix)

    def rows(self, first: int) -> FloatArray:
        """ndarray of float64, shape (width - first, width): the last rows of the matrix."""
        return self._elements(np.arange(first, self.width), np.arange(self.width))

    def between(self, columns: IntArray) -> FloatArray:
        """ndarray of float64, shape (k, k): some rows and the same columns of the matrix."""
        return self._elements(columns, columns)

    def _elements(self, rows: IntArray, columns: IntArray) -> FloatArray:
        i, j = rows[:, None], columns
        large, small = np.maximum(i, j), np.minimum(i, j)
        return self.values[large * (large + 1) // 2 + small]

    def diagonal(self) -> FloatArray:
        """ndarray of float64, shape (width,): the diagonal."""
        i = np.arange(self.width)
        return self.values[i * (i + 3) // 2]

    def squares(self, vectors: FloatArray) -> FloatArray:
        """ndarray of float64, shape (m,): v^T M v for vectors of shape (m, width)."""
        found = np.zeros(len(vectors))
        rows = self._rows()
        for first in range(0, self.width, _BLOCK):
            last = min(first + _BLOCK, self.width)
            block = np.zeros((last - first, last))
            for row, part in zip(block, rows[first:last], strict=True):
                row[: len(part)] = part
            # What is below the diagonal counts twice.
            block[:, :first] *= 2.0
            corner = block[:, first:]
            corner += np.tril(corner, -1)
            found += np.einsum("mi,mi->m", vectors[:, :last] @ block.T, vectors[:, first:last])
        return found


def mirror(matrix: FloatArray) -> None:
    """Copy the lower triangle of a square matrix to the upper one, in place."""
    for first in range(0, len(matrix), _BLOCK):
        last = min(first + _BLOCK, len(matrix))
        matrix[:first, first:last] = matrix[first:last, :first].T
        corner = matrix[first:last, first:last]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
