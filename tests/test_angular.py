"""The angular bases against their defining equations."""

import numpy as np
import pytest
from numpy.polynomial.legendre import legval

from plip.descriptors._angular import HARMONICS, MONOMIALS, angular_tables, legendre_of_powers

DEGREE = 9


def components(tables, u):
    """Values of all components at a vector, by the recurrence, and their gradients over their degrees."""
    extended = np.append(u, 1.0)
    values = []
    for source, axis, factor in zip(tables["source"], tables["axis"], tables["factor"], strict=True):
        # The first component of a basis refers to itself and is 1.
        known = [values[k] if k < len(values) else 1.0 for k in source]
        values.append(float(np.sum(factor * extended[axis] * known)))
    values = np.array(values)
    return values, (tables["lower_weight"] * values[tables["lower"]]).sum(axis=2)


def unit(rng):
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("max_degrees", [(DEGREE, DEGREE), (DEGREE, -1), (-1, DEGREE), (3, 6)])
def test_contractions_are_powers_of_the_cosine_and_legendre_polynomials(max_degrees):
    rng = np.random.default_rng(1)
    tables = angular_tables(max_degrees)
    u, v = unit(rng), unit(rng)
    (of_u, _), (of_v, _) = components(tables, u), components(tables, v)
    for basis in (MONOMIALS, HARMONICS):
        for degree in range(max_degrees[basis] + 1):
            begin, end = tables["first_component"][basis, degree : degree + 2]
            assert end - begin == (2 * degree + 1 if basis == HARMONICS else (degree + 1) * (degree + 2) // 2)
            product = np.sum((tables["contraction_weight"] * of_u * of_v)[begin:end])
            expected = (u @ v) ** degree if basis == MONOMIALS else legval(u @ v, np.eye(degree + 1)[degree])
            assert product == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("basis", [MONOMIALS, HARMONICS])
def test_gradients_are_those_of_homogeneous_polynomials(basis):
    rng = np.random.default_rng(2)
    tables = angular_tables((DEGREE, DEGREE))
    u = unit(rng)
    values, gradients = components(tables, u)
    step = 1e-5
    for degree in range(1, DEGREE + 1):
        begin, end = tables["first_component"][basis, degree : degree + 2]
        weight = tables["contraction_weight"][begin:end]
        # Euler: the gradient of a homogeneous polynomial along its vector is its degree times its value.
        np.testing.assert_allclose(gradients[begin:end] @ u, weight * values[begin:end], atol=1e-13)
        for x in range(3):
            ends = []
            for sign in (1, -1):
                moved = u + sign * step * np.eye(3)[x]
                length = np.linalg.norm(moved)
                ends.append(length**degree * components(tables, moved / length)[0][begin:end])
            slope = (ends[0] - ends[1]) / (2 * step) / degree
            np.testing.assert_allclose(gradients[begin:end, x], weight * slope, atol=2e-8)


def test_powers_in_legendre_polynomials():
    x = np.linspace(-1, 1, 7)
    table = legendre_of_powers(DEGREE)
    for power in range(DEGREE + 1):
        np.testing.assert_allclose(legval(x, table[power]), x**power, atol=1e-14)
