"""Paths of sparse linear models, computed from normal equations alone.

All solvers minimise, over coefficients w in physical units,

    1/(2n) ||V (X w - y)||^2 + penalty(s_1 w_1, ..., s_p w_p),    s_k^2 = (X^T V^2 X)_kk / n,

and see the data only through X^T V^2 X, X^T V^2 y, y^T V^2 y and n. Inside, columns are scaled to
unit mean square, so that rescaled columns change nothing. A column without any square (s_k = 0)
keeps coefficient 0. A function gives the same bits for the same input as long as BLAS runs on the
same number of threads; one thread is also the fastest.

Interaction descriptors are nearly dependent by nature (condition 1e12 and more), so every solver
adds a small ridge, documented where it is set, to the diagonal of the scaled Gram matrix. A Gram
matrix that is not positive semidefinite within that ridge is a `numpy.linalg.LinAlgError`.
"""

import copy
import numbers
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, blas, cho_factor, cho_solve, lapack

__all__ = [
    "SOLVERS",
    "LinearProblem",
    "Path",
    "PathError",
    "adaptive_lasso_path",
    "lasso_lars_path",
    "omp_path",
    "refit",
    "refit_path",
    "replacement_path",
    "residual_squares",
    "ridge_elimination_path",
    "ridge_path",
    "solve",
]

# Ridge of least-squares solutions on the scaled diagonal: directions that carry less than this share
# of a column's mean square are damped. In cross-validation on Mo and Si 1e-6 costs up to a seventh
# of the energy accuracy, while 1e-10 gains 2 % and lets the largest coefficients grow sixfold.
_RIDGE = 1e-8

# A column is left out of forward selection once all but this share of its mean square is explained
# by the columns already chosen: of a repeated column, twice the ridge is left.
_DEPENDENT = 10 * _RIDGE

# Pairs of (ridge on the scaled diagonal, perturbation of the moments relative to the largest) that the lasso
# tries in turn. Rounding errors grow with 1/ridge when nearly dependent columns leave a model. The
# perturbation, different for every column, parts the events of repeated columns, which would
# otherwise fall together and cycle; it bounds the error of the optimality conditions.
_LASSO_ATTEMPTS = ((1e-8, 1e-10), (1e-7, 1e-9), (1e-6, 1e-8))

# Columns up to which a tableau changes its model one by one; a factorisation from scratch costs about as
# much as a hundred such pivots.
_FEW = 100

# A swap of two terms must lower the residual square by this share of it; a smaller share costs time and
# gains nothing on structures that were not fitted.
_SWAP_GAIN = 1e-4

# Columns that sequential replacement chooses among, at the least.
_SHORTLIST = 400

# Ridge of the first solution of the adaptive lasso. In cross-validation on Mo and Si smaller ones give
# larger errors below 100 terms, and the same above.
_ADAPTIVE_RIDGE = 1e-4


class PathError(RuntimeError):
    """A path could not be followed to the penalty that was asked for."""


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """Weighted linear least squares as normal equations.

    Attributes
    ----------
    gram : ndarray of float64, shape (p, p)
        X^T V^2 X, symmetric.
    moment : ndarray of float64, shape (p,)
        X^T V^2 y.
    target_square : float
        y^T V^2 y.
    weight_sum : float
        n, the sum of the sample weights over rows.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or `weight_sum` is not positive.
    """

    gram: np.ndarray
    moment: np.ndarray
    target_square: float
    weight_sum: float

    def __post_init__(self):
        gram = np.asarray(self.gram, dtype=np.float64)
        moment = np.asarray(self.moment, dtype=np.float64)
        if moment.ndim != 1 or gram.shape != (len(moment), len(moment)):
            raise ValueError(f"gram {gram.shape} and moment {moment.shape} do not match")
        if not (np.isfinite(gram).all() and np.isfinite(moment).all() and np.isfinite(self.target_square)):
            raise ValueError("normal equations hold NaN or infinity: check descriptors and labels")
        if not 0 < self.weight_sum < np.inf:
            raise ValueError(f"weight_sum must be positive, got {self.weight_sum}")
        object.__setattr__(self, "gram", gram)
        object.__setattr__(self, "moment", moment)

    @property
    def scales(self):
        """ndarray of float64, shape (p,): root mean square s_k of each weighted column."""
        return np.sqrt(np.maximum(np.diagonal(self.gram), 0.0) / self.weight_sum)


