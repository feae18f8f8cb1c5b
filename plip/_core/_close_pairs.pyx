"""Atoms that are all but at the same place: a search along a line, without a neighbor list."""

from libc.math cimport floor, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, qsort, realloc

__all__ = ["first_close_pair"]


cdef struct _point:
    double along
    double[3] place
    Py_ssize_t atom


cdef int _compare_points(const void *first, const void *second) noexcept nogil:
    cdef double difference = (<const _point *>first).along - (<const _point *>second).along
    return -1 if difference < 0.0 else 1 if difference > 0.0 else 0


cdef class _Points:
    """The atoms of a structure in its cell, and those next to its lower faces at the upper ones, too."""

    cdef _point *points
    cdef Py_ssize_t room, count

    def __dealloc__(self):
        free(self.points)

    cdef bint add(self, const double *place, const double *shift, Py_ssize_t atom) noexcept nogil:
        """Add an atom; whether there is memory."""
        cdef _point *points
        cdef int c
        if self.count == self.room:
            points = <_point *>realloc(self.points, (2 * self.room + 64) * sizeof(_point))
            if points == NULL:
                return False
            self.points, self.room = points, 2 * self.room + 64
        points = self.points + self.count
        for c in range(3):
            points.place[c] = place[c] + shift[c]
        # A direction that is no symmetry axis of any crystal.
        points.along = points.place[0] + sqrt(2.0) * points.place[1] + sqrt(3.0) * points.place[2]
        points.along /= sqrt(6.0)
        points.atom = atom
        self.count += 1
        return True

    cdef bint add_images(
        self,
        const double *position,
        const double *cell,
        const double *inverse,
        const double *thickness,
        double distance,
        Py_ssize_t atom,
    ) noexcept nogil:
        """Add an atom and its images; whether there is memory."""
        cdef double[3] scaled, place, none
        cdef Py_ssize_t first = self.count, last, k
        cdef int c, d
        for c in range(3):
            place[c], none[c] = position[c], 0.0
        for d in range(3):
            scaled[d] = (
                position[0] * inverse[d] + position[1] * inverse[3 + d] + position[2] * inverse[6 + d]
            )
            for c in range(3):
                place[c] -= floor(scaled[d]) * cell[3 * d + c]
            scaled[d] -= floor(scaled[d])
        if not self.add(place, none, atom):
            return False
        for d in range(3):
            if scaled[d] < distance / thickness[d]:
                last = self.count
                for k in range(first, last):
                    for c in range(3):
                        place[c] = self.points[k].place[c]
                    if not self.add(place, cell + 3 * d, atom):
                        return False
        return True

    cdef bint find(self, double distance, Py_ssize_t *pair, double *found) noexcept nogil:
        """Whether there are two points closer than a distance, which two atoms, and how close."""
        cdef const _point *a
        cdef const _point *b
        cdef Py_ssize_t i, j
        cdef double square
        qsort(self.points, self.count, sizeof(_point), _compare_points)
        for i in range(self.count):
            a = self.points + i
            for j in range(i + 1, self.count):
                b = self.points + j
                # No pair is farther apart along a line than in space. Places there are rounded, by less
                # than a thousandth of any distance that is asked for.
                if b.along - a.along > 1.001 * distance:
                    break
                square = (
                    (b.place[0] - a.place[0]) ** 2 + (b.place[1] - a.place[1]) ** 2
                    + (b.place[2] - a.place[2]) ** 2
                )
                if square < distance * distance:
                    pair[0], pair[1], found[0] = min(a.atom, b.atom), max(a.atom, b.atom), sqrt(square)
                    return True
        return False


def first_close_pair(
    const double[:, ::1] positions not None,
    const double[:, :, ::1] cells not None,
    const double[:, :, ::1] inverse not None,
    const double[:, ::1] thickness not None,
    const int64_t[::1] borders not None,
    double distance,
):
    """The first structure with two atoms, or images, closer than a distance.

    Parameters
    ----------
    positions : ndarray of float64, shape (n_atoms, 3)
        Those of one structure after the other.
    cells : ndarray of float64, shape (n_structures, 3, 3)
        Rows of directions that are not periodic are zero.
    inverse : ndarray of float64, shape (n_structures, 3, 3)
        Pseudo-inverses of the cells.
    thickness : ndarray of float64, shape (n_structures, 3)
        Of the cells, at least `distance`; infinite where not periodic.
    borders : ndarray of int64, shape (n_structures + 1,)
        Where the atoms of each structure begin, and the number of all atoms.
    distance : float

    Returns
    -------
    (structure, first atom, second atom, distance) or None
    """
    cdef Py_ssize_t n = len(cells), k, a
    cdef Py_ssize_t[2] pair
    cdef double found
    cdef _Points points = _Points()
    if (
        positions.shape[1] != 3 or inverse.shape[0] != n or thickness.shape[0] != n
        or borders.shape[0] != n + 1
    ):
        raise ValueError("there must be a cell, its inverse and its thickness for each structure")
    if cells.shape[1] != 3 or cells.shape[2] != 3 or inverse.shape[1] != 3 or inverse.shape[2] != 3:
        raise ValueError("cells must be matrices of three rows and columns")
    if thickness.shape[1] != 3 or borders[0] != 0 or borders[n] != positions.shape[0]:
        raise ValueError("borders must begin with 0 and end with the number of atoms")
    for k in range(n):
        if borders[k] > borders[k + 1]:
            raise ValueError("borders must ascend")
    with nogil:
        for k in range(n):
            points.count = 0
            for a in range(borders[k], borders[k + 1]):
                if not points.add_images(
                    &positions[a, 0],
                    &cells[k, 0, 0],
                    &inverse[k, 0, 0],
                    &thickness[k, 0],
                    distance,
                    a - borders[k],
                ):
                    with gil:
                        raise MemoryError("not enough memory for the images of one structure")
            if points.find(distance, pair, &found):
                with gil:
                    return k, pair[0], pair[1], found
    return None
