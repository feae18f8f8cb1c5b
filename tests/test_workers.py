"""Sums by several workers: each piece of work is done once, and the bits do not depend on who does it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from sample_sums import assert_same, carbide_descriptors, labeled, labeled_carbides
from threadpoolctl import threadpool_info, threadpool_limits

from plip import NormalEquations
from plip._design._sharing import SharedWork
from plip._workers import end_on_failure, in_order, new_workers
from plip.normal_equations._chunk_sums import chunk_sums
from plip.normal_equations._chunks import Cutter
from plip.normal_equations._sample import Sampler


@pytest.fixture
def structures():
    return labeled_carbides()


@pytest.fixture
def descriptors(structures):
    return carbide_descriptors(structures)


def large(rng):
    """A structure of more than two chunks, whose atoms are of two species."""
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True) * (5, 5, 7)
    atoms.rattle(0.1, rng=rng)
    return labeled(atoms, rng)


def products(equations):
    return {target: sums.products for target, sums in equations._sums.items()}


def test_the_largest_structures_have_no_more_than_32_shares():
    """Each share has a matrix of its own to add up."""
    assert [chunk.n_shares for chunk in Cutter().add([10_000_000])] == [32]


def test_threads_share_a_large_structure(structures, descriptors, tmp_path):
    rng = np.random.default_rng(8)
    atoms = large(rng)
    data = [structures[0], atoms, *structures[1:]]
    weight = rng.uniform(0.5, 2.0, len(data))
    assert next(Cutter().add([len(atoms)])).n_shares == 2
    one = NormalEquations.from_structures(data, descriptors, sample_weight=weight)
    for n_jobs, backend in ((2, "threading"), (3, "threading"), (2, "loky")):
        with joblib.parallel_config(backend=backend):
            same = NormalEquations.from_structures(data, descriptors, sample_weight=weight, n_jobs=n_jobs)
        for target, expected in products(one).items():
            np.testing.assert_array_equal(products(same)[target], expected)
    # What is kept for later fits is not divided.
    whole = NormalEquations.from_structures(data, descriptors, sample_weight=weight, memory=tmp_path)
    assert one.n_structures == whole.n_structures == len(data)
    assert one.n_rows == whole.n_rows and one.data_hash == whole.data_hash
    for name, values in one._counts.arrays().items():
        np.testing.assert_allclose(values, whole._counts.arrays()[name], rtol=1e-12)
    np.testing.assert_array_equal(one._extent.to_array(), whole._extent.to_array())
    for target, expected in products(whole).items():
        np.testing.assert_allclose(products(one)[target], expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_files_of_large_structures(descriptors, tmp_path):
    atoms = large(np.random.default_rng(9))
    write(tmp_path / "large.xyz", [atoms, atoms], format="extxyz")
    found = NormalEquations.from_files([tmp_path / "large.xyz"], descriptors, n_jobs=2)
    expected = NormalEquations.from_structures(read(tmp_path / "large.xyz", ":"), descriptors)
    for target, of_structures in products(expected).items():
        np.testing.assert_array_equal(products(found)[target], of_structures)


def test_every_thread_learns_of_a_failure():
    def fail(number):
        raise MemoryError(f"piece {number}")

    work = SharedWork(3)
    for _ in range(2):
        with pytest.raises(MemoryError, match="piece 0"):
            work.finish(fail)


def test_each_piece_of_shared_work_is_done_once():
    done = []
    work = SharedWork(50)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: work.finish(lambda k: done.append(k) or k**2), range(4)))
    assert sorted(done) == list(range(50))
    assert all(result == [k**2 for k in range(50)] for result in results)


def test_geometry_does_not_wait_for_the_end_of_a_group(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 8)
    monkeypatch.setattr("plip.normal_equations._chunks._SINGLE_CHUNKS", 0)
    done = []

    def noted(function, name):
        def call(*arguments):
            done.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr("plip.normal_equations._chunk_work.chunk_sums", noted(chunk_sums, "sums"))
    monkeypatch.setattr(Sampler, "add", noted(Sampler.add, "sample"))
    NormalEquations.from_structures(structures, descriptors)
    assert done[:2] == ["sums", "sample"] and done.count("sample") == len(structures)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_bits_do_not_depend_on_workers(structures, descriptors, n_jobs, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    one = NormalEquations.from_structures(structures * 3, descriptors, n_jobs=1).problem(2.0, 1.0, 0.5)
    many = NormalEquations.from_structures(structures * 3, descriptors, n_jobs=n_jobs).problem(2.0, 1.0, 0.5)
    assert np.array_equal(one.gram, many.gram)
    assert np.array_equal(one.moment, many.moment)
    assert one.target_square == many.target_square


def test_results_of_threads_are_waited_for(monkeypatch):
    """joblib's own threads are looked at every 10 ms, so that small fits end late."""
    naps = []
    monkeypatch.setattr("joblib.parallel.time.sleep", naps.append)
    jobs = [joblib.delayed(threading.Event().wait)(0.02) for _ in range(10)]
    assert new_workers(2)(jobs) == [False] * 10
    # At the very end joblib may look before it knows that all is done.
    assert len(naps) <= 1


