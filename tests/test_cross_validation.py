"""PLIPRegressorCV: errors over folds, the size and the energy weight that they choose."""

import math
import threading
import tracemalloc

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from sample_fits import partly_labeled, separate_labels, small_descriptors
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    cross_validate,
)

from plip import PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.interactions import TwoBody
from plip.metrics import neg_force_rmse
from plip.model_selection import composition_groups
from plip.radial import Gaussian


def test_cross_validated_errors_are_those_of_separate_fits(silicon_carbide):
    train = silicon_carbide[0]
    folds = KFold(4, shuffle=True, random_state=1)
    options = {"solver": "omp", "alpha": 0.0, "max_terms": 20, "repulsion": None}
    model = PLIPRegressorCV(small_descriptors(species=("C", "Si")), cv=folds, **options).fit(train)
    squares, n_atoms, forces, n_forces = 0.0, 0, 0.0, 0
    for rows, held in folds.split(train):
        part = PLIPRegressor(model.descriptors, **options).fit([train[k] for k in rows])
        for k in held:
            label = train[k].calc.results
            squares += ((part.predict([train[k]])[0] - label["energy"]) / len(train[k])) ** 2
            forces += np.sum((part.predict_forces([train[k]])[0] - label["forces"]) ** 2)
            n_atoms, n_forces = n_atoms + 1, n_forces + label["forces"].size
    # 1e-4: subtracting a fold rounds, and the greedy choice is only as stable as that.
    assert model.cv_results_["energy_rmse"][20] == pytest.approx(np.sqrt(squares / n_atoms), rel=1e-4)
    assert model.cv_results_["force_rmse"][20] == pytest.approx(np.sqrt(forces / n_forces), rel=1e-4)
    assert model.n_splits_ == 4
    assert model.cv_results_["n_terms"].tolist() == list(range(21))


@pytest.mark.parametrize("solver", ["replacement", "lasso_lars"])
def test_threads_that_solve_folds_change_no_bit(silicon_carbide, monkeypatch, solver):
    train = silicon_carbide[0][:40]
    options = {"solver": solver, "max_terms": 12, "energy_weights": [5.0, 40.0], "cv": 7}
    one = PLIPRegressorCV(small_descriptors(), n_jobs=1, **options).fit(train)
    monkeypatch.setattr("plip.regressor._cross_validation._MANY_COLUMNS", 1)
    threads = set()
    path = PLIPRegressorCV._path

    def noted(self, *arguments):
        threads.add(threading.get_ident())
        return path(self, *arguments)

    monkeypatch.setattr(PLIPRegressorCV, "_path", noted)
    many = PLIPRegressorCV(small_descriptors(), n_jobs=3, **options).fit(train)
    assert len(threads) > 2
    np.testing.assert_array_equal(many.coef_, one.coef_)
    for name, values in one.cv_results_.items():
        np.testing.assert_array_equal(many.cv_results_[name], values)


@pytest.mark.parametrize("solver", ["lasso_lars", "omp", "adaptive_lasso"])
def test_cross_validation_chooses_a_size(silicon_carbide, solver):
    train = silicon_carbide[0]
    model = PLIPRegressorCV(
        small_descriptors(), solver=solver, energy_weights=[3.0, 30.0], selection="min"
    ).fit(train)
    errors = model.cv_results_["mean_error"]
    assert model.selected_size_ == errors.argmin()
    assert model.n_terms_ <= model.selected_size_
    assert model.energy_weight_ in (3.0, 30.0)
    sparse = PLIPRegressorCV(small_descriptors(), solver=solver, selection="one_standard_error").fit(train)
    assert sparse.n_terms_ <= PLIPRegressorCV(small_descriptors(), solver=solver).fit(train).n_terms_
    # The chosen model is what PLIPRegressor finds at the same place of the path.
    place = (
        {"max_terms": model.selected_size_} if solver == "omp" else {"alpha": model.alpha_, "max_terms": None}
    )
    alone = PLIPRegressor(
        small_descriptors(), solver=solver, energy_weight=model.energy_weight_, **place
    ).fit(train)
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-6, atol=1e-6 * np.abs(model.coef_).max())


