"""What the record of a fit says, as far as it can be read: files are edited by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from plip._parameters import is_integer, is_number
from plip.potential import Potential

__all__ = ["readable_record"]

Check: TypeAlias = Callable[[Any], bool]


def readable_record(potential: Potential) -> tuple[dict[str, Any], list[str]]:
    """The record of a potential without what reports cannot read, and the names of that.

    Parameters
    ----------
    potential : Potential

    Returns
    -------
    record : dict
        As `Potential.fit_record`; entries that no report reads are as they are.
    damaged : list of str
        Such as "errors.train".
    """
    record, damaged = potential.fit_record or {}, []
    for name, check in _CHECKS.items():
        if name in record and not check(record[name]):
            del record[name]
            damaged.append(name)
    for name, checks in _PARTS.items():
        entry = record.get(name, {})
        for part in [part for part in entry if not checks.get(part, checks.get("*", _is_any))(entry[part])]:
            del entry[part]
            damaged.append(f"{name}.{part}")
    return record, damaged


def _is_any(_: Any) -> bool:
    return True


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return is_integer(value) and value >= 0


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _by_name(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _is_range(value: Any) -> bool:
    return _list_of(is_number)(value) and len(value) == 2


def _is_path(sizes: Any) -> bool:
    """Whether errors and cancellation are known for each number of terms."""
    if not isinstance(sizes, dict) or not all(_is_count(sizes.get(name)) for name in ("chosen", "offered")):
        return False
    n_terms, errors = sizes.get("n_terms"), [sizes.get(name, {}) for name in ("train", "cross-validation")]
    if not _list_of(_is_count)(n_terms) or not n_terms or not all(map(_is_object, errors)):
        return False
    curves = [sizes.get("cancellation"), *(curve for of_set in errors for curve in of_set.values())]
    return all(_list_of(_or_none(is_number))(curve) and len(curve) == len(n_terms) for curve in curves)


_CHECKS: dict[str, Check] = {
    **dict.fromkeys(("settings", "data", "errors"), _is_object),
    "sizes": _is_path,
}
# The same of what is in them; "*" stands for any name.
_PARTS: dict[str, dict[str, Check]] = {
    "data": {
        "n_structures": _is_count,
        "n_labels": _by_name(_is_count),
        "hash": _or_none(_is_text),
        "shortest_distances": _by_name(is_number),
        "volume_per_atom": _is_range,
        "analogs": _by_name(_or_none(_is_text)),
        **dict.fromkeys(
            ("missing_atoms", "missing_pairs", "missing_combinations", "isolated_pairs"), _list_of(_is_text)
        ),
    },
    "errors": {"*": _by_name(_or_none(is_number))},
}
