"""Fits to labels that are missing, weighted, contradictory or predicted."""

import contextlib
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from sample_fits import partly_labeled, separate_labels, small_descriptors
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_score,
)
from sklearn.preprocessing import StandardScaler

from plip import NormalEquations, PLIPRegressor, PLIPRegressorCV
from plip.labels import LabelWarning, read_labels
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.report import Evaluation


@pytest.fixture(scope="module")
def fitted(silicon_carbide):
    return PLIPRegressor(small_descriptors()).fit(silicon_carbide[0])


def as_arguments(structures):
    """Bare structures, and their labels with None where there is none."""
    results = [atoms.calc.results for atoms in structures]
    labels = {
        name: [result.get(key) for result in results]
        for name, key in (("y", "energy"), ("forces", "forces"), ("stress", "stress"))
    }
    return [atoms.copy() for atoms in structures], labels


def test_labels_of_some_structures_only(silicon_carbide):
    """What is attached, what is passed, a generator, batches and single targets all give the same fit."""
    partial = partly_labeled(silicon_carbide[0])
    options = {"descriptors": small_descriptors(species=("C", "Si")), "solver": "ridge", "alpha": 1e-6}
    model = PLIPRegressor(stress_weight=2.0, **options).fit(partial)
    bare, labels = as_arguments(partial)
    given = PLIPRegressor(stress_weight=2.0, **options).fit(bare, **labels)
    np.testing.assert_array_equal(given.coef_, model.coef_)
    y = np.array(labels["y"], dtype=object)
    np.testing.assert_array_equal(
        PLIPRegressor(stress_weight=2.0, **options).fit(bare, **{**labels, "y": y}).coef_, model.coef_
    )
    np.testing.assert_array_equal(
        PLIPRegressor(stress_weight=2.0, **options).fit(iter(partial)).coef_, model.coef_
    )
    batches = PLIPRegressor(stress_weight=2.0, **options)
    with pytest.warns(UserWarning, match="no energy was fitted"):
        batches.partial_fit(partial[:1])
    for batch in (partial[1:2], partial[2:9], partial[9:]):
        batches.partial_fit(batch)
    np.testing.assert_allclose(batches.predict(bare), model.predict(bare), rtol=1e-7)
    rows = model.normal_equations_.n_rows
    assert rows["energy"] == sum("energy" in atoms.calc.results for atoms in partial)
    assert rows["force"] == 3 * sum(len(atoms) for atoms in partial if "forces" in atoms.calc.results)
    # Cut up into sets that have one kind of label each, they are the same data.
    sets = []
    for name in ("energy", "forces", "stress"):
        for atoms in partial:
            if name in atoms.calc.results:
                sets.append(atoms.copy())
                sets[-1].calc = SinglePointCalculator(sets[-1], **{name: atoms.calc.results[name]})
    cut = PLIPRegressor(stress_weight=2.0, **options).fit(sets)
    np.testing.assert_allclose(cut.predict(bare), model.predict(bare), rtol=1e-7)


