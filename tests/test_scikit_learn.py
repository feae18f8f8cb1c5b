"""scikit-learn's tools work on PLIPRegressor: checks, clones, searches, cross-validation, pipelines."""

import numpy as np
import pytest
import sklearn
from ase.build import bulk
from sample_fits import separate_labels, small_descriptors
from sklearn.base import clone
from sklearn.linear_model import LassoLarsCV
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.interactions import ThreeBody
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.radial import Gaussian


@parametrize_with_checks([PLIPRegressor("precomputed")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_clone_and_nested_parameters():
    model = PLIPRegressor(small_descriptors(), alpha=1e-4)
    copy = clone(model)
    assert copy.get_params()["descriptors__three_body__max_power"] == 2
    copy.set_params(descriptors__cutoff=3.5, descriptors__three_body__radial__eta=2.0)
    assert copy.descriptors.cutoff == 3.5
    assert copy.descriptors.three_body.radial.eta == 2.0
    assert model.descriptors.cutoff == 4.0
    assert model.descriptors.three_body.radial.eta == 1.0


def test_cross_validation(silicon_carbide):
    model = PLIPRegressor(small_descriptors())
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, silicon_carbide[0], cv=folds)
    assert scores.shape == (3,)
    assert (scores > 0.5).all()
    found = cross_validate(
        model, silicon_carbide[0], cv=folds, scoring={"energy": neg_energy_rmse, "force": neg_force_rmse}
    )
    assert (found["test_force"] < 0).all()


def test_grid_search_slices_forces(silicon_carbide):
    bare, energies, forces, _ = separate_labels(silicon_carbide[0])
    search = GridSearchCV(
        PLIPRegressor(small_descriptors()), {"alpha": [1e-4, 1e-2], "descriptors__cutoff": [3.5, 4.0]}, cv=2
    )
    # Without metadata routing scikit-learn hands forces to fit alone: the score is that of energies.
    search.fit(bare, energies, forces=forces)
    assert search.best_params_.keys() == {"alpha", "descriptors__cutoff"}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(bare).shape == (len(bare),)


def test_grid_search_with_metadata_routing(silicon_carbide):
    bare, energies, forces, _ = separate_labels(silicon_carbide[0])
    with sklearn.config_context(enable_metadata_routing=True):
        model = PLIPRegressor(small_descriptors(), stress_weight=0.0)
        model.set_fit_request(forces=True).set_score_request(forces=True)
        search = GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2).fit(bare, energies, forces=forces)
        routed = search.cv_results_["mean_test_score"]
    model = PLIPRegressor(small_descriptors(), stress_weight=0.0)
    attached = GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2).fit(silicon_carbide[0])
    np.testing.assert_allclose(routed, attached.cv_results_["mean_test_score"], rtol=1e-12)


def test_search_with_memory_computes_each_structure_once(silicon_carbide, tmp_path, computed):
    train = silicon_carbide[0]
    model = PLIPRegressor(small_descriptors(), memory=str(tmp_path))
    grid = {"alpha": [1e-5, 1e-3], "solver": ["lasso_lars", "omp"], "energy_weight": [3.0, 30.0]}
    GridSearchCV(model, grid, cv=3, refit=False).fit(train)
    assert len(computed) == len(train)


def test_descriptors_in_a_pipeline(silicon_carbide):
    train, test = silicon_carbide
    energies = np.array([atoms.calc.results["energy"] for atoms in train])
    pipeline = make_pipeline(
        PLIPDescriptors(atom_counts=True), StandardScaler(), LassoLarsCV(cv=3, max_iter=50)
    )
    pipeline.fit(train, energies)
    assert pipeline.score(train, energies) > 0.9
    frame = small_descriptors().set_output(transform="pandas").fit_transform(test)
    assert frame.shape[0] == len(test)


def test_precomputed_has_no_forces():
    rng = np.random.default_rng(0)
    model = PLIPRegressor("precomputed").fit(rng.normal(size=(30, 4)), rng.normal(size=30))
    with pytest.raises(ValueError, match="precomputed"):
        model.predict_forces(rng.normal(size=(2, 4)))


def test_precomputed_takes_no_structures():
    with pytest.raises(TypeError, match=r"takes an array of numbers.*fit_transform"):
        PLIPRegressor("precomputed").fit([bulk("Si"), bulk("Si")], [0.0, 1.0])


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_missing_numbers_of_precomputed_arrays_are_named(name):
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(9, 3)), "y": rng.normal(size=9), "sample_weight": np.ones(9)}
    spoiled = arrays[name].astype(object)
    spoiled.flat[4] = None
    with pytest.raises(ValueError, match=f"{name} must hold real numbers, got NoneType"):
        PLIPRegressor("precomputed").fit(**arrays | {name: spoiled})


