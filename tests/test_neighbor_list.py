"""Neighbor lists of the core: their pairs are those of ASE in any cell, within bounds of time and memory."""

import itertools
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from core_runs import neighbors
from sample_structures import SAMPLE_NAMES, random_structure, sample

from plip._core import NeighborList, find_neighbors


def assert_same_pairs(atoms, cutoff):
    i, j, S = neighbors(atoms, cutoff).to_arrays()
    found = np.column_stack([i, j, S]).astype(int)
    expected = np.column_stack(neighbor_list("ijS", atoms, cutoff, self_interaction=False)).astype(int)
    order = [np.lexsort(pairs.T) for pairs in (found, expected)]
    np.testing.assert_array_equal(found[order[0]], expected[order[1]])


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_pairs_are_those_of_ase(name):
    atoms, cutoff = sample(name)
    for factor in (0.5, 1.0, 1.7):
        assert_same_pairs(atoms, factor * cutoff)


@pytest.mark.parametrize("periodic", list(itertools.product((True, False), repeat=3)))
def test_pairs_of_random_cells(periodic):
    for seed in range(6):
        atoms = random_structure(7, periodic, seed)
        if atoms is not None:
            atoms.positions += [31.0, -17.0, 5.0]  # far outside the cell
            assert_same_pairs(atoms, 3.7)


def test_pairs_of_sparse_atoms():
    atoms = Atoms("H4", positions=[[0, 0, 0], [0.8, 0, 0], [5000, 0, 0], [5000, 1.1, 4000]])
    i, j, S = neighbors(atoms, 2.0).to_arrays()
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert not S.any()


def skewed(atoms, *numbers):
    """The same crystal by longer cell vectors."""
    numbers = np.array(numbers)
    assert abs(np.linalg.det(numbers)) == pytest.approx(1.0)
    other = atoms.copy()
    other.set_cell(numbers @ atoms.cell.array)
    return other


def test_pairs_of_skewed_cells_are_those_of_the_reduced_ones():
    atoms = sample("two species")[0]
    atoms.set_cell(atoms.cell.array + [[0, 0.1, 0.2], [-0.3, 0, 0.1], [0.2, 0.1, 0]])
    i, *_ = neighbors(atoms, 4.0).to_arrays()
    for numbers in (
        [[1, 0, 0], [900, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [-300, 1, 0], [170, 2000, 1]],
        [[1, 3, 0], [0, 1, 0], [0, -7, 1]],
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    ):
        other = skewed(atoms, *numbers)
        k, j, S = neighbors(other, 4.0).to_arrays()
        assert np.bincount(k).tolist() == np.bincount(i).tolist()
        vectors = other.positions[j] - other.positions[k] + S @ other.cell.array
        assert np.linalg.norm(vectors, axis=1).max() < 4.0


def test_cell_with_a_tiny_angle_takes_no_time():
    angle = np.radians(0.15)
    atoms = Atoms(
        "Cu", cell=[[800, 0, 0], [800 * np.cos(angle), 800 * np.sin(angle), 0], [0, 0, 4]], pbc=True
    )
    begin = time.perf_counter()
    n_pairs = neighbors(atoms, 6.0).n_pairs
    assert time.perf_counter() - begin < 0.5
    assert n_pairs == len(neighbor_list("i", Atoms("Cu", cell=atoms.cell.niggli_reduce()[0], pbc=True), 6.0))


def test_vectors_without_period_do_not_matter():
    atoms, cutoff = sample("ribbon")
    expected = neighbors(atoms, cutoff).to_arrays()
    for vector in ([0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], atoms.cell[0] + [0, 1e-7, 0]):
        cell = atoms.cell.array.copy()
        cell[1] = vector
        pairs = NeighborList(atoms.positions, cell, np.array(atoms.pbc, np.int32), cutoff)
        for found, right in zip(pairs.to_arrays(), expected, strict=True):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("distance", [30.0, 1e4, 9e6])
def test_clusters_far_apart(distance):
    cluster = bulk("Cu", cubic=True).repeat(6)
    cluster.pbc = False
    far = cluster.copy()
    far.positions += np.array([1.0, -0.7, 0.4]) * distance
    both = cluster + far
    begin = time.perf_counter()
    pairs = neighbors(both, 3.0)
    assert time.perf_counter() - begin < 1.0  # all pairs would take much longer
    assert pairs.n_pairs == 2 * neighbors(cluster, 3.0).n_pairs
    both.set_cell(np.eye(3) * 1.5 * distance)
    both.pbc = True
    assert neighbors(both, 3.0).n_pairs >= pairs.n_pairs


def test_no_atoms():
    for pbc in (True, False):
        pairs = neighbors(Atoms(cell=[3, 3, 3], pbc=pbc), 5.0)
        assert (pairs.n_local, pairs.n_all, pairs.n_pairs) == (0, 0, 0)
        assert [x.shape for x in pairs.to_arrays()] == [(0,), (0,), (0, 3)]


@pytest.mark.parametrize(
    ("atoms", "cutoff"),
    [
        (Atoms("Cu", cell=[1e-4, 1e-4, 1e-4], pbc=True), 5.0),
        (Atoms("Cu", cell=[1e-7, 4, 4], pbc=True), 5.0),
        (Atoms("Cu", cell=[2.5, 2.5, 2.5], pbc=True), 100.0),
        (Atoms("Cu", cell=[2.5, 2.5, 2.5], pbc=True), 800.0),
        (Atoms("Cu8000", positions=np.random.default_rng(0).uniform(0, 2, (8000, 3))), 5.0),
    ],
)
def test_more_neighbors_than_memory_should_hold(atoms, cutoff):
    begin = time.process_time()
    with pytest.raises(ValueError, match="too many neighbors"):
        neighbors(atoms, cutoff)
    # A second; more under sanitizers.
    assert time.process_time() - begin < 10.0


def test_lengths_that_cannot_be_searched():
    for position in (np.nan, np.inf, 1e9):
        with pytest.raises(ValueError, match="cell"):
            neighbors(Atoms("Cu", positions=[[position, 0, 0]], cell=[3, 3, 3], pbc=True), 5.0)
    for cutoff in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="cutoff"):
            neighbors(Atoms("Cu"), cutoff)
    assert neighbors(bulk("Cu"), 5e-324).n_pairs == 0


