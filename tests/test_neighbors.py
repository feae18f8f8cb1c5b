"""Neighbors as fits take them: order, species, shortest distances, errors that name the structure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from sample_structures import SAMPLE_NAMES, sample

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._structures._neighbors import find_neighbors


def species_of(atoms):
    names = sorted(set(atoms.numbers))
    return np.searchsorted(names, atoms.numbers).astype(np.int32), len(names)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_shortest_distances(name):
    atoms, cutoff = sample(name)
    species_a, n_species = species_of(atoms)
    found = find_neighbors(atoms, species_a, n_species, cutoff).shortest_distances(n_species)
    expected = np.full((n_species, n_species), np.inf)
    i, j, d = neighbor_list("ijd", atoms, cutoff, self_interaction=False)
    np.minimum.at(expected, (species_a[i], species_a[j]), d)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


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
