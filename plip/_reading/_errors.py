"""The error of files of structures."""

__all__ = ["ReadingError"]


class ReadingError(ValueError):
    """A file of structures cannot be read; the message names the file and, if it is known, the structure."""
