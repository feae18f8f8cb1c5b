"""Standard deviations and extrapolation grades: formulas written anew, symmetries, coverage, files."""

import copy
import json
import pickle
import re
import runpy
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from sample_fits import small_descriptors

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV, load_potential
from plip._design._rows import Design
from plip.calculator import ExtrapolationError, ExtrapolationObserver
from plip.labels import LabelledStructures
from plip.potential._uncertainty import as_in_a_file
from plip.regressor import _unseen
from plip.regressor._precision import coefficient_precision, factor_of

# Half the width of an interval that holds 90 % of a normal distribution.
WIDTH = 1.6449


def fitted(structures, **settings):
    defaults = {"max_terms": 12, "solver": "omp", "contribution_penalty": 0.0, "repulsion": None}
    return PLIPRegressor(small_descriptors(), **(defaults | settings)).fit(structures)


@pytest.fixture(scope="module")
def model(silicon_carbide):
    return fitted(silicon_carbide[0])


def rows_of(model, atoms):
    """Energy and force rows of the kept terms."""
    energy, forces, _ = model.descriptors_.design_rows(atoms, forces=True, virial=False)
    kept = np.flatnonzero(model.coef_)
    return energy[kept], forces[:, kept]


def terms_of_atoms(potential, atoms):
    """Terms of each atom, from the energies of potentials of one term each."""
    parts = potential.partition(atoms, by="term")
    return np.array([parts[term.name]["energies"] / w for term, w in potential.terms]).T


# ------------------------------------------------------------------------------
# Extrapolation grades
# ------------------------------------------------------------------------------


def test_grades_are_leverages_of_atoms_over_the_largest(model, silicon_carbide):
    train, test = silicon_carbide
    potential = model.potential_
    shares = {k: terms_of_atoms(potential, atoms) for k, atoms in enumerate(train)}
    gram = sum(values.T @ values for values in shares.values())
    scale = np.sqrt(np.diagonal(gram))
    inverse = np.linalg.inv(gram / np.outer(scale, scale) + 1e-10 * np.eye(len(scale)))

    def leverages(values):
        return np.einsum("ij,jk,ik->i", values / scale, inverse, values / scale)

    symbols = np.concatenate([np.array(atoms.get_chemical_symbols()) for atoms in train])
    of_train = np.concatenate([leverages(values) for values in shares.values()])
    largest = {symbol: of_train[symbols == symbol].max() for symbol in potential.species}
    for atoms in test[:5]:
        expected = leverages(terms_of_atoms(potential, atoms)) / [largest[s] for s in atoms.symbols]
        grades = potential.evaluate(atoms, uncertainty=True)["extrapolation"]
        np.testing.assert_allclose(grades, np.maximum(expected, (grades > 1) * grades), rtol=1e-4)


def test_no_atom_of_the_data_is_an_extrapolation(model, silicon_carbide):
    train = silicon_carbide[0]
    found = [model.potential_.evaluate(atoms, uncertainty=True)["extrapolation"] for atoms in train]
    symbols = np.concatenate([np.array(atoms.get_chemical_symbols()) for atoms in train])
    grades = np.concatenate(found)
    assert grades.max() <= 1.0
    for symbol in ("C", "Si"):
        assert grades[symbols == symbol].max() == pytest.approx(1.0, abs=1e-6)


def test_what_is_far_from_the_data_has_large_grades(model, silicon_carbide):
    crystal = silicon_carbide[0][0]
    squeezed = crystal.copy()
    squeezed.set_cell(0.7 * squeezed.cell, scale_atoms=True)
    assert model.potential_.evaluate(squeezed, uncertainty=True)["extrapolation"].min() > 1.0
    # Nothing is known of a pair that is closer than in the data.
    shortest = model.potential_.uncertainty.shortest_distances["C", "Si"]
    pair = Atoms("SiC", [[0, 0, 0], [0, 0, 0.5 * shortest]])
    assert model.potential_.evaluate(pair, uncertainty=True)["extrapolation"].min() >= 2.0 - 1e-9
    assert model.potential_.evaluate(Atoms("Si"), uncertainty=True)["extrapolation"][0] == 0.0


