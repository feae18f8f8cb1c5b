"""How uncertain a fitted potential is: the covariance of its terms, and errors where it was not fitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from scipy.stats import norm

from plip._design._rows import Design
from plip._structures._composition import composition_of
from plip._types import BoolArray, FloatArray, Int32Array, IntArray
from plip.labels import TARGETS, LabelledStructures
from plip.normal_equations import NormalEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.potential import Potential
from plip.potential._uncertainty import References, Uncertainty, as_in_a_file, forward
from plip.regressor._precision import factor_of
from plip.regressor._survey import (
    MOST_IN_MEMORY,
    AtomTerms,
    Survey,
    summaries_of_atoms,
    terms_of_atoms,
)
from plip.regressor._unseen import (
    MOST_REFERENCES,
    SEED,
    Errors,
    Fit,
    Fold,
    FoldModel,
    errors_of_forces,
    models_of_folds,
)

__all__ = ["columns_of", "find_uncertainty"]

# Errors of forces are looked at in structures of about so many atoms, or of this part of all, spread evenly
# over the energies, and in others of half as many atoms, which differ most from those and from each other.
_FEWEST_LOOKED_AT, _MOST_LOOKED_AT = 500, 1_500
_LOOKED_AT = 0.05
_UNUSUAL = 0.5
# Atoms of each species whose errors are compared with those of others.
_TRIED = 500
# Rows that are multiplied at a time.
_ROWS = 4096
# Directions in which surroundings differ most.
_DIRECTIONS = 8
# eV. A term of an atom matters from this contribution on.
_NOTHING = 1e-3
# Least leverage over the mean one, where symmetry leaves nothing to predict: 1e-3 of the usual errors.
_LEAST = 1e-6
# Leverage over the mean one from which on an error tells something of others.
_TELLING = 1e-4
# Share of errors that standard deviations are scaled for, since errors have longer tails than a normal
# distribution.
_SHARE = 0.9
# Distances in the data are met by rounding.
_ROUNDING = 1e-9


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
    model = Fit(
        coef[union],
        np.array([potential.intercept[symbol] for symbol in potential.species]),
        np.searchsorted(union, kept),
        matrix,
        factor_of(matrix + np.diag(prior)),
        weights,
    )
    # A label of weight zero was not fitted, and neither was a structure without any other.
    data = replace(data, labels=data.labels.without_unused())
    is_fitted = np.any([data.labels.present(target) for target in TARGETS], axis=0)
    order = np.random.default_rng(SEED).permutation(len(data))
    order = order[is_fitted[order]]
    surveyed = order[: int(np.searchsorted(np.cumsum(data.n_atoms[order]), MOST_IN_MEMORY)) + 1]
    rows = data.take(surveyed)
    places = survey.places(rows.structures)
    found: Iterable[AtomTerms] = (
        terms_of_atoms(potential.species, terms, rows.structures, n_jobs)
        if places is None
        else map(list(survey.values(union)).__getitem__, places)
    )
    kinds, every, totals = _gathered(found, rows.n_atoms, model.kept, len(union))
    borders = np.cumsum(rows.n_atoms)[:-1]
    shares, species_a = np.split(every, borders), np.concatenate(kinds)
    # A term that no atom of the data has is far away once it matters.
    leverage_factor = factor_of(every.T @ every, _NOTHING / np.abs(coef[kept]))
    models = models_of_folds(folds, len(data), surveyed, union)
    looked_at, n_typical = _looked_at(every, rows.n_atoms, coef[kept])
    errors = errors_of_forces(
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
        _limits(
            potential,
            [data.structures[row] for row in np.setdiff1d(order, surveyed)],
            species_a,
            every,
            leverage_factor,
            n_jobs,
        ),
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
    places = (np.arange(count) + np.random.default_rng(SEED).random()) / count * last[-1]
    return np.unique(order[np.searchsorted(last, places)]).tolist()


def _limits(
    potential: Potential,
    rest: Sequence[Atoms],
    species_a: Int32Array,
    shares: FloatArray,
    factor: FloatArray,
    n_jobs: int | None,
) -> dict[str, float]:
    """Largest leverage of the atoms of each species; those of all but the rest of the data are at hand."""

    def largest(species_a: Int32Array, terms: FloatArray) -> FloatArray:
        limits = np.zeros(len(potential.species))
        # Atoms without neighbors have no leverage, and are no extrapolation either.
        np.maximum.at(limits, species_a, forward(factor, terms) + np.finfo(np.float64).tiny)
        return limits

    @single_blas_thread()
    def summarize(found: list[AtomTerms]) -> FloatArray:
        return largest(*map(np.concatenate, zip(*found, strict=True)))

    terms = [term for term, _ in potential.terms]
    of_rest = summaries_of_atoms(potential.species, terms, rest, n_jobs, summarize)
    limits = np.max([largest(species_a, shares), *of_rest], axis=0)
    # The core adds up in another order.
    limits *= 1.0 + _ROUNDING
    found = zip(potential.species, limits.tolist(), strict=True)
    return {symbol: limit for symbol, limit in found if limit > 0}


def _references_of_atoms(
    found: Sequence[Errors],
    n_typical: int,
    shares: Sequence[FloatArray],
    kinds: Sequence[Int32Array],
    model: Fit,
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
    models: Sequence[FoldModel | None],
    unseen: FloatArray,
    model: Fit,
) -> tuple[References, float]:
    """Errors of energies by structure, scaled to hold the share that they should; the least leverage.

    `unseen` are errors per atom by fits without the structure, NaN where they are not known or folds have
    them.
    """
    n = min(len(data), MOST_REFERENCES)
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
