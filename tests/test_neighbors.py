"""Neighbors as fits take them: order, species, shortest distances, errors that name the structure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from sample_structures import SAMPLE_NAMES, sample

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._core import enclosing_radii, shortest_distance
from plip._structures._neighbors import find_neighbors, find_surroundings


def species_of(atoms):
    names = sorted(set(atoms.numbers))
    return np.searchsorted(names, atoms.numbers).astype(np.int32), len(names)


def assert_same(a, b):
    for name, array in vars(a).items():
        np.testing.assert_array_equal(array, getattr(b, name), err_msg=name)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_surroundings(name):
    atoms, cutoff = sample(name)
    species_a, n_species = species_of(atoms)
    reach = 0.7 * cutoff
    near, shortest, densest, counts = find_surroundings(atoms, species_a, n_species, cutoff, reach)
    assert_same(near, find_neighbors(atoms, species_a, n_species, cutoff))
    i, j, d = neighbor_list("ijd", atoms, cutoff, self_interaction=False)
    pair = species_a[i], species_a[j]
    expected = np.full((n_species, n_species), np.inf)
    np.minimum.at(expected, pair, d)
    np.testing.assert_allclose(shortest, expected, rtol=1e-12)
    np.testing.assert_array_equal(shortest, shortest.T)
    expected = np.zeros((n_species, n_species))
    np.add.at(expected, pair, 1)
    np.testing.assert_array_equal(counts, expected)
    of_atoms = np.bincount(i, np.maximum(1.0 - (d / reach) ** 2, 0.0) ** 3, minlength=len(atoms))
    expected = [of_atoms[species_a == s].max() for s in range(n_species)]
    np.testing.assert_allclose(densest, expected, rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_shortest_distance(name):
    atoms, cutoff = sample(name)
    distances = neighbor_list("d", atoms, cutoff, self_interaction=False)
    found = shortest_distance(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    assert found == pytest.approx(min(distances, default=np.inf), rel=1e-12)
    if np.isfinite(found):
        assert shortest_distance(atoms.positions, atoms.cell.array, atoms.pbc, found) == np.inf


@pytest.mark.parametrize("name", SAMPLE_NAMES)
@pytest.mark.parametrize("count", [1.5, 8.0, 33.0])
def test_enclosing_radii(name, count):
    atoms, reach = sample(name)
    chosen = np.arange(0, len(atoms), 2, dtype=np.int32)
    radii, n_inside, nearest = enclosing_radii(
        atoms.positions, atoms.cell.array, atoms.pbc, chosen, reach, count
    )
    i, distances = neighbor_list("id", atoms, reach, self_interaction=False)
    for k, atom in enumerate(chosen):
        d = distances[i == atom]

        def counted(radius, d=d):
            return 1.0 + (0.5 + 0.5 * np.cos(np.pi * np.minimum(d / radius, 1.0))).sum()

        assert nearest[k] == pytest.approx(min(d, default=np.inf), rel=1e-12)
        assert n_inside[k] == 1 + np.count_nonzero(d < radii[k])
        if counted(reach) < count:
            assert radii[k] == np.inf
        else:
            assert np.cbrt(counted(radii[k])) == pytest.approx(np.cbrt(count), abs=1e-4)


@pytest.mark.parametrize("place", [-1, 2])
def test_enclosing_radii_refuse_atoms_that_are_not_there(place):
    atoms = bulk("Si")
    with pytest.raises(ValueError, match=f"there is no atom {place}"):
        enclosing_radii(atoms.positions, atoms.cell.array, atoms.pbc, np.array([place], np.int32), 5.0, 8.0)


def test_many_neighbors_of_several_species():
    """As many as are found without the lock of the interpreter: those of each species are those of all."""
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True) * (4, 4, 3)
    species_a, n_species = species_of(atoms)
    near = find_neighbors(atoms, species_a, n_species, 5.0)
    i, j, d = neighbor_list("ijd", atoms, 5.0, self_interaction=False)
    assert len(near.distance_p) == len(d) > 10_000
    for s in range(n_species):
        count = near.first_as[s + 1 :: n_species] - near.first_as[s:-1:n_species]
        np.testing.assert_array_equal(count, np.bincount(i[species_a[j] == s], minlength=len(atoms)))
    assert (
        species_a[near.neighbor_p] == np.repeat(np.tile([0, 1], len(atoms)), np.diff(near.first_as))
    ).all()
    np.testing.assert_allclose(np.sort(near.distance_p), np.sort(d), rtol=1e-12)


def test_positions_of_any_layout():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    species_a, n_species = species_of(atoms)
    expected = find_neighbors(atoms, species_a, n_species, 3.0)
    turned = atoms.copy()
    turned.arrays["positions"] = np.asfortranarray(atoms.positions)
    turned.cell = np.asfortranarray(atoms.cell.array)
    found = find_neighbors(turned, species_a, n_species, 3.0)
    np.testing.assert_array_equal(found.vector_pc, expected.vector_pc)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8"])
def test_positions_of_any_type(dtype):
    """As structures have them that are filled in place, or come from other machines."""
    atoms = bulk("SiC", "zincblende", a=4.375, cubic=True)
    atoms.positions += np.random.default_rng(0).integers(-4, 5, atoms.positions.shape) / 64
    twin = atoms.copy()
    twin.arrays["positions"] = atoms.positions.astype(dtype)
    twin.cell.array = np.asfortranarray(atoms.cell.array.astype(dtype))
    labels = {"y": [-1.0], "forces": [np.random.default_rng(0).normal(size=(len(atoms), 3))]}
    descriptors = PLIPDescriptors(cutoff=4.0, three_body=None, n_body=None)
    models = [PLIPRegressor(descriptors, max_terms=2).fit([one], **labels) for one in (atoms, twin)]
    np.testing.assert_array_equal(models[1].coef_, models[0].coef_)
    found, expected = (models[0].potential_.evaluate(one, uncertainty=True) for one in (twin, atoms))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_errors_of_the_list_name_the_structure():
    """Too many cell vectors away: the list has limits that no check beforehand knows."""
    far = Atoms("H2", [[0, 0, 0], [1e7 - 0.03, 1, 0]], cell=[0.06, 0, 0], pbc=(True, False, False))
    X = [bulk("H", "fcc", a=3.0), bulk("H", "fcc", a=3.0), far]
    explicit = PLIPDescriptors(cutoff=5.0, three_body=None, n_body=None).fit(X[:1])
    labels = {"y": np.zeros(3), "forces": [np.zeros((len(atoms), 3)) for atoms in X]}
    for use in (
        lambda: explicit.transform(X),
        lambda: PLIPDescriptors().fit(X),
        lambda: PLIPDescriptors(cutoff=5.0).fit(X),
        lambda: NormalEquations.from_structures(X, explicit, **labels),
        lambda: PLIPRegressor().fit(X, **labels),
    ):
        with pytest.raises(ValueError, match="^structure 2 .*cell vectors away"):
            use()
