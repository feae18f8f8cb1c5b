"""One calculator through many changes of a structure, against fresh evaluations."""

import copy
import pickle

import numpy as np

from random_inputs.potentials import hand_potential
from random_inputs.structures import random_cell
from random_inputs.verdicts import assert_close, outcome_of


def _change(rng, atoms, species):
    """One change of a structure, in place or not; returns the structure."""
    from ase import Atoms

    n, kind = len(atoms), rng.integers(16)
    if kind <= 2:
        atoms.positions += rng.normal(scale=rng.choice([1e-12, 0.01, 0.1, 0.3]), size=(n, 3))
    elif kind == 3 and n:
        atoms.positions[rng.integers(n)] += rng.normal(scale=3.0, size=3)
    elif kind == 4:
        atoms.set_cell(atoms.cell.array * rng.choice([0.99, 1.0001, 1.1]), scale_atoms=True)
    elif kind == 5:
        atoms.set_cell(
            atoms.cell.array + rng.normal(scale=0.1, size=(3, 3)), scale_atoms=bool(rng.integers(2))
        )
    elif kind == 6:
        atoms.pbc = rng.random(3) < 0.6
    elif kind == 7 and n:
        atoms.numbers[rng.integers(n)] = Atoms(rng.choice(species)).numbers[0]
    elif kind == 8:
        atoms.append(rng.choice(species))
        atoms.positions[-1] = rng.normal(scale=4.0, size=3)
    elif kind == 9 and n:
        del atoms[int(rng.integers(n))]
    elif kind == 10 and n > 1:  # coincident, or nearly
        atoms.positions[0] = atoms.positions[1] + rng.choice([0.0, 1e-5, 2e-3, 0.3]) * rng.normal(size=3)
    elif kind == 11:
        atoms.positions += rng.choice([1.0, 1e4, 1e9]) * rng.normal(size=3)
    elif kind == 12 and n:
        atoms.positions[rng.integers(n)] = rng.choice([np.nan, np.inf, 1e6])
    elif kind == 13:
        atoms.wrap() if atoms.cell.rank == 3 and np.isfinite(atoms.positions).all() else None
    elif kind == 14:
        atoms.cell[int(rng.integers(3))] *= rng.choice([0.0, -1.0, 0.7])
    elif kind == 15:
        atoms = random_cell(rng, int(rng.integers(1, 7)), list(species), 0.5)
    return atoms


def _closest(atoms):
    from plip._core import NeighborList

    cell = np.ascontiguousarray(atoms.cell.complete().array)
    i, j, S = NeighborList(atoms.positions, cell, atoms.pbc.astype(np.int32), 0.5).to_arrays()
    vectors = atoms.positions[j] - atoms.positions[i] + S @ cell
    return np.linalg.norm(vectors, axis=1).min(initial=0.5)


def check_calculator(rng):
    potential = hand_potential(int(rng.integers(12)))
    calculator = potential.calculator(skin=float(rng.choice([0.0, 0.3, 0.5, 2.0])))
    atoms = random_cell(rng, int(rng.integers(1, 8)), list(potential.species), rng.choice([0.3, 2.0]))
    for step in range(int(rng.integers(3, 10))):
        if step:
            before = atoms.copy()
            with np.errstate(all="ignore"):
                atoms = _change(rng, atoms, potential.species)
            if not np.isfinite(atoms.positions).all() and rng.random() < 0.7:
                _same(calculator, potential, atoms, step, rng)
                atoms = before
        if rng.random() < 0.15:
            calculator = (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)))[rng.integers(2)](calculator)
        _same(calculator, potential, atoms, step, rng)


def _same(calculator, potential, atoms, step, rng):
    from ase.calculators.calculator import PropertyNotImplementedError

    expected, refused = outcome_of(lambda: potential.evaluate(atoms))
    # Nearer than atoms ever come, steep functions are so large that their sums are rounding.
    comparable = refused is None and _closest(atoms) >= 0.4

    def results():
        # The energy from the calculator's own results, whatever ASE says of stresses.
        energy = calculator.get_property("energy", atoms)
        found = {"energy": energy, "forces": calculator.get_property("forces", atoms)}
        try:
            found["stress"] = calculator.get_property("stress", atoms)
            if rng.random() < 0.2:
                total = calculator.get_property("stresses", atoms).sum(axis=0)
                if comparable:
                    scale = np.abs(found["stress"]).max() + 1e-6
                    assert_close("stresses", total, found["stress"], 1e-9 * scale)
        except PropertyNotImplementedError:
            found["stress"] = np.full(6, np.nan)
        return found

    found, also = outcome_of(results)
    if (refused is None) != (also is None):
        raise AssertionError(f"step {step}: fresh {refused!r}, calculator {also!r}")
    if not comparable:
        return
    magnitude = np.abs(expected["energies"]).sum() + np.abs(expected["forces"]).max(initial=0.0)
    # Positions far from the origin have fewer digits.
    rounding = 1e-9 * (1.0 + magnitude) * max(1.0, 1e-4 * np.abs(atoms.positions).max(initial=0.0))
    for key in ("energy", "forces"):
        assert_close(f"step {step}, {key}", found[key], expected[key], rounding)
    assert np.isfinite(found["stress"]).all() == np.isfinite(expected["stress"]).all(), f"step {step}, stress"
    if np.isfinite(expected["stress"]).all() and len(atoms):
        volume = atoms.get_volume()
        size = rounding * max(10.0, 10 * np.abs(atoms.cell.array).max()) / min(volume, 1.0)
        assert_close(f"step {step}, stress", found["stress"], expected["stress"], size)
