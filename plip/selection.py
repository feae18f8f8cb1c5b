"""Which structures to label next: those that make a potential surer of all others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from ase import Atoms
from scipy.linalg import cho_solve, solve_triangular
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from plip._design._rows import Design
from plip._parameters import check_n_jobs, is_integer, is_number
from plip._structures._checks import check_structures, describe
from plip._types import FloatArray, IntArray
from plip._warnings import warn
from plip._workers import new_workers
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._information import structure_information
from plip.regressor._model import PLIPModel
from plip.regressor._precision import coefficient_precision, factor_of

__all__ = ["select_structures"]

# Bytes of the matrices of candidates: 3,000 structures with 100 terms.
_MEMORY = 256e6
# Structures whose rows are computed at a time.
_BATCH = 128
# eV/atom and eV/Angstrom. What rounding of positions in files (1e-8 A) changes, times ten and more.
_SAME_ENERGY, _SAME_FORCE = 1e-6, 1e-5


def select_structures(
    pool: Iterable[Atoms],
    n: int,
    model: PLIPModel,
    *,
    known: Iterable[Atoms] | None = None,
    cost: float = 0.0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> IntArray:
    """Choose the structures whose labels would lower the uncertainty of a whole pool most.

    Let A be the normal matrix of the terms that a fit has kept, with its weights, penalties and reference
    energies, and R_s the weighted rows of structure s, which follow from its geometry. In units of the noise
    the predictions for the whole pool have the variance tr(B A^-1), B = sum_s R_s^T R_s. Each step takes the
    structure that lowers it most,

        tr(B A^-1) - tr(B (A + R_s^T R_s)^-1),

    and adds its rows to A. This is V-optimal sequential design (D. A. Cohn, Z. Ghahramani and M. I. Jordan,
    J. Artif. Intell. Res. 4, 129 (1996); K. Yu, J. Bi and V. Tresp, Proc. 23rd Int. Conf. Machine Learning,
    1081 (2006)).

    Parameters
    ----------
    pool : iterable of ase.Atoms
        Structures without labels, or with labels that are not looked at. It is read once and never held.
    n : int
        How many to choose.
    model : PLIPRegressor or PLIPRegressorCV
        Fitted to structures.
    known : iterable of ase.Atoms or None, default=None
        Structures that are not worth choosing, besides those of the fit, of which a model remembers at most
        100,000 atoms.
    cost : float, default=0
        The decrease is divided by the number of atoms to this power: 0 counts structures, 1 atoms, and 3 is
        what density-functional theory costs for large cells.
    n_jobs : int or None, default=None
        Number of joblib workers. The result is the same for any number.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    ndarray of int, shape (at most n,)
        Places in the pool, counted from 0, best first. None is a copy of another or of a known structure, not
        even if it is moved, rotated or repeated.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a structure is not valid; the message names the structure.

    Warns
    -----
    UserWarning
        Fewer than `n` structures of the pool tell the fit anything new: others are copies.

    Notes
    -----
    The pool is read once. The matrices of candidates take about 256 MB, enough for 3,000 structures with 100
    terms. When that is full, the best `n` candidates so far stay, and reading goes on; the answer is the best
    `n` of those that stayed (as in B. Mirzasoleiman et al., Adv. Neural Inf. Process. Syst. 26, 2049 (2013)).
    B counts the whole pool in any case. A list and a generator give the same answer.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.selection import select_structures
    >>> places = select_structures(train[1::4], 3, model)
    >>> places.shape
    (3,)
    """
    places, _ = rank_structures(pool, n, model, known=known, cost=cost, n_jobs=n_jobs, verbose=verbose)
    if len(places) < n:
        warn(f"only {len(places)} structures of the pool tell the fit anything new, fewer than n={n}")
    return places


def rank_structures(
    pool: Iterable[Atoms],
    n: int,
    model: PLIPModel,
    *,
    known: Iterable[Atoms] | None = None,
    cost: float = 0.0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[IntArray, FloatArray]:
    """As `select_structures`, and the part of the standard deviation that is left after each choice."""
    _check(n, model, cost)
    check_n_jobs(n_jobs)
    prior = _Prior(model)
    sample = model.normal_equations_.sample
    of_fit = () if sample is None else sample.structures()
    seen = [
        rows.signature
        for structures in (of_fit, known or ())
        for batch in _batches(structures)
        for rows in _all_rows(prior, *batch, n_jobs)
    ]
    candidates = _Candidates(prior, int(n), float(cost), seen)
    total = len(pool) if isinstance(pool, Sized) else None
    n_read = 0
    with tqdm(total=total, desc="pool", unit="", disable=not verbose) as bar:
        for first, batch in _batches(pool):
            for rows in _all_rows(prior, first, batch, n_jobs):
                candidates.add(rows)
            n_read = first + len(batch)
            bar.update(len(batch))
    if n_read == 0:
        raise ValueError("pool holds no structures; at least one is needed")
    return candidates.best()


def _check(n: Any, model: Any, cost: Any) -> None:
    if not is_integer(n) or n < 1:
        raise ValueError(f"n must be an integer of at least 1, got {n!r}")
    if not is_number(cost) or not 0 <= cost < np.inf:
        raise ValueError(f"cost must be a number of at least 0, got {cost!r}")
    if not isinstance(model, PLIPModel):
        raise TypeError(f"model must be a PLIPRegressor or PLIPRegressorCV, got {type(model).__name__}")
    check_is_fitted(model)
    if model._is_precomputed():
        raise ValueError("the model has precomputed descriptors: fit structures instead")
    if not np.any(model.coef_):
        raise ValueError("the model has kept no term, so nothing tells structures apart: lower alpha")


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the rows of a structure say.

    Attributes
    ----------
    place : int
        In the pool.
    n_atoms : int
    information : ndarray of float64, shape (m, m)
        Products of its weighted rows.
    signature : ndarray of float64, shape (2 k + n_species,)
        What stays the same if a structure is moved, rotated or repeated: energy per atom in eV of each term,
        composition, and root mean square force in eV/Angstrom of each term, in units of their rounding.
    """

    place: int
    n_atoms: int
    information: FloatArray
    signature: FloatArray


