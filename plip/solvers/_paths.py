"""Paths of sparse linear models, computed from normal equations alone.

All solvers minimize, over coefficients w in physical units,

    1/(2n) ||V (X w - y)||^2 + penalty(s_1 w_1, ..., s_p w_p),    s_k^2 = (X^T V^2 X)_kk / n,

and see the data only through X^T V^2 X, X^T V^2 y, y^T V^2 y and n. Inside, columns are scaled to
unit mean square, so that rescaled columns change nothing. A column of zeros (s_k = 0)
keeps coefficient 0. The same input gives the same bits as long as BLAS runs on the
same number of threads; one thread is also the fastest.

Interaction descriptors are nearly dependent by nature (condition 1e12 and more), so every solver
adds a small ridge to the diagonal of the scaled Gram matrix; a comment explains each. A Gram
matrix that is not positive semidefinite within that ridge raises a `PathError`.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, lapack

from plip._parameters import is_integer, is_number
from plip._types import FloatArray, IntArray
from plip.solvers._lasso import lasso
from plip.solvers._problem import LinearProblem, Path, Scaled, path_errors
from plip.solvers._ridge import ridge
from plip.solvers._selection import Replacement, at_most, forward_selection
from plip.solvers._tableau import RIDGE, Tableau, ridged

__all__ = [
    "SHRINKING",
    "SOLVERS",
    "adaptive_lasso_path",
    "lasso_lars_path",
    "omp_path",
    "refit",
    "refit_path",
    "replacement_path",
    "ridge_elimination_path",
    "ridge_path",
    "solve",
]

# Sequential replacement chooses among at least this many columns.
_SHORTLIST = 150

# Ridge of the first solution of the adaptive lasso. In cross-validation on Mo and Si a smaller one gives
# larger errors below 100 terms, and the same errors above.
_ADAPTIVE_RIDGE = 1e-4


def lasso_lars_path(problem: LinearProblem, alpha: float = 0.0, max_terms: int | None = None) -> Path:
    """Lasso path by least-angle regression.

    Minimizes ``1/(2n) ||V (X w - y)||^2 + alpha sum_k |s_k w_k|`` for every alpha from the
    largest that keeps a term down to `alpha`: the solution is piecewise linear in
    alpha, and one term enters or leaves at each knot (Efron et al., Ann. Stat. 32, 407
    (2004); Osborne et al., IMA J. Numer. Anal. 20, 389 (2000)).

    `sklearn.linear_model.lars_path_gram` computes the same path, but it stops at alphas below
    1e-7 whatever the unit of y, and early where columns repeat each other. This one is exact
    at every knot, and checked.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float, default=0.0
        Penalty at which the path ends, in the unit of y.
    max_terms : int or None, default=None
        Largest number of non-zero coefficients; the path ends before `alpha` if that would need more.

    Returns
    -------
    Path
        One model per knot, the last at exactly `alpha` unless `max_terms` stopped the path. Each
        fulfils the optimality conditions within 1e-9 of the largest alpha (1e-7 at worst), for a Gram
        matrix with 1e-8 (1e-6 at worst, if rounding demands it) added to its scaled diagonal.

    Raises
    ------
    PathError
        If the optimality conditions fail because `gram` is not positive semidefinite within
        rounding errors.
    ValueError
        If `alpha` or `max_terms` is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, lasso_lars_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> path = lasso_lars_path(problem, alpha=0.01)
    >>> path.n_terms
    array([0, 1, 2, 3])
    >>> path.coefs[-1].round(3)
    array([1.938, 0.038, 0.038])
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = Scaled(problem)
    return scaled.path(*lasso(scaled.gram, scaled.moment, alpha, max_terms))


