"""Python face of the design rows in C (plip_rows.h) and of the choice of an instruction set (plip_simd.h)."""

import numpy as np

from libc.stdint cimport int64_t

cdef extern from "plip_core.h" nogil:
    enum:
        PLIP_ERROR_LENGTH

cdef extern from "plip_simd.h" nogil:
    enum:
        PLIP_N_SIMD
    const char *const *PLIP_SIMD_NAMES
    const int *PLIP_SIMD_LANES
    bint plip_simd_is_built(int)
    bint plip_simd_runs(int)
    int plip_simd_find(const char *)

cdef extern from "plip_core.h" nogil:
    enum:
        PLIP_ROOT

__all__ = [
    "CENTER",
    "COMMON",
    "COMPONENT",
    "CONTRIBUTION",
    "FUNCTION_SET",
    "GROUP",
    "HARMONICS",
    "MONOMIALS",
    "MOMENTS",
    "POWER",
    "PRODUCT",
    "RANGE",
    "ROOT",
    "Kernel",
    "angular_components",
    "contraction",
    "instruction_sets",
    "strains",
    "legendre_of_powers",
    "n_components",
    "n_components_below",
    "vector_length",
]

# The structs of the tables as NumPy dtypes.
cdef plip_range _range
cdef plip_function_set _function_set
cdef plip_moments _moments
cdef plip_power _power
cdef plip_product _product
cdef plip_group _group
cdef plip_contribution _contribution
cdef plip_center_tables _center
cdef plip_product_places _places
cdef plip_component _component
cdef plip_strain _strain
cdef plip_summand _summand
RANGE = np.asarray(<plip_range[:1]>&_range).dtype
FUNCTION_SET = np.asarray(<plip_function_set[:1]>&_function_set).dtype
MOMENTS = np.asarray(<plip_moments[:1]>&_moments).dtype
POWER = np.asarray(<plip_power[:1]>&_power).dtype
PRODUCT = np.asarray(<plip_product[:1]>&_product).dtype
GROUP = np.asarray(<plip_group[:1]>&_group).dtype
CONTRIBUTION = np.asarray(<plip_contribution[:1]>&_contribution).dtype
CENTER = np.asarray(<plip_center_tables[:1]>&_center).dtype
PLACES = np.asarray(<plip_product_places[:1]>&_places).dtype
COMPONENT = np.asarray(<plip_component[:1]>&_component).dtype
STRAIN = np.asarray(<plip_strain[:1]>&_strain).dtype
SUMMAND = np.asarray(<plip_summand[:1]>&_summand).dtype

COMMON = PLIP_COMMON
# The angular bases.
ROOT = PLIP_ROOT
MONOMIALS = PLIP_MONOMIALS
HARMONICS = PLIP_HARMONICS


def n_components(int basis, int degree):
    """Number of components of one degree of an angular basis."""
    return components_of(basis, degree)


def n_components_below(int basis, int degree):
    """Number of components of lower degree."""
    return components_below(basis, degree)


def angular_components(max_degree):
    """Both angular bases one after the other, as a table.

    Parameters
    ----------
    max_degree : sequence of two int
        Highest degree of the monomials and of the harmonics; -1 for none.

    Returns
    -------
    ndarray of plip_component, shape (n,)
        Component a at u is the sum over k of ``factor[a, k] * u[axis[a, k]] * component[source[a, k]]``, with
        1 for u[3]; ``weight[a]`` is its weight where coefficients are contracted with the components; its
        gradient over its degree, times that weight, is the sum over k of
        ``lower_weight[a, x, k] * component[lower[a, x, k]]``. The first component of a basis is 1.
    """
    cdef int[2] degrees = max_degree
    cdef plip_component[::1] table = np.empty(
        sum(components_below(basis, max_degree[basis] + 1) for basis in range(2)), COMPONENT
    )
    if len(table):
        plip_make_components(degrees, &table[0])
    return table.base


