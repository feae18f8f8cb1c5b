"""Design rows of several small structures in one call, in which no thread waits for another."""

import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from plip._core._neighbors cimport (
    SLIGHTLY_FARTHER,
    check_each,
    extreme_neighbors,
    fill_neighbors,
    free_list,
    make_list,
    neighbor_arrays,
    plip_list,
)
from plip._core._rows cimport derivatives_of, plan_of, plip_neighbors, plip_rows_plan, values_of

__all__ = ["rows_of_each"]


cdef class _Structure:
    """Memory for one structure after the other: neighbors, states of the atoms."""

    cdef int n_species
    cdef plip_list pairs
    cdef plip_neighbors near
    cdef neighbor_arrays arrays
    cdef int64_t room
    cdef double[:, :, ::1] states
    cdef double[:, ::1] dominant
    cdef int64_t[::1] first

    def __cinit__(self, kernel, states):
        most_atoms = states.shape[1]
        self.n_species = kernel.n_species
        self.states = states
        self.dominant = np.empty((most_atoms, kernel.n_labels))
        self.first = np.empty(most_atoms * self.n_species + 1, np.int64)
        self.arrays.first = &self.first[0]

    def __dealloc__(self):
        free_list(&self.pairs)
        self.empty()

    cdef void empty(self) noexcept nogil:
        free(self.arrays.neighbor)
        free(self.arrays.vector)
        free(self.arrays.distance)
        self.arrays.neighbor = NULL
        self.arrays.vector = self.arrays.distance = NULL
        self.room = 0

    cdef bint make_room(self) noexcept nogil:
        """Whether there is memory for all pairs in the list."""
        cdef int64_t n = self.pairs.offset[self.pairs.n_local]
        if n <= self.room:
            return True
        self.empty()
        n += n // 4
        self.arrays.neighbor = <int *>malloc(n * sizeof(int))
        self.arrays.vector = <double *>malloc(3 * n * sizeof(double))
        self.arrays.distance = <double *>malloc(n * sizeof(double))
        if self.arrays.neighbor == NULL or self.arrays.vector == NULL or self.arrays.distance == NULL:
            return False
        self.room = n
        return True

    cdef bint take(
        self,
        int n,
        const double *positions,
        const double *cell,
        const int *periodic,
        const int *species,
        double cutoff,
        extreme_neighbors *extremes,
    ) noexcept nogil:
        """Find the neighbors of a structure; whether it could be done."""
        free_list(&self.pairs)
        if make_list(&self.pairs, n, positions, cell, periodic, SLIGHTLY_FARTHER * cutoff):
            return False
        if not self.make_room():
            return False
        fill_neighbors(
            &self.pairs, positions, cell, cutoff, species, self.n_species, &self.arrays, extremes
        )
        self.near.n_atoms, self.near.n_pairs = n, self.arrays.first[n * self.n_species]
        self.near.species, self.near.first = species, self.arrays.first
        self.near.neighbor, self.near.distance = self.arrays.neighbor, self.arrays.distance
        self.near.vector = self.arrays.vector
        return True


cdef class _Rows:
    """Rows to write to, or none."""

    cdef double *first
    cdef Py_ssize_t stride

    def __cinit__(self, name, double[:, :] rows, Py_ssize_t n_rows, Py_ssize_t n_terms):
        self.first, self.stride = NULL, 0
        if rows is None:
            return
        self.stride = rows.strides[0] // <Py_ssize_t>sizeof(double)
        if (
            rows.shape[0] != n_rows or rows.shape[1] < n_terms or self.stride < n_terms
            or rows.strides[0] % sizeof(double) or rows.strides[1] != sizeof(double)
        ):
            raise ValueError(f"{name} must have {n_rows} rows of at least {n_terms} numbers side by side")
        self.first = &rows[0, 0]

    cdef double *row(self, Py_ssize_t number) noexcept nogil:
        return NULL if self.first == NULL else self.first + number * self.stride

    cdef void clear(self, Py_ssize_t number, Py_ssize_t count, Py_ssize_t n_terms) noexcept nogil:
        """Set the first n_terms numbers of some rows to zero."""
        cdef Py_ssize_t k
        if self.first != NULL:
            for k in range(count):
                memset(self.row(number + k), 0, n_terms * sizeof(double))


