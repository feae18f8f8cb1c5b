"""Sums of products of the rows of labeled structures, one for each target.

Rows are [X, composition, y]: energy per atom, force component, virial per atom, scaled by
the square root of the sample weight of their structure.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from threadpoolctl import ThreadpoolController

from plip._core._blas import add_products_of_columns, add_row_products, add_rows_to_factor
from plip._design._extent import Extent
from plip._design._rows import Design, StructureRows
from plip._structures._checks import describe, errors_of, has_full_cell
from plip._types import BoolArray, FloatArray, IntArray
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._sizes import Counts

# Computes or loads the rows of a structure with these forces, and whether it has a stress.
Stored: TypeAlias = Callable[[Design, Atoms, FloatArray | None, bool], StructureRows]

__all__ = ["Sums", "are_few", "chunk_sums", "empty_sums", "single_blas_thread", "triangular_factor"]

# Rows per rank-k update: enough for matrix products to run at full speed and for a chunk of small
# structures to need one update; with 800 columns 15 MB, which is what each worker holds.
_BLOCK_ROWS = 2304

# Rounding of the square of an error that follows from products, as a part of the square of the terms. In
# random fits it is 1e-18 (many rows) to 5e-16 (two rows).
_PRODUCT_ROUNDING = 1e-16

_LIBRARIES = ThreadpoolController().select(user_api="blas").lib_controllers
# Where OpenBLAS runs on OpenMP each thread has a number of its own; all others have one for the process.
_OF_THREAD = [
    library
    for library in _LIBRARIES
    if library.internal_api == "openblas" and library.threading_layer == "openmp"
]
_OF_PROCESS = [library for library in _LIBRARIES if library not in _OF_THREAD]


class _Limit:
    """What limits BLAS to one thread in this process: how many ask for it, and what there was before."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.n_inside = 0
        self.before: list[int] = []


_limit = _Limit()
# The lock that a child inherits may be held by a thread which the child does not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.reset)


@contextlib.contextmanager
def single_blas_thread() -> Iterator[None]:
    """Context in which BLAS runs on one thread, so that bits do not depend on thread settings.

    The number belongs to the process: the first of all threads that enter sets it, the last to leave restores
    what the first found.
    """
    with _limit.lock:
        if _limit.n_inside == 0:
            _limit.before = _set_threads(_OF_PROCESS, [1] * len(_OF_PROCESS))
        _limit.n_inside += 1
    before = _set_threads(_OF_THREAD, [1] * len(_OF_THREAD))
    try:
        yield
    finally:
        _set_threads(_OF_THREAD, before)
        with _limit.lock:
            _limit.n_inside -= 1
            if _limit.n_inside == 0:
                _set_threads(_OF_PROCESS, _limit.before)


def _set_threads(libraries: Sequence[Any], numbers: Sequence[int]) -> list[int]:
    """Set the number of threads of each library, and return what they were."""
    before = [library.num_threads for library in libraries]
    for library, number in zip(libraries, numbers, strict=True):
        # In newer releases of threadpoolctl the thread that first set the number of an OpenBLAS keeps all
        # others from it, silently. Here the one that restores is often another than the one that set.
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(number)
        release(force=True)
    return before


def are_few(n_rows: int, width: int) -> bool:
    """Whether so many rows of so many columns are kept as they are."""
    return n_rows <= 2 * width


