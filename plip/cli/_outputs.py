"""The files that a command writes, checked before any work."""

from __future__ import annotations

import itertools
import os
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from plip.cli._errors import CommandError

if TYPE_CHECKING:
    from plip._types import StrPath

__all__ = ["Outputs", "check_writable"]

# Options and arguments that name files to read.
_READ = (
    "coefficients",
    "data",
    "descriptors",
    "model",
    "normal_equations",
    "pool",
    "settings",
    "structures",
    "test",
    "train",
    "weights",
)
# Readers decompress files of these names.
_COMPRESSED = (".gz", ".bz2", ".xz")


class Outputs:
    """Files that a command writes. Each must be another one, and none that the command reads.

    Parameters
    ----------
    arguments : Namespace
        Of the command.
    """

    def __init__(self, arguments: Namespace) -> None:
        self._taken: dict[str, str] = {}
        for name in _READ:
            paths = getattr(arguments, name, None) or []
            for path in [paths] if isinstance(paths, str) else paths:
                # A part of a file is file@slice; names may hold an @, too.
                for known in {path, path.rpartition("@")[0] or path}:
                    self._taken[os.path.realpath(known)] = "reads"

    def file(self, path: StrPath) -> Path:
        """A file to write."""
        check_writable(path)
        suffix = Path(path).suffix
        if suffix.lower() in _COMPRESSED:
            raise CommandError(f"{path}: files are written as they are, not compressed; leave {suffix} out")
        real = os.path.realpath(path)
        if real in self._taken:
            raise CommandError(f"{path}: the command {self._taken[real]} this file, too; give another name")
        self._taken[real] = "writes"
        return Path(path)

    def new(self, path: StrPath) -> Path:
        """A file to write that is no other file: of this name, or with a number behind its stem."""
        path = Path(path)
        names = itertools.chain([path], (path.with_stem(f"{path.stem}_{k}") for k in itertools.count(2)))
        return self.file(next(name for name in names if not self._is_taken(name)))

    def _is_taken(self, path: Path) -> bool:
        return os.path.lexists(path) or os.path.realpath(path) in self._taken

    def plot(self, path: StrPath) -> Path:
        """A figure to write."""
        if find_spec("matplotlib") is None:
            raise CommandError("--plot needs matplotlib: pip install matplotlib")
        from matplotlib.backend_bases import FigureCanvasBase

        formats = FigureCanvasBase.get_supported_filetypes()
        if Path(path).suffix[1:].lower() not in formats:
            raise CommandError(f"{path}: the name of a plot ends in one of .{', .'.join(sorted(formats))}")
        return self.file(path)

    def page(self, path: StrPath) -> Path:
        """A report to write."""
        for name in ("jinja2", "matplotlib"):
            if find_spec(name) is None:
                raise CommandError(f"a report needs {name}: pip install jinja2 matplotlib")
        return self.file(path)


def check_writable(path: StrPath) -> None:
    """Raise unless a file of this name can be written."""
    path = Path(path)
    if path.is_dir():
        raise CommandError(f"{path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{path}: no permission to write")
