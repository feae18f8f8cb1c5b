"""Ridge regression on a scaled Gram matrix."""

import numpy as np

__all__ = ["ridge"]


def ridge(gram, moment, alphas):
    """Minimisers of w^T G w / 2 - c^T w + alpha w^T w / 2, shape (m, p)."""
    values, vectors = np.linalg.eigh(gram)
    # Eigenvalues below rounding errors of the largest one are zero, and their directions unknown.
    floor = len(moment) * np.finfo(np.float64).eps * values.max(initial=0.0)
    known = values > floor
    projection = (moment @ vectors)[known]
    return (projection / (values[known] + np.asarray(alphas)[:, None])) @ vectors[:, known].T