@dataclass(frozen=True, eq=False)
class Path:
    """Models of growing size.

    Attributes
    ----------
    alphas : ndarray of float64, shape (m,)
        Penalty of each model. For forward selection: the largest relative gain that one more term
        could still bring, so that here too a model is the answer to the alphas from its own
        up to that of the model before.
    coefs : ndarray of float64, shape (m, p)
        Coefficients in physical units.
    n_terms : ndarray of int, shape (m,)
        Number of non-zero coefficients.
    """

    alphas: np.ndarray
    coefs: np.ndarray
    n_terms: np.ndarray

    def __len__(self):
        return len(self.alphas)

    def at_sizes(self, sizes):
        """For each size, the model at which a path with that `max_terms` ends.

        Parameters
        ----------
        sizes : array_like of int, shape (k,)
            Numbers of terms.

        Returns
        -------
        Path
            Of k models, in the order of `sizes`.

        Raises
        ------
        ValueError
            If the path has no model as small as one of the sizes.
        """
        largest = np.maximum.accumulate(self.n_terms)
        rows = np.searchsorted(largest, sizes, side="right") - 1
        if (rows < 0).any():
            raise ValueError(f"the smallest model of the path has {self.n_terms.min()} terms")
        return Path(self.alphas[rows], self.coefs[rows], self.n_terms[rows])


def residual_squares(coefs, problem):
    """Sum of squared weighted residuals of models on any problem with the same columns.

    Parameters
    ----------
    coefs : array_like of float64, shape (..., p)
        Coefficients in physical units, such as those of a path.
    problem : LinearProblem

    Returns
    -------
    ndarray of float64, shape (...)
        y^T V^2 y - 2 w^T X^T V^2 y + w^T X^T V^2 X w, known to about 1e-15 `target_square` (more where
        large terms cancel) and never below 0. The mean square error is this over `weight_sum`.
    """
    coefs = np.asarray(coefs)
    squares = ((coefs @ problem.gram - 2 * problem.moment) * coefs).sum(axis=-1) + problem.target_square
    return np.maximum(squares, 0.0)


def lasso_lars_path(problem, alpha=0.0, max_terms=None):
    """Lasso path by least-angle regression.

    Minimises 1/(2n) ||V (X w - y)||^2 + alpha sum_k |s_k w_k| for every alpha from the
    largest that keeps a term down to the one asked for: the solution is piecewise linear in
    alpha, and one term enters or leaves at each knot (Efron et al., Ann. Stat. 32, 407
    (2004); Osborne et al., IMA J. Numer. Anal. 20, 389 (2000)).

    `sklearn.linear_model.lars_path_gram` computes the same path, but it stops at alphas below
    1e-7 whatever the unit of y, and early where columns repeat each other; this one is exact
    at every knot and checked.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float, default=0.0
        Penalty at which the path ends, in the unit of y.
    max_terms : int or None, default=None
        Largest number of non-zero coefficients; ends the path before alpha where more are needed.

    Returns
    -------
    Path
        One model per knot, the last at exactly `alpha` unless `max_terms` stopped the path. Each
        fulfils the optimality conditions within 1e-9 of the largest alpha (1e-7 at worst), for a Gram
        matrix with 1e-8 (1e-6 at worst, where rounding asks for it) added to its scaled diagonal.

    Raises
    ------
    PathError
        If the optimality conditions do not hold for any of the models, because `gram` is
        not positive semidefinite within rounding errors.
    ValueError
        If `alpha` or `max_terms` is not valid.
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = _Scaled(problem)
    return scaled.path(*_lasso(scaled.gram, scaled.moment, alpha, max_terms))


def adaptive_lasso_path(problem, alpha=0.0, max_terms=None):
    """Lasso path whose penalty spares the terms that a ridge solution finds large.

    Minimises 1/(2n) ||V (X w - y)||^2 + alpha sum_k |s_k w_k| / v_k with v_k = |s_k w0_k| / mean |s w0|
    and w0 the ridge solution, which is the usual start where columns depend on each
    other (Zou, J. Am. Stat. Assoc. 101, 1418 (2006), with exponent 1; v is normalised so that
    alpha keeps the unit of y).

    Parameters, returns and errors are those of `lasso_lars_path`.
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = _Scaled(problem)
    size = np.abs(_ridge(scaled.gram, scaled.moment, [_ADAPTIVE_RIDGE])[0])
    size /= size.mean() if size.any() else 1.0
    return scaled.path(*_lasso(scaled.gram, scaled.moment, alpha, max_terms, size))