@path_errors()
def adaptive_lasso_path(problem: LinearProblem, alpha: float = 0.0, max_terms: int | None = None) -> Path:
    """Lasso path whose penalty spares the terms that a ridge solution finds large.

    Minimizes ``1/(2n) ||V (X w - y)||^2 + alpha sum_k |s_k w_k| / v_k`` with
    ``v_k = |s_k w0_k| / mean |s w0|``
    and w0 the ridge solution, the usual start where columns depend on each
    other (Zou, J. Am. Stat. Assoc. 101, 1418 (2006), with exponent 1). The mean normalizes v, so that
    alpha keeps the unit of y.

    Parameters, returns and errors are those of `lasso_lars_path`.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, adaptive_lasso_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> adaptive_lasso_path(problem, alpha=0.1).n_terms
    array([0, 1])
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = Scaled(problem)
    size = np.abs(ridge(scaled.gram, scaled.moment, [_ADAPTIVE_RIDGE])[0])
    size /= size.mean() if size.any() else 1.0
    return scaled.path(*lasso(scaled.gram, scaled.moment, alpha, max_terms, size))


@path_errors()
def omp_path(problem: LinearProblem, alpha: float = 0.0, max_terms: int | None = None) -> Path:
    """Forward selection by largest gain.

    Each step adds the term that lowers the sum of squares most after all coefficients are solved for
    again (orthogonal least squares: Chen, Billings & Luo, Int. J. Control 50, 1873 (1989)). Orthogonal
    matching pursuit, which goes by correlation, would choose worse among dependent columns.
    The sum of squares includes the ridge of `refit`, and the models have the coefficients of `refit`.

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
        Models of 0, 1, 2, ... terms. The path ends early when the remaining columns are
        combinations of the chosen ones (all but 1e-7 of their square).

    Raises
    ------
    ValueError
        If `alpha` or `max_terms` is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, omp_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> omp_path(problem, max_terms=1).coefs[-1].round(3)
    array([2., 0., 0.])
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = Scaled(problem)
    return _forward_path(scaled, max_terms, *forward_selection(scaled, max_terms, alpha))


def _forward_path(
    scaled: Scaled,
    max_terms: int | None,
    order: IntArray,
    gains: FloatArray,
    factor: FloatArray,
    projection: FloatArray,
) -> Path:
    """Path of the first `max_terms` steps of a forward selection."""
    size = at_most(max_terms, len(order))
    order, gains = order[:size], gains[: size + 1]
    coefs = np.zeros((size + 1, len(scaled.columns)))
    if size:
        # A leading block of a triangular matrix has the leading block of the inverse as its inverse, so that
        # each step adds one column of the inverse to the solution.
        inverse, _ = lapack.dtrtri(factor[:size, :size])
        inverse *= projection[:size]
        coefs[1:, order] = np.cumsum(inverse, axis=1, out=inverse).T
    return scaled.path(np.minimum.accumulate(gains), coefs)


@path_errors()
def replacement_path(problem: LinearProblem, alpha: float = 0.0, max_terms: int | None = None) -> Path:
    """Forward and backward selection in which chosen terms may be exchanged.

    After each step of `omp_path`, the best swap of a chosen for an unchosen term is made, again and
    again, until no swap lowers the residual by 1e-4 of it (sequential replacement: Miller, J. R. Stat.
    Soc. A 147, 389 (1984), with the best of all swaps). The model grows to one and a quarter times
    `max_terms`. Then terms are removed one by one, again with swaps, and the better of the two models
    of each size is kept. A model need not contain the smaller ones, but is never worse.

    Of very many columns only those take part that forward selection chooses first: twice `max_terms`, and at
    least 150. In cross-validation on Si and Mo, with 1598 columns, this costs up to 1 % of the force
    error and saves nine tenths of the time.

    Parameters, returns and errors are those of `omp_path`.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, replacement_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> replacement_path(problem, max_terms=2).coefs[-1].round(3)
    array([1.96, 0.06, 0.  ])
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = Scaled(problem)
    shortlist = None if max_terms is None else max(2 * max_terms, _SHORTLIST)
    selected = forward_selection(scaled, shortlist, alpha)
    greedy = _forward_path(scaled, max_terms, *selected)
    if shortlist is not None and shortlist < len(scaled.columns):
        scaled = scaled.restricted(selected[0])
    try:
        selection = Replacement(scaled, alpha)
        max_terms = at_most(max_terms, selection.tableau.n_columns)
        models = selection.grow(at_most(max_terms + max_terms // 4, selection.tableau.n_columns))
        selection.shrink(models)
        path = selection.path(selection.mend(models[: max_terms + 1]))
    except LinAlgError:
        # Swaps among dependent columns lose digits; growth by Cholesky factors does not.
        return greedy
    return _better(path, greedy, scaled)


def _better(path: Path, other: Path, scaled: Scaled) -> Path:
    """The better model of each size of two paths of 0, 1, 2, ... terms, as long as the objective falls."""
    shorter, longer = sorted((path, other), key=len)
    alphas, coefs, n_both = longer.alphas.copy(), longer.coefs.copy(), len(shorter)
    objectives, others = scaled.objectives(longer.coefs), scaled.objectives(shorter.coefs)
    lower = np.flatnonzero(others <= objectives[:n_both])
    alphas[lower], coefs[lower], objectives[lower] = (
        shorter.alphas[lower],
        shorter.coefs[lower],
        others[lower],
    )
    rises = np.flatnonzero(np.diff(objectives[n_both - 1 :]) >= 0)
    end = n_both + rises[0] if len(rises) else len(longer)
    return Path(np.minimum.accumulate(alphas[:end]), coefs[:end], np.count_nonzero(coefs[:end], axis=1))


@path_errors()
def ridge_path(problem: LinearProblem, alphas: ArrayLike) -> Path:
    """Ridge regression on scaled columns.

    Minimizes 1/(2n) ||V (X w - y)||^2 + alpha/2 sum_k (s_k w_k)^2.

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

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, ridge_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> ridge_path(problem, alphas=[1.0, 0.01]).coefs.round(3)
    array([[0.79 , 0.315, 0.315],
           [1.903, 0.058, 0.058]])
    """
    alphas = np.sort([_checked(alpha, None)[0] for alpha in np.ravel(alphas)])[::-1]
    scaled = Scaled(problem)
    return scaled.path(alphas, ridge(scaled.gram, scaled.moment, alphas))


@path_errors()
def ridge_elimination_path(problem: LinearProblem, alpha: float = 0.0, max_terms: int | None = None) -> Path:
    """Ridge regression and backward elimination.

    Starting from the ridge solution on all columns, each step removes the term whose loss raises the
    minimum least.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float, default=0.0
        Ridge penalty; at least that of `refit` is used.
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

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, ridge_elimination_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> ridge_elimination_path(problem, alpha=0.01).n_terms
    array([0, 1, 2, 3])
    """
    alpha, max_terms = _checked(alpha, max_terms)
    scaled = Scaled(problem)
    n_columns = len(scaled.moment)
    max_terms = at_most(max_terms, n_columns)
    tableau = Tableau(ridged(scaled.gram, max(alpha, RIDGE)), scaled.moment)
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


def refit(problem: LinearProblem, support: Iterable[int] | Iterable[bool]) -> FloatArray:
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

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, refit
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> refit(problem, [0]).round(3)
    array([2., 0., 0.])
    """
    chosen = np.zeros(len(problem.moment), dtype=bool)
    chosen[list(support)] = True
    return refit_path(problem, Path(np.zeros(1), chosen[None], np.array([chosen.sum()]))).coefs[0]