class Sums:
    """Products of the rows [X, composition, y] of one target, weighted by sample weights.

    An error that follows from products alone has lost half of its digits, or all where large terms cancel
    each other. Therefore rows can be kept besides: as they are while they are few, then as the triangular
    factor R of their QR decomposition, which has the same products R^T R.

    While rows are added, only the lower triangle of the products is filled, and rows that are kept are not
    among them yet; `complete` ends that.

    Attributes
    ----------
    width : int
        Number of columns.
    weight : float
        Sum of the sample weights of the rows.
    n_rows : int
        Number of rows that were added.
    factor : ndarray of float64, shape (k, width), or None
        Rows, at most twice as many as columns, whose products are those of all rows; None if not all rows
        were kept.
    """

    def __init__(
        self,
        width: int,
        products: FloatArray | None = None,
        weight: float = 0.0,
        n_rows: int = 0,
        factor: FloatArray | None = None,
    ) -> None:
        self.width = width
        self._products = products
        self._kept: list[FloatArray] = []
        self.weight = weight
        self.n_rows = n_rows
        self.factor = factor

    @property
    def products(self) -> FloatArray:
        """ndarray of float64, shape (width, width); not held while there are no rows."""
        return np.zeros((self.width, self.width)) if self._products is None else self._products

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
                self._keep([rows])
            else:
                self._update(rows)

    def _update(self, rows: FloatArray) -> None:
        if self._products is None:
            self._products = np.zeros((self.width, self.width))
        add_row_products(np.ascontiguousarray(rows), self._products)

    def _keep(self, parts: list[FloatArray]) -> None:
        self._kept += parts
        if not are_few(sum(map(len, self._kept)), self.width):
            self._kept = [_few_rows(self._kept)]

    def add(self, other: Sums, columns: IntArray | None = None) -> None:
        """Add sums that are not needed afterwards: their memory may be taken over.

        `columns`, ascending, are theirs if they are not all.
        """
        if columns is not None:
            other = self._widened(other, columns)
        if self._products is None:
            # What comes out of shared memory, such as Ray's, cannot be written to.
            self._products = None if other._products is None else np.require(other._products, None, "W")
        elif other._products is not None:
            self._products += other._products
        self.weight += other.weight
        self.n_rows += other.n_rows
        self._keep(other._kept)

    def _widened(self, other: Sums, columns: IntArray) -> Sums:
        """The rest of other sums of some columns, once their products are added."""
        if other._products is not None:
            if self._products is None:
                self._products = np.zeros((self.width, self.width))
            add_products_of_columns(other._products, columns, self._products)
        rest = Sums(self.width, None, other.weight, other.n_rows)
        for part in other._kept:
            rows = np.zeros((len(part), self.width))
            rows[:, columns] = part
            rest._kept.append(rows)
        return rest

    def complete(self) -> None:
        """Add the rows that are kept, and fill the upper triangle of the products; no rows can follow."""
        if self._kept:
            rows = _few_rows(self._kept)
            self.factor = rows if self._products is None else None
            self._update(rows)
            self._kept = []
        if self._products is not None:
            self._products += np.tril(self._products, -1).T

    def combined(self, other: Sums, sign: int) -> Sums:
        """The sums plus (sign 1) or minus (sign -1) others."""
        if not other.n_rows:
            return self
        n_rows = self.n_rows + sign * other.n_rows
        if not n_rows:  # a difference would leave rounding of weight and products
            return Sums(self.width)
        if not self.n_rows and sign > 0:
            return other
        products = self.products + sign * other.products
        factor = None
        if sign > 0 and self.factor is not None and other.factor is not None:
            factor = _few_rows([self.factor, other.factor])
        return Sums(self.width, products, self.weight + sign * other.weight, n_rows, factor)

    def shifted(self, first: int, change: FloatArray) -> Sums:
        """The sums of rows whose last column is increased by the columns from `first` on times `change`."""
        columns = slice(first, first + len(change))
        products = self.products.copy()
        products[:, -1] += products[:, columns] @ change
        products[-1, -1] += change @ products[columns, -1]
        products[-1, :-1] = products[:-1, -1]
        factor = None if self.factor is None else self.factor.copy()
        if factor is not None:
            factor[:, -1] += factor[:, columns] @ change
        return Sums(self.width, products, self.weight, self.n_rows, factor)

    def squares(self, vectors: FloatArray) -> FloatArray:
        """Sum over rows of the squares of row times vector, for vectors of shape (m, width)."""
        if self.factor is not None:
            residuals = self.factor @ vectors.T
            return np.einsum("rm,rm->m", residuals, residuals)
        return np.maximum(np.einsum("mk,mk->m", vectors @ self.products, vectors), 0.0)

    def are_rounding(self, vectors: FloatArray, squares: FloatArray) -> BoolArray:
        """Which of the `squares` are so small beside the terms that their roots are not known to 1e-6."""
        if self.factor is not None:
            return np.zeros(len(squares), bool)
        # Root mean squares of the terms, added up, are no less than those of their sums.
        terms = np.abs(vectors) @ np.sqrt(np.maximum(np.diagonal(self.products), 0.0))
        return _PRODUCT_ROUNDING * terms**2 > 2e-6 * squares


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


def empty_sums(width: int) -> dict[str, Sums]:
    return {target: Sums(width) for target in TARGETS}


