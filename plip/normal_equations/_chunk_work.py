"""What a worker does with a chunk of structures, or with a group of chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

import joblib
import numpy as np
from ase import Atoms

from plip._design._extent import Extent
from plip._design._rows import Design, StructureDesign, StructureRows
from plip._design._sharing import SharedWork
from plip._types import FloatArray, IntArray
from plip._warnings import KeptWarning, keep_warnings
from plip._workers import in_order
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._chunk_sums import Stored, chunk_sums
from plip.normal_equations._chunks import Share
from plip.normal_equations._hash import HASHES, data_hash
from plip.normal_equations._references import find_isolated_energies
from plip.normal_equations._sample import Sample
from plip.normal_equations._sizes import Counts
from plip.normal_equations._sums import Sums, empty_sums

__all__ = ["ChunkJob", "ChunkWork", "GroupWork", "Part", "Piece", "SharedChunk"]


class Piece(Protocol):
    """Structures that are next to each other: `LabelledStructures`, or what workers can make them of."""

    @property
    def n_atoms(self) -> IntArray: ...

    def __len__(self) -> int: ...

    def take(self, rows: slice) -> Self: ...

    def read_here(self) -> LabelledStructures: ...


@dataclass(eq=False)
class Part:
    """What some chunks, or a share of one, add to normal equations.

    Attributes are those of normal equations, all structures with a label, whether a group of chunks ends, and
    warnings.
    """

    n_structures: int
    sums: dict[str, Sums]
    extent: Extent
    counts: Counts
    isolated_energies: dict[str, list[float]]
    labelled: list[Sample]
    data_hash: int
    ends_group: bool = True
    warnings: list[KeptWarning] = field(default_factory=list)

    @classmethod
    def empty(cls, design: Design) -> Part:
        """What no chunk adds."""
        n_terms, species = design.kernel.n_terms, design.species
        return cls(
            0,
            empty_sums(n_terms + len(species) + 1),
            Extent.empty(len(species)),
            Counts.empty(len(species), n_terms),
            {symbol: [] for symbol in species},
            [],
            0,
        )

    def add(self, other: Part) -> None:
        """Add the next part, which is not needed afterwards."""
        self.n_structures += other.n_structures
        for target in TARGETS:
            self.sums[target].add(other.sums[target])
        self.extent = self.extent.merged(other.extent)
        self.counts = self.counts.combined(other.counts, 1)
        for symbol, energies in other.isolated_energies.items():
            self.isolated_energies[symbol] += energies
        self.labelled += other.labelled
        self.data_hash = (self.data_hash + other.data_hash) % HASHES
        self.ends_group = other.ends_group
        self.warnings += other.warnings


class ChunkJob(NamedTuple):
    """A chunk: its pieces, targets whose rows are kept, number of shares, and whether it ends a group."""

    pieces: list[Piece]
    keep: list[str]
    n_shares: int
    ends_group: bool


@dataclass(frozen=True, eq=False)
class ChunkWork:
    """What every chunk needs, wherever it is worked on."""

    design: Design
    cutoff: float
    reference: FloatArray
    stored: Stored | None

    def __call__(self, chunk: ChunkJob) -> list[Part]:
        """The parts of all shares of a chunk."""
        if chunk.n_shares == 1:
            with keep_warnings() as found:
                data = LabelledStructures.joined([piece.read_here() for piece in chunk.pieces])
                part = self.part(chunk, data, self.stored, Share())
            part.warnings = found
            return [part]
        shared = SharedChunk(self, chunk)
        return [part for number in range(chunk.n_shares) for part in shared(number)]

    def part(self, chunk: ChunkJob, data: LabelledStructures, stored: Stored | None, share: Share) -> Part:
        """What one share of the structures of a chunk adds."""
        sums, extent, counts = chunk_sums(self.design, data, self.reference, stored, chunk.keep, share)
        ends_group = chunk.ends_group and share.number == chunk.n_shares - 1
        if share.number > 0:
            nothing: dict[str, list[float]] = {symbol: [] for symbol in self.design.species}
            return Part(0, sums, extent, counts, nothing, [], 0, ends_group)
        used = np.any([data.labels.used(target) for target in TARGETS], axis=0)
        return Part(
            len(data),
            sums,
            extent,
            counts,
            find_isolated_energies(data, self.design.species, self.cutoff),
            [Sample.of_structures(data.take(np.flatnonzero(used)).structures)],
            data_hash(data),
            ends_group,
        )


@dataclass(frozen=True, eq=False)
class GroupWork:
    """Adds up the first chunks of a group on a worker, which sends them to other workers."""

    work: ChunkWork

    @single_blas_thread()
    def __call__(self, chunks: Sequence[ChunkJob]) -> list[Part]:
        group = Part.empty(self.work.design)
        for parts in in_order((joblib.delayed(self.work)(chunk) for chunk in chunks), n_jobs=-1):
            for part in parts:
                group.add(part)
        return [group]


class SharedChunk:
    """One large structure, which is read and whose moments are computed once for all shares of its rows.

    Threads can call it at the same time, each with the number of a share.
    """

    def __init__(self, work: ChunkWork, chunk: ChunkJob) -> None:
        self._work = work
        self._chunk = chunk
        self._data: SharedWork[LabelledStructures] = SharedWork(1)
        self._structure: SharedWork[StructureRows] = SharedWork(1)

    def __call__(self, number: int) -> list[Part]:
        (piece,) = self._chunk.pieces
        with keep_warnings() as found:
            (data,) = self._data.finish(lambda _: piece.read_here())
            part = self._work.part(self._chunk, data, self._stored, Share(number, self._chunk.n_shares))
        part.warnings = found
        return [part]

    def _stored(
        self, design: Design, atoms: Atoms, forces: FloatArray | None, has_stress: bool
    ) -> StructureRows:
        return self._structure.finish(lambda _: StructureDesign(design, atoms, has_stress))[0]
