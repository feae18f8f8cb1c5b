"""Habits of scikit-learn: splits and scorers by group, meta-estimators, names of columns, committees."""

import numpy as np
import pytest
from ase import Atoms
from sample_fits import small_descriptors
from sklearn.ensemble import BaggingRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_validate

from plip import PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.inspection import DensityDisplay, PairDisplay, PathDisplay
from plip.metrics import (
    Evaluation,
    RMSEScorer,
    cancellation,
    error_summary,
    group_scorers,
    neg_energy_rmse,
    neg_force_rmse,
    neg_stress_rmse,
    read_groups,
)
from plip.model_selection import StratifiedByGroup, as_column, composition_groups
from plip.regressor import fit_committee
from plip.report import fit_report, potential_summary

GPA = 160.21766


@pytest.fixture(scope="module")
def regressor():
    return PLIPRegressor(small_descriptors(), max_terms=8)


@pytest.fixture(scope="module")
def model(regressor, silicon_carbide):
    return PLIPRegressor(small_descriptors(), max_terms=8).fit(silicon_carbide[0])


def energies(structures):
    return np.array([atoms.get_potential_energy() for atoms in structures])


# Scorers


def test_scorer_of_stresses(model, silicon_carbide):
    test = silicon_carbide[1]
    found = neg_stress_rmse(model, test)
    assert -found * GPA == pytest.approx(error_summary(model, test)["stress_rmse"], rel=1e-6)
    given = [atoms.get_stress() for atoms in test]
    bare = [atoms.copy() for atoms in test]
    assert neg_stress_rmse(model, bare, stress=given) == pytest.approx(found, rel=1e-12)
    with pytest.raises(ValueError, match=r"neg_stress_rmse.set_score_request\(stress=True\)"):
        neg_stress_rmse(model, bare)


def test_scorers_of_groups_are_the_errors_of_the_groups(model, silicon_carbide):
    test = silicon_carbide[1]
    summary = error_summary(model, test)["groups"]
    for target, factor in (("energy", 1e3), ("force", 1.0), ("stress", GPA)):
        scorers = group_scorers(test, target)
        assert set(scorers) == set(summary)
        for name, scorer in scorers.items():
            assert -factor * scorer(model, test) == pytest.approx(summary[name][f"{target}_rmse"], rel=1e-6)
    assert repr(scorers["wurtzite"]) == "neg_stress_rmse of wurtzite"


def test_scorers_name_what_is_missing(model, silicon_carbide):
    with pytest.raises(ValueError, match="no structure of the group 'liquid'.*StratifiedByGroup"):
        RMSEScorer("force", "liquid")(model, silicon_carbide[1])
    with pytest.raises(ValueError, match="target must be one of"):
        RMSEScorer("virial")
    with pytest.raises(ValueError, match="names a group"):
        group_scorers([atoms.copy() for atoms in silicon_carbide[1]], key="nothing")


# Splits


def test_folds_have_the_share_of_every_group():
    from plip.datasets import load_silicon_carbide

    train, _ = load_silicon_carbide()
    names = read_groups(train)
    folds = list(StratifiedByGroup(5).split(train))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(train)))
    for rows, test in folds:
        assert not set(rows) & set(test) and len(rows) + len(test) == len(train)
        for name in set(names):
            share = np.count_nonzero(names == name) / 5
            assert abs(np.count_nonzero(names[test] == name) - share) < 1


@pytest.mark.parametrize("seed", range(5))
def test_structures_of_small_groups_are_in_different_folds(seed):
    names = np.array(["bulk"] * 17 + ["surface"] * 2 + ["atom"] + ["slab"] * 4 + ["melt"] * 8)
    folds = list(StratifiedByGroup(5, random_state=seed).split([None] * 32, groups=names))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(32))
    for group in [names == name for name in set(names)] + [names != ""]:
        sizes = [np.count_nonzero(group[test]) for _, test in folds]
        assert max(sizes) - min(sizes) <= 1
    with pytest.raises(ValueError, match="groups has 4 entries for 32 structures"):
        next(StratifiedByGroup(5).split([None] * 32, groups=names[:4]))


def test_cross_validation_by_group(silicon_carbide, regressor):
    train, _ = silicon_carbide
    cv = StratifiedByGroup(3)
    found = cross_validate(regressor, train, cv=cv, scoring=group_scorers(train), error_score="raise")
    assert all(np.isfinite(found[f"test_{name}"]).all() for name in group_scorers(train))
    chosen = PLIPRegressorCV(small_descriptors(), max_terms=8, cv=cv).fit(train)
    assert chosen.n_splits_ == 3


@pytest.mark.parametrize("n_splits", [1, 1.5, 1000])
def test_wrong_numbers_of_folds(silicon_carbide, n_splits):
    with pytest.raises(ValueError, match="n_splits must be an integer from 2"):
        next(StratifiedByGroup(n_splits).split(silicon_carbide[0]))
    with pytest.raises(ValueError, match="no structure names a group"):
        next(StratifiedByGroup(2, key="nothing").split(silicon_carbide[0]))


# Meta-estimators


def test_a_column_of_structures_is_as_good_as_a_list(model, regressor, silicon_carbide):
    train, test = silicon_carbide
    column = as_column(train)
    assert column.shape == (len(train), 1) and column[3, 0] is train[3]
    again = PLIPRegressor(small_descriptors(), max_terms=8).fit(column)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(model.predict(as_column(test)), model.predict(test))
    with pytest.raises(TypeError, match="structure 1: expected ase.Atoms, got int"):
        as_column([train[0], 1])