@single_blas_thread()
def chunk_sums(
    design: Design, data: LabelledStructures, reference: FloatArray, stored: Stored, keep_forces: bool
) -> tuple[dict[str, Sums], Extent, Counts]:
    """Sums, extent and counts of one chunk, in whatever process or thread.

    Rows of energies and virials are kept, those of forces where `keep_forces` is true.
    """
    labels, places = data.labels, data.places
    n_terms = design.kernel.n_terms
    width = n_terms + len(design.species) + 1
    sums = empty_sums(width)
    few = {target: _FewRows(sums[target]) for target in ("energy", "virial")}
    block: _Block | None = None
    extent = Extent.empty(len(design.species))
    counts = Counts.empty(len(design.species), n_terms)
    used = {target: labels.used(target) for target in TARGETS}
    weights = {target: labels.weight(target) for target in TARGETS}
    # Columns that are empty for the species of a structure need no update.
    for part, k in _by_part(design, data.structures):
        atoms = data.structures[k]
        weight = {target: weights[target][k] for target in TARGETS}
        energy = labels.energy[k] if labels.energy is not None and used["energy"][k] else None
        forces = labels.forces[k] if labels.forces is not None and used["force"][k] else None
        stress = labels.stress[k] if labels.stress is not None and used["virial"][k] else None
        if stress is not None and not has_full_cell(atoms):
            stress = None
        if energy is None and forces is None and stress is None:
            continue
        size = len(atoms)
        with errors_of(places[k], atoms):
            structure = stored(part, atoms, forces, stress is not None)
        if not np.isfinite(structure.values).all():
            raise ValueError(
                f"{describe(places[k], atoms)}: its descriptors are not finite; a radial function is "
                "too steep for its shortest distance, or the distance is wrong"
            )
        values = np.zeros(n_terms)
        values[part.columns] = structure.values
        extent = extent.merged(structure.extent)
        n_rows = {
            "energy": energy is not None,
            "force": 3 * size * (forces is not None),
            "virial": 6 * (stress is not None),
        }
        weighted_rows = [weight[target] * n_rows[target] for target in TARGETS]
        counts = counts.combined(Counts.of_structure(structure, values, weighted_rows), 1)
        if energy is not None:
            deviation = energy - structure.counts @ reference
            row = np.concatenate([values, structure.counts, [deviation]])
            few["energy"].add(np.sqrt(weight["energy"]) / size * row[None, :], weight["energy"])
        virial = None if stress is None else np.zeros((6, len(part.columns)))
        if forces is not None or virial is not None:
            if block is None or block.part is not part:
                if block is not None:
                    block.finish()
                block = _Block(sums["force"], part, keep_forces)
            block.add(structure, forces, np.sqrt(weight["force"]), virial)
        if stress is not None and virial is not None:
            rows = np.zeros((6, width))
            rows[:, part.columns] = virial
            rows[:, -1] = atoms.get_volume() * stress
            few["virial"].add(np.sqrt(weight["virial"]) / size * rows, 6 * weight["virial"])
    if block is not None:
        block.finish()
    for kept in few.values():
        kept.flush()
    return sums, extent, counts


def _by_part(design: Design, structures: Sequence[Atoms]) -> list[tuple[Design, int]]:
    """The part of the design for each structure and its place, those of the same part one after the other."""
    groups: dict[Design, list[int]] = {}
    for k, atoms in enumerate(structures):
        groups.setdefault(design.part(atoms), []).append(k)
    return [(part, k) for part, places in groups.items() for k in places]


class _FewRows:
    """Rows of energies or virials, which are kept, on their way to the sums."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._rows: list[FloatArray] = []
        self._n_rows = 0
        self._weight = 0.0

    def add(self, rows: FloatArray, weight: float) -> None:
        self._rows.append(rows)
        self._n_rows += len(rows)
        self._weight += weight
        if self._n_rows >= _BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._sums.add_rows(np.concatenate(self._rows), self._weight, keep=True)
        self._rows, self._n_rows, self._weight = [], 0, 0.0


class _Block:
    """Force rows of structures with the same columns, or of a part of one, on their way to rank-k updates.

    Parameters
    ----------
    total : Sums
        Where they are added to: at once if the part has all columns, else by `finish`.
    part : Design
        The design of their columns.
    keep : bool
        Whether rows are kept.
    """

    def __init__(self, total: Sums, part: Design, keep: bool) -> None:
        self.part = part
        self._total = total
        self._columns = np.append(part.columns, total.width - 1)
        self._is_whole = len(self._columns) == total.width - len(part.species)
        self._sums = total if self._is_whole else Sums(len(self._columns))
        self._keep = keep
        self._n_terms = len(part.columns)
        self._rows = np.empty((_BLOCK_ROWS // 3 * 3, self._sums.width))
        self._used = 0
        self._weight = 0.0

    def add(
        self, structure: StructureRows, forces: FloatArray | None, root: float, virial: FloatArray | None
    ) -> None:
        """Add the force rows of a structure, and its virial rows to `virial` (or None)."""
        if forces is not None and structure.force_factor is not None:
            self._add_factor(structure.force_factor, root, forces.size)
            if virial is not None:
                structure.write_rows(0, np.empty((0, self._n_terms)), virial)
            return
        size, first = len(structure.atoms), 0
        while first < size:
            last = min(size, first + (len(self._rows) - self._used) // 3)
            rows = self._rows[self._used : self._used + 3 * (last - first)]
            structure.write_rows(first, rows, virial)
            rows[:, self._n_terms :] = 0.0
            if forces is not None:
                rows[:, -1] = forces[first:last].ravel()
                if root != 1.0:
                    rows *= root
                self._used += len(rows)
                self._weight += root**2 * len(rows)
                if self._used == len(self._rows):
                    self._flush()
            first = last

    def _add_factor(self, factor: FloatArray, root: float, n_rows: int) -> None:
        """Add rows that have the same products as the force rows of a structure and its forces."""
        rows = np.zeros((len(factor), self._sums.width))
        rows[:, : self._n_terms] = root * factor[:, :-1]
        rows[:, -1] = root * factor[:, -1]
        self._sums.add_rows(rows, root**2 * n_rows, self._keep, n_rows)

    def _flush(self) -> None:
        rows = self._rows[: self._used]
        self._sums.add_rows(rows.copy() if self._keep else rows, self._weight, self._keep)
        self._used, self._weight = 0, 0.0

    def finish(self) -> None:
        """Add what is left; no rows can follow."""
        self._flush()
        if not self._is_whole:
            self._total.add(self._sums, self._columns)