@pytest.mark.filterwarnings("ignore:no term was kept")
def test_energy_weight_with_the_smallest_error_is_chosen(silicon_carbide):
    train = silicon_carbide[0]
    weights = [1e-3, 10.0, 1e4]
    alone = {
        weight: PLIPRegressorCV(small_descriptors(), energy_weight=weight, max_terms=40).fit(train)
        for weight in weights
    }
    errors = {weight: model.cv_results_["mean_error"].min() for weight, model in alone.items()}
    best = min(weights, key=errors.get)
    assert best == 10.0 and max(errors.values()) > 1.2 * errors[best]
    for order in ([1e-3, 10.0, 1e4], [10.0, 1e4, 1e-3], [1e4, 1e-3, 10.0]):
        model = PLIPRegressorCV(
            small_descriptors(), energy_weight=2.0, energy_weights=order, max_terms=40
        ).fit(train)
        assert model.energy_weight_ == best
        np.testing.assert_array_equal(model.coef_, alone[best].coef_)
        for name, values in alone[best].cv_results_.items():
            np.testing.assert_array_equal(model.cv_results_[name], values)


@pytest.mark.parametrize("selection", [0.02, 0.07, 0.3])
def test_selection_by_a_number_keeps_every_target_near_its_best(silicon_carbide, selection):
    """Two folds and one target: the geometric mean of their errors is within the part that is asked for."""
    train = silicon_carbide[0]
    half = np.arange(len(train)) % 2
    cv = [(np.flatnonzero(half != k), np.flatnonzero(half == k)) for k in (0, 1)]
    settings = {"solver": "omp", "max_terms": 40, "energy_weight": 0.0, "stress_weight": 0.0}
    model = PLIPRegressorCV(small_descriptors(), cv=cv, selection=selection, **settings).fit(train)
    # One target: the mean error is that of the forces.
    error = np.sqrt(model.cv_results_["mean_error"])
    allowed = np.flatnonzero(error <= (1 + selection) * error.min())
    assert model.selected_size_ == allowed[0] <= error.argmin()


@pytest.mark.parametrize("selection", ["max", -0.1, True, math.inf])
def test_selection_is_checked(silicon_carbide, selection):
    with pytest.raises(ValueError, match="selection must be"):
        PLIPRegressorCV(small_descriptors(), selection=selection).fit(silicon_carbide[0])


@pytest.mark.parametrize("n_splits", [5, 8])
def test_one_standard_error_is_that_of_the_mean(silicon_carbide, n_splits):
    """The standard error of the mean over n folds: their standard deviation over the root of n - 1."""
    model = PLIPRegressorCV(
        small_descriptors(),
        selection="one_standard_error",
        cv=n_splits,
        solver="omp",
        max_terms=60,
        energy_weight=30.0,
        stress_weight=0.0,
        contribution_penalty=0.0,
    ).fit(silicon_carbide[0])
    mean, spread = model.cv_results_["mean_error"], model.cv_results_["std_error"]

    def smallest(share):
        return int(np.argmax(mean <= mean.min() + share * spread[mean.argmin()]))

    sizes = [smallest(share) for share in (1.0, 1 / np.sqrt(n_splits - 1), 1 / (n_splits - 1), 0.0)]
    # These data distinguish the four.
    assert sizes == sorted(set(sizes)), sizes
    assert model.selected_size_ == sizes[1]


def test_cross_validation_computes_descriptors_once(silicon_carbide, computed):
    train = silicon_carbide[0]
    PLIPRegressorCV(small_descriptors(), cv=7, energy_weights=[1.0, 10.0, 100.0]).fit(train)
    assert len(computed) == len(train)
    computed.clear()
    PLIPRegressorCV(small_descriptors(), cv=ShuffleSplit(3, test_size=0.2, random_state=0)).fit(train)
    assert len(computed) < 2 * len(train)


def test_cross_validation_holds_few_matrices():
    """Of products of all columns: what is summed up, the sums of one chunk, and one problem at a time."""
    train, _ = load_silicon_carbide()
    PLIPRegressorCV("fast", cv=2, max_terms=5).fit(train[::8])  # so that libraries are there
    tracemalloc.start(1)
    try:
        model = PLIPRegressorCV("extensive", cv=2, max_terms=5).fit(train)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # More force rows than columns, so that they are not kept.
    assert 2_000 < len(model.coef_) < model.normal_equations_.n_rows["force"]
    # 3.7 were measured, and 5.2 when the problem was held and so were sums that had been added.
    assert peak < 4.2 * 8 * len(model.coef_) ** 2


