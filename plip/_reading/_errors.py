"""The error of files of structures."""

from plip._places import LocatedError

__all__ = ["ReadingError"]


class ReadingError(LocatedError):
    """A file of structures cannot be read; the message names the file and, if it is known, the structure."""