# ------------------------------------------------------------------------------
# Standard deviations
# ------------------------------------------------------------------------------


def test_deviations_are_leverages_times_errors_of_similar_atoms(model, silicon_carbide):
    atoms = silicon_carbide[1][3]
    potential, known = model.potential_, model.potential_.uncertainty
    energy, forces = rows_of(model, atoms)
    matrix = known.covariance_factor @ known.covariance_factor.T
    scale = np.sqrt(np.diagonal(matrix))
    covariance = np.linalg.inv(matrix / np.outer(scale, scale)) / np.outer(scale, scale)
    # Rows without reference energies: the rest of a covariance does not change.
    of_terms = covariance[2:, 2:]
    of_forces = np.einsum("ij,jk,ik->i", forces, of_terms, forces).reshape(-1, 3).mean(axis=1)
    counts = np.array([(np.array(atoms.get_chemical_symbols()) == s).sum() for s in potential.species])
    row = np.append(counts, energy) / len(atoms)
    shares = terms_of_atoms(potential, atoms)

    def near(references, values):
        """Weighted means by hand, of 16 neighbors, larger where the eighth of them is far."""
        found = []
        for place in values @ references.axes:
            distance = np.linalg.norm(references.points - place, axis=1)
            nearest = np.argsort(distance)[:17]
            weights = (1 - (distance[nearest] / distance[nearest[-1]]) ** 3) ** 3
            squares = references.squares[nearest]
            present = np.isfinite(squares)
            means = np.nansum(squares * weights[:, None], axis=0) / (present * weights[:, None]).sum(axis=0)
            found.append(np.nanmax(means) * (1 + distance[nearest[7]] ** 2) ** 0.25)
        return np.array(found)

    found = potential.evaluate(atoms, uncertainty=True)
    for k, symbol in enumerate(atoms.get_chemical_symbols()):
        square = near(known.of_atoms[symbol], shares[[k]])[0] * (of_forces[k] + known.least_leverages[0])
        np.testing.assert_allclose(found["forces_std"][k], np.sqrt(square), rtol=1e-5)
    square = near(known.of_structures, shares.mean(axis=0)[None])[0]
    square *= len(atoms) * (row @ covariance @ row + known.least_leverages[1])
    assert found["energy_std"] == pytest.approx(np.sqrt(square), rel=1e-5)


def test_deviations_have_the_symmetries_of_the_structure(model, silicon_carbide):
    atoms = silicon_carbide[1][1]
    found = model.potential_.evaluate(atoms, uncertainty=True)
    moved = atoms.copy()
    moved.rotate(37.0, [1, 2, 3], rotate_cell=True)
    moved.positions += [0.3, -7.0, 11.0]
    order = np.random.default_rng(0).permutation(len(atoms))
    other = model.potential_.evaluate(moved[order], uncertainty=True)
    for name in ("forces_std", "extrapolation"):
        np.testing.assert_allclose(other[name], found[name][order], rtol=1e-5)
    assert other["energy_std"] == pytest.approx(found["energy_std"], rel=1e-5)
    # Errors of energies add up like those of independent parts.
    large = model.potential_.evaluate(atoms * (2, 1, 1), uncertainty=True)
    assert large["energy_std"] == pytest.approx(np.sqrt(2) * found["energy_std"], rel=1e-5)
    np.testing.assert_allclose(large["forces_std"], np.tile(found["forces_std"], (2, 1)), rtol=1e-5)


