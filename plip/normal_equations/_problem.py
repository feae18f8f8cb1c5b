"""The least-squares problem of summed products, with reference energies projected out."""

import numpy as np

from plip._types import FloatArray
from plip.solvers import LinearProblem

__all__ = ["linear_problem", "pseudo_inverse"]

# Shares of its natural size. A root mean square of a column below the first is rounding of larger numbers.
# Below the second the data hardly touch the column: its term could be hundreds of times as large outside the
# data as inside. In dense data (Si, Mo, SiC, SiO2, Mo-Nb) no column is below 3e-3.
_ROUNDING = 1e-11

_LEAST_TOUCHED = 3e-3

# The fit has one more row for every column, with this squared weight and the target zero for a contribution
# of natural size. It does not matter in fits to 40,000 rows of Si or Mo; in a fit to 30 trimers, it halves
# the predictions outside the data. Ten times as much would change planted coefficients by 1 %.
_SIZE_RIDGE = 3e-6

# Rounding of products, as a share of the squares before the projection.
_PROJECTED = 1e-14


def linear_problem(
    products: FloatArray,
    n_terms: int,
    weight_sum: float,
    sizes: FloatArray | None = None,
    seen: FloatArray | None = None,
    n_rows: int = 1,
) -> LinearProblem:
    """Least-squares problem of products of [X, composition, y], with the composition projected out.

    With natural sizes, columns that the data hardly touch are left out, and the others get a ridge.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(products).all() and np.isfinite(products.trace() / weight_sum)
    if not is_finite:
        raise ValueError(
            "sums of squares of descriptors or labels overflow: look for labels in the wrong unit, for "
            "sample weights next to zero, or for radial functions that are too steep for the shortest "
            "distance"
        )
    variables = np.r_[:n_terms, products.shape[0] - 1]
    composition = products[n_terms:-1, n_terms:-1]
    cross = products[n_terms:-1][:, variables]
    before = products[np.ix_(variables, variables)]
    reduced = before - cross.T @ (pseudo_inverse(composition) @ cross)
    # The rest of a column that follows the composition is rounding.
    nothing = np.diag(reduced) <= 1e-12 * np.diag(before)
    # The projection subtracts nearly equal numbers; the ridge keeps rounding from looking like a variance.
    ridge = _PROJECTED * np.diag(before)[:-1] / weight_sum
    if sizes is not None and seen is not None:
        scales = np.sqrt(np.maximum(np.diag(reduced)[:-1], 0.0) / weight_sum)
        real = (sizes > 0) & (scales > _ROUNDING * sizes)
        # In nearly perfect crystals all columns vary little, however large they are.
        varied = real & (seen > _ROUNDING * sizes)
        sizes = sizes * min(np.median(scales[varied] / seen[varied]), 1.0) if varied.any() else sizes
        nothing[:-1] |= ~real | (scales < _LEAST_TOUCHED * sizes)
        ridge += _SIZE_RIDGE / n_rows * sizes**2
    reduced[nothing, :] = 0.0
    reduced[:, nothing] = 0.0
    return LinearProblem(
        gram=0.5 * (reduced[:-1, :-1] + reduced[:-1, :-1].T),
        moment=reduced[:-1, -1],
        target_square=float(reduced[-1, -1]),
        weight_sum=weight_sum,
        ridge=ridge,
    )


def pseudo_inverse(composition: FloatArray) -> FloatArray:
    # Below 1e-10 of the largest eigenvalue compositions do not distinguish species.
    return np.asarray(np.linalg.pinv(composition, rcond=1e-10, hermitian=True), np.float64)
