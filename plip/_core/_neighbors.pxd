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

cdef int make_list(
    plip_list *pairs, int n, const double *positions, const double *cell, const int *periodic, double cutoff
) noexcept nogil

cdef void free_list(plip_list *pairs) noexcept nogil