def strains(max_degree):
    """Derivatives of the components by the strain, as a table (plip_angular.h has the equations).

    Parameters
    ----------
    max_degree : sequence of two int
        Highest degree of the monomials and of the harmonics; -1 for none.

    Returns
    -------
    ndarray of plip_strain
        "source": number among the strain sources of the degree of the component; "weight": its factor.
        For each monomial twice six entries, for each order of the harmonics of a degree five times three.
    """
    cdef int[2] degrees = max_degree
    cdef const plip_component[::1] components = angular_components(_two_more(max_degree))
    cdef plip_strain[::1] entries = np.empty(
        sum(strains_below(basis, max_degree[basis] + 1) for basis in range(2)), STRAIN
    )
    if len(entries):
        plip_make_strains(degrees, &components[0], &entries[0])
    return entries.base


def _two_more(max_degree):
    """Degrees of the components that strains need."""
    return [degree + 2 if degree >= 0 else -1 for degree in max_degree]


def legendre_of_powers(int max_degree):
    """cos^l = sum_k table[l, k] P_k(cos), ndarray of float64, shape (max_degree + 1, max_degree + 1)."""
    cdef double[:, ::1] table = np.empty((max_degree + 1, max_degree + 1))
    plip_legendre_of_powers(max_degree + 1, &table[0, 0])
    return table.base


def contraction(rank):
    """The angular factor of a four-body term as a sum over monomials of its three arms.

    Parameters
    ----------
    rank : tuple of int
        Powers (p, q, t) of cos(jik), cos(kim), cos(mij).

    Returns
    -------
    ndarray of plip_summand, shape (n,)
        "a", "b", "c": numbers of the monomials of the arms j, k, m among those of their degrees p + t, p + q,
        q + t; "coefficient": what multiplies their product.
    """
    cdef int[3] power = rank
    cdef plip_summand[::1] summands = np.empty(
        np.prod([components_of(PLIP_MONOMIALS, degree) for degree in rank]), SUMMAND
    )
    plip_make_contraction(power, &summands[0])
    return summands.base


def instruction_sets():
    """Instruction sets, fastest first.

    Returns
    -------
    processor, built : list of str
        Those that this processor runs, and those that kernels are compiled for.
    """
    names = [PLIP_SIMD_NAMES[k].decode() for k in range(PLIP_N_SIMD)]
    return (
        [names[k] for k in range(PLIP_N_SIMD) if plip_simd_runs(k)],
        [names[k] for k in range(PLIP_N_SIMD) if plip_simd_is_built(k)],
    )


def vector_length(instruction_set="auto"):
    """How many numbers kernels for an instruction set take at a time.

    Parameters
    ----------
    instruction_set : {"auto", "avx512", "avx2", "baseline"}, default="auto"
        "auto" is the fastest one that this processor runs.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If this processor does not run it.
    """
    return PLIP_SIMD_LANES[_find(instruction_set)]


cdef int _find(instruction_set) except -1:
    cdef bytes name = instruction_set.encode()
    cdef int simd = plip_simd_find(name)
    if simd < 0:
        raise ValueError(f"this machine does not have the instruction set {instruction_set!r}")
    return simd


