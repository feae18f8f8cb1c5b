# Moments of the neighbourhoods, energies of the columns, and their derivative rows.
#
# One source, built once per instruction set; plip/_kernels/__init__.py picks one at run
# time. The equations and the layout of the tables are explained in plip/descriptors/_plan.py.
#
# Index names: n atom whose rows are made, i centre or neighbour, s and t species,
# f function set, g group of fields, a function, b field, x Cartesian component.

from libc.math cimport M_PI, cos, exp, log, pow, sin
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "lanes.h" nogil:
    enum:
        LANES
    ctypedef ptrdiff_t isize
    double *new_numbers(isize count)
    void free_numbers(double *numbers)
    void gaussians(int count, const double *p, const double *q, double r, double f, double df,
                   double *value, double *derivative)
    void angular_components(isize n_neighbors, int begin, int end, const int *source, const int *axis,
                            const double *factor, const double *direction, double *component, isize stride)
    void product(isize rows, isize columns, isize length, const double *a, isize step_i, isize step_m,
                 const double *b, isize stride_b, double *c, isize stride_c)
    void add_product(isize rows, isize columns, isize length, const double *a, isize step_i, isize step_m,
                     const double *b, isize stride_b, double *c, isize stride_c)
    ctypedef struct pair_fields:
        int degree, n_components, with_virial
        isize width
        const double *of_atoms
        isize state_size
        const double *of_atom
        double parity
        isize n_neighbors
        const int *neighbor
        const double *distance
        const double *direction
        const double *component
        isize stride
        const int *lower
        const double *lower_weight
        double *scratch
        const double *own
        isize own_stride
        double n_own
    void fields(const pair_fields *g, double *by_derivative, double *by_value)
    void powers_of_cosine(int n_degrees, const double *table, isize stride, isize count, isize length,
                          double *sums)
    void add_to_columns(isize count, const int *column, const int *place, const double *coefficient,
                        double factor, const double *sums, isize step, double *rows, isize stride)
    void diagonal_product(isize n_outputs, isize width, isize length, int angular, const double *derivative,
                          const double *value, isize stride, const double *by_derivative,
                          const double *by_value, double *sum, isize step)
    void constant_fields(const pair_fields *g, const double *derivative, isize stride, double *sum,
                         isize step)

# Columns of the table of groups (GROUP_FIELDS of plip/descriptors/_plan.py).
cdef enum:
    FUNCTION_SET, LOWEST, HIGHEST, STATE, COUNT, OUTER, OWN, MOMENT, SCATTER_BEGIN, SCATTER_END


cdef inline isize padded(isize count) noexcept nogil:
    return (count + LANES - 1) // LANES * LANES


cdef void radial_function(
    int code, double p, double q, double r, double *value, double *derivative
) noexcept nogil:
    """phi(r) and its derivative; the families of plip/radial.py by their code."""
    cdef double x, decay, u
    value[0] = 0.0
    derivative[0] = 0.0
    if code == 0:
        value[0] = exp(-p * (r - q) * (r - q))
        derivative[0] = -2.0 * p * (r - q) * value[0]
    elif code == 1:
        decay = exp(-q * r)
        value[0] = pow(r, p) * decay
        derivative[0] = (p * pow(r, p - 1.0) - q * pow(r, p)) * decay
    elif code == 2:
        decay = exp(-q * r * r)
        value[0] = pow(r, p) * decay
        derivative[0] = (p * pow(r, p - 1.0) - 2.0 * q * pow(r, p + 1.0)) * decay
    elif code == 3:
        if r > q:
            value[0] = exp(p / (r - q))
            derivative[0] = -p * exp(p / (r - q) - 2.0 * log(r - q))
    elif code == 4:
        value[0] = pow(r, p)
        derivative[0] = p * pow(r, p - 1.0)
    elif code == 5:
        x = r - p
        value[0] = 1.0 / (pow(x, q) + 1.0)
        derivative[0] = -q * pow(x, q - 1.0) * value[0] * value[0]
    elif code == 6:
        if r > p:
            u = log((r - p) / q)
            value[0] = exp(-u * u)
            derivative[0] = -2.0 * u * exp(-u * u - log(r - p))
    elif code == 7:
        x = (p / r) * (p / r) * (p / r)
        x = x * x
        value[0] = 4.0 * (x * x - x)
        derivative[0] = -24.0 * (2.0 * x * x - x) / r


