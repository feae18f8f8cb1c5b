"""Fits on the workers of a cluster: the same bits as here, whatever happens to a worker."""


import pytest
from sample_fits import small_descriptors

from plip import NormalEquations


@pytest.fixture
def small_chunks(monkeypatch):
    """A few structures already have many chunks."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 16)


def arrays_of(equations):
    """Everything in normal equations that is a number, as bytes."""
    found = {f"{target} products": equations._sums[target].products for target in equations._sums}
    found |= {f"{target} factor": equations._sums[target].factor for target in equations._sums}
    found |= equations._counts.arrays() | equations.sample.arrays()
    found |= {"reference": equations._reference, "extent": equations._extent.to_array()}
    return {name: None if array is None else array.tobytes() for name, array in found.items()}


def assert_same_bits(a, b):
    assert arrays_of(a) == arrays_of(b)
    assert a.weight_sums == b.weight_sums and a.n_rows == b.n_rows
    assert a.isolated_energies == b.isolated_energies
    assert a.data_hash == b.data_hash and a.n_structures == b.n_structures


def test_list_and_stream_have_the_same_bits(silicon_carbide, small_chunks, monkeypatch):
    train = silicon_carbide[0]
    descriptors = small_descriptors().fit(train)
    monkeypatch.setattr("plip.normal_equations._structures._BATCH", 7)
    whole = NormalEquations.from_structures(train, descriptors)
    assert_same_bits(whole, NormalEquations.from_structures(iter(train), descriptors))
    assert_same_bits(whole, NormalEquations.from_structures(iter(train), descriptors, n_jobs=2))
