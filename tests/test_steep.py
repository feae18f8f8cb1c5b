"""Steep functions at short distance, against extended precision: no digits are lost, and nothing jumps."""

from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from ase import Atoms
from core_runs import evaluate
from sample_potentials import beyond
from steep_functions import STEEP, assert_exact_rows, close_neighbors

from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import Gaussian, GaussianType, Lorentzian, Power, Slater


def potential_of(terms, coef):
    species = tuple(sorted({symbol for term in terms for symbol in term.species}))
    return Potential(SimpleNamespace(terms_=terms, species_=species), coef, dict.fromkeys(species, 0.0))


@pytest.mark.parametrize("function", STEEP, ids=lambda function: type(function).__name__)
def test_isolated_pairs_have_no_three_body_energy(function):
    """None at all where a neighbor's part with itself is large; elsewhere what the tables promise."""
    terms = build_terms(["Cu"], 5.0, three_body=ThreeBody([function, Gaussian(1.0, 1.0)], 3, mixed=True))
    coef = np.random.default_rng(0).normal(size=len(terms))
    potential = potential_of(terms, coef)
    for distance in np.geomspace(0.02, 4.9, 80):
        pair = Atoms("Cu2", [[0, 0, 0], distance * np.array([0.48, 0.6, 0.64])])
        results = potential.evaluate(pair, stress=False)
        assert abs(results["energy"]) < 1e-9
        assert np.abs(results["forces"]).max() < 2e-9
        assert_exact_rows(pair, terms, *(np.zeros((*shape, len(terms))) for shape in ((), (2, 3), (6,))))


@pytest.mark.parametrize("distance", [0.2, 0.59, 1.1])
@pytest.mark.parametrize("function", STEEP, ids=lambda function: type(function).__name__)
def test_steep_functions_against_extended_precision(function, distance):
    rng = np.random.default_rng(0)
    for atoms in close_neighbors(distance):
        species = sorted(set(atoms.symbols))
        interaction = {
            "three_body": ThreeBody([function, Gaussian(1.0, 1.0)], 2, mixed=True),
            "n_body": NBody(function, powers=(2, 3)),
            "four_body": FourBody(function, ranks=((1, 1, 0),)) if len(species) == 1 else None,
        }
        terms = build_terms(species, 3.3, **interaction)
        exact = oracle.oracle_derivatives(atoms, terms)
        # Three-body terms count even where powers of densities are larger by far.
        for left_out in ((), ("N-body", "four-body")):
            coef = rng.normal(size=len(terms)) * 10.0 ** rng.integers(-6, 1)
            coef[[term.interaction in left_out for term in terms]] = 0.0
            potential = potential_of(terms, coef)
            energies, forces, strain, _ = evaluate(potential._core, potential, atoms)
            energy, exact_forces, exact_strain = (x @ coef.astype(np.longdouble) for x in exact)
            size = float(np.abs(exact_forces).max())
            # Beside the promise of the tables: rounding of steep functions, of which the table of a
            # neighbor that is hardly close enough holds 20 units over its spacing.
            assert abs(energies.sum() - energy) < 1e-9 + 1e-13 * size
            np.testing.assert_allclose(forces, exact_forces.astype(float), atol=2e-9 + 1e-10 * size, rtol=0)
            np.testing.assert_allclose(strain, exact_strain.astype(float), atol=5e-9 + 1e-10 * size, rtol=0)
        assert_exact_rows(atoms, terms, *exact)


ROOTS = [
    Gaussian(eta=1.0, centers=1.5),
    Gaussian(eta=6.0, centers=3.5),
    Slater(powers=0.0, zeta=3.0),
    GaussianType(powers=2.0, zeta=0.4),
    Lorentzian(centers=2.0, exponents=4.0),
]


