cdef extern from "plip_core.h" nogil:
    ctypedef struct plip_term:
        int kind
        int[4] species
        int[3] family
        double[3] p
        double[3] q
        int[3] power
        double cutoff
        double switch_distance
        double coefficient

    ctypedef struct plip_repulsion:
        const char *const *symbols
        const double *inner
        const double *outer
        const double *force
        const double *range
        const double *limit
        const double *floor
        int is_additive

cdef class _Repulsion:
    cdef plip_repulsion record
    cdef const char **symbols
    cdef list names
    cdef double[:, :, ::1] distances
    cdef double[:, ::1] limits
    cdef double[::1] floors

cdef plip_term *_term_records(species, terms) except NULL
