"""Structures whose labels are not what all others lead to expect.

A structure that is merely hard to fit is told from one with wrong labels by several fits, of which one
does not know the structure: of a hard structure they disagree, or those that know it fit it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._patterns import Pattern, pattern_of
from plip.audit._predictions import Expected, robust_scale
from plip.audit._report import Finding
from plip.audit._support import find_support
from plip.labels import LabelledStructures
from plip.potential._prediction import Results

__all__ = ["find_constrained", "find_misfits"]

# Residuals of so many robust standard deviations are no scatter, if all fits agree: their largest difference
# from the fit that does not know the structure is below that part of the residual. Where there are no similar
# structures they must agree better, and all other labels must fit.
_FAR = {"energy": 8.0, "force": 8.0, "virial": 10.0}
_AGREE, _AGREE_WELL = 0.3, 0.03
# eV/atom, eV/A, eV/A^3. Smaller residuals do not matter.
_FLOORS = {"energy": 2e-3, "force": 0.03, "virial": 1e-3}
# Share of what is expected beyond the rest of the group: extreme structures have larger errors.
_SHARE = {"energy": 0.03, "force": 0.15, "virial": 0.15}
# Expected sizes of labels, in standard deviations, of which a pattern can be told. A group has a pattern if
# so many of its structures have it, and fewer have residuals below that part of what is expected.
_LARGE = 4.0
_FEWEST, _FITS = 3, 0.5
# Fewer components of forces may differ from what is expected by one error alone.
_COMPONENTS = 12
# Expected force on an atom that is no scatter, in standard deviations.
_HELD = 6.0

_NAMES = {"energy": "energies", "force": "forces", "virial": "stresses"}
_KINDS = {"energy": "energy", "force": "forces", "virial": "stress"}
_UNITS = {"energy": "eV/atom", "force": "eV/A", "virial": "eV/A^3"}


@dataclass(frozen=True, eq=False)
class _Compared:
    """Labels of one target beside what is expected, one array for each structure; None without label."""

    target: str
    labels: list[FloatArray | None]
    expected: list[FloatArray | None]
    size: FloatArray
    scale: FloatArray


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _get(target: str, result: Results, n_atoms: int, moving: BoolArray) -> FloatArray:
    """Prediction of a target as it is compared."""
    if target == "energy":
        return np.array([result["energy"] / n_atoms])
    if target == "force":
        return result["forces"][moving]
    return result["stress"]


def _compare(
    target: str,
    data: LabelledStructures,
    groups: NDArray[np.str_],
    expected: Expected,
    frozen: list[BoolArray],
) -> _Compared:
    present = data.labels.present(target)
    labels: list[FloatArray | None] = [None] * len(data)
    found: list[FloatArray | None] = [None] * len(data)
    for k in np.flatnonzero(present):
        moving = ~frozen[k]
        if 3 * data.n_atoms[k] < _COMPONENTS and not data.structures[k].pbc.any():
            continue  # fits to larger structures expect nothing of atoms, dimers and trimers
        if target == "energy":
            labels[k] = np.array([data.labels.values("energy")[k] / data.n_atoms[k]])
            found[k] = np.array([expected.energy[k] / data.n_atoms[k]])
        elif target == "force":
            labels[k], found[k] = data.labels.values("force")[k][moving], expected.forces[k][moving]
        elif np.isfinite(expected.stress[k]).all():
            labels[k], found[k] = data.labels.values("virial")[k], expected.stress[k]
    size = np.array(
        [np.nan if a is None or b is None else _rms(a - b) for a, b in zip(labels, found, strict=True)]
    )
    known = np.isfinite(size)
    overall = max(robust_scale(size[known]), _FLOORS[target])
    scale = np.full(len(data), overall)
    for group in np.unique(groups):
        members = known & (groups == group)
        scale[members] = np.maximum(overall, robust_scale(size[members]))
    return _Compared(target, labels, found, size, scale)


def find_misfits(
    data: LabelledStructures, groups: NDArray[np.str_], expected: Expected, frozen: list[BoolArray]
) -> list[Finding]:
    """Labels of another unit or sign in a part of the data, and labels that fit nothing.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    expected : Expected
    frozen : list of n (n_atoms,) bool
        Atoms whose forces do not count.
    """
    findings = []
    compared = [_compare(target, data, groups, expected, frozen) for target in data.labels.targets()]
    patterns = [_patterns(one) for one in compared]
    odd = np.array([[pattern is not None for pattern in found] for found in patterns])
    limits = [_limits(one, groups, np.ones(len(data))) for one in compared]
    doubtful = (_far(compared, limits) | odd).any(axis=0)
    if not doubtful.any():
        return []
    similar, distance = find_support(data, ~doubtful)
    # Errors grow with the distance from what fits know.
    limits = [_limits(one, groups, np.maximum(distance, 1.0)) for one in compared]
    far = _far(compared, limits)
    for number, one in enumerate(compared):
        explained: set[int] = set()
        for finding in _find_patterns(one, patterns[number], groups, expected, frozen):
            findings.append(finding)
            explained.update(finding.structures)
        # Where all other labels fit, the fits know such structures.
        others_fit = (len(compared) > 1) & ~(np.delete(far | odd, number, axis=0).any(axis=0))
        agreement = np.where(similar, _AGREE, np.where(others_fit, _AGREE_WELL, 0.0))
        far[number, list(explained)] = False
        candidates = np.flatnonzero(far[number] & (agreement > 0))
        findings += _find_outliers(one, candidates, limits[number], agreement, expected, frozen)
    return findings


def _far(compared: list[_Compared], limits: list[FloatArray]) -> BoolArray:
    """Labels (targets, n) that do not fit."""
    return np.array([np.nan_to_num(one.size) > limit for one, limit in zip(compared, limits, strict=True)])


def _limits(compared: _Compared, groups: NDArray[np.str_], distance: FloatArray) -> FloatArray:
    """Residual of each structure beyond which its labels do not fit."""
    far = _FAR[compared.target] * compared.scale * distance
    limit = far + _SHARE[compared.target] * _extremes(compared, groups)
    if compared.target != "force":
        return limit
    # Forces that have nothing in common with what is expected, where that is no scatter.
    size = np.array(
        [0.0 if value is None or value.size < _COMPONENTS else _rms(value) for value in compared.expected]
    )
    found: FloatArray = np.where(size > _LARGE * compared.scale.min(), np.minimum(limit, size), limit)
    return found


def _confirmed(
    compared: _Compared,
    k: int,
    expected: Expected,
    frozen: list[BoolArray],
    holds: Callable[[FloatArray], bool],
) -> bool:
    """Whether what holds of the prediction holds of those of all fits."""
    n_atoms = len(frozen[k])
    return all(holds(_get(compared.target, result, n_atoms, ~frozen[k])) for result in expected.all_of(k))


def _patterns(compared: _Compared) -> list[Pattern | None]:
    """What the labels of each structure are instead, where that can be told."""
    if compared.target == "energy":  # a number alone has no pattern
        return [None] * len(compared.labels)
    scale = compared.scale.min()
    return [
        None
        if label is None or prediction is None or _rms(prediction) < _LARGE * scale
        else pattern_of(compared.target, label, prediction)
        for label, prediction in zip(compared.labels, compared.expected, strict=True)
    ]


def _find_patterns(
    compared: _Compared,
    patterns: list[Pattern | None],
    groups: NDArray[np.str_],
    expected: Expected,
    frozen: list[BoolArray],
) -> list[Finding]:
    """Labels that are the expected ones in another unit or sign."""
    size = np.array([np.nan if value is None else _rms(value) for value in compared.expected])
    fits = (size >= _LARGE * compared.scale.min()) & (compared.size < _FITS * size)
    matches: dict[Pattern, list[int]] = defaultdict(list)
    for k, pattern in enumerate(patterns):
        label = compared.labels[k]
        if label is None or pattern is None:
            continue

        def holds(other: FloatArray, label: FloatArray = label, pattern: Pattern = pattern) -> bool:
            return pattern_of(compared.target, label, other) == pattern

        if _confirmed(compared, k, expected, frozen, holds):
            matches[pattern].append(k)
    findings = []
    for (kind, text, remedy), found in matches.items():
        members = set(found)
        for group in np.unique(groups[found]):
            in_group = np.flatnonzero(groups == group)
            n = len(set(found).intersection(in_group.tolist()))
            if n >= _FEWEST and n > np.count_nonzero(fits[in_group]):
                members.update(k for k in in_group.tolist() if compared.labels[k] is not None)
        findings.append(
            Finding(
                kind,
                tuple(sorted(members)),
                f"{text}, unlike the others: only if they are read so, {len(found)} agree with a quick fit",
                remedy,
            )
        )
    return findings


def _find_outliers(
    compared: _Compared,
    candidates: IntArray,
    limit: FloatArray,
    agreement: FloatArray,
    expected: Expected,
    frozen: list[BoolArray],
) -> list[Finding]:
    """Labels far from what all fits expect."""
    target = compared.target
    members = []
    for k in candidates.tolist():
        label, prediction = compared.labels[k], compared.expected[k]
        if label is None or prediction is None:
            continue
        bound, far = agreement[k] * compared.size[k], 0.5 * limit[k]

        def holds(
            other: FloatArray,
            label: FloatArray = label,
            prediction: FloatArray = prediction,
            bound: float = bound,
            far: float = far,
        ) -> bool:
            return _rms(other - prediction) < bound and _rms(other - label) > far

        if _confirmed(compared, k, expected, frozen, holds):
            members.append(k)
    if not members:
        return []
    worst = max(members, key=lambda k: compared.size[k] / compared.scale[k])
    return [
        Finding(
            _KINDS[target],
            tuple(members),
            f"{_NAMES[target]} unlike those of similar structures: off by up to {compared.size[worst]:.3g} "
            f"{_UNITS[target]} ({compared.size[worst] / compared.scale[worst]:.0f} times the usual error "
            f"of a quick fit, {compared.scale[worst]:.2g}), and fits to different parts of the data agree on "
            "what is expected",
            "Look at these calculations (convergence, spin, labels of another structure), or leave them out",
        )
    ]


def _extremes(compared: _Compared, groups: NDArray[np.str_]) -> FloatArray:
    """How far the expected size of each structure is from the middle of its group."""
    size = np.array([np.nan if value is None else _rms(value) for value in compared.expected])
    if compared.target == "energy":
        size = np.array([np.nan if value is None else float(value[0]) for value in compared.expected])
    found = np.zeros(len(size))
    for group in np.unique(groups):
        members = groups == group
        known = members & np.isfinite(size)
        if known.any():
            found[known] = np.abs(size[known] - np.median(size[known]))
    return found


def find_constrained(
    data: LabelledStructures, expected: Expected | None, frozen: list[BoolArray]
) -> list[Finding]:
    """Atoms whose forces a constraint has set to zero.

    Parameters
    ----------
    data : LabelledStructures
    expected : Expected or None
        None takes all atoms of `frozen` for held.
    frozen : list of n (n_atoms,) bool
        As `plip.audit._labels.frozen_atoms` finds them.
    """
    members, n_atoms, largest = [], 0, 0.0
    forces = data.labels.forces or []
    for k, atoms in enumerate(frozen):
        force = forces[k] if forces else None
        if force is None or not atoms.any():
            continue
        if expected is not None:
            size = np.linalg.norm(expected.forces[k][atoms], axis=1)
            error = _rms((force - expected.forces[k])[~atoms])
            # Many that are moderate say as much as one that is large.
            if max(size.max() / _HELD, _rms(size)) < max(error, _FLOORS["force"]) and len(size) < 3:
                continue
            largest = max(largest, float(size.max()))
        members.append(k)
        n_atoms += int(atoms.sum())
    if not members:
        return []
    fit = "" if expected is None else f"; a quick fit expects as much as {largest:.2f} eV/A"
    return [
        Finding(
            "constrained",
            tuple(members),
            f"forces of exactly 0 on {n_atoms} atoms, beside others that are not, though the neighbors of "
            f"these "
            f"atoms do not balance{fit}",
            "Write the forces without constraints (ASE: atoms.get_forces(apply_constraint=False)), or "
            "leave the "
            "forces of these structures out",
        )
    ]
