"""The input and output of solvers: a least-squares problem, and the path of its models."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError

from plip._html import table
from plip._types import FloatArray, IntArray
from plip.solvers._tableau import RIDGE

__all__ = ["LinearProblem", "Path", "PathError", "Scaled", "path_errors", "residual_squares"]

# Models that a notebook shows of a path.
_MOST_SHOWN = 20


class PathError(RuntimeError):
    """The solver could not follow a path to the requested penalty."""


@contextlib.contextmanager
def path_errors() -> Iterator[None]:
    """Turn a LinAlgError inside the context into a PathError that says what to do."""
    try:
        yield
    except LinAlgError as error:
        raise PathError(
            f"the fit lost all digits ({error}): the columns depend on each other more than rounding allows, "
            "perhaps because the structures hardly differ. Add other structures, or use a larger "
            "alpha or solver='omp'"
        ) from error


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
    ridge : ndarray of float64, shape (p,), or None
        Squares l_k: every solver adds sum_k l_k w_k^2 / 2 to its objective. None adds nothing.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or `weight_sum` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> problem.gram.shape
    (3, 3)
    """

    gram: FloatArray
    moment: FloatArray
    target_square: float
    weight_sum: float
    ridge: FloatArray | None = None

    def __post_init__(self) -> None:
        gram = np.asarray(self.gram, dtype=np.float64)
        moment = np.asarray(self.moment, dtype=np.float64)
        if moment.ndim != 1 or gram.shape != (len(moment), len(moment)):
            raise ValueError(f"gram {gram.shape} and moment {moment.shape} do not match")
        if not (np.isfinite(gram).all() and np.isfinite(moment).all() and np.isfinite(self.target_square)):
            raise ValueError("normal equations hold NaN or infinity: check descriptors and labels")
        if not 0 < self.weight_sum < np.inf:
            raise ValueError(f"weight_sum must be positive and finite, got {self.weight_sum}")
        object.__setattr__(self, "gram", gram)
        object.__setattr__(self, "moment", moment)

    @property
    def scales(self) -> FloatArray:
        """ndarray of float64, shape (p,): root mean square s_k of each weighted column."""
        return np.sqrt(np.maximum(np.diagonal(self.gram), 0.0) / self.weight_sum)

    def restricted(self, columns: IntArray) -> LinearProblem:
        """The problem with only some of its columns, in memory of its own.

        Parameters
        ----------
        columns : ndarray of int, shape (k,)

        Returns
        -------
        LinearProblem

        Examples
        --------
        >>> problem.restricted(np.array([0, 2])).moment
        array([6. , 4.1])
        """
        ridge = None if self.ridge is None else self.ridge[columns]
        gram = self.gram[np.ix_(columns, columns)]
        return LinearProblem(gram, self.moment[columns], self.target_square, self.weight_sum, ridge)


@dataclass(frozen=True, eq=False)
class Path:
    """Models of growing size.

    Attributes
    ----------
    alphas : ndarray of float64, shape (m,)
        Penalty of each model. For forward selection, the largest relative gain of one more term. Either way
        a model is the answer to all alphas from its own up to that of the model before.
    coefs : ndarray of float64, shape (m, p)
        Coefficients in physical units.
    n_terms : ndarray of int, shape (m,)
        Number of non-zero coefficients.

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, omp_path
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> path = omp_path(problem)
    >>> path.n_terms
    array([0, 1, 2, 3])
    >>> path.coefs.shape
    (4, 3)
    """

    alphas: FloatArray
    coefs: FloatArray
    n_terms: IntArray

    def __len__(self) -> int:
        return len(self.alphas)

    def _repr_html_(self) -> str:
        rows = np.unique(np.linspace(0, max(len(self) - 1, 0), min(len(self), _MOST_SHOWN)).astype(int))
        shown = [(int(self.n_terms[row]), f"{self.alphas[row]:.4g}") for row in rows]
        return table(f"Path of {len(self)} models", shown, ("number of terms", "alpha"))

    def at_sizes(self, sizes: ArrayLike) -> Path:
        """For each size, the model at which a path with that `max_terms` ends.

        Parameters
        ----------
        sizes : array_like of int, shape (k,)
            Numbers of terms.

        Returns
        -------
        Path
            k models, in the order of `sizes`.

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


def residual_squares(coefs: ArrayLike, problem: LinearProblem) -> FloatArray:
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

    Examples
    --------
    >>> import numpy as np
    >>> from plip.solvers import LinearProblem, residual_squares
    >>> X = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> y = np.array([2.0, 2.0, 0.1, 2.0])
    >>> problem = LinearProblem(X.T @ X, X.T @ y, y @ y, weight_sum=4.0)
    >>> float(residual_squares(np.zeros(3), problem))
    12.01
    """
    coefs = np.asarray(coefs)
    squares = ((coefs @ problem.gram - 2 * problem.moment) * coefs).sum(axis=-1) + problem.target_square
    return np.maximum(squares, 0.0)


class Scaled:
    """A problem without its columns of zeros, the others scaled to unit mean square.

    With thousands of columns the scaled Gram matrix is made only if it is asked for as a whole.
    """

    def __init__(self, problem: LinearProblem, columns: IntArray | None = None) -> None:
        scales = problem.scales
        self._problem = problem
        self.n_columns = len(scales)
        self.columns = np.flatnonzero(scales) if columns is None else columns
        self.scales = scales[self.columns]
        self.moment = problem.moment[self.columns] / self.scales / problem.weight_sum
        self.target = max(problem.target_square, 0.0) / problem.weight_sum

    @property
    def diagonal(self) -> FloatArray:
        """Diagonal of the scaled Gram matrix, with its ridge."""
        diagonal = np.diagonal(self._problem.gram)[self.columns]
        values: FloatArray = diagonal / self.scales / self.scales / self._problem.weight_sum
        if self._problem.ridge is not None:
            values += self._problem.ridge[self.columns] / self.scales**2
        return values

    def row(self, k: int, others: IntArray) -> FloatArray:
        """Part of row k of the scaled Gram matrix, without the ridge of the diagonal."""
        row = self._problem.gram[self.columns[k], self.columns[others]]
        row /= self.scales[others]
        row /= self.scales[k]
        row /= self._problem.weight_sum
        return row

    @functools.cached_property
    def gram(self) -> FloatArray:
        """The scaled Gram matrix, with its ridge."""
        gram = self._problem.gram[np.ix_(self.columns, self.columns)]
        gram /= self.scales
        gram /= self.scales[:, None]
        gram /= self._problem.weight_sum
        gram[np.diag_indices_from(gram)] = self.diagonal
        return gram

    def restricted(self, places: IntArray) -> Scaled:
        """The problem with only some of its columns."""
        return Scaled(self._problem, self.columns[places])

    def objectives(self, coefs: FloatArray) -> FloatArray:
        """What selection minimizes, mean squares with all ridges, for models in physical units."""
        scaled = coefs[:, self.columns] * self.scales
        return self.target + ((scaled @ self.gram + RIDGE * scaled - 2.0 * self.moment) * scaled).sum(axis=1)

    def path(self, alphas: ArrayLike, coefs: ArrayLike) -> Path:
        """Path of scaled coefficients."""
        coefs = np.asarray(coefs, dtype=np.float64)
        physical = np.zeros((len(coefs), self.n_columns))
        physical[:, self.columns] = coefs / self.scales
        return Path(np.array(alphas, dtype=np.float64), physical, np.count_nonzero(physical, axis=1))