def test_scores_where_some_labels_are_missing(silicon_carbide, fitted):
    test = partly_labeled(silicon_carbide[1])
    with_energy = [atoms for atoms in test if "energy" in atoms.calc.results]
    with_forces = [atoms for atoms in test if "forces" in atoms.calc.results]
    energies = [atoms.calc.results["energy"] for atoms in with_energy]
    forces = [atoms.calc.results["forces"] for atoms in with_forces]
    bare, labels = as_arguments(test)
    del labels["stress"]
    parts = [
        fitted.score([atoms.copy() for atoms in with_energy], energies),
        fitted.score([atoms.copy() for atoms in with_forces], forces=forces),
    ]
    assert fitted.score(test) == pytest.approx(np.mean(parts), rel=1e-12)
    assert fitted.score(bare, **labels) == pytest.approx(np.mean(parts), rel=1e-12)
    sizes = np.array([len(atoms) for atoms in with_energy])
    errors = (fitted.predict(with_energy) - energies) / sizes
    assert neg_energy_rmse(fitted, test) == pytest.approx(-np.sqrt(np.mean(errors**2)), rel=1e-12)
    errors = np.concatenate(fitted.predict_forces(with_forces)) - np.concatenate(forces)
    assert neg_force_rmse(fitted, bare, forces=labels["forces"]) == pytest.approx(
        -np.sqrt(np.mean(errors**2)), rel=1e-12
    )
    found = Evaluation(fitted.potential_, test)
    assert found.n_labels["energy"] == len(with_energy)
    assert found.n_labels["force"] == 3 * sum(len(atoms) for atoms in with_forces)
    assert found.errors()["force_rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-12)
    np.testing.assert_allclose(found.parity("force")[0], np.concatenate(forces).ravel())


def test_searches_where_some_labels_are_missing(silicon_carbide):
    partial = partly_labeled(silicon_carbide[0])
    bare, labels = as_arguments(partial)
    model = PLIPRegressor(small_descriptors(), max_terms=10)
    search = GridSearchCV(model, {"max_terms": [5, 10]}, cv=3, error_score="raise")
    attached = search.fit(partial).cv_results_["mean_test_score"]
    del labels["stress"]
    assert np.isfinite(attached).all()
    # Scores see y alone, so that forces must be attached.
    np.testing.assert_array_equal(search.fit(partial, labels["y"]).cv_results_["mean_test_score"], attached)
    assert np.isfinite(cross_val_score(model, partial, cv=3, scoring=neg_force_rmse)).all()


# Weights and labels


@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
@pytest.mark.parametrize(
    ("name", "kept"),
    [("stress_weight", ("energy", "forces")), ("energy_weight", ("forces",)), ("force_weight", ("energy",))],
)
def test_a_weight_set_without_a_label(silicon_carbide, estimator, name, kept):
    train = [atoms.copy() for atoms in silicon_carbide[0][:8]]
    for atoms, source in zip(train, silicon_carbide[0], strict=False):
        atoms.calc = SinglePointCalculator(atoms, **{key: source.calc.results[key] for key in kept})
    model = estimator(small_descriptors(), max_terms=5)
    lacks_energies = name == "energy_weight"
    with pytest.warns(match="no energy was fitted") if lacks_energies else contextlib.nullcontext():
        model.fit(train)
    # A default says nothing of what the user wants.
    model.set_params(**{name: 2.5})
    with pytest.raises(ValueError, match=f"{name} is 2.5, but no structure has"):
        model.fit(train)
    if estimator is PLIPRegressor:
        with pytest.raises(ValueError, match=f"{name} is 2.5, but no structure has"):
            model.fit(iter(train))
        equations = NormalEquations.from_structures(train, small_descriptors())
        with pytest.raises(ValueError, match=f"{name} is 2.5, but no structure has"):
            model.fit_normal_equations(equations)


def test_labels_under_other_names_are_no_secret(silicon_carbide):
    train = [atoms.copy() for atoms in silicon_carbide[0][:8]]
    for atoms, source in zip(train, silicon_carbide[0], strict=False):
        results = source.calc.results
        atoms.arrays["force"] = results["forces"]
        atoms.info["virial"] = -results["stress"] * atoms.get_volume()
        atoms.calc = SinglePointCalculator(atoms, energy=results["energy"])
    for estimator in (PLIPRegressor, PLIPRegressorCV):
        with pytest.warns(UserWarning, match=r"arrays\['force'\].*info\['virial'\]"):
            estimator(small_descriptors(), max_terms=5).fit(train)


def test_keys_without_a_value_swallow_no_label_silently(silicon_carbide, tmp_path):
    """ASE writes an empty text as a key without a value."""
    train = [atoms.copy() for atoms in silicon_carbide[0][:8]]
    for atoms, source in zip(train, silicon_carbide[0], strict=False):
        atoms.info = {"note": "E = energy=1", "comment": ""}
        atoms.calc = source.calc
    write(tmp_path / "train.xyz", train)
    found = read(tmp_path / "train.xyz", ":")
    message = (
        r"structure 0 \(C4Si4\) and 7 others: info\['comment'\] is 'energy=-53.*nothing after 'comment='"
    )
    with pytest.warns(LabelWarning, match=message):
        read_labels(found)
    # The periodicity of a molecule.
    molecule = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]], cell=[9, 9, 9], info={"comment": ""})
    write(tmp_path / "molecule.xyz", molecule)
    with pytest.warns(LabelWarning, match="info.'comment'. is 'pbc=F F F'"):
        read_labels([read(tmp_path / "molecule.xyz")], y=[-1.0])
    for atoms in train:
        atoms.info["comment"] = "encut=500"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        read_labels(train)


