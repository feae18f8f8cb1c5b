"""Errors, R^2 and scorers."""

import pickle

import numpy as np
import pytest
import sklearn
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa
from sample_fits import small_descriptors
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

from plip import PLIPDescriptors, PLIPRegressor, Potential
from plip.labels import Labels, read_labels
from plip.metrics import (
    UNITS,
    Evaluation,
    cancellation,
    coverage,
    energy_r2,
    error_summary,
    errors,
    force_r2,
    neg_energy_rmse,
    neg_force_rmse,
    read_groups,
    score,
)

STRESS = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])


def structures(n=12):
    """Silicon and carbide cells of different sizes without labels."""
    X = []
    for index in range(n):
        atoms = bulk("Si", cubic=True) if index % 2 else bulk("SiC", "zincblende", a=4.4, cubic=True)
        atoms = atoms * (1, 1, 1 + index % 3)
        atoms.rattle(0.1, seed=index)
        X.append(atoms)
    return X


def true_labels(X):
    rng = np.random.default_rng(0)
    y = np.array([-4.0 * len(atoms) for atoms in X]) + rng.normal(size=len(X))
    return y, [rng.normal(size=(len(atoms), 3)) for atoms in X]


def attach(X, y, forces, stress=None):
    for index, atoms in enumerate(X):
        atoms.calc = SinglePointCalculator(
            atoms, energy=y[index], forces=forces[index], stress=None if stress is None else stress[index]
        )
    return X


class Constant(BaseEstimator):
    """Predicts `energy` per atom and `force` for every component, and notes what fit was given."""

    def __init__(self, energy=-4.0, force=0.0):
        self.energy = energy
        self.force = force

    def fit(self, X, y=None, forces=None, sample_weight=None):
        self.had_forces_ = forces is not None
        return self

    def predict(self, X):
        return np.array([self.energy * len(atoms) for atoms in X])

    def predict_forces(self, X):
        return [np.full((len(atoms), 3), self.force) for atoms in X]

    def predict_stress(self, X):
        return np.tile(STRESS, (len(X), 1))


def constant_potential():
    """A potential without terms: its energies are those of `Constant`, its forces and stresses zero."""
    descriptors = PLIPDescriptors(cutoff=3.0).fit(structures(2))
    return Potential(descriptors, np.zeros(len(descriptors.terms_)), {"C": -4.0, "Si": -4.0})


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# --- R^2 ---


def test_energy_r2_of_one_composition_is_the_usual_one():
    rng = np.random.default_rng(0)
    y_true, weight = rng.normal(size=20), rng.random(20)
    y_pred = y_true + 0.3 * rng.normal(size=20)
    n_atoms = np.full((20, 1), 5)
    for w in (None, weight):
        # 1e-10: the same sums in another order.
        assert energy_r2(5 * y_true, 5 * y_pred, n_atoms, w) == pytest.approx(
            r2_score(y_true, y_pred, sample_weight=w), abs=1e-10
        )


def test_energy_r2_is_about_the_best_reference_energies():
    rng = np.random.default_rng(1)
    composition = rng.integers(0, 9, (30, 3)) + [1, 0, 0]
    n_atoms = composition.sum(axis=1)
    weight = rng.random(30)
    e0 = np.array([-5.0, -9.0, 3.0])
    y_true = composition @ e0 + n_atoms * rng.normal(size=30)
    design = composition / n_atoms[:, None]
    e = y_true / n_atoms
    # Normal equations, which the implementation does not use.
    best = np.linalg.solve(design.T * weight @ design, design.T * weight @ e)
    assert energy_r2(y_true, composition @ best, composition, weight) == pytest.approx(0, abs=1e-10)
    # Reference energies do not improve the score: any shift of them leaves the R^2 of a perfect shape.
    y_pred = y_true + n_atoms * rng.normal(scale=0.1, size=30)
    shifted = energy_r2(y_true + composition @ e0, y_pred + composition @ e0, composition, weight)
    assert shifted == pytest.approx(energy_r2(y_true, y_pred, composition, weight), abs=1e-10)


def test_energy_r2_where_compositions_do_not_tell_species_apart():
    rng = np.random.default_rng(2)
    y_true = rng.normal(size=10)
    y_pred = y_true + 0.1 * rng.normal(size=10)
    stoichiometric = np.tile([1, 2], (10, 1))
    assert energy_r2(3 * y_true, 3 * y_pred, stoichiometric) == pytest.approx(
        r2_score(y_true, y_pred), abs=1e-10
    )


