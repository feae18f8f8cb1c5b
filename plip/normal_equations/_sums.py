"""Sums of products of the rows of labeled structures, one for each target.

Rows are [X, composition, y]: energy per atom, force component, virial per atom, scaled by
the square root of the sample weight of their structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from plip._core._blas import add_row_products, add_rows_to_factor
from plip._design._part import Placement
from plip._types import BoolArray, FloatArray, IntArray
from plip.labels import TARGETS
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._packed import Packed, mirror
from plip.normal_equations._products import Products

__all__ = [
    "NARROW",
    "Sums",
    "are_few",
    "are_products",
    "bounds_of_products",
    "empty_sums",
    "triangular_factor",
]

# Largest number of columns for which the rows of many forces are kept, too: a QR decomposition takes three
# times as long as products, which matters little there. For more columns products suffice: even where labels
# are those of another fit, and columns depend on each other, errors are 3e-5 of the terms.
NARROW = 100

# Rows that are multiplied at once: each time all products of the columns are read and written.
_ROWS_AT_ONCE = 512

# Rounding of the square of an error that follows from products, as a part of the square of the terms. In
# random fits it is 1e-18 (many rows) to 5e-16 (two rows).
_PRODUCT_ROUNDING = 1e-16


def are_few(n_rows: int, width: int) -> bool:
    """Whether so many rows of so many columns are kept as they are."""
    return n_rows <= 2 * width


class _Kept(NamedTuple):
    """Rows that are kept, or those of a part of the columns."""

    rows: FloatArray
    placement: Placement | None = None

    def widened(self, width: int) -> FloatArray:
        return self.rows if self.placement is None else self.placement.widened(self.rows, width)


class Sums:
    """Products of the rows [X, composition, y] of one target, weighted by sample weights.

    An error that follows from products alone has lost half of its digits, or all where large terms cancel
    each other. Therefore rows can be kept besides: as they are while they are few, then as the triangular
    factor R of their QR decomposition, which has the same products R^T R.

    Rows are added, then `complete` is called, and no rows can follow. Sums that are `combined` share the
    memory of their parts until they are `merged`.

    Attributes
    ----------
    width : int
        Number of columns.
    weight : float
        Sum of the sample weights of the rows.
    n_rows : int
        Number of rows that were added.
    """

    def __init__(
        self,
        width: int,
        weight: float = 0.0,
        n_rows: int = 0,
        parts: Sequence[tuple[int, Products]] = (),
    ) -> None:
        self.width = width
        self.weight = weight
        self.n_rows = n_rows
        # Each with a sign.
        self._parts = list(parts)
        # Until `complete`: products, those of the latest rows (not packed yet), and rows that are kept.
        self._packed: Packed | None = None
        self._latest: FloatArray | None = None
        self._kept: list[_Kept] = []

    @property
    def factor(self) -> FloatArray | None:
        """ndarray of float64, shape (k, width), or None.

        Rows, at most twice as many as columns, whose products are those of all rows; None if not all rows
        were kept.
        """
        factors = [part.factor for sign, part in self._parts if sign > 0]
        known = [factor for factor in factors if factor is not None]
        if not known or len(known) < len(self._parts):
            return None
        if len(known) > 1 and self.width > NARROW and not are_few(sum(map(len, known)), self.width):
            return None
        return known[0] if len(known) == 1 else _few_rows(known)

    @property
    def products(self) -> FloatArray:
        """ndarray of float64, shape (width, width): the products, made when they are asked for."""
        matrix = np.zeros((self.width, self.width))
        self.add_to(matrix)
        mirror(matrix)
        return matrix

    def add_rows(
        self, rows: FloatArray, weight: float, keep: bool = False, n_rows: int | None = None
    ) -> None:
        """Add rows that are already scaled by the square roots of their weights, whose sum is `weight`.

        They stand for `n_rows` if they are a factor of others.
        """
        if len(rows):
            self.weight += weight
            self.n_rows += len(rows) if n_rows is None else n_rows
            if keep:
                self._keep([_Kept(rows)])
            else:
                self._update(rows)

    def add_rows_of_columns(self, rows: FloatArray, columns: IntArray, weight: float) -> None:
        """Add scaled rows that are zero in all but some columns, ascending, of which `rows` are made."""
        if len(rows):
            self.weight += weight
            self.n_rows += len(rows)
            self._update_part([rows], Placement.of(columns))

    def _update_part(self, blocks: list[FloatArray], placement: Placement) -> None:
        if self._packed is None:
            self._packed = Packed(self.width)
        products = np.empty((blocks[0].shape[1],) * 2)
        for k, rows in enumerate(blocks):
            add_row_products(np.ascontiguousarray(rows), products, is_first=k == 0)
        self._packed.add_part(products, placement)

    def _update(self, rows: FloatArray) -> None:
        is_first = self._latest is None
        if self._latest is None:
            self._latest = np.empty((self.width, self.width))
        add_row_products(np.ascontiguousarray(rows), self._latest, is_first=is_first)

    def _keep(self, parts: list[_Kept]) -> None:
        self._kept += parts
        if not are_few(sum(len(kept.rows) for kept in self._kept), self.width):
            self._kept = [_Kept(self._all_kept())]

    def _all_kept(self) -> FloatArray:
        """All rows that are kept, or their triangular factor."""
        return _few_rows([kept.widened(self.width) for kept in self._kept])

    def pack(self) -> None:
        """Halve the memory of the products that were added."""
        if self._latest is not None:
            latest, self._latest = Packed.of(self._latest), None
            self._take(latest)

    def _take(self, packed: Packed) -> None:
        if self._packed is None:
            # What comes out of shared memory, such as Ray's, cannot be written to.
            self._packed = Packed(self.width, np.require(packed.values, None, "W"))
        else:
            self._packed.add(packed)

    def add(self, other: Sums) -> None:
        """Add sums that are not complete and not needed afterwards: their memory may be taken over."""
        self.pack()
        other.pack()
        if other._packed is not None:
            self._take(other._packed)
            # Whoever has made the others may hold them for a while.
            other._packed = None
        self._count(other)

    def add_part(self, other: Sums, placement: Placement) -> None:
        """Add sums of a part of the columns, not complete, not added up, and not needed afterwards."""
        if other._latest is not None:
            if self._packed is None:
                self._packed = Packed(self.width)
            self._packed.add_part(other._latest, placement)
        other._kept = [_Kept(kept.rows, placement) for kept in other._kept]
        self._count(other)

    def _count(self, other: Sums) -> None:
        """Add what others have besides products."""
        self.weight += other.weight
        self.n_rows += other.n_rows
        self._keep(other._kept)
        if self._packed is not None and self._kept:
            # Not all rows are known, so that those which are serve no more.
            self._release()
            self.pack()

    def _release(self) -> None:
        """Add the products of the rows that were kept, those of the same part of the columns together."""
        groups: dict[tuple[bytes, ...], list[_Kept]] = {}
        for kept in self._kept:
            key = tuple(array.tobytes() for array in kept.placement or ())
            groups.setdefault(key, []).append(kept)
        self._kept = []
        for group in groups.values():
            blocks, placement = [kept.rows for kept in group], group[0].placement
            if placement is None:
                for rows in blocks:
                    self._update(rows)
            else:
                self._update_part(blocks, placement)

    def complete(self) -> None:
        """End the adding of rows."""
        self.pack()
        factor = self._all_kept() if self._kept else None
        are_all = self._packed is None
        if factor is not None and (not are_all or len(factor) < self.n_rows):
            self._update(factor)
            self.pack()
        if self.n_rows:
            self._parts = [(1, Products(self.width, factor if are_all else None, self._packed))]
        self._packed, self._kept = None, []

    def combined(self, other: Sums, sign: int) -> Sums:
        """The sums plus (sign 1) or minus (sign -1) others."""
        if not other.n_rows:
            return self
        n_rows = self.n_rows + sign * other.n_rows
        if not n_rows:  # a difference would leave rounding of weight and products
            return Sums(self.width)
        parts = list(self._parts)
        for own_sign, part in other._parts:
            # What was added and is taken out again leaves no rounding.
            opposite = [k for k, (old, same) in enumerate(parts) if same is part and old == -sign * own_sign]
            if opposite:
                del parts[opposite[0]]
            else:
                parts.append((sign * own_sign, part))
        return Sums(self.width, self.weight + sign * other.weight, n_rows, parts)

    def merged(self) -> Sums:
        """The same sums with memory of their own."""
        if len(self._parts) <= 1 and not any(part.is_stowed for _, part in self._parts):
            return self
        factor = self.factor
        packed = None
        if factor is None or len(factor) < self.n_rows:
            packed = Packed(self.width)
            for sign, part in self._parts:
                packed.add(part.packed, sign)
        return Sums(self.width, self.weight, self.n_rows, [(1, Products(self.width, factor, packed))])

    @single_blas_thread()
    def stow(self, file: IO[bytes]) -> None:
        """Move the arrays to a file, from which they are read whenever they are needed."""
        for _, part in self._parts:
            part.stow(file)

    def shifted(self, first: int, change: FloatArray) -> Sums:
        """The sums of rows whose last column is increased by the columns from `first` on times `change`."""
        columns = slice(first, first + len(change))
        factor = self.factor
        if factor is not None:
            factor = factor.copy()
            factor[:, -1] += factor[:, columns] @ change
        packed = None
        if factor is None or len(factor) < self.n_rows:
            packed = Packed(self.width)
            for sign, part in self._parts:
                packed.add(part.packed, sign)
            rows = packed.rows(first)
            others = rows[: len(change)]
            last = rows[-1] + change @ others
            last[-1] += change @ (others[:, -1] + others[:, columns] @ change)
            packed.values[-self.width :] = last
        return Sums(self.width, self.weight, self.n_rows, [(1, Products(self.width, factor, packed))])

    def add_to(self, matrix: FloatArray, factor: float = 1.0) -> None:
        """Add a positive multiple of the products to the lower triangle of a matrix, (width, width)."""
        unpacked = [part for sign, part in self._parts if sign > 0 and not part.is_packed]
        for rows in _together(part.factor for part in unpacked):
            add_row_products(rows, matrix, factor)
        for sign, part in self._parts:
            if sign < 0 or part.is_packed:
                part.packed.add_to(matrix, sign * factor)

    def rows(self, first: int) -> FloatArray:
        """ndarray of float64, shape (width - first, width): the last rows of the products."""
        found = np.zeros((self.width - first, self.width))
        for sign, part in self._parts:
            found += sign * part.rows(first)
        return found

    def between(self, columns: IntArray) -> FloatArray:
        """ndarray of float64, shape (k, k): the products of some columns."""
        found = np.zeros((len(columns),) * 2)
        for sign, part in self._parts:
            found += sign * part.between(columns)
        return found

    def squares(self, vectors: FloatArray) -> FloatArray:
        """Sum over rows of the squares of row times vector, for vectors of shape (m, width)."""
        found = np.zeros(len(vectors))
        for sign, part in self._parts:
            found += sign * part.squares(vectors)
        return np.maximum(found, 0.0)

    def are_rounding(self, vectors: FloatArray, squares: FloatArray) -> BoolArray:
        """Which of the `squares` are so small beside the terms that their roots are not known to 1e-6."""
        if all(sign > 0 and part.factor is not None for sign, part in self._parts):
            return np.zeros(len(squares), bool)
        diagonal = sum(sign * part.diagonal() for sign, part in self._parts)
        # Root mean squares of the terms, added up, are no less than those of their sums.
        terms = np.abs(vectors) @ np.sqrt(np.maximum(diagonal, 0.0))
        return _PRODUCT_ROUNDING * terms**2 > 2e-6 * squares


def _together(parts: Iterable[FloatArray | None]) -> Iterator[FloatArray]:
    """The rows of several arrays, not too few at a time."""
    waiting: list[FloatArray] = []
    for rows in parts:
        if rows is not None:
            waiting.append(rows)
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
            yield np.ascontiguousarray(waiting[0]) if len(waiting) == 1 else np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


@single_blas_thread()
def _few_rows(parts: list[FloatArray]) -> FloatArray:
    """One array of the rows, or of the triangular factor of their QR decomposition if they are not few."""
    rows = np.concatenate(parts)
    return rows if are_few(*rows.shape) else triangular_factor(rows)


def triangular_factor(rows: FloatArray) -> FloatArray:
    """R of the QR decomposition of rows, shape (n_rows, width): it has the same products R^T R."""
    factor = np.zeros((rows.shape[1],) * 2, order="F")
    add_rows_to_factor(np.array(rows, order="F"), factor)
    return np.ascontiguousarray(factor)


def bounds_of_products(products: FloatArray) -> tuple[FloatArray, float]:
    """Largest absolute values that the squares on the diagonal allow, and what rounding may add.

    Rounding is that of sums from which a part of the data was taken out.
    """
    squares = np.diagonal(products)
    roots = np.sqrt(np.maximum(squares, 0.0))
    return np.outer(roots, roots), 1e-9 * float(np.abs(squares).max())


def are_products(products: FloatArray) -> bool:
    """Whether a matrix can be sums of squares and products of the same rows."""
    bound, rounding = bounds_of_products(products)
    is_positive = np.diagonal(products).min() >= -rounding
    return bool(is_positive and (np.abs(products) <= (1.0 + 1e-6) * bound + rounding).all())


def empty_sums(width: int) -> dict[str, Sums]:
    return {target: Sums(width) for target in TARGETS}
