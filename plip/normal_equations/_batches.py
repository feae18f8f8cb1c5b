"""How data begin: batches of a generator, the head of files, and an accumulator for what follows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import joblib
from ase import Atoms
from sklearn.base import clone

from plip._structures._checks import no_structures
from plip._types import FloatArray, StrPath
from plip._warnings import warn
from plip.descriptors import PLIPDescriptors
from plip.labels import LabelledStructures
from plip.labels._reading import no_labels
from plip.normal_equations._accumulation import Accumulator
from plip.normal_equations._file_pieces import FileSequence
from plip.normal_equations._references import least_squares_reference

__all__ = ["new_accumulator", "read_batches", "read_head"]

# Structures of a generator that are held at a time.
_BATCH = 512

# With more columns the matrices take gigabytes.
_MANY_COLUMNS = 5000


def read_batches(
    X: Iterable[Atoms], descriptors: PLIPDescriptors, labels: tuple[Any, ...], reading: dict[str, Any]
) -> Iterator[tuple[LabelledStructures, PLIPDescriptors]]:
    """Structures with their labels, and the descriptors, which the first batch fits unless they are fitted.

    A list is one batch. A generator is read in batches; at most two of them are held at a time.
    """
    is_stream = isinstance(X, Iterator)
    batches = iter(lambda: list(itertools.islice(X, _BATCH)), []) if is_stream else [X]
    n_structures, is_labeled = 0, False
    first_structure: Atoms | None = None
    for batch in batches:
        is_fitted = hasattr(descriptors, "terms_")
        data = LabelledStructures.read(
            batch,
            *labels,
            first=n_structures,
            # A batch of a generator may lack labels as long as others have some.
            required=not is_stream,
            is_part=is_stream,
            **{**descriptors._limits(is_fitted), **reading},
        )
        if not is_fitted:
            descriptors = clone(descriptors)._fit_checked(data.structures, n_structures, data.labels.forces)
        n_structures += len(data)
        first_structure = data.structures[0] if first_structure is None else first_structure
        is_labeled = is_labeled or bool(data.labels.targets())
        yield data, descriptors
    if first_structure is None:
        raise no_structures(X)
    if not is_labeled:
        raise no_labels(first_structure, reading["targets"])


def read_head(
    files: FileSequence, descriptors: PLIPDescriptors, targets: Sequence[str]
) -> tuple[LabelledStructures, PLIPDescriptors]:
    """The first structures of files, and the descriptors, which they fit unless they are fitted."""
    is_fitted = hasattr(descriptors, "terms_")
    head = files.head(_BATCH, {**descriptors._limits(is_fitted), "targets": targets})
    if not is_fitted:
        first = head.take(slice(_BATCH))
        descriptors = clone(descriptors)._fit_checked(first.structures, 0, first.labels.forces)
    return head, descriptors


def new_accumulator(
    data: LabelledStructures,
    descriptors: PLIPDescriptors,
    bar: Any,
    reference: FloatArray | None = None,
    memory: joblib.Memory | StrPath | None = None,
    n_jobs: int | None = None,
    workers: joblib.Parallel | None = None,
) -> Accumulator:
    """As `Accumulator`, for data that begin with these; without a reference, their least-squares one."""
    _warn_of_memory(len(descriptors.terms_), len(descriptors.species_))
    if reference is None:
        # The same for all ways in which structures come.
        reference = least_squares_reference(data.take(slice(_BATCH)), descriptors.species_)
    return Accumulator(descriptors, reference, memory, n_jobs, bar, workers)


def _warn_of_memory(n_terms: int, n_species: int) -> None:
    if n_terms > _MANY_COLUMNS:
        # Rows: twice as many as columns of energies and of stresses, as many of forces. Products are less.
        gigabytes = 5 * (n_terms + n_species + 1) ** 2 * 8 / 1e9
        warn(
            f"{n_terms} columns: the normal equations take up to {gigabytes:.1f} GB, each worker as much "
            "again. Choose fewer radial functions, powers or species pairs to save memory.",
        )
