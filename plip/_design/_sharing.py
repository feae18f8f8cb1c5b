"""Work on one structure that threads share."""

from __future__ import annotations

import collections
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["SharedWork"]

T = TypeVar("T")


class SharedWork(Generic[T]):
    """Pieces of work, each done once, by whichever thread comes first.

    Parameters
    ----------
    n_pieces : int
        How many there are.
    """

    def __init__(self, n_pieces: int) -> None:
        self._results: list[Future[T]] = [Future() for _ in range(n_pieces)]
        self._left = collections.deque(range(n_pieces))

    def finish(self, do: Callable[[int], T]) -> list[T]:
        """The results of all pieces, in order.

        The caller does what nobody has begun, and waits for what others do at this time: nobody waits for a
        thread that waits itself.

        Parameters
        ----------
        do : callable
            Does the piece of a number.
        """
        while self._left:
            try:
                k = self._left.popleft()
            except IndexError:  # another thread was faster
                break
            try:
                self._results[k].set_result(do(k))
            except BaseException as error:  # all threads raise it
                self._results[k].set_exception(error)
        return [result.result() for result in self._results]
