"""Pairs of species without data, and what is known of them from chemical twins."""

import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from plip import PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian
from plip.regressor._analogs import _are_twins, _group, find_analogs, with_analogs

GROUPS = {
    1: "H Li Na K Rb Cs Fr", 2: "Be Mg Ca Sr Ba Ra", 3: "Sc Y La Ce Gd Lu Ac U Lr", 4: "Ti Zr Hf Rf",
    5: "V Nb Ta", 6: "Cr Mo W", 8: "Fe Ru Os", 10: "Ni Pd Pt", 11: "Cu Ag Au", 12: "Zn Cd Hg",
    13: "B Al Ga In Tl", 14: "C Si Ge Sn Pb", 16: "O S Se Te Po", 17: "F Cl Br I At", 18: "He Ne Ar Kr Xe Rn",
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_groups_of_the_periodic_table(group):
    assert {_group(symbol) for symbol in GROUPS[group].split()} == {group}


def test_twins_are_of_one_group_and_size():
    for first, second in (("Nb", "Ta"), ("Zr", "Hf"), ("Mo", "W"), ("Pd", "Pt")):
        assert _are_twins(first, second) and _are_twins(second, first)
    for first, second in (("Cu", "Au"), ("Ag", "Au"), ("C", "Si"), ("O", "S"), ("Mo", "Nb"), ("H", "Li")):
        assert not _are_twins(first, second)


def distances(species, without):
    pairs = itertools.combinations_with_replacement(sorted(species), 2)
    return {pair: math.inf if pair in without else 2.0 for pair in pairs}


@pytest.mark.parametrize(
    ("species", "without", "expected"),
    [
        (["Mo", "Nb", "Ta"], [("Mo", "Ta")], {("Mo", "Ta"): ("Mo", "Nb")}),
        (["Mo", "Nb", "Ta"], [("Mo", "Nb")], {("Mo", "Nb"): ("Mo", "Ta")}),
        (["Mo", "Nb", "Ta"], [("Nb", "Ta")], {("Nb", "Ta"): None}),
        # One that shares a species comes first.
        (["Mo", "Nb", "Ta", "W"], [("Ta", "W")], {("Ta", "W"): ("Nb", "W")}),
        (["Mo", "Nb", "Ta", "W"], [("Nb", "W"), ("Ta", "W"), ("Mo", "Ta")],
         {("Nb", "W"): ("Nb", "Mo"), ("Ta", "W"): ("Nb", "Mo"), ("Mo", "Ta"): ("Mo", "Nb")}),
        (["Mo", "Nb"], [("Mo", "Mo")], {}),
    ],
)  # fmt: skip
def test_analogs_of_pairs_without_data(species, without, expected):
    assert find_analogs(distances(species, without)) == expected


def alloys(pairs, rng):
    """Distorted bcc cells whose labels do not matter."""
    structures = []
    for symbols in [*pairs, *([s, s] for s in ("Mo", "Nb", "Ta"))] * 4:
        atoms = Atoms(
            symbols, cell=np.diag(rng.uniform(3.0, 3.4, 3)), pbc=True, scaled_positions=[[0] * 3, [0.5] * 3]
        )
        atoms.rattle(0.1, rng=rng)
        results = {"energy": rng.normal(), "forces": rng.normal(size=(2, 3))}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    return structures


def descriptors(shared):
    radial = Gaussian(eta=1.0, centers=[2.5, 3.0])
    return PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=2, mixed=True),
        n_body=NBody(radial, powers=(2, 3)),
        shared=shared,
    )


