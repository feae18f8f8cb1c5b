"""The rank-k update of BLAS, which SciPy's Python interface would run without releasing the GIL."""

from scipy.linalg.cython_blas cimport dsyrk

__all__ = ["add_row_products"]


def add_row_products(const double[:, ::1] rows, double[:, ::1] products):
    """Add rows^T rows to the lower triangle of `products`.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, width)
        At least one row.
    products : ndarray of float64, shape (width, width)
        The upper triangle stays as it is.
    """
    cdef int width = rows.shape[1], n_rows = rows.shape[0]
    cdef double one = 1.0
    # In the order of Fortran, which sees the transposed arrays, the lower triangle is the upper one.
    cdef char upper = b"U", not_transposed = b"N"
    if products.shape[0] != width or products.shape[1] != width or n_rows == 0:
        raise ValueError("products must be square, as wide as the rows, of which there must be some")
    with nogil:
        dsyrk(&upper, &not_transposed, &width, &n_rows, &one, <double *>&rows[0, 0], &width, &one,
              &products[0, 0], &width)
