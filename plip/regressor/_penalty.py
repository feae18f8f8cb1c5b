"""The strength of the penalty on contributions for given data."""

from __future__ import annotations

from plip.solvers import LinearProblem, omp_path, residual_squares

__all__ = ["automatic_penalty"]

# Solvers that select terms get a penalty on contributions. It is worth so many rows of data, within bounds:
# much data still have to keep terms from cancelling, and few have to say something of their own.
_PENALTY_ROWS = 2.4
_PENALTY_RANGE = (6e-5, 1e-3)
# Where species share, particular terms correct shared ones, and both are large: the penalty has this part.
_PENALTY_OF_SHARED = 0.2
# It fades where terms leave less than this part of the labels unexplained, so that exact data give exact
# coefficients. Energies and forces of first principles leave ten times as much.
_UNEXPLAINED = 1e-3
# The terms that look for that part: at most so many, and one for so many rows.
_MOST_TERMS = 80
_ROWS_PER_TERM = 10


def automatic_penalty(problem: LinearProblem, n_rows: int, is_shared: bool) -> float:
    """What `contribution_penalty="auto"` means for solvers that select terms.

    Parameters
    ----------
    problem : LinearProblem
        That of the fit, without a penalty.
    n_rows : int
        Number of labels with a weight.
    is_shared : bool
        Whether terms of any species are on offer.

    Returns
    -------
    float
    """
    if problem.target_square == 0:
        return 0.0
    path = omp_path(problem, max_terms=min(_MOST_TERMS, n_rows // _ROWS_PER_TERM))
    unexplained = float(residual_squares(path.coefs[-1], problem)) / problem.target_square
    least, most = _PENALTY_RANGE
    strength = min(max(_PENALTY_ROWS / n_rows, least), most)
    if is_shared:
        strength *= _PENALTY_OF_SHARED
    return strength * min(unexplained / _UNEXPLAINED, 1.0)
