"""Labels of one structure that are what is expected, up to unit or sign."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from plip._types import FloatArray
from plip.audit._readings import FORCE_UNITS, STRESS_UNITS

__all__ = ["Pattern", "pattern_of"]

# Kind, text and remedy.
Pattern: TypeAlias = tuple[str, str, str]

# Correlation of labels and expected values. Less than 0.001 of random vectors with 12 components reach it.
_CORRELATED = {"force": 0.9, "virial": 0.97}
_LEAST_COMPONENTS = {"force": 12, "virial": 6}
# A factor within this is the error of a fit; near a unit within this it is the unit.
_OTHER_UNIT, _NEAR_UNIT = 3.0, 1.25


def pattern_of(target: str, label: FloatArray, expected: FloatArray) -> Pattern | None:
    """Kind, text and remedy of what the labels are instead, or None.

    Parameters
    ----------
    target : {"force", "virial"}
    label, expected : (...) float64
    """
    if label.size < _LEAST_COMPONENTS[target] or not label.any():
        return None
    name = {"force": "force", "virial": "stress"}[target]
    plural = {"force": "forces", "virial": "stresses"}[target]
    correlation = _correlation(label, expected)
    if abs(correlation) >= _CORRELATED[target]:
        factor = float(np.sum(expected**2) / np.sum(label * expected))
        units = FORCE_UNITS if target == "force" else STRESS_UNITS
        for unit, size in units.items():
            if abs(np.log(abs(factor) / size)) < np.log(_NEAR_UNIT):
                sign = " and of the opposite sign" if factor < 0 else ""
                remedy = f"Multiply these {plural} by {np.sign(factor) * size:.6g}"
                return f"{name} unit", f"{plural} in {unit}{sign}", remedy
        if -_OTHER_UNIT < factor < -1 / _OTHER_UNIT:
            return f"{name} sign", f"{plural} of the opposite sign", f"Change the sign of these {plural}"
    return None


def _correlation(first: FloatArray, second: FloatArray) -> float:
    size = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / size) if size > 0 else 0.0