def test_pairs_at_the_very_cutoff():
    # Atoms many cells away, pairs closer than the cutoff by the last bits: rounding loses some of them,
    # unless there is a margin for it.
    rng = np.random.default_rng(0)
    for _ in range(300):
        length, n = rng.uniform(2.0, 4.0), int(rng.integers(1, 4))
        x = (rng.uniform(0.1, 0.9) + np.array([0, *rng.integers(-999, 999, 3)])) * length
        atoms = Atoms("Cu4", cell=[length, 100, 100], positions=x[:, None] * [1, 0, 0], pbc=(1, 0, 0))
        cutoff = np.nextafter(n * length, np.inf)
        i, j, S = neighbors(atoms, cutoff).to_arrays()
        wrap = -np.floor(x / length)
        first, second, shift = np.meshgrid(range(4), range(4), np.arange(-2050, 2051), indexing="ij")
        distance = (x[second] + (wrap[first] + shift) * length) - (x[first] + wrap[first] * length)
        inside = (distance**2 < cutoff**2) & ((first != second) | (shift != 0))
        expected = set(zip(first[inside], second[inside], shift[inside], strict=True))
        assert set(zip(i, j, S[:, 0], strict=True)) == expected


def found_by_species(atoms, cutoff):
    species = sorted(set(atoms.numbers))
    species_a = np.searchsorted(species, atoms.numbers).astype(np.int32)
    return species_a, find_neighbors(
        atoms.positions, atoms.cell.array, atoms.pbc, cutoff, species_a, len(species)
    )


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_neighbors_by_species(name):
    atoms, cutoff = sample(name)
    species_a, (first_as, neighbor_p, vector_pc, distance_p) = found_by_species(atoms, cutoff)
    n_species = species_a.max() + 1
    assert first_as.shape == (len(atoms) * n_species + 1,)
    assert (first_as[0], first_as[-1]) == (0, len(neighbor_p))
    bucket_p = np.repeat(np.arange(len(first_as) - 1), np.diff(first_as))
    center_p = bucket_p // n_species
    np.testing.assert_array_equal(species_a[neighbor_p], bucket_p % n_species)
    np.testing.assert_array_equal(distance_p, np.sqrt((vector_pc**2).sum(axis=1)))
    i, j, D = neighbor_list("ijD", atoms, cutoff, self_interaction=False)
    found = np.column_stack([center_p, neighbor_p, vector_pc])
    expected = np.column_stack([i, j, D])
    order = [np.lexsort(np.round(rows, 8).T) for rows in (found, expected)]
    np.testing.assert_allclose(found[order[0]], expected[order[1]], rtol=0, atol=1e-12)
    # Each pair in both directions, to the last bit.
    forth = {(a, b, *v) for a, b, v in zip(center_p, neighbor_p, vector_pc.tolist(), strict=True)}
    back = {(b, a, *v) for a, b, v in zip(center_p, neighbor_p, (-vector_pc).tolist(), strict=True)}
    assert forth == back


def test_neighbors_by_species_want_their_species():
    atoms = bulk("Cu", cubic=True)
    for species, n_species in (([0, 0, 0, 1], 1), ([0, 0, -1, 0], 1), ([0, 0, 0], 1), ([0, 0, 0, 0], 0)):
        with pytest.raises(ValueError, match="species"):
            find_neighbors(
                atoms.positions, atoms.cell.array, atoms.pbc, 3.0, np.array(species, np.int32), n_species
            )