cdef class Kernel:
    """Computes the rows of structures from the tables of a plan.

    Parameters
    ----------
    plan : plip._design._tables.Plan
        Tables, which must not change.
    instruction_set : {"auto", "avx512", "avx2", "baseline"}, default="auto"
        The plan must be made for its `vector_length`.

    Attributes
    ----------
    n_terms, n_species, n_labels, state_size : int
        Those of the plan.
    instruction_set : str
        The one that runs.

    Raises
    ------
    ValueError
        If an entry leads outside of the tables, or this processor does not run the instruction set.
    """

    cdef plip_rows_plan plan
    cdef int simd
    cdef object tables
    cdef plip_product_places[::1] product_places
    cdef const plip_component[::1] components
    cdef const plip_strain[::1] strains
    cdef const double[:, ::1] cosines

    def __init__(self, plan, instruction_set="auto"):
        cdef char[PLIP_ERROR_LENGTH] error
        self.simd = _find(instruction_set)
        self.tables = plan
        try:
            self._take_sizes(plan)
        except OverflowError as problem:
            raise ValueError(f"tables of the kernels: {problem}") from None
        self._take_tables(plan)
        if plip_rows_check(&self.plan, PLIP_SIMD_LANES[self.simd], error):
            raise ValueError(f"tables of the kernels: {error.decode()}")
        self.product_places = np.empty(self.plan.n_labels, PLACES)
        plip_find_product_places(&self.plan, &self.product_places[0])
        self.plan.product_places = &self.product_places[0]
        self.components = angular_components(_two_more(plan.max_degree))
        self.plan.components = &self.components[0]
        self.strains = strains(plan.max_degree)
        self.plan.strains = &self.strains[0]
        self.cosines = legendre_of_powers(max(plan.max_degree))
        self.plan.legendre_of_powers = &self.cosines[0, 0]

    cdef int _take_sizes(self, plan) except -1:
        self.plan.n_terms = plan.n_terms
        self.plan.n_species = plan.n_species
        self.plan.n_labels = plan.n_labels
        self.plan.state_size = plan.state_size
        self.plan.n_halves = plan.n_halves
        self.plan.n_cutoffs = len(plan.cutoffs)
        self.plan.n_sets = len(plan.sets)
        self.plan.n_functions = len(plan.families)
        self.plan.n_moments = len(plan.moments)
        self.plan.n_powers = len(plan.powers)
        self.plan.n_products = len(plan.products)
        self.plan.n_groups = len(plan.groups)
        self.plan.n_contributions = len(plan.contributions)
        self.plan.max_degree[0], self.plan.max_degree[1] = plan.max_degree
        return 0

    cdef int _take_tables(self, plan) except -1:
        n = len(plan.families)
        labels = (plan.n_labels, plan.n_labels)
        self.plan.cutoffs = <const double *>_table(plan, "cutoffs", np.float64, None)
        self.plan.sets = <const plip_function_set *>_table(plan, "sets", FUNCTION_SET, None)
        self.plan.switches = <const double *>_table(plan, "switches", np.float64, (len(plan.sets), *labels))
        self.plan.families = <const int *>_table(plan, "families", np.intc, None)
        self.plan.p = <const double *>_table(plan, "p", np.float64, (n,))
        self.plan.q = <const double *>_table(plan, "q", np.float64, (n,))
        self.plan.centers = <const plip_center_tables *>_table(plan, "centers", CENTER, labels[:1])
        self.plan.groups_of = <const plip_range *>_table(plan, "groups_of", RANGE, labels)
        self.plan.moments = <const plip_moments *>_table(plan, "moments", MOMENTS, None)
        self.plan.powers = <const plip_power *>_table(plan, "powers", POWER, None)
        self.plan.products = <const plip_product *>_table(plan, "products", PRODUCT, None)
        self.plan.groups = <const plip_group *>_table(plan, "groups", GROUP, None)
        self.plan.contributions = <const plip_contribution *>_table(plan, "contributions", CONTRIBUTION, None)
        return 0

    @property
    def n_terms(self):
        return self.plan.n_terms

    @property
    def n_species(self):
        return self.plan.n_species

    @property
    def n_labels(self):
        return self.plan.n_labels

    @property
    def state_size(self):
        return self.plan.state_size

    @property
    def instruction_set(self):
        return PLIP_SIMD_NAMES[self.simd].decode()

    def values(
        self,
        neighbors,
        double[:, :, ::1] states not None,
        double[:, ::1] dominant not None,
        double[::1] values not None,
        double[:, ::1] virials=None,
        ptrdiff_t first_atom=0,
        last_atom=None,
    ):
        """Fill the states of atoms and add what they have of the values of the columns.

        Parameters
        ----------
        neighbors : plip._structures._neighbors.Neighbors
            Neighbors of all atoms, within the cutoff at least.
        states : ndarray of float64, shape (2, n_atoms, state_size)
            Those of the atoms are overwritten: moments and coefficients of the fields; then, where there is
            one, moments without the neighbor that outweighs all others of its species, or of any species.
        dominant : ndarray of float64, shape (n_atoms, n_labels)
            Overwritten: distance of this neighbor, 0 if there is none.
        values : ndarray of float64, shape (n_terms,)
            The value of every column is added.
        virials : ndarray of float64, shape (6, n_terms), or None
            dX_n/d(strain) is added, in the order xx yy zz yz xz xy.
        first_atom, last_atom : int
            The first atom, and where atoms end; all by default.

        Raises
        ------
        ValueError
            If an array has another shape, or neighbors lead outside of the atoms.
        """
        cdef _Near near = _Near(neighbors, self.plan.n_species)
        cdef double *of_strain = NULL
        cdef int status
        self._check_arrays(near, states, dominant)
        cdef ptrdiff_t end = near.record.n_atoms if last_atom is None else last_atom
        if not 0 <= first_atom <= end <= near.record.n_atoms:
            raise ValueError(f"there are no atoms from {first_atom} to {end}")
        near.check(&self.plan, first_atom, end)
        if values.shape[0] != self.plan.n_terms:
            raise ValueError(f"values must have the shape ({self.plan.n_terms},)")
        if virials is not None:
            if virials.shape[0] != 6 or virials.shape[1] != self.plan.n_terms:
                raise ValueError(f"virials must have the shape (6, {self.plan.n_terms})")
            of_strain = &virials[0, 0]
        with nogil:
            status = plip_rows_values(
                &self.plan, self.simd, &near.record, first_atom, end, &states[0, 0, 0], &dominant[0, 0],
                &values[0], of_strain, self.plan.n_terms,
            )
        if status:
            raise MemoryError("not enough memory for the neighbors of one atom")

    def derivatives(
        self,
        neighbors,
        const double[:, :, ::1] states not None,
        const double[:, ::1] dominant not None,
        ptrdiff_t first_atom,
        double[:, :] force_rows not None,
    ):
        """Derivatives of the columns with respect to some atoms.

        Parameters
        ----------
        neighbors : plip._structures._neighbors.Neighbors
            Neighbors of all atoms.
        states, dominant : ndarrays of float64
            From `values`.
        first_atom : int
            The first atom whose rows are made.
        force_rows : ndarray of float64, shape (3 * n_rows_atoms, at least n_terms)
            Overwritten in the first n_terms columns: -dX_n/dr of the atoms from `first_atom` on, x y z each.

        Raises
        ------
        ValueError
            If an array has another shape, or neighbors lead outside of the atoms.
        """
        cdef _Near near = _Near(neighbors, self.plan.n_species)
        cdef ptrdiff_t end, force_stride
        cdef int status
        self._check_arrays(near, states, dominant)
        if not 0 <= first_atom <= near.record.n_atoms:
            raise ValueError(f"there is no atom {first_atom}")
        end = first_atom + force_rows.shape[0] // 3
        near.check(&self.plan, first_atom, end)
        force_stride = self._stride(force_rows, 3 * (end - first_atom))
        if first_atom == end:
            return
        with nogil:
            status = plip_rows_derivatives(
                &self.plan, self.simd, &near.record, &states[0, 0, 0], &dominant[0, 0], first_atom, end,
                &force_rows[0, 0], force_stride,
            )
        if status:
            raise MemoryError("not enough memory for the neighbors of one atom")

    cdef int _check_arrays(
        self, _Near near, const double[:, :, ::1] states, const double[:, ::1] dominant
    ) except -1:
        cdef ptrdiff_t n_atoms = near.record.n_atoms
        if (
            n_atoms < 1 or states.shape[0] != 2 or states.shape[1] != n_atoms
            or states.shape[2] != self.plan.state_size
        ):
            raise ValueError(f"states must have the shape (2, {n_atoms}, {self.plan.state_size})")
        if dominant.shape[0] != n_atoms or dominant.shape[1] != self.plan.n_labels:
            raise ValueError(f"dominant must have the shape ({n_atoms}, {self.plan.n_labels})")
        return 0

    cdef ptrdiff_t _stride(self, const double[:, :] rows, ptrdiff_t n_rows) except -1:
        """Numbers from one row to the next."""
        cdef ptrdiff_t size = sizeof(double)
        if (
            rows.shape[0] != n_rows or rows.shape[1] < self.plan.n_terms
            or rows.strides[1] != size or rows.strides[0] < 0 or rows.strides[0] % size
        ):
            raise ValueError(
                f"force_rows must have {n_rows} rows of at least {self.plan.n_terms} numbers side by side"
            )
        return rows.strides[0] // size


