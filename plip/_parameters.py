"""Parameter access of small settings objects, compatible with scikit-learn but free of it."""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Hashable
from typing import Any, Self, TypeGuard

import numpy as np

__all__ = ["Parameters", "check_n_jobs", "is_integer", "is_number"]


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number of Python or NumPy; booleans are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is an integer of Python or NumPy; booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_n_jobs(value: object) -> None:
    """Raise unless `value` is a number of joblib workers; joblib itself would take text."""
    if value is not None and (not is_integer(value) or value == 0):
        raise ValueError(f"n_jobs must be a positive integer, -1 for all processors, or None, got {value!r}")


class Parameters:
    """Mixin for objects whose constructor only assigns its arguments.

    It gives radial families and interactions what `sklearn.base.clone` and nested grid searches ask for,
    without scikit-learn: a saved potential must load where that is not installed.
    """

    @classmethod
    @functools.cache
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this object.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the parameters of nested objects as ``name__parameter``.

        Returns
        -------
        dict
            Parameter names mapped to their values.
        """
        params = {}
        for name in self._parameter_names():
            value = getattr(self, name)
            params[name] = value
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params.update({f"{name}__{key}": item for key, item in value.get_params().items()})
        return params

    def set_params(self, **params: object) -> Self:
        """Set parameters, nested ones as ``name__parameter``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no parameter of that name.
        """
        names = self._parameter_names()
        nested: dict[str, dict[str, object]] = {}
        for key, value in params.items():
            name, separator, rest = key.partition("__")
            if name not in names:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; its parameters are {', '.join(names)}"
                )
            if separator:
                nested.setdefault(name, {})[rest] = value
            else:
                setattr(self, name, value)
        for name, values in nested.items():
            target = getattr(self, name)
            if not hasattr(target, "set_params"):
                raise ValueError(
                    f"{name} of {type(self).__name__} is {target!r}, which has no parameters: "
                    f"set {name} to an object first"
                )
            target.set_params(**values)
        return self

    def __repr__(self) -> str:
        shown = []
        for name in self._parameter_names():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters) or type(self) is not type(other):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        # Equal objects have equal hashes: a key of a dict must not be changed.
        return hash((type(self), self._key()))

    def _key(self) -> Hashable:
        return _frozen(self.get_params(deep=False))


def _frozen(value: Any) -> Hashable:
    """A hashable value; lists, tuples and arrays of equal contents give equal values."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    return value
