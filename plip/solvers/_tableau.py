"""A symmetric matrix swept on some of its columns: least squares with columns that come and go."""

import numpy as np
from scipy.linalg import LinAlgError, blas, cho_factor, cho_solve

from plip._core._swaps import find_best_swap
from plip._types import BoolArray, FloatArray

__all__ = ["DEPENDENT", "RIDGE", "Tableau", "ridged"]

# Ridge of least-squares solutions on the scaled diagonal: it damps directions that carry less than this
# share of a column's mean square. In cross-validation on Mo and Si, 1e-6 raises the energy error by up to a
# seventh, while 1e-10 lowers it by 2 % and makes the largest coefficients six times larger.
RIDGE = 1e-8

# Forward selection leaves out a column once the chosen columns explain all but this share of its mean square.
# Of a repeated column, twice the ridge remains.
DEPENDENT = 10 * RIDGE

# A tableau changes up to this many columns one by one; a factorization from scratch costs about as much as a
# hundred such pivots.
_FEW = 100


def ridged(gram: FloatArray, ridge: float) -> FloatArray:
    """The matrix with `ridge` added to its diagonal."""
    return gram + ridge * np.eye(len(gram))


class Tableau:
    """Symmetric matrix [[gram, right], [right^T, 0]] swept on the active columns.

    With A the active columns, I the others and those of `right`, and S the matrix as given, `values`
    holds -S_AA^-1 in its AA block, S_AA^-1 S_AI in AI, and S_II - S_IA S_AA^-1 S_AI in II (Dempster,
    Elements of Continuous Multivariate Analysis (1969)). A right-hand side thus holds the
    solution on active columns and the correlation with the residual on the others, and a
    rank-one update lets one column enter or leave.
    """

    def __init__(self, gram: FloatArray, *right: FloatArray) -> None:
        n_columns, n_right = len(gram), len(right)
        self._given = np.zeros((n_columns + n_right,) * 2, order="F")
        self._given[:n_columns, :n_columns] = gram
        for column, values in enumerate(right, start=n_columns):
            self._given[:n_columns, column] = self._given[column, :n_columns] = values
        self.n_columns = n_columns
        self.values = self._given.copy(order="F")
        self.active = np.zeros(n_columns + n_right, dtype=bool)

    def pivot(self, k: int) -> None:
        """Let column k enter, or leave if it is active."""
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

    def move(self, support: BoolArray) -> None:
        """Make the columns of a mask, shape (p,), the active ones."""
        changed = np.flatnonzero(support != self.active[: self.n_columns])
        if len(changed) <= _FEW:
            for k in changed.tolist():
                self.pivot(k)
        else:
            self.active[: self.n_columns] = support
            self._factorize()

    def solution(self) -> FloatArray:
        """Solution for the first right-hand side, shape (p,), zero outside the active columns."""
        inside = self.active[: self.n_columns]
        return np.where(inside, self.values[: self.n_columns, self.n_columns], 0.0)

    def _factorize(self) -> None:
        """Compute all values from the given matrix."""
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

    def set_right(self, right: int, k: int, value: float) -> None:
        """Change the right-hand side of number `right` at the inactive column k."""
        right += self.n_columns
        change = value - self._given[k, right]
        for matrix in (self._given, self.values):
            matrix[k, right] += change
            matrix[right, k] += change

    def gains(self) -> FloatArray:
        """How much each column would lower the minimum for the first right-hand side; -1 for active ones."""
        left = np.diagonal(self.values)[: self.n_columns]
        correlation = self.values[: self.n_columns, self.n_columns]
        usable = ~self.active[: self.n_columns] & (left > DEPENDENT)
        return np.where(usable, correlation**2 / np.where(usable, left, 1.0), -1.0)

    def losses(self) -> tuple[FloatArray, FloatArray]:
        """How much the minimum rises without each active column, and their variances."""
        inside = np.flatnonzero(self.active)
        variance = -np.diagonal(self.values)[inside]
        return self.values[inside, self.n_columns] ** 2 / variance, variance

    def best_swap(self) -> tuple[float, int, int]:
        """The gain of the best swap, the active column and the other column."""
        return find_best_swap(self.values, self.active[: self.n_columns], DEPENDENT)
