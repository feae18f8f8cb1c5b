"""Extended XYZ as ASE reads it, to the last bit, but in about 60 % of the time.

Whatever is unusual is left to ASE, as is every error.
"""

from __future__ import annotations

import functools
import io
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.io import iread
from ase.io.extxyz import (
    SPECIAL_3_3_KEYS,
    UNPROCESSED_KEYS,
    key_val_str_to_dict,
    parse_properties,
    set_calc_and_arrays,
)

from plip._reading._frames import VECTOR

__all__ = ["iterate_text", "parse_comment", "split_lines"]

# One entry of a comment line: a key and a value, in double quotes or of plain characters.
_PLAIN = r"[^\s=\"'{}\[\]\\]+"
_ENTRY = re.compile(rf"({_PLAIN})=(?:({_PLAIN})|\"([^\"\\]+)\")(?:\s+|$)")
# Values that can only be read in one way: integers that fit into four bytes; reals, one of which is no
# integer; and text.
_INTEGERS = re.compile(r"[+-]?[0-9]{1,9}(?: [+-]?[0-9]{1,9})*")
_REAL = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_REALS = re.compile(rf"(?=.*[.eE]){_REAL}(?: {_REAL})*")
_TEXT = re.compile(r"(?!nan|inf)[a-z][ -~]*", re.IGNORECASE)
# Words that ASE takes for booleans, alone or in a row.
_BOOLEANS = {word: word[0] in "Tt" for word in ("T F true false True False TRUE FALSE").split()}
# As ASE takes the columns of a file that does not name them.
_COLUMNS = "species:S:1:pos:R:3"


def iterate_text(text: str, part: slice) -> Iterator[Atoms]:
    """Read the structures of an extended XYZ file.

    Parameters
    ----------
    text : str
        The file, or lines of it from the first of one structure to the last of another. Lines end in ``\\n``.
    part : slice
        The structures to read; none of its numbers is negative.

    Yields
    ------
    ase.Atoms
        As those of ``ase.io.iread``.

    Raises
    ------
    Exception
        What ASE raises.
    """
    lines = text.split("\n")
    if not lines[-1]:
        # What follows the last line end is no line.
        del lines[-1]
    for frame in itertools.islice(split_lines(lines), part.start, part.stop, part.step):
        yield _read_frame(frame) or _read_by_ase(frame)


def split_lines(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each structure."""
    start = 0
    while start < len(lines) and lines[start].strip():
        end = start + 2 + max(int(lines[start]), 0)
        while end < len(lines) and lines[end].lstrip().startswith(VECTOR):
            end += 1
        yield lines[start:end]
        start = end


def _read_by_ase(lines: list[str]) -> Atoms:
    (atoms,) = iread(io.StringIO("\n".join([*lines, ""])), format="extxyz", parallel=False)
    return atoms


def _read_frame(lines: list[str]) -> Atoms | None:
    """One structure, or None for ASE to read it or to say what is wrong with it."""
    try:
        n_atoms, comment, *rows = lines
        if len(rows) != int(n_atoms):
            # Too few, or cell vectors below the atoms.
            return None
        info = parse_comment(comment)
        columns = _columns(info.pop("Properties", _COLUMNS))
        words = list(zip(*(row.split() for row in rows), strict=True))
        arrays = {column.name: column.read(words) for column in columns}
        if len(words) != columns[-1].stop or "move_mask" in arrays:
            return None
        pbc = info.pop("pbc", [True, True, True] if "Lattice" in info else None)
        cell = info.pop("Lattice").T if "Lattice" in info else None
        species = arrays.pop("symbols", None)
        numbers = arrays.pop("numbers", None)
        atoms = Atoms(
            [symbol.capitalize() for symbol in species] if numbers is None else numbers,
            positions=arrays.pop("positions", None),
            charges=arrays.pop("initial_charges", None),
            cell=cell,
            pbc=pbc,
            info=info,
        )
        set_calc_and_arrays(atoms, arrays)
    except Exception:  # whatever it is, ASE says it better
        return None
    return atoms


class _Column(NamedTuple):
    """What ASE makes of some columns: the name of the array, and how to convert words.

    `start` and `stop` are the columns.
    """

    name: str
    start: int
    stop: int
    dtype: np.dtype[Any]
    convert: Callable[[str], Any]

    def read(self, words: list[tuple[str, ...]]) -> Any:
        columns = [list(map(self.convert, column)) for column in words[self.start : self.stop]]
        # The order in memory is that of ASE's arrays, too: sums of numbers depend on it.
        return np.array(columns[0] if self.stop == self.start + 1 else columns, self.dtype).T


@functools.lru_cache(maxsize=128)
def _columns(properties: str) -> tuple[_Column, ...]:
    by_name, names, dtype, converters = parse_properties(properties)
    columns, start = [], 0
    for name in names:
        array, width = by_name[name]
        if width < 1:
            raise ValueError("no columns")
        columns.append(_Column(array, start, start + width, dtype[start], converters[start]))
        start += width
    return tuple(columns)


def parse_comment(line: str) -> dict[str, Any]:
    """The entries of a comment line, as ASE reads them.

    Parameters
    ----------
    line : str

    Returns
    -------
    dict
    """
    line = line.strip()
    found: dict[str, Any] = {}
    position = 0
    while position < len(line):
        entry = _ENTRY.match(line, position)
        if entry is None or entry[1].lower() in UNPROCESSED_KEYS:
            return dict(key_val_str_to_dict(line))
        value = _value(entry[2] or entry[3], is_matrix=entry[1] in SPECIAL_3_3_KEYS)
        if value is None:
            return dict(key_val_str_to_dict(line))
        found[entry[1]] = value
        position = entry.end()
    return found


def _value(text: str, is_matrix: bool) -> Any:
    """The value of an entry, None if only ASE knows it."""
    kind: type[int] | type[float] | None = None
    if _INTEGERS.fullmatch(text):
        kind = int
    elif _REALS.fullmatch(text):
        kind = float
    if kind is not None:
        numbers = np.array(list(map(kind, text.split(" "))), kind)
        if is_matrix:
            return numbers.reshape((3, 3), order="F") if len(numbers) == 9 else None
        return numbers if len(numbers) > 1 else numbers[0]
    if is_matrix or not _TEXT.fullmatch(text):
        return None
    words = text.replace(",", " ").split()
    if all(word in _BOOLEANS for word in words):
        booleans = [_BOOLEANS[word] for word in words]
        return booleans if len(booleans) > 1 else booleans[0]
    return text
