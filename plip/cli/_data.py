"""Labeled structures of files, for the command line: labels by key, groups, weights, a test set."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit
from tqdm import tqdm

from plip._places import located
from plip._reading._parts import split_file
from plip._structures._checks import has_full_cell
from plip._types import FloatArray, IntArray
from plip.labels import TARGETS, convert_stress, stress_from_virial
from plip.metrics import read_groups

__all__ = [
    "Data",
    "Keys",
    "attach",
    "read_files",
    "read_group_weights",
    "read_parts",
    "split",
    "weight_of",
    "weights_of_groups",
]

# Arrays that every Atoms has.
_GEOMETRY = ("numbers", "positions")
_LABELS = ("energy", "free_energy", "forces", "stress")
# Attached stresses have this unit and sign by ASE's convention.
_NO_CONVERSION = (None, "eV/A^3", "tension")
# Weights of a group that a file of weights does not name, and names of the targets there.
_EVEN = (1.0, 1.0, 1.0)
_WEIGHTS = {"energy": "energy", "force": "force", "forces": "force", "stress": "virial", "virial": "virial"}


@dataclass(frozen=True)
class Keys:
    """Where labels and groups are.

    Attributes
    ----------
    energy, forces, stress, virial : str or None
        Keys of `info`, for forces of `arrays`; None stands for ASE's names.
    stress_unit, stress_sign : str
        Of the stresses in the files; see `plip.labels.convert_stress`.
    group : str or None
        Key of `info`; for None see `plip.metrics.read_groups`.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    stress_unit: str = "eV/A^3"
    stress_sign: str = "tension"
    group: str | None = None


@dataclass(frozen=True)
class Data:
    """Structures with their labels attached under ASE's names.

    Attributes
    ----------
    structures : list of ase.Atoms
    places : list of str
        Where each structure comes from, such as "b.xyz, structure 3".
    groups : (n,) str, or None
    """

    structures: list[Atoms]
    places: list[str]
    groups: NDArray[np.str_] | None

    def take(self, rows: IntArray) -> Data:
        """Some of the structures; `rows` is an ndarray of int."""
        return Data(
            [self.structures[row] for row in rows],
            [self.places[row] for row in rows],
            None if self.groups is None else self.groups[rows],
        )

    def located(self) -> AbstractContextManager[None]:
        """Context in which errors and warnings say where their structures come from."""
        return located(self.places.__getitem__)


def read_files(paths: list[str], keys: Keys, required: bool = True, progress: bool = False) -> Data:
    """Read structures from files.

    Parameters
    ----------
    paths : list of str
        Files that ASE can read; ``file@slice`` reads a part. Key-value pairs and data of ASE's
        databases become entries of `info` and `arrays`.
    keys : Keys
        A key that only some structures have leaves the others without this label.
    required : bool, default=True
        Whether a key that no structure has is an error.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Data

    Raises
    ------
    ValueError
        A file that cannot be read or is empty; a key that no structure has; no label at all; a stress or
        virial that cannot be converted. The message names the file.
    """
    structures, places = read_parts(paths, progress)
    if required:
        _check_keys(structures, keys, paths[0])
    for atoms, place in zip(structures, places, strict=True):
        try:
            attach(atoms, keys)
        except ValueError as error:
            raise ValueError(f"{place} ({atoms.get_chemical_formula()}): {error}") from error
    if not any(atoms.calc is not None and set(_LABELS) & set(atoms.calc.results) for atoms in structures):
        first = structures[0]
        raise ValueError(
            f"{paths[0]}: no energies, forces or stresses under ASE's names. Its first structure has "
            f"{_names(first.info)} in info and {_names(first.arrays)} in arrays: name the labels with "
            "--energy-key, --forces-key, --stress-key, --virial-key"
        )
    return Data(structures, places, read_groups(structures, keys.group))


def read_parts(paths: list[str], progress: bool = False) -> tuple[list[Atoms], list[str]]:
    """Structures of files as they are, and where each of them comes from."""
    structures: list[Atoms] = []
    places: list[str] = []
    for path in paths:
        with tqdm(desc=f"Reading {path}", unit=" structures", disable=not progress) as bar:
            for part in split_file(path):
                found = part.read()
                _share(found)
                structures += found
                places += [part.place(number) for number in range(len(found))]
                bar.update(len(found))
    return structures, places