def noisy(model, structures, of_energy, of_force, seed):
    """Structures with labels of a potential, plus noise: eV per root of the number of atoms, eV/Angstrom."""
    rng = np.random.default_rng(seed)
    made = []
    for source in structures:
        atoms = source.copy()
        truth = model.potential_.evaluate(source)
        energy = truth["energy"] + of_energy * np.sqrt(len(atoms)) * rng.normal()
        forces = truth["forces"] + of_force * rng.normal(size=(len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        made.append(atoms)
    return made


def rattled(structures, n, seed, scale=0.05):
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        atoms = structures[k % len(structures)].copy()
        atoms.positions += rng.normal(scale=scale, size=(len(atoms), 3))
        made.append(atoms)
    return made


@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
def test_intervals_hold_what_they_promise_where_the_truth_is_known(model, silicon_carbide, estimator):
    # Noise of a known size on a potential that the terms can describe: deviations are this noise.
    thermal = silicon_carbide[0][8:22]
    noise = {"of_energy": 0.05, "of_force": 0.2}
    train = noisy(model, rattled(thermal, 120, 0), **noise, seed=1)
    test = noisy(model, rattled(thermal, 120, 2), **noise, seed=3)
    other = estimator(small_descriptors(), max_terms=15, repulsion=None).fit(train)
    energies, energy_std = other.predict(test, return_std=True)
    forces, forces_std = other.predict_forces(test, return_std=True)
    pairs = zip(forces, test, strict=True)
    errors = np.concatenate([(found - atoms.calc.results["forces"]).ravel() for found, atoms in pairs])
    widths = WIDTH * np.concatenate([std.ravel() for std in forces_std])
    assert np.mean(np.abs(errors) <= widths) == pytest.approx(0.9, abs=0.03)
    misses = energies - [atoms.calc.results["energy"] for atoms in test]
    # 120 energies hold 90 +- 3 % by chance.
    assert np.mean(np.abs(misses) <= WIDTH * energy_std) == pytest.approx(0.9, abs=0.08)
    np.testing.assert_array_equal(energies, other.predict(test))
    for with_std, alone in zip(forces, other.predict_forces(test), strict=True):
        np.testing.assert_array_equal(with_std, alone)


def test_crystals_at_rest_say_nothing_of_errors_of_forces(model):
    # Their forces are zero by symmetry, in the labels and in every fit.
    truth = model.potential_
    resting = [bulk("SiC", "zincblende", a=a, cubic=True) for a in np.linspace(4.1, 4.7, 30)]
    test = rattled(resting[12:18], 60, seed=2, scale=0.01)
    train = [*resting, *rattled(resting[10:20], 20, seed=1)]
    for atoms in (*train, *test):
        found = truth.evaluate(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=found["energy"], forces=found["forces"])
    # Three terms cannot describe what fifteen do.
    few = PLIPRegressorCV(small_descriptors(), max_terms=3, selection="min", repulsion=None).fit(train)
    forces, forces_std = few.predict_forces(test, return_std=True)
    pairs = zip(forces, test, strict=True)
    errors = np.concatenate([(found - atoms.calc.results["forces"]).ravel() for found, atoms in pairs])
    held = np.abs(errors) <= WIDTH * np.concatenate([std.ravel() for std in forces_std])
    assert np.mean(held) > 0.8


@pytest.mark.parametrize(
    "weights",
    [
        {"energy_weight": 0.0, "force_weight": 1.0, "stress_weight": 0.0},
        {"energy_weight": 30.0, "force_weight": 1.0, "stress_weight": 5.0},
    ],
)
def test_errors_without_folds_are_those_of_fits_without_the_structure(silicon_carbide, weights):
    """Leaving a structure out in closed form equals a fit of the same terms to the others."""
    train = silicon_carbide[0][:12]
    fit = fitted(train, max_terms=5, **weights)
    equations, of_targets, solved = fit.normal_equations_, fit._weights_of_targets(), fit._solved_problem()
    matrix, prior, kept = coefficient_precision(equations, fit.coef_, solved, of_targets, True)
    references = np.array([fit.intercept_[symbol] for symbol in ("C", "Si")])
    factor = factor_of(matrix + np.diag(prior))
    model = _unseen.Fit(fit.coef_[kept], references, np.arange(len(kept)), matrix, factor, of_targets)
    data = LabelledStructures.read([train[3]], **fit._reading())
    design = Design([fit.descriptors_.terms_[k] for k in kept], ("C", "Si"))
    found = _unseen._errors(design, data, np.arange(len(train[3])), model, None)
    other = PLIPRegressor(fit.descriptors_, **weights).fit(train[:3] + train[4:]).normal_equations_
    problem = other.problem(*weights.values())
    coef = np.zeros_like(fit.coef_)
    # With the penalty of the fit, which the structure does not change.
    penalty = np.diag(solved.weight_sum * solved.ridge)
    coef[kept] = np.linalg.solve(problem.gram[np.ix_(kept, kept)] + penalty, problem.moment[kept])
    energy, forces, _ = fit.descriptors_.design_rows(train[3], forces=True, virial=False)
    labels = train[3].calc.results
    expected = np.square((forces @ coef).reshape(-1, 3) - labels["forces"])
    np.testing.assert_allclose(found.of_force[:, 0], expected, rtol=1e-3, atol=1e-6 * expected.max())
    if weights["energy_weight"]:
        counts = np.array([(np.array(train[3].get_chemical_symbols()) == s).sum() for s in ("C", "Si")])
        error = energy @ coef + counts @ other.references(coef[None])[0] - labels["energy"]
        assert found.unseen_energy == pytest.approx(error / len(train[3]), rel=1e-3)


def test_results_do_not_depend_on_workers_or_files(silicon_carbide, tmp_path):
    train, test = silicon_carbide
    one, two = fitted(train, n_jobs=1), fitted(train, n_jobs=2)
    one.potential_.save(tmp_path / "one.json", uncertainty=True)
    potentials = [
        two.potential_,
        load_potential(tmp_path / "one.json"),
        pickle.loads(pickle.dumps(one.potential_)),
        copy.deepcopy(one).potential_,
    ]
    expected = one.potential_.evaluate(test[0], uncertainty=True)
    for potential in potentials:
        found = potential.evaluate(test[0], uncertainty=True)
        for name in ("energy_std", "forces_std", "extrapolation"):
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.filterwarnings("ignore:no structure holds")
@pytest.mark.parametrize("names", [("Al", "Cu"), ("Au", "Cu", "Ni")])
def test_pairs_that_never_meet_have_files_and_large_grades(tmp_path, names):
    """A single atom of the first species in each cell, as hydrogen in a metal has it."""
    rng = np.random.default_rng(0)
    structures = []
    for k in range(20):
        atoms = bulk("Cu", a=3.65, cubic=True) * 2
        atoms.symbols[0] = names[k % len(names)]
        atoms.rattle(0.05, rng=rng)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    potential = PLIPRegressor("fast", max_terms=20).fit(structures).potential_
    path = tmp_path / "model.json"
    potential.save(path, uncertainty=True)
    new = structures[0].copy()
    near = int(new.get_distances(0, range(1, len(new)), mic=True).argmin()) + 1
    new.symbols[[0, near]] = names[0]
    for one in (potential, load_potential(path)):
        grades = one.evaluate(new, uncertainty=True)["extrapolation"]
        assert np.isfinite(grades).all() and min(grades[0], grades[near]) > 1.0


def test_labels_that_are_missing_are_left_out(silicon_carbide):
    train = [atoms.copy() for atoms in silicon_carbide[0]]
    energies = [atoms.calc.results["energy"] for atoms in silicon_carbide[0]]
    forces = [atoms.calc.results["forces"] if k % 2 else None for k, atoms in enumerate(silicon_carbide[0])]
    mixed = PLIPRegressor(small_descriptors(), max_terms=8).fit(train, energies, forces=forces)
    assert np.isfinite(mixed.predict_forces(train[:3], return_std=True)[1][0]).all()
    without = PLIPRegressor(small_descriptors(), max_terms=8).fit(train, energies)
    found = without.potential_.evaluate(train[0], uncertainty=True)
    assert found["energy_std"] > 0
    # No force was ever compared.
    assert np.isnan(found["forces_std"]).all()


@pytest.mark.filterwarnings("ignore:the energies given are not those attached")
@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
@pytest.mark.parametrize("place", [0, 1])
def test_labels_of_weight_zero_are_missing(silicon_carbide, estimator, place):
    train, test = silicon_carbide[0][::2], silicon_carbide[1]
    labels = [[atoms.calc.results[name] for atoms in train] for name in ("energy", "forces")]
    missing, wrong = [list(values) for values in labels], [list(values) for values in labels]
    weights = np.ones((len(train), 3))
    for k in range(0, len(train), 3):
        missing[place][k] = None
        wrong[place][k] = 100.0 * labels[place][k]
        weights[k, place] = 0.0
    options = {"max_terms": 8, "repulsion": None}
    expected = estimator(small_descriptors(), **options).fit(train, *missing).potential_
    model = estimator(small_descriptors(), **options).fit(train, *wrong, sample_weight=weights)
    for atoms in test[:3]:
        found, known = (p.evaluate(atoms, uncertainty=True) for p in (model.potential_, expected))
        for name in ("energy", "energy_std", "forces_std", "extrapolation"):
            np.testing.assert_allclose(found[name], known[name], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*no label to fit")
@pytest.mark.parametrize("what", ["weight", "labels"])
def test_structures_that_were_not_fitted_are_no_data(silicon_carbide, what):
    train = silicon_carbide[0][::4]
    crushed = [atoms.copy() for atoms in train[:3]]
    for atoms in crushed:
        atoms.set_cell(0.85 * atoms.cell, scale_atoms=True)
    energies, forces = ([a.calc.results[name] for a in train] for name in ("energy", "forces"))
    given = {"y": [*energies, None, None, None], "forces": [*forces, None, None, None]}
    if what == "weight":
        given["y"][-3:] = [1000.0] * 3
        given["sample_weight"] = [1.0] * len(train) + [0.0] * 3
    model = PLIPRegressor(small_descriptors(), max_terms=8).fit([*train, *crushed], **given)
    expected = PLIPRegressor(small_descriptors(), max_terms=8).fit(train, energies, forces=forces)
    for atoms in (train[1], crushed[0]):
        found, known = (m.potential_.evaluate(atoms, uncertainty=True) for m in (model, expected))
        for name in ("energy", "energy_std", "forces_std", "extrapolation"):
            np.testing.assert_allclose(found[name], known[name], rtol=1e-6)


def test_silicon(shared_datasets):
    """The figures of doc/uncertainty.rst, with room for other machines."""
    train = ase.io.read(shared_datasets / "Si_train.xyz", ":")
    test = ase.io.read(shared_datasets / "Si_test.xyz", ":")
    silicon = PLIPRegressorCV().fit(train)
    forces, deviations = silicon.predict_forces(test, return_std=True)
    inside = [
        np.abs(a - atoms.calc.results["forces"]) <= WIDTH * b
        for a, b, atoms in zip(forces, deviations, test, strict=True)
    ]
    assert np.mean(np.concatenate(inside)) == pytest.approx(0.9, abs=0.04)


# ------------------------------------------------------------------------------
# Interfaces
# ------------------------------------------------------------------------------


def test_fits_that_did_not_see_all_structures_are_calibrated_later(silicon_carbide):
    train, test = silicon_carbide
    settings = {"max_terms": 8, "solver": "omp"}
    whole = PLIPRegressor(small_descriptors(), **settings).fit(train)
    streamed = PLIPRegressor(small_descriptors(), **settings).fit(iter(train))
    sums = NormalEquations.from_structures(train, small_descriptors())
    summed = PLIPRegressor(small_descriptors(), **settings).fit_normal_equations(sums)
    added = PLIPRegressor(small_descriptors(), **settings).fit(train[:20]).partial_fit(train[20:])
    for other in (streamed, summed, added):
        with pytest.raises(ValueError, match="calibrate"):
            other.predict(test, return_std=True)
        with pytest.raises(ValueError, match="calibrate"):
            other.potential_.evaluate(test[0], uncertainty=True)
        other.calibrate(train)
        assert np.isfinite(other.predict(test, return_std=True)[1]).all()
    np.testing.assert_allclose(
        streamed.predict(test, return_std=True)[1], whole.predict(test, return_std=True)[1], rtol=1e-6
    )


def test_calibration_reads_the_labels_of_the_fit(silicon_carbide):
    """Parameters that were set since belong to the next fit."""
    train, test = silicon_carbide
    model = PLIPRegressor(small_descriptors(), max_terms=8, solver="omp").fit(train)
    expected = model.predict(test, return_std=True)[1]
    model.set_params(energy_weight=0.0).calibrate(train)
    np.testing.assert_array_equal(model.predict(test, return_std=True)[1], expected)


def test_potentials_without_a_calibration_say_what_to_do(model, tmp_path):
    model.potential_.save(tmp_path / "small.json")
    small = load_potential(tmp_path / "small.json")
    assert small.uncertainty is None
    for ask in (
        lambda: small.save(tmp_path / "other.json", uncertainty=True),
        lambda: small.calculator(uncertainty=True),
        lambda: small.evaluate(Atoms("Si"), uncertainty=True),
    ):
        with pytest.raises(ValueError, match="uncertainty=True"):
            ask()
    assert not (tmp_path / "other.json").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("covariance_factor", "AAAA"),
        ("leverage_factor", "not base64!"),
        ("leverage_factor", None),
        ("leverage_limits", {"Si": "large"}),
        ("leverage_limits", {"Si": -1.0}),
        ("leverage_limits", {"Xe": 1.0}),
        ("shortest_distances", [["Si", "Xe", 2.0]]),
        ("shortest_distances", [["C", "Si", 2.0], ["Si", "C", 2.0]]),
        ("shortest_distances", [["C", "Si", 0.0]]),
        ("shortest_distances", [[["C"], "Si", 2.0]]),
        ("least_leverages", [0.0]),
        ("of_atoms", {"Si": {"axes": "AAAA"}}),
        ("of_structures", []),
    ],
)
def test_damaged_files_are_refused(model, tmp_path, name, value):
    model.potential_.save(tmp_path / "model.json", uncertainty=True)
    document = json.loads((tmp_path / "model.json").read_text())
    document["uncertainty"][name] = value
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"uncertainty|leverage"):
        load_potential(tmp_path / "model.json")


