"""Ridge regression on a scaled Gram matrix."""

import numpy as np
from numpy.typing import ArrayLike

from plip._types import FloatArray

__all__ = ["ridge"]


def ridge(gram: FloatArray, moment: FloatArray, alphas: ArrayLike) -> FloatArray:
    """Minimisers of w^T G w / 2 - c^T w + alpha w^T w / 2, shape (m, p)."""
    values, vectors = np.linalg.eigh(gram)
    # Eigenvalues below the rounding errors of the largest are zero, and their directions are unknown.
    floor = len(moment) * np.finfo(np.float64).eps * values.max(initial=0.0)
    known = values > floor
    projection = (moment @ vectors)[known]
    return (projection / (values[known] + np.asarray(alphas)[:, None])) @ vectors[:, known].T
