"""Normal equations of a numeric array, for descriptors that the user has computed."""

import numpy as np

from plip._types import FloatArray
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._problem import linear_problem
from plip.normal_equations._sums import Sums
from plip.solvers import LinearProblem, residual_squares

__all__ = ["ArrayEquations"]


class ArrayEquations:
    """Normal equations of a numeric array with an intercept, for descriptors that the user has computed.

    Columns and target are taken relative to their means over the first batch.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_terms)
    y : ndarray of float64, shape (n_samples,)
    sample_weight : ndarray of float64, shape (n_samples,)
    """

    def __init__(self, X: FloatArray, y: FloatArray, sample_weight: FloatArray) -> None:
        rows = np.column_stack([X, y])
        self._shift = np.average(rows, axis=0, weights=sample_weight)
        self._sums = Sums(X.shape[1] + 2)
        self.add(X, y, sample_weight)

    def add(self, X: FloatArray, y: FloatArray, sample_weight: FloatArray) -> None:
        """Add a batch."""
        n_terms = X.shape[1]
        centered = np.column_stack([X, y]) - self._shift
        rows = np.insert(centered, n_terms, 1.0, axis=1) * np.sqrt(sample_weight)[:, None]
        batch = Sums(self._sums.width)
        with single_blas_thread():
            batch.add_rows(rows, float(sample_weight.sum()))
            batch.complete()
        self._sums = self._sums.combined(batch, 1).merged()

    @single_blas_thread()
    def problem(self) -> LinearProblem:
        """The least-squares problem, with the intercept projected out."""
        return linear_problem(self._sums.products, self._sums.width - 2, self._sums.weight)

    @single_blas_thread()
    def intercept(self, coef: FloatArray) -> float:
        """The intercept that goes with the coefficients."""
        n_terms = len(coef)
        row = self._sums.rows(n_terms)[0]
        change = (row[-1] - row[:n_terms] @ coef) / row[n_terms]
        return float(self._shift[-1] - self._shift[:-1] @ coef + change)

    @single_blas_thread()
    def standard_deviations(self, coef: FloatArray, X: FloatArray) -> FloatArray:
        """Standard deviations of predictions, as ordinary least squares with the kept columns has them.

        Parameters
        ----------
        coef : ndarray of float64, shape (n_terms,)
        X : ndarray of float64, shape (n_samples, n_terms)

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            sigma sqrt(1 + 1 / n + x^T (X^T X)^-1 x), x relative to the mean of the fit, sigma^2 the sum of
            squared residuals over the degrees of freedom that are left.
        """
        problem = self.problem()
        kept = np.flatnonzero(coef)
        n_terms = len(coef)
        row = self._sums.rows(n_terms)[0]
        mean = self._shift[:-1] + row[:n_terms] / row[n_terms]
        weight = problem.weight_sum
        residual = float(residual_squares(coef, problem)) / max(weight - len(kept) - 1.0, 1.0)
        centered = (X - mean)[:, kept]
        covariance = np.linalg.pinv(problem.gram[np.ix_(kept, kept)], hermitian=True)
        leverage = np.einsum("ij,jk,ik->i", centered, covariance, centered)
        return np.sqrt(residual * (1.0 + 1.0 / weight + leverage))