def test_energy_r2_ignores_structures_without_weight():
    rng = np.random.default_rng(3)
    composition = rng.integers(1, 9, (10, 2))
    y_true, y_pred = rng.normal(size=10), rng.normal(size=10)
    weight = np.repeat([1.0, 0.0], 5)
    assert energy_r2(y_true, y_pred, composition, weight) == pytest.approx(
        energy_r2(y_true[:5], y_pred[:5], composition[:5]), abs=1e-10
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_energy_r2_without_variance_follows_scikit_learn(scale):
    """0.1 is no binary fraction and the least-squares fit rounds: neither may pass for variance."""
    composition = np.random.default_rng(4).integers(1, 9, (10, 2))
    y_true = composition @ [0.1, 0.7] * scale
    assert energy_r2(y_true, y_true, composition) == 1.0
    assert energy_r2(y_true, y_true + 0.01, composition) == 0.0
    assert r2_score([0.1, 0.1], [0.1, 0.1]) == 1.0
    assert r2_score([0.1, 0.1], [0.1, 0.2]) == 0.0


def test_energy_r2_of_one_structure_is_undefined():
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(energy_r2([1.0], [1.0], [[4]]))


def test_force_r2_is_about_zero():
    rng = np.random.default_rng(0)
    true = [rng.normal(size=(n, 3)) + 1 for n in (1, 4, 7)]
    assert force_r2(true, true) == 1.0
    assert force_r2(true, [0 * f for f in true]) == 0.0
    assert force_r2(true, [2 * f for f in true]) == pytest.approx(0.0, abs=1e-14)
    assert force_r2(true, [0.9 * f for f in true]) == pytest.approx(0.99, abs=1e-14)
    # The weight of a structure counts every component of it: twice is the same as two copies.
    wrong = [0.5 * true[0], true[1], 0.8 * true[2]]
    assert force_r2(true, wrong, [2, 1, 0]) == pytest.approx(
        force_r2([true[0], *true[:2]], [wrong[0], *wrong[:2]]), abs=1e-14
    )
    zeros = [np.zeros((3, 3))]
    assert force_r2(zeros, zeros) == 1.0
    # Symmetry cancels forces but for rounding.
    rounding = [f + 1e-14 for f in zeros]
    assert force_r2(rounding, zeros) == force_r2(zeros, rounding) == 1.0
    assert force_r2(zeros, [np.ones((3, 3))]) == 0.0


def test_score_is_the_mean_over_targets_present():
    X = structures()
    y, forces = true_labels(X)
    rng = np.random.default_rng(1)
    weight = rng.random(len(X))
    predicted = Labels(y + rng.normal(size=len(X)), [0.9 * f for f in forces], None, np.ones(len(X)))
    composition = [[(atoms.numbers == z).sum() for z in (6, 14)] for atoms in X]
    r2_energy = energy_r2(y, predicted.energy, composition, weight)
    r2_force = force_r2(forces, predicted.forces, weight)
    assert score(X, Labels(y, None, None, weight), predicted) == pytest.approx(r2_energy)
    assert score(X, Labels(None, forces, None, weight), predicted) == pytest.approx(r2_force)
    assert score(X, Labels(y, forces, None, weight), predicted) == pytest.approx((r2_energy + r2_force) / 2)
    with pytest.raises(ValueError, match="no energies or forces to score"):
        score(X, Labels(None, None, np.zeros((12, 6)), weight), predicted)


def test_score_of_one_structure_is_that_of_its_forces():
    X = structures(1)
    y, forces = true_labels(X)
    predicted = Labels(y, [0.9 * f for f in forces], None, np.ones(1))
    with pytest.warns(UndefinedMetricWarning):
        assert score(X, Labels(y, forces, None, np.ones(1)), predicted) == pytest.approx(0.99)
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(score(X, Labels(y, None, None, np.ones(1)), predicted))


# --- errors ---


def test_evaluations_of_estimators_are_those_of_their_potentials(silicon_carbide):
    train, test = silicon_carbide
    model = PLIPRegressor(small_descriptors(), max_terms=8).fit(train[::3])
    of_model, of_potential = Evaluation(model, test), Evaluation(model.potential_, test)
    assert of_model.potential is model.potential_
    assert of_model.summary() == of_potential.summary()
    assert of_model.uncertainty() == of_potential.uncertainty()


def test_errors_by_hand():
    reference = Labels(
        energy=np.array([2.0, 9.0]),
        forces=[np.zeros((1, 3)), np.zeros((3, 3))],
        stress=np.array([np.zeros(6), np.full(6, np.nan)]),
        sample_weight=np.array([1.0, 7.0]),
    )
    predicted = Labels(
        energy=np.array([3.0, 6.0]),
        forces=[np.full((1, 3), 2.0), np.eye(3)],
        stress=np.array([np.full(6, -3 * GPa), np.full(6, np.nan)]),
        sample_weight=None,
    )
    expected = {
        "n_structures": 2,
        "n_atoms": 4,
        "n_stresses": 1,
        # 1 eV of one atom, 1 eV per atom of three.
        "energy_rmse": 1000,
        "energy_mae": 1000,
        # Components: 2, 2, 2, 1, 1, 1 and six zeros.
        "force_rmse": np.sqrt(15 / 12),
        "force_mae": 9 / 12,
        "stress_rmse": 3,
        "stress_mae": 3,
    }
    assert errors(predicted, reference, [1, 3]) == pytest.approx(expected)
    assert UNITS == {"energy": "meV/atom", "force": "eV/A", "stress": "GPa"}


@pytest.mark.parametrize("target", ["energy", "forces", "stress"])
def test_errors_of_absent_targets_are_left_out(target):
    X = structures(3)
    y, forces = true_labels(X)
    everything = Labels(y, forces, np.tile(STRESS, (3, 1)), np.ones(3))
    values = {name: None for name in ("energy", "forces", "stress")} | {target: getattr(everything, target)}
    found = errors(everything, Labels(**values, sample_weight=np.ones(3)), [len(atoms) for atoms in X])
    name = "force" if target == "forces" else target
    assert found[f"{name}_rmse"] == found[f"{name}_mae"] == 0
    assert {key.split("_")[0] for key in found} <= {"n", name}


def test_groups_of_structures():
    X = [bulk("Si") for _ in range(4)]
    assert read_groups(X) is None
    X[0].info.update(group="bulk", config_type="other")
    X[1].info.update(config_type=7, kind="a")
    X[2].info.update(group=None)
    assert read_groups(X).tolist() == ["bulk", "7", "(no group)", "(no group)"]
    assert read_groups(X, "kind").tolist() == ["(no group)", "a", "(no group)", "(no group)"]
    assert read_groups(X, "missing") is None


@pytest.mark.parametrize("container", [list, tuple, np.array, lambda names: np.array(names, object)])
def test_groups_that_are_given(container):
    X = structures()
    attach(X, *true_labels(X))
    names = ["bulk" if index < 4 else "surface" for index in range(len(X))]
    evaluation = Evaluation(constant_potential(), X, container(names))
    assert evaluation.errors("bulk")["n_structures"] == 4
    assert evaluation.summary()["groups"]["surface"]["n_structures"] == len(X) - 4
    with pytest.raises(ValueError, match="one name per structure"):
        Evaluation(constant_potential(), X, container(names[1:]))


@pytest.mark.parametrize(
    "model, stress",
    [(Constant(), STRESS), (constant_potential(), np.zeros(6))],
    ids=["regressor", "potential"],
)
def test_error_summary_by_group(model, stress):
    X = structures()
    y, forces = true_labels(X)
    attach(X, y, forces, stress=[stress + GPa] * len(X))
    for index, atoms in enumerate(X[:10]):
        atoms.info["group"] = "bulk" if index < 4 else "surface"
    summary = error_summary(model, X)
    assert list(summary["groups"]) == ["(no group)", "bulk", "surface"]
    assert summary["n_structures"] == 12
    assert [part["n_structures"] for part in summary["groups"].values()] == [2, 4, 6]
    assert summary["stress_rmse"] == pytest.approx(1)
    e = np.array([(y[i] + 4.0 * len(atoms)) / len(atoms) for i, atoms in enumerate(X)])
    for part, rows in ((summary, slice(None)), (summary["groups"]["bulk"], slice(0, 4))):
        assert part["energy_rmse"] == pytest.approx(1e3 * np.sqrt(np.mean(e[rows] ** 2)))
        assert part["force_mae"] == pytest.approx(np.abs(np.concatenate(forces[rows])).mean())
    # Squares add up over the groups.
    total = sum(part["n_atoms"] * part["force_rmse"] ** 2 for part in summary["groups"].values())
    assert summary["n_atoms"] * summary["force_rmse"] ** 2 == pytest.approx(total)
    for atoms in X:
        atoms.info.clear()
    assert "groups" not in error_summary(model, X, read_labels(X))


# --- scorers ---


def test_scorers_by_hand():
    X = structures(3)
    y, forces = true_labels(X)
    weight = [1.0, 0.0, 2.0]
    n_atoms = np.array([len(atoms) for atoms in X])
    deviation = y / n_atoms + 4.0
    for given in ({"y": y}, {}):
        model = Constant()
        if not given:
            attach(X, y, forces)
        assert neg_energy_rmse(model, X, **given) == pytest.approx(-np.sqrt(np.mean(deviation**2)))
        assert neg_energy_rmse(model, X, sample_weight=weight, **given) == pytest.approx(
            -np.sqrt(np.average(deviation**2, weights=weight))
        )
    expected = -np.sqrt(np.mean(np.concatenate(forces) ** 2))
    assert neg_force_rmse(Constant(), X) == pytest.approx(expected)
    assert neg_force_rmse(Constant(), X, y) == pytest.approx(expected)
    others = [np.ones_like(f) for f in forces]
    assert neg_force_rmse(Constant(), X, y, forces=others) == pytest.approx(-1)
    assert neg_force_rmse(Constant(), X, sample_weight=[0, 1, 0]) == pytest.approx(
        -np.sqrt(np.mean(forces[1] ** 2))
    )


def test_scorers_without_reference_values():
    X = structures(3)
    with pytest.raises(ValueError, match="no energies to score"):
        neg_energy_rmse(Constant(), X)
    with pytest.raises(ValueError, match="no forces to score"):
        neg_force_rmse(Constant(), X, y=np.zeros(3))
    with pytest.raises(TypeError, match="single Atoms"):
        neg_energy_rmse(Constant(), X[0])


def test_model_selection_with_attached_labels():
    X = structures()
    attach(X, *true_labels(X))
    found = cross_validate(
        Constant(), X, scoring={"energy": neg_energy_rmse, "force": neg_force_rmse}, cv=3, error_score="raise"
    )
    assert found["test_energy"].shape == found["test_force"].shape == (3,)
    assert (found["test_force"] < 0).all()
    assert cross_val_score(Constant(), X, scoring=neg_force_rmse, cv=3) == pytest.approx(found["test_force"])


def test_grid_search_hands_on_y_but_not_forces():
    X = structures()
    y, forces = true_labels(X)
    search = GridSearchCV(Constant(), {"energy": [-3.0, -4.0, -5.0]}, scoring=neg_energy_rmse, cv=3)
    search.fit(X, y, forces=forces)
    assert search.best_params_ == {"energy": -4.0}
    assert search.best_estimator_.had_forces_
    search = GridSearchCV(Constant(), {"force": [0.0]}, scoring=neg_force_rmse, cv=3, error_score="raise")
    with pytest.raises(ValueError, match="no forces to score"):
        search.fit(X, y, forces=forces)


def test_grid_search_routes_forces_to_the_scorer(routing):
    X = structures()
    y, forces = true_labels(X)
    model = Constant().set_fit_request(forces=True, sample_weight=True)
    scorer = neg_force_rmse.set_score_request(forces=True, sample_weight="importance")
    weight = np.arange(1.0, 13.0)
    search = GridSearchCV(model, {"force": [0.0, 1.0]}, scoring=scorer, cv=3, error_score="raise")
    search.fit(X, y, forces=forces, sample_weight=np.ones(12), importance=weight)
    assert search.best_params_ == {"force": 0.0}
    rows = np.arange(4)
    expected = neg_force_rmse(Constant(), X[:4], forces=forces[:4], sample_weight=weight[rows])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected)
    unasked = neg_energy_rmse.set_score_request(forces=False, sample_weight=False)
    found = cross_validate(
        model,
        X,
        y,
        scoring={"energy": unasked, "force": scorer},
        cv=3,
        params={"forces": forces, "sample_weight": np.ones(12), "importance": weight},
        error_score="raise",
    )
    splits = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    assert found["test_force"] == pytest.approx(splits)


