"""Sums of products of rows, and the rank-k update below them."""

import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from plip._core._blas import add_row_products, add_rows_to_factor
from plip._design._part import Placement
from plip.normal_equations import _products, _sums
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._sums import Sums


def test_rank_k_update_fills_the_lower_triangle_alone():
    rng = np.random.default_rng(0)
    rows, before = rng.normal(size=(7, 5)), rng.normal(size=(5, 5))
    products = before.copy()
    add_row_products(rows, products)
    np.testing.assert_allclose(np.tril(products), np.tril(before + rows.T @ rows), atol=1e-14)
    np.testing.assert_array_equal(np.triu(products, 1), np.triu(before, 1))


def test_first_update_overwrites_whatever_is_there():
    rows = np.random.default_rng(0).normal(size=(7, 5))
    products = np.full((5, 5), np.nan)
    add_row_products(rows, products, is_first=True)
    np.testing.assert_allclose(np.tril(products), np.tril(rows.T @ rows), atol=1e-14)
    assert np.isnan(products[np.triu_indices(5, 1)]).all()


@pytest.mark.parametrize(("n_rows", "shape"), [(0, (3, 3)), (2, (3, 4)), (2, (4, 4))])
def test_rank_k_update_refuses_wrong_shapes(n_rows, shape):
    with pytest.raises(ValueError, match="products must be square"):
        add_row_products(np.ones((n_rows, 3)), np.zeros(shape))


@pytest.mark.parametrize("keep", [False, True])
def test_sums_of_some_columns(keep):
    rng = np.random.default_rng(3)
    columns = np.array([1, 3, 4])
    rows = np.zeros((5, 5))
    rows[:, columns] = rng.normal(size=(5, 3))
    part, total = Sums(3), Sums(5)
    part.add_rows(rows[:, columns], 5.0, keep)
    total.add_part(part, Placement.of(columns))
    total.complete()
    np.testing.assert_allclose(total.products, rows.T @ rows, atol=1e-14)
    assert (total.weight, total.n_rows, total.factor is not None) == (5.0, 5, keep)
    some = np.array([4, 0, 3])
    np.testing.assert_allclose(total.between(some), total.products[np.ix_(some, some)], atol=1e-14)


def test_products_between_some_columns_of_what_is_left():
    rng = np.random.default_rng(5)
    rows, some = rng.normal(size=(30, 6)), np.array([5, 1])
    total, fold = Sums(6), Sums(6)
    for sums, part in ((total, rows), (fold, rows[:10])):
        sums.add_rows(part, float(len(part)))
        sums.complete()
    left = total.combined(fold, -1)
    np.testing.assert_allclose(left.between(some), rows[10:, some].T @ rows[10:, some], atol=1e-13)


def test_multiple_of_a_rank_k_update():
    rows = np.random.default_rng(6).normal(size=(7, 5))
    products = np.ones((5, 5))
    add_row_products(rows, products, 2.5)
    np.testing.assert_allclose(np.tril(products), np.tril(1.0 + 2.5 * rows.T @ rows), rtol=1e-13)


@pytest.mark.parametrize("columns", [[], [0, 3, 4], range(6)])
def test_rows_that_were_kept_become_products_with_further_ones(columns):
    rng = np.random.default_rng(8)
    kept, others = np.zeros((7, 6)), rng.normal(size=(20, 6))
    kept[:, columns] = rng.normal(size=(7, len(columns)))
    first, second = Sums(6), Sums(6)
    first.add_rows(kept, 7.0, keep=True)
    second.add_rows(others, 20.0)
    first.add(second)
    first.complete()
    np.testing.assert_allclose(first.products, kept.T @ kept + others.T @ others, atol=1e-13)
    assert (first.weight, first.n_rows, first.factor) == (27.0, 27, None)


