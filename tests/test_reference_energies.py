"""Reference energies of a fit: given, fitted, or those of isolated atoms."""

import pickle

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from sample_fits import lone_atom, separate_labels, small_descriptors
from sklearn.base import clone

from plip import PLIPRegressor, PLIPRegressorCV

REFERENCE = {"C": -7.9, "Si": -4.3}


@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
def test_given_reference_energies(silicon_carbide, estimator):
    train, test = silicon_carbide
    options = {"solver": "ridge", "alpha": 1e-6, "max_terms": None}
    model = estimator(small_descriptors(), reference_energies={**REFERENCE, "O": -2.0}, **options).fit(train)
    assert model.intercept_ == REFERENCE
    assert model.potential_.evaluate(lone_atom("Si", 0.0))["energy"] == pytest.approx(-4.3, rel=1e-12)
    # The same as a fit to the remaining energies, with references of zero.
    bare, y, forces, stress = separate_labels(train)
    left = y - [sum(REFERENCE[symbol] for symbol in atoms.symbols) for atoms in bare]
    other = estimator(small_descriptors(), reference_energies={"C": 0, "Si": 0}, **options)
    other.fit(bare, left, forces=forces, stress=stress)
    # 1e-6: normal equations subtract other energies first and square what they leave.
    energy, expected = (
        np.array(potential.predict(test))
        - [sum(potential.intercept_[symbol] for symbol in atoms.symbols) for atoms in test]
        for potential in (model, other)
    )
    np.testing.assert_allclose(energy, expected, rtol=1e-6)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.intercept_ == REFERENCE and clone(model).reference_energies == model.reference_energies
    # Fitted ones are others.
    assert estimator(small_descriptors(), **options).fit(train).intercept_["C"] != pytest.approx(-7.9)


def test_reference_energies_of_the_fit_fixed_change_nothing(silicon_carbide):
    train = silicon_carbide[0]
    options = {"descriptors": small_descriptors(), "solver": "ridge", "alpha": 1e-9}
    free = PLIPRegressor(**options).fit(train)
    problem = free.normal_equations_.problem()
    # Without penalty the best coefficients for the best references are those of the free fit.
    fixed = free.normal_equations_.problem(reference_energies=free.intercept_)
    free_coef = np.linalg.lstsq(problem.gram, problem.moment, rcond=1e-12)[0]
    best = free.normal_equations_.reference_energies(free_coef)
    fixed = free.normal_equations_.problem(reference_energies=best)
    gradient = fixed.moment - fixed.gram @ free_coef
    assert np.abs(gradient).max() <= 1e-6 * np.abs(fixed.moment).max()


@pytest.mark.parametrize("estimator", [PLIPRegressor, PLIPRegressorCV])
def test_reference_energies_of_isolated_atoms(silicon_carbide, estimator):
    train = [*silicon_carbide[0], lone_atom("Si", -0.8), lone_atom("C", -1.3)]
    model = estimator(small_descriptors(), max_terms=10, reference_energies="isolated").fit(train)
    assert model.intercept_ == {"C": -1.3, "Si": -0.8}
    given = estimator(small_descriptors(), max_terms=10, reference_energies=model.intercept_).fit(train)
    np.testing.assert_array_equal(given.coef_, model.coef_)
    if estimator is PLIPRegressor:
        other = clone(model).fit(iter(train))
        np.testing.assert_array_equal(other.coef_, model.coef_)
        other = clone(model).set_params(descriptors__species=("C", "Si"))
        other.partial_fit(train[-20:]).partial_fit(train[:-20])
        assert other.intercept_ == model.intercept_
        other = clone(model).fit_normal_equations(model.normal_equations_)
        np.testing.assert_array_equal(other.coef_, model.coef_)
    nearly = [*train, lone_atom("C", -1.3004)]
    assert estimator(**model.get_params(deep=False)).fit(nearly).intercept_["C"] == pytest.approx(-1.3002)
    with pytest.warns(UserWarning, match=r"2 isolated atoms of C differ, from -1\.5 to -1\.3 eV"):
        assert clone(model).fit([*train, lone_atom("C", -1.5)]).intercept_["C"] == pytest.approx(-1.4)


def test_isolated_atoms_that_are_missing(silicon_carbide, monkeypatch):
    def no_work(*args, **kwargs):
        raise AssertionError("the structures were added up before")

    monkeypatch.setattr("plip.normal_equations._chunk_work.chunk_sums", no_work)
    crystal = bulk("C", a=3.0, crystalstructure="sc")
    crystal.calc = SinglePointCalculator(crystal, energy=-1.0)
    train = [*silicon_carbide[0][:6], lone_atom("Si", -0.8), crystal]
    for estimator in (PLIPRegressor, PLIPRegressorCV):
        model = estimator(small_descriptors(), reference_energies="isolated")
        with pytest.raises(ValueError, match="there is none of C:"):
            model.fit(train)
        with pytest.raises(ValueError, match="reference_energies has no energy of Si"):
            model.set_params(reference_energies={"C": -1.0}).fit(train)


@pytest.mark.parametrize(
    "value",
    ["alone", [1.0, 2.0], {"C": np.nan, "Si": 0.0}, {"C": True, "Si": 0.0}, {"C": "1", "Si": 0.0}, {6: 1.0}],
)
def test_reference_energies_that_are_none(silicon_carbide, value):
    for estimator in (PLIPRegressor, PLIPRegressorCV):
        with pytest.raises(ValueError, match="reference_energies"):
            estimator(small_descriptors(), reference_energies=value).fit(silicon_carbide[0])


def test_precomputed_descriptors_have_no_species():
    with pytest.raises(ValueError, match="reference_energies"):
        PLIPRegressor("precomputed", reference_energies={"Si": 1.0}).fit(np.eye(3), np.ones(3))


def test_reference_energies_of_forces_alone(silicon_carbide):
    bare, _, forces, _ = separate_labels(silicon_carbide[0])
    lone = [lone_atom("Si", -0.8), lone_atom("C", -1.3)]
    isolated = PLIPRegressor(small_descriptors(), energy_weight=0.0, max_terms=10)
    isolated.set_params(reference_energies="isolated").fit([*bare, *lone], forces=[*forces, None, None])
    assert isolated.intercept_ == {"C": -1.3, "Si": -0.8}
    model = PLIPRegressor(small_descriptors(), reference_energies=REFERENCE, max_terms=10)
    with pytest.warns(UserWarning, match="no energy was fitted"):
        model.fit(bare, forces=forces)
    assert model.intercept_ == REFERENCE
