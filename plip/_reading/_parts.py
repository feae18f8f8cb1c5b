"""Files of structures in parts, each of which any process can read by itself."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ase.db
import numpy as np
from ase import Atoms
from ase.io import Trajectory, iread
from ase.io.bundletrajectory import BundleTrajectory
from ase.io.formats import filetype, get_compression
from ase.utils import string2index
from numpy.typing import NDArray

from plip._reading._errors import ReadingError
from plip._reading._extended_xyz import iterate_text, split_lines
from plip._reading._frames import find_frames
from plip._types import StrPath

__all__ = ["FilePart", "find_file", "split_file"]

# Of one part of an extended XYZ file, about: ASE reads it in half a second.
_ATOMS = 10_000
# Structures of one part of a file that does not tell numbers of atoms.
_STRUCTURES = 500
# Formats of ASE's databases.
_DATABASES = ("db", "json")

# What ASE reads of a file: one structure, a slice, or a selection of a database.
Selection = int | slice | str | None


@dataclass(frozen=True)
class FilePart:
    """Some structures of a file. It can be pickled, and read by any process that sees the file.

    Made by `split_file`.

    Attributes
    ----------
    path : str
        Name of the file.
    name : str
        What messages call it: with its slice, if only reading tells the places of its structures.
    format : str
        ASE's name of the format.
    first, step : int
        Place of its first structure in the file, and distance from one place to the next.
    n_structures : int or None
        How many; None if only reading tells.
    n_atoms : tuple of int, or None
        Number of atoms of each structure, if the file tells it.
    offset, length : int or None
        Its bytes, for extended XYZ that is not compressed.
    skipped : int
        Chosen structures in these bytes that belong to other parts and come before.
    selection : int, slice, str or None
        What ASE reads of the whole file, where there are no bytes.
    """

    path: str
    name: str
    format: str
    first: int = 0
    step: int = 1
    n_structures: int | None = None
    n_atoms: tuple[int, ...] | None = None
    offset: int | None = None
    length: int | None = None
    skipped: int = 0
    selection: Selection = None

    def read(self) -> list[Atoms]:
        """Read the structures.

        Returns
        -------
        list of ase.Atoms
            As ``ase.io.read`` gives them, with the key-value pairs and data of ASE's databases in `info` and
            `arrays`, too.

        Raises
        ------
        ReadingError
            A structure is damaged; the message names its index in the file.
        """
        return list(self)

    def __iter__(self) -> Iterator[Atoms]:
        """As `read`, one by one."""
        n = 0
        try:
            for atoms in self._iterate():
                n += 1
                yield atoms
        except ReadingError:
            raise
        except Exception as error:  # ASE's readers raise errors of many kinds
            # Before the first structure all of a file may be damaged that is read as a whole.
            is_whole = self.offset is None and n == 0
            what, remedy = (
                (self.name, self._remedy()) if is_whole else (self.place(n), "Correct or delete it")
            )
            raise ReadingError(
                f"{what}: ASE cannot read it: {type(error).__name__}: {error}. {remedy}"
            ) from error
        if not n:
            remedy = "" if self.selection is not None else f". {self._remedy()}"
            raise ReadingError(f"{self.name}: it has no structure{remedy}")
        if self.n_structures not in (None, n):
            raise ReadingError(
                f"{self.path}: {n} structures from {self.first} on where there were {self.n_structures}: the "
                "file has changed, or lines end in stray carriage returns; correct it or read it again"
            )

    def _remedy(self) -> str:
        """What to do with a file that is read as a whole and gives nothing."""
        if self.format in ("extxyz", "traj", *_DATABASES):
            return "Correct it or leave it out"
        return (
            f"ASE takes it for {self.format!r}: if it is of another format, read it with ase.io.read(..., "
            "format=...) and write it as extended XYZ; if not, correct it or leave it out"
        )

    def take(self, rows: slice) -> FilePart:
        """Some neighboring structures of a part whose numbers of atoms are known.

        Parameters
        ----------
        rows : slice
            Without a step.

        Returns
        -------
        FilePart
        """
        assert self.n_atoms is not None
        start, stop, _ = rows.indices(len(self.n_atoms))
        return replace(
            self,
            first=self.first + self.step * start,
            n_structures=stop - start,
            n_atoms=self.n_atoms[start:stop],
            skipped=self.skipped + start,
        )

    def place(self, number: int) -> str:
        """Where a structure of this part comes from, such as "b.xyz, structure 3"."""
        return f"{self.name}, structure {self.first + self.step * number}"

    def _iterate(self) -> Iterable[Atoms]:
        # All processes of an MPI run would have to take part in what ASE reads in parallel.
        if self.offset is not None:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                # Encoding and line ends as where a file of text is opened.
                data = file.read(self.length)
            try:
                text = io.TextIOWrapper(io.BytesIO(data)).read()
            except UnicodeDecodeError as error:
                raise self._not_text(data, error) from error
            start = self.step * self.skipped
            end = None if self.n_structures is None else start + self.step * self.n_structures
            return iterate_text(text, slice(start, end, self.step))
        if self.format in _DATABASES:
            return self._rows()
        return iread(
            self.path, self.selection, format=self.format, parallel=False, do_not_split_by_at_sign=True
        )

    def _not_text(self, data: bytes, error: UnicodeDecodeError) -> ReadingError:
        """The error of bytes that are no text."""
        # Lines end as they do in `iterate_text`.
        before = io.TextIOWrapper(io.BytesIO(data[: error.start])).read()
        n_begun = sum(1 for _ in split_lines(before.split("\n")))
        index = self.first - self.step * self.skipped + max(n_begun - 1, 0)
        return ReadingError(
            f"{self.name}, structure {index}: byte {data[error.start]:#x} is no text in {error.encoding}: "
            "write the file in this encoding, or delete the character"
        )

    def _rows(self) -> Iterator[Atoms]:
        """Structures of an ASE database with their key-value pairs and data, which ASE's reader ignores."""
        part = self.selection
        with ase.db.connect(self.path, serial=True) as database:
            rows = database.select(part if isinstance(part, str) else None)
            if isinstance(part, int):
                rows = [list(rows)[part]]
            elif isinstance(part, slice):
                rows = list(rows)[part]
            for row in rows:
                atoms = row.toatoms()
                # In `info` too: the virial of three atoms has the shape of their forces.
                atoms.info.update({**row.data, **row.key_value_pairs})
                for key, value in row.data.items():
                    if np.shape(value) == (len(atoms), 3) and key not in atoms.arrays:
                        atoms.arrays[key] = np.asarray(value)
                yield atoms


