"""How uncertain a fitted potential is: the covariance of its terms, and errors where it was not fitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.linalg import LinAlgError, cho_solve, cholesky, eigh
from scipy.spatial.distance import cdist
from scipy.stats import norm

from plip._design._rows import Design, StructureDesign
from plip._structures._checks import has_full_cell
from plip._structures._composition import composition_of
from plip._types import BoolArray, FloatArray, Int32Array, IntArray
from plip._workers import new_workers
from plip.labels import LabelledStructures
from plip.normal_equations import NormalEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.potential import Potential
from plip.potential._uncertainty import NEIGHBORS, References, Uncertainty, as_in_a_file, forward
from plip.regressor._precision import factor_of
from plip.regressor._survey import (
    MOST_IN_MEMORY,
    AtomTerms,
    Survey,
    summaries_of_atoms,
    terms_of_atoms,
)

__all__ = ["Fold", "columns_of", "find_uncertainty"]

# Errors of forces are looked at in structures of about so many atoms, or of this part of all, spread evenly
# over the energies, and in others of half as many atoms, which differ most from those and from each other.
_FEWEST_LOOKED_AT, _MOST_LOOKED_AT = 500, 1_500
_LOOKED_AT = 0.05
_UNUSUAL = 0.5
# Atoms, and structures, that a potential remembers.
_MOST_REFERENCES = 2_000
# Atoms of each species whose errors are compared with those of others.
_TRIED = 500
# Rows that are multiplied at a time.
_ROWS = 4096
# Directions in which surroundings differ most.
_DIRECTIONS = 8
# eV. A term of an atom matters from this contribution on.
_NOTHING = 1e-3
# Part of the diagonal that keeps what is left without a structure from breaking down.
_LEFT_OUT = 1e-9
# Least leverage over the mean one, where symmetry leaves nothing to predict: 1e-3 of the usual errors.
_LEAST = 1e-6
# Leverage over the mean one from which on an error tells something of others.
_TELLING = 1e-4
# Share of errors that standard deviations are scaled for, since errors have longer tails than a normal
# distribution.
_SHARE = 0.9
# Distances in the data are met by rounding.
_ROUNDING = 1e-9
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
    matrix: FloatArray
    factor: FloatArray
    weights: Mapping[str, float]

    @property
    def n_references(self) -> int:
        """Number of fitted reference energies, which come before the terms in matrix and factor."""
        return len(self.matrix) - len(self.kept)

    def energy_rows(self, totals: FloatArray, counts: FloatArray) -> FloatArray:
        """Rows of energies per atom, (n, m), from terms and numbers of atoms of structures."""
        rows = np.hstack([counts, totals[:, self.kept]]) / counts.sum(axis=1, keepdims=True)
        return np.ascontiguousarray(rows[:, -len(self.matrix) :])


@dataclass(frozen=True, eq=False)
class _Errors:
    """Squared errors of a structure, by a model that has not seen it and by the fit.

    Attributes
    ----------
    sample : ndarray of int, shape (m,)
        Atoms whose errors are there.
    of_force : ndarray of float64, shape (m, 2, 3)
    rows : ndarray of float64, shape (3 m, n_terms)
        Rows of the forces on these atoms.
    unseen_energy : float
        Error of the energy per atom in eV by a fit without the structure; NaN with folds.
    """

    sample: IntArray
    of_force: FloatArray
    rows: FloatArray
    unseen_energy: float


@single_blas_thread()
def find_uncertainty(
    potential: Potential,
    coef: FloatArray,
    equations: NormalEquations,
    precision: tuple[FloatArray, FloatArray, IntArray],
    weights: Mapping[str, float],
    data: LabelledStructures,
    survey: Survey,
    folds: Sequence[Fold] | None = None,
    n_jobs: int | None = None,
) -> Uncertainty:
    """What a potential has to know of its errors.

    Parameters
    ----------
    potential : Potential
    coef : ndarray of float64, shape (n_terms,)
        Coefficients; those that are not zero are the terms of the potential.
    equations : NormalEquations
        Of all the data.
    precision : tuple
        From `coefficient_precision`.
    weights : mapping of str to float
        Weight of each target in the fit.
    data : LabelledStructures
        The structures, or those that are left of them.
    survey : Survey
        Of the equations; it spares work if it holds these structures.
    folds : sequence of Fold, or None
        Cross-validation. Without it, errors are those of a fit of the same terms without the structure.
    n_jobs : int or None
        joblib workers; they change no bit.

    Returns
    -------
    Uncertainty
    """
    matrix, prior, kept = precision
    union = columns_of([coef, *(fold.coef for fold in folds or ())])
    terms = [equations.terms[n] for n in union]
    model = _Model(
        coef[union],
        np.array([potential.intercept[symbol] for symbol in potential.species]),
        np.searchsorted(union, kept),
        matrix,
        factor_of(matrix + np.diag(prior)),
        weights,
    )
    order = np.random.default_rng(_SEED).permutation(len(data))
    surveyed = order[: int(np.searchsorted(np.cumsum(data.n_atoms[order]), MOST_IN_MEMORY)) + 1]
    structures = [data.structures[row] for row in surveyed]
    places = survey.places(structures)
    if places is None:
        found = terms_of_atoms(potential.species, terms, structures, n_jobs)
    else:
        of_sample = list(survey.values(union))
        found = (of_sample[place] for place in places)
    rows = data.take(surveyed)
    kinds, every, totals = _gathered(found, rows.n_atoms, model.kept, len(union))
    borders = np.cumsum(rows.n_atoms)[:-1]
    shares, species_a = np.split(every, borders), np.concatenate(kinds)
    # A term that no atom of the data has is far away once it matters.
    leverage_factor = factor_of(every.T @ every, _NOTHING / np.abs(coef[kept]))
    models = [_fold_model(folds, number, union) for number in _held_out(folds, len(data))[surveyed].tolist()]
    looked_at, n_typical = _looked_at(every, rows.n_atoms, coef[kept])
    errors = _errors_of_forces(
        Design(terms, potential.species),
        rows.take(looked_at),
        [models[row] for row in looked_at],
        model,
        n_jobs,
    )
    of_atoms, least_force = _references_of_atoms(
        errors,
        n_typical,
        [shares[row] for row in looked_at],
        [kinds[row] for row in looked_at],
        model,
        potential.species,
    )
    unseen = np.full(len(rows), np.nan)
    unseen[looked_at] = [one.unseen_energy for one in errors]
    of_structures, least_energy = _references_of_structures(
        rows, potential.species, totals, models, unseen, model
    )
    return Uncertainty(
        model.factor,
        leverage_factor,
        _limits(potential, data, surveyed, species_a, every, leverage_factor, n_jobs),
        _shortest_distances(equations),
        of_atoms,
        of_structures,
        (least_force, least_energy),
    )


def _shortest_distances(equations: NormalEquations) -> dict[tuple[str, str], float]:
    """That of a pair that never meets is how far the data were searched: files hold no infinity."""
    searched = max((term.cutoff for term in equations.terms), default=np.inf)
    shortest = {pair: min(d, searched) for pair, d in (equations.shortest_distances or {}).items()}
    return {pair: d * (1.0 - _ROUNDING) for pair, d in shortest.items() if np.isfinite(d)}


def columns_of(coefs: Sequence[FloatArray]) -> IntArray:
    """Columns that any of some models has as terms."""
    return np.flatnonzero((np.array(coefs) != 0).any(axis=0))


def _gathered(
    found: Iterable[tuple[Int32Array, FloatArray]], n_atoms: IntArray, kept: IntArray, n_columns: int
) -> tuple[list[Int32Array], FloatArray, FloatArray]:
    """What is needed of the columns of the atoms of structures, which are held one at a time.

    Returns
    -------
    kinds : list of ndarray of int32, shape (n_atoms,)
        Species of the atoms of each structure.
    every : ndarray of float64, shape (sum of n_atoms, n_kept)
        The kept columns of all atoms.
    totals : ndarray of float64, shape (n_structures, n_columns)
        Sums over the atoms of each structure.
    """
    kinds = []
    every, totals = np.empty((n_atoms.sum(), len(kept))), np.empty((len(n_atoms), n_columns))
    first = 0
    for row, (species_a, values) in enumerate(found):
        kinds.append(species_a)
        every[first : first + len(values)] = values[:, kept]
        totals[row] = values.sum(axis=0)
        first += len(values)
    return kinds, every, totals


def _looked_at(every: FloatArray, n_atoms: IntArray, coef: FloatArray) -> tuple[IntArray, int]:
    """Structures whose errors of forces are looked at, and how many of them, the first ones, are typical.

    Parameters
    ----------
    every : ndarray of float64, shape (sum of n_atoms, n_terms)
        Terms of the atoms of all structures.
    n_atoms : ndarray of int, shape (n_structures,)
    coef : ndarray of float64, shape (n_terms,)
    """
    firsts = np.cumsum(n_atoms) - n_atoms
    most = min(max(_LOOKED_AT * len(every), _FEWEST_LOOKED_AT), _MOST_LOOKED_AT)
    chosen = _evenly(np.add.reduceat(every @ coef, firsts) / n_atoms, n_atoms, most)
    n_typical, left = len(chosen), _UNUSUAL * most
    points = every @ _axes(every, coef)
    means, squares = (np.add.reduceat(values, firsts) / n_atoms[:, None] for values in (points, points**2))
    places = np.hstack([means, np.sqrt(np.maximum(squares - means**2, 0.0))])
    distance = cdist(places, places[chosen]).min(axis=1)
    while left > 0 and distance.max() > 0:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        left -= int(n_atoms[farthest])
        distance = np.minimum(distance, np.linalg.norm(places - places[farthest], axis=1))
    return np.array(chosen), n_typical


def _evenly(energies: FloatArray, n_atoms: IntArray, most: float) -> list[int]:
    """Structures of about so many atoms in all, spread evenly over the atoms in the order of the energies."""
    order = np.argsort(energies, kind="stable")
    last = np.cumsum(n_atoms[order])
    # Large structures are chosen more often.
    count = max(round(most * n_atoms.sum() / np.square(n_atoms).sum()), 1)
    places = (np.arange(count) + np.random.default_rng(_SEED).random()) / count * last[-1]
    return np.unique(order[np.searchsorted(last, places)]).tolist()


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

    def largest(species_a: Int32Array, terms: FloatArray) -> FloatArray:
        limits = np.zeros(len(potential.species))
        # Atoms without neighbors have no leverage, and are no extrapolation either.
        np.maximum.at(limits, species_a, forward(factor, terms) + np.finfo(np.float64).tiny)
        return limits

    @single_blas_thread()
    def summarize(found: list[AtomTerms]) -> FloatArray:
        return largest(*map(np.concatenate, zip(*found, strict=True)))

    rest = [data.structures[row] for row in np.setdiff1d(np.arange(len(data)), surveyed)]
    terms = [term for term, _ in potential.terms]
    of_rest = summaries_of_atoms(potential.species, terms, rest, n_jobs, summarize)
    limits = np.max([largest(species_a, shares), *of_rest], axis=0)
    # The core adds up in another order.
    limits *= 1.0 + _ROUNDING
    found = zip(potential.species, limits.tolist(), strict=True)
    return {symbol: limit for symbol, limit in found if limit > 0}


def _sampled_atoms(structures: Sequence[Atoms], species: Sequence[str]) -> list[IntArray]:
    """Atoms of structures that a potential remembers: as many of each species, at random."""
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
    """Errors of all these structures."""
    samples = _sampled_atoms(data.structures, design.species)
    jobs = (
        joblib.delayed(_errors)(design, data.take(np.array([row])), sample, model, models[row])
        for row, sample in enumerate(samples)
    )
    found: list[_Errors] = new_workers(n_jobs)(jobs)
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
    rows = StructureDesign(design, atoms, has_virials=fold is None)
    force_rows = np.empty((3 * n_atoms, len(design.terms)))
    rows.write_rows(0, force_rows)
    forces = None if labels.forces is None else labels.forces[0]
    if forces is None:
        forces = np.full((n_atoms, 3), np.nan)
    fit = (force_rows @ model.coef).reshape(-1, 3) - forces
    kept_rows = np.ascontiguousarray(force_rows[:, model.kept])
    unseen_energy = np.nan
    if fold is None:
        assert rows.virials is not None  # as asked for
        energy = np.nan if labels.energy is None else labels.energy[0]
        energy_row = model.energy_rows(rows.values[None], rows.counts[None])
        of_energy = (rows.values @ model.coef + rows.counts @ model.intercept - energy) / n_atoms
        of_virial = np.full(6, np.nan)
        if labels.stress is not None and has_full_cell(atoms):
            of_virial = (rows.virials @ model.coef - labels.stress[0] * atoms.get_volume()) / n_atoms
        change = _change(
            model,
            np.broadcast_to(labels.sample_weight.reshape(1, -1), (1, 3))[0],
            {
                "energy": (energy_row, np.array([of_energy])),
                "force": (kept_rows, fit.ravel()),
                "virial": (rows.virials[:, model.kept] / n_atoms, of_virial),
            },
        )
        unseen = fit + (kept_rows @ change[model.n_references :]).reshape(-1, 3)
        unseen_energy = float(of_energy + energy_row[0] @ change)
    else:
        unseen = (force_rows @ fold[0]).reshape(-1, 3) - forces
    of_sample = kept_rows.reshape(n_atoms, 3, len(model.kept))[sample].reshape(-1, len(model.kept))
    return _Errors(
        sample,
        np.stack([np.square(part[sample]) for part in (unseen, fit)], axis=1),
        of_sample,
        unseen_energy,
    )


def _change(
    model: _Model, weight: FloatArray, parts: Mapping[str, tuple[FloatArray, FloatArray]]
) -> FloatArray:
    """Change of reference energies and coefficients if a structure is left out of the normal equations.

    Parameters
    ----------
    model : _Model
    weight : ndarray of float64, shape (3,)
        Weight of the structure for each target.
    parts : mapping of str to (ndarray, ndarray)
        Rows R and errors r of each target; errors of NaN are missing labels.

    Returns
    -------
    ndarray of float64, shape (m,)
        The solution of (A - R^T V^2 R) dw = R^T V^2 r.
    """
    gram, moment = np.zeros_like(model.matrix), np.zeros(len(model.matrix))
    for (target, (rows, errors)), of_target in zip(parts.items(), weight, strict=True):
        if np.isfinite(errors).all():
            square = model.weights[target] ** 2 * of_target
            first = len(model.matrix) - rows.shape[1]
            gram[first:, first:] += square * rows.T @ rows
            moment[first:] += square * rows.T @ errors
    scale = np.sqrt(np.maximum(np.diagonal(model.matrix), np.finfo(np.float64).tiny))
    left = (model.matrix - gram) / scale / scale[:, None]
    # What this structure alone has told is unknown without it: its coefficients stay.
    left[np.diag_indices_from(left)] += _LEFT_OUT
    try:
        change: FloatArray = cho_solve((cholesky(left, lower=True), True), moment / scale) / scale
    except LinAlgError:
        return np.zeros(len(moment))
    return change


def _references_of_atoms(
    found: Sequence[_Errors],
    n_typical: int,
    shares: Sequence[FloatArray],
    kinds: Sequence[Int32Array],
    model: _Model,
    species: Sequence[str],
) -> tuple[dict[str, References], float]:
    """Errors of forces by surroundings, scaled to hold the share that they should; the least leverage.

    The scale is that of the first `n_typical` structures.
    """
    triples = list(zip(found, shares, kinds, strict=False))
    species_a = np.concatenate([of_structure[one.sample] for one, _, of_structure in triples])
    terms = np.vstack([values[one.sample] for one, values, _ in triples])
    of_structure = np.repeat(np.arange(len(found)), [len(errors.sample) for errors in found])
    of_terms = model.factor[model.n_references :, model.n_references :]
    leverages = forward(of_terms, np.vstack([one.rows for one in found])).reshape(-1, 3).mean(axis=1)
    least = _LEAST * float(leverages.mean())
    tells = _telling(leverages, species_a)
    species_a, terms, of_structure = species_a[tells], terms[tells], of_structure[tells]
    leverages = leverages[tells]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.vstack([one.of_force for one in found])[tells] / (leverages + least)[:, None, None]
    squares = errors.mean(axis=2)
    expected = np.full(len(squares), np.nan)
    near = {}
    for number, own in _by_species(species_a):
        axes = _axes(terms[own], model.coef[model.kept])
        # Some of them tell how errors scatter about their mean.
        typical = np.flatnonzero(of_structure[own] < n_typical)
        tried = typical[:: max(len(typical) // _TRIED, 1)]
        every = References(axes, terms[own] @ axes, squares[own])
        near[number], expected[np.flatnonzero(own)[tried]] = every.spaced(tried, of_structure[own])
    squares = as_in_a_file(squares * _calibration(errors, expected))
    return {
        species[number]: References(near[number].axes, near[number].points, squares[own])
        for number, own in _by_species(species_a)
    }, least


def _telling(leverages: FloatArray, species_a: Int32Array) -> BoolArray:
    """Atoms whose errors tell something. Where symmetry leaves nothing to predict, they are rounding."""
    tells: BoolArray = leverages > _TELLING * leverages.mean()
    for _, own in _by_species(species_a):
        if not tells[own].any():
            tells |= own
    return tells


def _references_of_structures(
    data: LabelledStructures,
    species: Sequence[str],
    totals: FloatArray,
    models: Sequence[tuple[FloatArray, FloatArray] | None],
    unseen: FloatArray,
    model: _Model,
) -> tuple[References, float]:
    """Errors of energies by structure, scaled to hold the share that they should; the least leverage.

    `unseen` are errors per atom by fits without the structure, NaN where they are not known or folds have
    them.
    """
    n = min(len(data), _MOST_REFERENCES)
    counts = composition_of(data.structures[:n], [atomic_numbers[symbol] for symbol in species])
    sizes, totals = data.n_atoms[:n], totals[:n]
    means = totals[:, model.kept] / sizes[:, None]
    axes = _axes(means, model.coef[model.kept])
    energy = np.full(n, np.nan) if data.labels.energy is None else data.labels.energy[:n]
    by_fit = (totals @ model.coef + counts @ model.intercept - energy) / sizes
    by_others = unseen[:n].copy()
    for row, other in enumerate(models[:n]):
        if other is not None:
            by_others[row] = (totals[row] @ other[0] + counts[row] @ other[1] - energy[row]) / sizes[row]
    leverages = forward(model.factor, model.energy_rows(totals, counts))
    least = _LEAST * float(leverages.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(np.column_stack([by_others, by_fit])) * (sizes / (leverages + least))[:, None]
    every = np.arange(n)
    near, expected = References(axes, means @ axes, squares).spaced(every, every)
    squares = as_in_a_file(squares * _calibration(squares[..., None], expected))
    return References(near.axes, near.points, squares), least


def _by_species(species_a: Int32Array) -> Iterator[tuple[int, BoolArray]]:
    for number in np.unique(species_a).tolist():
        yield number, species_a == number


def _axes(terms: FloatArray, coef: FloatArray) -> FloatArray:
    """Directions of the largest variance of the contributions of the terms, scaled to variance 1."""
    mean, covariance = terms.mean(axis=0), np.zeros((len(coef),) * 2)
    for first in range(0, len(terms), _ROWS):
        contributions = (terms[first : first + _ROWS] - mean) * coef
        covariance += contributions.T @ contributions
    squares, directions = eigh(covariance)
    spread = np.sqrt(np.maximum(squares[::-1][:_DIRECTIONS], 0.0))
    # Squares that are much smaller are rounding.
    differing = spread > max(1e-6 * spread[0], np.finfo(np.float64).tiny)
    inverse = np.where(differing, np.sqrt(len(terms)) / np.where(differing, spread, 1.0), 0.0)
    axes: FloatArray = directions[:, ::-1][:, :_DIRECTIONS] * inverse * coef[:, None]
    return axes


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