def test_a_pair_without_data_has_the_terms_of_its_twins():
    rng = np.random.default_rng(1)
    train = alloys([["Mo", "Nb"], ["Nb", "Ta"]], rng)
    model = PLIPRegressor(descriptors(True), max_terms=60, stress_weight=0.0)
    with pytest.warns(UserWarning, match="no structure holds Mo and Ta.*and what the data say of Mo-Nb"):
        model.fit(train)
    assert model.analogs_ == {("Mo", "Ta"): ("Mo", "Nb")}
    terms = model.descriptors_.terms_
    found = {
        (term.interaction, term.species, term.radial, term.power): value
        for term, value in zip(terms, model.coef_, strict=True)
    }
    count = 0
    for (kind, species, radial, power), value in found.items():
        if {"Mo", "Ta"} <= set(species):
            twin = tuple("Nb" if symbol == "Ta" else symbol for symbol in species)
            assert value == found[kind, twin, radial, power]
            count += value != 0
    assert count > 5
    # Nothing that the data hold has changed.
    path = model.path_.coefs[-1]
    columns = model.descriptors_.transform(train)
    np.testing.assert_allclose(columns @ model.coef_, columns @ model.path_.coefs[-1], rtol=1e-12)
    seen = [n for n, term in enumerate(terms) if not {"Mo", "Ta"} <= set(term.species)]
    np.testing.assert_array_equal(path[seen], model.coef_[seen])
    assert model.n_terms_ == np.count_nonzero(model.coef_) == len(model.potential_.terms)
    assert np.count_nonzero(path) <= 60
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from plip.inspection import PathDisplay

    assert PathDisplay.from_estimator(model).chosen == np.count_nonzero(path) < model.n_terms_
    matplotlib.pyplot.close("all")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_terms_of_twins_do_not_count_in_cross_validation():
    train = alloys([["Mo", "Nb"], ["Nb", "Ta"]], np.random.default_rng(1))
    teacher = PLIPRegressor(descriptors(True), max_terms=20, stress_weight=0.0).fit(train).potential_
    labels = teacher.predict(train)
    for atoms, energy, forces in zip(train, labels.energy, labels.forces, strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    model = PLIPRegressorCV(descriptors(True), cv=3, max_terms=30, stress_weight=0.0, selection="min")
    record = model.fit(train).potential_.fit_record
    size = model.selected_size_
    assert record["sizes"]["chosen"] == size < model.n_terms_ == len(model.potential_.terms)
    error = record["errors"]["cross-validation"]["force_rmse"]
    assert error == pytest.approx(model.cv_results_["force_rmse"][size], rel=1e-7)


def test_the_labels_of_arms_stay_sorted():
    radial = Gaussian(eta=1.0, centers=[2.0, 3.0])
    kinds = {"two_body": TwoBody(radial), "three_body": ThreeBody(radial, max_power=1, mixed=True)}
    fitted = PLIPDescriptors(cutoff=4.0, **kinds, n_body=None, shared=False).fit(
        [
            Atoms(symbols, positions=[[0] * 3, [0, 0, 2.0]])
            for symbols in (["Nb", "Ta"], ["Mo", "Zr"], ["Hf", "Zr"])
        ]
    )
    terms = [
        *fitted.terms_,
        PLIPDescriptors(cutoff=4.0, **kinds, shared=True)
        .fit([Atoms("NbTa", [[0] * 3, [2, 0, 0]])])
        .terms_[-1],
    ]
    analogs = {("Mo", "Zr"): ("Mo", "Hf")}
    coef = np.array([float({"Mo", "Hf"} == set(term.species)) * (1 + n) for n, term in enumerate(terms)])
    completed = with_analogs(coef, terms, analogs)
    assert np.count_nonzero(completed) == 2 * np.count_nonzero(coef) > 20


def test_nothing_is_added_without_shared_terms():
    rng = np.random.default_rng(2)
    train = alloys([["Mo", "Nb"], ["Nb", "Ta"]], rng)
    model = PLIPRegressor(descriptors(False), max_terms=60, stress_weight=0.0)
    with pytest.warns(UserWarning, match="shared=True"):
        model.fit(train)
    kept = {frozenset(term.species) for term, _ in model.potential_.terms}
    assert frozenset({"Mo", "Ta"}) not in kept
