"""Symmetric matrices in half of the memory."""

import numpy as np
import pytest

from plip.normal_equations._packed import Packed, mirror


@pytest.fixture(params=[1, 2, 127, 128, 129, 300])
def matrix(request):
    rows = np.random.default_rng(request.param).normal(size=(request.param + 3, request.param))
    return rows.T @ rows


def lower(matrix):
    """The lower triangle, and what should not be read above it."""
    return np.tril(matrix) + np.triu(np.full(matrix.shape, np.nan), 1)


def test_matrix_comes_back(matrix):
    packed = Packed.of(lower(matrix))
    assert packed.values.size == len(matrix) * (len(matrix) + 1) // 2
    whole = np.tril(matrix) + np.tril(matrix, -1).T
    np.testing.assert_array_equal(packed.diagonal(), np.diagonal(matrix))
    for first in {0, len(matrix) // 2, len(matrix) - 1}:
        np.testing.assert_array_equal(packed.rows(first), whole[first:])


def test_multiples_are_added_to_the_lower_triangle(matrix):
    found = np.ones_like(matrix)
    Packed.of(lower(matrix)).add_to(found, 2.5)
    np.testing.assert_array_equal(found, np.ones_like(matrix) + 2.5 * np.tril(matrix))


def test_squares_of_vectors(matrix):
    vectors = np.random.default_rng(1).normal(size=(4, len(matrix)))
    expected = np.einsum("mi,ij,mj->m", vectors, matrix, vectors)
    np.testing.assert_allclose(Packed.of(lower(matrix)).squares(vectors), expected, rtol=1e-11)


def test_upper_triangle_mirrors_the_lower_one(matrix):
    found = lower(matrix)[:, :]
    mirror(found)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.tril(found), np.tril(matrix))
