"""The angular bases against their defining equations."""

import itertools

import numpy as np
import pytest
from numpy.polynomial.legendre import legval

from plip._core._rows import (
    HARMONICS,
    MONOMIALS,
    angular_components,
    contraction,
    legendre_of_powers,
    n_components,
    n_components_below,
    strains,
)

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


def components_of(basis, degree, max_degrees):
    """The range of the components of one degree in the table of both bases."""
    others = n_components_below(MONOMIALS, max_degrees[MONOMIALS] + 1) if basis == HARMONICS else 0
    return slice(*(others + n_components_below(basis, k) for k in (degree, degree + 1)))


def unit(rng):
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("max_degrees", [(DEGREE, DEGREE), (DEGREE, -1), (-1, DEGREE), (3, 6)])
def test_contractions_are_powers_of_the_cosine_and_legendre_polynomials(max_degrees):
    rng = np.random.default_rng(1)
    tables = angular_components(max_degrees)
    u, v = unit(rng), unit(rng)
    (of_u, _), (of_v, _) = components(tables, u), components(tables, v)
    for basis in (MONOMIALS, HARMONICS):
        for degree in range(max_degrees[basis] + 1):
            chosen = components_of(basis, degree, max_degrees)
            number = 2 * degree + 1 if basis == HARMONICS else (degree + 1) * (degree + 2) // 2
            assert chosen.stop - chosen.start == n_components(basis, degree) == number
            product = np.sum((tables["weight"] * of_u * of_v)[chosen])
            expected = (u @ v) ** degree if basis == MONOMIALS else legval(u @ v, np.eye(degree + 1)[degree])
            assert product == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("basis", [MONOMIALS, HARMONICS])
def test_gradients_are_those_of_homogeneous_polynomials(basis):
    rng = np.random.default_rng(2)
    tables = angular_components((DEGREE, DEGREE))
    u = unit(rng)
    values, gradients = components(tables, u)
    step = 1e-5
    for degree in range(1, DEGREE + 1):
        chosen = components_of(basis, degree, (DEGREE, DEGREE))
        weight = tables["weight"][chosen]
        # Euler: the gradient of a homogeneous polynomial along its vector is its degree times its value.
        np.testing.assert_allclose(gradients[chosen] @ u, weight * values[chosen], atol=1e-13)
        for x in range(3):
            ends = []
            for sign in (1, -1):
                moved = u + sign * step * np.eye(3)[x]
                length = np.linalg.norm(moved)
                ends.append(length**degree * components(tables, moved / length)[0][chosen])
            slope = (ends[0] - ends[1]) / (2 * step) / degree
            np.testing.assert_allclose(gradients[chosen, x], weight * slope, atol=2e-8)


def test_powers_in_legendre_polynomials():
    x = np.linspace(-1, 1, 7)
    table = legendre_of_powers(DEGREE)
    for power in range(DEGREE + 1):
        np.testing.assert_allclose(legval(x, table[power]), x**power, atol=1e-14)


@pytest.mark.parametrize("rank", [(0, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (3, 1, 4)])
def test_contractions_of_three_arms_are_products_of_three_cosines(rank):
    rng = np.random.default_rng(3)
    p, q, t = rank
    arms = [unit(rng) for _ in range(3)]
    product = np.ones(1)
    summands = contraction(rank)
    for name, u, degree in zip("abc", arms, (p + t, p + q, q + t), strict=True):
        values, _ = components(angular_components((degree, -1)), u)
        product = product * values[n_components_below(MONOMIALS, degree) + summands[name]]
    expected = (arms[0] @ arms[1]) ** p * (arms[1] @ arms[2]) ** q * (arms[2] @ arms[0]) ** t
    assert np.sum(summands["coefficient"] * product) == pytest.approx(expected, abs=1e-13)
    assert len(np.unique(summands[["a", "b", "c"]])) == len(summands)


def strained_sums(basis, degree, u, r, g, slope):
    """The derivatives g(r) B(u) of all components by the strain, from their table: (component, strain)."""
    tables = angular_components([degree + 2, -1] if basis == MONOMIALS else [-1, degree + 2])
    of_u = components(tables, u)[0]
    begins = [n_components_below(basis, k) for k in range(degree + 4)]
    known = [of_u[slice(*ends)] for ends in itertools.pairwise(begins)]
    m, n = (factor * np.array(known[degree]) for factor in (g, r * slope))
    last = (r * slope - degree * g) * known[degree + 2]
    if basis == MONOMIALS:
        table = strains([degree, -1]).reshape(-1, 6, 2)[n_components_below(basis, degree) :]
        weighted = (table["weight"] * np.append(m, last)[table["source"]]).sum(axis=-1)
        return weighted / tables["weight"][begins[degree] : begins[degree + 1], None]
    lower = [(r * slope + (degree + 1) * g) * known[degree - 2]] if degree > 1 else []
    sources = np.concatenate([n, *lower, n + 1.5 * m, last])
    table = strains([-1, degree]).reshape(-1, 5, 3)[degree * (degree + 1) // 2 :]
    found = np.empty((2 * degree + 1, 6))
    found[:, 0] = n / 3
    for order, entries in enumerate(table):
        c = 2 * order - 1 if order else 0
        cosines, sines = ((entries["weight"] * sources[entries["source"] + k]).sum(axis=1) for k in range(2))
        found[c, 2] = cosines[0]
        if order:
            found[c + 1, 2] = sines[0]
        for q, even, odd in ((1, 4, 3), (2, 1, 5)):
            up, down = 2 * q - 1, 2 * q
            sign = np.sign(order - q)
            found[c, even] = cosines[up] + cosines[down]
            found[c, odd] = sines[up] - sign * sines[down]
            if order:
                found[c + 1, even] = sines[up] + sign * sines[down]
                found[c + 1, odd] = cosines[down] - cosines[up]
    return found


@pytest.mark.parametrize("basis", [MONOMIALS, HARMONICS])
@pytest.mark.parametrize("degree", range(8))
def test_strains_are_derivatives_of_functions_times_components(basis, degree):
    """Of exp(-r / 2) B(r / |r|), along r_y d/dx; for harmonics the part that is symmetric in x and y."""
    rng = np.random.default_rng(degree)
    tables = angular_components([degree, -1] if basis == MONOMIALS else [-1, degree])
    vector = 1.7 * unit(rng)

    def value(vector):
        r = np.linalg.norm(vector)
        return np.exp(-r / 2) * components(tables, vector / r)[0][n_components_below(basis, degree) :]

    step = 1e-5 * np.eye(3)
    gradient = np.array([(value(vector + h) - value(vector - h)) / 2e-5 for h in step])
    full = np.einsum("xc,y->cxy", gradient, vector)
    if basis == HARMONICS:
        full = (full + full.transpose(0, 2, 1)) / 2
    expected = full[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    g = np.exp(-1.7 / 2)
    found = strained_sums(basis, degree, vector / 1.7, 1.7, g, -g / 2)
    if basis == HARMONICS:
        mean, difference, axial = found[:, :3].T
        found[:, :3] = np.column_stack(
            [mean + difference - axial / 2, mean - difference - axial / 2, mean + axial]
        )
    np.testing.assert_allclose(found, expected, atol=1e-9)
