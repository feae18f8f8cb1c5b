"""PLIPRegressor: what it recovers, what it keeps, and what it refuses."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from sample_fits import separate_labels, small_descriptors
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV, Potential, load_potential
from plip.inspection import PathDisplay
from plip.metrics import cancellation
from plip.selection import select_structures
from plip.solvers import Path


@pytest.fixture(scope="module")
def fitted(silicon_carbide):
    return PLIPRegressor(small_descriptors()).fit(silicon_carbide[0])


def planted(structures, descriptors, coef, intercept, noise=0.0, seed=0):
    """The structures with labels of a known potential."""
    potential = Potential(descriptors, coef, intercept)
    rng = np.random.default_rng(seed)
    labeled = []
    for atoms in structures:
        atoms = atoms.copy()
        found = potential.evaluate(atoms, forces=True, stress=True)
        forces = found["forces"] + noise * rng.normal(size=found["forces"].shape)
        atoms.calc = SinglePointCalculator(
            atoms, energy=found["energy"], forces=forces, stress=found["stress"]
        )
        labeled.append(atoms)
    return labeled


@pytest.mark.parametrize("refit", [False, True])
def test_planted_sparse_potential_is_recovered(silicon_carbide, refit):
    descriptors = small_descriptors().fit(silicon_carbide[0])
    # One term of each interaction; nothing of the others.
    kept = {}
    for index, term in enumerate(descriptors.terms_):
        kept.setdefault(term.interaction, index)
    coef = np.zeros(len(descriptors.terms_))
    coef[list(kept.values())] = [2.0, -0.8, 0.05]
    intercept = {"C": -9.0, "Si": -5.5}
    structures = planted(silicon_carbide[0], descriptors, coef, intercept)
    model = PLIPRegressor(small_descriptors(), alpha=1e-7, refit=refit).fit(structures)
    # 5e-3: the penalty of 1e-7 shifts coefficients of columns that are nearly dependent by that much.
    error = np.abs(model.coef_ - coef) * model.column_scale_
    assert error.max() < 5e-3 * np.max(np.abs(coef) * model.column_scale_)
    assert model.intercept_ == pytest.approx(intercept, abs=1e-2)
    assert model.score(structures) > 1 - 1e-6


def test_objective_is_at_its_minimum(silicon_carbide):
    """Subgradient conditions of the documented objective, from dense rows."""
    train = silicon_carbide[0]
    alpha, weights = 1e-3, (5.0, 1.0, 0.4)
    model = PLIPRegressor(
        small_descriptors(),
        solver="lasso_lars",
        alpha=alpha,
        energy_weight=weights[0],
        force_weight=weights[1],
        stress_weight=weights[2],
    ).fit(train)
    rows, residuals, energy = [], [], []
    for atoms in train:
        values, forces, virial = model.descriptors_.design_rows(atoms)
        size, label = len(atoms), atoms.calc.results
        counts = np.array([np.count_nonzero(atoms.symbols == s) for s in model.descriptors_.species_])
        e0 = np.array(list(model.intercept_.values()))
        energy.append((values / size, counts / size))
        rows += [weights[0] * values[None] / size, weights[1] * forces, weights[2] * virial / size]
        residuals += [
            weights[0] * np.array([(label["energy"] - counts @ e0 - values @ model.coef_) / size]),
            weights[1] * (label["forces"].ravel() - forces @ model.coef_),
            weights[2] / size * (atoms.get_volume() * label["stress"] - virial @ model.coef_),
        ]
    X, r = np.concatenate(rows), np.concatenate(residuals)
    gradient = X.T @ r / len(r)
    bound = alpha * model.column_scale_
    kept = model.coef_ != 0
    # 1e-2: the small ridge that keeps the path stable shifts the optimum by that much.
    np.testing.assert_allclose(gradient[kept] / bound[kept], np.sign(model.coef_[kept]), atol=1e-2)
    assert (np.abs(gradient[~kept]) <= bound[~kept] * (1 + 1e-2)).all()
    composition = np.array([c for _, c in energy])
    energy_residual = np.array([x[0] for x in residuals[::3]])
    np.testing.assert_allclose(composition.T @ energy_residual, 0.0, atol=1e-9)


def test_auto_depends_on_the_solver(silicon_carbide):
    train = silicon_carbide[0]
    n_rows = sum(1 + 3 * len(atoms) + 6 for atoms in train)
    explicit = {
        # The penalty is worth 2.4 rows, within bounds.
        "replacement": {"alpha": 0.0, "max_terms": 50, "contribution_penalty": min(2.4 / n_rows, 1e-3)},
        "lasso_lars": {"alpha": 1e-5, "max_terms": 300, "contribution_penalty": 0.0},
    }
    for solver, settings in explicit.items():
        model = PLIPRegressor(small_descriptors(), solver=solver).fit(train)
        same = PLIPRegressor(small_descriptors(), solver=solver, **settings).fit(train)
        np.testing.assert_array_equal(model.coef_, same.coef_)
    for name in ("alpha", "max_terms", "contribution_penalty"):
        with pytest.raises(ValueError, match=name):
            PLIPRegressor(small_descriptors(), **{name: "much"}).fit(train)


def test_contribution_penalty_keeps_terms_from_cancelling(silicon_carbide):
    train = silicon_carbide[0]
    found = []
    for penalty in (0.0, 1e-4, 1e-3):
        descriptors = PLIPDescriptors(shared=False)
        model = PLIPRegressorCV(descriptors, solver="omp", max_terms=40, contribution_penalty=penalty)
        model.fit(train)
        found.append(np.median(cancellation(model.potential_at(40), train)))
        # In the mean structure nearly the same, from sums alone.
        table = model.cv_results_["cancellation"]
        assert table[40] == pytest.approx(found[-1], rel=0.2)
        assert np.isnan(table[0])
    # 33, 10 and 5.
    assert found[1] < 0.5 * found[0] and found[2] < 0.7 * found[1]


def test_weights_in_another_unit_change_nothing(silicon_carbide):
    train = silicon_carbide[0]
    weights = {"energy_weight": 40.0, "force_weight": 1.0, "stress_weight": 5.0}
    model = PLIPRegressor(small_descriptors(), max_terms=10, contribution_penalty=1e-4).fit(train)
    scaled = {name: 7.0 * weight for name, weight in weights.items()}
    other = PLIPRegressor(small_descriptors(), max_terms=10, contribution_penalty=1e-4, **scaled).fit(train)
    np.testing.assert_allclose(other.coef_, model.coef_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:no term was kept")
def test_large_alpha_keeps_nothing(silicon_carbide):
    model = PLIPRegressor(small_descriptors(), alpha=1e6).fit(silicon_carbide[0])
    assert model.n_terms_ == 0
    assert not model.coef_.any()
    assert all(np.allclose(forces, 0) for forces in model.predict_forces(silicon_carbide[1]))


def test_max_terms_is_kept(silicon_carbide):
    for solver in ("lasso_lars", "omp"):
        model = PLIPRegressor(small_descriptors(), solver=solver, alpha=0.0, max_terms=7).fit(
            silicon_carbide[0]
        )
        assert 1 <= model.n_terms_ <= 7


def test_predictions_are_those_of_the_potential(fitted, silicon_carbide):
    test = silicon_carbide[1]
    X = fitted.descriptors_.transform(test)
    counts = [[np.count_nonzero(atoms.symbols == s) for s in fitted.intercept_] for atoms in test]
    expected = X @ fitted.coef_ + counts @ np.array(list(fitted.intercept_.values()))
    # 1e-8 eV/A: the radial tables of the potential.
    np.testing.assert_allclose(fitted.predict(test), expected, atol=1e-7)
    for atoms, forces, stress in zip(
        test, fitted.predict_forces(test), fitted.predict_stress(test), strict=True
    ):
        _, rows, virial = fitted.descriptors_.design_rows(atoms)
        np.testing.assert_allclose(forces.ravel(), rows @ fitted.coef_, atol=1e-7)
        np.testing.assert_allclose(stress * atoms.get_volume(), virial @ fitted.coef_, atol=1e-6)


def test_fit_leaves_its_inputs_alone(silicon_carbide):
    train = [atoms.copy() for atoms in silicon_carbide[0]]
    for atoms, source in zip(train, silicon_carbide[0], strict=True):
        atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
    held = [(atoms.arrays, atoms.info, atoms.cell.array, atoms.calc.results) for atoms in train]
    before = copy.deepcopy(held)
    descriptors = small_descriptors()
    PLIPRegressor(descriptors).fit(train)
    assert not hasattr(descriptors, "terms_")
    np.testing.assert_equal(held, before)


def test_attached_and_given_labels_agree_to_the_bit(silicon_carbide, fitted):
    bare, energies, forces, stress = separate_labels(silicon_carbide[0])
    model = PLIPRegressor(small_descriptors()).fit(bare, energies, forces=forces, stress=stress)
    assert np.array_equal(model.coef_, fitted.coef_)
    assert model.intercept_ == fitted.intercept_


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_workers_do_not_change_a_bit(silicon_carbide, fitted, n_jobs):
    model = PLIPRegressor(small_descriptors(), n_jobs=n_jobs).fit(silicon_carbide[0])
    assert np.array_equal(model.coef_, fitted.coef_)
    assert np.array_equal(model.predict(silicon_carbide[1]), fitted.predict(silicon_carbide[1]))


def test_partial_fit_is_fit_of_all(silicon_carbide):
    train = silicon_carbide[0]
    descriptors = small_descriptors(species=("C", "Si"))
    whole = PLIPRegressor(descriptors, solver="ridge", alpha=1e-6).fit(train)
    parts = PLIPRegressor(descriptors, solver="ridge", alpha=1e-6)
    parts.partial_fit(train[:10]).partial_fit(train[10:])
    np.testing.assert_allclose(parts.predict(train), whole.predict(train), rtol=1e-8)
    with pytest.raises(ValueError, match="Ge"):
        parts.partial_fit([labeled_dimer("Ge")])


def labeled_dimer(symbol):
    atoms = Atoms([symbol, symbol], [[0, 0, 0], [0, 0, 2.0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((2, 3)))
    return atoms


def test_normal_equations_made_elsewhere(silicon_carbide, fitted, tmp_path):
    NormalEquations.from_structures(silicon_carbide[0], small_descriptors()).save(tmp_path / "part.npz")
    model = PLIPRegressor().fit_normal_equations(NormalEquations.load(tmp_path / "part.npz"))
    np.testing.assert_allclose(model.coef_, fitted.coef_, rtol=1e-12)
    with pytest.raises(TypeError, match="NormalEquations"):
        PLIPRegressor().fit_normal_equations(silicon_carbide[0])


def test_generator_is_fitted(silicon_carbide, fitted):
    model = PLIPRegressor(small_descriptors()).fit(atoms for atoms in silicon_carbide[0])
    assert np.array_equal(model.coef_, fitted.coef_)


@pytest.mark.parametrize("copy", [lambda m: pickle.loads(pickle.dumps(m)), "joblib"])
def test_pickle_and_joblib(fitted, silicon_carbide, tmp_path, copy):
    if copy == "joblib":
        joblib.dump(fitted, tmp_path / "model.joblib")
        other = joblib.load(tmp_path / "model.joblib")
    else:
        other = copy(fitted)
    assert np.array_equal(other.predict(silicon_carbide[1]), fitted.predict(silicon_carbide[1]))


def test_sums_are_left_out_of_a_pickle(fitted, silicon_carbide):
    train, test = silicon_carbide
    small = pickle.loads(pickle.dumps(fitted)).discard_sums()
    sums = len(pickle.dumps(fitted.normal_equations_))
    assert len(pickle.dumps(fitted)) - len(pickle.dumps(small)) > 0.9 * sums
    other = pickle.loads(pickle.dumps(small))
    assert np.array_equal(other.predict(test), fitted.predict(test))
    assert np.array_equal(other.predict(test, return_std=True)[1], fitted.predict(test, return_std=True)[1])
    assert other.potential_at(other.n_terms_) is other.potential_
    for needy in (
        lambda: other.partial_fit(train),
        lambda: other.calibrate(train),
        lambda: other.potential_at(other.n_terms_ - 1),
        lambda: select_structures(test, 1, other),
        lambda: PathDisplay.from_estimator(other),
    ):
        with pytest.raises(AttributeError, match="discard_sums"):
            needy()
    assert other.discard_sums() is other
    with pytest.raises(NotFittedError):
        clone(other).discard_sums()
    assert hasattr(other.fit(train), "normal_equations_")


def test_saved_potential_predicts_the_same_bits(fitted, silicon_carbide, tmp_path):
    fitted.potential_.save(tmp_path / "model.json")
    potential = load_potential(tmp_path / "model.json")
    energies = [potential.energy(atoms) for atoms in silicon_carbide[1]]
    assert np.array_equal(energies, fitted.predict(silicon_carbide[1]))


def test_energy_only_force_only_and_stress_only(silicon_carbide):
    train, test = silicon_carbide
    bare, energies, forces, stress = separate_labels(train)
    energy_only = PLIPRegressor(small_descriptors(), solver="ridge", alpha=1e-6).fit(bare, energies)
    assert energy_only.score(bare, energies) > 0.9
    with pytest.warns(UserWarning, match="it changes with volume or composition"):
        force_only = PLIPRegressor(small_descriptors()).fit(bare, forces=forces)
    assert force_only.intercept_ == {"C": 0.0, "Si": 0.0}
    assert force_only.score(bare, forces=forces) > 0.5
    # Who takes energies out knows.
    known = PLIPRegressor(small_descriptors(), energy_weight=0.0).fit(bare, energies, forces=forces)
    np.testing.assert_array_equal(known.coef_, force_only.coef_)
    with pytest.warns(UserWarning, match="it changes with composition"):
        stress_only = PLIPRegressor(small_descriptors(), stress_weight=1.0).fit(bare, stress=stress)
    error = stress_only.predict_stress(bare) - np.array(stress)
    assert np.sqrt(np.mean(error**2)) < 0.5 * np.std(stress)
    assert stress_only.coef_.any()
    # Stresses are fitted if there are any, and then no other label is necessary.
    with pytest.warns(UserWarning, match="it changes with composition"):
        assert PLIPRegressor(small_descriptors()).fit(bare, stress=stress).n_terms_ > 0
    with pytest.raises(ValueError, match="stress_weight"):
        PLIPRegressor(small_descriptors(), stress_weight=0.0).fit(bare, stress=stress)


def test_labels_of_weight_zero_are_not_looked_at(silicon_carbide):
    train = silicon_carbide[0][:8]
    bare, energies, forces, _ = separate_labels(train)
    for atoms in bare:
        atoms.calc = SinglePointCalculator(atoms, stress=np.ones(6))
        atoms.rattle(0.01, seed=0)
    model = PLIPRegressor(small_descriptors(), stress_weight=0.0).fit(bare, energies, forces=forces)
    assert model.n_terms_ > 0
    with pytest.raises(ValueError, match="structure 0"):
        PLIPRegressor(small_descriptors(), stress_weight=1.0).fit(bare, energies, forces=forces)
    spoilt = [atoms.copy() for atoms in train]
    for index, (atoms, force) in enumerate(zip(spoilt, forces, strict=True)):
        energy = np.nan if index == 4 else energies[index]
        atoms.calc = SinglePointCalculator(atoms, forces=force)
        atoms.calc.results["energy"] = energy
    assert PLIPRegressor(small_descriptors(), energy_weight=0.0).fit(spoilt).n_terms_ > 0
    with pytest.raises(ValueError, match="structure 4"):
        PLIPRegressor(small_descriptors()).fit(spoilt)


def test_overflowing_labels_are_refused(silicon_carbide):
    bare, energies, forces, _ = separate_labels(silicon_carbide[0][:4])
    with pytest.raises(ValueError, match="overflow"):
        PLIPRegressor(small_descriptors()).fit(bare, energies, forces=[1e155 * f for f in forces])


def test_stress_is_fitted_when_weighted(silicon_carbide):
    train = silicon_carbide[0]
    reference = np.array([atoms.calc.results["stress"] for atoms in train])

    def error(weight):
        model = PLIPRegressor(small_descriptors(), stress_weight=weight).fit(train)
        return np.sqrt(np.mean((model.predict_stress(train) - reference) ** 2))

    assert error(100.0) < error(0.0)


def test_structures_without_cell_have_no_stress(fitted):
    molecule = Atoms("SiC", [[0, 0, 0], [1.8, 0, 0]])
    assert np.isnan(fitted.predict_stress([molecule])).all()


def test_score_is_the_mean_of_both(fitted, silicon_carbide):
    test = silicon_carbide[1]
    results = [atoms.calc.results for atoms in test]
    sizes = np.array([len(atoms) for atoms in test])
    energy = np.array([result["energy"] for result in results]) / sizes
    counts = np.array([[np.count_nonzero(atoms.symbols == s) for s in ("C", "Si")] for atoms in test])
    reference = LinearRegression(fit_intercept=False).fit(counts / sizes[:, None], energy)
    baseline = reference.predict(counts / sizes[:, None])
    predicted = fitted.predict(test) / sizes
    energy_r2 = 1 - np.sum((energy - predicted) ** 2) / np.sum((energy - baseline) ** 2)
    true = np.concatenate([result["forces"] for result in results])
    force_r2 = 1 - np.sum((true - np.concatenate(fitted.predict_forces(test))) ** 2) / np.sum(true**2)
    assert fitted.score(test) == pytest.approx((energy_r2 + force_r2) / 2, rel=1e-9)


class NeverStart(Calculator):
    implemented_properties = ["energy", "forces"]

    def calculate(self, *args, **kwargs):
        raise AssertionError("a fit must not start a calculation")


def test_calculators_are_not_started(silicon_carbide):
    bare, energies, forces, _ = separate_labels(silicon_carbide[0])
    for atoms in bare:
        atoms.calc = NeverStart()
    PLIPRegressor(small_descriptors()).fit(bare, energies, forces=forces)
    with pytest.raises(ValueError, match="no labels|labels|energies"):
        PLIPRegressor(small_descriptors()).fit(bare)


def test_constraints_do_not_zero_forces():
    rng = np.random.default_rng(0)
    slab = fcc111("Al", (2, 2, 3), vacuum=6.0)
    slab.rattle(0.1, rng=rng)
    free = slab.copy()
    slab.set_constraint(FixAtoms(range(len(slab))))
    forces = rng.normal(size=(len(slab), 3))
    for atoms in (slab, free):
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=forces)
    fixed = PLIPRegressor(small_descriptors(n_body=None), energy_weight=0.0).fit([slab])
    assert fixed.n_terms_ > 0
    assert np.array_equal(
        fixed.coef_, PLIPRegressor(small_descriptors(n_body=None), energy_weight=0.0).fit([free]).coef_
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", -1.0),
        ("alpha", np.nan),
        ("alpha", "small"),
        ("solver", "magic"),
        ("max_terms", 0),
        ("max_terms", 2.5),
        ("refit", "yes"),
        ("verbose", "yes"),
        ("energy_weight", -1.0),
        ("stress_weight", np.inf),
        ("descriptors", "auto"),
        ("descriptors__cutoff", 0.0),
        ("descriptors__cutoff", -3.0),
        ("descriptors__cutoff", np.nan),
        ("n_jobs", "2"),
        ("n_jobs", 0),
        ("n_jobs", 1.5),
        ("n_jobs", True),
    ],
)
def test_bad_parameters_are_refused(silicon_carbide, name, value):
    model = PLIPRegressor(small_descriptors()).set_params(**{name: value})
    with pytest.raises(ValueError, match=name.split("__")[-1]):
        model.fit(silicon_carbide[0])


def test_bad_structures_are_named_before_any_work(silicon_carbide, monkeypatch):
    def no_work(*args, **kwargs):
        raise AssertionError("descriptors were computed before the structures were checked")

    monkeypatch.setattr("plip.normal_equations._chunk_work.chunk_sums", no_work)
    train = [atoms.copy() for atoms in silicon_carbide[0][:6]]
    for atoms, source in zip(train, silicon_carbide[0], strict=False):
        atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
    model = PLIPRegressor(small_descriptors())

    def broken(index, change):
        structures = [atoms.copy() for atoms in train]
        for atoms, source in zip(structures, train, strict=True):
            atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
        change(structures[index])
        return structures

    def refused(structures, error, match, **labels):
        with pytest.raises(error, match=match):
            model.fit(structures, **labels)

    refused(train[0], TypeError, "single Atoms")
    refused([], ValueError, "no structures")
    refused([*train[:2], "Si"], TypeError, "structure 2")
    refused(np.array(list(train[0]), dtype=object), TypeError, "Atom")
    refused(broken(3, lambda a: a.positions.__setitem__((0, 0), np.nan)), ValueError, "structure 3")
    refused(broken(2, lambda a: a.positions.__setitem__(1, a.positions[0] + 1e-4)), ValueError, "structure 2")
    refused(broken(1, lambda a: a.cell.__setitem__(2, 0.0)), ValueError, "structure 1")
    refused(broken(4, lambda a: a.calc.results.update(energy=True)), ValueError, "structure 4")
    refused(
        broken(4, lambda a: a.calc.results.__setitem__("forces", np.zeros((2, 3)))), ValueError, "structure 4"
    )
    refused(broken(5, lambda a: a.calc.results.__setitem__("energy", np.inf)), ValueError, "structure 5")
    refused(broken(5, lambda a: a.rattle(0.1, seed=0)), ValueError, "structure 5")
    refused(train, ValueError, "structure 2", sample_weight=[1, 1, np.nan, 1, 1, 1])
    refused(train, ValueError, "structure 0|negative", sample_weight=[-1, 1, 1, 1, 1, 1])
    refused(train, ValueError, "y", y=[1.0, 2.0])


def test_unknown_species_are_refused(fitted):
    with pytest.raises(ValueError, match="structure 1.*Ge"):
        fitted.predict([bulk("Si"), bulk("Ge")])
    with pytest.raises(TypeError, match="single Atoms"):
        fitted.predict(bulk("Si"))


# Potentials of other sizes


@pytest.mark.parametrize("solver", ["lasso_lars", "omp", "ridge"])
def test_potential_of_any_size_is_that_of_a_fit_of_that_size(silicon_carbide, solver):
    train, test = silicon_carbide
    model = PLIPRegressor(small_descriptors(), solver=solver, alpha=1e-7, max_terms=25).fit(train)
    assert model.potential_at(model.n_terms_) is model.potential_
    for size in (np.int64(1), 7, 20):
        potential = model.potential_at(size)
        assert len(potential.terms) == size
        small = PLIPRegressor(small_descriptors(), solver=solver, alpha=1e-7, max_terms=int(size))
        small.fit_normal_equations(model.normal_equations_)
        assert small.n_terms_ == size
        np.testing.assert_allclose(potential.coef, small.potential_.coef, rtol=1e-9)
        for symbol, energy in small.intercept_.items():
            assert potential.intercept[symbol] == pytest.approx(energy, rel=1e-12)
        energy = potential.energy(test[0])
        assert energy == pytest.approx(small.predict(test[:1])[0], abs=1e-9 * len(test[0]))
        # The reference energies of the largest model would be wrong by more than this.
        assert dict(potential.intercept) != model.intercept_


def test_potential_of_no_terms_is_the_mean_by_composition(silicon_carbide):
    model = PLIPRegressor(small_descriptors(), max_terms=5).fit(silicon_carbide[0])
    nothing = model.potential_at(0)
    assert nothing.terms == []
    expected = model.normal_equations_.reference_energies(np.zeros(model.n_features_in_))
    assert nothing.intercept == expected


def test_fixed_reference_energies_stay_fixed_at_every_size(silicon_carbide):
    given = {"C": -8.0, "Si": -5.0}
    model = PLIPRegressor(small_descriptors(), max_terms=8, reference_energies=given).fit(silicon_carbide[0])
    assert model.potential_at(3).intercept == given == model.intercept_


def test_sizes_that_the_path_lacks_are_errors(silicon_carbide):
    model = PLIPRegressor(small_descriptors(), max_terms=6).fit(silicon_carbide[0])
    with pytest.raises(ValueError, match="has 7 terms; there are those of 0 to 6"):
        model.potential_at(7)
    model.path_ = Path(model.path_.alphas[:4], model.path_.coefs[[1, 2, 5, 6]], np.array([1, 2, 5, 6]))
    with pytest.raises(ValueError, match="there are those of 1 to 2, 5 to 6"):
        model.potential_at(3)
    for bad in (-1, 2.0, "2", None, True):
        with pytest.raises(ValueError, match="n_terms must be an integer"):
            model.potential_at(bad)
    with pytest.raises(NotFittedError):
        PLIPRegressor().potential_at(3)
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="precomputed"):
        PLIPRegressor("precomputed").fit(X, X.sum(axis=1)).potential_at(1)
