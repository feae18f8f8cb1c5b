"""Learning curves: errors against the number of structures, from sums of parts."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from sample_fits import small_descriptors
from sklearn.model_selection import KFold

from plip import PLIPRegressor, PLIPRegressorCV
from plip.cli import main
from plip.metrics import error_summary
from plip.model_selection import LearningCurve, StratifiedByGroup, _learning, learning_curve

OPTIONS = {"solver": "omp", "max_terms": 12, "repulsion": None}


@pytest.fixture(scope="module")
def train():
    from plip.datasets import load_silicon_carbide

    return load_silicon_carbide()[0][::4]


@pytest.fixture(scope="module")
def curve(train):
    return learning_curve(PLIPRegressor(small_descriptors(), **OPTIONS), train, n_folds=4)


def test_errors_are_those_of_separate_fits(train, curve):
    descriptors = small_descriptors().fit(train)
    tests = [test for _, test in StratifiedByGroup(4).split(train)]
    assert curve.sizes.tolist() == [np.mean([len(t) for t in tests]) * count for count in (1, 2, 3)]
    for row, count in enumerate((1, 2, 3)):
        for fold, test in enumerate(tests):
            rows = np.concatenate([np.sort(tests[(fold + 1 + k) % 4]) for k in range(count)])
            # The grids of all data, which a fit to some of them would choose anew.
            model = PLIPRegressor(small_descriptors(species=descriptors.species_), **OPTIONS)
            model.fit([train[k] for k in rows])
            summary = error_summary(model, [train[k] for k in np.sort(test)])
            for target, values in curve.errors.items():
                # 1e-4: sums of parts round differently, and the greedy choice is only as stable as that.
                assert values[row, fold] == pytest.approx(summary[f"{target}_rmse"], rel=1e-4)
            for group, found in summary["groups"].items():
                assert curve.by_group[group]["force"][row, fold] == pytest.approx(
                    found["force_rmse"], rel=1e-4
                )


def test_cells_of_small_numbers_are_apart(curve):
    tiny = {target: 1.234e-6 * values for target, values in curve.errors.items()}
    small = replace(curve, errors=tiny, by_group={"a": tiny})
    for line in str(small).splitlines():
        assert line.count("±") < 2 or all("±" in cell for cell in re.split(" {2,}", line)[-3:])


def test_grids_are_those_of_a_fit():
    """Curves of isolated pairs, which the automatic cutoff follows, count as in a fit."""
    rng = np.random.default_rng(0)
    structures = []
    for k, r in enumerate(np.linspace(2.0, 6.5, 31)):
        atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, r]]) if k % 2 else bulk("Cu", cubic=True)
        atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3)) * (k % 2 == 0)
        attraction = np.exp(2.0 - r) * np.array([[0, 0, 1], [0, 0, -1]])
        forces = attraction if k % 2 else rng.normal(scale=0.1, size=(4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-float(len(atoms)), forces=forces)
        structures.append(atoms)
    model = PLIPRegressor("fast", max_terms=3, stress_weight=0.0)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        sums = _learning.sums_of_parts
        patch.setattr(_learning, "sums_of_parts", lambda *args: found.append(args[1].cutoff_) or sums(*args))
        learning_curve(model, structures, n_folds=3)
    assert found == [model.fit(structures).descriptors_.cutoff_]
    assert found[0] > PLIPRegressor("fast", stress_weight=0.0).fit(structures[::2]).descriptors_.cutoff_


def test_cross_validation_chooses_a_size_for_each_number_of_structures(train):
    model = PLIPRegressorCV(small_descriptors(), solver="omp", max_terms=20, selection="min")
    curve = learning_curve(model, train, groups=["all"] * len(train), n_folds=3)
    assert list(curve.by_group) == ["all"]
    assert (curve.n_terms <= 20).all() and (curve.n_terms >= 1).all()
    np.testing.assert_array_equal(curve.by_group["all"]["force"], curve.errors["force"])
    # The largest size is what cross-validation itself finds with the same folds.
    folds = [
        (np.setdiff1d(np.arange(len(train)), test), test)
        for _, test in StratifiedByGroup(3).split(train, groups=["all"] * len(train))
    ]
    whole = model.set_params(cv=folds).fit(train)
    assert curve.n_terms[-1] == whole.selected_size_
    n_forces = [3 * sum(len(train[k]) for k in test) for _, test in folds]
    pooled = np.sqrt(np.average(curve.errors["force"][-1] ** 2, weights=n_forces))
    assert pooled == pytest.approx(whole.cv_results_["force_rmse"][whole.selected_size_], rel=1e-5)


def test_missing_labels_and_groups(train):
    y = [None, *(atoms.get_potential_energy() for atoms in train[1:])]
    plain = [atoms.copy() for atoms in train]
    for atoms in plain:
        atoms.info.clear()
    forces = [atoms.get_forces() for atoms in train[:-1]] + [None]
    model = PLIPRegressor(small_descriptors(), stress_weight=0.0, **OPTIONS)
    curve = learning_curve(model, plain, y, forces, n_folds=3)
    assert set(curve.errors) == {"energy", "force"} and not curve.by_group
    assert np.isfinite(curve.errors["energy"]).all()


def made(slope, spread=0.0):
    """A curve whose errors follow a power of the number of structures."""
    sizes = np.array([10.0, 20.0, 40.0, 80.0])
    noise = np.random.default_rng(0).normal(scale=spread, size=(4, 10))
    values = {"force": 0.1 * sizes[:, None] ** -slope * np.exp(noise)}
    flat = {"force": np.full((4, 10), 0.1) * np.exp(noise)}
    return LearningCurve(sizes, np.full(4, 30.0), values, {"bulk": flat, "surface": values})


def test_gains_and_summary():
    gain, error = made(0.5).gains()["force"]
    assert gain == pytest.approx(1.0 - 2.0**-0.5) and error == pytest.approx(0.0, abs=1e-12)
    assert made(0.5).gains("bulk")["force"][0] == pytest.approx(0.0, abs=1e-12)
    helps = made(0.5).summary()
    assert helps.startswith("More data would help") and "-29" in helps
    assert "surface (force 29 %)" in helps and "bulk" not in helps
    assert made(0.02).summary().startswith("More data of these kinds would hardly help")
    # A fall within chance is none.
    noisy = made(0.1, spread=1.0)
    assert noisy.gains()["force"][1] > 0.1
    assert noisy.summary().startswith("More data of these kinds would hardly help")


def test_workers_and_repeats_agree(train, curve):
    again = learning_curve(PLIPRegressor(small_descriptors(), n_jobs=2, **OPTIONS), train, n_folds=4)
    for target, values in curve.errors.items():
        np.testing.assert_array_equal(again.errors[target], values)


def test_errors(train):
    model = PLIPRegressor(small_descriptors(), **OPTIONS)
    with pytest.raises(ValueError, match="at least 3 parts"):
        learning_curve(model, train[:2])
    with pytest.raises(ValueError, match="got 2 parts"):
        learning_curve(model, train, n_folds=2)
    with pytest.raises(ValueError, match="one name for each"):
        learning_curve(model, train, groups=["a"])
    with pytest.raises(TypeError, match="PLIPRegressor"):
        learning_curve(KFold(), train)
    with pytest.raises(ValueError, match="precomputed"):
        learning_curve(PLIPRegressor("precomputed"), train)


def test_display(curve):
    pytest.importorskip("matplotlib")
    from plip.inspection import LearningDisplay

    display = LearningDisplay(curve).plot(target="energy")
    assert display.ax_.get_ylabel() == "RMSE of energies (meV/atom)"
    (line,) = display.ax_.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), curve.sizes)
    np.testing.assert_allclose(line.get_ydata(), np.sqrt(np.mean(curve.errors["energy"] ** 2, axis=1)))
    display.plot(by_group=True)
    assert len(display.ax_.get_lines()) == 1 + len(curve.by_group)
    with pytest.raises(ValueError, match="target must be"):
        display.plot(target="virial")


def test_display_from_estimator(train):
    pytest.importorskip("matplotlib")
    from plip.inspection import LearningDisplay

    display = LearningDisplay.from_estimator(PLIPRegressor(small_descriptors(), **OPTIONS), train, n_folds=3)
    assert display.figure_ is display.ax_.figure and len(display.curve.sizes) == 2


def test_command(train, tmp_path, capsys):
    write(tmp_path / "data.xyz", train)
    command = ["learn", str(tmp_path / "data.xyz"), "--terms", "10", "--cv", "3"]
    assert main([*command, "--csv", str(tmp_path / "learn.csv"), "--plot", str(tmp_path / "learn.png")]) == 0
    report = capsys.readouterr().out
    assert "structures  terms" in report and "ore data " in report
    assert (tmp_path / "learn.png").stat().st_size > 10_000
    with open(tmp_path / "learn.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups = {atoms.info["group"] for atoms in train}
    assert {row["group"] for row in rows} == groups | {""}
    first = next(row for row in rows if row["group"] == "" and row["target"] == "force")
    assert float(first["n_structures"]) == pytest.approx(len(train) / 3, abs=0.1)
    assert first["unit"] == "eV/A" and 0.0 < float(first["rmse"]) < 5.0
    assert main([*command[:-1], "2"]) == 2
    assert "at least 3 parts" in capsys.readouterr().err
