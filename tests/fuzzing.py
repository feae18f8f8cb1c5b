"""Random inputs of every kind, each made from a seed alone, and what must hold for them.

    python tests/fuzzing.py KIND FIRST LAST [SECONDS]

checks the inputs of these seeds in this process and writes a line on each; an input that takes longer than so
many seconds ends it with a traceback. `run` starts such processes, so that a crash or a hang costs one input
only.

Kinds: "models" (design rows, normal equations and potential agree; gradients), "calculators" (one calculator
through many changes against fresh evaluations), "potentials" and "equations" (damaged files are refused, by
name, or load and work), "plugin" (LAMMPS reads what Python reads).
"""

import atexit
import copy
import faulthandler
import io
import json
import math
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# Seconds that one input may take; 1000 times what most take.
LIMIT = 60.0


class Refused(Exception):
    """The package has refused an input as it should."""


# ------------------------------------------------------------------------------
# Structures
# ------------------------------------------------------------------------------

CRYSTALS = (
    ("Si", "diamond", 5.43),
    ("Cu", "fcc", 3.61),
    ("Fe", "bcc", 2.87),
    ("K", "bcc", 5.33),
    ("Xe", "fcc", 6.20),
    ("NaCl", "rocksalt", 5.64),
    ("SiC", "zincblende", 4.36),
    ("CsCl", "cesiumchloride", 4.12),
)
MOLECULES = ("H2", "H2O", "CH4", "CO2", "NH3", "CH3OH", "C2H4", "SiH4", "LiF")
ELEMENTS = ("H", "C", "O", "Na", "Si", "Ti", "Cu", "Au")


def _crystal(rng):
    from ase.build import bulk

    name, lattice, a = CRYSTALS[rng.integers(len(CRYSTALS))]
    atoms = bulk(name, lattice, a=a * rng.uniform(0.9, 1.1), cubic=bool(rng.integers(2)))
    if rng.random() < 0.2:
        atoms *= (1, 1, 2)
    return atoms


def _surface(rng):
    from ase.build import fcc111

    atoms = fcc111("Al", (1, 1 + int(rng.integers(2)), 2), orthogonal=False, vacuum=rng.uniform(1, 12))
    if rng.random() < 0.3:
        atoms.cell[2] = 0.0
    atoms.pbc = (True, True, False)
    return atoms


def _wire(rng):
    from ase import Atoms

    n = int(rng.integers(1, 5))
    positions = np.cumsum(rng.normal(scale=0.4, size=(n, 3)) + [0, 0, 1.2], axis=0)
    axis = int(rng.integers(3))
    positions = np.roll(positions, axis + 1, axis=1)
    cell = np.zeros((3, 3))
    cell[axis] = rng.normal(scale=0.2, size=3)
    cell[axis, axis] = 1.2 * n + 0.5
    pbc = np.zeros(3, bool)
    pbc[axis] = True
    return Atoms(rng.choice(["C", "Si"], n), positions, cell=cell, pbc=pbc)


def _molecule(rng):
    from ase.build import molecule

    atoms = molecule(MOLECULES[rng.integers(len(MOLECULES))])
    if rng.random() < 0.5:
        atoms.center(vacuum=rng.uniform(1.0, 8.0))
        atoms.pbc = rng.integers(2, size=3).astype(bool)
    return atoms


def _isolated(rng):
    from ase import Atoms

    atoms = Atoms(rng.choice(ELEMENTS))
    if rng.random() < 0.5:
        atoms.cell = np.eye(3) * rng.uniform(8, 30)
        atoms.pbc = bool(rng.integers(2))
    return atoms


def _tiny_cell(rng):
    from ase import Atoms

    cell = np.eye(3) * rng.uniform(1.3, 2.6) + rng.normal(scale=0.2, size=(3, 3))
    return Atoms(rng.choice(ELEMENTS), cell=cell, pbc=rng.random(3) < 0.8)


def _random_cell(rng, n, symbols, shear):
    """Atoms that are not too close in a random cell with about 8 to 30 cubic Angstrom for each."""
    from ase import Atoms

    cell = np.eye(3) * np.cbrt(n * rng.uniform(8, 30)) * rng.uniform(0.7, 1.4, size=3)
    for a, b in ((1, 0), (2, 0), (2, 1)):
        cell[a] += shear * rng.uniform(-1, 1) * cell[b]
    if rng.random() < 0.3:
        cell = cell[[1, 0, 2]]  # left-handed
    cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pbc = rng.random(3) < 0.7
    atoms = Atoms(cell=cell, pbc=pbc)
    for _ in range(20 * n):
        trial = atoms + Atoms([rng.choice(symbols)], scaled_positions=[rng.random(3)], cell=cell, pbc=pbc)
        if len(trial) == 1 or trial.get_all_distances(mic=True)[-1, :-1].min() > 1.0:
            atoms = trial
        if len(atoms) == n:
            break
    return atoms


