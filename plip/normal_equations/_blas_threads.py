"""One thread for BLAS, so that bits do not depend on thread settings."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["single_blas_thread"]

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
