"""Warnings that point at the line of the user, and at the files of structures."""

import os
import sys
import warnings
from types import FrameType

from plip._places import with_places

__all__ = ["warn"]

_PACKAGE = os.path.join(os.path.dirname(__file__), "")


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
    if isinstance(message, Warning):
        message.args = (with_places(message),)
    elif not is_located:
        message = with_places(message)
    frame: FrameType | None = sys._getframe()
    level = outermost = 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=outermost + 1)