def _skewed(rng):
    return _random_cell(rng, int(rng.integers(1, 7)), ["Si", "O"], rng.choice([0.5, 2.0, 6.0]))


def _sparse(rng):
    from ase import Atoms

    size = rng.choice([15.0, 60.0, 1e3, 1e5])
    n = int(rng.integers(1, 8))
    atoms = Atoms(rng.choice(["H", "O"], n), rng.random((n, 3)) * size)
    near = rng.random(n) < 0.5
    atoms.positions[near] = atoms.positions[0] + rng.normal(scale=1.2, size=(near.sum(), 3))
    if rng.random() < 0.7:
        atoms.cell = np.eye(3) * size
        atoms.pbc = rng.random(3) < 0.5
    return atoms


def _many_species(rng):
    n = int(rng.integers(3, 10))
    return _random_cell(rng, n, rng.choice(ELEMENTS, min(n, 6), replace=False), 0.5)


def _extreme(rng):
    from ase import Atoms

    kind = rng.integers(5)
    if kind == 0:  # a close pair
        return Atoms("SiO", [[0, 0, 0], rng.normal(size=3) * rng.choice([2e-3, 0.05, 0.2])])
    if kind == 1:  # far from the origin
        atoms = _molecule(rng)
        atoms.positions += rng.choice([1e3, 1e6]) * rng.uniform(-1, 1, size=3)
        return atoms
    if kind == 2:  # outside the cell, by many of its vectors
        atoms = _crystal(rng)
        atoms.positions += rng.integers(-40, 40, size=(len(atoms), 3)) @ atoms.cell.array
        return atoms
    if kind == 3:  # a flat cell
        cell = np.diag([30.0, 30.0, rng.uniform(0.8, 1.5)])
        return Atoms("CC", [[0, 0, 0], [1.2, 0.4, 0.3]], cell=cell, pbc=True)
    # nearly coplanar vectors
    cell = [[4.0, 0, 0], [3.9, 0.4, 0], [0, 0, 4.0]]
    return Atoms("Cu", cell=np.array(cell) @ np.linalg.qr(rng.normal(size=(3, 3)))[0], pbc=True)


STRUCTURES = (
    _crystal,
    _surface,
    _wire,
    _molecule,
    _isolated,
    _tiny_cell,
    _skewed,
    _sparse,
    _many_species,
    _extreme,
)


def random_structure(rng):
    """A structure of a random kind, of 1 to about 16 atoms, rattled by nothing, rounding or much."""
    atoms = STRUCTURES[rng.integers(len(STRUCTURES))](rng)
    atoms.positions += rng.normal(size=atoms.positions.shape) * rng.choice([0.0, 1e-6, 0.03, 0.15])
    return atoms


# ------------------------------------------------------------------------------
# Descriptors
# ------------------------------------------------------------------------------


def random_functions(rng, cutoff, n):
    """Some radial functions of any family, positions within the cutoff."""
    from plip import radial

    def where():
        return float(rng.uniform(0.1, 1.1) * cutoff)

    choices = (
        lambda: radial.Gaussian(eta=float(rng.choice([1e-3, 0.3, 2.0, 30.0])), centers=where()),
        lambda: radial.Slater(powers=float(rng.choice([-1.0, 0.0, 1.5, 3.0])), zeta=float(rng.uniform(0, 3))),
        lambda: radial.GaussianType(powers=float(rng.choice([0.0, 2.0])), zeta=float(rng.uniform(0.01, 2))),
        lambda: radial.StillingerWeber(gamma=-float(rng.choice([0.1, 1.0, 5.0])), onset=where()),
        lambda: radial.Power(powers=float(rng.choice([-6.0, -2.0, 0.0, 1.0]))),
        lambda: radial.Lorentzian(centers=where(), exponents=int(rng.choice([2, 4, 8]))),
        lambda: radial.LogNormal(onsets=where(), scales=float(rng.uniform(0.3, 3))),
        lambda: radial.LennardJones(sigma=float(rng.uniform(0.5, 2.5))),
    )
    functions = {}
    for _ in range(n):
        function = choices[rng.integers(len(choices))]()
        functions[function.label()] = function
    return list(functions.values())


