"""Checks of the parameters of an estimator, and of its weights against the labels that there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from plip._parameters import check_n_jobs, is_integer, is_number
from plip.descriptors._transformer import as_descriptors
from plip.labels import TARGETS
from plip.solvers import SOLVERS

__all__ = ["WEIGHTS", "check_labels", "check_parameters", "find_unlabeled"]

# The weight of each target, a parameter of the estimators.
WEIGHTS = dict(zip(TARGETS, ("energy_weight", "force_weight", "stress_weight"), strict=True))


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _is_strength(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


_STRENGTH = "a number of at least 0"

# What a parameter must be, as a condition and in words.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("alpha", "contribution_penalty"), (lambda x: _is_auto(x) or _is_strength(x), _STRENGTH)),
    **dict.fromkeys(WEIGHTS.values(), (_is_strength, _STRENGTH)),
    "solver": (lambda x: isinstance(x, str) and x in SOLVERS, f"one of {', '.join(SOLVERS)}"),
    "max_terms": (
        lambda x: x is None or _is_auto(x) or (is_integer(x) and x >= 1),
        "a positive integer, 'auto' or None",
    ),
    "repulsion": (lambda x: x is None or _is_auto(x), "'auto' or None"),
    "refit": (_is_bool, "True or False"),
    "verbose": (lambda x: is_integer(x) or _is_bool(x), "an integer or a bool"),
}


def check_parameters(parameters: Mapping[str, Any], is_precomputed: bool) -> None:
    """Raise unless the parameters of an estimator, by name, are those of a fit."""
    for name, (is_valid, expected) in _RULES.items():
        if not is_valid(parameters[name]):
            raise ValueError(f"{name} must be {expected}, got {parameters[name]!r}")
    check_n_jobs(parameters["n_jobs"])
    if not is_precomputed:
        as_descriptors(parameters["descriptors"])
    _check_reference_energies(parameters["reference_energies"], is_precomputed)


def _check_reference_energies(value: Any, is_precomputed: bool) -> None:
    if value is None:
        return
    if is_precomputed:
        raise ValueError("reference_energies are of species, which precomputed descriptors do not know")
    if isinstance(value, str) and value == "isolated":
        return
    if not isinstance(value, Mapping):
        raise ValueError(f'reference_energies must be a dict, "isolated" or None, got {value!r}')
    for symbol, energy in value.items():
        if not isinstance(symbol, str) or symbol not in atomic_numbers:
            raise ValueError(f"reference_energies: {symbol!r} is not a chemical symbol")
        if not is_number(energy) or not math.isfinite(energy):
            raise ValueError(f"reference_energies: that of {symbol} must be a number in eV, got {energy!r}")


def check_labels(weights: Mapping[str, float], targets: Collection[str]) -> None:
    """Raise unless structures have the targets of all weights above zero; see `find_unlabeled`."""
    name = find_unlabeled(weights, targets)
    if name is not None:
        labels = {"energy_weight": "energy", "force_weight": "forces", "stress_weight": "stress"}[name]
        raise ValueError(
            f"{name} is {weights[name]:g}, but no structure has {labels}: attach or pass such labels, or "
            f"leave {name} out"
        )


def find_unlabeled(weights: Mapping[str, float], targets: Collection[str]) -> str | None:
    """The first weight above zero whose target no structure has.

    Parameters
    ----------
    weights : dict of str to float
        Weights by the names of their parameters.
    targets : collection of {"energy", "force", "virial"}
        Targets that structures have.

    Returns
    -------
    str or None
        Name of the parameter.
    """
    for target, name in WEIGHTS.items():
        if weights.get(name, 0) > 0 and target not in targets:
            return name
    return None