def test_scaled_energies_contradict_attached_forces(silicon_carbide):
    train = silicon_carbide[0][:12]
    bare, y, _, _ = separate_labels(train)
    scaled = TransformedTargetRegressor(
        PLIPRegressor(small_descriptors(), max_terms=5), transformer=StandardScaler()
    )
    with pytest.warns(UserWarning, match="TransformedTargetRegressor"):
        scaled.fit(train, y)
    # Energies alone are scaled as well as anything.
    assert np.isfinite(scaled.fit(bare, y).predict(bare)).all()


@pytest.mark.filterwarnings("ignore:labels and predictions agree")
def test_scores_against_predictions_warn(fitted, silicon_carbide):
    frames = [atoms.copy() for atoms in silicon_carbide[1][:3]]
    for atoms in frames:
        atoms.calc = fitted.potential_.calculator()
        atoms.get_forces()
    with pytest.warns(UserWarning, match="computed by a potential of plip"):
        assert fitted.score(frames) == pytest.approx(1.0)
    with pytest.warns(UserWarning, match="computed by a potential of plip"):
        neg_force_rmse(fitted, frames)
    with pytest.warns(UserWarning, match="computed by a potential of plip"):
        Evaluation(fitted.potential_, frames)


def test_evaluations_of_predictions_from_a_file_warn(fitted, silicon_carbide, tmp_path):
    """The file does not say who computed the labels, but they agree in all its digits."""
    frames = [atoms.copy() for atoms in silicon_carbide[1][:3]]
    for atoms in frames:
        atoms.calc = fitted.potential_.calculator()
        atoms.get_stress()
    write(tmp_path / "run.xyz", frames)
    with pytest.warns(UserWarning, match="agree in all digits"):
        Evaluation(fitted.potential_, read(tmp_path / "run.xyz", ":"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Evaluation(fitted.potential_, silicon_carbide[1])


@pytest.mark.parametrize(
    "values",
    [
        np.ma.masked_equal([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 4.0),
        np.array([[1.0, "2.0"], [3.0, 4.0], [5.0, 6.0]], dtype=object),
        np.array([[True, False], [True, True], [False, False]]),
        [[1.0, 2.0], [3.0, True], [5.0, 6.0]],
    ],
)
def test_precomputed_arrays_say_nothing_beside_their_numbers(values):
    X, y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]]), np.array([1.0, 2.0, 4.0])
    column = [row[0] if isinstance(row[0], str) else row[1] for row in values]
    if isinstance(values, np.ndarray):
        column = values.ravel()[[0, 1, 3]]
    model = PLIPRegressor("precomputed").fit(X, y)
    for call in (
        lambda: model.fit(values, y),
        lambda: model.fit(X, column),
        lambda: model.fit(X, y, sample_weight=column),
        lambda: model.partial_fit(values, y),
        lambda: model.predict(values),
        lambda: model.score(X, column),
        lambda: model.score(X, y, sample_weight=column),
    ):
        with pytest.raises(ValueError, match="masked|real numbers"):
            call()