def _share(structures: Iterable[Atoms]) -> None:
    """Let calculators hold their structures, which nothing will move, in place of copies."""
    for atoms in structures:
        if isinstance(atoms.calc, SinglePointCalculator):
            atoms.calc.atoms = atoms


def _names(source: Mapping[Any, object]) -> str:
    names = []
    for name, value in source.items():
        if name not in _GEOMETRY:
            # As it is where the reader of a file took the next entry for the value.
            names.append(f"{name} ({value!r})" if isinstance(value, str) and "=" in value else str(name))
    return ", ".join(names) or "nothing"


def _check_keys(structures: list[Atoms], keys: Keys, path: str) -> None:
    for option, where in (("energy", "info"), ("forces", "arrays"), ("stress", "info"), ("virial", "info")):
        key = getattr(keys, option)
        if key is not None and all(_find(atoms, where, key) is None for atoms in structures):
            raise ValueError(
                f"--{option}-key: no structure has {key!r} in {where}. The first one of {path} has "
                f"{_names(getattr(structures[0], where))} there"
            )
    if keys.group is not None and all(atoms.info.get(keys.group) is None for atoms in structures):
        raise ValueError(
            f"--group-key: no structure has {keys.group!r} in info. The first one of {path} has "
            f"{_names(structures[0].info)} there"
        )


def _find(atoms: Atoms, where: str, key: str) -> Any:
    """The label of a key, even if ASE's readers have moved it to the calculator; None without one."""
    value = getattr(atoms, where).get(key)
    if value is None and atoms.calc is not None:
        value = atoms.calc.results.get(key)
    return value


def attach(atoms: Atoms, keys: Keys) -> None:
    """Put labels where ASE and plip look for them, in plip's units."""
    attached = {} if atoms.calc is None else atoms.calc.results
    results = dict(attached)
    if keys.energy is not None:
        results["energy"] = _find(atoms, "info", keys.energy)
        # plip would prefer a free energy to the energy that the user has named.
        results.pop("free_energy", None)
    if keys.forces is not None:
        results["forces"] = _find(atoms, "arrays", keys.forces)
    if keys.virial is not None:
        virial = _find(atoms, "info", keys.virial)
        # There is no stress without a volume.
        usable = virial is not None and has_full_cell(atoms)
        results["stress"] = stress_from_virial(virial, atoms.get_volume()) if usable else None
    else:
        stress = results.get("stress") if keys.stress is None else _find(atoms, "info", keys.stress)
        if stress is not None and (keys.stress, keys.stress_unit, keys.stress_sign) != _NO_CONVERSION:
            stress = convert_stress(stress, keys.stress_unit, keys.stress_sign)
        results["stress"] = stress
    results = {name: value for name, value in results.items() if value is not None}
    if not results:
        atoms.calc = None
    elif any(results.get(name) is not attached.get(name) for name in {*results, *attached}):
        labels = SinglePointCalculator(atoms)
        labels.results = results
        if atoms.calc is not None and any(results.get(name) is value for name, value in attached.items()):
            labels.name = atoms.calc.name
        atoms.calc = labels


# Groups