def test_a_failure_ends_the_work():
    begun = []

    def inverse(number):
        begun.append(number)
        threading.Event().wait(0.002)
        return 1 / number

    n_threads = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(in_order((joblib.delayed(inverse)(number) for number in range(5, -400, -1)), 2))
    assert len(begun) < 200
    assert threading.active_count() == n_threads


def test_an_interrupt_between_results_ends_the_work():
    begun = []

    def nap(number):
        begun.append(number)
        threading.Event().wait(0.002)

    n_threads = threading.active_count()
    results = in_order((joblib.delayed(nap)(number) for number in range(400)), 2)
    with pytest.raises(KeyboardInterrupt), end_on_failure(results):
        next(results)
        raise KeyboardInterrupt
    assert len(begun) < 200
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("error", [KeyError("user"), KeyboardInterrupt()])
def test_a_generator_that_fails_ends_the_work(structures, descriptors, monkeypatch, error):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 8)
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 4)

    def stream():
        yield from structures * 10
        raise error

    n_threads = []
    for _ in range(2):
        with pytest.raises(type(error)):
            NormalEquations.from_structures(stream(), descriptors, n_jobs=2)
        n_threads.append(threading.active_count())
    # The first time tqdm begins a thread of its own.
    assert n_threads[0] == n_threads[1]


def test_bad_number_of_workers_is_refused(structures, descriptors):
    with pytest.raises(ValueError, match="n_jobs must be a positive integer.*'2'"):
        NormalEquations.from_structures(structures, descriptors, n_jobs="2")


def test_bits_do_not_depend_on_blas_threads(structures, descriptors):
    with threadpool_limits(1):
        one = NormalEquations.from_structures(structures, descriptors).problem()
    with threadpool_limits(2):
        two = NormalEquations.from_structures(structures, descriptors).problem()
    assert np.array_equal(one.gram, two.gram)


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_every_backend_gives_the_same_bits(structures, descriptors, monkeypatch, tmp_path, backend):
    """Also one that gives lists alone; several batches of several chunks, with and without memory."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 8)
    here = NormalEquations.from_structures(structures * 3, descriptors)
    for memory in (None, str(tmp_path), str(tmp_path)):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            there = NormalEquations.from_structures(structures * 3, descriptors, memory=memory)
        if memory is None:
            assert_same_bits(here, there)
        else:
            assert_same(here, there)


def assert_same_bits(a, b):
    a, b = a.problem(2.0, 1.0, 0.5), b.problem(2.0, 1.0, 0.5)
    assert np.array_equal(a.gram, b.gram)
    assert np.array_equal(a.moment, b.moment)
    assert a.target_square == b.target_square


def test_fits_at_the_same_time_give_the_same_bits(structures, descriptors, monkeypatch):
    """Threads that begin and end at different times, each with as many structures as its number."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    alone = [NormalEquations.from_structures(structures[:n], descriptors) for n in range(3, 9)]
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(3) as pool:
        before = threadpool_info()
        jobs = [
            pool.submit(NormalEquations.from_structures, structures[:n], descriptors, n_jobs=1 + n % 2)
            for n in range(3, 9)
        ]
        for one, job in zip(alone, jobs, strict=True):
            assert_same_bits(one, job.result())
        assert threadpool_info() == before
