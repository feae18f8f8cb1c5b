"""What normal equations keep of the geometry of the data: shortest distances, a sample, isolated atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from sample_sums import carbide_descriptors, labeled, labeled_carbides

from plip import NormalEquations, PLIPDescriptors
from plip.labels import LabelWarning
from plip.normal_equations import _sample
from plip.normal_equations._sample import Sample, Sampler


@pytest.fixture
def structures():
    return labeled_carbides()


@pytest.fixture
def descriptors(structures):
    return carbide_descriptors(structures)


def shortest_by_ase(structures, cutoff):
    """By pair of species that comes within the cutoff."""
    shortest = {}
    for atoms in structures:
        for i, j, distance in zip(*neighbor_list("ijd", atoms, cutoff), strict=True):
            pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j])))
            shortest[pair] = min(distance, shortest.get(pair, np.inf))
    return shortest


@pytest.mark.parametrize("memory", [False, True])
def test_shortest_distances_of_each_pair_of_species(structures, descriptors, tmp_path, monkeypatch, memory):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    memory = str(tmp_path / "memory") if memory else None
    close = labeled(bulk("SiC", "zincblende", a=3.0), np.random.default_rng(0))
    structures = [close, *structures]
    weights = [0.0] + [1.0] * (len(structures) - 1)
    for _ in range(2):  # computed, then taken from the memory
        found = NormalEquations.from_structures(
            structures, descriptors, sample_weight=weights, memory=memory
        ).shortest_distances
        assert found == pytest.approx(shortest_by_ase(structures[1:], 4.0), rel=1e-12)
        assert list(found) == [("C", "C"), ("C", "Si"), ("Si", "Si")]


def test_shortest_distances_merge_and_are_kept(structures, tmp_path):
    descriptors = PLIPDescriptors(cutoff=2.5, three_body=None, n_body=None, species=["H", "Si", "C"])
    rng = np.random.default_rng(0)
    near = labeled(Atoms("SiC", [[0, 0, 0], [1.6, 0, 0]]), rng, stress=False)
    far = labeled(Atoms("SiCSi", [[0, 0, 0], [1.9, 0, 0], [0, 2.3, 0]]), rng, stress=False)
    first = NormalEquations.from_structures([far], descriptors)
    second = NormalEquations.from_structures([near], first.descriptors)
    assert first.shortest_distances == pytest.approx(
        {**dict.fromkeys([("C", "C"), ("C", "H"), ("H", "H"), ("H", "Si")], np.inf)}
        | {("C", "Si"): 1.9, ("Si", "Si"): 2.3}
    )
    both = first + second
    assert both.shortest_distances == pytest.approx({**first.shortest_distances, ("C", "Si"): 1.6})
    assert (both - second).shortest_distances == both.shortest_distances
    both.save(tmp_path / "both.npz")
    assert NormalEquations.load(tmp_path / "both.npz").shortest_distances == both.shortest_distances


def test_file_without_shortest_distances(structures, descriptors, tmp_path):
    """As written by version 0.1."""
    equations = NormalEquations.from_structures(structures, descriptors)
    equations._extent = equations._counts = None
    equations.save(tmp_path / "old.npz")
    old = NormalEquations.load(tmp_path / "old.npz")
    assert old.shortest_distances is None
    other = NormalEquations.from_structures(structures, descriptors)
    assert (old + other).shortest_distances is None
    assert (other + old).shortest_distances is None


def test_geometry_is_kept(structures, descriptors, tmp_path, monkeypatch):
    """Of the structures with labels, and of no more atoms than fit."""
    unlabeled = structures[0].copy()
    unlabeled.calc = None
    with pytest.warns(LabelWarning, match="no label to fit; ignored"):
        first = NormalEquations.from_structures([unlabeled, *structures[:2]], descriptors)
    both = first + NormalEquations.from_structures(structures[2:], first.descriptors)
    both.save(tmp_path / "both.npz")
    for sample in (both.sample, NormalEquations.load(tmp_path / "both.npz").sample):
        for kept, atoms in zip(sample.structures(), structures, strict=True):
            assert kept == atoms
    assert (both - first).sample is both.sample
    old = NormalEquations.from_structures(structures, first.descriptors)
    old.sample = None
    assert (old + both).sample is None and (both + old).sample is None
    monkeypatch.setattr(_sample, "_MOST_ATOMS", sum(map(len, structures)) // 2)
    thinned = sample_of_parts(structures, len(structures))
    for size in (1, 2, 5):
        parts = sample_of_parts(structures, size)
        assert all(np.array_equal(parts.arrays()[name], array) for name, array in thinned.arrays().items())
    assert 0 < thinned.sizes.sum() <= sum(map(len, structures)) // 2
    assert all(any(kept == atoms for atoms in structures) for kept in thinned.structures())
    assert len(thinned.merged(thinned).sizes) <= len(structures)
    assert len(sample_of_parts([structures[0] * 20], 1).sizes) == 1
    assert list(sample_of_parts([], 1).structures()) == []


def sample_of_parts(structures, size):
    """The sample of structures that come so many at a time."""
    sampler = Sampler()
    for first in range(0, len(structures), size):
        sampler.add(Sample.of_structures(structures[first : first + size]))
    return sampler.sample()


def isolated(symbol, energy, **cell):
    atoms = Atoms(symbol, **cell)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def test_isolated_energies_are_noted(structures, descriptors, tmp_path):
    big, small = {"cell": [9, 9, 9], "pbc": True}, {"cell": [9, 9, 3.9], "pbc": True}
    # In a skewed cell the nearest image is along no cell vector.
    skewed = {"cell": [[9, 0, 0], [8, 3, 0], [0, 0, 9]], "pbc": True}
    lone = [isolated("C", -1.5, **big), isolated("C", -1.25), isolated("C", -9.0, **small)]
    lone += [isolated("C", -8.0, **skewed), isolated("Si", -2.0), isolated("Si", None)]
    lone[-1].calc.results["forces"] = np.zeros((1, 3))
    weight = [1.0] * len(structures) + [1.0] * 6
    whole = NormalEquations.from_structures(structures + lone, descriptors, sample_weight=weight)
    assert whole.isolated_energies == {"C": [-1.5, -1.25], "Si": [-2.0]}
    rest = whole - NormalEquations.from_structures(lone[1:5], descriptors)
    assert rest.isolated_energies == {"C": [-1.5], "Si": []}
    sums = NormalEquations.from_structures(structures, descriptors)
    assert (sums + whole).isolated_energies == whole.isolated_energies
    whole.save(tmp_path / "sums.npz")
    assert NormalEquations.load(tmp_path / "sums.npz").isolated_energies == whole.isolated_energies
    weight[len(structures)] = 0.0
    found = NormalEquations.from_structures(structures + lone, descriptors, sample_weight=weight)
    assert found.isolated_energies == {"C": [-1.25], "Si": [-2.0]}