cdef const plip_rows_plan *plan_of(kernel, int *simd) except NULL:
    """For other modules: the plan of a `Kernel`, which lives as long as it does, and its instruction set."""
    cdef Kernel known = <Kernel?>kernel
    simd[0] = known.simd
    return &known.plan


cdef int values_of(
    const plip_rows_plan *plan,
    int simd,
    const plip_neighbors *near,
    double *states,
    double *dominant,
    double *values,
    double *virials,
    ptrdiff_t virial_stride,
) noexcept nogil:
    """For other modules: `Kernel.values` of all atoms of a structure; not zero if memory ran out."""
    return plip_rows_values(
        plan, simd, near, 0, near.n_atoms, states, dominant, values, virials, virial_stride
    )


cdef int derivatives_of(
    const plip_rows_plan *plan,
    int simd,
    const plip_neighbors *near,
    const double *states,
    const double *dominant,
    double *force_rows,
    ptrdiff_t force_stride,
) noexcept nogil:
    """The same for `Kernel.derivatives`."""
    return plip_rows_derivatives(
        plan, simd, near, states, dominant, 0, near.n_atoms, force_rows, force_stride
    )


cdef const void *_table(plan, name, dtype, shape) except? NULL:
    """Where a table of a plan begins; a shape of None is any length."""
    array = getattr(plan, name)
    if (
        not isinstance(array, np.ndarray) or array.dtype != dtype
        or not array.flags.c_contiguous or not array.flags.aligned
    ):
        raise ValueError(f"tables of the kernels: {name} must be a contiguous array of {np.dtype(dtype)}")
    if array.shape != (shape or (len(array),)):
        raise ValueError(f"tables of the kernels: {name} has the shape {array.shape}")
    return <const void *><size_t>array.ctypes.data