def test_a_file_of_300_terms_is_small(silicon_carbide, tmp_path):
    descriptors = PLIPDescriptors.preset("accurate")
    large = PLIPRegressor(descriptors, solver="omp", max_terms=300, contribution_penalty=0.0)
    large.fit(silicon_carbide[0])
    large.potential_.save(tmp_path / "large.json", uncertainty=True)
    assert len(large.potential_.terms) > 250
    assert (tmp_path / "large.json").stat().st_size < 1.5e6


def test_arrays_have_the_deviations_of_least_squares():
    rng = np.random.default_rng(0)
    X, other = rng.normal(size=(400, 4)), rng.normal(size=(200, 4)) + 3.0
    y = X @ [1.0, -2.0, 0.5, 3.0] + 0.3 * rng.normal(size=400) + 5.0
    settings = {"solver": "omp", "alpha": 0.0, "max_terms": None, "contribution_penalty": 0.0}
    fit = PLIPRegressor("precomputed", **settings).fit(X, y)
    predicted, deviations = fit.predict(other, return_std=True)
    design = np.column_stack([np.ones(400), X])
    sigma = np.sqrt(np.square(y - fit.predict(X)).sum() / (400 - 5))
    rows = np.column_stack([np.ones(200), other])
    expected = sigma * np.sqrt(1 + np.einsum("ij,jk,ik->i", rows, np.linalg.inv(design.T @ design), rows))
    np.testing.assert_allclose(deviations, expected, rtol=1e-6)
    np.testing.assert_array_equal(predicted, fit.predict(other))


