"""How uncertain a fitted potential is: the covariance of its terms, and errors where it was not fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.stats import norm

from plip._core import TermValues
from plip._design._rows import Design, StructureDesign
from plip._structures._composition import composition_of
from plip._structures._evaluation import find_pairs, take_atoms
from plip._types import BoolArray, FloatArray, Int32Array, IntArray
from plip.labels import LabelledStructures
from plip.normal_equations import NormalEquations
from plip.normal_equations._sums import single_blas_thread
from plip.potential import Potential
from plip.potential._uncertainty import NEIGHBORS, References, Uncertainty, forward
from plip.solvers import LinearProblem

__all__ = ["Fold", "find_uncertainty"]

# Errors of forces are looked at in structures of about so many atoms, taken at random.
_LOOKED_AT = 1_500
# Atoms, and structures, that a potential remembers.
_MOST_REFERENCES = 2_000
# Atoms of each species whose errors are compared with those of others.
_TRIED = 500
# Atoms that tell how terms vary, and how large errors of energies are; their terms are in memory.
_MOST_IN_MEMORY = 50_000
# Directions in which surroundings differ most.
_DIRECTIONS = 8
# Part of the diagonal that keeps factors of columns that depend on each other from breaking down.
_RIDGE = 1e-10
# A column that no structure touches is known this much less than the others.
_UNKNOWN = 1e-2
# Least leverage over the mean one, where symmetry leaves nothing to predict: 1e-3 of the usual errors.
_LEAST = 1e-6
# Share of errors that standard deviations are scaled for, since errors have longer tails than a normal
# distribution.
_SHARE = 0.9
# Distances in the data are met by rounding.
_ROUNDING = 1e-9
# Structures whose terms are in memory at a time, beyond those that stay there.
_BATCH = 1_000
_SEED = 0


@dataclass(frozen=True, eq=False)
class Fold:
    """Structures that a model was not fitted to, and this model.

    Attributes
    ----------
    test : ndarray of int
        Places of the structures in the data.
    coef : ndarray of float64, shape (n_terms,)
    references : ndarray of float64, shape (n_species,)
    """

    test: IntArray
    coef: FloatArray
    references: FloatArray


@dataclass(frozen=True, eq=False)
class _Model:
    """The fit, and which columns of a design are its terms."""

    coef: FloatArray
    intercept: FloatArray
    kept: IntArray
    factor: FloatArray
    composition: FloatArray
    weights: Mapping[str, float]
    weight_sum: float


@dataclass(frozen=True, eq=False)
class _Errors:
    """Squared errors of a structure, by a model that has not seen it and by the fit, and leverages.

    Attributes
    ----------
    sample : ndarray of int, shape (m,)
        Atoms whose errors are there.
    of_force : ndarray of float64, shape (m, 2, 3)
    leverages : ndarray of float64, shape (m,)
        The mean over components.
    unseen_energy : float
        Error of the energy per atom in eV by a fit without the structure; NaN with folds.
    """

    sample: IntArray
    of_force: FloatArray
    leverages: FloatArray
    unseen_energy: float


@single_blas_thread()
def find_uncertainty(
    potential: Potential,
    coef: FloatArray,
    equations: NormalEquations,
    problem: LinearProblem,
    fixed_references: Mapping[str, float] | None,
    weights: Mapping[str, float],
    data: LabelledStructures,
    folds: Sequence[Fold] | None = None,
    n_jobs: int | None = None,
) -> Uncertainty | None:
    """What a potential has to know of its errors.

    Parameters
    ----------
    potential : Potential
    coef : ndarray of float64, shape (n_terms,)
        Coefficients; those that are not zero are the terms of the potential.
    equations : NormalEquations
        Of all the data.
    problem : LinearProblem
        Theirs, as it was solved.
    fixed_references : mapping or None
        Reference energies that were not fitted.
    weights : mapping of str to float
        Weight of each target in the fit.
    data : LabelledStructures
        The structures, or those that are left of them.
    folds : sequence of Fold, or None
        Cross-validation. Without it, errors are those of a fit of the same terms without the structure.
    n_jobs : int or None
        joblib workers; they change no bit.

    Returns
    -------
    Uncertainty or None
        None for a potential without terms.
    """
    kept = np.flatnonzero(coef)
    if not len(kept):
        return None
    scales, factor = _factor(problem, kept)
    union = np.flatnonzero((np.array([coef, *(fold.coef for fold in folds or ())]) != 0).any(axis=0))
    terms = [equations.terms[n] for n in union]
    model = _Model(
        coef[union],
        np.array([potential.intercept[symbol] for symbol in potential.species]),
        np.searchsorted(union, kept),
        factor,
        _composition(equations, kept, fixed_references),
        weights,
        problem.weight_sum,
    )
    order = np.random.default_rng(_SEED).permutation(len(data))
    surveyed = order[: int(np.searchsorted(np.cumsum(data.n_atoms[order]), _MOST_IN_MEMORY)) + 1]
    found = _terms_of_atoms(potential, TermValues(potential.species, terms), data, surveyed, n_jobs)
    shares = [np.ascontiguousarray(values[:, model.kept]) for _, values in found]
    species_a, every = np.concatenate([species for species, _ in found]), np.vstack(shares)
    leverage_factor = _scaled_factor(every.T @ every, scales)
    models = [_fold_model(folds, number, union) for number in _held_out(folds, len(data))[surveyed].tolist()]
    rows = data.take(surveyed)
    errors = _errors_of_forces(Design(terms, potential.species), rows, models, model, n_jobs)
    of_atoms, least_force = _references_of_atoms(
        errors, shares, [species for species, _ in found], coef[kept], potential.species
    )
    totals = np.array([values.sum(axis=0) for _, values in found])
    unseen = np.array([one.unseen_energy for one in errors])
    of_structures, least_energy = _references_of_structures(
        rows, potential.species, totals, models, unseen, model, coef[kept]
    )
    return Uncertainty(
        factor,
        leverage_factor,
        _limits(potential, data, surveyed, species_a, every, leverage_factor, n_jobs),
        {pair: d * (1.0 - _ROUNDING) for pair, d in (equations.shortest_distances or {}).items()},
        model.composition,
        of_atoms,
        of_structures,
        (least_force, least_energy),
    )


def _terms_of_atoms(
    potential: Potential,
    term_values: TermValues,
    data: LabelledStructures,
    rows: IntArray,
    n_jobs: int | None,
) -> list[tuple[Int32Array, FloatArray]]:
    """Species and terms of each atom of some structures, as the potential has its neighbors."""

    def of_structure(atoms: Atoms) -> tuple[Int32Array, FloatArray]:
        species, positions, cell = take_atoms(potential.species, atoms)
        neighbors = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
        return species, term_values.values(neighbors, positions, cell, species)

    jobs = (joblib.delayed(of_structure)(data.structures[row]) for row in rows.tolist())
    # The core is of this process; sending it elsewhere would take longer than the work.
    found: list[tuple[Int32Array, FloatArray]] = joblib.Parallel(n_jobs=n_jobs, require="sharedmem")(jobs)
    return found


def _limits(
    potential: Potential,
    data: LabelledStructures,
    surveyed: IntArray,
    species_a: Int32Array,
    shares: FloatArray,
    factor: FloatArray,
    n_jobs: int | None,
) -> dict[str, float]:
    """Largest leverage of the atoms of each species; those of the surveyed structures are at hand."""
    limits = np.zeros(len(potential.species))

    def look_at(species_a: Int32Array, terms: FloatArray) -> None:
        # Atoms without neighbors have no leverage, and are no extrapolation either.
        np.maximum.at(limits, species_a, forward(factor, terms) + np.finfo(np.float64).tiny)

    look_at(species_a, shares)
    rest = np.setdiff1d(np.arange(len(data)), surveyed)
    for part in np.array_split(rest, len(rest) // _BATCH + 1):
        for species, values in _terms_of_atoms(potential, potential.term_values, data, part, n_jobs):
            look_at(species, values)
    # The core adds up in another order.
    limits *= 1.0 + _ROUNDING
    found = zip(potential.species, limits.tolist(), strict=True)
    return {symbol: limit for symbol, limit in found if limit > 0}


def _factor(problem: LinearProblem, kept: IntArray) -> tuple[FloatArray, FloatArray]:
    """Scales of the kept columns, and the triangular factor of their normal matrix."""
    matrix = problem.gram[np.ix_(kept, kept)] / problem.weight_sum
    if problem.ridge is not None:
        matrix[np.diag_indices_from(matrix)] += problem.ridge[kept]
    scales = np.sqrt(np.diagonal(matrix))
    known = scales > 0
    scales = np.where(known, scales, _UNKNOWN * (scales[known].min() if known.any() else 1.0))
    return scales, _scaled_factor(matrix, scales)


def _scaled_factor(matrix: FloatArray, scales: FloatArray) -> FloatArray:
    """Triangular factor of a normal matrix; columns of zeros get the square of their scale."""
    diagonal = np.sqrt(np.diagonal(matrix))
    own = np.where(diagonal > 0, diagonal, scales)
    scaled = matrix / own / own[:, None]
    ridge = _RIDGE
    while True:
        scaled[np.diag_indices_from(scaled)] = 1.0 + ridge
        try:
            factor: FloatArray = cholesky(scaled, lower=True)
        except LinAlgError:
            ridge *= 10.0
            continue
        return factor * own[:, None]


def _composition(
    equations: NormalEquations, kept: IntArray, fixed_references: Mapping[str, float] | None
) -> FloatArray:
    """What fitted reference energies take off the terms of an atom of each species, (n_species, n_kept)."""
    if fixed_references is not None or not equations.n_rows["energy"]:
        return np.zeros((len(equations.species), len(kept)))
    units = np.zeros((len(kept) + 1, len(equations.terms)))
    units[np.arange(len(kept)), kept] = 1.0
    energies = equations.references(units)
    return np.ascontiguousarray((energies[-1] - energies[:-1]).T)


def _sampled_atoms(structures: Sequence[Atoms], species: Sequence[str]) -> list[IntArray]:
    """Atoms of structures whose errors are looked at: as many of each species, at random."""
    rng = np.random.default_rng(_SEED)
    symbols = np.concatenate([np.array(atoms.get_chemical_symbols()) for atoms in structures])
    owner = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    atom = np.concatenate([np.arange(len(atoms)) for atoms in structures])
    share = max(_MOST_REFERENCES // len(species), 4 * NEIGHBORS)
    of_species = (rng.permutation(np.flatnonzero(symbols == symbol))[:share] for symbol in species)
    rows = np.sort(np.concatenate(list(of_species)))
    return [atom[rows[owner[rows] == number]] for number in range(len(structures))]


def _held_out(folds: Sequence[Fold] | None, n: int) -> IntArray:
    """The first fold that holds each structure out, or -1."""
    held_out = np.full(n, -1)
    for number, fold in reversed(list(enumerate(folds or ()))):
        held_out[fold.test] = number
    return held_out


def _fold_model(
    folds: Sequence[Fold] | None, number: int, union: IntArray
) -> tuple[FloatArray, FloatArray] | None:
    """Coefficients and reference energies of a fold; NaN where none holds the structure out."""
    if folds is None:
        return None
    if number < 0:
        return np.full(len(union), np.nan), np.full(len(folds[0].references), np.nan)
    return folds[number].coef[union], folds[number].references


def _errors_of_forces(
    design: Design,
    data: LabelledStructures,
    models: Sequence[tuple[FloatArray, FloatArray] | None],
    model: _Model,
    n_jobs: int | None,
) -> list[_Errors]:
    """Errors of the first structures."""
    n_looked_at = int(np.searchsorted(np.cumsum(data.n_atoms), _LOOKED_AT)) + 1
    samples = _sampled_atoms(data.structures[:n_looked_at], design.species)
    jobs = (
        joblib.delayed(_errors)(design, data.take(np.array([row])), sample, model, models[row])
        for row, sample in enumerate(samples)
    )
    found: list[_Errors] = joblib.Parallel(n_jobs=n_jobs, prefer="threads")(jobs)
    return found


def _errors(
    design: Design,
    data: LabelledStructures,
    sample: IntArray,
    model: _Model,
    fold: tuple[FloatArray, FloatArray] | None,
) -> _Errors:
    """Errors of one structure."""
    atoms, labels = data.structures[0], data.labels
    n_atoms = len(atoms)
    rows = StructureDesign(design, atoms)
    force_rows, virial_rows = np.empty((3 * n_atoms, len(design.terms))), np.zeros((6, len(design.terms)))
    rows.write_rows(0, force_rows, virial_rows if fold is None else None)
    forces = None if labels.forces is None else labels.forces[0]
    if forces is None:
        forces = np.full((n_atoms, 3), np.nan)
    fit = (force_rows @ model.coef).reshape(-1, 3) - forces
    kept_rows = np.ascontiguousarray(force_rows[:, model.kept])
    unseen_energy = np.nan
    if fold is None:
        energy = np.nan if labels.energy is None else labels.energy[0]
        of_energy = float(rows.values @ model.coef + rows.counts @ model.intercept - energy) / n_atoms
        energy_row = (rows.values[model.kept] - rows.counts @ model.composition) / n_atoms
        change = _change(data, model, kept_rows, virial_rows[:, model.kept], energy_row, (fit, of_energy))
        unseen = fit + (kept_rows @ change).reshape(-1, 3)
        unseen_energy = float(of_energy + energy_row @ change)
    else:
        unseen = (force_rows @ fold[0]).reshape(-1, 3) - forces
    of_sample = kept_rows.reshape(n_atoms, 3, len(model.kept))[sample].reshape(-1, len(model.kept))
    return _Errors(
        sample,
        np.stack([np.square(part[sample]) for part in (unseen, fit)], axis=1),
        forward(model.factor, of_sample).reshape(-1, 3).mean(axis=1),
        unseen_energy,
    )


def _change(
    data: LabelledStructures,
    model: _Model,
    force_rows: FloatArray,
    virial_rows: FloatArray,
    energy_row: FloatArray,
    fit: tuple[FloatArray, float],
) -> FloatArray:
    """Change of the coefficients if this structure is left out of the normal equations.

    With rows R and errors r of the structure, (A - R^T R) dw = R^T r.
    """
    labels = data.labels
    weight_of = np.broadcast_to(labels.sample_weight.reshape(1, -1), (1, 3))[0]
    virial_errors = np.zeros(6) if labels.stress is None else labels.stress[0]
    parts = {
        "energy": (energy_row[None], np.array([fit[1]])),
        "force": (force_rows, fit[0].ravel()),
        # Errors of the virial are left aside: the terms that it fixes count, not what it says.
        "virial": (virial_rows / len(data.structures[0]), 0.0 * virial_errors),
    }
    gram, moment = np.zeros((len(energy_row), len(energy_row))), np.zeros(len(energy_row))
    for (target, (rows, errors)), weight in zip(parts.items(), weight_of, strict=True):
        if np.isfinite(errors).all():
            square = model.weights[target] ** 2 * weight / model.weight_sum
            gram += square * rows.T @ rows
            moment += square * rows.T @ errors
    matrix = model.factor @ model.factor.T
    scale = np.sqrt(np.diagonal(matrix))
    left = (matrix - gram) / scale / scale[:, None]
    # Rounding must not make a structure say more than all data.
    left[np.diag_indices_from(left)] += 1e-6
    try:
        change: FloatArray = cho_solve((cholesky(left, lower=True), True), moment / scale) / scale
    except LinAlgError:
        return np.zeros(len(energy_row))
    return change


def _references_of_atoms(
    found: Sequence[_Errors],
    shares: Sequence[FloatArray],
    kinds: Sequence[Int32Array],
    coef: FloatArray,
    species: Sequence[str],
) -> tuple[dict[str, References], float]:
    """Errors of forces by surroundings, scaled to hold the share that they should; the least leverage."""
    triples = list(zip(found, shares, kinds, strict=False))
    species_a = np.concatenate([of_structure[one.sample] for one, _, of_structure in triples])
    terms = np.vstack([values[one.sample] for one, values, _ in triples])
    of_structure = np.repeat(np.arange(len(found)), [len(errors.sample) for errors in found])
    leverages = np.concatenate([errors.leverages for errors in found])
    least = _LEAST * float(leverages.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.vstack([one.of_force for one in found]) / (leverages + least)[:, None, None]
    squares = errors.mean(axis=2)
    expected = np.full(len(squares), np.nan)
    axes, points = {}, {}
    for number, own in _by_species(species_a):
        axes[number] = _axes(terms[own], coef)
        points[number] = _as_in_a_file(terms[own] @ axes[number])
        # Some of them tell how errors scatter about their mean.
        tried = np.arange(0, int(own.sum()), max(int(own.sum()) // _TRIED, 1))
        near = References(axes[number], points[number], squares[own])
        expected[np.flatnonzero(own)[tried]] = near.squares_without(tried, of_structure[own])
    squares = _as_in_a_file(squares * _calibration(errors, expected))
    return {
        species[number]: References(axes[number], points[number], squares[own])
        for number, own in _by_species(species_a)
    }, least


def _references_of_structures(
    data: LabelledStructures,
    species: Sequence[str],
    totals: FloatArray,
    models: Sequence[tuple[FloatArray, FloatArray] | None],
    unseen: FloatArray,
    model: _Model,
    coef: FloatArray,
) -> tuple[References, float]:
    """Errors of energies by structure, scaled to hold the share that they should; the least leverage.

    `unseen` are errors per atom of the first structures, NaN where folds have them.
    """
    n = min(len(data), _MOST_REFERENCES)
    counts = composition_of(data.structures[:n], [atomic_numbers[symbol] for symbol in species])
    sizes, totals = data.n_atoms[:n], totals[:n]
    means = totals[:, model.kept] / sizes[:, None]
    axes = _axes(means, coef)
    energy = np.full(n, np.nan) if data.labels.energy is None else data.labels.energy[:n]
    by_fit = (totals @ model.coef + counts @ model.intercept - energy) / sizes
    by_others = np.append(unseen, np.full(n, np.nan))[:n]
    for row, other in enumerate(models[:n]):
        if other is not None:
            by_others[row] = (totals[row] @ other[0] + counts[row] @ other[1] - energy[row]) / sizes[row]
    energy_rows = (totals[:, model.kept] - counts @ model.composition) / sizes[:, None]
    leverages = forward(model.factor, energy_rows)
    least = _LEAST * float(leverages.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(np.column_stack([by_others, by_fit])) * (sizes / (leverages + least))[:, None]
    points = _as_in_a_file(means @ axes)
    every = np.arange(n)
    expected = References(axes, points, squares).squares_without(every, every)
    squares = _as_in_a_file(squares * _calibration(squares[..., None], expected))
    return References(axes, points, squares), least


def _by_species(species_a: Int32Array) -> Iterator[tuple[int, BoolArray]]:
    for number in np.unique(species_a).tolist():
        yield number, species_a == number


def _axes(terms: FloatArray, coef: FloatArray) -> FloatArray:
    """Directions of the largest variance of the contributions of the terms, scaled to variance 1."""
    contributions = (terms - terms.mean(axis=0)) * coef
    _, spread, directions = np.linalg.svd(contributions, full_matrices=False)
    spread = spread[:_DIRECTIONS]
    differing = spread > max(1e-8 * spread[0], np.finfo(np.float64).tiny)
    inverse = np.where(differing, np.sqrt(len(terms)) / np.where(differing, spread, 1.0), 0.0)
    axes: FloatArray = directions[:_DIRECTIONS].T * inverse * coef[:, None]
    return axes


def _as_in_a_file(values: FloatArray) -> FloatArray:
    """Rounded as a file keeps them, so that a potential from a file gives the same bits."""
    return values.astype(np.float32).astype(np.float64)


def _calibration(errors: FloatArray, expected: FloatArray) -> float:
    """The factor of variances that puts `_SHARE` of the errors within their intervals.

    Parameters
    ----------
    errors : ndarray of float64, shape (n, 2, m)
        m squared errors, of unseen and of fitted data; the larger factor of both is taken.
    expected : ndarray of float64, shape (n,)
        Their variance before.
    """
    factors = []
    for kind in range(2):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = errors[:, kind] / expected[:, None]
        ratio = ratio[np.isfinite(ratio)]
        if len(ratio):
            factors.append(float(np.quantile(ratio, _SHARE) / norm.ppf(0.5 + _SHARE / 2) ** 2))
    return max(factors, default=1.0)