def test_cross_validation_by_groups(silicon_carbide):
    train = silicon_carbide[0]
    groups = [atoms.info["group"] for atoms in train]
    model = PLIPRegressorCV(small_descriptors(), cv=GroupKFold(3)).fit(train, groups=groups)
    assert model.n_splits_ == 3
    with pytest.raises(ValueError, match="groups"):
        PLIPRegressorCV(small_descriptors(), cv=GroupKFold(3)).fit(train)


def copper_gold(symbols, seed):
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", a=3.8, cubic=True)
    atoms.symbols[:] = rng.permutation(symbols)
    atoms.set_cell(atoms.cell * rng.uniform(0.97, 1.03), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.05, (4, 3))
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


@pytest.mark.filterwarnings("ignore:no structure holds Au and Cu")  # when those that do are left out
def test_cross_validation_by_composition():
    """Each set of elements is left out once, as a whole."""
    kinds = (["Cu"] * 4, ["Au"] * 4, ["Cu", "Cu", "Au", "Au"], ["Cu", "Au", "Au", "Au"])
    X = [copper_gold(symbols, seed) for seed in range(6) for symbols in kinds]
    groups = composition_groups(X)
    pairs = TwoBody(Gaussian(centers=4))
    descriptors = PLIPDescriptors(4.0, two_body=pairs, three_body=None, n_body=None, shared=True)
    model = PLIPRegressorCV(descriptors, cv=LeaveOneGroupOut()).fit(X, groups=groups)
    assert model.n_splits_ == 3
    one = PLIPRegressor(descriptors)
    scores = cross_validate(one, X, groups=groups, cv=LeaveOneGroupOut(), scoring=neg_force_rmse)
    expected = []
    for group in np.unique(groups):
        train = [atoms for atoms, own in zip(X, groups, strict=True) if own != group]
        test = [atoms for atoms, own in zip(X, groups, strict=True) if own == group]
        expected.append(neg_force_rmse(one.fit(train), test))
    np.testing.assert_allclose(scores["test_score"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("selection", "best"),
        ("energy_weights", [-1.0]),
        ("energy_weights", []),
        ("descriptors", "precomputed"),
    ],
)
def test_cross_validation_refuses_bad_parameters(silicon_carbide, name, value):
    with pytest.raises(ValueError, match=f"{name}|PLIPRegressorCV"):
        PLIPRegressorCV(**{name: value}).fit(silicon_carbide[0])


@pytest.mark.parametrize("cv", [None, 4, np.int64(5)])
def test_cross_validation_of_fewer_structures_than_folds(silicon_carbide, cv):
    with pytest.raises(ValueError, match=f"{5 if cv is None else cv} folds needs as many structures, got 3"):
        PLIPRegressorCV(small_descriptors(), cv=cv).fit(silicon_carbide[0][:3])


def test_cross_validation_where_some_labels_are_missing(silicon_carbide):
    """The errors are those of separate fits, over the folds and structures that have the label."""
    partial = partly_labeled(silicon_carbide[0])
    folds = KFold(3, shuffle=True, random_state=1)
    options = {"solver": "ridge", "alpha": 1e-5, "max_terms": None, "repulsion": None}
    model = PLIPRegressorCV(small_descriptors(species=("C", "Si")), cv=folds, **options).fit(partial)
    squares = []
    for rows, held in folds.split(partial):
        part = PLIPRegressor(model.descriptors, **options).fit([partial[k] for k in rows])
        for k in held:
            if "energy" in partial[k].calc.results:
                energy = partial[k].calc.results["energy"]
                squares.append(((part.predict([partial[k]])[0] - energy) / len(partial[k])) ** 2)
    found = model.cv_results_["energy_rmse"][-1]
    # 1e-4: what is left without a fold keeps its shortest distances, by which the small ridge is measured.
    assert found == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-4)


def test_a_fold_without_labels_of_a_target(silicon_carbide):
    """Energies stand in one fold only: there they cannot be predicted, elsewhere not compared."""
    train = [atoms.copy() for atoms in silicon_carbide[0]]
    for index, (atoms, source) in enumerate(zip(train, silicon_carbide[0], strict=True)):
        results = {"forces": source.calc.results["forces"]}
        if index < 5:
            results["energy"] = source.calc.results["energy"]
        atoms.calc = SinglePointCalculator(atoms, **results)
    folds = [(np.arange(5, len(train)), np.arange(5)), (np.arange(20), np.arange(20, len(train)))]
    model = PLIPRegressorCV(small_descriptors(), cv=folds, max_terms=10).fit(train)
    assert "energy_rmse" not in model.cv_results_
    assert np.isfinite(model.cv_results_["mean_error"]).all()