def random_interactions(rng, cutoff, n_species):
    """One to four interactions with few enough columns for so many species."""
    from plip.interactions import FourBody, NBody, ThreeBody, TwoBody

    def own():
        return None if rng.random() < 0.6 else float(cutoff * rng.uniform(0.4, 1.0))

    few = 1 if n_species > 2 else 2
    parts = {"two_body": None, "three_body": None, "n_body": None, "four_body": None}
    chosen = rng.random(4) < 0.5
    chosen[rng.integers(3)] = True
    if chosen[0]:
        parts["two_body"] = TwoBody(random_functions(rng, cutoff, int(rng.integers(1, 5))), own())
    if chosen[1]:
        parts["three_body"] = ThreeBody(
            random_functions(rng, cutoff, few),
            int(rng.integers(0, 3 if n_species > 2 else 8)),
            mixed=bool(rng.integers(2)),
            cutoff=own(),
        )
    if chosen[2]:
        powers = tuple(int(m) for m in rng.choice(np.arange(2, 9), int(rng.integers(1, 4)), replace=False))
        switch = None if rng.random() < 0.7 else {("Si", "O"): float(rng.uniform(1, 3))}
        parts["n_body"] = NBody(random_functions(rng, cutoff, few), powers, switch, own())
    if chosen[3] and n_species <= 2:
        ranks = {tuple(int(p) for p in rng.integers(0, 4, size=3)) for _ in range(2)}
        parts["four_body"] = FourBody(random_functions(rng, cutoff, 1), tuple(sorted(ranks)), own())
    return parts


# ------------------------------------------------------------------------------
# Models
# ------------------------------------------------------------------------------


def _label(rng, structures):
    """Random labels of any completeness; forces add up to zero."""
    from ase.calculators.singlepoint import SinglePointCalculator

    has = rng.random(3) < (0.9, 0.7, 0.3)
    has[0] |= not has.any()
    zero = float(rng.choice([0.0, -5.0, -1e4]))
    for atoms in structures:
        results = {}
        n = len(atoms)
        if has[0]:
            results["energy"] = n * zero + rng.normal() * rng.choice([1e-3, 1.0])
        if has[1]:
            forces = rng.normal(size=(n, 3))
            results["forces"] = forces - forces.mean(axis=0)
        if has[2] and atoms.cell.rank == 3:
            results["stress"] = rng.normal(scale=0.05, size=6)
        if rng.random() < 0.05 and len(results) > 1:
            results.pop(next(iter(results)))
        atoms.calc = SinglePointCalculator(atoms, **results)
    return has


def random_fit(rng):
    """Structures with labels and an estimator."""
    from plip import PLIPDescriptors, PLIPRegressor
    from plip.solvers import SOLVERS

    first = random_structure(rng)
    structures = [first]
    for _ in range(int(rng.integers(0, 6))):
        if rng.random() < 0.3:
            structures.append(random_structure(rng))
        else:
            structures.append(first.copy())
            structures[-1].rattle(float(rng.choice([0.01, 0.1])), rng=rng)
    has = _label(rng, structures)
    cutoff = float(rng.choice([1.5, 2.5, 3.5, 5.0, 6.5]))
    n_species = len({symbol for atoms in structures for symbol in atoms.symbols})
    if rng.random() < 0.04:
        descriptors = PLIPDescriptors(cutoff=cutoff if rng.random() < 0.7 else "auto")
    else:
        descriptors = PLIPDescriptors(cutoff=cutoff, **random_interactions(rng, cutoff, n_species))
    model = PLIPRegressor(
        descriptors,
        solver=str(rng.choice(list(SOLVERS))),
        alpha=float(rng.choice([0.0, 1e-8, 1e-5, 1e-2])),
        max_terms=int(rng.choice([1, 5, 40])),
        refit=bool(rng.integers(2)),
        energy_weight=float(rng.choice([1.0, 30.0])) if has[0] else 0.0,
        force_weight=1.0 if has[1] or not has[0] else 0.0,
        stress_weight=float(has[2] and rng.random() < 0.7),
    )
    return structures, model


def _close(name, found, expected, allowed):
    found, expected, allowed = np.broadcast_arrays(found, expected, allowed)
    bad = ~(np.abs(found - expected) <= allowed)
    if bad.any():
        k = np.unravel_index(np.argmax(np.abs(found - expected) / np.maximum(allowed, 1e-300)), bad.shape)
        raise AssertionError(
            f"{name}: {float(found[k])!r} against {float(expected[k])!r}, allowed {float(allowed[k]):.1e}"
        )


def check_model(rng):
    from plip import Potential
    from plip.regressor import FitError
    from plip.solvers import PathError

    structures, model = random_fit(rng)
    try:
        model.fit(structures)
    except (ValueError, TypeError, PathError, FitError) as error:
        _refusal(error)
    potential, descriptors, coef = model.potential_, model.descriptors_, model.coef_
    assert np.isfinite(coef).all(), "coefficients"
    learned = Potential(descriptors, coef, potential.intercept)
    fitted = _fitted(structures, model)
    # Structures without a label of the fit may be closer or denser than its data.
    results = [
        (potential if used else learned).evaluate(atoms)
        for atoms, used in zip(structures, fitted, strict=True)
    ]
    for index, (atoms, result) in enumerate(zip(structures, results, strict=True)):
        values, forces, virial = descriptors.design_rows(atoms)
        references = np.array([potential.intercept[symbol] for symbol in atoms.symbols])
        reference = references.sum()
        size = np.abs(values) @ np.abs(coef) + np.abs(references).sum()
        # Tables are accurate to about 1e-9 eV and eV/Angstrom for a pair; the sums of a model may cancel.
        close = 1e-8 * len(atoms)
        _close(f"energy {index}", result["energy"], values @ coef + reference, 1e-6 * size + close)
        size = (np.abs(forces) @ np.abs(coef)).max()
        _close(f"forces {index}", result["forces"].ravel(), forces @ coef, 1e-6 * size + close)
        if np.isfinite(result["stress"]).all():
            size = (np.abs(virial) @ np.abs(coef)).max()
            stress = result["stress"] * atoms.get_volume()
            _close(f"virial {index}", stress, virial @ coef, 1e-6 * size + 10 * close)
    _check_errors(structures, results, model)
    _check_gradient(rng, potential, structures[rng.integers(len(structures))])


