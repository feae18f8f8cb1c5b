"""Workers of whatever backend of joblib is active, threads by default, and their results in order."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import joblib
from joblib.parallel import ThreadingBackend

__all__ = ["are_threads", "can_send_on", "end", "end_on_failure", "in_order", "new_workers", "same_workers"]


def new_workers(n_jobs: int | None, is_local: bool = False, **options: Any) -> joblib.Parallel:
    """The workers that joblib chooses.

    Parameters
    ----------
    n_jobs : int or None
        As for joblib.
    is_local : bool, default=False
        Whether jobs need the memory of this process.
    **options
        Further ones of `joblib.Parallel`.
    """
    options |= {"prefer": "threads", "require": "sharedmem" if is_local else None}
    backend, _ = joblib.parallel.get_active_backend(options["prefer"], options["require"])
    if type(backend) is ThreadingBackend:
        options["backend"] = _Threads(nesting_level=backend.nesting_level)
    return joblib.Parallel(n_jobs=n_jobs, **options)


class _Threads(ThreadingBackend):
    """Threads whose results are waited for: those of joblib are looked for every 10 ms, and take more time to
    begin and to end.
    """

    supports_retrieve_callback = False
    supports_return_generator = True

    def configure(self, n_jobs: int = 1, parallel: joblib.Parallel | None = None, **options: Any) -> int:
        n_threads: int = super().configure(n_jobs, parallel, **options)
        self._executor = ThreadPoolExecutor(n_threads)
        return n_threads

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any]) -> SimpleNamespace:
        future = self._executor.submit(func)
        future.add_done_callback(callback)
        # joblib waits by this name.
        return SimpleNamespace(get=future.result)

    # Its name in older releases of joblib.
    apply_async = submit

    def terminate(self) -> None:
        self._executor.shutdown(cancel_futures=True)


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

    New threads would keep memory of their own each time. After a failure the workers serve no more: joblib
    would hand them what was left of the jobs.
    """
    workers = _workers_in_order(n_jobs)
    if workers is None:
        yield None
    else:
        with workers:
            yield workers


def _workers_in_order(n_jobs: int | None) -> joblib.Parallel | None:
    try:
        return new_workers(n_jobs, return_as="generator")
    except ValueError:
        # Some backends give lists alone, such as "multiprocessing" and Ray's.
        return None


def in_order(
    jobs: Iterable[Any], n_jobs: int | None, workers: joblib.Parallel | None = None
) -> Generator[Any, None, None]:
    """Begin joblib jobs, and yield their results in order; `workers` are from `same_workers`."""
    parallel = workers or _workers_in_order(n_jobs)
    if parallel is None:
        return _by_lists(jobs, n_jobs)
    results: Generator[Any, None, None] = parallel(jobs)
    return results


@contextmanager
def end_on_failure(results: Generator[Any, None, None]) -> Iterator[None]:
    """Context that takes results of `in_order`: a failure in it, such as an interrupt, ends the jobs."""
    try:
        yield
    except BaseException:
        end(results)
        raise


def end(results: Generator[Any, None, None]) -> None:
    """End the jobs of `in_order` whose results nobody will take.

    They would go on for as long as the traceback is kept, and then joblib would count those that were done.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        results.close()


def _by_lists(jobs: Iterable[Any], n_jobs: int | None) -> Generator[Any, None, None]:
    """Results in order, holding only a few at a time."""
    jobs = iter(jobs)
    with new_workers(n_jobs) as parallel:
        n_workers = joblib.effective_n_jobs(n_jobs)
        while batch := list(itertools.islice(jobs, 4 * n_workers)):
            yield from parallel(batch)