def test_forces_of_rounding_choose_nothing():
    # Symmetry forbids forces in this crystal.
    rng = np.random.default_rng(0)
    train = [bulk("Cu", a=a) for a in np.linspace(3.3, 4.0, 15)]
    energies = [(atoms.get_volume() - 11.8) ** 2 for atoms in train]
    forces = [1e-15 * rng.normal(size=(1, 3)) for _ in train]
    with pytest.warns(UserWarning, match="labels of force do not vary"):
        PLIPRegressorCV("fast", cv=3, max_terms=6).fit(train, energies, forces=forces)


def test_energy_weights_without_energies(silicon_carbide):
    bare, _, forces, _ = separate_labels(silicon_carbide[0][:8])
    with pytest.raises(ValueError, match="energy_weights"):
        PLIPRegressorCV(small_descriptors(), energy_weights=[1.0, 2.0]).fit(bare, forces=forces)


@pytest.mark.parametrize("cv", [ShuffleSplit(3, test_size=2, train_size=2), TimeSeriesSplit(3)])
def test_splits_that_leave_structures_out_of_both_parts(silicon_carbide, cv):
    with pytest.raises(ValueError, match="does not train on all structures outside its test"):
        PLIPRegressorCV(small_descriptors(), cv=cv).fit(silicon_carbide[0][::8])


@pytest.mark.parametrize("cv", [StratifiedKFold(3), StratifiedShuffleSplit(3), RepeatedStratifiedKFold()])
def test_splits_by_class_are_refused_with_a_remedy(silicon_carbide, cv):
    with pytest.raises(ValueError, match=r"StratifiedByGroup$"):
        PLIPRegressorCV(small_descriptors(), cv=cv).fit(silicon_carbide[0][::8])


# Labels that do not vary


def test_cross_validation_of_constant_labels(silicon_carbide):
    bare, _, forces, _ = separate_labels(silicon_carbide[0])
    sizes = np.array([len(atoms) for atoms in bare])
    counts = np.array([(atoms.symbols == "C").sum() for atoms in bare])
    for y in (np.zeros(len(bare)), -5.3 * sizes, -5.3 * sizes - 2.0 * counts):
        with pytest.raises(ValueError, match="nothing to choose"):
            PLIPRegressorCV(small_descriptors(), cv=3).fit(bare, y)
    with pytest.warns(UserWarning, match="labels of energy do not vary"):
        both = PLIPRegressorCV(small_descriptors(), cv=3).fit(bare, -5.3 * sizes, forces=forces)
    assert np.isfinite(both.cv_results_["mean_error"]).all()
    assert both.selected_size_ > 0


def test_cross_validated_path_has_potentials_of_every_size(silicon_carbide):
    train, test = silicon_carbide
    model = PLIPRegressorCV(small_descriptors(), max_terms=12, cv=3).fit(train)
    assert model.potential_at(model.n_terms_) is model.potential_
    single = PLIPRegressor(small_descriptors(), max_terms=12)
    single.fit_normal_equations(model.normal_equations_)
    for size in (2, 9):
        assert model.potential_at(size).energy(test[0]) == pytest.approx(
            single.potential_at(size).energy(test[0]), abs=1e-8 * len(test[0])
        )


@pytest.mark.parametrize(("enough", "expected"), [(0, 4), (7, 7), (14, 14), (15, 4)])
def test_a_larger_model_is_taken_where_crystals_fall(silicon_carbide, monkeypatch, enough, expected):
    """Of the next ten sizes, or else the chosen one."""
    train, _ = silicon_carbide

    def least_slope(crystal, potential):
        return 1.0 if len(potential.terms) >= enough else -1.0

    monkeypatch.setattr("plip.regressor._repulsion.Crystal.least_slope", least_slope)
    monkeypatch.setattr(PLIPRegressorCV, "_choose_size", lambda self, *args: 4)
    model = PLIPRegressorCV(small_descriptors(), max_terms=16, cv=2, solver="omp", alpha=0.0).fit(train[::4])
    assert model.selected_size_ == model.n_terms_ == len(model.potential_.terms) == expected
    assert model.stability_.shape == model.coef_.shape
    assert model.alpha_ == model.path_.alphas[expected]