def _fitted(structures, model):
    """Which structures have a label of a target that is fitted."""
    keys = {"energy": "energy_weight", "forces": "force_weight", "stress": "stress_weight"}
    return [
        any(key in atoms.calc.results and getattr(model, name) > 0 for key, name in keys.items())
        for atoms in structures
    ]


def _check_errors(structures, results, model):
    """Errors on the training data by the normal equations and by the potential."""
    equations, coef = model.normal_equations_, model.coef_
    references = np.array([[model.intercept_[symbol] for symbol in equations.species]])
    squares = equations.mean_squares(coef[None], references)
    errors = {target: [] for target in squares}
    parts = {target: [] for target in squares}
    for atoms, result in zip(structures, results, strict=True):
        n = len(atoms)
        rows = dict(zip(("energy", "force", "virial"), model.descriptors_.design_rows(atoms), strict=True))
        for target, key, factor in (
            ("energy", "energy", 1 / n),
            ("force", "forces", 1.0),
            ("virial", "stress", (atoms.get_volume() if atoms.cell.rank == 3 else 0.0) / n),
        ):
            label = atoms.calc.results.get(key)
            if label is not None and target in squares:
                found, label = np.ravel(result[key]) * factor, np.ravel(label) * factor
                errors[target].append(found - label)
                share = np.abs(rows[target]) @ np.abs(coef) / (1.0 if target == "force" else n)
                if target == "energy":
                    share += np.mean([abs(model.intercept_[symbol]) for symbol in atoms.symbols])
                parts[target].append(np.ravel(share) + np.abs(label))
    for target, values in squares.items():
        found = np.concatenate(errors[target])
        if equations.n_rows[target] == len(found):  # or else labels were left out, with a warning
            expected = math.sqrt(np.mean(found**2))
            size = math.sqrt(np.mean(np.concatenate(parts[target]) ** 2))
            # Rounding of the terms, and what the tables of the potential promise.
            rounding = 1e-13 * size + 1e-9
            _close(f"{target} error", math.sqrt(values[0]), expected, 1e-6 * expected + rounding)