@pytest.mark.parametrize("is_last", [False, True])
def test_rows_of_some_columns_that_were_kept(is_last):
    """Those of the same columns, of others and of all, then none or some that are not kept."""
    rng = np.random.default_rng(9)
    total, wide = Sums(6), []
    for columns in ([0, 1, 5], [2, 5], range(6), [0, 1, 5]):
        part, rows = Sums(len(columns)), np.zeros((2, 6))
        rows[:, columns] = rng.normal(size=(2, len(columns)))
        part.add_rows(rows[:, columns], 2.0, keep=True)
        total.add_part(part, Placement.of(np.array(columns)))
        wide.append(rows)
    if not is_last:
        others = Sums(6)
        wide.append(rng.normal(size=(3, 6)))
        others.add_rows(wide[-1], 3.0)
        total.add(others)
    total.complete()
    rows = np.concatenate(wide)
    np.testing.assert_allclose(total.products, rows.T @ rows, atol=1e-13)
    assert (total.weight, total.n_rows) == (len(rows), len(rows))
    if is_last:
        np.testing.assert_array_equal(total.factor, rows)
    else:
        assert total.factor is None


def test_sums_that_were_added_hold_no_products():
    """Who has made them may hold them while the next ones are made."""
    first, second = Sums(4), Sums(4)
    for sums in (first, second):
        sums.add_rows(np.random.default_rng(7).normal(size=(9, 4)), 9.0)
        sums.pack()
    held = weakref.ref(second._packed)
    first.add(second)
    assert held() is None


@pytest.mark.parametrize(("n_rows", "width"), [(1, 1), (2, 7), (90, 7), (200, 71)])
def test_rows_added_to_a_factor(n_rows, width):
    rng = np.random.default_rng(width)
    before, rows = np.triu(rng.normal(size=(width, width))), rng.normal(size=(n_rows, width))
    factor = np.asfortranarray(before + np.tril(np.full((width, width), np.nan), -1))
    add_rows_to_factor(np.array(rows, order="F"), factor)
    factor = np.triu(factor)
    expected = before.T @ before + rows.T @ rows
    np.testing.assert_allclose(factor.T @ factor, expected, atol=1e-12 * n_rows)


@pytest.mark.parametrize(("n_rows", "shape"), [(0, (3, 3)), (2, (3, 4)), (2, (4, 4))])
def test_factor_refuses_wrong_shapes(n_rows, shape):
    with pytest.raises(ValueError, match="factor must be square"):
        add_rows_to_factor(np.ones((n_rows, 3), order="F"), np.zeros(shape, order="F"))


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


def test_sums_of_rows_that_are_kept_and_of_those_that_are_not():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(12, 4))
    total = Sums(4)
    for part, keep in ((rows[:5], True), (rows[5:7], False), (rows[7:], True)):
        other = Sums(4)
        other.add_rows(part, float(len(part)), keep)
        total.add(other)
    total.complete()
    np.testing.assert_allclose(total.products, rows.T @ rows, atol=1e-14)
    assert (total.weight, total.n_rows) == (12.0, 12)
    # Not all rows are known.
    assert total.factor is None


def sums_of(rows):
    sums = Sums(rows.shape[1])
    for part in np.array_split(rows, 7):
        sums.add_rows(part, float(len(part)), keep=True)
    sums.complete()
    return sums


