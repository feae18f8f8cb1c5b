"""Labels of one structure that are what is expected, up to unit or sign."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from plip._types import FloatArray
from plip.audit._readings import FORCE_UNITS, STRESS_UNITS

__all__ = ["Pattern", "pattern_of"]

# Kind, text and remedy.
Pattern: TypeAlias = tuple[str, str, str]

# Correlation of labels and expected values. Less than 0.001 of random vectors with 12 components reach that
# of forces. Labels in another unit are at least ten times too large or too small, which says much by itself.
_CORRELATED, _OF_UNIT = {"force": 0.9, "virial": 0.97}, 0.8
_LEAST_COMPONENTS = {"force": 12, "virial": 6}
# A factor within the first is the error of a fit; near a unit within the second it is the unit, of which two
# are 2 apart.
_OTHER_SIGN, _NEAR_UNIT = 3.0, 1.4
# No fit is wrong by this factor; the nearest unit is then the likely one.
_MUCH_TOO_LARGE = 30.0


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
    factor = float(np.sqrt(np.sum(expected**2) / np.sum(label**2)))
    if abs(correlation) >= _OF_UNIT:
        units = FORCE_UNITS if target == "force" else STRESS_UNITS
        unit = min(units, key=lambda name: abs(np.log(factor / units[name])))
        distance = abs(np.log(factor / units[unit]))
        is_unit = distance < np.log(_NEAR_UNIT)
        if is_unit or (factor < 1 / _MUCH_TOO_LARGE and distance < 0.5 * abs(np.log(factor))):
            sign = " and of the opposite sign" if correlation < 0 else ""
            remedy = f"Multiply these {plural} by {np.sign(correlation) * units[unit]:.6g}"
            return f"{name} unit", f"{plural} {'' if is_unit else 'probably '}in {unit}{sign}", remedy
    if correlation <= -_CORRELATED[target] and 1 / _OTHER_SIGN < factor < _OTHER_SIGN:
        return f"{name} sign", f"{plural} of the opposite sign", f"Change the sign of these {plural}"
    return None


def _correlation(first: FloatArray, second: FloatArray) -> float:
    size = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / size) if size > 0 else 0.0