def test_fits_of_another_kind_are_forgotten(silicon_carbide):
    train = silicon_carbide[0][::6]
    columns = PLIPDescriptors.preset("fast").set_output(transform="pandas").fit_transform(train)
    energies = [atoms.get_potential_energy() for atoms in train]
    of_structures = PLIPRegressor("fast", max_terms=5).fit(train)
    of_columns = PLIPRegressor("precomputed", max_terms=5).fit(columns, energies)
    both = PLIPRegressor("fast", max_terms=5).fit(train)
    both.set_params(descriptors="precomputed").fit(columns, energies)
    assert vars(both).keys() == vars(of_columns).keys() and not hasattr(both, "potential_")
    both.set_params(descriptors="fast").fit(train)
    assert vars(both).keys() == vars(of_structures).keys() and not hasattr(both, "feature_names_in_")
    np.testing.assert_array_equal(both.coef_, of_structures.coef_)


def test_precomputed_agrees_with_lasso_lars():
    from sklearn.linear_model import LassoLars

    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 10)) * np.logspace(-2, 2, 10) + 5.0
    y = X @ rng.normal(size=10) + 100.0 + rng.normal(size=80)
    scaler = StandardScaler().fit(X)
    expected = LassoLars(alpha=0.1).fit(scaler.transform(X), y)
    model = PLIPRegressor("precomputed", solver="lasso_lars", alpha=0.1).fit(X, y)
    # 1e-4: the small ridge that keeps paths of dependent columns stable.
    np.testing.assert_allclose(model.coef_ * scaler.scale_, expected.coef_, rtol=1e-4)
    np.testing.assert_allclose(model.predict(X), expected.predict(scaler.transform(X)), rtol=1e-5)


@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
@pytest.mark.parametrize("descriptors", [None, "fast", PLIPDescriptors()])
def test_parameters_of_default_descriptors_are_searched(silicon_carbide, estimator, descriptors):
    model = estimator(descriptors, max_terms=5)
    assert "descriptors__cutoff" in model.get_params() and "descriptors__cutoff" not in model.get_params(
        False
    )
    before = clone(model).get_params()["descriptors__three_body"]
    grid = {"descriptors__cutoff": [3.0, 3.4], "descriptors__n_body": [None]}
    search = GridSearchCV(model, grid, cv=2).fit(silicon_carbide[0][::3])
    best = search.best_estimator_
    assert best.descriptors_.cutoff_ == search.best_params_["descriptors__cutoff"]
    # The search keeps all other parameters of the default.
    assert best.descriptors.three_body == before == model.get_params()["descriptors__three_body"]
    assert model.descriptors is descriptors


def test_nested_parameters_of_default_descriptors():
    model = PLIPRegressor().set_params(descriptors__cutoff=4.0, alpha=1e-3)
    assert isinstance(model.descriptors, PLIPDescriptors)
    assert (model.descriptors.cutoff, model.alpha) == (4.0, 1e-3)
    model.set_params(descriptors="accurate", descriptors__cutoff="auto")
    assert model.descriptors.four_body == "accurate"
    with pytest.raises(ValueError, match="bogus"):
        PLIPRegressor().set_params(descriptors__bogus=1)
    with pytest.raises(ValueError, match=r"descriptors=PLIPDescriptors\(three_body=ThreeBody\(\.\.\.\)\)"):
        PLIPRegressor().set_params(descriptors__three_body__max_power=3)
    shape = ThreeBody(Gaussian(eta=1.0, centers=[2.0]))
    model.set_params(descriptors__three_body=shape, descriptors__three_body__max_power=3)
    assert model.descriptors.three_body.max_power == 3
    # The default of another model is not touched.
    assert PLIPRegressor().get_params()["descriptors__cutoff"] == PLIPDescriptors().cutoff


def test_name_of_a_preset_stands_for_its_descriptors(silicon_carbide):
    train = silicon_carbide[0][::6]
    preset = PLIPDescriptors.preset("fast")
    terms = PLIPRegressor(preset, max_terms=5).fit(train).descriptors_.terms_
    assert PLIPRegressor("fast", max_terms=5).fit(train).descriptors_.terms_ == terms
    assert PLIPRegressorCV("fast", max_terms=5, cv=2).fit(train).descriptors_.terms_ == terms
    assert NormalEquations.from_structures(train, "fast").descriptors.terms_ == terms
    search = GridSearchCV(PLIPRegressor(max_terms=5), {"descriptors": ["fast", preset]}, cv=2).fit(train)
    assert np.ptp(search.cv_results_["mean_test_score"]) == 0.0


@pytest.mark.parametrize(("value", "error"), [("best", ValueError), ("auto", ValueError), (3, TypeError)])
def test_unknown_descriptors_list_the_presets(silicon_carbide, value, error):
    train = silicon_carbide[0][:4]
    message = "'fast', 'balanced', 'accurate', 'extensive'"
    with pytest.raises(error, match=message):
        PLIPRegressor(value).fit(train)
    with pytest.raises(error, match=message):
        PLIPRegressorCV(value).fit(train)
    with pytest.raises(error, match=message):
        NormalEquations.from_structures(train, value)