def test_routing_asks_before_dropping_metadata(routing):
    X = structures()
    y, forces = true_labels(X)
    model = Constant().set_fit_request(forces=True)
    with pytest.raises(ValueError, match=r"forces.* not explicitly set"):
        cross_validate(model, X, y, scoring=neg_force_rmse, params={"forces": forces})


def test_score_requests_make_a_copy(routing):
    scorer = neg_force_rmse.set_score_request(forces=True)
    assert scorer is not neg_force_rmse
    assert scorer.get_metadata_routing().score.requests["forces"] is True
    assert neg_force_rmse.get_metadata_routing().score.requests["forces"] is None
    assert pickle.loads(pickle.dumps(scorer)).get_metadata_routing().score.requests["forces"] is True
    with pytest.raises(TypeError, match="not charges"):
        scorer.set_score_request(charges=True)


def test_score_requests_need_routing():
    with pytest.raises(RuntimeError, match="enable metadata routing"):
        neg_force_rmse.set_score_request(forces=True)


def test_scorers_survive_clone_and_pickle():
    X = structures()
    y, _ = true_labels(X)
    search = GridSearchCV(Constant(), {"energy": [-4.0, -5.0]}, scoring=neg_energy_rmse, cv=2)
    search = pickle.loads(pickle.dumps(clone(search)))
    assert search.fit(X, y).best_params_ == {"energy": -4.0}
    assert repr(neg_energy_rmse) == "neg_energy_rmse"


