"""Tables of radial functions: what they promise, and the derivatives that they are made of."""

from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from ase import Atoms
from core_runs import core_of, evaluate
from sample_potentials import sample_potential
from sample_structures import sample

from plip._core import radial_function
from plip._design._rows import Design, StructureDesign
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import (
    FAMILIES,
    Gaussian,
    GaussianType,
    LennardJones,
    LogNormal,
    Lorentzian,
    Power,
    Slater,
    StillingerWeber,
)


def pair_potential(function, cutoff=4.0, coefficient=1.0):
    terms = build_terms(["Cu"], cutoff, two_body=TwoBody(function))
    return Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [coefficient], {"Cu": 0.0})


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_keep_their_promise_at_any_distance(family, one_of_each):
    """Values and derivatives of a pair function from 1e-3 Angstrom on, by the Python functions."""
    from plip.radial import cutoff_function

    function = one_of_each[family]
    potential = pair_potential(function)
    assert potential.table_error <= 2e-9
    r = np.concatenate([np.geomspace(1e-3, 3.9999999, 300), np.linspace(0.5, 4.0, 1003), [4.0, 4.1]])
    phi, slope = function.evaluate(r)
    cut, cut_slope = cutoff_function(r, 4.0)
    value, derivative = phi * cut, slope * cut + phi * cut_slope
    for n, distance in enumerate(r):
        dimer = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, distance]])
        results = potential.evaluate(dimer, stress=False)
        # The promise, beside the rounding errors of pow() and of tiny distances: 1e-12 of steep functions.
        assert results["energy"] == pytest.approx(value[n], rel=1e-12, abs=1e-9)
        assert results["forces"][0, 2] == pytest.approx(derivative[n], rel=1e-11, abs=1e-9)


def test_table_error_of_a_whole_potential_against_exact_kernels():
    """Forces from the tables against the exact descriptor kernels, far below 1e-8 eV/Angstrom."""
    from plip._design._rows import Design, StructureDesign

    for name in ("bulk", "molecule", "three species"):
        atoms, cutoff = sample(name)
        potential = sample_potential(atoms, cutoff, n_terms=None)
        terms = [term for term, _ in potential.terms]
        design = StructureDesign(Design(terms, potential.species), atoms)
        force_rows = np.zeros((3 * len(atoms), len(terms)))
        design.write_rows(0, force_rows)
        exact = (force_rows @ potential.coef).reshape(-1, 3)
        assert np.abs(potential.forces(atoms) - exact).max() < 1e-9


@pytest.mark.parametrize(
    ("interaction", "distance", "unit"),
    [
        ({"four_body": FourBody(Power(powers=-6.0), ranks=((1, 2, 1),))}, 0.069, 1e-26),
        ({"n_body": NBody(LennardJones(sigma=1.9), powers=(7,))}, 0.12, 1e-110),
    ],
)
def test_tables_of_moments_that_grow_beyond_their_bounds(interaction, distance, unit):
    """One neighbor that is much closer than tables expect, against the exact kernels."""
    terms = build_terms(["Cu"], 4.0, **interaction)
    chosen = SimpleNamespace(terms_=terms, species_=("Cu",))
    potential = Potential(chosen, np.full(len(terms), unit), {"Cu": 0.0})
    worst = 0.0
    for stretch in np.linspace(1.0, 1.2, 41):
        atoms = Atoms("Cu3", [[0, 0, 0], [0, 0, distance * stretch], [0, 1.5, 1.5]])
        design = StructureDesign(Design(terms, ("Cu",)), atoms)
        rows = np.zeros((9, len(terms)))
        design.write_rows(0, rows)
        exact = (rows @ potential.coef).reshape(-1, 3)
        worst = max(worst, np.abs(potential.forces(atoms) - exact).max() / (1.0 + np.abs(exact).max()))
    assert worst < 1e-8


def test_switch_is_exact_at_its_ends():
    r_short = 2.0
    terms = build_terms(
        ["Cu"], 4.0, n_body=NBody(Gaussian(eta=1.0, centers=2.0), powers=2, switch={("Cu", "Cu"): r_short})
    )
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [1.0], {"Cu": 0.0})
    for r in (0.9499 * r_short, 0.95 * r_short, 0.951 * r_short, 2.0, 1.0499 * r_short, 1.05 * r_short, 2.5):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])
        assert potential.energy(atoms) == pytest.approx(oracle.oracle_energy(atoms, terms[0]), abs=1e-10)


