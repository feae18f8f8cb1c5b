"""The offers of terms: sizes, reach, robustness, presets."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from plip import NormalEquations, PLIPDescriptors
from plip._offer import OFFERS, automatic_interactions, count_columns, shortest_distance
from plip._terms import build_terms
from plip.datasets import load_silicon_carbide
from plip.interactions import FourBody, ThreeBody, TwoBody
from plip.radial import Gaussian
from plip.solvers import omp_path

SYMBOLS = ("Al", "C", "Co", "Cr", "Cu", "Fe", "H", "Mn", "Mo", "N", "Ni", "O")
PRESETS = ("fast", "balanced", "accurate", "extensive")


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("n_species", [1, 2, 3, 4, 5, 6, 8, 10, 12])
def test_columns_fit_the_budget(offer, n_species):
    chosen = automatic_interactions(n_species, 2.0, 5.0, offer)
    terms = build_terms(SYMBOLS[:n_species], 5.0, **chosen)
    assert len(terms) <= OFFERS[offer]["columns"][-1]
    assert len(terms) == sum(
        count_columns(n_species, interaction) for interaction in chosen.values() if interaction is not None
    )
    pairs = {term.species for term in terms if term.interaction == "two-body"}
    assert pairs == set(itertools.combinations_with_replacement(SYMBOLS[:n_species], 2))


def test_count_of_four_body_columns():
    radial = [Gaussian(eta=[1.0], centers=[1.0, 2.0])]
    for rank in ((0, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1), (2, 2, 2)):
        four_body = FourBody(radial, ranks=(rank,))
        assert count_columns(2, four_body) == len(build_terms(("Al", "Cu"), 4.0, four_body=four_body))


@pytest.mark.parametrize("n_species", [20, 50])
def test_very_many_species_keep_a_pair_interaction(n_species):
    chosen = automatic_interactions(n_species, 2.0, 5.0)
    assert isinstance(chosen["two_body"], TwoBody)
    assert chosen["three_body"] is None


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize(
    ("shortest", "cutoff"), [(0.01, 5.0), (0.7, 6.0), (4.6, 5.0), (5.0, 5.0), (0.1, 0.2)]
)
def test_grids_lie_within_the_cutoff(offer, shortest, cutoff):
    chosen = automatic_interactions(2, shortest, cutoff, offer)
    for interaction in chosen.values():
        if interaction is None:
            continue
        reach = interaction.cutoff or cutoff
        assert reach <= cutoff
        for family in interaction.radial:
            centers = np.array(family.centers)
            assert (centers >= 0).all() and (centers < reach).all()
            assert np.isfinite(family.eta) and family.eta > 0
    terms = build_terms(("Al", "Cu"), cutoff, **chosen)
    assert max(term.cutoff for term in terms) == cutoff


def test_grids_start_at_the_shortest_distance():
    structures = [bulk("Cu", cubic=True), Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1.9]])]
    assert shortest_distance(structures, 5.0) == pytest.approx(1.9)
    terms = PLIPDescriptors().fit(structures).terms_
    assert min(term.radial[0].centers for term in terms) == pytest.approx(1.9)


def test_nothing_within_the_cutoff():
    assert shortest_distance([Atoms("He")], 5.0) == 5.0
    columns = PLIPDescriptors().fit_transform([Atoms("He"), molecule("H2O")])
    assert np.isfinite(columns).all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name):
    descriptors = PLIPDescriptors.preset(name)
    structures = [bulk("Si", cubic=True), bulk("Si") * (2, 1, 1)]
    structures[0].rattle(0.05, seed=1)
    terms = descriptors.fit(structures).terms_
    kinds = {"two-body", "three-body", "N-body"} | (set() if name == "fast" else {"four-body"})
    assert {term.interaction for term in terms} == kinds
    assert np.isfinite(descriptors.transform(structures)).all()


def test_automatic_cutoff_encloses_33_atoms_of_any_crystal():
    for symbol in ("C", "Si", "Mo", "Na", "Cs"):
        crystal = bulk(symbol)
        volume = crystal.get_volume() / len(crystal)
        cutoff = PLIPDescriptors(cutoff="auto").fit([crystal]).cutoff_
        # 32 pi / 3 atoms, give or take the rounding to 0.1 Angstrom.
        assert 4 / 3 * np.pi * cutoff**3 / volume == pytest.approx(32 * np.pi / 3, rel=0.05)


def test_automatic_cutoff_passes_over_empty_space_and_molecules():
    crystal, slab, water = bulk("Si", cubic=True), bulk("Si", cubic=True), molecule("H2O")
    slab.center(vacuum=20.0, axis=2)
    expected = PLIPDescriptors(cutoff="auto").fit([crystal]).cutoff_
    assert PLIPDescriptors(cutoff="auto").fit([slab, crystal, slab]).cutoff_ == expected
    assert PLIPDescriptors(cutoff="auto").fit([water, crystal]).cutoff_ == expected
    assert PLIPDescriptors(cutoff="auto").fit([water]).cutoff_ == 5.0


def test_automatic_cutoff_is_that_of_the_fit():
    crystal = bulk("Si", cubic=True)
    descriptors = PLIPDescriptors(cutoff="auto").fit([crystal])
    fixed = PLIPDescriptors(cutoff=descriptors.cutoff_).fit([crystal])
    stretched = bulk("Si", a=6.5, cubic=True)
    np.testing.assert_array_equal(descriptors.transform([stretched]), fixed.transform([stretched]))
    # Another fit forgets the first one.
    assert descriptors.fit([stretched]).cutoff_ > fixed.cutoff_


@pytest.mark.parametrize("cutoff", ["long", np.array([4.0, 5.0]), None, True])
def test_cutoff_that_is_none(cutoff):
    with pytest.raises(ValueError, match="cutoff must be"):
        PLIPDescriptors(cutoff=cutoff).fit([bulk("Si")])


def test_presets_grow():
    sizes = [len(PLIPDescriptors.preset(name).fit([bulk("Mo")]).terms_) for name in PRESETS]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(PRESETS)


def test_preset_takes_other_parameters():
    descriptors = PLIPDescriptors.preset("accurate", cutoff=6.0, four_body=None)
    assert descriptors.cutoff == 6.0
    assert descriptors.four_body is None
    assert descriptors.three_body == "accurate"


def test_four_body_on_request():
    atoms = bulk("Si", cubic=True)
    without = PLIPDescriptors().fit([atoms]).terms_
    with_it = PLIPDescriptors(four_body="auto").fit([atoms]).terms_
    assert with_it[: len(without)] == without
    assert {term.interaction for term in with_it[len(without) :]} == {"four-body"}


def test_offers_mix():
    descriptors = PLIPDescriptors(two_body="fast", three_body="accurate", n_body=None)
    terms = descriptors.fit([bulk("Si")]).terms_
    fast, accurate = (automatic_interactions(1, 2.35, 5.0, offer) for offer in ("fast", "accurate"))
    assert sum(t.interaction == "two-body" for t in terms) == count_columns(1, fast["two_body"])
    three_body = accurate["three_body"]
    assert isinstance(three_body, ThreeBody)
    assert sum(t.interaction == "three-body" for t in terms) == count_columns(1, three_body)


@pytest.mark.parametrize("name", ["auto", "best", "", None, 3])
def test_unknown_preset(name):
    with pytest.raises(ValueError, match="preset must be one of"):
        PLIPDescriptors.preset(name)


def test_unknown_offer_of_an_interaction():
    with pytest.raises(ValueError, match="two_body"):
        PLIPDescriptors(two_body="best").fit([bulk("Si")])


def test_offers_pay():
    """Four-body terms serve structures that were held out of the shipped train data."""
    train, _ = load_silicon_carbide()
    kept, held_out = [atoms for k, atoms in enumerate(train) if k % 5], train[::5]
    found = {}
    for name in PRESETS:
        equations = NormalEquations.from_structures(kept, PLIPDescriptors.preset(name).fit(kept))
        unseen = NormalEquations.from_structures(held_out, equations.descriptors)
        coefs = omp_path(equations.problem(60.0), max_terms=100).coefs[-1:]
        squares = unseen.mean_squares(coefs, equations.references(coefs))
        found[name] = np.sqrt(squares["force"][0] / unseen.null_mean_squares()["force"])
    # A fifth of the forces is no more than "learnt something": 980 atoms of data leave much to chance.
    assert max(found.values()) < 0.2
    assert min(found["balanced"], found["accurate"]) < found["fast"]