def test_what_reads_groups_takes_a_column(silicon_carbide):
    train = silicon_carbide[0]
    column = as_column(train)
    assert (read_groups(column) == read_groups(train)).all()
    assert group_scorers(column).keys() == group_scorers(train).keys()
    folds = zip(StratifiedByGroup(3).split(column), StratifiedByGroup(3).split(train), strict=True)
    assert all((found[1] == expected[1]).all() for found, expected in folds)


def test_a_search_is_as_good_as_its_best_estimator(silicon_carbide):
    train, test = silicon_carbide
    grid = {"max_terms": [4, 8]}
    search = GridSearchCV(PLIPRegressor(small_descriptors()), grid, cv=3, scoring=neg_force_rmse).fit(train)
    best = search.best_estimator_
    assert neg_force_rmse(search, test) == neg_force_rmse(best, test)
    assert neg_stress_rmse(search, test) == neg_stress_rmse(best, test)
    np.testing.assert_array_equal(cancellation(search, test), cancellation(best.potential_, test))
    assert potential_summary(search) == potential_summary(best.potential_)
    assert PathDisplay.from_estimator(search).chosen == best.n_terms_
    assert PairDisplay.from_estimator(search).data.distances.keys() == {("C", "C"), ("C", "Si"), ("Si", "Si")}
    for model in (best, search):
        drawn = DensityDisplay.from_potential(model, train)
        assert drawn.limits == DensityDisplay.from_potential(best.potential_, train).limits
    tested = {"test": Evaluation(search, test)}
    assert fit_report(search, tested) == fit_report(best, tested)
    with pytest.raises(TypeError, match="only a fitted PLIPRegressorCV has folds, got PLIPRegressor"):
        Evaluation.of_folds(search, train)
    for unfitted in (search.estimator, GridSearchCV(best, grid)):
        with pytest.raises(TypeError, match="fitted to structures, got"):
            Evaluation.of_folds(unfitted, train)
        with pytest.raises(TypeError, match="fitted to structures, got"):
            cancellation(unfitted, test)
        with pytest.raises(TypeError, match="fitted to structures, got"):
            PathDisplay.from_estimator(unfitted)


def test_bagging(regressor, silicon_carbide):
    train, test = silicon_carbide
    bag = BaggingRegressor(regressor, n_estimators=3, random_state=0).fit(as_column(train), energies(train))
    members = [member.predict(test) for member in bag.estimators_]
    np.testing.assert_allclose(bag.predict(as_column(test)), np.mean(members, axis=0))
    assert np.std(members, axis=0).max() > 1e-6


def test_permutation_importance(model, silicon_carbide):
    column = as_column(silicon_carbide[1])
    settings = {"n_repeats": 2, "random_state": 0, "scoring": neg_energy_rmse}
    found = permutation_importance(model, column, energies(silicon_carbide[1]), **settings)
    assert found.importances_mean.shape == (1,) and found.importances_mean[0] > 0


def test_arrays_of_single_atoms_are_refused_with_a_remedy(regressor, silicon_carbide):
    same_size = [atoms for atoms in silicon_carbide[0] if len(atoms) == 8]
    with pytest.raises(TypeError, match="plip.model_selection.as_column"):
        regressor.fit(np.array(same_size, dtype=object))


def test_names_of_columns(model):
    names = model.get_feature_names_out()
    assert list(names) == [term.name for term in model.descriptors_.terms_]
    arrays = PLIPRegressor("precomputed").fit(np.eye(4)[:, :3], [1.0, 2.0, 3.0, 0.0])
    assert list(arrays.get_feature_names_out()) == ["x0", "x1", "x2"]


# Committees


def test_committee_is_fitted_to_bootstrapped_blocks(regressor, silicon_carbide):
    train, test = silicon_carbide
    members = fit_committee(regressor, train, n_members=4, n_blocks=8)
    assert len(members) == 4 and not hasattr(regressor, "coef_")
    found = np.array([[member.energy(atoms) / len(atoms) for atoms in test] for member in members])
    reference = energies(test) / [len(atoms) for atoms in test]
    spread = found.std(axis=0)
    assert (spread > 0).all()
    # All are fits to the same material: they differ by about their errors.
    errors = np.sqrt(np.mean((found - reference) ** 2))
    assert 0.01 * errors < spread.mean() < 3 * errors
    again = fit_committee(regressor, train, n_members=4, n_blocks=8)
    np.testing.assert_array_equal(again[2].coef, members[2].coef)


def test_committee_refuses_what_makes_none(regressor, silicon_carbide):
    train, _ = silicon_carbide
    with pytest.raises(ValueError, match="n_blocks must be an integer of at least 2"):
        fit_committee(regressor, train, n_blocks=1)
    with pytest.raises(ValueError, match="fit structures"):
        fit_committee(PLIPRegressor("precomputed"), train)
    with pytest.raises(TypeError, match="PLIPRegressor"):
        fit_committee(PLIPDescriptors(), train)


def test_composition_groups_are_sets_of_elements():
    X = [Atoms(symbols) for symbols in ("Ta", "TaNb", "NbTa3", "MoTaNb", "Mo")]
    for atoms in X:
        atoms.positions[:, 0] = 2.5 * np.arange(len(atoms))
    assert composition_groups(X).tolist() == ["Ta", "Nb-Ta", "Nb-Ta", "Mo-Nb-Ta", "Mo"]
    assert composition_groups(iter(X)).tolist() == composition_groups(X).tolist()
    with pytest.raises(TypeError, match="structure 1"):
        composition_groups([X[0], "NbTa"])