def split_file(path: StrPath, atoms_per_part: int = _ATOMS) -> list[FilePart]:
    """Split a file of structures into parts, in the order of the file.

    Extended XYZ that is not compressed is split by its numbers of atoms, trajectories by their lengths; other
    files are one part. The parts depend on the file alone.

    Parameters
    ----------
    path : str or path-like
        File that ASE can read; ``file@slice`` is a part of one, if no file has this whole name.
    atoms_per_part : int, default=10_000
        About the number of atoms in a part of extended XYZ.

    Returns
    -------
    list of FilePart

    Raises
    ------
    ReadingError
        There is no such file; it has no structure; a structure of extended XYZ does not begin where it
        should. The message names the file and the index of the structure.
    """
    part = find_file(path)
    parts = None
    if part.format == "extxyz" and get_compression(part.path)[1] is None and Path(part.path).is_file():
        frames = find_frames(part.path, _last(part.selection))
        if frames is not None:
            parts = _split_frames(part, frames, atoms_per_part)
    elif part.format == "traj":
        parts = _split_trajectory(part)
    if parts == []:
        raise ReadingError(f"{path}: it has no structure")
    return parts or [_whole(part, str(path))]


def find_file(path: StrPath) -> FilePart:
    """Find a file of structures and its format, but read none; parameters and errors as of `split_file`.

    Returns
    -------
    FilePart
        The whole file, and what of it is selected.
    """
    whole = str(path)
    name, selection = _selected(whole)
    if not Path(name).exists():
        raise ReadingError(f"{whole}: no such file")
    if not (Path(name).is_file() or Path(name).is_dir()):
        raise ReadingError(f"{whole}: a pipe cannot be read twice; write the structures to a file")
    if isinstance(selection, slice) and selection.step == 0:
        raise ReadingError(f"{whole}: the step of a slice must not be zero")
    try:
        kind = filetype(name)
    except Exception as error:  # of many kinds
        raise ReadingError(f"{whole}: ASE cannot read it: {type(error).__name__}: {error}") from error
    # What ASE says of any folder.
    if kind == "bundletrajectory" and not BundleTrajectory.is_bundle(name):
        raise ReadingError(f"{whole}: it is a folder; give the files in it")
    if isinstance(selection, str) and kind not in _DATABASES:
        raise ReadingError(f"{whole}: {selection!r} is neither an index nor a slice")
    return FilePart(name, name, kind, selection=selection)