def rows_of_each(
    kernel,
    states,
    const double[:, ::1] positions not None,
    const double[:, :, ::1] cells not None,
    const int[:, ::1] periodic not None,
    const int[::1] species not None,
    const int64_t[::1] borders not None,
    double cutoff,
    double reach,
    double[:, :] virial_rows=None,
    double[:, :] force_rows=None,
):
    """The columns of several small structures, as a `Kernel` gives them for each.

    Parameters
    ----------
    kernel : Kernel
    states : ndarray of float64, shape (2, n_atoms of the largest structure, kernel.state_size)
        Memory, whose rows begin at cache lines.
    positions : ndarray of float64, shape (n_atoms, 3)
        Those of one structure after the other, in Angstrom.
    cells : ndarray of float64, shape (n_structures, 3, 3)
        Angstrom.
    periodic : ndarray of int32, shape (n_structures, 3)
    species : ndarray of int32, shape (n_atoms,)
        As the kernel knows them.
    borders : ndarray of int64, shape (n_structures + 1,)
        Where the atoms of each structure begin, and the number of all atoms.
    cutoff : float
        Angstrom.
    reach : float
        For the density; see `find_surroundings`.
    virial_rows : ndarray of float64, shape (6 n_structures, at least n_terms), or None
        Overwritten in the first n_terms columns: dX_n/d(strain), xx yy zz yz xz xy of each structure.
    force_rows : ndarray of float64, shape (3 n_atoms, at least n_terms), or None
        Overwritten in the first n_terms columns; see `Kernel.derivatives`.

    Returns
    -------
    n_done : int
        Fewer than all if the next structure has an error, which is to be raised where it is computed alone.
    values : ndarray of float64, shape (n_structures, n_terms)
    shortest, densest : ndarrays of float64, shapes (n_species, n_species) and (n_species,)
        Of all structures; see `find_surroundings`.
    counts : ndarray of float64, shape (n_structures, n_species, n_species)
        Of each; see `find_surroundings`.
    """
    cdef int simd
    cdef const plip_rows_plan *plan = plan_of(kernel, &simd)
    cdef Py_ssize_t n = len(cells), k, n_terms = plan.n_terms, n_species = plan.n_species
    cdef Py_ssize_t n_atoms = len(positions), largest = 0
    check_each(positions, cells, periodic, species, borders)
    for k in range(n_atoms):
        if not 0 <= species[k] < n_species:
            raise ValueError("species must be those of the kernel")
    for k in range(n):
        if borders[k] == borders[k + 1]:
            raise ValueError("borders must ascend: a structure has no atoms")
        largest = max(largest, borders[k + 1] - borders[k])
    if n == 0 or np.shape(states) != (2, largest, kernel.state_size):
        raise ValueError(f"states must have the shape (2, {largest}, {kernel.state_size})")
    all_values = np.zeros((n, n_terms))
    all_shortest, all_densest = np.full((n_species, n_species), np.inf), np.zeros(n_species)
    all_counts = np.zeros((n, n_species, n_species))
    cdef double[:, ::1] values = all_values, shortest = all_shortest
    cdef double[:, :, ::1] counts = all_counts
    cdef double[::1] densest = all_densest
    cdef _Rows forces = _Rows("force_rows", force_rows, 3 * n_atoms, n_terms)
    cdef _Rows virials = _Rows("virial_rows", virial_rows, 6 * n, n_terms)
    cdef _Structure one = _Structure(kernel, states)
    cdef extreme_neighbors extremes
    cdef int64_t first
    cdef Py_ssize_t done = 0
    extremes.reach, extremes.shortest, extremes.densest = reach, &shortest[0, 0], &densest[0]
    with nogil:
        for k in range(n):
            first = borders[k]
            extremes.counts = &counts[k, 0, 0]
            if not one.take(
                <int>(borders[k + 1] - first),
                &positions[first, 0],
                &cells[k, 0, 0],
                &periodic[k, 0],
                &species[first],
                cutoff,
                &extremes,
            ):
                break
            virials.clear(6 * k, 6, n_terms)
            if values_of(
                plan,
                simd,
                &one.near,
                &one.states[0, 0, 0],
                &one.dominant[0, 0],
                &values[k, 0],
                virials.row(6 * k),
                virials.stride,
            ):
                break
            if forces.first != NULL and derivatives_of(
                plan,
                simd,
                &one.near,
                &one.states[0, 0, 0],
                &one.dominant[0, 0],
                forces.row(3 * first),
                forces.stride,
            ):
                break
            done = k + 1
    # Rounding may make the two directions of a pair differ.
    all_shortest = np.minimum(all_shortest, all_shortest.T)
    return done, all_values, all_shortest, all_densest, all_counts