class _Prior:
    """What a fit knows before the structures of the pool are labeled.

    Attributes
    ----------
    design : Design
        The terms that were kept.
    matrix : ndarray of float64, shape (m, m)
        Precision of the coefficients and, if they are fitted, of the reference energies, times the noise.
    n_signature : int
        Length of the signature of a structure.
    """

    def __init__(self, model: PLIPModel) -> None:
        equations, model = model.normal_equations_, model._as_fitted()
        weights = model._weights_of_targets()
        self._weights = {target: weights[target] for target, n in equations.n_rows.items() if n}
        matrix, prior, kept = coefficient_precision(
            equations, model.coef_, model._solved_problem(), weights, model._references is None
        )
        self.design = Design([equations.terms[k] for k in kept.tolist()], equations.species)
        self._coef = model.coef_[kept]
        self.n_signature = 2 * len(kept) + len(equations.species)
        self.matrix = matrix + np.diag(prior)

    def rows(self, place: int, atoms: Atoms) -> _Rows:
        """The rows of a checked structure."""
        information, row, forces = structure_information(self.design, atoms, self._weights)
        size = len(self.matrix)
        if not np.isfinite(information).all():
            raise ValueError(
                f"{describe(place, atoms)}: its descriptors are not finite; its atoms are too close"
            )
        row[-len(self._coef) :] *= self._coef
        signature = np.concatenate([row / _SAME_ENERGY, np.abs(self._coef) * forces / _SAME_FORCE])
        # Without the reference energies, which come first, if they are not fitted.
        return _Rows(place, len(atoms), information[-size:, -size:], signature)


def _all_rows(prior: _Prior, first: int, batch: list[Atoms], n_jobs: int | None) -> list[_Rows]:
    design = prior.design
    checked = check_structures(batch, species=design.species, cutoff=design.cutoff, first=first)
    jobs = (joblib.delayed(prior.rows)(first + k, atoms) for k, atoms in enumerate(checked))
    rows: list[_Rows] = new_workers(n_jobs)(jobs)
    return rows


def _batches(structures: Iterable[Atoms]) -> Iterator[tuple[int, list[Atoms]]]:
    """Places of the first of each batch, and the batches."""
    if isinstance(structures, Atoms):
        raise TypeError("expected several structures, got a single one: pass [atoms]")
    first, rest = 0, iter(structures)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield first, batch
        first += len(batch)


