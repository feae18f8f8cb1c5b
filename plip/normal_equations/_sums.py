"""Sums of products of the rows of labeled structures, one for each target.

Rows are [X, composition, y]: energy per atom, force component, virial per atom, scaled by
the square root of the sample weight of their structure.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from ase import Atoms
from threadpoolctl import ThreadpoolController

from plip._core._blas import add_row_products, add_rows_to_factor
from plip._design._extent import Extent
from plip._design._rows import Design, StructureDesign, StructureRows
from plip._design._rows_of_each import LARGEST, RowsOfEach
from plip._structures._checks import describe, errors_of, volumes
from plip._types import BoolArray, FloatArray, IntArray
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._chunks import Share
from plip.normal_equations._packed import Packed, mirror
from plip.normal_equations._products import Products
from plip.normal_equations._sizes import Counts

# Computes or loads the rows of a structure with these forces, and whether it has a stress.
Stored: TypeAlias = Callable[[Design, Atoms, FloatArray | None, bool], StructureRows]

__all__ = ["Sums", "are_few", "chunk_sums", "empty_sums", "single_blas_thread", "triangular_factor"]

# Rows per rank-k update: enough for matrix products to run at full speed and for a chunk of small
# structures to need one update. Each worker holds them, so that there are fewer of more than 650 columns.
_BLOCK_ROWS = 2304
_BLOCK_BYTES = 12e6

# Where more of the columns of rows that were kept are not zero, all are updated.
_MOST_COLUMNS = 0.9

# Structures whose values and virials become rows at a time, unless they are wide.
_AT_A_TIME = 32
_BYTES_AT_A_TIME = 4e6

# Largest number of columns for which the rows of many forces are kept, too: a QR decomposition takes three
# times as long as products, which matters little there. For more columns products suffice: even where labels
# are those of another fit, and columns depend on each other, errors are 3e-5 of the terms.
NARROW = 100

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
        self._kept: list[FloatArray] = []

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
                self._keep([rows])
            else:
                self._update(rows)

    def _update(self, rows: FloatArray) -> None:
        if self._latest is None:
            self._latest = np.zeros((self.width, self.width))
        add_row_products(np.ascontiguousarray(rows), self._latest)

    def _keep(self, parts: list[FloatArray]) -> None:
        self._kept += parts
        if not are_few(sum(map(len, self._kept)), self.width):
            self._kept = [_few_rows(self._kept)]

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

    def add_part(self, other: Sums, columns: IntArray) -> None:
        """Add sums of some columns, ascending, which are not complete and were not added up."""
        if other._latest is not None:
            if self._packed is None:
                self._packed = Packed(self.width)
            self._packed.add_part(other._latest, columns)
        for k, part in enumerate(other._kept):
            other._kept[k] = np.zeros((len(part), self.width))
            other._kept[k][:, columns] = part
        self._count(other)

    def _count(self, other: Sums) -> None:
        """Add what others have besides products."""
        self.weight += other.weight
        self.n_rows += other.n_rows
        self._keep(other._kept)
        if self._packed is not None and self._kept:
            # Not all rows are known, so that those which are serve no more.
            while self._kept:
                self._release(self._kept.pop(0))
            self.pack()

    def _release(self, rows: FloatArray) -> None:
        """Add the products of rows that were kept; columns of zeros, of other species, need no update."""
        assert self._packed is not None  # as where it is called
        columns = np.flatnonzero(rows.any(axis=0))
        if len(columns) > _MOST_COLUMNS * self.width:
            self._update(rows)
        elif len(columns):
            products = np.zeros((len(columns),) * 2)
            add_row_products(np.ascontiguousarray(rows[:, columns]), products)
            self._packed.add_part(products, columns)

    def complete(self) -> None:
        """End the adding of rows."""
        self.pack()
        factor = _few_rows(self._kept) if self._kept else None
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
        for sign, part in self._parts:
            if sign > 0:
                part.add_to(matrix, factor)
            else:
                part.packed.add_to(matrix, -factor)

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
    design: Design,
    data: LabelledStructures,
    reference: FloatArray,
    stored: Stored | None,
    keep: Collection[str],
    share: Share,
) -> tuple[dict[str, Sums], Extent, Counts]:
    """Sums, extent and counts of a share of one chunk, in whatever process or thread.

    Rows of the targets in `keep` are kept. If `stored` is None, rows are computed, those of small structures
    together.
    """
    chunk = _ChunkSums(design, data, reference, keep)
    # Columns that are empty for the species of a structure need no update.
    for part, places in _by_part(design, data.structures).items():
        chunk.begin(part)
        labeled = [k for k in places if any(chunk.labels[k].n_rows())]
        for k in labeled if stored is not None else chunk.add_small(labeled):
            atoms, labels = data.structures[k], chunk.labels[k]
            with errors_of(data.places[k], atoms):
                has_virial = labels.virial is not None
                structure = (
                    StructureDesign(part, atoms, has_virial)
                    if stored is None
                    else stored(part, atoms, labels.forces, has_virial)
                )
            chunk.add_structure(structure, k, share)
    return chunk.finish()


def _by_part(design: Design, structures: Sequence[Atoms]) -> dict[Design, list[int]]:
    """The places of the structures for each part of the design."""
    places: dict[Design, list[int]] = {}
    for k, atoms in enumerate(structures):
        places.setdefault(design.part(atoms), []).append(k)
    return places


class _StructureLabels(NamedTuple):
    """Labels of a structure that count, None where there is none."""

    energy: float | None
    forces: FloatArray | None
    virial: FloatArray | None

    def n_rows(self) -> tuple[int, int, int]:
        """Numbers of rows of the targets."""
        forces = 0 if self.forces is None else self.forces.size
        return int(self.energy is not None), forces, 6 * (self.virial is not None)


def _labels_that_count(data: LabelledStructures) -> list[_StructureLabels]:
    energies, forces, stresses = (_used_labels(data, target) for target in TARGETS)
    virials = [
        None if stress is None or np.isnan(volume) else volume * stress
        for stress, volume in zip(stresses, volumes(data.structures), strict=True)
    ]
    return [_StructureLabels(*labels) for labels in zip(energies, forces, virials, strict=True)]


class _ChunkSums:
    """Sums of a chunk in the making; parameters as for `chunk_sums`.

    Attributes
    ----------
    labels : list of _StructureLabels
        Those of each structure.
    """

    def __init__(
        self, design: Design, data: LabelledStructures, reference: FloatArray, keep: Collection[str]
    ) -> None:
        self._n_terms, n_species = design.kernel.n_terms, len(design.species)
        self._data = data
        self._weights = np.column_stack([data.labels.weight(target) for target in TARGETS])
        self.labels = _labels_that_count(data)
        self._reference = reference
        self._keep = keep
        self._sums = empty_sums(self._n_terms + n_species + 1)
        n_energies, _, n_virials = np.sum([labels.n_rows() for labels in self.labels], axis=0).tolist()
        self._energy = _FewRows(self._sums["energy"], n_energies, "energy" in keep)
        self._most_virials = n_virials
        self._extent = Extent.empty(n_species)
        self._counts = Counts.empty(n_species, self._n_terms)
        # Of the part of the design whose structures are being added.
        self._part = design
        self._forces: _ForceRows | None = None
        self._virials: _VirialRows | None = None

    def begin(self, part: Design) -> None:
        """Go on to the structures of another part of the design."""
        self._finish_part()
        self._part = part
        self._forces = _ForceRows(self._sums["force"], part, "force" in self._keep)
        self._virials = _VirialRows(self._sums["virial"], part, self._most_virials, "virial" in self._keep)

    def add_small(self, places: Sequence[int]) -> list[int]:
        """Add all small structures of some places, many at a time; return the places of the others."""
        assert self._forces is not None  # since `begin`
        sizes = {k: len(self._data.structures[k]) for k in places}
        most_atoms = min(LARGEST, self._forces.room)
        left = [k for k in places if sizes[k] > most_atoms]
        for has_forces in (True, False):
            small = [
                k
                for k in places
                if sizes[k] <= most_atoms and (self.labels[k].forces is not None) == has_forces
            ]
            for some in self._batches(small, sizes):
                if not self._add_each(some, has_forces):
                    left += some
        return sorted(left)

    def _batches(self, places: Sequence[int], sizes: Mapping[int, int]) -> Iterator[list[int]]:
        """Places of structures whose force rows fill a block, and whose values are not too many."""
        assert self._forces is not None  # since `begin`
        most = max(int(_BYTES_AT_A_TIME / (56 * self._n_terms)), 1)
        batch: list[int] = []
        n_atoms = 0
        for k in places:
            if batch and (n_atoms + sizes[k] > self._forces.room or len(batch) == most):
                yield batch
                batch, n_atoms = [], 0
            batch.append(k)
            n_atoms += sizes[k]
        if batch:
            yield batch

    def _add_each(self, places: list[int], has_forces: bool) -> bool:
        """Add several small structures, and return whether it could be done."""
        assert self._forces is not None  # since `begin`
        structures = [self._data.structures[k] for k in places]
        labels = [self.labels[k] for k in places]
        has_virials = any(one.virial is not None for one in labels)
        rows = self._forces.next(sum(map(len, structures))) if has_forces else None
        found = RowsOfEach.compute(self._part, structures, has_virials, rows)
        if found is None:
            return False
        self._check(found.values, places)
        if has_forces:
            sizes = found.counts.sum(axis=1).astype(int)
            roots = np.repeat(np.sqrt(self._weights[places, 1]), 3 * sizes)
            self._forces.take(np.concatenate([one.forces for one in labels]).ravel(), roots)
        self._take(places, found.counts, found.pairs, found.values, found.virials, found.extent)
        return True

    def add_structure(self, structure: StructureRows, k: int, share: Share) -> None:
        """Add a share of the structure at place k."""
        assert self._forces is not None  # since `begin`
        values, virials, forces = structure.values[None], structure.virials, self.labels[k].forces
        self._check(values, [k])
        if forces is not None:
            root = np.sqrt(self._weights[k, 1])
            self._forces.add(structure, forces, root, share.atoms(len(structure.atoms)))
        if share.number == 0:
            virials = None if virials is None else virials[None]
            self._take([k], structure.counts[None], structure.pairs[None], values, virials, structure.extent)

    def _check(self, values: FloatArray, places: Sequence[int]) -> None:
        are_finite = np.isfinite(values).all(axis=1)
        if not are_finite.all():
            k = places[int(are_finite.argmin())]
            name = describe(self._data.places[k], self._data.structures[k])
            raise ValueError(
                f"{name}: its descriptors are not finite; a radial function is too steep for its shortest "
                "distance, or the distance is wrong"
            )

    def _take(
        self,
        places: list[int],
        counts: FloatArray,
        pairs: FloatArray,
        values: FloatArray,
        virials: FloatArray | None,
        extent: Extent,
    ) -> None:
        """Add all of some structures but their forces."""
        labels = [self.labels[k] for k in places]
        weights = self._weights[places]
        all_values = np.zeros((len(places), self._n_terms))
        all_values[:, self._columns] = values
        self._extent = self._extent.merged(extent)
        self._counts.add_structures(
            counts, pairs, all_values, weights * np.array([one.n_rows() for one in labels])
        )
        sizes = counts.sum(axis=1)
        has_energy = np.array([one.energy is not None for one in labels])
        if has_energy.any():
            rows = self._energy.next(has_energy.sum(), float(weights[has_energy, 0].sum()))
            rows[:, : self._n_terms] = all_values[has_energy]
            rows[:, self._n_terms : -1] = counts[has_energy]
            rows[:, -1] = [one.energy for one in labels if one.energy is not None]
            rows[:, -1] -= counts[has_energy] @ self._reference
            rows *= (np.sqrt(weights[:, 0]) / sizes)[has_energy, None]
        has_virial = np.array([one.virial is not None for one in labels])
        if has_virial.any():
            assert virials is not None and self._virials is not None  # as asked for, and since `begin`
            self._virials.add(
                virials[has_virial],
                np.array([one.virial for one in labels if one.virial is not None]),
                weights[has_virial, 2],
                sizes[has_virial],
            )

    @property
    def _columns(self) -> IntArray | slice:
        """The columns of the part; a slice of all is written to in a fraction of the time."""
        columns = self._part.columns
        return slice(self._n_terms) if len(columns) == self._n_terms else columns

    def _finish_part(self) -> None:
        for rows in (self._forces, self._virials):
            if rows is not None:
                rows.finish()
        # The rows of forces take more memory than all else.
        self._forces = self._virials = None

    def finish(self) -> tuple[dict[str, Sums], Extent, Counts]:
        self._finish_part()
        self._energy.flush()
        for sums in self._sums.values():
            sums.pack()
        return self._sums, self._extent, self._counts


def _used_labels(data: LabelledStructures, target: str) -> list[Any]:
    """The labels of a target with weight, None where there is none."""
    values = data.labels.values(target)
    if values is None:
        return [None] * len(data)
    used = data.labels.used(target).tolist()
    return [value if is_used else None for value, is_used in zip(values, used, strict=True)]


class _FewRows:
    """Rows of energies or virials on their way to the sums, so many at most."""

    def __init__(self, sums: Sums, most: int, keep: bool) -> None:
        self._sums = sums
        self._keep = keep
        self._rows = np.zeros((min(most, _BLOCK_ROWS), sums.width))
        self._used = 0
        self._weight = 0.0

    def next(self, n: int, weight: float) -> FloatArray:
        """The next rows, zero, to write to; `weight` is the sum of their weights."""
        if self._used + n > len(self._rows):
            self.flush()
            self._rows = np.zeros((max(n, len(self._rows)), self._sums.width))
        self._used += n
        self._weight += weight
        return self._rows[self._used - n : self._used]

    def flush(self) -> None:
        self._sums.add_rows(self._rows[: self._used], self._weight, self._keep)
        self._used, self._weight = 0, 0.0


class _PartSums:
    """Sums of one target of structures with the same columns.

    Parameters
    ----------
    total : Sums
        Where they are added to: at once if the part has all columns, else by `_add_to_total`.
    part : Design
        The design of their columns.
    """

    def __init__(self, total: Sums, part: Design) -> None:
        self._total = total
        self._columns = np.append(part.columns, total.width - 1)
        self._is_whole = len(self._columns) == total.width - len(part.species)
        self._sums = total if self._is_whole else Sums(len(self._columns))
        self._n_terms = len(part.columns)

    def _add_to_total(self) -> None:
        """Add what is not there yet; no rows can follow."""
        if not self._is_whole:
            self._total.add_part(self._sums, self._columns)


class _VirialRows(_PartSums):
    """Virial rows of structures with the same columns, at most `most`."""

    def __init__(self, total: Sums, part: Design, most: int, keep: bool) -> None:
        super().__init__(total, part)
        self._few = _FewRows(self._sums, most, keep)

    def add(self, virials: FloatArray, labels: FloatArray, weights: FloatArray, sizes: FloatArray) -> None:
        """Add the virials of n structures, (n, 6, n_terms), with labels (n, 6), weights, numbers of atoms."""
        rows = self._few.next(6 * len(virials), 6 * float(weights.sum()))
        rows[:, : self._n_terms] = virials.reshape(-1, self._n_terms)
        rows[:, -1] = labels.ravel()
        rows *= np.repeat(np.sqrt(weights) / sizes, 6)[:, None]

    def finish(self) -> None:
        self._few.flush()
        self._add_to_total()


class _ForceRows(_PartSums):
    """Force rows of structures with the same columns, or of a part of one, on their way to rank-k updates."""

    def __init__(self, total: Sums, part: Design, keep: bool) -> None:
        super().__init__(total, part)
        self._keep = keep
        n_rows = min(_BLOCK_ROWS, _BLOCK_BYTES / (8 * self._sums.width))
        self._rows = np.empty((3 * max(int(n_rows / 3), 1), self._sums.width))
        self._used = 0
        self._weight = 0.0

    @property
    def room(self) -> int:
        """int: number of atoms whose rows fill a block."""
        return len(self._rows) // 3

    def next(self, n_atoms: int) -> FloatArray:
        """The next rows, to write to, of at most `room` atoms; they count with `take`."""
        if self._used + 3 * n_atoms > len(self._rows):
            self._flush()
        return self._rows[self._used : self._used + 3 * n_atoms]

    def take(self, forces: FloatArray, roots: FloatArray) -> None:
        """Add the next rows, with force components and roots of weights, all of shape (n_rows,)."""
        rows = self._rows[self._used : self._used + len(forces)]
        rows[:, self._n_terms :] = 0.0
        rows[:, -1] = forces
        if (roots != 1.0).any():
            rows *= roots[:, None]
        self._used += len(rows)
        self._weight += float(roots @ roots)

    def add(self, structure: StructureRows, forces: FloatArray, root: float, of: slice) -> None:
        """Add the force rows of some atoms of a structure, times the root of its weight."""
        if structure.force_factor is not None:
            self._add_factor(structure.force_factor, root, forces.size)
            return
        first, end = of.start, of.stop
        while first < end:
            last = min(end, first + (len(self._rows) - self._used) // 3)
            structure.write_rows(first, self.next(last - first))
            self.take(forces[first:last].ravel(), np.full(3 * (last - first), root))
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
        self._add_to_total()
