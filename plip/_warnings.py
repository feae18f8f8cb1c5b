"""Warnings that point at the line of the user, and at the files of structures."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import NamedTuple

from plip._places import with_places

__all__ = ["KeptWarning", "keep_warnings", "warn"]

_PACKAGE = os.path.join(os.path.dirname(__file__), "")


class KeptWarning(NamedTuple):
    """A warning that nobody has seen yet. It can be pickled."""

    message: str | Warning
    category: type[Warning]

    def show(self) -> None:
        """Warn now."""
        warn(self.message, self.category, is_located=True)


_kept: ContextVar[list[KeptWarning] | None] = ContextVar("_kept", default=None)


@contextmanager
def keep_warnings() -> Iterator[list[KeptWarning]]:
    """Context that collects plip's warnings of this thread: those of other processes nobody would see."""
    found: list[KeptWarning] = []
    token = _kept.set(found)
    try:
        yield found
    finally:
        _kept.reset(token)


def warn(message: str | Warning, category: type[Warning] = UserWarning, is_located: bool = False) -> None:
    """Warn at the line that called plip, however deep in plip the reason was found.

    Parameters
    ----------
    message : str or Warning
    category : subclass of Warning, default=UserWarning
    is_located : bool, default=False
        Whether the message names the file itself. In others, numbers of structures become their places if
        these are known, see `plip._places.located`.
    """
    if not is_located:
        if isinstance(message, Warning):
            message.args = (with_places(message),)
        else:
            message = with_places(message)
    kept = _kept.get()
    if kept is not None:
        kept.append(KeptWarning(message, category))
        return
    frame: FrameType | None = sys._getframe()
    level = outermost = 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=outermost + 1)
