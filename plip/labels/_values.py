"""Checks of values that a user gives: real numbers and nothing else, one entry per structure."""

import numbers
import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from ase import Atoms

from plip._structures._checks import describe, errors_of
from plip._types import BoolArray, FloatArray

__all__ = [
    "check_array",
    "check_arrays",
    "check_length",
    "check_numbers",
    "check_plain",
    "have_larger",
    "is_missing",
    "real_array",
]

# Arrays that are looked at together.
_AT_A_TIME = 100

_NOT_FINITE = "{} has NaN or infinite values; correct them, or leave the label out (None in its place)"


def is_missing(value: object) -> bool:
    """Whether an entry means that there is no label: None, ``pandas.NA``, or masked as a whole."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, np.ma.MaskedArray):
        return value.size > 0 and bool(np.ma.getmaskarray(value).all())
    pandas = sys.modules.get("pandas")
    return pandas is not None and value is pandas.NA


def check_length(values: Any, X: Sequence[Atoms], name: str) -> list[Any]:
    """The values as a list, one for each structure."""
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):
        values = values.to_numpy()  # the list of a table is that of its columns
    if isinstance(values, (Mapping, Set)):  # the list of a dict is that of its keys, and a set has no order
        raise ValueError(f"{name} must be a list of one entry per structure, got {type(values).__name__}")
    try:
        values = list(values)
    except TypeError:
        raise ValueError(f"{name} must hold one entry per structure, got {type(values).__name__}") from None
    if len(values) != len(X):
        raise ValueError(f"{name} has {len(values)} entries for {len(X)} structures; give one for each")
    return values


def check_numbers(
    values: Any, X: Sequence[Atoms], name: str, first: int, may_be_missing: bool = False
) -> FloatArray:
    """One finite number for each structure, (n,) float64, NaN where one is missing and may be."""
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{name} must be one number per structure, shape ({len(X)},), got shape {shape}")
    values = check_length(values, X, name)
    checked = np.full(len(X), np.nan)
    for k, value in enumerate(values):
        if not (may_be_missing and is_missing(value)):
            with errors_of(first + k, X[k]):
                checked[k] = _check_number(value, name)
    return checked


def _check_number(value: object, name: str) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        kind = "a masked entry" if value is np.ma.masked else type(value).__name__
        raise ValueError(f"{name} must be one number per structure, got {kind}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ValueError(f"{name} is {value}; correct it or leave the structure out")
    return number


def check_array(values: Any, shape: tuple[int, ...], name: str) -> FloatArray:
    """Finite real numbers in an array of this shape, float64."""
    array = _check_shape(values, shape, name)
    if not np.isfinite(array).all():
        raise ValueError(_NOT_FINITE.format(name))
    return array


def check_arrays(
    values: Sequence[Any], shapes: Sequence[tuple[int, ...]], X: Sequence[Atoms], name: str, first: int
) -> list[FloatArray | None]:
    """The same of an array for each structure, or None where one is missing."""
    arrays: list[FloatArray | None] = [None] * len(X)
    for k, (value, shape) in enumerate(zip(values, shapes, strict=True)):
        if type(value) is np.ndarray and value.dtype == np.float64 and value.shape == shape:
            arrays[k] = value
        elif not is_missing(value):
            with errors_of(first + k, X[k]):
                arrays[k] = _check_shape(value, shape, name)
    for k in np.flatnonzero(have_larger(arrays, np.finfo(float).max)).tolist():
        raise ValueError(f"{describe(first + k, X[k])}: {_NOT_FINITE.format(name)}")
    return arrays


def have_larger(arrays: Sequence[FloatArray | None], limit: float) -> BoolArray:
    """Which arrays have a number beyond the limit, whatever its sign, or NaN, (n,)."""
    found = np.zeros(len(arrays), bool)
    places = [k for k, array in enumerate(arrays) if array is not None]
    present = [array for array in arrays if array is not None]
    # To look at each takes as long as all else; so do fresh pages of memory.
    for first in range(0, len(present), _AT_A_TIME):
        some = present[first : first + _AT_A_TIME]
        starts = np.cumsum([0, *(array.size for array in some[:-1])])
        are_within = np.abs(np.concatenate(some, axis=None)) <= limit
        found[places[first : first + _AT_A_TIME]] = ~np.logical_and.reduceat(are_within, starts)
    return found


def _check_shape(values: Any, shape: tuple[int, ...], name: str) -> FloatArray:
    array = real_array(values, name)
    if array.shape != shape:
        expected = f"have shape {shape}" if shape else "be a single number"
        raise ValueError(f"{name} must {expected}, got shape {array.shape}")
    return array


def real_array(values: Any, name: str) -> FloatArray:
    """Values as an array of float64, if they are real numbers and nothing else.

    Parameters
    ----------
    values : array-like
    name : str
        For messages.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        Masked entries, booleans, strings, complex numbers, None, numbers with units, rows of unequal length.
    """
    # What readers attach needs no check.
    if type(values) is float:
        return np.array(values)
    if type(values) is np.ndarray and values.dtype == np.float64:
        return values
    _check_entries(values, name)
    try:
        array = np.asarray(values)
        # A row without numbers is float64.
        if array.dtype.kind not in "iufO":
            raise TypeError
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be an array of real numbers") from None


def _check_entries(values: Any, name: str) -> None:
    """Raise for what `numpy.asarray` would drop or convert silently."""
    if getattr(values, "unit", None) is not None or getattr(values, "units", None) is not None:
        raise ValueError(f"{name} has a unit: convert it (eV, A) and pass plain numbers")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries; correct them, or give None for the whole")
    if isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.dtype == object):
        if isinstance(values, np.ndarray) and values.ndim == 0:
            values = [values.item()]
        for value in values:
            _check_entries(value, name)
    elif isinstance(values, np.ndarray) or hasattr(values, "__array__"):
        array = np.asarray(values)
        if array.dtype == object:
            _check_entries(array, name)
        elif array.dtype.kind not in "iuf":
            raise ValueError(f"{name} must be an array of real numbers, got {array.dtype}")
    elif isinstance(values, bool) or not isinstance(values, numbers.Real):
        what = "a masked entry" if values is np.ma.masked else type(values).__name__
        raise ValueError(f"{name} must be an array of real numbers, got {what}")


def check_plain(values: Any, name: str) -> None:
    """Raise for what the checks of scikit-learn would drop or convert silently.

    Parameters
    ----------
    values : array-like of any shape
    name : str
        For messages.

    Raises
    ------
    ValueError
        Masked entries, booleans, strings or None.
    """
    if values is None:
        return
    rows = [values, *values] if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(row, np.ma.MaskedArray) and np.ma.is_masked(row) for row in rows):
        raise ValueError(f"{name} has masked entries; leave those samples out")
    array = np.asarray(values, dtype=object if isinstance(values, (list, tuple)) else None)
    entries = array.ravel() if array.dtype == object else array.ravel()[:1]
    for entry in entries:
        if entry is None or isinstance(entry, (str, bytes, bool, np.bool_)) or entry is np.ma.masked:
            what = "a masked entry" if entry is np.ma.masked else type(entry).__name__
            raise ValueError(f"{name} must hold real numbers, got {what}")
