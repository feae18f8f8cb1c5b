"""Neighbors as fits take them: order, species, shortest distances, errors that name the structure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from sample_structures import SAMPLE_NAMES, sample

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._core import extremes
from plip._structures._neighbors import find_neighbors


def species_of(atoms):
    names = sorted(set(atoms.numbers))
    return np.searchsorted(names, atoms.numbers).astype(np.int32), len(names)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_extremes(name):
    atoms, cutoff = sample(name)
    species_a, n_species = species_of(atoms)
    near = find_neighbors(atoms, species_a, n_species, cutoff)
    reach = 0.7 * cutoff
    shortest, densest, counts = extremes(species_a, near.first_as, near.distance_p, n_species, reach)
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


def test_positions_of_any_layout():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    species_a, n_species = species_of(atoms)
    expected = find_neighbors(atoms, species_a, n_species, 3.0)
    turned = atoms.copy()
    turned.arrays["positions"] = np.asfortranarray(atoms.positions)
    turned.cell = np.asfortranarray(atoms.cell.array)
    found = find_neighbors(turned, species_a, n_species, 3.0)
    np.testing.assert_array_equal(found.vector_pc, expected.vector_pc)


def test_errors_of_the_list_name_the_structure():
    """A billion cell vectors away: the list has limits that no check beforehand knows."""
    far = Atoms("H2", [[0, 0, 0], [1e7 - 0.005, 0, 0]], cell=[0.01, 0, 0], pbc=(True, False, False))
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