class _Candidates:
    """The structures of a pool that may be chosen, in bounded memory.

    Parameters
    ----------
    prior : _Prior
    n : int
        How many to choose.
    cost : float
        Power of the number of atoms.
    seen : list of ndarray
        Signatures of structures that are not worth choosing.
    """

    def __init__(self, prior: _Prior, n: int, cost: float, seen: list[FloatArray]) -> None:
        self._n, self._cost, self._seen = n, cost, np.array(seen)
        # Columns in the units of the fit.
        self._scale = 1.0 / np.sqrt(np.diagonal(prior.matrix))
        self._prior = prior.matrix * self._scale * self._scale[:, None]
        self._pool = np.zeros_like(self._prior)
        most = max(2 * n, int(_MEMORY / self._prior.nbytes))
        # Memory that is not written is not taken.
        self._information = np.empty((most, *self._prior.shape))
        self._signatures = np.empty((most, prior.n_signature))
        self._places, self._costs = np.empty(most, np.int64), np.empty(most)
        self._used = 0

    def add(self, rows: _Rows) -> None:
        """Count a structure as one of the pool, and as a candidate unless it is a copy."""
        information = rows.information * self._scale * self._scale[:, None]
        self._pool += information
        known = self._signatures[: self._used]
        if _has_copy(self._seen, rows.signature) or _has_copy(known, rows.signature):
            return
        if self._used == len(self._places):
            kept = np.sort(self._ranked())
            self._used = len(kept)
            for array in (self._information, self._signatures, self._places, self._costs):
                array[: len(kept)] = array[kept]
        k = self._used
        self._information[k], self._signatures[k] = information, rows.signature
        self._places[k], self._costs[k] = rows.place, float(rows.n_atoms) ** self._cost
        self._used += 1

    @single_blas_thread()
    def best(self) -> tuple[IntArray, FloatArray]:
        """Places of the best candidates, best first, and the part of the standard deviation that is left."""
        chosen = self._ranked()
        matrices = np.cumsum([self._prior, *(self._information[k] for k in chosen)], axis=0)
        variances = np.array(
            [np.trace(cho_solve((factor_of(matrix), True), self._pool)) for matrix in matrices]
        )
        return self._places[chosen], np.sqrt(variances[1:] / variances[0])

    @single_blas_thread()
    def _ranked(self) -> list[int]:
        """The best of the candidates, best first."""
        # No label tells anything of a pool whose rows are all zero, such as lone atoms with fixed references.
        rest = np.arange(self._used if self._pool.any() else 0)
        matrix = self._prior.copy()
        chosen: list[int] = []
        while rest.size and len(chosen) < self._n:
            k = best_candidate(matrix, self._pool, self._information, self._costs, rest)
            chosen.append(k)
            rest = rest[rest != k]
            matrix += self._information[k]
        return chosen


def _has_copy(signatures: FloatArray, signature: FloatArray) -> bool:
    return bool(len(signatures)) and bool((np.abs(signatures - signature) <= 1.0).all(axis=1).any())


def best_candidate(
    matrix: FloatArray, pool: FloatArray, information: FloatArray, costs: FloatArray, rest: IntArray
) -> int:
    """The candidate that lowers the variance of the pool most for its cost.

    Parameters
    ----------
    matrix, pool : ndarray of float64, shape (m, m)
        A and B.
    information : ndarray of float64, shape (n, m, m)
        G = R_s^T R_s of each candidate.
    costs : ndarray of float64, shape (n,)
        Positive.
    rest : ndarray of int
        Which candidates may be chosen.

    Returns
    -------
    int
        One of `rest`; the first of several that are as good.
    """
    values, vectors = np.linalg.eigh(pool)
    factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    half = cho_solve((factor_of(matrix), True), factor.T)
    before = float(np.sum(factor.T * half))
    # In the basis where A is 1 and G diagonal, g_i, the decrease is sum_i b_i g_i / (1 + g_i), and sum_i b_i
    # is the variance before. With m = sum_i b_i g_i / sum_i b_i = <G, A^-1 B A^-1> / before, the decrease is
    # at most before m / (1 + m) by Jensen's inequality: most candidates need nothing more.
    means = information.reshape(len(information), -1) @ (half @ half.T).ravel() / before
    bounds = (before * means / (1.0 + means))[rest] / costs[rest]
    best, most = int(rest[0]), -np.inf
    for k in np.argsort(-bounds, kind="stable").tolist():
        if bounds[k] <= most:
            break
        place = int(rest[k])
        lower = factor_of(matrix + information[place])
        after = float(np.sum(solve_triangular(lower, factor.T, lower=True) ** 2))
        gain = (before - after) / costs[place]
        if gain > most:
            best, most = place, gain
    return best