cdef inline double integer_power(double x, int power) noexcept nogil:
    cdef double result = 1.0
    cdef int k
    for k in range(power):
        result *= x
    return result


cdef struct Bucket:
    # The neighbours of one species of one atom, and what the kernels compute of them. Neighbours
    # are ordered by cutoff class, so that those of each function set come first.
    isize capacity
    isize stride        # of the arrays with one row per component
    isize *order
    int *neighbor
    isize *within       # [class] number of neighbours
    double *distance
    double *direction  # [x][neighbour] unit vectors, and a row of ones
    double *component  # [component of the angular bases][neighbour]
    double *radial     # [set] derivatives [neighbour][function], then values [neighbour][function]
    double *factor     # [class][2] cutoff function and its derivative
    double *buffer     # fields: by derivative [neighbour][x][field], then by value
    double *scratch
    double *sums       # [x][degree][field][function]


cdef class Kernel:
    """The tables of `plip.descriptors._plan.build_plan` and the loops that run over them."""

    cdef readonly int n_terms, n_species, state_size
    cdef int n_sets, n_classes, n_halves, widest_field
    cdef isize n_values, n_own, n_sums, most_components
    cdef const int[::1] set_first, set_count, set_class, set_degree, set_basis, set_gaussian, function_code
    cdef const int[::1] group_first, moment_first, power_first, product_first, halves, basis_degree
    cdef const int[:, ::1] groups, moments, powers, products, first_component, source, axis
    cdef const int[:, :, ::1] lower
    cdef const int64_t[::1] value_first, own_first
    cdef const double[::1] class_cutoff, function_p, function_q, switch_range
    cdef const double[::1] product_weight, contraction_weight
    cdef const int[::1] scatter_column, scatter_place
    cdef const double[::1] derivative_coefficient, value_coefficient
    cdef const double[:, :, ::1] set_switch
    cdef const double[:, ::1] factor, legendre_of_powers
    cdef const double[:, :, ::1] lower_weight

    # What blocks of functions and fields are padded to.
    vector_length = LANES

    def __init__(self, plan):
        self.n_terms = plan["n_terms"]
        self.n_species = plan["n_species"]
        self.state_size = plan["state_size"]
        self.n_halves = plan["n_halves"]
        self.set_first = plan["set_first"]
        self.set_count = plan["set_count"]
        self.set_class = plan["set_class"]
        self.set_degree = plan["set_degree"]
        self.set_basis = plan["set_basis"]
        self.set_gaussian = plan["set_gaussian"]
        self.set_switch = plan["set_switch"]
        self.class_cutoff = plan["class_cutoff"]
        self.switch_range = plan["switch_range"]
        self.function_code = plan["function_code"]
        self.function_p = plan["function_p"]
        self.function_q = plan["function_q"]
        self.groups = plan["groups"]
        self.group_first = plan["group_first"]
        self.value_first = plan["value_first"]
        self.own_first = plan["own_first"]
        self.scatter_column = plan["scatter_column"]
        self.scatter_place = plan["scatter_place"]
        self.derivative_coefficient = plan["derivative_coefficient"]
        self.value_coefficient = plan["value_coefficient"]
        self.moments = plan["moments"]
        self.moment_first = plan["moment_first"]
        self.powers = plan["powers"]
        self.power_first = plan["power_first"]
        self.products = plan["products"]
        self.product_weight = plan["product_weight"]
        self.product_first = plan["product_first"]
        self.halves = plan["halves"]
        self.basis_degree = plan["basis_degree"]
        self.first_component = plan["first_component"]
        self.source = plan["source"]
        self.axis = plan["axis"]
        self.factor = plan["factor"]
        self.contraction_weight = plan["contraction_weight"]
        self.lower = plan["lower"]
        self.lower_weight = plan["lower_weight"]
        self.legendre_of_powers = plan["legendre_of_powers"]
        self.n_sets = self.set_count.shape[0]
        self.n_classes = self.class_cutoff.shape[0]
        self.n_values = self.value_first[self.value_first.shape[0] - 1]
        self.n_own = plan["n_own"]
        self.widest_field = 0
        self.n_sums = 0
        self.most_components = 0
        cdef int g, f, components
        for g in range(self.groups.shape[0]):
            f = self.groups[g, FUNCTION_SET]
            components = self.n_components(f, self.groups[g, HIGHEST])
            width = padded(self.groups[g, COUNT])
            self.widest_field = max(self.widest_field, width)
            self.n_sums = max(self.n_sums, self.value_first[g + 1] - self.value_first[g])
            self.most_components = max(self.most_components, components)

    cdef inline int component(self, int f, int degree) noexcept nogil:
        """The first component of a degree in the angular basis of a function set."""
        return self.first_component[self.set_basis[f], degree]

    cdef inline int n_components(self, int f, int degree) noexcept nogil:
        """Number of components of one degree in the angular basis of a function set."""
        return self.component(f, degree + 1) - self.component(f, degree)

    cdef int allocate(self, Bucket *bucket, const int64_t[::1] first_as, int n_outputs) except -1 nogil:
        """Scratch memory for the largest bucket; n_outputs components of the rows, 0 for moments alone."""
        cdef isize k, capacity = 1
        cdef isize n_field = n_outputs * self.widest_field
        for k in range(first_as.shape[0] - 1):
            capacity = max(capacity, first_as[k + 1] - first_as[k])
        bucket.capacity = capacity
        # An odd number of cache lines, so that components do not compete for the same part of the cache.
        bucket.stride = ((capacity + 7) // 8 | 1) * 8
        bucket.order = <isize *>malloc(capacity * sizeof(isize))
        bucket.neighbor = <int *>malloc(capacity * sizeof(int))
        bucket.within = <isize *>malloc(self.n_classes * sizeof(isize))
        bucket.distance = new_numbers(capacity)
        bucket.direction = new_numbers(4 * bucket.stride)
        bucket.component = new_numbers(self.contraction_weight.shape[0] * bucket.stride)
        bucket.radial = new_numbers(2 * capacity * self.set_first[self.n_sets])
        bucket.factor = new_numbers(2 * self.n_classes)
        bucket.buffer = new_numbers(2 * capacity * n_field)
        bucket.scratch = new_numbers(self.most_components * max(3 * bucket.stride, self.widest_field))
        bucket.sums = new_numbers(n_outputs * self.n_sums)
        if (
            bucket.order == NULL or bucket.neighbor == NULL or bucket.within == NULL
            or bucket.distance == NULL or bucket.direction == NULL or bucket.component == NULL
            or bucket.radial == NULL or bucket.factor == NULL or bucket.buffer == NULL
            or bucket.scratch == NULL or bucket.sums == NULL
        ):
            self.release(bucket)
            with gil:
                raise MemoryError("not enough memory for the neighbours of one atom")
        # What stands beyond the last neighbour is read with it, and must be a number.
        memset(bucket.direction, 0, 3 * bucket.stride * sizeof(double))
        for k in range(bucket.stride):
            bucket.direction[3 * bucket.stride + k] = 1.0
        return 0

    cdef void release(self, Bucket *bucket) noexcept nogil:
        free(bucket.order)
        free(bucket.neighbor)
        free(bucket.within)
        free_numbers(bucket.distance)
        free_numbers(bucket.direction)
        free_numbers(bucket.component)
        free_numbers(bucket.radial)
        free_numbers(bucket.factor)
        free_numbers(bucket.buffer)
        free_numbers(bucket.scratch)
        free_numbers(bucket.sums)

    cdef void fill(self, Bucket *bucket, int s, int t, double sign, bint for_gradient, isize begin, isize end,
                   const double[:, ::1] vector_pc, const double[::1] distance_p) noexcept nogil:
        """Directions, angular and radial functions of the pairs [begin, end) of species s and t.

        Gradients need no angular functions of the highest degree.
        """
        cdef isize p, k, count = 0, m, width
        cdef int c, f, a, x, basis, degree
        cdef double r, z, f_c, df_c, low, high, u, switch, d_switch, phi, d_phi
        cdef double lower = 0.0
        cdef double *value
        cdef double *derivative
        for c in range(self.n_classes):
            for p in range(begin, end):
                if lower <= distance_p[p] < self.class_cutoff[c]:
                    bucket.order[count] = p
                    count += 1
            bucket.within[c] = count
            lower = self.class_cutoff[c]
        for k in range(count):
            r = distance_p[bucket.order[k]]
            bucket.distance[k] = r
            z = sign / r
            for x in range(3):
                bucket.direction[x * bucket.stride + k] = z * vector_pc[bucket.order[k], x]
        for basis in range(2):
            degree = self.basis_degree[basis]
            if degree >= 0:
                angular_components(
                    count, self.first_component[basis, 0],
                    self.first_component[basis, degree if for_gradient else degree + 1], &self.source[0, 0],
                    &self.axis[0, 0], &self.factor[0, 0], bucket.direction, bucket.component, bucket.stride
                )
        for k in range(count):
            r = bucket.distance[k]
            for c in range(self.n_classes):
                # (1 + cos x) / 2 = sin^2 z keeps its relative precision near the cutoff.
                z = 0.5 * M_PI * (1.0 - r / self.class_cutoff[c])
                bucket.factor[2 * c] = sin(z) * sin(z)
                bucket.factor[2 * c + 1] = -M_PI / self.class_cutoff[c] * sin(z) * cos(z)
            for f in range(self.n_sets):
                m = bucket.within[self.set_class[f]]
                if k >= m:
                    continue
                f_c = bucket.factor[2 * self.set_class[f]]
                df_c = bucket.factor[2 * self.set_class[f] + 1]
                if self.set_switch[f, s, t] > 0.0:
                    low = self.switch_range[0] * self.set_switch[f, s, t]
                    high = self.switch_range[1] * self.set_switch[f, s, t]
                    u = min(max((r - low) / (high - low), 0.0), 1.0)
                    switch = u * u * u * (6.0 * u * u - 15.0 * u + 10.0)
                    d_switch = 30.0 * u * u * (u - 1.0) * (u - 1.0) / (high - low)
                    df_c = df_c * switch + f_c * d_switch
                    f_c = f_c * switch
                width = self.set_first[f + 1] - self.set_first[f]
                derivative = bucket.radial + 2 * bucket.capacity * self.set_first[f] + k * width
                value = derivative + m * width
                if self.set_gaussian[f]:
                    gaussians(width, &self.function_p[self.set_first[f]], &self.function_q[self.set_first[f]],
                              r, f_c, df_c, value, derivative)
                else:
                    for a in range(self.set_count[f]):
                        x = self.set_first[f] + a
                        radial_function(self.function_code[x], self.function_p[x], self.function_q[x], r,
                                        &phi, &d_phi)
                        value[a] = phi * f_c
                        derivative[a] = d_phi * f_c + phi * df_c
                for a in range(self.set_count[f], width):
                    value[a] = 0.0
                    derivative[a] = 0.0

    def moments_and_values(
        self,
        const int[::1] species_a,
        const int64_t[::1] first_as,
        const double[:, ::1] vector_pc,
        const double[::1] distance_p,
        double[:, ::1] state,
        double[::1] values,
    ):
        """Fill the state of every atom and add the values of the columns.

        Parameters
        ----------
        species_a, first_as, vector_pc, distance_p : arrays
            As in `plip._structures._neighbors.Neighbors`.
        state : ndarray of float64, shape (n_atoms, state_size)
            Overwritten: moments and coefficients of the fields.
        values : ndarray of float64, shape (n_terms,)
            The value of every column is added.
        """
        cdef Bucket bucket
        cdef double *value_sums
        cdef double *own_sums
        with nogil:
            self.allocate(&bucket, first_as, 0)
            value_sums = new_numbers(self.n_values)
            own_sums = new_numbers(self.n_own)
            if value_sums == NULL or own_sums == NULL:
                self.release(&bucket)
                free_numbers(value_sums)
                free_numbers(own_sums)
                with gil:
                    raise MemoryError("not enough memory for the values of the columns")
            self.add_values(&bucket, value_sums, own_sums, species_a, first_as, vector_pc, distance_p,
                            state, values)
            self.release(&bucket)
            free_numbers(value_sums)
            free_numbers(own_sums)

    cdef void add_values(
        self, Bucket *bucket, double *value_sums, double *own_sums, const int[::1] species_a,
        const int64_t[::1] first_as, const double[:, ::1] vector_pc, const double[::1] distance_p,
        double[:, ::1] state, double[::1] values
    ) noexcept nogil:
        cdef isize i, k, b, width, n_b, m, target
        cdef int s, t, f, g, degree, e, n_components
        cdef const double *weight
        cdef double *row
        cdef double *radial
        cdef double *tensor
        cdef double *sums
        cdef double *moment
        cdef double own
        memset(value_sums, 0, self.n_values * sizeof(double))
        memset(own_sums, 0, self.n_own * sizeof(double))
        for i in range(species_a.shape[0]):
            s = species_a[i]
            row = &state[i, 0]
            if self.product_first[s] < self.product_first[s + 1]:
                memset(row, 0, self.state_size * sizeof(double))
            for k in range(self.n_halves):
                row[self.halves[s] + k] = 0.5
            for t in range(self.n_species):
                k = i * self.n_species + t
                self.fill(bucket, s, t, 1.0, False, first_as[k], first_as[k + 1], vector_pc, distance_p)
                for e in range(self.moment_first[s], self.moment_first[s + 1]):
                    if self.moments[e, 0] != t:
                        continue
                    f = self.moments[e, 1]
                    m = bucket.within[self.set_class[f]]
                    width = self.set_first[f + 1] - self.set_first[f]
                    radial = bucket.radial + 2 * bucket.capacity * self.set_first[f] + m * width
                    product(self.component(f, self.set_degree[f] + 1) - self.component(f, 0), width, m,
                            bucket.component + self.component(f, 0) * bucket.stride, 1, bucket.stride, radial,
                            width, row + self.moments[e, 2], width)
                    k = self.own_first[(s * self.n_species + t) * self.n_sets + f]
                    if k >= 0:
                        add_product(width, width, m, radial, width, 1, radial, width, own_sums + k, width)
            for e in range(self.power_first[s], self.power_first[s + 1]):
                for k in range(self.powers[e, 2]):
                    row[self.powers[e, 1] + k] = self.powers[e, 3] * integer_power(
                        row[self.powers[e, 0] + k], self.powers[e, 3] - 1
                    )
            for e in range(self.product_first[s], self.product_first[s + 1]):
                row[self.products[e, 0]] += (
                    self.product_weight[e] * row[self.products[e, 1]] * row[self.products[e, 2]]
                )
            for g in range(self.group_first[s * self.n_species], self.group_first[(s + 1) * self.n_species]):
                f = self.groups[g, FUNCTION_SET]
                width = padded(self.groups[g, COUNT])
                n_b = self.set_first[f + 1] - self.set_first[f]
                moment = row + self.groups[g, MOMENT]
                tensor = row + self.groups[g, STATE]
                sums = value_sums + self.value_first[g]
                for degree in range(self.groups[g, LOWEST], self.groups[g, HIGHEST] + 1):
                    n_components = self.n_components(f, degree)
                    weight = &self.contraction_weight[self.component(f, degree)]
                    if self.groups[g, OUTER]:
                        for k in range(n_components):
                            for b in range(width):
                                bucket.scratch[k * width + b] = weight[k] * tensor[k * width + b]
                        add_product(width, n_b, n_components, bucket.scratch, width, 1, moment, n_b, sums,
                                    n_b)
                        sums += width * n_b
                    else:
                        for k in range(n_components):
                            for b in range(width):
                                sums[b] += weight[k] * tensor[k * width + b] * moment[k * n_b + b]
                        sums += width
                    tensor += n_components * width
                    moment += n_components * n_b
        for s in range(self.n_species):
            for t in range(self.n_species):
                for g in range(self.group_first[s * self.n_species + t],
                               self.group_first[s * self.n_species + t + 1]):
                    f = self.groups[g, FUNCTION_SET]
                    n_b = self.set_first[f + 1] - self.set_first[f]
                    width = padded(self.groups[g, COUNT]) * (n_b if self.groups[g, OUTER] else 1)
                    sums = value_sums + self.value_first[g]
                    powers_of_cosine(self.groups[g, HIGHEST] - self.groups[g, LOWEST] + 1,
                                     &self.legendre_of_powers[0, 0], self.legendre_of_powers.shape[1], width,
                                     width, sums)
                    k = self.own_first[(s * self.n_species + t) * self.n_sets + f]
                    for e in range(self.groups[g, SCATTER_BEGIN], self.groups[g, SCATTER_END]):
                        target = self.scatter_place[e]
                        own = 0.0
                        if self.groups[g, OWN]:
                            own = own_sums[k + target % width * (1 if self.groups[g, OUTER] else n_b + 1)]
                        values[self.scatter_column[e]] += self.value_coefficient[e] * (sums[target] - own)

    def derivative_rows(
        self,
        const int[::1] species_a,
        const int64_t[::1] first_as,
        const int[::1] neighbor_p,
        const double[:, ::1] vector_pc,
        const double[::1] distance_p,
        const double[:, ::1] state,
        isize first_atom,
        double[:, ::1] force_rows,
        double[:, ::1] virial_rows,
    ):
        """Derivatives of the columns with respect to some atoms and, on request, to the strain.

        Parameters
        ----------
        species_a, first_as, neighbor_p, vector_pc, distance_p : arrays
            As in `plip._structures._neighbors.Neighbors`.
        state : ndarray of float64, shape (n_atoms, state_size)
            From `moments_and_values`.
        first_atom : int
            The first atom whose rows are made.
        force_rows : ndarray of float64, shape (3 * n_rows_atoms, at least n_terms)
            Overwritten in the first n_terms columns: -dX_n/dr of the atoms from `first_atom` on, x y z each.
        virial_rows : ndarray of float64, shape (6, at least n_terms), or (0, ...) for none
            dX_n/d(strain) in the order xx yy zz yz xz xy; the share of these atoms is added.
        """
        cdef Bucket bucket
        with nogil:
            self.allocate(&bucket, first_as, 9 if virial_rows.shape[0] else 3)
            self.add_rows(&bucket, species_a, first_as, neighbor_p, vector_pc, distance_p, state, first_atom,
                          force_rows, virial_rows)
            self.release(&bucket)

    cdef void add_rows(
        self, Bucket *bucket, const int[::1] species_a, const int64_t[::1] first_as,
        const int[::1] neighbor_p, const double[:, ::1] vector_pc, const double[::1] distance_p,
        const double[:, ::1] state, isize first_atom, double[:, ::1] force_rows, double[:, ::1] virial_rows
    ) noexcept nogil:
        cdef isize n, k, p, row
        cdef int s, t
        for n in range(first_atom, first_atom + force_rows.shape[0] // 3):
            s = species_a[n]
            row = 3 * (n - first_atom)
            for k in range(row, row + 3):
                memset(&force_rows[k, 0], 0, self.n_terms * sizeof(double))
            for t in range(self.n_species):
                k = n * self.n_species + t
                if first_as[k] == first_as[k + 1]:
                    continue
                self.fill(bucket, s, t, -1.0, True, first_as[k], first_as[k + 1], vector_pc, distance_p)
                for p in range(bucket.within[self.n_classes - 1]):
                    bucket.neighbor[p] = neighbor_p[bucket.order[p]]
                # As a neighbour of species s of each centre of species t, and as a centre of
                # species s. For s = t both use the same columns and are added up beforehand.
                self.add_pass(bucket, t, s, n, True, s == t, state, row, force_rows,
                              virial_rows)
                if s != t:
                    self.add_pass(bucket, s, t, n, False, True, state, row, force_rows,
                                  virial_rows)

    cdef void add_pass(
        self, Bucket *bucket, int centre, int arm, isize n, bint neighbor_is_centre, bint atom_is_centre,
        const double[:, ::1] state, isize row, double[:, ::1] force_rows, double[:, ::1] virial_rows
    ) noexcept nogil:
        """The columns of one species of centre with an arm of one species, for the pairs of one bucket."""
        cdef int g, f, degree, x, e, n_degrees
        cdef int n_outputs = 9 if virial_rows.shape[0] else 3
        cdef isize m, width, n_b, length, step, state_place
        cdef pair_fields pairs
        cdef double *derivative
        cdef double *value
        cdef double *by_value
        cdef double *sums
        pairs.with_virial = n_outputs == 9
        pairs.state_size = self.state_size
        pairs.neighbor = bucket.neighbor
        pairs.distance = bucket.distance
        pairs.direction = bucket.direction
        pairs.component = bucket.component
        pairs.stride = bucket.stride
        pairs.scratch = bucket.scratch
        pairs.n_own = <double>neighbor_is_centre + <double>atom_is_centre
        for g in range(self.group_first[centre * self.n_species + arm],
                       self.group_first[centre * self.n_species + arm + 1]):
            f = self.groups[g, FUNCTION_SET]
            m = bucket.within[self.set_class[f]]
            if m == 0:
                continue
            width = padded(self.groups[g, COUNT])
            n_b = self.set_first[f + 1] - self.set_first[f]
            n_degrees = self.groups[g, HIGHEST] - self.groups[g, LOWEST] + 1
            # Numbers per degree, and per component of the rows.
            length = width * n_b if self.groups[g, OUTER] else width
            step = n_degrees * length
            derivative = bucket.radial + 2 * bucket.capacity * self.set_first[f]
            value = derivative + m * n_b
            by_value = bucket.buffer + m * n_outputs * width
            pairs.width = width
            pairs.n_neighbors = m
            pairs.own = value if self.groups[g, OWN] else NULL
            pairs.own_stride = n_b
            state_place = self.groups[g, STATE]
            sums = bucket.sums
            for degree in range(self.groups[g, LOWEST], self.groups[g, HIGHEST] + 1):
                pairs.degree = degree
                pairs.n_components = self.n_components(f, degree)
                pairs.of_atoms = &state[0, state_place] if neighbor_is_centre else NULL
                pairs.of_atom = &state[n, state_place] if atom_is_centre else NULL
                pairs.parity = -1.0 if degree % 2 else 1.0
                pairs.lower = &self.lower[self.component(f, degree), 0, 0]
                pairs.lower_weight = &self.lower_weight[self.component(f, degree), 0, 0]
                if self.groups[g, OUTER]:
                    fields(&pairs, bucket.buffer, by_value)
                    for x in range(n_outputs):
                        product(self.groups[g, COUNT], n_b, 2 * m if degree else m, bucket.buffer + x * width,
                                n_outputs * width, 1, derivative, n_b, sums + x * step, n_b)
                elif degree or self.groups[g, OWN]:
                    fields(&pairs, bucket.buffer, by_value)
                    diagonal_product(n_outputs, width, m, degree, derivative, value, n_b, bucket.buffer,
                                     by_value, sums, step)
                else:
                    constant_fields(&pairs, derivative, n_b, sums, step)
                sums += length
                state_place += pairs.n_components * width
            for x in range(n_outputs):
                powers_of_cosine(n_degrees, &self.legendre_of_powers[0, 0], self.legendre_of_powers.shape[1],
                                 self.groups[g, COUNT] * n_b if self.groups[g, OUTER] else width, length,
                                 bucket.sums + x * step)
            e = self.groups[g, SCATTER_BEGIN]
            add_to_columns(self.groups[g, SCATTER_END] - e, &self.scatter_column[e], &self.scatter_place[e],
                           &self.derivative_coefficient[e], -1.0, bucket.sums, step, &force_rows[row, 0],
                           force_rows.strides[0] // sizeof(double))
            # Every pair is met from both of its atoms, hence the half.
            for x in range(0, virial_rows.shape[0], 3):
                add_to_columns(self.groups[g, SCATTER_END] - e, &self.scatter_column[e],
                               &self.scatter_place[e], &self.derivative_coefficient[e], 0.5,
                               bucket.sums + (3 + x) * step, step, &virial_rows[x, 0],
                               virial_rows.strides[0] // sizeof(double))
