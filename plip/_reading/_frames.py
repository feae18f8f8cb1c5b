"""Where the structures of an extended XYZ file begin."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from plip._reading._errors import ReadingError
from plip._types import StrPath
from plip._warnings import warn

__all__ = ["VECTOR", "find_frames"]

# Cell vectors below the atoms, as some programs write them; ASE reads at most three.
VECTOR = "VEC"
_MOST_VECTORS = 3
# Bytes.
_BLOCK = 1 << 20


# One structure of an extended XYZ file: its bytes, and its number of atoms as its first line says.
_FRAME = np.dtype([("offset", np.int64), ("end", np.int64), ("n_atoms", np.int64)])


def find_frames(path: StrPath, last: int | None = None) -> NDArray[np.void] | None:
    """Find the structures of an extended XYZ file by their numbers of atoms; nothing else is parsed.

    Parameters
    ----------
    path : str or path-like
    last : int or None, default=None
        Look no further than this structure; None looks at all. Damage beyond it stays unseen, as in ASE.

    Returns
    -------
    structured ndarray, shape (n,), or None
        "offset", "end" and "n_atoms" of the structures that ASE would read: it stops at a blank line where a
        structure would begin. None if only ASE knows, since some lines end in a carriage return alone.

    Raises
    ------
    ValueError
        A structure does not begin with a number of atoms. The message names its index and its line.

    Warns
    -----
    UserWarning
        A blank line hides structures.
    """
    with open(path, "rb") as file:
        try:
            # A file may have many millions.
            frames = np.fromiter(_iterate(file, path, last), _FRAME)
        except ReadingError:
            if _has_lone_returns(file):
                return None
            raise
        return None if len(frames) and _has_lone_returns(file, int(frames["end"][-1])) else frames


def _iterate(file: IO[bytes], path: StrPath, last: int | None) -> Iterator[tuple[int, int, int]]:
    line, offset, number = file.readline(), 0, 1
    for index in itertools.count():
        header = _decode(line)
        if not header.strip():
            _warn_of_rest(file, path, index, number)
            return
        n_atoms = _parse_number(header, path, index, number)
        n_lines = 1 + max(n_atoms, 0)
        n_read = sum(1 for _ in itertools.islice(file, min(n_lines, sys.maxsize)))
        if n_read < n_lines and n_atoms > 0:
            # ASE would look for every atom beyond the end.
            raise ReadingError(
                f"{os.fspath(path)}: structure {index} should have {n_atoms} atoms, but the file ends after "
                f"{max(n_read - 1, 0)}: correct the number, or delete the structure if the file was cut off"
            )
        number += 1 + n_lines
        n_vectors = 0
        while True:
            end = file.tell()
            line = file.readline()
            if not _decode(line).lstrip().startswith(VECTOR):
                break
            n_vectors += 1
            number += 1
        if n_vectors > _MOST_VECTORS:
            raise ReadingError(
                f"{os.fspath(path)}: structure {index} has {n_vectors} lines {VECTOR}, but ASE reads three: "
                "delete the others"
            )
        yield offset, end, n_atoms
        if index == last:
            return
        offset = end


def _decode(line: bytes) -> str:
    # What is no text is no number either.
    return line.decode("utf-8", "replace")


def _parse_number(header: str, path: StrPath, index: int, number: int) -> int:
    try:
        return int(header)
    except ValueError:
        before = f", or lines of structure {index - 1} are missing or too many" if index else ""
        raise ReadingError(
            f"{os.fspath(path)}: structure {index} should begin in line {number} with its number of atoms, "
            f"but this is {header.strip()[:60]!r}{before}: correct the file or delete the damaged structure"
        ) from None


def _has_lone_returns(file: IO[bytes], end: int | None = None) -> bool:
    """Whether carriage returns without line feed, which end lines of text too, occur before `end`."""
    left = os.fstat(file.fileno()).st_size if end is None else end
    file.seek(0)
    last = b""
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        left -= len(block)
        block = last + block
        last = b"\r" if block.endswith(b"\r") else b""
        if block.count(b"\r") - len(last) != block.count(b"\r\n"):
            return True
    return bool(last)


def _warn_of_rest(file: IO[bytes], path: StrPath, index: int, number: int) -> None:
    """Warn where text follows the blank line at which ASE stops."""
    for lines in itertools.count(1):
        line = file.readline()
        if not line:
            return
        if line.strip():
            warn(
                f"{os.fspath(path)}: line {number} is blank where structure {index} should begin. ASE stops "
                f"there and ignores what follows from line {number + lines} on: delete the blank line",
                is_located=True,
            )
            return
