"""Sums of products of rows, and the rank-k update below them."""

import threading
import time

import numpy as np
import pytest

from plip._blas import add_row_products
from plip._sums import Sums


def test_rank_k_update_fills_the_lower_triangle_alone():
    rng = np.random.default_rng(0)
    rows, before = rng.normal(size=(7, 5)), rng.normal(size=(5, 5))
    products = before.copy()
    add_row_products(rows, products)
    np.testing.assert_allclose(np.tril(products), np.tril(before + rows.T @ rows), atol=1e-14)
    np.testing.assert_array_equal(np.triu(products, 1), np.triu(before, 1))


@pytest.mark.parametrize(("n_rows", "shape"), [(0, (3, 3)), (2, (3, 4)), (2, (4, 4))])
def test_rank_k_update_refuses_wrong_shapes(n_rows, shape):
    with pytest.raises(ValueError, match="products must be square"):
        add_row_products(np.ones((n_rows, 3)), np.zeros(shape))


def test_rank_k_update_lets_other_threads_run():
    rows, products = np.ones((3000, 1500)), np.zeros((1500, 1500))
    worker = threading.Thread(target=add_row_products, args=(rows, products))
    turns = 0
    worker.start()
    while worker.is_alive():
        time.sleep(0.0)
        turns += 1
    # With the lock held, this thread would get no turn before the end; the update takes tens of milliseconds.
    assert turns > 20


def test_sums_of_rows_that_wait_and_of_those_that_do_not():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(12, 4))
    total = Sums(4)
    for part, wait in ((rows[:5], True), (rows[5:7], False), (rows[7:], True)):
        other = Sums(4)
        other.add_rows(part, float(len(part)), wait=wait)
        total.add(other)
    total.complete()
    np.testing.assert_allclose(total.products, rows.T @ rows, atol=1e-14)
    assert (total.weight, total.n_rows) == (12.0, 12)
