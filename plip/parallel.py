"""Workers that joblib does not know by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import joblib
from joblib.parallel import ParallelBackendBase

from plip._parameters import is_integer

__all__ = ["use_executor"]

_NAME = "plip-executor"


@contextlib.contextmanager
def use_executor(executor: Executor, n_jobs: int) -> Iterator[None]:
    """Context in which joblib, and with it every `n_jobs` of plip, uses an executor.

    It does what ``joblib.parallel_config(backend="dask")`` does for Dask: fits, sums, predictions and
    searches run on the workers of the executor, and nothing else changes.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        For instance ``concurrent.futures.ProcessPoolExecutor``, ``mpi4py.futures.MPIPoolExecutor`` or
        ``dask.distributed.Client.get_executor()``. It is not shut down.
    n_jobs : int
        Number of its workers. More jobs are handed over than that, so that workers do not wait.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.parallel import use_executor
    >>> train, test = load_silicon_carbide()
    >>> with ThreadPoolExecutor(2) as executor, use_executor(executor, 2):
    ...     model = PLIPRegressor("fast", max_terms=10).fit(train[::4])
    >>> model.n_terms_ <= 10
    True
    """
    if not isinstance(executor, Executor):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    if not is_integer(n_jobs) or n_jobs < 1:
        raise ValueError(f"n_jobs must be the number of workers, at least 1, got {n_jobs!r}")
    joblib.register_parallel_backend(_NAME, _ExecutorBackend)
    with joblib.parallel_config(backend=_NAME, n_jobs=n_jobs, executor=executor, n_workers=n_jobs):
        yield


class _ExecutorBackend(ParallelBackendBase):
    """A backend of joblib that submits to an executor."""

    supports_retrieve_callback = True
    uses_threads = False

    def __init__(self, executor: Executor, n_workers: int, **options: Any) -> None:
        super().__init__(**options)
        self._executor = executor
        self._n_workers = n_workers

    def effective_n_jobs(self, n_jobs: int) -> int:
        # joblib would do the work of one job here.
        return max(self._n_workers, 2)

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None
    ) -> Future[Any]:
        try:
            future = self._executor.submit(func)
        except Exception as error:
            # It is broken or was shut down. joblib would wait for a job that nobody has.
            future = Future()
            future.set_exception(error)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    # Its name in older releases of joblib.
    apply_async = submit

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        return out.result()

    def get_nested_backend(self) -> tuple[Any, int]:
        # A worker has nothing but itself.
        return joblib.parallel.SequentialBackend(nesting_level=1), 1