@path_errors()
def refit_path(problem: LinearProblem, path: Path) -> Path:
    """Give the models of a path the coefficients of `refit` on their terms.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, lasso_lars_path, refit_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> path = refit_path(problem, lasso_lars_path(problem, alpha=0.1))
    >>> path.coefs[-1].round(3)
    array([2., 0., 0.])
    """
    scaled = Scaled(problem)
    tableau = Tableau(ridged(scaled.gram, RIDGE), scaled.moment)
    coefs = []
    for model in path.coefs[:, scaled.columns]:
        tableau.move(model != 0)
        coefs.append(tableau.solution())
    return scaled.path(path.alphas, coefs)


# Solvers that shrink coefficients, which a refit changes; the others select terms.
SHRINKING = ("lasso_lars", "adaptive_lasso", "ridge")

SOLVERS: Mapping[str, Callable[[LinearProblem, float, int | None], Path]] = {
    "lasso_lars": lasso_lars_path,
    "omp": omp_path,
    "replacement": replacement_path,
    "adaptive_lasso": adaptive_lasso_path,
    "ridge": ridge_elimination_path,
}


def solve(
    problem: LinearProblem,
    solver: str = "replacement",
    alpha: float = 0.0,
    max_terms: int | None = None,
    refit: bool = False,
) -> tuple[FloatArray, Path]:
    """Solve with the solver of a name.

    Parameters
    ----------
    problem : LinearProblem
    solver : {"replacement", "omp", "lasso_lars", "adaptive_lasso", "ridge"}, default="replacement"
        See `replacement_path`, `omp_path`, `lasso_lars_path`, `adaptive_lasso_path` and
        `ridge_elimination_path`.
    alpha : float, default=0.0
        Penalty or smallest relative gain.
    max_terms : int or None, default=None
        Largest number of terms.
    refit : bool, default=False
        Whether to give the models the coefficients of `refit`; those of "omp" and "replacement"
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
        If there is no such solver, or `alpha` or `max_terms` is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, solve
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> coef, path = solve(problem, "omp", alpha=0.0, max_terms=1)
    >>> coef.round(3)
    array([2., 0., 0.])
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    path = SOLVERS[solver](problem, alpha, max_terms)
    if refit and solver in SHRINKING:
        path = refit_path(problem, path)
    return path.coefs[-1].copy(), path


def _checked(alpha: float, max_terms: int | None) -> tuple[float, int | None]:
    if not is_number(alpha) or not 0 <= alpha < np.inf:
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha!r}")
    if max_terms is not None and (not is_integer(max_terms) or max_terms < 0):
        raise ValueError(f"max_terms must be an integer of at least 0 or None, got {max_terms!r}")
    return float(alpha), max_terms
