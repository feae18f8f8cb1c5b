"""Sums over a sequence of structures, chunk by chunk, by any workers and in one order."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import joblib
import numpy as np
from ase import Atoms

from plip._design._extent import Extent
from plip._design._rows import Design, StructureDesign, StructureRows
from plip._design._sharing import SharedWork
from plip._types import FloatArray, IntArray, StrPath
from plip.descriptors import PLIPDescriptors
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._chunk_sums import Stored, chunk_sums
from plip.normal_equations._chunks import Chunk, Cutter, Share
from plip.normal_equations._hash import HASHES, data_hash
from plip.normal_equations._references import find_isolated_energies
from plip.normal_equations._row_cache import Storage
from plip.normal_equations._sample import Sample, Sampler
from plip.normal_equations._sizes import Counts
from plip.normal_equations._sums import NARROW, Sums, are_few, empty_sums

__all__ = ["Accumulator", "in_order", "same_workers"]

# Of a stream that are worked on before the next ones are begun.
_CHUNKS_PER_WORKER = 4


class Piece(Protocol):
    """Structures that are next to each other: `LabelledStructures`, or what workers can make them of."""

    @property
    def n_atoms(self) -> IntArray: ...

    def __len__(self) -> int: ...

    def take(self, rows: slice) -> Self: ...

    def read_here(self) -> LabelledStructures: ...


@dataclass(frozen=True, eq=False)
class Part:
    """What one chunk adds to normal equations; attributes as there, and all structures with a label."""

    n_structures: int
    sums: dict[str, Sums]
    extent: Extent
    counts: Counts
    isolated_energies: dict[str, list[float]]
    labelled: Sample
    data_hash: int


@dataclass(frozen=True, eq=False)
class ChunkWork:
    """What every chunk needs, wherever it is worked on. It is called with the pieces of the chunk."""

    design: Design
    cutoff: float
    reference: FloatArray
    stored: Stored | None

    def __call__(self, pieces: Sequence[Piece], keep: Collection[str], n_shares: int = 1) -> list[Part]:
        """The parts of all shares."""
        if n_shares == 1:
            data = LabelledStructures.joined([piece.read_here() for piece in pieces])
            return [self.part(data, self.stored, keep, Share())]
        shared = SharedChunk(self, pieces, keep, n_shares)
        return [part for number in range(n_shares) for part in shared(number)]

    def part(
        self, data: LabelledStructures, stored: Stored | None, keep: Collection[str], share: Share
    ) -> Part:
        """What one share of these structures adds."""
        sums, extent, counts = chunk_sums(self.design, data, self.reference, stored, keep, share)
        if share.number > 0:
            nothing: dict[str, list[float]] = {symbol: [] for symbol in self.design.species}
            return Part(0, sums, extent, counts, nothing, Sample.of_structures([]), 0)
        used = np.any([data.labels.used(target) for target in TARGETS], axis=0)
        return Part(
            len(data),
            sums,
            extent,
            counts,
            find_isolated_energies(data, self.design.species, self.cutoff),
            Sample.of_structures(data.take(np.flatnonzero(used)).structures),
            data_hash(data),
        )


class SharedChunk:
    """One large structure, which is read and whose moments are computed once for all shares of its rows.

    Threads can call it at the same time, each with the number of a share.
    """

    def __init__(
        self, work: ChunkWork, pieces: Sequence[Piece], keep: Collection[str], n_shares: int
    ) -> None:
        self._work = work
        self._pieces = pieces
        self._keep = keep
        self._n_shares = n_shares
        self._data: SharedWork[LabelledStructures] = SharedWork(1)
        self._structure: SharedWork[StructureRows] = SharedWork(1)

    def __call__(self, number: int) -> list[Part]:
        (piece,) = self._pieces
        (data,) = self._data.finish(lambda _: piece.read_here())
        return [self._work.part(data, self._stored, self._keep, Share(number, self._n_shares))]

    def _stored(
        self, design: Design, atoms: Atoms, forces: FloatArray | None, has_stress: bool
    ) -> StructureRows:
        return self._structure.finish(lambda _: StructureDesign(design, atoms, has_stress))[0]


class Accumulator:
    """Normal equations in the making.

    Batches of structures are added one after the other. joblib's workers work on them while the next ones
    are read.

    Parameters
    ----------
    descriptors : PLIPDescriptors
        Fitted.
    reference : ndarray of float64, shape (n_species,)
        Energies per atom to take off before summing.
    design, memory, n_jobs
        As for `NormalEquations.from_labels`.
    bar : tqdm
        Progress, in structures.
    workers : joblib.Parallel or None
        From `same_workers`; None takes new ones.
    """

    def __init__(
        self,
        descriptors: PLIPDescriptors,
        reference: FloatArray,
        design: Design | None,
        memory: joblib.Memory | StrPath | None,
        n_jobs: int | None,
        bar: Any,
        workers: joblib.Parallel | None = None,
    ) -> None:
        n_species, n_terms = len(descriptors.species_), len(descriptors.terms_)
        design = Design(descriptors.terms_, descriptors.species_) if design is None else design
        stored = Storage(memory, design) if memory is not None else None
        self._descriptors = descriptors
        self._work = ChunkWork(design, descriptors.cutoff_, reference, stored)
        self._n_jobs = n_jobs
        backend, _ = joblib.parallel.get_active_backend(prefer="threads")
        self._are_threads = getattr(backend, "supports_sharedmem", False)
        self._workers = workers
        self._bar = bar
        self._width = n_terms + n_species + 1
        self._cutter = Cutter()
        # Batches whose work is not begun, and pieces whose work is, up to some structure.
        self._batches: list[LabelledStructures] = []
        self._waiting: collections.deque[tuple[Piece, int]] = collections.deque()
        self._parts: Iterator[list[Part]] = iter(())
        self._n_structures = 0
        self._sums = empty_sums(self._width)
        self._extent = Extent.empty(n_species)
        self._counts = Counts.empty(n_species, n_terms)
        self._isolated: dict[str, list[float]] = {symbol: [] for symbol in descriptors.species_}
        self._sampler = Sampler()
        self._hash = 0

    def add(self, data: LabelledStructures) -> None:
        """Add a batch. Work begins as soon as there is enough for all workers."""
        self._batches.append(data)
        n_chunks = sum(batch.n_atoms.sum() for batch in self._batches) / self._cutter.chunk_atoms
        if n_chunks >= _CHUNKS_PER_WORKER * joblib.effective_n_jobs(self._n_jobs):
            self._begin(self._batches)
            self._batches = []

    def _begin(self, pieces: Iterable[Piece], are_last: bool = False) -> None:
        self._add_up()
        self._parts = in_order(self._jobs(pieces, are_last), self._n_jobs, self._workers)

    def _jobs(self, pieces: Iterable[Piece], are_last: bool) -> Iterator[Any]:
        for piece in pieces:
            self._waiting.append((piece, 0))
            for chunk in self._cutter.add(piece.n_atoms.tolist()):
                yield from self._jobs_of(chunk)
        if are_last:
            for chunk in self._cutter.finish():
                yield from self._jobs_of(chunk)

    def _jobs_of(self, chunk: Chunk) -> Iterator[Any]:
        pieces, keep = self._next(chunk.n_structures), self._kept_targets()
        # What is stored of a structure cannot be divided.
        n_shares = chunk.n_shares if self._work.stored is None else 1
        if n_shares > 1 and self._are_threads:
            shared = SharedChunk(self._work, pieces, keep, n_shares)
            for number in range(n_shares):
                yield joblib.delayed(shared)(number)
        else:
            yield joblib.delayed(self._work)(pieces, keep, n_shares)

    def _next(self, count: int) -> list[Piece]:
        """So many structures that wait."""
        chunk: list[Piece] = []
        while count:
            piece, start = self._waiting.popleft()
            end = min(start + count, len(piece))
            if end < len(piece):
                self._waiting.appendleft((piece, end))
            chunk.append(piece.take(slice(start, end)))
            count -= end - start
        return chunk

    def _kept_targets(self) -> list[str]:
        """Targets whose rows are kept: all in narrow fits, else as long as there may be few in all.

        A QR decomposition of more rows, four times the work of products, would be left to one process. Large
        data are not those whose errors are so tiny beside the terms that they need more digits than products
        have.
        """
        n_structures, n_atoms = self._cutter.seen_structures, self._cutter.seen_atoms
        are_kept = {
            "energy": are_few(n_structures, self._width),
            "force": 3 * n_atoms <= self._width,
            "virial": are_few(6 * n_structures, self._width),
        }
        return [target for target in TARGETS if self._width <= NARROW or are_kept[target]]

    @single_blas_thread()
    def _add_up(self) -> None:
        """Add the results of what was begun, in order."""
        for part in itertools.chain.from_iterable(self._parts):
            for target in TARGETS:
                self._sums[target].add(part.sums[target])
            self._extent = self._extent.merged(part.extent)
            self._counts = self._counts.combined(part.counts, 1)
            for symbol, energies in part.isolated_energies.items():
                self._isolated[symbol] += energies
            self._sampler.add(part.labelled)
            self._hash = (self._hash + part.data_hash) % HASHES
            self._n_structures += part.n_structures
            self._bar.update(part.n_structures)
        self._parts = iter(())

    @single_blas_thread()
    def finish(self, pieces: Iterable[Piece] = ()) -> tuple[Any, ...]:
        """Arguments of `NormalEquations`, when all is done; `pieces` are the last ones."""
        self._begin(itertools.chain(self._batches, pieces), are_last=True)
        self._add_up()
        for target in TARGETS:
            self._sums[target].complete()
        return (
            self._descriptors,
            self._sums,
            self._work.reference,
            self._n_structures,
            self._extent,
            self._counts,
            self._isolated,
            self._sampler.sample(),
            self._hash,
        )


@contextmanager
def same_workers(n_jobs: int | None) -> Iterator[joblib.Parallel | None]:
    """Workers for several accumulations; None where the backend of joblib gives lists alone.

    New threads would keep memory of their own each time.
    """
    workers = _new_workers(n_jobs)
    if workers is None:
        yield None
    else:
        with workers:
            yield workers


def _new_workers(n_jobs: int | None) -> joblib.Parallel | None:
    try:
        return joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    except ValueError:
        # Some backends give lists alone, such as "multiprocessing" and Ray's.
        return None


def in_order(
    jobs: Iterable[Any], n_jobs: int | None, workers: joblib.Parallel | None = None
) -> Iterator[Any]:
    """Begin joblib jobs, and yield their results in order; `workers` are from `same_workers`."""
    parallel = workers or _new_workers(n_jobs)
    if parallel is None:
        return _by_lists(jobs, n_jobs)
    results: Iterator[Any] = parallel(jobs)
    return results


def _by_lists(jobs: Iterable[Any], n_jobs: int | None) -> Iterator[Any]:
    """Results in order, holding only a few at a time."""
    jobs = iter(jobs)
    with joblib.Parallel(n_jobs=n_jobs, prefer="threads") as parallel:
        n_workers = joblib.effective_n_jobs(n_jobs)
        while batch := list(itertools.islice(jobs, 4 * n_workers)):
            yield from parallel(batch)
