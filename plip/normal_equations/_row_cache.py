"""Rows of single structures, computed or taken from a joblib.Memory."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeAlias

import joblib
import numpy as np
from ase import Atoms
from sklearn.utils.validation import check_memory

import plip
from plip._design._extent import Extent
from plip._design._rows import Design, StructureDesign, StructureRows
from plip._files import digest_arrays
from plip._types import FloatArray, StrPath
from plip._warnings import warn
from plip.normal_equations._sums import are_few, triangular_factor

__all__ = ["Storage"]

# Modules that decide which numbers the rows of a structure are.
_SOURCES = (
    "_core._blas",
    "_core._evaluate",
    "_core._neighbors",
    "_core._radial",
    "_core._rows",
    "_core._terms",
    "_files",
    "_structures._neighbors",
    "_design._columns",
    "_design._extent",
    "_design._four_body",
    "_design._part",
    "_design._plan",
    "_design._rows",
    "_design._sharing",
    "_design._tables",
    "normal_equations._row_cache",
    "normal_equations._sums",
    "radial",
)


# What is stored of a structure: its key, arrays and digest.
Entry: TypeAlias = dict[str, Any]


class Storage:
    """Keeps what the kernels compute of a structure.

    The key is the structure with its forces, the terms, the version of plip and the build of the kernels. An
    entry holds its key and a digest of its numbers; one that is damaged is computed anew, with a warning. A
    folder that cannot be written to is a warning, too.

    Parameters
    ----------
    memory : str, path-like or joblib.Memory
        Where to keep it.
    design : Design
        The terms.
    """

    def __init__(self, memory: StrPath | joblib.Memory, design: Design) -> None:
        setting = [[term.to_dict() for term in design.terms], design.species, plip.__version__]
        self._setting = joblib.hash([*setting, _build(design.kernel.instruction_set)])
        self._is_writable = True
        self._cached: Any = None
        try:
            memory = check_memory(os.fspath(memory) if isinstance(memory, os.PathLike) else memory)
            ignored = ["design", "atoms", "forces", "has_stress", "made"]
            self._cached = memory.cache(_compute, ignore=ignored)
        except OSError as error:
            _warn(f"memory={memory!r} cannot be used ({error}): nothing is kept")

    def __call__(
        self, design: Design, atoms: Atoms, forces: FloatArray | None, has_stress: bool
    ) -> StructureRows:
        key = joblib.hash(
            (self._setting, atoms.numbers, atoms.positions, atoms.cell[:], atoms.pbc, forces, has_stress)
        )
        made: list[Entry] = []
        arguments = (key, design, atoms, forces, has_stress, made)
        if self._cached is None:
            entry = _compute(*arguments)
        else:
            entry = self._take(key, arguments, made)
        return _StoredStructure(design, atoms, *entry["arrays"])

    def _take(self, key: str, arguments: tuple[Any, ...], made: list[Entry]) -> Entry:
        """An entry that is stored, or else made and stored."""
        was_stored = self._is_stored(arguments)
        if not was_stored and not self._is_writable:
            return _compute(*arguments)
        try:
            entry = self._cached(*arguments)
        except Exception:
            # Its own errors the computation raises again; all others are those of the cache.
            entry = made[-1] if made else _compute(*arguments)
        if was_stored and (made or not _is_valid(entry, *arguments[:-1])):
            _warn("entries of the cache are damaged and are computed anew: look at the disk, or delete it")
            if not made:
                entry = self._replaced(arguments, made)
        elif made and not self._is_stored(arguments):
            if self._is_writable:
                _warn("the cache cannot be written to (read-only, or a full disk?): nothing more is kept")
            self._is_writable = False
        return entry

    def _is_stored(self, arguments: tuple[Any, ...]) -> bool:
        try:
            return self._cached.check_call_in_cache(*arguments)
        except OSError:
            return False

    def _replaced(self, arguments: tuple[Any, ...], made: list[Entry]) -> Entry:
        """A new entry in the place of a damaged one."""
        try:
            # What this returns differs between the releases of joblib.
            self._cached.call(*arguments)
        except Exception:
            return made[-1] if made else _compute(*arguments)
        return made[-1]


class _StoredStructure:
    """What `StructureDesign` offers, from stored arrays."""

    def __init__(
        self,
        design: Design,
        atoms: Atoms,
        values: FloatArray,
        extent: FloatArray,
        pairs: FloatArray,
        force_rows: FloatArray | None,
        force_factor: FloatArray | None,
        virials: FloatArray | None,
    ) -> None:
        self.atoms = atoms
        self.values = values
        self.extent = Extent.from_array(extent)
        self.pairs = pairs
        self.counts = design.counts(atoms)
        self.force_factor = force_factor
        self.virials = virials
        self._force_rows = force_rows

    def write_rows(self, first_atom: int, force_rows: FloatArray) -> None:
        if self._force_rows is not None:
            begin = 3 * first_atom
            force_rows[:, : len(self.values)] = self._force_rows[begin : begin + len(force_rows)]


def _compute(
    key: str,
    design: Design,
    atoms: Atoms,
    forces: FloatArray | None,
    has_stress: bool,
    made: list[Entry],
) -> Entry:
    """The entry of a structure, which is also put into the list `made`.

    Its arrays are values, extent, numbers of pairs, force rows or, where they are not few, the triangular
    factor of rows and forces, virial rows.
    """
    structure = StructureDesign(design, atoms, has_stress)
    n_terms, n_rows = len(structure.values), 3 * len(atoms)
    force_rows = force_factor = None
    if forces is not None:
        force_rows = np.empty((n_rows, n_terms))
        structure.write_rows(0, force_rows)
        if not are_few(n_rows, n_terms + len(design.species) + 1):
            rows = np.column_stack([force_rows, forces.ravel()])
            force_rows, force_factor = None, triangular_factor(rows)
    neighbors = structure.extent.to_array(), structure.pairs
    arrays = (structure.values, *neighbors, force_rows, force_factor, structure.virials)
    made.append({"key": key, "arrays": arrays, "digest": _digest(key, arrays)})
    return made[-1]


def _is_valid(entry: Entry, key: str, *others: object) -> bool:
    """Whether what came from the disk is the entry of this structure, undamaged."""
    try:
        return entry["key"] == key and entry["digest"] == _digest(key, entry["arrays"])
    except Exception:  # whatever a damaged file turns into
        return False


def _digest(key: str, arrays: Sequence[FloatArray | None]) -> str:
    """Digest of the numbers of an entry and of its key."""
    return digest_arrays(key, {str(n): array for n, array in enumerate(arrays) if array is not None})


@functools.cache
def _build(instruction_set: str) -> tuple[str, str]:
    """The instruction set of the kernels, and a digest of everything that computes rows."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        with open(str(import_module(f"plip.{name}").__file__), "rb") as file:
            digest.update(file.read())
    return instruction_set, digest.hexdigest()


def _warn(message: str) -> None:
    warn(message)
