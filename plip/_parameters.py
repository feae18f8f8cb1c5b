"""Parameter access of small settings objects, compatible with scikit-learn but free of it."""

import functools
import inspect
import numbers

import numpy as np

__all__ = ["Parameters", "check_n_jobs"]


def check_n_jobs(value):
    """Raise unless `value` is a number of joblib workers, which itself would take text."""
    if value is not None and (
        not isinstance(value, numbers.Integral) or isinstance(value, bool) or value == 0
    ):
        raise ValueError(f"n_jobs must be a positive integer, -1 for all processors, or None, got {value!r}")


class Parameters:
    """Mixin for objects whose constructor only assigns its arguments.

    It offers what `sklearn.base.clone` and nested grid searches ask for, so that
    radial families and interactions take part in both, while a saved potential can be
    loaded where scikit-learn is not installed.
    """

    @classmethod
    @functools.cache
    def _parameter_names(cls):
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep=True):
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

    def set_params(self, **params):
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
        nested = {}
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

    def __repr__(self):
        shown = []
        for name in self._parameter_names():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other):
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        # By value, as for equality: an object that is a key must not be changed.
        return hash((type(self), self._key()))

    def _key(self):
        return _frozen(self.get_params(deep=False))


def _frozen(value):
    """A hashable value that is equal for equal contents, whichever sequence or array holds them."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    return value