def _check_gradient(rng, potential, atoms):
    """Forces and stress against differences of the energy along a random direction."""
    atoms = atoms.copy()
    atoms.calc = None
    result = potential.evaluate(atoms)
    if len(atoms) > 1 or not np.isfinite(result["stress"]).all():
        direction = rng.normal(size=atoms.positions.shape)

        def moved(x):
            other = atoms.copy()
            other.positions += x * direction
            return other

        slope = -np.sum(result["forces"] * direction)
        _check_slope("force", potential, atoms, moved, slope)
    if np.isfinite(result["stress"]).all():
        strain = rng.normal(size=(3, 3))
        strain = 0.5 * (strain + strain.T)

        def strained(x):
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ (np.eye(3) + x * strain))
            other.positions = atoms.positions @ (np.eye(3) + x * strain)
            return other

        voigt = strain[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * [1, 1, 1, 2, 2, 2]
        _check_slope("stress", potential, atoms, strained, result["stress"] @ voigt * atoms.get_volume())


def _check_slope(name, potential, atoms, moved, slope):
    """Central differences at several steps: one of them must agree within what it can tell."""
    terms = np.abs(potential.evaluate(atoms, forces=False, stress=False)["energies"]).sum()
    offset = max((np.abs(atoms.positions).max(initial=0.0), 1.0))
    tried = []
    for step in (1e-3, 1e-4, 1e-5, 1e-6):
        differences = []
        for h in (step, 0.5 * step):
            try:
                high, low = potential.energy(moved(h)), potential.energy(moved(-h))
            except ValueError:  # two atoms have met
                break
            differences.append((high - low) / (2 * h))
        if len(differences) < 2:
            continue
        spread = abs(differences[0] - differences[1])
        rounding = (1e-9 + 1e-14 * terms + 1e-15 * offset * abs(slope)) / step
        tried.append((differences[1], spread, rounding))
        if abs(differences[1] - slope) <= 2 * spread + rounding + 1e-6 * abs(slope) and (
            spread <= 1e-2 * abs(slope) + rounding
        ):
            return
    # No check if no step is small enough for the functions and large enough for rounding.
    if tried and all(spread <= 1e-3 * abs(slope) + rounding for _, spread, rounding in tried[:2]):
        raise AssertionError(f"{name}: {slope!r} along a direction, differences {tried}")


# ------------------------------------------------------------------------------
# Calculators
# ------------------------------------------------------------------------------

_POTENTIALS = {}


def hand_potential(number):
    """A potential made by hand, from a few that are kept."""
    from plip.interactions._terms import build_terms
    from plip.potential import Potential

    if number not in _POTENTIALS:
        rng = np.random.default_rng([7, number])
        species = (("Si",), ("O", "Si"), ("C", "H", "O"), ("Cu",))[number % 4]
        cutoff = (2.0, 3.3, 4.6)[number % 3]
        while True:
            parts = random_interactions(rng, cutoff, len(species))
            terms = build_terms(["*", *species] if number % 5 == 0 else list(species), cutoff, **parts)
            if len(terms) <= 150:
                break
        coef = rng.normal(size=len(terms)) * 0.01
        intercept = {symbol: -1.5 * (n + 1) for n, symbol in enumerate(species)}
        _POTENTIALS[number] = Potential(SimpleNamespace(terms_=terms, species_=species), coef, intercept)
    return _POTENTIALS[number]


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
        atoms = _random_cell(rng, int(rng.integers(1, 7)), list(species), 0.5)
    return atoms


def _closest(atoms):
    from plip._core import NeighborList

    cell = np.ascontiguousarray(atoms.cell.complete().array)
    i, j, S = NeighborList(atoms.positions, cell, atoms.pbc.astype(np.int32), 0.5).to_arrays()
    vectors = atoms.positions[j] - atoms.positions[i] + S @ cell
    return np.linalg.norm(vectors, axis=1).min(initial=0.5)


def _outcome(function):
    try:
        return function(), None
    except ValueError as error:
        return None, error


def check_calculator(rng):
    potential = hand_potential(int(rng.integers(12)))
    calculator = potential.calculator(skin=float(rng.choice([0.0, 0.3, 0.5, 2.0])))
    atoms = _random_cell(rng, int(rng.integers(1, 8)), list(potential.species), rng.choice([0.3, 2.0]))
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

    expected, refused = _outcome(lambda: potential.evaluate(atoms))
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
                    _close("stresses", total, found["stress"], 1e-9 * scale)
        except PropertyNotImplementedError:
            found["stress"] = np.full(6, np.nan)
        return found

    found, also = _outcome(results)
    if (refused is None) != (also is None):
        raise AssertionError(f"step {step}: fresh {refused!r}, calculator {also!r}")
    if not comparable:
        return
    magnitude = np.abs(expected["energies"]).sum() + np.abs(expected["forces"]).max(initial=0.0)
    # Positions far from the origin have fewer digits.
    rounding = 1e-9 * (1.0 + magnitude) * max(1.0, 1e-4 * np.abs(atoms.positions).max(initial=0.0))
    for key in ("energy", "forces"):
        _close(f"step {step}, {key}", found[key], expected[key], rounding)
    assert np.isfinite(found["stress"]).all() == np.isfinite(expected["stress"]).all(), f"step {step}, stress"
    if np.isfinite(expected["stress"]).all() and len(atoms):
        volume = atoms.get_volume()
        size = rounding * max(10.0, 10 * np.abs(atoms.cell.array).max()) / min(volume, 1.0)
        _close(f"step {step}, stress", found["stress"], expected["stress"], size)


# ------------------------------------------------------------------------------
# Files
# ------------------------------------------------------------------------------

HOSTILE = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    5,
    2.7,
    0.0,
    -0.0,
    1e-320,
    1e-12,
    1e308,
    -1e300,
    50,
    10**6,
    2**31,
    2**32 + 1,
    -(2**31),
    2**63,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "1",
    "Si",
    "X",
    "*",
    "two-body",
    "four-body",
    "Gaussian",
    "\ud800",
    "é" * 50,
    [],
    {},
    [[]],
    [1, 1, 0, 5],
    [20, 20, 20],
    [0, 0, 1],
    ["Si", "Si"],
    {"a": 1},
)


