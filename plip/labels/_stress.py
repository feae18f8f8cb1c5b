"""Units and signs of stresses."""

import numbers

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa
from numpy.typing import ArrayLike

from plip._types import FloatArray
from plip.labels._values import real_array

__all__ = ["STRESS_UNITS", "components_of", "convert_stress", "stress_from_virial"]

# How far a matrix may be from symmetric: 16 MPa, in eV/A^3, and a part of its largest component. Programs
# round, and the stress of a relaxed cell is little more than rounding.
_ASYMMETRY, _RELATIVE_ASYMMETRY = 1e-4, 0.01

# eV/A^3.
STRESS_UNITS = {"eV/A^3": 1.0, "GPa": GPa, "kbar": 0.1 * GPa}


def stress_from_virial(virial: ArrayLike, volume: float) -> FloatArray:
    """Convert a virial to a stress.

        stress = -virial / volume

    That is the sign of the virials of extended XYZ files and of GAP: positive under compression.

    Parameters
    ----------
    virial : array-like of shape (3, 3), (9,) or (6,)
        eV. Six components are in Voigt order xx yy zz yz xz xy, nine row by row.
    volume : float
        A^3, of the cell.

    Returns
    -------
    (6,) float64
        eV/A^3, Voigt order, tension positive.

    Raises
    ------
    ValueError
        Another shape; entries that are not finite real numbers; a matrix that is not symmetric; a volume that
        is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.labels import stress_from_virial
    >>> stress_from_virial(np.diag([1.0, 1.0, 2.0]), volume=40.0)
    array([-0.025, -0.025, -0.05 , -0.   , -0.   , -0.   ])
    """
    if not isinstance(volume, numbers.Real) or not 0 < volume < np.inf:
        raise ValueError(f"a virial needs a cell with a volume to give a stress, got {volume!r}")
    return _voigt(virial, "virial", -1.0 / float(volume))


def convert_stress(stress: ArrayLike, unit: str = "eV/A^3", sign: str = "tension") -> FloatArray:
    """Convert a stress to the unit and sign of plip.

    Parameters
    ----------
    stress : array-like of shape (3, 3), (9,) or (6,)
        Six components are in Voigt order xx yy zz yz xz xy, nine row by row.
    unit : {"eV/A^3", "GPa", "kbar"}
        Of `stress`.
    sign : {"tension", "compression"}
        What is positive in `stress`. A pressure tensor is positive under compression.

    Returns
    -------
    (6,) float64
        eV/A^3, Voigt order, tension positive.

    Raises
    ------
    ValueError
        Another unit, sign or shape; entries that are not finite real numbers; a matrix that is not symmetric.

    Examples
    --------
    >>> from plip.labels import convert_stress
    >>> convert_stress([100.0, 100.0, 100.0, 0.0, 0.0, 0.0], unit="kbar", sign="compression").round(4)
    array([-0.0624, -0.0624, -0.0624, -0.    , -0.    , -0.    ])
    """
    if unit not in STRESS_UNITS:
        raise ValueError(f"the unit of stresses must be one of {', '.join(STRESS_UNITS)}, got {unit!r}")
    if sign not in ("tension", "compression"):
        raise ValueError(f"the sign of stresses must be tension or compression, got {sign!r}")
    return _voigt(stress, "stress", STRESS_UNITS[unit] if sign == "tension" else -STRESS_UNITS[unit])


def _voigt(values: ArrayLike, name: str, factor: float) -> FloatArray:
    array = real_array(values, name)
    if array.shape not in ((6,), (9,), (3, 3)):
        raise ValueError(f"{name} must have 6, 9 or 3 x 3 components, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite values")
    return factor * array if array.size == 6 else components_of(factor * array.reshape(3, 3))


def components_of(stress: FloatArray) -> FloatArray:
    """Voigt components, (6,), of a symmetric matrix, (3, 3) in eV/A^3."""
    difference = np.abs(stress - stress.T).max()
    if difference > _ASYMMETRY + _RELATIVE_ASYMMETRY * np.abs(stress).max():
        raise ValueError(
            f"the matrix of its stress is not symmetric (components differ by {difference:.3g} eV/A^3): "
            "correct it, or give the six components xx yy zz yz xz xy"
        )
    components: FloatArray = full_3x3_to_voigt_6_stress(stress)
    return components
