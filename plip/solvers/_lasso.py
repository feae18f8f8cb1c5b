"""The lasso by least-angle regression on a scaled Gram matrix."""

import numpy as np
from scipy.linalg import LinAlgError

from plip._types import FloatArray
from plip.solvers._problem import PathError
from plip.solvers._tableau import Tableau, ridged

__all__ = ["lasso"]

# Pairs of (ridge on the scaled diagonal, perturbation of the moments relative to the largest) that the lasso
# tries in turn. Rounding errors grow with 1/ridge when nearly dependent columns leave a model. The
# perturbation differs from column to column: without it the events of repeated columns coincide, and the path
# cycles. It bounds the error of the optimality conditions.
_LASSO_ATTEMPTS = ((1e-8, 1e-10), (1e-7, 1e-9), (1e-6, 1e-8))


def lasso(
    gram: FloatArray,
    moment: FloatArray,
    alpha: float,
    max_terms: int | None,
    size: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Knots (alphas, coefs) of the path that minimizes w^T G w / 2 - c^T w + alpha sum |w / size|."""
    size = np.ones(len(moment)) if size is None else size
    moment = moment * size
    largest = np.abs(moment).max(initial=0.0)
    if alpha >= largest or max_terms == 0:
        return np.array([max(alpha, largest)]), np.zeros((1, len(moment)))
    # The golden ratio spreads the perturbations of any number of columns evenly.
    spread = np.arange(1, len(moment) + 1) * 0.6180339887498949 % 1.0
    for ridge, perturbation in _LASSO_ATTEMPTS:
        scaled = ridged(gram, ridge) * size * size[:, None]
        try:
            alphas, coefs = _lasso_knots(scaled, moment + perturbation * largest * spread, alpha, max_terms)
        except LinAlgError:
            continue
        if _violation(scaled, moment, alphas, coefs) <= 10 * perturbation * largest:
            return alphas, coefs * size
    raise PathError(
        f"the lasso path could not be followed to alpha = {alpha:g}: the Gram matrix is not positive "
        "semidefinite within rounding errors. Check the normal equations, or use solver='omp'."
    )


def _lasso_knots(
    gram: FloatArray, moment: FloatArray, alpha: float, max_terms: int | None
) -> tuple[FloatArray, FloatArray]:
    """Knots of one lasso path: alphas (m,), coefs (m, p).

    Between two knots the active coefficients are u - alpha v with G_AA u = c_A and
    G_AA v = sign(w_A), and the correlations of the others with the residual are linear in
    alpha too; the tableau holds all four.
    """
    n_columns = len(moment)
    signs = np.zeros(n_columns)
    tableau = Tableau(gram, moment, signs)
    active = tableau.active[:n_columns]
    start = current = np.abs(moment).max()
    rounding = 8 * np.finfo(np.float64).eps * start
    alphas, coefs = [start], [np.zeros(n_columns)]

    def step(slack: FloatArray, rate: FloatArray) -> FloatArray:
        # How far alpha falls until a slack that shrinks at this rate is used up.
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
        # The column that has just moved is at its limit; rounding decides on which side.
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


def _violation(gram: FloatArray, moment: FloatArray, alphas: FloatArray, coefs: FloatArray) -> float:
    """Largest violation of the optimality conditions of the lasso, over all models."""
    gradient = moment - coefs @ gram
    limit = np.asarray(alphas)[:, None]
    kept = np.abs(gradient - limit * np.sign(coefs)) * (coefs != 0)
    return max(kept.max(), (np.abs(gradient) - limit).max())
