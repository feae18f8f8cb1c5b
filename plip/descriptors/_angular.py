"""Angular bases of the moments: monomials and solid harmonics, as the kernels build and differentiate them.

Both are homogeneous polynomials of the vector to a neighbour, taken at the unit vector u.

Monomials u^alpha = u_x^alpha_x u_y^alpha_y u_z^alpha_z: (l + 1) (l + 2) / 2 of degree l, with

    cos^l(theta) = sum_{|alpha| = l} l! / alpha! u^alpha v^alpha   for two unit vectors u, v.

Real solid harmonics R_lm: 2 l + 1 of degree l, normalised so that

    P_l(cos(theta)) = sum_m R_lm(u) R_lm(v).
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial.legendre import poly2leg
from numpy.typing import NDArray

from plip._core._rows import COMPONENT
from plip._types import FloatArray

__all__ = [
    "HARMONICS",
    "MONOMIALS",
    "angular_components",
    "first_component",
    "legendre_of_powers",
    "monomials",
    "multinomial",
]

# The numbers by which the kernels know the bases.
MONOMIALS = 0
HARMONICS = 1


def first_component(basis: int, degree: int) -> int:
    """Number of components of lower degree in a basis."""
    return degree**2 if basis == HARMONICS else degree * (degree + 1) * (degree + 2) // 6


def monomials(degree: int) -> list[tuple[int, ...]]:
    """Exponents (x, y, z) of the monomials of one degree, in the order of the kernels."""
    return [(x, y, degree - x - y) for x in range(degree, -1, -1) for y in range(degree - x, -1, -1)]


def multinomial(alpha: Sequence[int]) -> int:
    """|alpha|! / (alpha_x! alpha_y! alpha_z!)."""
    value = math.factorial(sum(alpha))
    for exponent in alpha:
        value //= math.factorial(exponent)
    return value


# A component is described by its recurrence, [(component of lower degree, axis, factor), ...] with axis 3 for
# the factor 1; its weight in contractions; and for each axis its gradient over its degree times that weight,
# [(component of lower degree, factor), ...].
Part: TypeAlias = list[tuple[int, float]]
Component: TypeAlias = tuple[list[tuple[int, int, float]], float, list[Part]]
_CONSTANT: Component = ([(0, 3, 1.0)], 1.0, [[], [], []])


def _monomial_components(max_degree: int) -> list[Component]:
    """All monomials up to a degree."""
    components = [_CONSTANT]
    for degree in range(1, max_degree + 1):
        first = first_component(MONOMIALS, degree - 1)
        number = {alpha: first + k for k, alpha in enumerate(monomials(degree - 1))}
        for alpha in monomials(degree):
            lower = [tuple(exponent - (k == x) for k, exponent in enumerate(alpha)) for x in range(3)]
            axis = next(x for x in range(3) if alpha[x])
            gradient = [
                [(number[beta], float(multinomial(beta)))] if beta in number else [] for beta in lower
            ]
            components.append(([(number[lower[axis]], axis, 1.0)], float(multinomial(alpha)), gradient))
    return components


def _part(degree: int, m: int, imaginary: int, factor: float) -> Part:
    """[(component, factor)] of the real or imaginary part of G_lm; [] where it vanishes."""
    if m > degree or (imaginary and m == 0):
        return []
    return [(first_component(HARMONICS, degree) + (2 * m - 1 + imaginary if m else 0), factor)]


def _harmonic_components(max_degree: int) -> list[Component]:
    """All solid harmonics up to a degree, in the order m = 0, cos 1, sin 1, cos 2, sin 2, ... of each.

    R_lm is the real or imaginary part of N_lm G_lm, with G_lm = (d^m P_l / dz^m) (x + i y)^m made
    homogeneous, and N_lm^2 = (2 - delta_m0) (l - m)! / (l + m)!. They follow from one another by

        (l - m) G_lm = (2 l - 1) z G_(l-1)m - (l + m - 1) r^2 G_(l-2)m,
        G_ll = (2 l - 1) (x + i y) G_(l-1)(l-1),

    and their gradients are

        (d_x + i d_y) G_lm = -G_(l-1)(m+1),   (d_x - i d_y) G_lm = (l + m) (l + m - 1) G_(l-1)(m-1),
        d_z G_lm = (l + m) G_(l-1)m.
    """
    components, norms = [_CONSTANT], [1.0]
    for degree in range(1, max_degree + 1):
        for m, imaginary in [(0, 0), *itertools.product(range(1, degree + 1), (0, 1))]:
            lower, raised = degree - 1, 2.0 * degree - 1.0
            # The real part of i z is minus the imaginary part of z, the imaginary part of i z the real one.
            turn, turned = (1.0 if imaginary else -1.0), 1 - imaginary
            if m == degree:
                sources = [
                    (0, _part(lower, m - 1, imaginary, raised)),
                    (1, _part(lower, m - 1, turned, turn * raised)),
                ]
            else:
                sources = [
                    (2, _part(lower, m, imaginary, raised / (degree - m))),
                    (3, _part(lower - 1, m, imaginary, -(degree + m - 1.0) / (degree - m))),
                ]
            if m == 0:
                gradient = [_part(lower, 1, 0, -1.0), _part(lower, 1, 1, -1.0)]
            else:
                half = 0.5 * (degree + m) * (degree + m - 1.0)
                gradient = [
                    _part(lower, m + 1, imaginary, -0.5) + _part(lower, m - 1, imaginary, half),
                    _part(lower, m + 1, turned, 0.5 * turn) + _part(lower, m - 1, turned, half * turn),
                ]
            gradient.append(_part(lower, m, imaginary, float(degree + m)))
            norm = math.factorial(degree - m) / math.factorial(degree + m)
            norms.append(math.sqrt(2.0 * norm if m else norm))
            components.append(
                (
                    [(k, axis, w * norms[-1] / norms[k]) for axis, part in sources for k, w in part],
                    1.0,
                    [[(k, w * norms[-1] / norms[k] / degree) for k, w in part] for part in gradient],
                )
            )
    return components


def angular_components(max_degrees: Sequence[int]) -> NDArray[np.void]:
    """Both bases one after the other, as a table.

    Parameters
    ----------
    max_degrees : sequence of two int
        Highest degree of the monomials and of the harmonics; -1 for none.

    Returns
    -------
    ndarray of plip_component, shape (n,)
        Component a at u is the sum over k of ``factor[a, k] * u[axis[a, k]] * component[source[a, k]]``, with
        1 for u[3]; ``weight[a]`` is its weight where coefficients are contracted with the components; its
        gradient over its degree, times that weight, is the sum over k of
        ``lower_weight[a, x, k] * component[lower[a, x, k]]``.
    """
    rows: list[tuple[Any, ...]] = []
    for make, highest in zip((_monomial_components, _harmonic_components), max_degrees, strict=True):
        begin = len(rows)
        for recurrence, weight, gradient in make(highest) if highest >= 0 else []:
            sources, axes, factors = zip(*_two(recurrence, (0, 3, 0.0)), strict=True)
            lower = [_two(along, (0, 0.0)) for along in gradient]
            rows.append(
                (
                    [begin + k for k in sources],
                    axes,
                    [[begin + k for k, _ in along] for along in lower],
                    factors,
                    weight,
                    [[w for _, w in along] for along in lower],
                )
            )
    return np.array([tuple(map(_tuples, row)) for row in rows], COMPONENT)


def _tuples(value: Any) -> Any:
    """Nested lists as tuples, which NumPy requires in structured arrays."""
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def _two(terms: list[Any], nothing: tuple[Any, ...]) -> list[Any]:
    return terms + [nothing] * (2 - len(terms))


def legendre_of_powers(max_degree: int) -> FloatArray:
    """cos^l = sum_k table[l, k] P_k(cos), ndarray of float64, shape (max_degree + 1, max_degree + 1)."""
    table = np.zeros((max_degree + 1, max_degree + 1))
    for power in range(max_degree + 1):
        table[power, : power + 1] = poly2leg([0.0] * power + [1.0])
    return table
