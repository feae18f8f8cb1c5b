"""Jobs on the workers of whatever backend of joblib is active, and their results in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import joblib

__all__ = ["are_threads", "can_send_on", "in_order", "same_workers"]


def are_threads() -> bool:
    """Whether workers are threads of this process."""
    backend, _ = joblib.parallel.get_active_backend(prefer="threads")
    return bool(getattr(backend, "supports_sharedmem", False))


def can_send_on() -> bool:
    """Whether a worker can send jobs to other processes: those of Dask can."""
    backend, _ = joblib.parallel.get_active_backend(prefer="threads")
    nested, _ = backend.get_nested_backend()
    return not getattr(nested, "supports_sharedmem", False)


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