@pytest.mark.parametrize("switch", [None, {("Cu", "Cu"): 2.4}], ids=["plain", "switch"])
@pytest.mark.parametrize("function", ROOTS, ids=lambda function: function.label())
def test_roots_of_densities_come_and_go_smoothly(function, switch):
    """One neighbor alone has the root g: no kink at the cutoff, nor errors of tables where g is tiny."""
    cutoff = 4.0
    terms = build_terms(["Cu"], cutoff, n_body=NBody(function, powers=0.5, switch=switch))
    potential = potential_of(terms, np.array([-3.0]))
    ends = cutoff - np.array([3e-4, 1e-3, 5e-3, 0.02, 0.05])
    for r in np.sort(np.concatenate([np.linspace(0.5, 3.9, 100), ends])):
        pair = Atoms("Cu2", [[0, 0, 0], [r, 0, 0]])
        exact_energy, exact_forces, _ = (-3.0 * x[..., 0] for x in oracle.oracle_derivatives(pair, terms))
        energies, forces, _, _ = evaluate(potential._core, potential, pair)
        assert energies.sum() == pytest.approx(float(exact_energy), abs=1e-9)
        np.testing.assert_allclose(forces, exact_forces.astype(float), atol=2e-9, rtol=0)
    # So near the cutoff that the square of g is rounding, it is nothing.
    for distance in (cutoff - 1e-5, cutoff - 1e-7, cutoff):
        last = evaluate(potential._core, potential, Atoms("Cu2", [[0, 0, 0], [distance, 0, 0]]))
        assert np.abs(last[0]).max() < 1e-10
        assert np.abs(last[1]).max() < 1e-5


@pytest.mark.parametrize("unit", [1.0, 1e-5])
@pytest.mark.parametrize("function", STEEP[:3], ids=lambda function: type(function).__name__)
def test_nothing_jumps_where_neighbors_become_steep(function, unit):
    """Found by the energy of a pair, which is exactly 0 where the neighbors are steep."""
    terms = build_terms(["Cu"], 5.0, three_body=ThreeBody(function, 2))
    potential = potential_of(terms, unit * np.array([0.3, -0.2, 0.5]))

    trimer = np.array([[0.0, 0.0, 0.0], [0.48, 0.6, 0.64], [0.3, 2.6, 0.4]])

    def results(distance, n_atoms):
        positions = trimer[:n_atoms] * np.array([[0.0], [distance], [1.0]])[:n_atoms]
        found = potential.evaluate(Atoms(f"Cu{n_atoms}", positions), stress=False)
        return found["energy"], found["forces"]

    def apart(distance):
        energy, forces = results(distance, 2)
        return energy == 0.0 and not forces.any()

    inside, outside = 0.05, 2.5
    assert apart(inside) and not apart(outside)
    while outside - inside > 1e-12:
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if apart(middle) else (inside, middle)
    (energy, forces), (next_energy, next_forces) = results(inside, 3), results(outside, 3)
    size = np.abs(forces).max()
    assert next_energy - energy == pytest.approx(0.0, abs=1e-10 + 2e-12 * size)
    np.testing.assert_allclose(next_forces, forces, atol=2e-9 + 2e-11 * size, rtol=0)


def test_steep_neighbors_of_crowded_atoms():
    """Forces are the gradient of the energy where binding ends, too."""
    terms = build_terms(["Cu"], 5.0, two_body=TwoBody(Power(powers=-2.0)), three_body=ThreeBody(STEEP[0], 2))
    potential = beyond(potential_of(terms, [1.0, 0.3, -0.2, 0.5]), density_limits={"Cu": (4.0, 0.9)})
    atoms = Atoms("Cu4", [[0, 0, 0], [0.5, 0.6, 0.64], [0.3, 2.6, 0.4], [2.5, -0.3, 0.2]])
    forces, step = potential.forces(atoms), 1e-5
    for place in np.ndindex(4, 3):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[place] += sign * step
            energies.append(potential.energy(moved))
        difference = (energies[0] - energies[1]) / (2 * step)
        # Second differences of functions that grow 12-fold per relative step.
        assert forces[place] == pytest.approx(difference, abs=1e-6 * np.abs(forces).max())
