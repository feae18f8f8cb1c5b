"""Sums over a sequence of structures, chunk by chunk, by any workers and in one order."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import joblib

from plip._types import FloatArray, StrPath
from plip._workers import are_threads, can_send_on, end, end_on_failure, in_order
from plip.descriptors import PLIPDescriptors
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._chunk_work import ChunkJob, ChunkWork, GroupWork, Part, Piece, SharedChunk
from plip.normal_equations._chunks import Chunk, Cutter
from plip.normal_equations._row_cache import Storage
from plip.normal_equations._sample import Sampler
from plip.normal_equations._sums import NARROW, are_few

__all__ = ["Accumulator"]

# Of a stream that are worked on before the next ones are begun.
_CHUNKS_PER_WORKER = 4


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
    memory, n_jobs
        As for `NormalEquations.from_structures`.
    bar : tqdm
        Progress, in structures.
    workers : joblib.Parallel or None
        From `same_workers`; None takes new ones.
    """

    def __init__(
        self,
        descriptors: PLIPDescriptors,
        reference: FloatArray,
        memory: joblib.Memory | StrPath | None,
        n_jobs: int | None,
        bar: Any,
        workers: joblib.Parallel | None = None,
    ) -> None:
        n_species, n_terms = len(descriptors.species_), len(descriptors.terms_)
        design = descriptors._design()
        stored = Storage(memory, design) if memory is not None else None
        self._descriptors = descriptors
        self._work = ChunkWork(design, descriptors.cutoff_, reference, stored)
        self._n_jobs = n_jobs
        self._are_threads = are_threads()
        self._can_send_on = can_send_on()
        self._workers = workers
        self._bar = bar
        self._width = n_terms + n_species + 1
        self._cutter = Cutter()
        # Batches whose work is not begun, and pieces whose work is, up to some structure.
        self._batches: list[LabelledStructures] = []
        self._waiting: collections.deque[tuple[Piece, int]] = collections.deque()
        self._parts: Generator[list[Part], None, None] | None = None
        self._is_group_open = False
        # Sums of the group whose chunks come in, and of all groups before it.
        self._group = Part.empty(design)
        self._total = Part.empty(design)
        self._sampler = Sampler()

    def add(self, data: LabelledStructures) -> None:
        """Add a batch. Work begins as soon as there is enough for all workers."""
        self._batches.append(data)
        n_chunks = sum(batch.n_atoms.sum() for batch in self._batches) / self._cutter.chunk_atoms
        if n_chunks >= _CHUNKS_PER_WORKER * joblib.effective_n_jobs(self._n_jobs):
            self._begin(self._batches)
            self._batches = []

    def stop(self) -> None:
        """End what threads have begun, since the next structures cannot be read.

        Processes finish the few chunks that were handed over: loky's pool breaks if they are taken back.
        """
        if self._parts is not None and self._are_threads:
            end(self._parts)

    def _begin(self, pieces: Iterable[Piece], are_last: bool = False) -> None:
        self._add_up()
        self._parts = in_order(self._jobs(pieces, are_last), self._n_jobs, self._workers)

    def _jobs(self, pieces: Iterable[Piece], are_last: bool) -> Iterator[Any]:
        group: list[ChunkJob] = []
        for chunk in self._chunks(pieces, are_last):
            group.append(chunk)
            if chunk.ends_group or not self._can_send_on:
                yield from self._jobs_of(group)
                group = []
        if group:
            yield from self._jobs_of(group)

    def _chunks(self, pieces: Iterable[Piece], are_last: bool) -> Iterator[ChunkJob]:
        for piece in pieces:
            self._waiting.append((piece, 0))
            for chunk in self._cutter.add(piece.n_atoms.tolist()):
                yield self._chunk_job(chunk)
        if are_last:
            for chunk in self._cutter.finish():
                yield self._chunk_job(chunk)

    def _chunk_job(self, chunk: Chunk) -> ChunkJob:
        # What is stored of a structure cannot be divided.
        n_shares = chunk.n_shares if self._work.stored is None else 1
        return ChunkJob(self._next(chunk.n_structures), self._kept_targets(), n_shares, chunk.ends_group)

    def _jobs_of(self, chunks: list[ChunkJob]) -> Iterator[Any]:
        """The jobs of chunks of one group."""
        was_open, self._is_group_open = self._is_group_open, not chunks[-1].ends_group
        if len(chunks) > 1 and not was_open:
            yield joblib.delayed(GroupWork(self._work))(chunks)
            return
        for chunk in chunks:
            if chunk.n_shares > 1 and self._are_threads:
                shared = SharedChunk(self._work, chunk)
                for number in range(chunk.n_shares):
                    yield joblib.delayed(shared)(number)
            else:
                yield joblib.delayed(self._work)(chunk)

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
        if self._parts is None:
            return
        with end_on_failure(self._parts):
            for part in itertools.chain.from_iterable(self._parts):
                self._bar.update(part.n_structures)
                # A group may have more atoms than a sample.
                for sample in part.labelled:
                    self._sampler.add(sample)
                for warning in part.warnings:
                    warning.show()
                part.labelled, part.warnings = [], []
                self._group.add(part)
                if self._group.ends_group:
                    self._end_group()
        self._parts = None

    def _end_group(self) -> None:
        self._total.add(self._group)
        self._group = Part.empty(self._work.design)

    @single_blas_thread()
    def finish(self, pieces: Iterable[Piece] = ()) -> tuple[Any, ...]:
        """Arguments of `NormalEquations`, when all is done; `pieces` are the last ones."""
        self._begin(itertools.chain(self._batches, pieces), are_last=True)
        self._add_up()
        self._end_group()
        for target in TARGETS:
            self._total.sums[target].complete()
        return (
            self._descriptors,
            self._total.sums,
            self._work.reference,
            self._total.n_structures,
            self._total.extent,
            self._total.counts,
            self._total.isolated_energies,
            self._sampler.sample(),
            self._total.data_hash,
        )
