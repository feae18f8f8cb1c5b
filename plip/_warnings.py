"""Warnings that point at the line of the user."""

import os
import sys
import warnings
from types import FrameType

__all__ = ["warn"]

_PACKAGE = os.path.join(os.path.dirname(__file__), "")


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called plip, however deep in plip the reason was found.

    Parameters
    ----------
    message : str or Warning
    category : subclass of Warning, default=UserWarning
    """
    frame: FrameType | None = sys._getframe()
    level = outermost = 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=outermost + 1)
