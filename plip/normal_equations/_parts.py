"""Some of the structures of a data set: the sums of each part, and examples that a fit tries itself on."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import IO

import joblib
import numpy as np
from tqdm.auto import tqdm

from plip._files import scratch_file
from plip._types import IntArray, StrPath
from plip._workers import same_workers
from plip.descriptors import PLIPDescriptors
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations._batches import new_accumulator
from plip.normal_equations._equations import NormalEquations
from plip.normal_equations._references import least_squares_reference

__all__ = ["file_for_sums", "sums_of_parts", "take_examples", "total_of"]

# Bytes of sums in a file that stay in memory.
_IN_MEMORY = 4 * 2**20
# With more columns a part takes more than 50 MB, so that there is one in memory at a time.
_FEW_COLUMNS = 2000

# A fit checks itself by structures of at most this many atoms, if there are any.
_EXAMPLE_ATOMS = 100


def sums_of_parts(
    data: LabelledStructures,
    descriptors: PLIPDescriptors,
    parts: Sequence[IntArray],
    file: IO[bytes],
    memory: joblib.Memory | StrPath | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[NormalEquations]:
    """The normal equations of several parts of the data, which can be added.

    Parameters
    ----------
    data : LabelledStructures
        Checked for the species and the cutoff of the descriptors.
    descriptors : PLIPDescriptors
        Fitted.
    parts : sequence of ndarray of int
        Places of the structures of each part.
    file : binary file
        Where the sums of a part are kept until they are needed, from `file_for_sums`.
    memory, n_jobs, verbose
        As for `NormalEquations.from_structures`.

    Returns
    -------
    list of NormalEquations
    """
    reference = least_squares_reference(data, descriptors.species_)
    # Workers begin the next part while the last one goes to the file.
    is_ahead = joblib.effective_n_jobs(n_jobs) > 1 and len(descriptors.terms_) <= _FEW_COLUMNS
    found: list[NormalEquations] = []
    stowing: list[Future[None]] = []
    with (
        ThreadPoolExecutor(1) as writer,
        same_workers(n_jobs) as workers,
        tqdm(total=sum(map(len, parts)), desc="structures", disable=not verbose) as bar,
    ):
        for part in parts:
            some = data.take(part)
            accumulator = new_accumulator(some, descriptors, bar, reference, memory, n_jobs, workers)
            found.append(NormalEquations(*accumulator.finish([some])))
            if not is_ahead:
                found[-1]._stow(file)
                continue
            stowing.append(writer.submit(found[-1]._stow, file))
            # At most two parts are in memory.
            for done in stowing[:-1]:
                done.result()
        for done in stowing:
            done.result()
    return found


def file_for_sums() -> AbstractContextManager[IO[bytes]]:
    """A new file for `sums_of_parts`, which stays in memory while it is small."""
    return scratch_file(_IN_MEMORY)


def total_of(parts: Sequence[NormalEquations]) -> NormalEquations:
    """The sums of several parts, with the memory of these, or their file, which must stay open."""
    return functools.reduce(lambda some, part: some._combined(part, 1), parts)


def take_examples(data: LabelledStructures) -> LabelledStructures:
    """Up to three small structures with a label, or the smallest one; none if no label has a weight."""
    used = np.flatnonzero(np.any([data.labels.used(target) for target in TARGETS], axis=0))
    sizes = data.n_atoms[used]
    chosen = used[sizes <= _EXAMPLE_ATOMS]
    if len(chosen):
        chosen = np.unique(chosen[[0, len(chosen) // 2, -1]])
    elif len(used):
        chosen = used[[sizes.argmin()]]
    return data.take(chosen)
