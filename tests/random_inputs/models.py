"""Random fits: design rows, normal equations and potential agree, and forces are gradients."""

import math

import numpy as np

from random_inputs.interactions import random_interactions
from random_inputs.structures import random_structure
from random_inputs.verdicts import assert_close, refusal


def label_structures(rng, structures):
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
    has = label_structures(rng, structures)
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


def check_model(rng):
    from plip import Potential
    from plip.regressor import FitError
    from plip.solvers import PathError

    structures, model = random_fit(rng)
    try:
        model.fit(structures)
    except (ValueError, TypeError, PathError, FitError) as error:
        refusal(error)
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
        assert_close(f"energy {index}", result["energy"], values @ coef + reference, 1e-6 * size + close)
        size = (np.abs(forces) @ np.abs(coef)).max()
        assert_close(f"forces {index}", result["forces"].ravel(), forces @ coef, 1e-6 * size + close)
        if np.isfinite(result["stress"]).all():
            size = (np.abs(virial) @ np.abs(coef)).max()
            stress = result["stress"] * atoms.get_volume()
            assert_close(f"virial {index}", stress, virial @ coef, 1e-6 * size + 10 * close)
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
            assert_close(f"{target} error", math.sqrt(values[0]), expected, 1e-6 * expected + rounding)


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
    if abs(slope) * 1e-6 > 1.0:
        return  # Floors of the energy act within an eV, which is less than a step.
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