cdef class _Near:
    """The record of neighbors in C, and the memory that it points to."""

    cdef plip_neighbors record
    cdef const int[::1] species, neighbor
    cdef const int64_t[::1] first
    cdef const double[:, ::1] vector
    cdef const double[::1] distance

    def __cinit__(self, neighbors, int n_species):
        self.species = neighbors.species_a
        self.first = neighbors.first_as
        self.neighbor = neighbors.neighbor_p
        self.vector = neighbors.vector_pc
        self.distance = neighbors.distance_p
        self.record.n_atoms = self.species.shape[0]
        self.record.n_pairs = self.neighbor.shape[0]
        if (
            self.first.shape[0] != self.record.n_atoms * n_species + 1
            or self.vector.shape[0] != self.record.n_pairs or self.vector.shape[1] != 3
            or self.distance.shape[0] != self.record.n_pairs
        ):
            raise ValueError("the arrays of the neighbors do not have the shapes of each other")
        self.record.first = &self.first[0]
        if self.record.n_atoms:
            self.record.species = &self.species[0]
        if self.record.n_pairs:
            self.record.neighbor = &self.neighbor[0]
            self.record.vector = &self.vector[0, 0]
            self.record.distance = &self.distance[0]

    cdef int check(self, const plip_rows_plan *plan, ptrdiff_t begin, ptrdiff_t end) except -1:
        cdef char[PLIP_ERROR_LENGTH] error
        if plip_rows_check_neighbors(plan, &self.record, begin, end, error):
            raise ValueError(f"neighbors: {error.decode()}")
        return 0