def _paths(value, path=()):
    """All places in a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _place(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def mutate_document(rng, document):
    """A JSON document with one to three changes of its structure or values."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        paths = list(_paths(document))[1:]
        if not paths:
            break
        # The top of the document is as likely as all of its terms.
        top = [path for path in paths if len(path) <= 2]
        path = _choice(rng, top if rng.random() < 0.3 else paths)
        owner, key = _place(document, path), path[-1]
        kind = rng.integers(8)
        if kind <= 3:
            owner[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
        elif kind == 4:
            del owner[key]
        elif kind == 5:
            other = _choice(rng, paths)
            try:
                owner[key] = copy.deepcopy(_place(document, other)[other[-1]])
            except (KeyError, IndexError, TypeError):
                pass
        elif kind == 6:
            value = owner[key]
            if isinstance(value, float) or type(value) is int and abs(value) < 2**63:
                owner[key] = value * float(rng.choice([-1.0, 1e-30, 1e30, 1.0000001, 0.5, 100.0]))
            elif isinstance(value, list) and value:
                value.append(copy.deepcopy(_choice(rng, value)))
            elif isinstance(value, dict):
                value["unknown"] = 1
            else:
                owner[key] = [value]
        else:
            value = owner[key]
            if isinstance(value, list) and len(value) > 1:
                rng.shuffle(value)
            else:
                depth = int(rng.choice([1, 3, 2000]))
                for _ in range(depth):
                    value = [value] if rng.random() < 0.5 else {"a": value}
                owner[key] = value
                if depth > 100:  # too deep for what looks for another place
                    break
    return document


def _choice(rng, items):
    return items[rng.integers(len(items))]


def _dump(document):
    """JSON as bytes; deep documents too."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20000)
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    finally:
        sys.setrecursionlimit(limit)


def mutate_bytes(rng, data):
    """Bytes with something flipped, cut, doubled or put in."""
    data = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 8]))):
        if not data:
            break
        at, kind = int(rng.integers(len(data))), rng.integers(6)
        if kind == 0:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 1:
            data[at] = rng.integers(256)
        elif kind == 2:
            del data[at : len(data) if rng.random() < 0.3 else at + int(rng.integers(1, 20))]
        elif kind == 3:
            data[at:at] = data[max(0, at - int(rng.integers(1, 60))) : at]
        elif kind == 4:
            parts = (
                b"NaN",
                b"-Infinity",
                b"1e999",
                b"\x00",
                b"\xef\xbb\xbf",
                b"//",
                b",",
                b"[" * 5000,
                b'"',
                b"-",
                b"00",
            )
            data[at:at] = _choice(rng, parts)
        else:
            digits = [k for k in range(len(data)) if 48 <= data[k] <= 57]
            if digits:
                data[_choice(rng, digits)] = int(rng.integers(48, 58))
    return bytes(data)


def _potential_document(number):
    """The document of a potential made by hand, with a few of its terms only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        hand_potential(number).save(path)
        document = json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng([8, number])
    kept = sorted(rng.permutation(len(document["terms"]))[:12].tolist())
    document["terms"] = [document["terms"][k] for k in kept]
    return document


_DOCUMENTS = {}


def potential_file(rng):
    """The number of a potential made by hand, and bytes of its file, damaged or not."""
    number = int(rng.integers(12))
    if number not in _DOCUMENTS:
        _DOCUMENTS[number] = _potential_document(number)
    document = _DOCUMENTS[number]
    kind = rng.random()
    if kind < 0.6:
        return number, _dump(mutate_document(rng, document))
    if kind < 0.95:
        return number, mutate_bytes(rng, _dump(document))
    return number, _dump(document).decode().encode(str(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))


_FOLDER = None


def _scratch(name):
    global _FOLDER
    if _FOLDER is None:
        _FOLDER = tempfile.TemporaryDirectory(prefix="plip-fuzz-")
        # Or else it is removed with a warning.
        atexit.register(_FOLDER.cleanup)
    return Path(_FOLDER.name, name)


def _refusal(error, path=None):
    """Raise Refused if the error is one that the package may give."""
    if isinstance(error, np.linalg.LinAlgError) or not str(error).strip():
        raise error
    if path is not None and str(path) not in str(error):
        raise AssertionError(f"the message does not name the file: {error!r}") from error
    raise Refused(str(error)) from error


def _probe(potential):
    """A small structure of the species of a potential."""
    from ase import Atoms

    symbols = [potential.species[k % len(potential.species)] for k in range(4)]
    positions = [[0, 0, 0], [1.3, 0.2, 0.1], [0.3, 1.5, -0.2], [-0.6, 0.7, 1.4]]
    return Atoms(symbols, positions, cell=[9.0, 9.0, 9.0], pbc=True)


def check_potential(rng):
    from plip import load_potential

    path = _scratch("model.json")
    path.write_bytes(potential_file(rng)[1])
    try:
        potential = load_potential(path)
    except (ValueError, OSError) as error:
        _refusal(error, path)
    # What loads is evaluated, saved and read again.
    try:
        results = potential.evaluate(_probe(potential))
    except ValueError as error:  # within a changed cutoff, of changed functions
        assert re.search("too many neighbors|is not finite", str(error)), error
        raise Refused(str(error)) from error
    values = np.concatenate([[results["energy"]], results["forces"].ravel(), results["stress"]])
    assert np.isfinite(values).all(), f"numbers that are not finite: {potential.terms}"
    again = _scratch("again.json")
    potential.save(again)
    other = load_potential(again)
    assert other.terms == potential.terms and dict(other.intercept) == dict(potential.intercept)


TARGETS = {"energy": "energy", "force": "force", "stress": "virial"}
_ARCHIVES = {}


def _archive(number):
    """Parts of an archive of normal equations: bytes and arrays by name."""
    if number not in _ARCHIVES:
        from plip import NormalEquations, PLIPDescriptors

        rng = np.random.default_rng([9, number])
        symbols = [["Si"], ["O", "Si"]][number % 2]
        structures = [_random_cell(rng, 4, symbols, 0.3) for _ in range(4)]
        for atoms in structures:
            atoms.pbc = True
            _label(np.random.default_rng(number), [atoms])
        parts = random_interactions(rng, 3.0, len(symbols))
        descriptors = PLIPDescriptors(cutoff=3.0, species=symbols, **parts)
        path = _scratch("whole.npz")
        NormalEquations.from_structures(structures, descriptors).save(path)
        with np.load(path) as archive:
            _ARCHIVES[number] = path.read_bytes(), {name: archive[name] for name in archive.files}
    return _ARCHIVES[number]


def _mutate_array(rng, array):
    kind = rng.integers(14)
    if kind == 0:
        return array[..., :-1]
    if kind == 1:
        return array.astype(np.float32)
    if kind == 2:
        return np.array(str(array))
    if kind == 3:
        return array.ravel()
    if kind == 4:
        return -array
    if kind == 5:
        return array.astype(complex)
    if kind == 6:
        return np.asfortranarray(array)
    if kind == 7:
        return array[None]
    if kind == 8:
        return np.zeros(0)
    if kind == 9:
        return array.astype(np.int64)
    if kind == 10:
        return np.zeros((3,) * 5, bool)
    array = np.array(array)
    if array.size:
        at = tuple(int(rng.integers(n)) for n in array.shape)
        array[at] = rng.choice([np.nan, np.inf, -1e3, 1e200, 0.0])
    return array


def equations_file(rng):
    """Bytes of an archive of normal equations, damaged or not."""
    data, arrays = _archive(int(rng.integers(6)))
    if rng.random() < 0.1:
        return data
    if rng.random() < 0.3:
        data = bytearray(mutate_bytes(rng, data))
        if rng.random() < 0.3 and len(data) > 60:  # a length in the zip's own headers
            data[int(rng.integers(60)) :][:4] = struct.pack("<I", int(rng.integers(2**32)))
        return bytes(data)
    arrays = dict(arrays)
    if rng.random() < 0.8:  # without a digest, as in files of version 0.1.0
        header = json.loads(str(arrays["header"]))
        header.pop("digest", None)
        arrays["header"] = np.array(json.dumps(header))
    for _ in range(int(rng.choice([1, 1, 2]))):
        if rng.random() < 0.5 and "header" in arrays:
            try:
                header = mutate_document(rng, json.loads(str(arrays["header"])))
            except (ValueError, RecursionError):  # changed before
                break
            arrays["header"] = np.array(_dump(header).decode("utf-8", "surrogatepass"))
            continue
        names = sorted(arrays)
        if not names:
            break
        name, kind = _choice(rng, names), rng.integers(8)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            other = _choice(rng, names)
            arrays[name], arrays[other] = arrays[other], arrays[name]
        elif kind == 2:
            arrays["more"] = arrays[name]
        elif arrays[name].dtype.kind == "f":
            arrays[name] = _mutate_array(rng, arrays[name])
        else:
            arrays[name] = _choice(rng, [np.zeros(3), np.array(b"{}"), np.array("[]"), np.array({}, object)])
    file = io.BytesIO()
    try:
        np.savez(file, **arrays)
    except (UnicodeEncodeError, ValueError):
        return b""
    return file.getvalue()


def check_equations(rng):
    from plip import NormalEquations, PLIPRegressor

    path = _scratch("equations.npz")
    path.write_bytes(equations_file(rng))
    try:
        equations = NormalEquations.load(path)
    except (ValueError, OSError) as error:
        _refusal(error, path)
    again = _scratch("again.npz")
    equations.save(again)
    other = NormalEquations.load(again)
    assert other.terms == equations.terms and other.n_rows == equations.n_rows
    weights = {f"{name}_weight": float(equations.weight_sums[target] > 0) for name, target in TARGETS.items()}
    try:
        (equations + other).problem(**weights)
        model = PLIPRegressor(max_terms=3, **weights).fit_normal_equations(equations)
    except ValueError as error:  # of changed weights, or functions whose size no data say
        assert re.search("is not finite|overflow", str(error)), error
        _refusal(error)
    assert np.isfinite(model.coef_).all()


# ------------------------------------------------------------------------------
# The reader of the LAMMPS plugin
# ------------------------------------------------------------------------------

_LAMMPS = {}
# Angstrom; LAMMPS itself holds 2000 neighbors, and writes beyond its memory for very many.
_LAMMPS_CUTOFF = 40.0


def _lammps(species):
    """A LAMMPS with the plugin and the probe structure; LAMMPS_PLUGIN_PATH says where the plugin is."""
    if species not in _LAMMPS:
        from lammps import lammps

        lmp = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        lmp.commands_string(
            f"units metal\natom_style atomic\natom_modify map array sort 0 0\nboundary p p p\n"
            f"region box block 0 9 0 9 0 9\ncreate_box {len(species)} box\nmass * 1.0"
        )
        atoms = _probe(SimpleNamespace(species=species))
        for atom in atoms:
            x, y, z = atom.position + 2.0
            lmp.command(f"create_atoms {species.index(atom.symbol) + 1} single {x} {y} {z}")
        lmp.command("pair_style plip")
        _LAMMPS[species] = lmp
    return _LAMMPS[species]


def check_plugin(rng):
    """LAMMPS and Python both refuse a file, or give the same energy."""
    from plip import load_potential

    path = _scratch("model.json")
    number, data = potential_file(rng)
    path.write_bytes(data)
    species = hand_potential(number).species
    potential, refused = _outcome(lambda: load_potential(path))
    lmp = _lammps(species)
    energy = problem = None
    try:
        lmp.command(f"pair_coeff * * {path} {' '.join(species)}")
        if potential is None or potential.cutoff < _LAMMPS_CUTOFF:
            lmp.command("run 0 post no")
            energy = lmp.get_thermo("pe")
    except Exception as error:  # what the module of LAMMPS raises has no type of its own
        problem = error
    if potential is not None and set(species) - set(potential.species):
        if problem is None:
            raise AssertionError("LAMMPS runs with a species that the file does not have")
        raise Refused("species")
    if refused is None and potential.cutoff < _LAMMPS_CUTOFF:
        # A readable file may still give energies that are not finite; then both report that.
        with np.errstate(all="ignore"):
            probe = _probe(SimpleNamespace(species=species))
            expected, refused = _outcome(lambda: potential.energy(probe))
    if (problem is None) != (refused is None):
        raise AssertionError(f"Python: {refused!r}; LAMMPS: {problem!r}")
    if refused is not None:
        raise Refused(str(refused))
    if energy is not None and np.isfinite(expected):
        size = sum(abs(coefficient) for _, coefficient in potential.terms) + abs(expected)
        _close("energy", energy, expected, 1e-9 * size + 1e-8)


KINDS = {
    "models": check_model,
    "calculators": check_calculator,
    "potentials": check_potential,
    "equations": check_equations,
    "plugin": check_plugin,
}


# ------------------------------------------------------------------------------
# Running
# ------------------------------------------------------------------------------


def check(kind, seed):
    """Check the input of a seed; returns "held" or "refused", raises whatever is wrong."""
    rng = np.random.default_rng([list(KINDS).index(kind), seed])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A warning of NumPy points to a number that is not checked.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            KINDS[kind](rng)
        except Refused:
            return "refused"
    return "held"


def _child(kind, first, last, seconds):
    # Imports may take longer than an input.
    from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, load_potential  # noqa: F401

    faulthandler.enable()
    for seed in range(first, last):
        print("begin", seed, flush=True)
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            outcome = check(kind, seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = traceback.extract_tb(error.__traceback__)
            place = next((f for f in reversed(frames) if "/plip/" in f.filename), frames[-1])
            message = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:400]
            outcome = f"failed {Path(place.filename).name}:{place.lineno} {message}"
        faulthandler.cancel_dump_traceback_later()
        print("end", outcome, flush=True)


def run(kind, first, count, seconds=LIMIT):
    """Check `count` inputs from the seed `first` on, in processes of their own.

    Returns
    -------
    counts : Counter
        "held", "refused", "failed", "crashed", "hung".
    failures : list of (int, str)
        Seeds and what happened.
    """
    counts, failures = Counter(), []
    seed, last = first, first + count
    while seed < last:
        command = [sys.executable, __file__, kind, str(seed), str(last), str(seconds)]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
        ):
            begun = None
            for line in child.stdout:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "begin":
                    begun = int(rest)
                elif word == "end":
                    outcome, _, message = rest.partition(" ")
                    counts[outcome] += 1
                    if message:
                        failures.append((begun, message))
                    seed, begun = begun + 1, None
            code = child.wait()
            errors.seek(0)
            text = errors.read()
        if begun is None and code:
            raise RuntimeError(f"the checks could not run: {text[-2000:]}")
        if begun is not None:
            outcome = "hung" if "Timeout (" in text else "crashed"
            counts[outcome] += 1
            failures.append((begun, f"{outcome} with exit code {code}: {text[-1500:]}"))
            seed = begun + 1
    return counts, failures


if __name__ == "__main__":
    _kind, _first, _last, *_rest = sys.argv[1:]
    _child(_kind, int(_first), int(_last), float(_rest[0]) if _rest else LIMIT)
