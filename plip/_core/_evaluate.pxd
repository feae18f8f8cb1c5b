from plip._core._neighbors cimport NeighborList, plip_list

cdef extern from "plip_core.h" nogil:
    ctypedef struct plip_potential:
        pass

    ctypedef struct plip_workspace:
        pass

    ctypedef struct plip_system:
        const double *positions
        const int *types
        const int *species_of_type
        double *forces
        double *strain_derivative
        double *strain_derivatives
        double *centroid_derivatives

    ctypedef struct plip_extent:
        const double *factor
        const double *limits
        const double *shortest

cdef int FIRST_LARGE
cdef double OVERLAP
cdef double LARGEST_ENERGY

cdef class Core:
    cdef plip_potential *potential
    cdef list spare

cdef class TermValues:
    cdef plip_potential *potential
    cdef list spare
    cdef int n_species, n_terms
    cdef _fill(
        self,
        NeighborList neighbors,
        const double[:, ::1] positions,
        const double[:, ::1] cell,
        const int[::1] species,
        const plip_extent *extent,
        double[:, ::1] result,
    )

cdef class _Workspace:
    cdef plip_workspace *memory

cdef _Workspace _workspace(const plip_potential *potential)

cdef int _add_centers(
    const plip_potential *potential,
    plip_workspace *work,
    const plip_system *system,
    const plip_list *p,
    int first,
    int last,
    double *energies,
    double *crowding,
    double *closest,
) noexcept nogil

cdef int _add_values(
    const plip_potential *potential,
    plip_workspace *work,
    const plip_system *system,
    const plip_list *p,
    const plip_extent *extent,
    double *result,
    Py_ssize_t n_columns,
) noexcept nogil

cdef void _place_images(
    const plip_list *p, const double *positions, const double *cell, const int *species, double *r, int *types
) noexcept nogil

cdef void _fold_images(const plip_list *p, double *values, Py_ssize_t n_columns) noexcept nogil