def omp_path(problem, alpha=0.0, max_terms=None):
    """Forward selection by largest gain.

    Each step adds the term that lowers the sum of squares most, all coefficients solved for again
    (orthogonal least squares: Chen, Billings & Luo, Int. J. Control 50, 1873 (1989); orthogonal
    matching pursuit, which goes by correlation, would choose worse among dependent columns).
    The sum of squares includes the ridge of `refit`, whose solutions these are.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float, default=0.0
        Selection stops when no term lowers the sum of squares by at least this share of `target_square`.
    max_terms : int or None, default=None
        Largest number of terms.

    Returns
    -------
    Path
        Models of 0, 1, 2, ... terms. The path ends early when the columns left are
        combinations of those chosen (all but 1e-7 of their square).

    Raises
    ------
    ValueError
        If `alpha` or `max_terms` is not valid.
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = _Scaled(problem)
    order, gains, factor, projection = _forward(scaled, max_terms, alpha)
    coefs = np.zeros((len(order) + 1, len(scaled.columns)))
    if len(order):
        # The inverse of a leading block of a triangular matrix is the leading block of its inverse, so that
        # each step adds one column of the inverse to the solution.
        inverse, _ = lapack.dtrtri(factor)
        inverse *= projection
        coefs[1:, order] = np.cumsum(inverse, axis=1, out=inverse).T
    return scaled.path(np.minimum.accumulate(gains), coefs)


def replacement_path(problem, alpha=0.0, max_terms=None):
    """Forward and backward selection in which chosen terms may be exchanged.

    After each step of `omp_path`, the best swap of a chosen for an unchosen term is made until no
    swap lowers the residual by 1e-4 of it (sequential replacement: Miller, J. R. Stat. Soc. A 147,
    389 (1984), with the best of all swaps). Growth goes on to one and a half times `max_terms`;
    from there, terms are taken out one by one, again with swaps, and the better of the two models
    of each size is kept. A model need not contain the smaller ones, but is never worse.

    Of very many columns only those take part that forward selection chooses first, twice `max_terms` of them
    and at least 400: in cross-validation on Si and Mo, with 1598 columns, that costs up to 1 % of the force
    error and saves nine tenths of the time.

    Parameters, returns and errors are those of `omp_path`.
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = _Scaled(problem)
    if max_terms is not None:
        shortlist = max(2 * max_terms, _SHORTLIST)
        if shortlist < len(scaled.columns):
            scaled = scaled.restricted(_forward(scaled, shortlist, alpha)[0])
    selection = _Replacement(scaled, alpha)
    max_terms = _at_most(max_terms, selection.tableau.n_columns)
    models = selection.grow(_at_most(max_terms + max_terms // 2, selection.tableau.n_columns))
    selection.shrink(models)
    return selection.path(selection.mend(models[: max_terms + 1]))


def ridge_path(problem, alphas):
    """Ridge regression on scaled columns.

    Minimises 1/(2n) ||V (X w - y)||^2 + alpha/2 sum_k (s_k w_k)^2.

    Parameters
    ----------
    problem : LinearProblem
    alphas : array_like of float64, shape (m,)
        Penalties of at least 0; 0 gives the solution of least scaled norm.

    Returns
    -------
    Path
        One model per penalty, the largest first.

    Raises
    ------
    ValueError
        If a penalty is negative or not finite.
    """
    alphas = np.sort([_checked(alpha, None)[0] for alpha in np.ravel(alphas)])[::-1]
    scaled = _Scaled(problem)
    return scaled.path(alphas, _ridge(scaled.gram, scaled.moment, alphas))


def ridge_elimination_path(problem, alpha=0.0, max_terms=None):
    """Ridge regression and backward elimination.

    From the ridge solution on all columns, the term whose loss raises the minimum least is taken
    out again and again.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float, default=0.0
        Ridge penalty; at least the ridge of `refit` is used.
    max_terms : int or None, default=None
        Largest number of terms; None keeps all.

    Returns
    -------
    Path
        Models of 0, 1, ..., `max_terms` terms, all of the same alpha.

    Raises
    ------
    ValueError
        If `alpha` or `max_terms` is not valid.
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = _Scaled(problem)
    n_columns = len(scaled.moment)
    max_terms = _at_most(max_terms, n_columns)
    tableau = _Tableau(_ridged(scaled.gram, max(alpha, _RIDGE)), scaled.moment)
    tableau.move(np.ones(n_columns, dtype=bool))
    coefs = []
    while True:
        n_active = np.count_nonzero(tableau.active)
        if n_active <= max_terms:
            coefs.append(tableau.solution())
        if n_active == 0:
            break
        losses, _ = tableau.losses()
        tableau.pivot(np.flatnonzero(tableau.active)[losses.argmin()])
    return scaled.path(np.full(len(coefs), alpha), coefs[::-1])


def refit(problem, support):
    """Least squares on chosen columns.

    Parameters
    ----------
    problem : LinearProblem
    support : array_like, bool of shape (p,) or int of shape (k,)
        Columns.

    Returns
    -------
    ndarray of float64, shape (p,)
        The minimiser of 1/(2n) ||V (X w - y)||^2 + 1e-8/2 sum_k (s_k w_k)^2 over the chosen columns, zero
        elsewhere. The ridge keeps coefficients of nearly dependent columns bounded.
    """
    chosen = np.zeros(len(problem.moment), dtype=bool)
    chosen[list(support)] = True
    return refit_path(problem, Path(np.zeros(1), chosen[None], np.array([chosen.sum()]))).coefs[0]


def refit_path(problem, path):
    """The models of a path with `refit` coefficients on the terms they keep."""
    scaled = _Scaled(problem)
    tableau = _Tableau(_ridged(scaled.gram, _RIDGE), scaled.moment)
    coefs = []
    for model in path.coefs[:, scaled.columns]:
        tableau.move(model != 0)
        coefs.append(tableau.solution())
    return scaled.path(path.alphas, coefs)


# Those whose coefficients a refit changes.
_SHRUNK = ("lasso_lars", "adaptive_lasso", "ridge")
SOLVERS = {
    "lasso_lars": lasso_lars_path,
    "omp": omp_path,
    "replacement": replacement_path,
    "adaptive_lasso": adaptive_lasso_path,
    "ridge": ridge_elimination_path,
}


def solve(problem, solver="lasso_lars", alpha=1e-5, max_terms=None, refit=False):
    """Solve by name.

    Parameters
    ----------
    problem : LinearProblem
    solver : {"lasso_lars", "omp", "replacement", "adaptive_lasso", "ridge"}
        See `lasso_lars_path`, `omp_path`, `replacement_path`, `adaptive_lasso_path` and
        `ridge_elimination_path`.
    alpha : float
        Penalty or smallest relative gain.
    max_terms : int or None
        Largest number of terms.
    refit : bool
        Whether the models get the coefficients of `refit`; those of "omp" and "replacement"
        have them anyway.

    Returns
    -------
    coef : ndarray of float64, shape (p,)
        Coefficients of the last model of the path.
    path : Path

    Raises
    ------
    PathError
        If the lasso cannot reach `alpha`.
    ValueError
        If the solver is not known, or `alpha` or `max_terms` is not valid.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    path = SOLVERS[solver](problem, alpha, max_terms)
    if refit and solver in _SHRUNK:
        path = refit_path(problem, path)
    return path.coefs[-1].copy(), path


def _checked(alpha, max_terms):
    if not isinstance(alpha, numbers.Real) or not 0 <= alpha < np.inf:
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha!r}")
    if max_terms is not None and (not isinstance(max_terms, numbers.Integral) or max_terms < 0):
        raise ValueError(f"max_terms must be an integer of at least 0 or None, got {max_terms!r}")
    return float(alpha), max_terms


def _ridged(gram, ridge):
    return gram + ridge * np.eye(len(gram))


class _Scaled:
    """A problem with its empty columns left out and the others at unit mean square."""

    def __init__(self, problem):
        scales = problem.scales
        self.columns = np.flatnonzero(scales)
        self.scales = scales[self.columns]
        self.n_columns = len(scales)
        n = problem.weight_sum
        self.gram = problem.gram[np.ix_(self.columns, self.columns)] / self.scales / self.scales[:, None] / n
        self.moment = problem.moment[self.columns] / self.scales / n
        self.target = max(problem.target_square, 0.0) / n

    def restricted(self, places):
        """The problem with some of its columns alone."""
        other = copy.copy(self)
        other.columns, other.scales = self.columns[places], self.scales[places]
        other.gram, other.moment = self.gram[np.ix_(places, places)], self.moment[places]
        return other

    def path(self, alphas, coefs):
        """Path of scaled coefficients."""
        physical = np.zeros((len(coefs), self.n_columns))
        physical[:, self.columns] = np.asarray(coefs) / self.scales
        return Path(np.array(alphas, dtype=np.float64), physical, np.count_nonzero(physical, axis=1))


class _Tableau:
    """Symmetric matrix [[gram, right], [right^T, 0]] swept on the active columns.

    With A the active columns, I the others and those of `right`, and S the matrix as given, `values`
    holds -S_AA^-1 in its AA block, S_AA^-1 S_AI in AI, and S_II - S_IA S_AA^-1 S_AI in II (Dempster,
    Elements of Continuous Multivariate Analysis (1969)). So a right-hand side keeps the
    solution on active columns and the correlation with the residual on the others; one
    column enters or leaves by a rank-one update.
    """

    def __init__(self, gram, *right):
        n_columns, n_right = len(gram), len(right)
        self._given = np.zeros((n_columns + n_right,) * 2, order="F")
        self._given[:n_columns, :n_columns] = gram
        for column, values in enumerate(right, start=n_columns):
            self._given[:n_columns, column] = self._given[column, :n_columns] = values
        self.n_columns = n_columns
        self.values = self._given.copy(order="F")
        self.active = np.zeros(n_columns + n_right, dtype=bool)

    def pivot(self, k):
        """Let column k in, or out again."""
        values = self.values
        column = values[:, k].copy()
        pivot = column[k]
        if not (pivot < 0 if self.active[k] else pivot > 0):
            raise LinAlgError("the Gram matrix is not positive definite")
        blas.dger(-1.0 / pivot, column, column, a=values, overwrite_a=True)
        column /= -pivot if self.active[k] else pivot
        column[k] = -1.0 / pivot
        values[:, k] = values[k] = column
        self.active[k] = not self.active[k]

    def move(self, support):
        """Make the columns of a mask, shape (p,), the active ones."""
        changed = np.flatnonzero(support != self.active[: self.n_columns])
        if len(changed) <= _FEW:
            for k in changed:
                self.pivot(k)
        else:
            self.active[: self.n_columns] = support
            self._factorise()

    def solution(self):
        """Solution for the first right-hand side, shape (p,), zero outside the active columns."""
        inside = self.active[: self.n_columns]
        return np.where(inside, self.values[: self.n_columns, self.n_columns], 0.0)

    def _factorise(self):
        """Compute all values from the matrix as given."""
        inside, outside = np.flatnonzero(self.active), np.flatnonzero(~self.active)
        given, values = self._given, self.values
        if not len(inside):
            values[:] = given
            return
        cross = given[np.ix_(inside, outside)]
        factor = cho_factor(given[np.ix_(inside, inside)], check_finite=False)
        solution = cho_solve(factor, cross, check_finite=False)
        values[np.ix_(inside, inside)] = -cho_solve(factor, np.eye(len(inside)), check_finite=False)
        values[np.ix_(inside, outside)] = solution
        values[np.ix_(outside, inside)] = solution.T
        values[np.ix_(outside, outside)] = given[np.ix_(outside, outside)] - cross.T @ solution

    def set_right(self, right, k, value):
        """Change the right-hand side of number `right` at the inactive column k."""
        right += self.n_columns
        change = value - self._given[k, right]
        for matrix in (self._given, self.values):
            matrix[k, right] += change
            matrix[right, k] += change

    def gains(self):
        """How much each column would lower the minimum for the first right-hand side; active ones: -1."""
        left = np.diagonal(self.values)[: self.n_columns]
        correlation = self.values[: self.n_columns, self.n_columns]
        usable = ~self.active[: self.n_columns] & (left > _DEPENDENT)
        return np.where(usable, correlation**2 / np.where(usable, left, 1.0), -1.0)

    def losses(self):
        """How much the minimum rises without each active column, and their variances."""
        inside = np.flatnonzero(self.active)
        variance = -np.diagonal(self.values)[inside]
        return self.values[inside, self.n_columns] ** 2 / variance, variance

    def best_swap(self):
        """The pair (active column, other column) whose swap lowers the minimum most, and by how much."""
        values, right = self.values, self.n_columns
        inside = np.flatnonzero(self.active)
        outside = np.flatnonzero(~self.active[:right])
        loss, variance = self.losses()
        # Correlation and remaining square of each column outside once one inside has left.
        cross = values[outside][:, inside]
        left = np.diagonal(values)[outside, None] + cross**2 / variance
        correlation = values[outside, right, None] + cross * (values[inside, right] / variance)
        usable = left > _DEPENDENT
        gain = np.where(usable, correlation**2 / np.where(usable, left, 1.0), 0.0) - loss
        enter, leave = np.unravel_index(gain.argmax(), gain.shape)
        return gain[enter, leave], inside[leave], outside[enter]


def _at_most(max_terms, n_columns):
    return n_columns if max_terms is None else min(max_terms, n_columns)


def _smallest_gain(alpha):
    """Share of the target square that a term must gain: this is not known better than to rounding errors."""
    return max(alpha, np.finfo(np.float64).eps)


def _forward(scaled, max_terms, alpha):
    """Forward selection by a Cholesky factorisation that grows by one row a step.

    Parameters
    ----------
    scaled : _Scaled
    max_terms : int or None
    alpha : float
        Smallest relative gain.

    Returns
    -------
    order : ndarray of int, shape (m,)
        The chosen columns.
    gains : ndarray of float64, shape (m + 1,)
        Relative gain of the best further column after each step.
    factor : ndarray of float64, shape (m, m)
        Upper triangular factor of the Gram matrix, with its ridge, of the chosen columns.
    projection : ndarray of float64, shape (m,)
        The solution of factor^T projection = moment.
    """
    n_columns = len(scaled.columns)
    most = _at_most(max_terms, n_columns)
    # The chosen columns stand first, in their order; chosen and others change places.
    order = np.arange(n_columns)
    factor, projection = np.zeros((most, n_columns)), np.empty(most)
    left = np.diagonal(scaled.gram) + _RIDGE
    correlation = scaled.moment.copy()
    gains = []
    for size in range(most + 1):
        usable = left[size:] > _DEPENDENT
        gain = np.where(usable, correlation[size:] ** 2 / np.where(usable, left[size:], 1.0), 0.0)
        gains.append(gain.max(initial=0.0) / scaled.target if scaled.target > 0 else 0.0)
        if size == most or gains[-1] <= _smallest_gain(alpha):
            break
        both = [size, size + int(gain.argmax())]
        for array in (order, left, correlation):
            array[both] = array[both[::-1]]
        factor[:size, both] = factor[:size, both[::-1]]
        row = scaled.gram[order[size], order[size:]] - factor[:size, size] @ factor[:size, size:]
        pivot = np.sqrt(left[size])
        row[0] = left[size]
        row /= pivot
        factor[size, size:], projection[size] = row, correlation[size] / pivot
        left[size:] -= row**2
        correlation[size:] -= row * projection[size]
    size = len(gains) - 1
    return order[:size], np.array(gains), factor[:size, :size], projection[:size]


class _Replacement:
    """Models of 0, 1, 2, ... terms by adding, removing and swapping terms.

    A model is a tuple: minimum of the objective, relative gain of the best further term, coefficients.
    """

    def __init__(self, scaled, alpha):
        self.scaled = scaled
        self.tableau = _Tableau(_ridged(scaled.gram, _RIDGE), scaled.moment)
        self.smallest_gain = _smallest_gain(alpha)

    def model(self):
        tableau, target = self.tableau, self.scaled.target
        minimum = target + tableau.values[tableau.n_columns, tableau.n_columns]
        gain = tableau.gains().max(initial=0.0)
        return minimum, gain / target if target > 0 else 0.0, tableau.solution()

    def grow(self, n_terms):
        """Models of all sizes up to n_terms, or until no term gains enough."""
        models = [self.model()]
        while len(models) <= n_terms and models[-1][1] > self.smallest_gain:
            self.tableau.pivot(int(self.tableau.gains().argmax()))
            self.swap()
            models.append(self.model())
        return models

    def shrink(self, models):
        """Take terms out of the last model again, and put the models that are better into the list."""
        for size in range(len(models) - 2, 0, -1):
            losses, _ = self.tableau.losses()
            self.tableau.pivot(np.flatnonzero(self.tableau.active)[losses.argmin()])
            self.swap()
            models[size] = min(models[size], self.model(), key=lambda model: model[0])

    def mend(self, models):
        """Where a model is worse than a smaller one, grow it from that; models without such a pair."""
        for size in range(1, len(models)):
            if models[size][0] >= models[size - 1][0]:
                self.tableau.move(models[size - 1][2] != 0)
                gains = self.tableau.gains()
                if gains.max() <= 0:
                    return models[:size]
                self.tableau.pivot(int(gains.argmax()))
                self.swap()
                models[size] = self.model()
        return models

    def swap(self):
        """Swap active columns for others while it pays."""
        if self.tableau.active[: self.tableau.n_columns].all():
            return
        # A few swaps are enough; the bound is for gains that are nothing but rounding errors.
        for _ in range(self.tableau.n_columns):
            gain, leave, enter = self.tableau.best_swap()
            minimum = self.scaled.target + self.tableau.values[self.tableau.n_columns, self.tableau.n_columns]
            if gain <= max(_SWAP_GAIN * minimum, self.smallest_gain * self.scaled.target):
                break
            self.tableau.pivot(leave)
            self.tableau.pivot(enter)

    def path(self, models):
        """Path of the models up to the first that no term improves enough."""
        gains = np.array([gain for _, gain, _ in models])
        enough = np.flatnonzero(gains <= self.smallest_gain)
        models = models[: enough[0] + 1] if len(enough) else models
        alphas = np.minimum.accumulate(gains[: len(models)])
        return self.scaled.path(alphas, [coef for _, _, coef in models])


def _ridge(gram, moment, alphas):
    """Minimisers of w^T G w / 2 - c^T w + alpha w^T w / 2, shape (m, p)."""
    values, vectors = np.linalg.eigh(gram)
    # Eigenvalues below rounding errors of the largest one are zero, and their directions unknown.
    floor = len(moment) * np.finfo(np.float64).eps * values.max(initial=0.0)
    known = values > floor
    projection = (moment @ vectors)[known]
    return (projection / (values[known] + np.asarray(alphas)[:, None])) @ vectors[:, known].T


def _lasso(gram, moment, alpha, max_terms, size=None):
    """Knots (alphas, coefs) of the path that minimises w^T G w / 2 - c^T w + alpha sum |w / size|."""
    size = np.ones(len(moment)) if size is None else size
    moment = moment * size
    largest = np.abs(moment).max(initial=0.0)
    if alpha >= largest or max_terms == 0:
        return [max(alpha, largest)], np.zeros((1, len(moment)))
    # The golden ratio spreads the perturbations of any number of columns evenly.
    spread = np.arange(1, len(moment) + 1) * 0.6180339887498949 % 1.0
    for ridge, perturbation in _LASSO_ATTEMPTS:
        ridged = _ridged(gram, ridge) * size * size[:, None]
        try:
            alphas, coefs = _lasso_knots(ridged, moment + perturbation * largest * spread, alpha, max_terms)
        except LinAlgError:
            continue
        if _violation(ridged, moment, alphas, coefs) <= 10 * perturbation * largest:
            return alphas, coefs * size
    raise PathError(
        f"the lasso path could not be followed to alpha = {alpha:g}: the Gram matrix is not positive "
        "semidefinite within rounding errors. Check the normal equations, or use solver='omp'."
    )


def _lasso_knots(gram, moment, alpha, max_terms):
    """Knots of one lasso path: alphas (m,), coefs (m, p).

    Between two knots the active coefficients are u - alpha v with G_AA u = c_A and
    G_AA v = sign(w_A), and the correlations of the others with the residual are linear in
    alpha too; the tableau holds all four.
    """
    n_columns = len(moment)
    signs = np.zeros(n_columns)
    tableau = _Tableau(gram, moment, signs)
    active = tableau.active[:n_columns]
    start = current = np.abs(moment).max()
    rounding = 8 * np.finfo(np.float64).eps * start
    alphas, coefs = [start], [np.zeros(n_columns)]

    def step(slack, rate):
        # How far alpha may fall until a slack that shrinks at this rate is used up.
        return np.where(rate > 0, np.maximum(slack, 0.0) / np.where(rate > 0, rate, 1.0), np.inf)

    moved = int(np.abs(moment).argmax())
    sign = np.sign(moment[moved])
    tableau.set_right(1, moved, sign)
    tableau.pivot(moved)
    signs[moved] = sign
    # A path of p columns takes some 5 p knots here, twice that among densely packed Gaussians.
    for _ in range(50 * n_columns + 1000):
        offset, slope = tableau.values[:n_columns, n_columns], tableau.values[:n_columns, n_columns + 1]
        now = offset - current * slope
        steps = np.stack(
            [
                np.where(active, np.inf, step(current - now, 1.0 + slope)),
                np.where(active, np.inf, step(current + now, 1.0 - slope)),
                np.where(active, step(signs * now, -signs * slope), np.inf),
            ]
        )
        # The column that has just moved sits at its limit, and on which side of it is rounding.
        steps[2 if active[moved] else int(sign < 0), moved] = np.inf
        event, column = np.unravel_index(steps.argmin(), steps.shape)
        length = steps[event, column]
        last = current - length <= alpha
        if last or length > rounding:
            current = alpha if last else current - length
            alphas.append(current)
            coefs.append(np.where(active, offset - current * slope, 0.0))
        if event == 2 and not last:
            coefs[-1][column] = 0.0
        if max_terms is not None and np.count_nonzero(coefs[-1]) > max_terms:
            return np.array(alphas[:-1]), np.array(coefs[:-1])
        if last:
            return np.array(alphas), np.array(coefs)
        moved = int(column)
        if event == 2:
            sign = signs[moved]
            signs[moved] = 0.0
            tableau.pivot(moved)
            tableau.set_right(1, moved, 0.0)
        else:
            sign = 1.0 if event == 0 else -1.0
            signs[moved] = sign
            tableau.set_right(1, moved, sign)
            tableau.pivot(moved)
    raise LinAlgError("the lasso path goes in circles")


def _violation(gram, moment, alphas, coefs):
    """Largest violation of the optimality conditions of the lasso, over all models."""
    gradient = moment - coefs @ gram
    limit = np.asarray(alphas)[:, None]
    kept = np.abs(gradient - limit * np.sign(coefs)) * (coefs != 0)
    return max(kept.max(), (np.abs(gradient) - limit).max())
