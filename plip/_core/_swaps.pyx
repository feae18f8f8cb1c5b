"""The best exchange of two columns in a swept matrix, for selection with replacement."""

import numpy as np

from libc.math cimport INFINITY

__all__ = ["find_best_swap"]


def find_best_swap(const double[::1, :] values, active, double dependent):
    """The swap of an active for another column that lowers the least-squares minimum most.

    Without the active column a, of variance v, the other column b keeps the square
    left_b + cross_ab^2 / v of what remains of it, and the correlation
    right_b + cross_ab right_a / v with the residual. It gains the square of the correlation over the square
    that is left, less the loss of a, right_a^2 / v.

    Parameters
    ----------
    values : ndarray of float64, shape (p + 1, p + 1), in the order of Fortran
        As in `plip.solvers._tableau.Tableau`, the right-hand side in the last column. It may have more than
        p + 1 rows and columns; p is the length of `active`.
    active : ndarray of bool, shape (p,)
    dependent : float
        Columns of which no larger square remains have no gain.

    Returns
    -------
    gain : float
        Minus infinity if there is no swap.
    leave, enter : int
        The active and the other column; -1 if there is no swap.
    """
    cdef ptrdiff_t n = len(active), k
    if values.shape[0] != values.shape[1] or values.shape[0] <= n:
        raise ValueError("values must be square, with a right-hand side behind the columns")
    cdef const unsigned char[::1] is_active = np.ascontiguousarray(active, dtype=bool).view(np.uint8)
    cdef double[::1] left = np.empty(n)
    cdef ptrdiff_t leave = -1, enter = -1, a
    cdef double gain = -np.inf, loss, over_variance, of_right, cross, square, correlation
    with nogil:
        for k in range(n):
            # Nothing is left of active columns, so that they never enter.
            left[k] = -INFINITY if is_active[k] else values[k, k]
        for a in range(n):
            if not is_active[a]:
                continue
            over_variance = -1.0 / values[a, a]
            of_right = over_variance * values[a, n]
            loss = of_right * values[a, n]
            for k in range(n):
                cross = values[k, a]
                square = left[k] + cross * cross * over_variance
                correlation = values[k, n] + cross * of_right
                # The ratio is formed for the best ones alone: a division takes as long as all else.
                if square > dependent and correlation * correlation > (gain + loss) * square:
                    gain = correlation * correlation / square - loss
                    leave, enter = a, k
    return gain, leave, enter
