"""Errors of models from normal equations alone, and where these have lost the digits for them."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from sample_sums import carbide_descriptors, labeled_carbides

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, Potential
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian


@pytest.fixture
def structures():
    return labeled_carbides()


@pytest.fixture
def descriptors(structures):
    return carbide_descriptors(structures)


def nearly_exact_labels(structures, descriptors, noise):
    """Attach labels of large terms that cancel each other, with a little noise; the coefficients."""
    rng = np.random.default_rng(5)
    coef = rng.normal(size=len(descriptors.terms_))
    for atoms in structures:
        values, forces, virial = descriptors.design_rows(atoms)
        results = {
            "energy": values @ coef - 4.0 * len(atoms) + len(atoms) * noise * rng.normal(),
            "forces": (forces @ coef).reshape(-1, 3) + noise * rng.normal(size=(len(atoms), 3)),
            "stress": (virial @ coef + len(atoms) * noise * rng.normal(size=6)) / atoms.get_volume(),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
    return coef


def errors_by_potential(potential, structures):
    """Root mean square errors by target, in the units of `NormalEquations.mean_squares`."""
    errors = {"energy": [], "force": [], "virial": []}
    for atoms in structures:
        found, label, n = potential.evaluate(atoms), atoms.calc.results, len(atoms)
        errors["energy"].append((found["energy"] - label["energy"]) / n)
        errors["force"] += (found["forces"] - label["forces"]).ravel().tolist()
        errors["virial"] += ((found["stress"] - label["stress"]) * atoms.get_volume() / n).tolist()
    return {target: np.sqrt(np.mean(np.square(values))) for target, values in errors.items()}


def errors_by_equations(equations, coef):
    squares = equations.mean_squares(coef[None], equations.references(coef[None]))
    return {target: np.sqrt(values[0]) for target, values in squares.items()}


@pytest.mark.parametrize("shape", ["many rows", "many columns"])
def test_errors_by_equations_and_by_potential_agree(structures, descriptors, shape, tmp_path):
    """Also where terms of many eV leave an error of 1e-5 eV, whose square is lost among theirs."""
    if shape == "many columns":
        structures = structures[:3]
        descriptors = PLIPDescriptors(
            cutoff=4.0,
            two_body=TwoBody(Gaussian(eta=2.0, centers=20)),
            three_body=ThreeBody(Gaussian(centers=4), max_power=3),
            n_body=NBody(Gaussian(centers=6), powers=(2, 3, 4)),
        ).fit(structures)
    planted = nearly_exact_labels(structures, descriptors, noise=2e-5)
    half = len(structures) // 2
    equations = {
        "whole": NormalEquations.from_structures(structures, descriptors),
        "merged": NormalEquations.from_structures(structures[:half], descriptors, n_jobs=2)
        + NormalEquations.from_structures(structures[half:], descriptors),
        "stored": NormalEquations.from_structures(structures, descriptors, memory=tmp_path),
        "from the cache": NormalEquations.from_structures(structures, descriptors, memory=tmp_path),
    }
    equations["whole"].save(tmp_path / "sums.npz")
    equations["from a file"] = NormalEquations.load(tmp_path / "sums.npz")
    coefs = [planted] + [
        PLIPRegressor(solver=solver, alpha=0.0, max_terms=None, contribution_penalty=0.0)
        .fit_normal_equations(equations["whole"])
        .coef_
        for solver in ("ridge", "replacement")
    ]
    for coef in coefs:
        potential = Potential(descriptors, coef, equations["whole"].reference_energies(coef))
        expected = errors_by_potential(potential, structures)
        for name, other in equations.items():
            assert errors_by_equations(other, coef) == pytest.approx(expected, rel=1e-6), name
        if coef is planted:
            assert max(expected.values()) < 4e-5


def test_errors_of_rows_that_were_not_kept(structures, descriptors):
    """Of normal equations from which others were taken out, errors follow from products alone."""
    planted = nearly_exact_labels(structures, descriptors, noise=2e-5)
    equations = NormalEquations.from_structures(structures, descriptors)
    rest = equations - NormalEquations.from_structures(structures[:2], descriptors)
    with pytest.warns(UserWarning, match="errors of some models are so small beside their terms"):
        errors_by_equations(rest, planted)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    potential = Potential(descriptors, coef, rest.reference_energies(coef))
    assert errors_by_equations(rest, coef) == pytest.approx(
        errors_by_potential(potential, structures[2:]), rel=1e-6
    )


def test_many_forces_in_many_columns_are_products_alone(structures, descriptors, monkeypatch, tmp_path):
    kept = NormalEquations.from_structures(structures, descriptors)
    monkeypatch.setattr("plip.normal_equations._accumulation.NARROW", 0)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    expected = kept.problem(0.0, 1.0, 0.0)
    scale = np.sqrt(np.outer(expected.gram.diagonal(), expected.gram.diagonal())) + 1e-300
    # Computed, stored, and read from the cache, where a structure of many rows is a triangular factor.
    for memory in (None, tmp_path, tmp_path):
        alone = NormalEquations.from_structures(structures, descriptors, memory=memory)
        assert alone.n_rows == kept.n_rows
        assert alone.weight_sums == pytest.approx(kept.weight_sums)
        found = alone.problem(0.0, 1.0, 0.0)
        np.testing.assert_allclose(found.gram / scale, expected.gram / scale, atol=1e-12)
        assert errors_by_equations(alone, coef) == pytest.approx(errors_by_equations(kept, coef), rel=1e-9)
    planted = nearly_exact_labels(structures, descriptors, noise=0.0)
    for atoms in structures:
        del atoms.calc.results["energy"], atoms.calc.results["stress"]
    alone = NormalEquations.from_structures(structures, descriptors)
    with pytest.warns(UserWarning, match="force errors of some models are so small"):
        errors_by_equations(alone, planted)
