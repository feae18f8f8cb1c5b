"""Several structures in one call of the core, against one call for each."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from core_runs import neighbors
from sample_potentials import sample_potential
from sample_structures import SAMPLE_NAMES, sample

from plip._core import closest_of_each, evaluate_each, values_of_each
from plip._structures._evaluation import check_atoms, gather


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_terms_of_several_structures_are_those_of_each(name):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff)
    moved = atoms.copy()
    moved.positions[0] += 0.05
    arrays = gather(potential.species, [atoms, moved])
    found, are_done = values_of_each(potential._term_values, *arrays, cutoff)
    assert are_done.all()
    for one, values in zip((atoms, moved), arrays.split(found), strict=True):
        species, positions, cell = check_atoms(potential.species, one)
        expected = potential._term_values.values(neighbors(one, cutoff), positions, cell, species)
        np.testing.assert_array_equal(values, expected)


def test_closest_atoms_of_several_structures():
    structures = [sample(name)[0] for name in SAMPLE_NAMES]
    species = sorted({symbol for atoms in structures for symbol in atoms.symbols})
    radii = np.linspace(0.5, 1.5, len(species))
    found = closest_of_each(*gather(species, structures), radii, 4.0)
    for atoms, ratio in zip(structures, found, strict=True):
        i, j, d = neighbor_list("ijd", atoms, 4.0)
        of_atom = radii[[species.index(symbol) for symbol in atoms.symbols]]
        expected = (d / (of_atom[i] + of_atom[j])).min(initial=np.inf)
        assert ratio == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="places among the radii"):
        closest_of_each(*gather(species, structures), radii[1:], 4.0)


def test_arrays_of_several_structures_are_checked():
    potential = sample_potential(*sample("bulk"))
    arrays = gather(potential.species, [sample("bulk")[0]])
    for change, message in (
        ({"borders": arrays.borders[::-1].copy()}, "begin with 0"),
        ({"borders": np.array([0, 9, 8])}, "one cell per structure"),
        ({"species": arrays.species[1:]}, "one species per position"),
        ({"positions": np.zeros((8, 2))}, "shape"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_each(potential._core, *arrays._replace(**change), 4.0)