def _selected(path: str) -> tuple[str, Selection]:
    """Name of a file, and the index, slice or selection (str) of the structures to read, or None."""
    if Path(path).exists():
        return path, None
    name, at, part = path.rpartition("@")
    if not at or not Path(name).exists():
        return path, None
    try:
        return name, string2index(part)
    except ValueError:
        return name, part


def _last(selection: Selection) -> int | None:
    """The last structure that ASE looks at, None if it looks at all."""
    last = selection.stop if isinstance(selection, slice) else selection
    return last if isinstance(last, int) and last >= 0 else None


def _as_slice(selection: Selection) -> slice:
    assert not isinstance(selection, str)
    if isinstance(selection, int):
        return slice(selection, selection + 1 or None)
    return selection or slice(None)


def _split_frames(part: FilePart, frames: NDArray[np.void], atoms_per_part: int) -> list[FilePart] | None:
    chosen = range(len(frames))[_as_slice(part.selection)]
    if chosen.step < 0:
        return None
    part_of = (np.cumsum(np.maximum(frames["n_atoms"], 1)) - 1) // atoms_per_part
    parts = []
    # What lies between structures that are chosen is read, too.
    for _, group in itertools.groupby(chosen, part_of.__getitem__):
        indices = list(group)
        offset = int(frames["offset"][indices[0]])
        parts.append(
            replace(
                part,
                first=indices[0],
                step=chosen.step,
                n_structures=len(indices),
                n_atoms=tuple(frames["n_atoms"][indices].tolist()),
                offset=offset,
                length=int(frames["end"][indices[-1]]) - offset,
                selection=None,
            )
        )
    return parts


def _split_trajectory(part: FilePart) -> list[FilePart] | None:
    try:
        with Trajectory(part.path) as trajectory:
            n = len(trajectory)
    except Exception as error:  # of many kinds
        raise ReadingError(f"{part.path}: ASE cannot read it: {type(error).__name__}: {error}") from error
    chosen = range(n)[_as_slice(part.selection)]
    if chosen.step < 0:
        return None
    parts = []
    for start in range(0, len(chosen), _STRUCTURES):
        some = chosen[start : start + _STRUCTURES]
        selection = slice(some.start, some.stop, some.step)
        parts.append(
            replace(part, first=some.start, step=some.step, n_structures=len(some), selection=selection)
        )
    return parts


def _whole(part: FilePart, name: str) -> FilePart:
    """The part that is all there is to read of a file."""
    selection = part.selection
    if selection is None:
        return part
    if isinstance(selection, int) and selection >= 0:
        return replace(part, first=selection)
    if isinstance(selection, slice) and (selection.start or 0) >= 0 and (selection.step or 1) > 0:
        return replace(part, first=selection.start or 0, step=selection.step or 1)
    # Only the reader knows the places in the file.
    return replace(part, name=name)
