from libc.stdint cimport int64_t

cdef extern from "plip_angular.h" nogil:
    enum:
        PLIP_MONOMIALS
        PLIP_HARMONICS

    ctypedef struct plip_component:
        int[2] source
        int[2] axis
        int[3][2] lower
        double[2] factor
        double weight
        double[3][2] lower_weight

    ctypedef struct plip_strain:
        int source
        double weight

    ctypedef struct plip_summand:
        int a
        int b
        int c
        double coefficient

    int components_of(int, int)
    int components_below(int, int)
    void plip_make_components(const int *, plip_component *)
    int strains_below(int, int)
    void plip_make_strains(const int *, const plip_component *, plip_strain *)
    void plip_legendre_of_powers(int, double *)
    void plip_make_contraction(const int *, plip_summand *)

cdef extern from "plip_rows.h" nogil:
    enum:
        PLIP_COMMON

    ctypedef struct plip_range:
        int begin
        int end

    ctypedef struct plip_function_set:
        int first
        int count
        int cutoff
        int max_degree
        int basis
        int is_squared

    ctypedef struct plip_moments:
        int neighbor
        int set
        int state
        int own

    ctypedef struct plip_power:
        int moments
        int state
        int count
        int power

    ctypedef struct plip_product:
        int target
        int first
        int second
        double weight

    ctypedef struct plip_group:
        int set
        int lowest
        int highest
        int state
        int count
        int outer
        int own
        int moments
        int arms
        plip_range contributions
        int64_t sums

    ctypedef struct plip_contribution:
        int column
        int[2] place
        double coefficient

    ctypedef struct plip_center_tables:
        plip_range moments
        plip_range powers
        plip_range products
        int halves

    ctypedef struct plip_product_places:
        plip_range factors
        plip_range targets

    ctypedef struct plip_rows_plan:
        int n_terms
        int n_species
        int n_labels
        int state_size
        int n_halves
        int n_cutoffs
        int n_sets
        int n_functions
        int n_moments
        int n_powers
        int n_products
        int n_groups
        int n_contributions
        int[2] max_degree
        const double *cutoffs
        const plip_function_set *sets
        const double *switches
        const int *families
        const double *p
        const double *q
        const plip_center_tables *centers
        const plip_range *groups_of
        const plip_moments *moments
        const plip_power *powers
        const plip_product *products
        const plip_group *groups
        const plip_contribution *contributions
        const plip_product_places *product_places
        const plip_component *components
        const plip_strain *strains
        const double *legendre_of_powers

    ctypedef struct plip_neighbors:
        ptrdiff_t n_atoms
        ptrdiff_t n_pairs
        const int *species
        const int64_t *first
        const int *neighbor
        const double *vector
        const double *distance

    int plip_rows_check(const plip_rows_plan *, int, char *)
    void plip_find_product_places(const plip_rows_plan *, plip_product_places *)
    int plip_rows_check_neighbors(
        const plip_rows_plan *, const plip_neighbors *, ptrdiff_t, ptrdiff_t, char *
    )
    int plip_rows_values(
        const plip_rows_plan *, int, const plip_neighbors *, ptrdiff_t, ptrdiff_t, double *, double *,
        double *, double *, ptrdiff_t
    )
    int plip_rows_derivatives(
        const plip_rows_plan *, int, const plip_neighbors *, const double *, const double *, ptrdiff_t,
        ptrdiff_t, double *, ptrdiff_t
    )

cdef const plip_rows_plan *plan_of(kernel, int *simd) except NULL

cdef int values_of(
    const plip_rows_plan *plan,
    int simd,
    const plip_neighbors *near,
    double *states,
    double *dominant,
    double *values,
    double *virials,
    ptrdiff_t virial_stride,
) noexcept nogil

cdef int derivatives_of(
    const plip_rows_plan *plan,
    int simd,
    const plip_neighbors *near,
    const double *states,
    const double *dominant,
    double *force_rows,
    ptrdiff_t force_stride,
) noexcept nogil
