"""Sums of one chunk of labeled structures: their rows, and the way of these into the sums."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from ase import Atoms

from plip._design._extent import Extent
from plip._design._rows import Design, StructureDesign, StructureRows
from plip._design._rows_of_each import LARGEST, RowsOfEach
from plip._structures._checks import describe, errors_of, volumes
from plip._types import FloatArray, Int32Array, IntArray
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._chunks import Share
from plip.normal_equations._sizes import Counts
from plip.normal_equations._sums import Sums, empty_sums

# Computes or loads the rows of a structure with these forces, and whether it has a stress.
Stored: TypeAlias = Callable[[Design, Atoms, FloatArray | None, bool], StructureRows]

__all__ = ["Stored", "chunk_sums"]

# Rows per rank-k update: enough for matrix products to run at full speed and for a chunk of small
# structures to need one update. Each worker holds them, so that there are fewer of more than 650 columns.
_BLOCK_ROWS = 2304
_BLOCK_BYTES = 12e6

# Bytes of the values of small structures that are computed at a time.
_BYTES_AT_A_TIME = 4e6


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
        chunk.begin(part, places)
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
        n_energies = sum(labels.energy is not None for labels in self.labels)
        self._energy = _FewRows(self._sums["energy"], n_energies, "energy" in keep)
        self._extent = Extent.empty(n_species)
        self._counts = Counts.empty(n_species, self._n_terms)
        # Of the part of the design whose structures are being added.
        self._part = design
        self._forces: _ForceRows | None = None
        self._virials: _VirialRows | None = None

    def begin(self, part: Design, places: Sequence[int]) -> None:
        """Go on to the structures of another part of the design, at these places."""
        self._finish_part()
        n_virials = 6 * sum(self.labels[k].virial is not None for k in places)
        self._part = part
        self._forces = _ForceRows(self._sums["force"], part, "force" in self._keep)
        self._virials = _VirialRows(self._sums["virial"], part, n_virials, "virial" in self._keep)

    def add_small(self, places: Sequence[int]) -> list[int]:
        """Add all small structures of some places, many at a time; return the places of the others."""
        assert self._forces is not None  # since `begin`
        sizes = {k: len(self._data.structures[k]) for k in places}
        most_atoms = min(LARGEST, self._forces.room)
        left = [k for k in places if sizes[k] > most_atoms]
        # By whether they have forces and a virial.
        alike: dict[tuple[bool, bool], list[int]] = {}
        for k in places:
            if sizes[k] <= most_atoms:
                labels = self.labels[k]
                alike.setdefault((labels.forces is not None, labels.virial is not None), []).append(k)
        for small in alike.values():
            for some in self._batches(small, sizes):
                if not self._add_each(some):
                    left += some
        return sorted(left)

    def _batches(self, places: Sequence[int], sizes: Mapping[int, int]) -> Iterator[list[int]]:
        """Places of structures whose force rows fill a block, and whose values are not too many."""
        assert self._forces is not None  # since `begin`
        most = max(int(_BYTES_AT_A_TIME / (8 * self._n_terms)), 1)
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

    def _add_each(self, places: list[int]) -> bool:
        """Add several small structures that have the same labels, and return whether it could be done."""
        assert self._forces is not None and self._virials is not None  # since `begin`
        structures = [self._data.structures[k] for k in places]
        forces = [one.forces for k in places if (one := self.labels[k]).forces is not None]
        virials = [one.virial for k in places if (one := self.labels[k]).virial is not None]
        force_rows = self._forces.next(sum(map(len, structures))) if forces else None
        virial_rows = self._virials.next(len(places)) if virials else None
        found = RowsOfEach.compute(self._part, structures, virial_rows, force_rows)
        if found is None:
            return False
        self._check(found.values, places)
        sizes = found.counts.sum(axis=1)
        if forces:
            roots = np.repeat(np.sqrt(self._weights[places, 1]), sizes.astype(int))
            species = np.concatenate([self._part.species_of(atoms) for atoms in structures])
            self._forces.take(np.concatenate(forces), roots, species)
        if virials:
            self._virials.take(np.array(virials), self._weights[places, 2], sizes)
        self._take(places, found.counts, found.pairs, found.values, found.extent)
        return True

    def add_structure(self, structure: StructureRows, k: int, share: Share) -> None:
        """Add a share of the structure at place k."""
        assert self._forces is not None  # since `begin`
        values, labels = structure.values[None], self.labels[k]
        self._check(values, [k])
        if labels.forces is not None:
            root = np.sqrt(self._weights[k, 1])
            species = self._part.species_of(structure.atoms)
            self._forces.add(structure, labels.forces, root, species, share.atoms(len(structure.atoms)))
        if share.number > 0:
            return
        if labels.virial is not None:
            assert structure.virials is not None  # as asked for
            assert self._virials is not None  # since `begin`
            sizes = structure.counts.sum(keepdims=True)
            self._virials.next(1)[:, : structure.virials.shape[1]] = structure.virials
            self._virials.take(labels.virial[None], self._weights[[k], 2], sizes)
        self._take([k], structure.counts[None], structure.pairs[None], values, structure.extent)

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
        extent: Extent,
    ) -> None:
        """Add all of some structures but their forces and virials."""
        labels = [self.labels[k] for k in places]
        weights = self._weights[places]
        all_values = values if self._part.is_whole else self._part.placement.widened(values, self._n_terms)
        self._extent = self._extent.merged(extent)
        self._counts.add_structures(
            counts, pairs, all_values, weights * np.array([one.n_rows() for one in labels])
        )
        sizes = counts.sum(axis=1)
        has_energy = np.array([one.energy is not None for one in labels])
        if has_energy.any():
            rows = self._energy.next(has_energy.sum())
            rows[:, : self._n_terms] = all_values[has_energy]
            rows[:, self._n_terms : -1] = counts[has_energy]
            rows[:, -1] = [one.energy for one in labels if one.energy is not None]
            rows[:, -1] -= counts[has_energy] @ self._reference
            rows *= (np.sqrt(weights[:, 0]) / sizes)[has_energy, None]
            self._energy.take(len(rows), float(weights[has_energy, 0].sum()))

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
        self._rows = np.empty((min(most, _BLOCK_ROWS), sums.width))
        self._used = 0
        self._weight = 0.0

    def next(self, n: int) -> FloatArray:
        """The next rows, to write to; they count with `take`."""
        if self._used + n > len(self._rows):
            self.flush()
            self._rows = np.empty((max(n, len(self._rows)), self._sums.width))
        return self._rows[self._used : self._used + n]

    def take(self, n: int, weight: float) -> None:
        """Add the next rows, whose weights have this sum."""
        self._used += n
        self._weight += weight

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
        self._n_terms = part.kernel.n_terms
        self._placement = part.placement.followed_by(total.width - 1, self._n_terms)
        self._is_whole = part.is_whole
        self._sums = total if self._is_whole else Sums(self._n_terms + 1)

    def _add_to_total(self) -> None:
        """Add what is not there yet; no rows can follow."""
        if self._is_whole:
            # The sums of the next target take over the memory.
            self._total.pack()
        else:
            self._total.add_part(self._sums, self._placement)


class _VirialRows(_PartSums):
    """Virial rows of structures with the same columns, at most `most`."""

    def __init__(self, total: Sums, part: Design, most: int, keep: bool) -> None:
        super().__init__(total, part)
        self._few = _FewRows(self._sums, most, keep)

    def next(self, n: int) -> FloatArray:
        """The next rows, to write the virials of n structures to; they count with `take`."""
        return self._few.next(6 * n)

    def take(self, labels: FloatArray, weights: FloatArray, sizes: FloatArray) -> None:
        """Add the next rows, with labels (n, 6), weights and numbers of atoms of the structures."""
        rows = self._few.next(labels.size)
        rows[:, self._n_terms : -1] = 0.0
        rows[:, -1] = labels.ravel()
        rows *= np.repeat(np.sqrt(weights) / sizes, 6)[:, None]
        self._few.take(len(rows), 6 * float(weights.sum()))

    def finish(self) -> None:
        self._few.flush()
        self._add_to_total()


class _SpeciesColumns(NamedTuple):
    """Columns that are not zero in the force rows of one species: places in these rows and in the total."""

    species: int
    of_rows: IntArray
    of_total: IntArray


class _ForceRows(_PartSums):
    """Force rows of structures with the same columns, or of a part of one, on their way to rank-k updates.

    In the rows of an atom, columns of terms without its species are zero. Rows of each species are therefore
    summed up apart from others, unless they are kept.
    """

    def __init__(self, total: Sums, part: Design, keep: bool) -> None:
        super().__init__(total, part)
        self._keep = keep
        n_rows = min(_BLOCK_ROWS, _BLOCK_BYTES / (8 * self._sums.width))
        self._rows = np.empty((3 * max(int(n_rows / 3), 1), self._sums.width))
        self._roots = np.empty(len(self._rows))
        self._species = np.empty(len(self._rows), np.int32)
        self._used = 0
        self._each_species: list[_SpeciesColumns] = []
        if not keep and any(len(touched) < self._n_terms for touched in part.touched.values()):
            for species, touched in part.touched.items():
                of_rows = np.append(touched, self._sums.width - 1)
                of_total = np.append(part.placement.columns[touched], total.width - 1)
                self._each_species.append(_SpeciesColumns(species, of_rows, of_total))

    @property
    def room(self) -> int:
        """int: number of atoms whose rows fill a block."""
        return len(self._rows) // 3

    def next(self, n_atoms: int) -> FloatArray:
        """The next rows, to write to, of at most `room` atoms; they count with `take`."""
        if self._used + 3 * n_atoms > len(self._rows):
            self._flush()
        return self._rows[self._used : self._used + 3 * n_atoms]

    def take(self, forces: FloatArray, roots: FloatArray, species: Int32Array) -> None:
        """Add the next rows, with forces (n_atoms, 3), roots of weights and species, both of each atom."""
        part = slice(self._used, self._used + forces.size)
        rows = self._rows[part]
        rows[:, self._n_terms :] = 0.0
        rows[:, -1] = forces.ravel()
        self._roots[part] = np.repeat(roots, 3)
        if (roots != 1.0).any():
            rows *= self._roots[part, None]
        self._species[part] = np.repeat(species, 3)
        self._used = part.stop

    def add(
        self, structure: StructureRows, forces: FloatArray, root: float, species: Int32Array, of: slice
    ) -> None:
        """Add the force rows of some atoms of a structure, times the root of its weight."""
        if structure.force_factor is not None:
            self._add_factor(structure.force_factor, root, forces.size)
            return
        first, end = of.start, of.stop
        while first < end:
            last = min(end, first + (len(self._rows) - self._used) // 3)
            structure.write_rows(first, self.next(last - first))
            self.take(forces[first:last], np.full(last - first, root), species[first:last])
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
        rows, roots = self._rows[: self._used], self._roots[: self._used]
        for species, of_rows, of_total in self._each_species:
            chosen = np.flatnonzero(self._species[: self._used] == species)
            some, weight = rows[chosen].take(of_rows, axis=1), float(roots[chosen] @ roots[chosen])
            self._total.add_rows_of_columns(some, of_total, weight)
        if not self._each_species:
            self._sums.add_rows(rows.copy() if self._keep else rows, float(roots @ roots), self._keep)
        self._used = 0

    def finish(self) -> None:
        """Add what is left; no rows can follow."""
        self._flush()
        self._add_to_total()
