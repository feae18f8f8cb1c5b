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