FUNCTIONS = [
    Gaussian(eta=2.0, centers=2.0),
    Slater(powers=1.5, zeta=0.8),
    GaussianType(powers=2.0, zeta=0.4),
    StillingerWeber(gamma=-1.5, onset=0.9),
    Power(powers=-3.0),
    Lorentzian(centers=1.5, exponents=6.0),
    Lorentzian(centers=1.5, exponents=2.0),
    LogNormal(onsets=0.5, scales=1.4),
    LennardJones(sigma=1.9),
]


@pytest.mark.parametrize("switch", [0.0, 2.0])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.label())
def test_derivatives_that_tables_are_made_of(function, switch):
    step = 1e-3
    for r in (0.7, 1.3, 1.95, 2.04, 2.6, 4.4):
        near = np.array([radial_function(function, 4.5, switch, r + n * step) for n in range(-3, 4)])
        differences = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ near / step
        value, first, second = near[3]
        scale = np.abs(near).max() + 1e-3
        # Truncation, and rounding over the step.
        assert first == pytest.approx(differences[0], abs=1e-8 * scale)
        assert second == pytest.approx(differences[1], abs=1e-8 * scale)
        expected = function.evaluate(r)[0] * (1 + np.cos(np.pi * r / 4.5)) / 2
        if switch == 0.0:
            assert value == pytest.approx(expected, rel=1e-13)


def test_powers_that_overflow():
    function = Lorentzian(centers=1.0, exponents=1000.0)
    for r in (0.0, 0.5, 1.0, 1.99, 2.0, 2.01, 4.0):
        assert np.isfinite(radial_function(function, 5.0, 0.0, r)).all()


@pytest.mark.parametrize(
    "function",
    [
        Gaussian(eta=1e308, centers=3.0),
        Slater(powers=1.0, zeta=1e308),
        Slater(powers=1e308, zeta=1.0),
        GaussianType(powers=1.0, zeta=1e308),
        GaussianType(powers=1e200, zeta=1.0),
        StillingerWeber(gamma=-1e308, onset=0.5),
        LogNormal(onsets=0.5, scales=1e308),
    ],
    ids=lambda function: function.label(),
)
def test_functions_that_have_vanished_have_no_derivatives(function):
    """Not zero times infinity."""
    for r in (0.6, 0.9):
        np.testing.assert_array_equal(radial_function(function, 5.0, 0.0, r), 0.0)


def test_forces_that_are_not_finite_are_an_error():
    """Of a function whose value at an atom is finite and whose slope is not."""
    function = Lorentzian(centers=1.0, exponents=1e306)
    value, slope, _ = radial_function(function, 5.0, 0.0, 2.0)
    assert value == pytest.approx(0.33, abs=0.01)
    assert slope < -1e304
    terms = build_terms(["Si"], 5.0, two_body=TwoBody(function))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Si",)), [1e5], {"Si": 0.0})
    atoms = Atoms("Si2", [[0, 0, 0], [0, 0, 2.0]])
    assert np.isfinite(potential.energy(atoms))
    with pytest.raises(ValueError, match="or a force, is not finite"):
        potential.evaluate(atoms)


def test_last_interval_before_the_cutoff():
    # Distances below the cutoff that the spacing of the table rounds up to it.
    reached = 0
    for cutoff in np.linspace(3.0, 5.0, 200):
        r = np.nextafter(cutoff, 0.0)
        if int(r * (1.0 / (cutoff / 256))) < 256:
            continue
        reached += 1
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])
        terms = build_terms(
            ["Cu"],
            cutoff,
            two_body=TwoBody(Gaussian(eta=1.0, centers=2.0)),
            three_body=ThreeBody(Gaussian(eta=1.0, centers=2.0), 2),
        )
        potential = Potential(
            SimpleNamespace(terms_=terms, species_=("Cu",)), np.ones(len(terms)), {"Cu": 0.0}
        )
        energies, forces, strain, _ = evaluate(core_of(potential), potential, atoms, skin=0.1)
        np.testing.assert_allclose(np.concatenate([energies, forces.ravel(), strain]), 0.0, atol=1e-12)
    assert reached > 5