@pytest.mark.parametrize("n_rows", [1, 5, 12, 13, 400])
def test_squares_of_kept_rows_lose_no_digits(n_rows):
    """Large terms that cancel each other down to 1e-9 of their size."""
    rng = np.random.default_rng(n_rows)
    rows = rng.normal(size=(n_rows, 6))
    vector = np.array([3.0, -2.0, 1.5, 0.5, 1.0, -1.0])
    rows[:, -1] = rows[:, :-1] @ vector[:-1] + 1e-9 * rng.normal(size=n_rows)
    exact = rows.astype(np.longdouble) @ vector.astype(np.longdouble)
    expected = float(exact @ exact)
    whole, merged = sums_of(rows), sums_of(rows[:3]).combined(sums_of(rows[3:]), 1)
    for sums in (whole, merged):
        assert len(sums.factor) <= 12
        np.testing.assert_allclose(sums.products, rows.T @ rows, atol=1e-12)
        assert sums.squares(vector[None])[0] == pytest.approx(expected, rel=1e-6)
    # Another reference for y, and back.
    transform = np.eye(6)
    transform[1, -1] = 1e3
    there = whole.shifted(1, np.array([1e3]))
    back = vector + [0.0, 1e3, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(there.products, (rows @ transform).T @ (rows @ transform), rtol=1e-12)
    assert there.squares(back[None])[0] == pytest.approx(expected, rel=1e-3)


def test_rows_cannot_be_taken_out_of_a_factor():
    rows = np.random.default_rng(2).normal(size=(9, 4))
    rest = sums_of(rows).combined(sums_of(rows[:4]), -1)
    assert rest.factor is None
    np.testing.assert_allclose(rest.squares(np.eye(4)), (rows[4:] ** 2).sum(axis=0), rtol=1e-12)
    nothing = sums_of(rows).combined(sums_of(rows), -1)
    assert (nothing.n_rows, nothing.weight) == (0, 0.0)
    assert nothing.combined(sums_of(rows), 1).factor is not None
    assert nothing.combined(sums_of(rows), -1).n_rows == -9


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_blas_thread_until_the_last_has_left():
    """Threads that come and go in any order run on one BLAS thread, and leave the number as it was."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        if before == {1}:
            pytest.skip("this BLAS has one thread")
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            contexts = [single_blas_thread() for _ in range(3)]
            for context in contexts:
                context.__enter__()
                assert blas_threads() == {1}
            for number in order:
                assert blas_threads() == {1}
                contexts[number].__exit__(None, None, None)
            assert blas_threads() == before


def test_errors_and_nesting_restore_the_number_of_threads():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(KeyError), single_blas_thread():
            with single_blas_thread():
                pass
            assert blas_threads() == {1}
            raise KeyError
        assert blas_threads() == before


def test_many_threads_at_once():
    seen, inside = [], threading.Barrier(4)

    def work():
        inside.wait()
        for _ in range(30):
            with single_blas_thread():
                seen.append(blas_threads())

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert seen == [{1}] * 120
        assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied here")
def test_a_copied_process_does_not_wait_for_threads_that_it_does_not_have():
    """The lock may be held by another thread at the moment of the fork."""
    code = """if True:
        import os, signal
        import plip.normal_equations._blas_threads as _threads
        with _threads.single_blas_thread():
            _threads._limit.lock.acquire()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                with _threads.single_blas_thread():
                    pass
                os._exit(0)
            _threads._limit.lock.release()
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)


def parts_of_sums(n_rows):
    """Sums of four parts whose rows are kept, and the rows of all."""
    rng = np.random.default_rng(n_rows)
    rows = rng.normal(size=(4, n_rows, 30))
    parts = []
    for some in rows:
        part = Sums(30)
        part.add_rows(some.copy(), float(n_rows), keep=True)
        part.complete()
        parts.append(part)
    return parts, rows.reshape(-1, 30)


def added(parts):
    return functools.reduce(lambda total, part: total.combined(part, 1), parts)


@pytest.mark.parametrize("n_rows", [1, 3, 20])
def test_stowed_sums_are_the_same(n_rows):
    parts, rows = parts_of_sums(n_rows)
    with tempfile.TemporaryFile() as file:
        for part in parts:
            part.stow(file)
        total, without = added(parts), added(parts[1:])
        np.testing.assert_allclose(total.products, rows.T @ rows, atol=1e-13)
        np.testing.assert_allclose(total.factor.T @ total.factor, rows.T @ rows, atol=1e-13)
        np.testing.assert_array_equal(without.factor, rows[n_rows:])
        np.testing.assert_allclose(without.products, rows[n_rows:].T @ rows[n_rows:], atol=1e-13)
        difference = total.combined(parts[0], -1)
        np.testing.assert_array_equal(difference.products, without.products)
        np.testing.assert_allclose(total.merged().products, rows.T @ rows, atol=1e-13)


@pytest.mark.parametrize(("n_rows", "n_updates"), [(3, 1), (20, 0)])
def test_stowed_rows_are_multiplied_together_or_once(n_rows, n_updates, monkeypatch):
    parts, rows = parts_of_sums(n_rows)
    counted = []
    with tempfile.TemporaryFile() as file:
        for part in parts:
            part.stow(file)
        for module in (_products, _sums):
            monkeypatch.setattr(
                module, "add_row_products", lambda *args: counted.append(1) or add_row_products(*args)
            )
        np.testing.assert_allclose(added(parts).products, rows.T @ rows, atol=1e-13)
        assert len(counted) == n_updates


def test_rows_are_multiplied_in_blocks(monkeypatch):
    parts, rows = parts_of_sums(9)
    monkeypatch.setattr(_sums, "_ROWS_AT_ONCE", 10)
    np.testing.assert_allclose(added(parts).products, rows.T @ rows, atol=1e-13)
    assert [len(some) for some in _sums._together(part.factor for part in parts)] == [18, 18]
