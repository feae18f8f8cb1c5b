"""What a fit knows of its coefficients and reference energies, as a matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from plip._types import FloatArray, IntArray
from plip.normal_equations import NormalEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._information import fit_information
from plip.solvers import LinearProblem, residual_squares

__all__ = ["coefficient_precision", "factor_of"]

# eV. What is known of reference energies before any data.
_REFERENCE = 10.0
# Part of the labels that remains unexplained at least, so that exact data leave some doubt.
_EXACT = 1e-12
# Part of the diagonal that keeps factors of columns that depend on each other from breaking down.
_RIDGE = 1e-10


@single_blas_thread()
def coefficient_precision(
    equations: NormalEquations,
    coef: FloatArray,
    problem: LinearProblem,
    weights: Mapping[str, float],
    fits_references: bool,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Precision of the coefficients that are not zero, times the noise.

    Parameters
    ----------
    equations : NormalEquations
    coef : ndarray of float64, shape (n_terms,)
    problem : LinearProblem
        Of these equations, as it was solved, with the columns alone whose coefficients are not zero.
    weights : mapping of str to float
        Of each target.
    fits_references : bool
        Whether reference energies were fitted. They count only if there are energies.

    Returns
    -------
    matrix : ndarray of float64, shape (m, m)
        Normal matrix, penalty included, of the reference energies, if they count, and then of the kept terms.
    prior : ndarray of float64, shape (m,)
        What is known before any data, to be added to the diagonal: coefficients are of their own size, and
        reference energies within 10 eV.
    kept : ndarray of int
        The terms that count.
    """
    kept = np.flatnonzero(coef)
    used = {target: weights[target] for target, n in equations.n_rows.items() if n}
    squares = float(residual_squares(coef[kept], problem))
    noise = max(squares, _EXACT * problem.target_square) / problem.weight_sum
    prior = noise / coef[kept] ** 2
    matrix = fit_information(equations, kept, used)
    n_species = len(equations.species)
    if fits_references and used.get("energy"):
        prior = np.append(np.full(n_species, noise / _REFERENCE**2), prior)
    else:
        matrix = matrix[n_species:, n_species:]
    if problem.ridge is not None:
        places = np.arange(len(matrix) - len(kept), len(matrix))
        matrix[places, places] += problem.weight_sum * problem.ridge
    return matrix, prior, kept


def factor_of(matrix: FloatArray, least: FloatArray | float = 1.0) -> FloatArray:
    """Triangular factor of a normal matrix; columns of zeros get the square of `least`."""
    diagonal = np.sqrt(np.diagonal(matrix))
    scales = np.where(diagonal > 0, diagonal, least)
    scaled = matrix / scales / scales[:, None]
    ridge = _RIDGE
    while True:
        scaled[np.diag_indices_from(scaled)] = 1.0 + ridge
        try:
            factor: FloatArray = cholesky(scaled, lower=True)
        except LinAlgError:
            ridge *= 10.0
            continue
        return factor * scales[:, None]