def test_molecules():
    X = [molecule("H2O"), molecule("CH4")]
    assert neg_force_rmse(Constant(force=1.0), X, forces=[np.full((3, 3), 2.0), np.zeros((5, 3))]) == -1.0


def test_cancellation_is_that_of_the_columns():
    structures = [
        bulk("Cu", cubic=True),
        bulk("Cu", a=3.4, cubic=True),
        Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]]),
    ]
    descriptors = PLIPDescriptors.preset("accurate", cutoff=3.5).fit(structures)
    rng = np.random.default_rng(0)
    coef = np.where(rng.random(len(descriptors.terms_)) < 0.2, rng.normal(size=len(descriptors.terms_)), 0.0)
    parts = coef * descriptors.transform(structures)
    expected = np.abs(parts).sum(axis=1) / np.abs(parts.sum(axis=1))
    found = cancellation(Potential(descriptors, coef, {"Cu": -3.0}), structures)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (found >= 1).all()


# --- coverage ---


def test_coverage_by_hand():
    forces = [np.array([[0.0, 1.0, -2.0]]), np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 0.5]])]
    zeros = [np.zeros_like(part) for part in forces]
    ones = [np.ones_like(part) for part in forces]
    # 1.645 standard deviations hold all but -2 and 3; one holds 0.6827 of a normal distribution.
    assert coverage(forces, zeros, ones) == pytest.approx(7 / 9)
    assert coverage(forces, zeros, ones, level=0.6827) == pytest.approx(7 / 9)
    assert coverage(forces, zeros, ones, level=0.6826) == pytest.approx(6 / 9)
    assert coverage([1.0, 5.0, np.nan, 2.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, np.nan]) == 0.5
    assert np.isnan(coverage([1.0], [1.0], [np.nan])) and np.isnan(coverage([], [], []))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_coverage_of_a_normal_distribution_is_the_level(level):
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 3.0, 100_000)
    true = rng.normal(size=100_000)
    assert coverage(true, true + std * rng.normal(size=100_000), std, level) == pytest.approx(
        level, abs=0.005
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0], [1.0]), "2 reference values, 1 predictions and 1 standard"),
        (([1.0], [1.0], [-1.0]), "negative"),
        (([1.0], [1.0], [1.0], 1.0), "between 0 and 1"),
        (([1.0], [1.0], [1.0], "0.9"), "between 0 and 1"),
    ],
)
def test_coverage_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        coverage(*arguments)


def test_cancellation_without_terms_is_undefined():
    descriptors = PLIPDescriptors.preset("fast", cutoff=3.5).fit([bulk("Cu")])
    nothing = np.zeros(len(descriptors.terms_))
    assert np.isnan(cancellation(Potential(descriptors, nothing, {"Cu": 0.0}), [bulk("Cu")])).all()
    nothing[0] = 1.0
    lone = Atoms("Cu", cell=[20, 20, 20])
    assert np.isnan(cancellation(Potential(descriptors, nothing, {"Cu": 0.0}), [lone])).all()
