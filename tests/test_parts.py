"""Columns that structures of some of the species need: what is left out or computed once changes nothing."""

import itertools
import pickle

import numpy as np
import pytest
from ase import Atoms
from sample_structures import random_structure

from plip._core import ANY
from plip._core._blas import add_products_of_columns, pack_lower
from plip._design._part import Placement, of_one_species
from plip._design._rows import Design, StructureDesign
from plip.interactions import Term
from plip.normal_equations._packed import Packed
from plip.radial import Gaussian

FIRST, SECOND = (Gaussian(eta=1.0, centers=center) for center in (1.8, 2.6))
SPECIES = ["O", "Si"]


def terms_of_all_kinds(switches=(None, None)):
    """Terms whose places stand for one species or for any, in all ways; switches by whether any may."""
    terms = []
    for center, arm in itertools.product(["Si", ANY], repeat=2):
        pair = tuple(sorted((center, arm)))
        terms.append(Term("two-body", pair, (FIRST,), cutoff=4.0))
        switch = switches[ANY in pair]
        for power in (2, 3, 0.5):
            terms.append(Term("N-body", (center, arm), (SECOND,), power, 4.0, switch))
        for other, power in itertools.product(sorted({"Si", arm, ANY}), (0, 3)):
            arms = tuple(sorted((arm, other)))
            terms.append(Term("three-body", (center, *arms), (FIRST, SECOND), power, 3.5))
            terms.append(Term("three-body", (center, *arms), (FIRST, FIRST), power, 3.5))
        terms.append(Term("four-body", (center, arm, arm, arm), (FIRST, FIRST, SECOND), (1, 0, 2), 3.0))
    terms = list(dict.fromkeys(terms))
    # Of a species that is not there.
    return [*terms[:3], Term("two-body", ("O", "Si"), (FIRST,), cutoff=4.0), *terms[3:]]


def all_rows(design, atoms):
    structure = StructureDesign(design, atoms, True)
    forces = np.empty((3 * len(atoms), design.kernel.n_terms))
    structure.write_rows(0, forces)
    return np.vstack([structure.values, structure.virials, forces])


@pytest.mark.parametrize("switches", [(None, None), (1.9, 1.9), (1.9, 1.7), (None, 1.7)])
@pytest.mark.parametrize("periodic", [True, False])
def test_terms_of_any_species_are_those_of_the_only_one(switches, periodic):
    design = Design(terms_of_all_kinds(switches), SPECIES)
    atoms = random_structure(6, periodic, 3, ("Si",))
    part = design.part(atoms)
    # Of all pairs of atoms and densities, half are the same; with two switches they are not.
    assert part.kernel.n_terms <= (0.65 if len(set(switches)) == 1 else 0.85) * design.kernel.n_terms
    expected = all_rows(design, atoms)
    rows = all_rows(part, atoms)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        part.placement.widened(rows, design.kernel.n_terms), expected, atol=1e-13 * scale
    )
    coef = np.random.default_rng(2).normal(size=design.kernel.n_terms)
    same = rows @ part.placement.gathered(coef, part.kernel.n_terms)
    np.testing.assert_allclose(same, expected @ coef, atol=1e-12 * scale)


def test_structures_of_all_species_need_all_columns():
    design = Design(terms_of_all_kinds(), SPECIES)
    assert design.part(Atoms("OSi")) is design and design.is_whole


def test_a_part_is_the_same_in_another_process():
    part = Design(terms_of_all_kinds(), SPECIES).part(Atoms("Si"))
    copy = pickle.loads(pickle.dumps(part))
    assert copy.terms == part.terms and not copy.is_whole
    for array, same in zip(part.placement, copy.placement, strict=True):
        np.testing.assert_array_equal(array, same)


def test_terms_that_differ_stay():
    terms = [term for term in terms_of_all_kinds() if "O" not in term.species]
    different, sources, factors = of_one_species(terms, "Si")
    assert len(set(different)) == len(different) == sources.max() + 1
    pairs = [k for k, term in enumerate(terms) if term.interaction == "two-body"]
    assert len(set(sources[pairs])) == 1
    # Of a pair with one place for any species, either atom may stand there.
    assert {terms[k].species: factors[k] for k in pairs} == {
        ("Si", "Si"): 1.0,
        ("*", "Si"): 2.0,
        ("*", "*"): 1.0,
    }


@pytest.mark.parametrize("sources", [[0, 1, 2, 3], [0, 0, 1, 2], [2, 1, 0, 1], [1, 2, 2, 3]])
@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [1, 2, 4, 6]])
def test_products_of_a_part_are_those_of_its_wide_rows(sources, columns):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(9, 4))
    placement = Placement(np.array(columns), np.array(sources), np.array([1.0, 2.0, 1.0, 1.0]))
    before = rng.normal(size=(7, 7))
    packed = Packed.of(before)
    # Above the diagonal nothing is known.
    packed.add_part(np.tril(rows.T @ rows), placement)
    wide = np.zeros((9, 7))
    for column, source, factor in zip(*placement, strict=True):
        wide[:, column] = factor * rows[:, source]
    np.testing.assert_array_equal(placement.widened(rows, 7), wide)
    np.testing.assert_allclose(packed.values, pack_lower(before + wide.T @ wide), atol=1e-13)


@pytest.mark.parametrize(
    ("columns", "sources", "match"),
    [
        ([1, 0], [0, 1], "columns must ascend"),
        ([-1, 0], [0, 1], "columns must ascend"),
        ([1, 1], [0, 1], "columns must ascend"),
        ([0, 3], [0, 1], "columns must ascend"),
        ([0, 1], [0, 2], "sources must be below 2"),
        ([0, 1], [-1, 0], "sources must be below 2"),
        ([0, 1, 2], [0, 1], "each column"),
        ([0, 1], [0, 1, 1], "each column"),
    ],
)
def test_columns_outside_of_the_matrix_are_errors(columns, sources, match):
    columns, sources = np.array(columns), np.array(sources)
    with pytest.raises(ValueError, match=match):
        add_products_of_columns(np.ones((2, 2)), columns, sources, np.ones(len(columns)), 3, np.zeros(6))


def test_another_triangle_is_an_error():
    places = np.array([0, 1])
    with pytest.raises(ValueError, match="lower triangle"):
        add_products_of_columns(np.ones((2, 2)), places, places, np.ones(2), 3, np.zeros(9))
    with pytest.raises(ValueError, match="must be square"):
        add_products_of_columns(np.ones((2, 3)), places, places, np.ones(2), 3, np.zeros(6))
