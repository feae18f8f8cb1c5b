"""Selection of columns of a scaled problem: forward, and with exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from plip._types import FloatArray, IntArray
from plip.solvers._tableau import DEPENDENT, RIDGE, Tableau, ridged

if TYPE_CHECKING:
    from plip.solvers._problem import Path, Scaled

__all__ = ["Replacement", "at_most", "forward_selection"]

# A swap of two terms must lower the residual square by this share of it. A smaller share takes time and
# gains nothing on structures outside the fit.
_SWAP_GAIN = 1e-4


def at_most(max_terms: int | None, n_columns: int) -> int:
    """Largest number of terms; None means all columns."""
    return n_columns if max_terms is None else min(max_terms, n_columns)


def _smallest_gain(alpha: float) -> float:
    """Share of the target square that a term must gain; a smaller one than eps is rounding."""
    return max(alpha, float(np.finfo(np.float64).eps))


def forward_selection(
    scaled: Scaled, max_terms: int | None, alpha: float
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Forward selection by a Cholesky factorization that grows by one row a step.

    Parameters
    ----------
    scaled : Scaled
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
    most = at_most(max_terms, n_columns)
    # Chosen columns come first, in the order of choice: each changes places with the first other column.
    order = np.arange(n_columns)
    factor, projection = np.zeros((most, n_columns)), np.empty(most)
    left = scaled.diagonal + RIDGE
    correlation = scaled.moment.copy()
    gains = []
    for size in range(most + 1):
        usable = left[size:] > DEPENDENT
        gain = np.where(usable, correlation[size:] ** 2 / np.where(usable, left[size:], 1.0), 0.0)
        gains.append(gain.max(initial=0.0) / scaled.target if scaled.target > 0 else 0.0)
        if size == most or gains[-1] <= _smallest_gain(alpha):
            break
        both = [size, size + int(gain.argmax())]
        for array in (order, left, correlation):
            array[both] = array[both[::-1]]
        factor[:size, both] = factor[:size, both[::-1]]
        row = scaled.row(order[size], order[size:]) - factor[:size, size] @ factor[:size, size:]
        pivot = np.sqrt(left[size])
        row[0] = left[size]
        row /= pivot
        factor[size, size:], projection[size] = row, correlation[size] / pivot
        left[size:] -= row**2
        correlation[size:] -= row * projection[size]
    size = len(gains) - 1
    return order[:size], np.array(gains), factor[:size, :size], projection[:size]


# Minimum of the objective, relative gain of the best further term, coefficients.
Model: TypeAlias = tuple[float, float, FloatArray]


class Replacement:
    """Models of 0, 1, 2, ... terms by adding, removing and swapping terms."""

    def __init__(self, scaled: Scaled, alpha: float) -> None:
        self.scaled = scaled
        self.tableau = Tableau(ridged(scaled.gram, RIDGE), scaled.moment)
        self.smallest_gain = _smallest_gain(alpha)

    def model(self) -> Model:
        tableau, target = self.tableau, self.scaled.target
        minimum = target + tableau.values[tableau.n_columns, tableau.n_columns]
        gain = tableau.gains().max(initial=0.0)
        return minimum, gain / target if target > 0 else 0.0, tableau.solution()

    def grow(self, n_terms: int) -> list[Model]:
        """Models of all sizes up to n_terms, or until no term gains enough."""
        models = [self.model()]
        while len(models) <= n_terms and models[-1][1] > self.smallest_gain:
            self.tableau.pivot(int(self.tableau.gains().argmax()))
            self.swap()
            models.append(self.model())
        return models

    def shrink(self, models: list[Model]) -> None:
        """Remove terms from the last model one by one; better models replace those in the list."""
        for size in range(len(models) - 2, 0, -1):
            losses, _ = self.tableau.losses()
            self.tableau.pivot(np.flatnonzero(self.tableau.active)[losses.argmin()])
            self.swap()
            models[size] = min(models[size], self.model(), key=lambda model: model[0])

    def mend(self, models: list[Model]) -> list[Model]:
        """Regrow each model that is no better than the next smaller one from that one."""
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

    def swap(self) -> None:
        """Swap active columns for others as long as that lowers the residual enough."""
        if self.tableau.active[: self.tableau.n_columns].all():
            return
        # A few swaps are enough; the bound stops an endless loop over gains that are only rounding errors.
        for _ in range(self.tableau.n_columns):
            gain, leave, enter = self.tableau.best_swap()
            minimum = self.scaled.target + self.tableau.values[self.tableau.n_columns, self.tableau.n_columns]
            if gain <= max(_SWAP_GAIN * minimum, self.smallest_gain * self.scaled.target):
                break
            self.tableau.pivot(leave)
            self.tableau.pivot(enter)

    def path(self, models: list[Model]) -> Path:
        """Path of the models up to the first one that no term improves enough."""
        gains = np.array([gain for _, gain, _ in models])
        enough = np.flatnonzero(gains <= self.smallest_gain)
        models = models[: enough[0] + 1] if len(enough) else models
        alphas = np.minimum.accumulate(gains[: len(models)])
        return self.scaled.path(alphas, [coef for _, _, coef in models])
