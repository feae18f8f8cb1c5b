from libc.stdint cimport int64_t

cdef extern from "plip_core.h" nogil:
    ctypedef struct plip_list:
        int n_local
        int n_all
        int *owner
        int *shift
        int64_t *offset
        int *neighbors

cdef class NeighborList:
    cdef plip_list pairs

cdef extern from *:
    """
    /* A list reaches so much farther than the neighbors that are taken from it: the distance as it is
     * computed for them decides, alike in both directions. */
    #define SLIGHTLY_FARTHER (1.0 + 1e-9)
    """
    const double SLIGHTLY_FARTHER

# As `find_neighbors` returns them.
cdef struct neighbor_arrays:
    int64_t *first
    int *neighbor
    double *vector
    double *distance

# As `find_surroundings` returns them, but `shortest` is not made symmetric.
cdef struct extreme_neighbors:
    double reach
    double *shortest
    double *densest
    double *counts

cdef int make_list(
    plip_list *pairs, int n, const double *positions, const double *cell, const int *periodic, double cutoff
) noexcept nogil

cdef void free_list(plip_list *pairs) noexcept nogil

cdef void fill_neighbors(
    const plip_list *p,
    const double *positions,
    const double *cell,
    double cutoff,
    const int *species,
    int n_species,
    neighbor_arrays *to,
    extreme_neighbors *extremes,
) noexcept nogil

cdef int check_each(
    const double[:, ::1] positions,
    const double[:, :, ::1] cells,
    const int[:, ::1] periodic,
    const int[::1] species,
    const int64_t[::1] borders,
) except -1