def test_calculator(model, silicon_carbide):
    atoms = silicon_carbide[1][2].copy()
    atoms.calc = model.potential_.calculator(uncertainty=True)
    atoms.get_potential_energy()
    expected = model.potential_.evaluate(atoms, uncertainty=True)
    for name in ("energy_std", "forces_std", "extrapolation"):
        np.testing.assert_allclose(atoms.calc.results[name], expected[name], rtol=1e-12)
    np.testing.assert_allclose(atoms.calc.extrapolation(atoms), expected["extrapolation"], rtol=1e-9)
    known = atoms.get_properties(["energy", "forces"])
    assert known["energy"] == pytest.approx(expected["energy"], abs=1e-10)
    assert "energy_std" not in known


@pytest.fixture(scope="module")
def copper():
    """A potential of slightly moved copper atoms, which a melt leaves."""
    rng = np.random.default_rng(0)
    structures = []
    for _ in range(12):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    return PLIPRegressor(PLIPDescriptors(cutoff=4.5), max_terms=15).fit(structures).potential_


def test_observers_stop_a_simulation_that_leaves_the_data(copper, tmp_path):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.info["comment"] = ""
    atoms.calc = copper.calculator()
    settings = {"temperature_K": 4000, "friction": 0.05, "fixcm": False}
    dynamics = Langevin(atoms, 3 * units.fs, **settings, rng=np.random.default_rng(0))
    observer = ExtrapolationObserver(atoms, limit=1.5, path=tmp_path / "far.xyz")
    dynamics.attach(observer, interval=2)
    with pytest.raises(ExtrapolationError, match=r"atom \d+ \(Cu\) has the extrapolation grade") as caught:
        dynamics.run(2000)
    assert caught.value.grade > 1.5
    assert max(observer.largest[:-1]) <= 1.5 < observer.largest[-1]
    stored = ase.io.read(tmp_path / "far.xyz")
    assert stored.info["extrapolation"] == pytest.approx(caught.value.grade)
    np.testing.assert_allclose(stored.positions, caught.value.atoms.positions, atol=1e-7)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (copied.grade, str(copied)) == (caught.value.grade, str(caught.value))
    quiet = ExtrapolationObserver(atoms, limit=1e-6, stop=False)
    quiet()
    quiet()
    assert len(quiet.structures) == 2


