"""The least-squares problem of summed products, with reference energies projected out."""

import numpy as np

from plip._types import FloatArray
from plip.normal_equations._packed import mirror
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

# Rows from which the composition is projected out at a time.
_BLOCK = 128


def linear_problem(
    products: FloatArray,
    n_terms: int,
    weight_sum: float,
    sizes: FloatArray | None = None,
    seen: FloatArray | None = None,
    n_rows: int = 1,
) -> LinearProblem:
    """Least-squares problem of products of [X, composition, y], with the composition projected out.

    With natural sizes, columns that the data hardly touch are left out, and the others get a ridge. The lower
    triangle of the products is read, and their memory becomes that of the problem.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(products).all() and np.isfinite(products.trace() / weight_sum)
    if not is_finite:
        raise ValueError(
            "sums of squares of descriptors or labels overflow: look for labels in the wrong unit, for "
            "sample weights next to zero, or for radial functions that are too steep for the shortest "
            "distance"
        )
    gram, y = products[:n_terms, :n_terms], products[-1]
    composition = products[n_terms:-1, n_terms:-1]
    composition = np.tril(composition) + np.tril(composition, -1).T
    cross = np.column_stack([products[n_terms:-1, :n_terms], y[n_terms:-1]])
    before = np.append(np.diag(gram), y[-1])
    inverse = pseudo_inverse(composition)
    reduced = before - np.einsum("sk,st,tk->k", cross, inverse, cross)
    # The rest of a column that follows the composition is rounding.
    nothing = reduced <= 1e-12 * before
    # The projection subtracts nearly equal numbers; the ridge keeps rounding from looking like a variance.
    ridge = _PROJECTED * before[:-1] / weight_sum
    if sizes is not None and seen is not None:
        scales = np.sqrt(np.maximum(reduced[:-1], 0.0) / weight_sum)
        real = (sizes > 0) & (scales > _ROUNDING * sizes)
        # In nearly perfect crystals all columns vary little, however large they are.
        varied = real & (seen > _ROUNDING * sizes)
        sizes = sizes * min(np.median(scales[varied] / seen[varied]), 1.0) if varied.any() else sizes
        nothing[:-1] |= ~real | (scales < _LEAST_TOUCHED * sizes)
        ridge += _SIZE_RIDGE / n_rows * sizes**2
    moment = y[:n_terms] - cross[:, -1] @ inverse @ cross[:, :-1]
    _project(gram, cross[:, :-1], inverse)
    gram[np.diag_indices(n_terms)] = reduced[:-1]
    gram[nothing[:-1], :] = 0.0
    gram[:, nothing[:-1]] = 0.0
    return LinearProblem(
        gram=gram,
        moment=np.where(nothing[:-1] | nothing[-1], 0.0, moment),
        target_square=0.0 if nothing[-1] else float(reduced[-1]),
        weight_sum=weight_sum,
        ridge=ridge,
    )


def _project(gram: FloatArray, cross: FloatArray, inverse: FloatArray) -> None:
    """Subtract cross^T inverse cross from a symmetric matrix, whose lower triangle is given, in place."""
    weights = inverse @ cross
    for first in range(0, len(gram), _BLOCK):
        last = min(first + _BLOCK, len(gram))
        gram[first:last, :last] -= cross[:, first:last].T @ weights[:, :last]
    mirror(gram)


def pseudo_inverse(composition: FloatArray) -> FloatArray:
    # Below 1e-10 of the largest eigenvalue compositions do not distinguish species.
    return np.asarray(np.linalg.pinv(composition, rcond=1e-10, hermitian=True), np.float64)
