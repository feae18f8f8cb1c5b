"""Symmetric matrices: updates by rows, of BLAS and LAPACK, and packed triangles, all without the GIL."""

import numpy as np

from scipy.linalg.cython_blas cimport dsyrk
from scipy.linalg.cython_lapack cimport dtpqrt

__all__ = ["add_packed", "add_products_of_columns", "add_row_products", "add_rows_to_factor", "pack_lower"]

# Columns that LAPACK takes at a time.
BLOCK = 32


def add_row_products(
    const double[:, ::1] rows, double[:, ::1] products, double factor=1.0, bint is_first=False
):
    """Add a multiple of rows^T rows to the lower triangle of `products`.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, width)
        At least one row.
    products : ndarray of float64, shape (width, width)
        The upper triangle stays as it is.
    factor : float
    is_first : bool, default=False
        Whether to overwrite the triangle, whatever it holds.
    """
    cdef int width = rows.shape[1], n_rows = rows.shape[0]
    cdef double old = 0.0 if is_first else 1.0
    # In the order of Fortran, which sees the transposed arrays, the lower triangle is the upper one.
    cdef char upper = b"U", not_transposed = b"N"
    if products.shape[0] != width or products.shape[1] != width or n_rows == 0:
        raise ValueError("products must be square, as wide as the rows, of which there must be some")
    with nogil:
        dsyrk(&upper, &not_transposed, &width, &n_rows, &factor, <double *>&rows[0, 0], &width, &old,
              &products[0, 0], &width)


def add_products_of_columns(
    const double[:, ::1] part,
    const Py_ssize_t[::1] columns,
    const Py_ssize_t[::1] sources,
    const double[::1] factors,
    Py_ssize_t width,
    double[::1] values,
):
    """Add products of the columns of a part to the packed lower triangle of the products of all.

    Parameters
    ----------
    part : ndarray of float64, shape (n_columns of the part, n_columns of the part)
        The lower triangle alone takes part.
    columns : ndarray of intp, shape (n,)
        Numbers of columns among all, ascending.
    sources : ndarray of intp, shape (n,)
        The column of the part that each of them is a multiple of.
    factors : ndarray of float64, shape (n,)
        The multiples.
    width : int
        Number of all columns.
    values : ndarray of float64, shape (width (width + 1) / 2,)
        As from `pack_lower`.
    """
    cdef Py_ssize_t n = columns.shape[0], last = -1, i, j, k, end, source, below
    cdef double *row
    cdef double factor
    if part.shape[0] != part.shape[1] or sources.shape[0] != n or factors.shape[0] != n:
        raise ValueError("products of the part must be square; each column must have a source and a factor")
    if values.shape[0] != width * (width + 1) // 2:
        raise ValueError("the values must be those of the lower triangle")
    for i in range(n):
        if not last < columns[i] < width:
            raise ValueError(f"columns must ascend and be below {width}")
        if not 0 <= sources[i] < part.shape[0]:
            raise ValueError(f"sources must be below {part.shape[0]}")
        last = columns[i]
    # Columns next to each other, as their sources are, are added as vectors: where those of each column end.
    cdef Py_ssize_t[::1] ends = np.empty(n, np.intp)
    for i in range(n - 1, -1, -1):
        ends[i] = i + 1
        if (
            i + 1 < n and columns[i + 1] == columns[i] + 1 and sources[i + 1] == sources[i] + 1
            and factors[i + 1] == factors[i]
        ):
            ends[i] = ends[i + 1]
    with nogil:
        for i in range(n):
            k = 0
            while k <= i:
                row = &values[columns[i] * (columns[i] + 1) // 2 + columns[k]]
                end = min(ends[k], i + 1) - k
                factor, source = factors[i] * factors[k], sources[k]
                # Sources need not ascend: some may be above the diagonal, and stand below it, too.
                below = max(0, min(end, sources[i] + 1 - source))
                for j in range(below):
                    row[j] += factor * part[sources[i], source + j]
                for j in range(below, end):
                    row[j] += factor * part[source + j, sources[i]]
                k += end


def pack_lower(const double[:, ::1] matrix):
    """The lower triangle of a matrix, row by row.

    Parameters
    ----------
    matrix : ndarray of float64, shape (width, width)

    Returns
    -------
    ndarray of float64, shape (width (width + 1) / 2,)
    """
    cdef Py_ssize_t width = matrix.shape[0], i, j, k = 0
    if matrix.shape[1] != width:
        raise ValueError("the matrix must be square")
    cdef double[::1] values = np.empty(width * (width + 1) // 2)
    with nogil:
        for i in range(width):
            for j in range(i + 1):
                values[k + j] = matrix[i, j]
            k += i + 1
    return np.asarray(values)


def add_packed(const double[::1] values, double factor, double[:, ::1] matrix):
    """Add a multiple of a packed lower triangle to the lower triangle of a matrix.

    Parameters
    ----------
    values : ndarray of float64, shape (width (width + 1) / 2,)
        As from `pack_lower`.
    factor : float
    matrix : ndarray of float64, shape (width, width)
        The upper triangle stays as it is.
    """
    cdef Py_ssize_t width = matrix.shape[0], i, j, k = 0
    if matrix.shape[1] != width or values.shape[0] != width * (width + 1) // 2:
        raise ValueError("the matrix must be square, and the values those of its lower triangle")
    with nogil:
        for i in range(width):
            for j in range(i + 1):
                matrix[i, j] += factor * values[k + j]
            k += i + 1


def add_rows_to_factor(double[::1, :] rows, double[::1, :] factor):
    """Make `factor` the triangular factor of the QR decomposition of itself and further rows.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, width), in the order of Fortran
        At least one row; overwritten.
    factor : ndarray of float64, shape (width, width), in the order of Fortran
        Only the upper triangle takes part; zeros stand for no rows.
    """
    cdef int width = rows.shape[1], n_rows = rows.shape[0], block = min(<int>BLOCK, rows.shape[1])
    cdef int pentagon = 0, failed = 0
    if factor.shape[0] != width or factor.shape[1] != width or n_rows == 0 or width == 0:
        raise ValueError("the factor must be square, as wide as the rows, of which there must be some")
    cdef double[::1, :] reflectors = np.empty((block, width), order="F")
    cdef double[::1] work = np.empty(block * width)
    with nogil:
        dtpqrt(&n_rows, &width, &pentagon, &block, &factor[0, 0], &width, &rows[0, 0], &n_rows,
               &reflectors[0, 0], &block, &work[0], &failed)