def test_the_example_of_the_documentation(tmp_path, monkeypatch, capsys):
    path = Path(__file__).resolve().parents[1] / "doc" / "examples" / "plot_watch_a_simulation.py"
    if not path.exists():
        pytest.skip("the documentation is not here")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    grade = float(re.search(r"has the extrapolation grade (\S+), above the limit 2", printed).group(1))
    (stored,) = ase.io.read(tmp_path / "far.xyz", ":")
    assert stored.info["extrapolation"] == pytest.approx(grade, rel=1e-2) and grade > 2
    assert re.search(r"Energy: -\d+\.\d\d \+- 0\.\d\d eV", printed)


def test_observers_check_what_they_watch(copper, model):
    atoms = bulk("Cu")
    with pytest.raises(TypeError, match="PLIPCalculator"):
        ExtrapolationObserver(atoms)
    atoms.calc = copper.calculator()
    with pytest.raises(ValueError, match="limit"):
        ExtrapolationObserver(atoms, limit=0)


def test_numbers_beyond_those_of_a_file_become_the_largest():
    """Errors of absurd fits have squares that 32 bits do not hold."""
    largest = np.finfo(np.float32).max
    with np.errstate(all="raise"):
        found = as_in_a_file(np.array([1e300, -1e300, 0.25, np.nan]))
    np.testing.assert_array_equal(found, [largest, -largest, 0.25, np.nan])