def read_group_weights(path: str) -> dict[str, tuple[float, ...]]:
    """Weights by group and target (energy, force, virial) from a file.

    The file is JSON, ``{"surface": 4, "bulk": {"energy": 1, "force": 2}}``, or text with one group per line,
    ``surface: 4`` and ``bulk: energy 1, force 2``, where ``#`` begins a comment. A target without an entry
    has the weight 1.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict of str to (float, float, float)

    Raises
    ------
    ValueError
        The file cannot be understood, or names a target that does not exist. The message names the file.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        table = _parse_json(text) if text.lstrip().startswith("{") else _parse_lines(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    return {group: tuple(weights.get(target, 1.0) for target in TARGETS) for group, weights in table.items()}


def weights_of_groups(path: str, groups: NDArray[np.str_] | None) -> FloatArray:
    """Weights of structures from a file of weights by group; a group without an entry has the weight 1.

    Parameters
    ----------
    path : str
        As for `read_group_weights`.
    groups : (n,) str, or None
        Group of each structure.

    Returns
    -------
    (n, 3) float64
        By target: energy, force and virial.

    Raises
    ------
    ValueError
        As `read_group_weights`, or the file names a group that does not exist.
    """
    table = read_group_weights(path)
    if groups is None:
        raise ValueError(f"{path}: there are no groups: name their key in info with --group-key")
    unknown = [repr(group) for group in table if group not in groups]
    if unknown:
        raise ValueError(
            f"{path}: no structure is of the group {' or '.join(unknown)}; there are "
            f"{', '.join(sorted(set(groups.tolist())))}"
        )
    return np.array([table.get(group, _EVEN) for group in groups])


def weight_of(atoms: Atoms, table: Mapping[str, tuple[float, ...]], key: str | None) -> tuple[float, ...]:
    """Weights of one structure from `read_group_weights`; `key` as `Keys.group`."""
    groups = read_groups([atoms], key)
    return _EVEN if groups is None else table.get(str(groups[0]), _EVEN)


def _parse_json(text: str) -> dict[str, dict[str, float]]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    return {
        group: _check_weights(group, weights)
        for group, weights in json.loads(text, object_pairs_hook=unique).items()
    }


def _parse_lines(text: str) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        group, colon, weights = line.partition(":")
        group = group.strip(" \t\"'")
        words = re.split(r"[\s,:={}]+", weights.strip(" {}"))
        if not colon or not group or len(words) % 2 and len(words) > 1:
            raise ValueError(
                f"expected 'group: weight' or 'group: energy 1, force 1, stress 1', got {line!r}"
            )
        if group in table:
            raise ValueError(f"group {group!r} occurs twice")
        values = words[0] if len(words) == 1 else dict(zip(words[::2], words[1::2], strict=True))
        table[group] = _check_weights(group, values)
    return table


def _check_weights(group: str, weights: Any) -> dict[str, float]:
    """Weights by target."""
    if not isinstance(weights, Mapping):
        weights = dict.fromkeys(("energy", "force", "stress"), weights)
    found = {}
    for name, weight in weights.items():
        if name not in _WEIGHTS:
            raise ValueError(f"group {group!r}: {name!r} is none of energy, force, stress")
        try:
            value = math.nan if isinstance(weight, bool) else float(weight)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not 0 <= value < math.inf:
            raise ValueError(f"group {group!r}: a weight must be a number of at least 0, got {weight!r}")
        found[_WEIGHTS[name]] = value
    return found


def split(data: Data, fraction: float, seed: int = 0, keep_single_atoms: bool = False) -> tuple[Data, Data]:
    """Training and test data with the same share of every group.

    The training data keep at least one structure of every group and of every element.

    Parameters
    ----------
    data : Data
    fraction : float
        Share of the test set, between 0 and 1.
    seed : int, default=0
    keep_single_atoms : bool, default=False
        Whether all structures of a single atom stay in the training data.

    Returns
    -------
    train, test : Data

    Raises
    ------
    ValueError
        The training set would be empty.
    """
    n = len(data.structures)
    names = np.zeros(n, int) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    # The training data need every element and every group.
    kinds: list[set[str | int]] = [
        {*atoms.symbols, int(name)} for atoms, name in zip(data.structures, names, strict=True)
    ]
    counts = Counter(kind for one in kinds for kind in one)
    single = np.array([any(counts[kind] == 1 for kind in one) for one in kinds])
    if keep_single_atoms:
        single |= np.array([len(atoms) == 1 for atoms in data.structures])
    free = np.flatnonzero(~single)
    n_test = max(1, round(fraction * n))
    if n_test >= len(free):
        raise ValueError(
            f"--test-fraction {fraction:g} of {n} structures leaves nothing to train on: lower it, or "
            "name test files with --test"
        )
    names = names[free]
    # The splitter needs two structures of every group, and room for every group on both sides.
    while True:
        values, sizes = np.unique(names, return_counts=True)
        if len(sizes) <= min(n_test, len(free) - n_test) and sizes.min() >= 2:
            break
        values = values[np.argsort(sizes, kind="stable")]
        names[names == values[0]] = values[1]
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=n_test, random_state=seed)
    ((_, chosen),) = splitter.split(names, names)
    test = np.zeros(n, bool)
    test[free[chosen]] = True
    trained = set().union(*(kinds[k] for k in np.flatnonzero(~test)))
    for k in np.flatnonzero(test):
        if not kinds[k] <= trained:
            test[k] = False
            trained |= kinds[k]
    return data.take(np.flatnonzero(~test)), data.take(np.flatnonzero(test))
