/* Derivatives of the columns with respect to the strain; part of plip_rows_kernel.h. The equations are explained in
 * plip_angular.h. All is a sum over centers, so that moments serve all neighbors of a center at once: first the
 * derivatives of its moments, then their contractions with its fields. */

/* Where strains go: rows of components, `row` numbers each, [strain][function] with `step` functions, as end_rows
 * explains. */
typedef struct {
    double *strained;
    ptrdiff_t row, step;
} NAME(place_of_strains);

/* A vector of functions of one monomial, from the moments of its degree and the last sources of two degrees more. */
static FORCE_INLINE void NAME(strain_monomial)(const plip_strain *entries, ptrdiff_t n_components,
                                               const double *moments, const double *last, ptrdiff_t width,
                                               const NAME(place_of_strains) *to)
{
    int x;

    UNROLL(6)
    for (x = 0; x < OF_VIRIALS; x++, entries += STRAIN_OF_MONOMIAL)
        STORE(to->strained + x * to->step,
              entries[0].weight * LOAD(moments + entries[0].source * width) +
                  entries[1].weight * LOAD(last + (entries[1].source - n_components) * width));
}

/* Derivatives of the moments of a vector of functions, for monomials. */
static void NAME(strain_monomials)(const rows_call *call, int max_degree, ptrdiff_t width, const double *of_values,
                                   const double *last, NAME(place_of_strains) to)
{
    const plip_strain *entries = first_strain(call->plan, PLIP_MONOMIALS);
    ptrdiff_t k;
    int degree;

    for (degree = 0; degree <= max_degree; degree++) {
        const ptrdiff_t n = components_of(PLIP_MONOMIALS, degree);
        const double *moments = of_values + components_below(PLIP_MONOMIALS, degree) * width;
        const double *above = last + components_below(PLIP_MONOMIALS, degree + 2) * width;
        for (k = 0; k < n; k++, to.strained += to.row, entries += OF_VIRIALS * STRAIN_OF_MONOMIAL)
            NAME(strain_monomial)(entries, n, moments, above, width, &to);
    }
}

/* The strain sources of a vector of functions, for harmonics: three blocks of all degrees. Harmonics of two degrees
 * more are made of the first block, those of the same degree of the second one, and those of two degrees less of the
 * third one, whose last two degrees are known. */
static void NAME(find_sources)(int max_degree, ptrdiff_t width, const double *of_values, const double *of_slopes,
                               double *sources)
{
    const ptrdiff_t block = components_below(PLIP_HARMONICS, max_degree + 1);
    ptrdiff_t k = 0;
    int degree;

    for (degree = 0; degree <= max_degree; degree++) {
        const double up = degree + 3.0, down = 2.0 - degree;
        for (; k < components_below(PLIP_HARMONICS, degree + 1); k++, sources += LANES) {
            const VECTOR m = LOAD(of_values + k * width), n = LOAD(of_slopes + k * width);
            STORE(sources, n + up * m);
            STORE(sources + block * LANES, n + 1.5 * m);
            STORE(sources + 2 * block * LANES, n + down * m);
        }
    }
    for (; k < components_below(PLIP_HARMONICS, max_degree + 3); k++, sources += LANES)
        STORE(sources + 2 * block * LANES, LOAD(of_slopes + k * width));
}

/* The number of the source of a cosine among those of its degree. */
static FORCE_INLINE ptrdiff_t NAME(place_of_cosine)(int order)
{
    return order ? 2 * order - 1 : 0;
}

/* The sum of the sources of cos(order), and that of the sines beside them. Where a degree has no such order, other
 * sources stand, and the weight is 0. */
static FORCE_INLINE void NAME(strain_order)(const plip_strain *entries, const double *const blocks[STRAIN_OF_ORDER],
                                            int order, VECTOR sum[2])
{
    const ptrdiff_t place = NAME(place_of_cosine)(order) * LANES;
    int e, k;

    UNROLL(3)
    for (e = 0; e < STRAIN_OF_ORDER; e++) {
        const double weight = entries[e].weight;
        UNROLL(2)
        for (k = 0; k < 2; k++) {
            const VECTOR source = LOAD(blocks[e] + place + k * LANES);
            sum[k] = e ? sum[k] + weight * source : weight * source;
        }
    }
}

/* A vector of functions of the harmonics of one order: `parts` is 1 for order 0, which has no sine, else 2. `slopes`
 * and `blocks` are those of its degree. */
static FORCE_INLINE void NAME(strain_harmonics_of_order)(const int parts, int order, const plip_strain *entries,
                                                         const double *slopes, ptrdiff_t width,
                                                         const double *const blocks[STRAIN_OF_ORDER],
                                                         const NAME(place_of_strains) *to)
{
    const double trace = 1.0 / 3.0;
    VECTOR strained[2][OF_VIRIALS], axial[2], up[2], down[2];
    int q, k, x;

    NAME(strain_order)(entries, blocks, order, axial);
    for (k = 0; k < parts; k++) {
        strained[k][0] = trace * LOAD(slopes + (NAME(place_of_cosine)(order) + k) * width);
        strained[k][2] = axial[k];
    }
    UNROLL(2)
    for (q = 1; q <= 2; q++) {
        /* xz and yz, or xx - yy and xy */
        const int even = q == 1 ? 4 : 1, odd = q == 1 ? 3 : 5;
        const double sign = order > q ? 1.0 : order == q ? 0.0 : -1.0;
        NAME(strain_order)(entries + (2 * q - 1) * STRAIN_OF_ORDER, blocks, order + q, up);
        NAME(strain_order)(entries + 2 * q * STRAIN_OF_ORDER, blocks, order > q ? order - q : q - order, down);
        strained[0][even] = up[0] + down[0];
        strained[0][odd] = up[1] - sign * down[1];
        strained[1][even] = up[1] + sign * down[1];
        strained[1][odd] = down[0] - up[0];
    }
    for (k = 0; k < parts; k++) {
        UNROLL(6)
        for (x = 0; x < OF_VIRIALS; x++)
            STORE(to->strained + k * to->row + x * to->step, strained[k][x]);
    }
}

/* Derivatives of the moments of a vector of functions, for harmonics. */
static void NAME(strain_harmonics)(const rows_call *call, int max_degree, ptrdiff_t width, const double *of_values,
                                   const double *of_slopes, NAME(place_of_strains) to)
{
    const ptrdiff_t block = components_below(PLIP_HARMONICS, max_degree + 1) * LANES;
    const plip_strain *entries = first_strain(call->plan, PLIP_HARMONICS);
    int degree, order;

    NAME(find_sources)(max_degree, width, of_values, of_slopes, call->strain_sources);
    for (degree = 0; degree <= max_degree; degree++) {
        const int below = degree > 1 ? components_below(PLIP_HARMONICS, degree - 2) : 0;
        const double *slopes = of_slopes + components_below(PLIP_HARMONICS, degree) * width;
        const double *const blocks[STRAIN_OF_ORDER] = {
            call->strain_sources + below * LANES,
            call->strain_sources + block + components_below(PLIP_HARMONICS, degree) * LANES,
            call->strain_sources + 2 * block + components_below(PLIP_HARMONICS, degree + 2) * LANES,
        };
        NAME(strain_harmonics_of_order)(1, 0, entries, slopes, width, blocks, &to);
        for (order = 1; order <= degree; order++) {
            entries += STRAINS_OF_ORDER * STRAIN_OF_ORDER;
            to.strained += order > 1 ? 2 * to.row : to.row;
            NAME(strain_harmonics_of_order)(2, order, entries, slopes, width, blocks, &to);
        }
        entries += STRAINS_OF_ORDER * STRAIN_OF_ORDER;
        to.strained += degree ? 2 * to.row : to.row;
    }
}

/* Derivatives of moments: strained[component][strain][function], in rows as end_rows explains. From two degrees more than
 * the moments on, for monomials from degree 2 on, `of_slopes` are the last sources. */
static void NAME(strain_moments)(const rows_call *call, const plip_function_set *set, const double *of_values,
                                 const double *of_slopes, double *strained)
{
    const ptrdiff_t width = padded(set->count, LANES);
    const ptrdiff_t step = strain_step(set, call->is_outer[set - call->plan->sets], LANES);
    NAME(place_of_strains) to = {strained, padded(OF_VIRIALS * step, LANES), step};
    ptrdiff_t a;

    NAME(end_rows)(components_below(set->basis, set->max_degree + 1), strained, OF_VIRIALS, step);
    /* The last functions come first, for what is beyond them is overwritten. */
    for (a = width - LANES; a >= 0; a -= LANES) {
        to.strained = strained + a;
        if (set->basis == PLIP_MONOMIALS)
            NAME(strain_monomials)(call, set->max_degree, width, of_values + a, of_slopes + a, to);
        else
            NAME(strain_harmonics)(call, set->max_degree, width, of_values + a, of_slopes + a, to);
    }
}

/* Sums over m neighbors of (r g' - degree g) B(u) of the components of two degrees more. */
static void NAME(find_last_source)(const rows_call *call, const plip_function_set *set, int degree, const double *value,
                                   const double *slope, ptrdiff_t first, ptrdiff_t m, double *to)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const double *component = call->bucket.component + first_component(call->plan, set->basis, degree + 2) * stride;
    double *mixed = call->strain_weighted;
    ptrdiff_t k;

    for (k = first * width; k < (first + m) * width; k += LANES)
        STORE(mixed + k, LOAD(slope + k) - degree * LOAD(value + k));
    NAME(product)(components_of(set->basis, degree + 2), width, m, component + first, 1, stride, mixed + first * width,
                  width, to + components_below(set->basis, degree + 2) * width, width);
}

/* What a strain of harmonics of degree 0 makes of all neighbors, the tensor u u: strain_tensors[strain][neighbor]. */
static void NAME(find_strain_tensors)(const rows_call *call)
{
    const bucket *b = &call->bucket;
    const ptrdiff_t stride = b->stride;
    const double trace = 1.0 / 3.0;
    double *tensor = call->strain_tensors;
    ptrdiff_t k;
    int x;

    for (k = 0; k < b->within[call->plan->n_cutoffs - 1]; k += LANES) {
        const VECTOR u[3] = {LOAD(b->direction + k), LOAD(b->direction + stride + k),
                             LOAD(b->direction + 2 * stride + k)};
        STORE(tensor + k, (VECTOR){0} + trace);
        STORE(tensor + stride + k, 0.5 * (u[0] * u[0] - u[1] * u[1]));
        STORE(tensor + 2 * stride + k, u[2] * u[2] - trace);
        for (x = 3; x < OF_VIRIALS; x++)
            STORE(tensor + x * stride + k, u[virial_force[x]] * u[virial_arm[x]]);
    }
}

/* Whether one vector holds both M and N of all functions of a set, so that strains find the moments, too. */
static FORCE_INLINE int NAME(are_found_together)(const plip_function_set *set)
{
    return 2 * set->count <= LANES && !(set->basis == PLIP_HARMONICS && set->max_degree == 0);
}

/* M and N of such a set side by side, [component][M, N], of `m` neighbors from `first` on and components up to two degrees
 * more; and `slopes` as strain_moments takes them. */
static void NAME(find_together)(const rows_call *call, const plip_function_set *set, const double *value,
                                const double *slope, ptrdiff_t first, ptrdiff_t m, double *sums, double *slopes)
{
    const ptrdiff_t n = components_below(set->basis, set->max_degree + 3), stride = call->bucket.stride;
    const double *component = call->bucket.component + first_component(call->plan, set->basis, 0) * stride;
    double *both = call->strain_weighted;
    ptrdiff_t k;
    int degree;

    /* Zeros behind the functions fill the vector. What is beyond it is overwritten. */
    for (k = 0; k < m; k++) {
        STORE(both + k * LANES, LOAD(value + (first + k) * LANES));
        STORE(both + k * LANES + set->count, LOAD(slope + (first + k) * LANES));
    }
    NAME(product)(n, LANES, m, component + first, 1, stride, both, LANES, sums, LANES);
    /* Read with the last sum. */
    STORE(sums + n * LANES, (VECTOR){0});
    k = 0;
    for (degree = 0; degree <= set->max_degree + 2; degree++) {
        const int is_last = set->basis == PLIP_HARMONICS ? degree > set->max_degree : degree > 1;
        const double factor = is_last ? degree - 2.0 : 0.0;
        for (; k < components_below(set->basis, degree + 1); k++)
            STORE(slopes + k * LANES, LOAD(sums + k * LANES + set->count) - factor * LOAD(sums + k * LANES));
    }
}

/* Takes the moments of the first `n` components from what find_together gives. */
static void NAME(take_moments)(ptrdiff_t n, ptrdiff_t count, const double *sums, double *moments)
{
    double ones[LANES];
    ptrdiff_t k;

    for (k = 0; k < LANES; k++)
        ones[k] = k < count;
    for (k = 0; k < n; k++)
        STORE(moments + k * LANES, LOAD(ones) * LOAD(sums + k * LANES));
}

/* Derivatives of the moments over `m` neighbors from `first` on. `slope` has r g'. `moments` are written if they are found
 * together, else read, and may be NULL. */
static void NAME(strain_neighbors)(const rows_call *call, const plip_function_set *set, const double *value,
                                   const double *slope, ptrdiff_t first, ptrdiff_t m, double *moments,
                                   double *strained)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const ptrdiff_t known = components_below(set->basis, set->max_degree + 1);
    const double *component = call->bucket.component + first_component(call->plan, set->basis, 0) * stride + first;
    double *of_values = call->strain_moments, *of_slopes = of_values + known * width;
    ptrdiff_t a;
    int degree = 0, x;

    if (set->basis == PLIP_HARMONICS && set->max_degree == 0) {
        const ptrdiff_t step = strain_step(set, call->is_outer[set - call->plan->sets], LANES);
        double *strains = step < width ? call->strains : strained;
        NAME(product)(OF_VIRIALS, width, m, call->strain_tensors + first, 1, stride, slope + first * width, width,
                      strains, width);
        if (step == width)
            return;
        NAME(end_rows)(1, strained, OF_VIRIALS, step);
        for (x = 0; x < OF_VIRIALS; x++)
            for (a = 0; a < width; a += LANES)
                STORE(strained + x * step + a, LOAD(strains + x * width + a));
        return;
    }
    if (NAME(are_found_together)(set)) {
        of_slopes = of_values + (components_below(set->basis, set->max_degree + 3) + 1) * LANES;
        NAME(find_together)(call, set, value, slope, first, m, of_values, of_slopes);
        if (moments)
            NAME(take_moments)(known, set->count, of_values, moments);
        NAME(strain_moments)(call, set, of_values, of_slopes, strained);
        return;
    }
    if (!moments)
        NAME(find_moments_of_set)(call, set, value, first, m, of_values);
    if (set->basis == PLIP_HARMONICS) {
        NAME(product)(known, width, m, component, 1, stride, slope + first * width, width, of_slopes, width);
        degree = set->max_degree > 0 ? set->max_degree - 1 : 0;
    }
    for (; degree <= set->max_degree; degree++)
        NAME(find_last_source)(call, set, degree, value, slope, first, m, of_slopes);
    NAME(strain_moments)(call, set, moments ? moments : of_values, of_slopes, strained);
}

/* Adds the derivatives of the sums over neighbors of g_a g_a by one factor: [strain][a]. */
static void NAME(strain_own_squares)(const rows_call *call, ptrdiff_t width, ptrdiff_t m, const double *value,
                                     const double *slope, double *sums)
{
    const ptrdiff_t stride = call->bucket.stride;
    ptrdiff_t k, a;
    int x;

    for (a = 0; a < width; a += LANES) {
        VECTOR sum[OF_VIRIALS];
        UNROLL(6)
        for (x = 0; x < OF_VIRIALS; x++)
            sum[x] = LOAD(sums + x * width + a);
        for (k = 0; k < m; k++) {
            const double *tensor = call->strain_tensors + k;
            const VECTOR g = LOAD(value + k * width + a), r = LOAD(slope + k * width + a);
            UNROLL(6)
            for (x = 0; x < OF_VIRIALS; x++)
                sum[x] += g * (tensor[x * stride] * r);
        }
        UNROLL(6)
        for (x = 0; x < OF_VIRIALS; x++)
            STORE(sums + x * width + a, sum[x]);
    }
}

/* Adds the derivatives of the sums over neighbors of g_a g_b by g_a: [b][strain][a], in rows as end_rows explains. */
static void NAME(strain_own_sums)(const rows_call *call, const plip_moments *moments, ptrdiff_t m, const double *value,
                                  const double *slope)
{
    const plip_function_set *set = call->plan->sets + moments->set;
    const ptrdiff_t width = padded(set->count, LANES), row = padded(OF_VIRIALS * set->count, LANES);
    const ptrdiff_t step = set->count, stride = call->bucket.stride;
    const double *tensor = call->strain_tensors;
    double *sums = call->own_strains + OF_VIRIALS * moments->own, *weighted = call->strain_weighted;
    ptrdiff_t k, a;
    int x;

    if (!call->is_outer[moments->set]) {
        NAME(strain_own_squares)(call, width, m, value, slope, sums);
        return;
    }
    NAME(end_rows)(m, weighted, OF_VIRIALS, step);
    /* The last functions come first, for what is beyond them is overwritten. */
    for (k = 0; k < m; k++)
        for (a = width - LANES; a >= 0; a -= LANES) {
            const VECTOR r = LOAD(slope + k * width + a);
            UNROLL(6)
            for (x = 0; x < OF_VIRIALS; x++)
                STORE(weighted + k * row + x * step + a, tensor[x * stride + k] * r);
        }
    NAME(add_product)(set->count, row, m, value, width, 1, weighted, row, sums, row);
}

/* Moves what there is of one neighbor to a place where it is kept, and leaves zeros. */
static void NAME(keep)(ptrdiff_t width, double *of_neighbor, double *kept)
{
    memcpy(kept, of_neighbor, (size_t)width * sizeof(double));
    memset(of_neighbor, 0, (size_t)width * sizeof(double));
}

/* Derivatives of the moments of one function set, unless they are known, over the m neighbors in the bucket, of which
 * `dominant` is one or -1, and, if wanted, of their own sums. Those by the dominant neighbor stand apart. `slope` and
 * `value` are the same afterwards. */
static void NAME(find_strains)(const rows_call *call, const plip_moments *moments, int has_own, ptrdiff_t m,
                               ptrdiff_t dominant, double *slope, double *value, double *state)
{
    const plip_function_set *set = call->plan->sets + moments->set;
    const int is_known = moments->state == PLIP_COMMON;
    const ptrdiff_t width = padded(set->count, LANES), place = is_known ? 0 : OF_VIRIALS * (ptrdiff_t)moments->state;
    const ptrdiff_t apart = dominant >= 0 ? dominant * width : 0;
    const size_t bytes = (size_t)width * sizeof(double);
    double *kept = call->kept;

    if (m == 0) {
        const ptrdiff_t size = is_known ? 0 : components_below(set->basis, set->max_degree + 1) * width;
        memset(call->strained + place, 0, (size_t)(OF_VIRIALS * size) * sizeof(double));
        if (dominant >= 0)
            memset(call->strained_apart + place, 0, (size_t)(OF_VIRIALS * size) * sizeof(double));
        return;
    }
    if (dominant >= 0 && !is_known)
        NAME(strain_neighbors)(call, set, value, slope, dominant, 1, NULL, call->strained_apart + place);
    if (dominant >= 0) {
        NAME(keep)(width, slope + apart, kept);
        NAME(keep)(width, value + apart, kept + width);
    }
    if (!is_known)
        NAME(strain_neighbors)(call, set, value, slope, 0, m, dominant >= 0 ? NULL : state + moments->state,
                               call->strained + place);
    if (has_own)
        NAME(strain_own_sums)(call, moments, m, value, slope);
    if (dominant >= 0) {
        memcpy(slope + apart, kept, bytes);
        memcpy(value + apart, kept + width, bytes);
    }
}

/* Adds the contractions of fields of one degree with derivatives of the moments of the functions of the same number, of
 * several atoms. `fields` and `moments` are their places. */
static void NAME(add_strained_diagonal)(const strained_atom *atoms, int count, int n_components, ptrdiff_t fields,
                                        ptrdiff_t moments, const group_shape *shape, const strain_shape *strain,
                                        double *sums)
{
    const ptrdiff_t width = shape->width, step = strain->step, row = strain->of_moment;
    ptrdiff_t b;
    int j, k, x;

    for (b = 0; b < width; b += LANES) {
        VECTOR sum[OF_VIRIALS];
        UNROLL(6)
        for (x = 0; x < OF_VIRIALS; x++)
            sum[x] = LOAD(sums + x * width + b);
        for (j = 0; j < count; j++) {
            const double *strained = atoms[j].strained + moments + b, *field = atoms[j].state + fields + b;
            for (k = 0; k < n_components; k++, strained += row, field += width) {
                UNROLL(6)
                for (x = 0; x < OF_VIRIALS; x++)
                    sum[x] += LOAD(field) * LOAD(strained + x * step);
            }
        }
        UNROLL(6)
        for (x = 0; x < OF_VIRIALS; x++)
            STORE(sums + x * width + b, sum[x]);
    }
}

/* The same for all fields with all functions. */
static void NAME(add_strained_products)(const strained_atom *atoms, int count, int n_components, ptrdiff_t fields,
                                        ptrdiff_t moments, const group_shape *shape, const strain_shape *strain,
                                        double *sums)
{
    const ptrdiff_t width = shape->width, row = strain->of_moment;
    NAME(factors) factors[2 * LANES];
    int j;

    for (j = 0; j < count; j++)
        factors[j] = (NAME(factors)){n_components, atoms[j].state + fields, width, 1, atoms[j].strained + moments, row};
    NAME(add_several_products)(shape->step, row, factors, count, sums, row);
}

/* Adds the contractions of the fields of one group with derivatives of moments, of several atoms. */
static void NAME(contract_strains)(const rows_call *call, const plip_group *group, const strained_atom *atoms,
                                   int count)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const strain_shape strain = strain_shape_of_group(plan, call->is_outer, group, LANES);
    ptrdiff_t fields = group->state, moments = strain.moments;
    double *sums = call->group_strains + strain.sums;
    int degree;

    for (degree = group->lowest; degree <= group->highest; degree++, sums += strain.length) {
        const int n = components_of(shape.set->basis, degree);
        if (group->outer)
            NAME(add_strained_products)(atoms, count, n, fields, moments, &shape, &strain, sums);
        else
            NAME(add_strained_diagonal)(atoms, count, n, fields, moments, &shape, &strain, sums);
        fields += n * shape.width;
        moments += n * strain.of_moment;
    }
}

/* Takes the own share of the neighbors out of the sums of all degrees. */
static void NAME(take_own_strains)(const rows_call *call, const plip_group *group, const group_shape *shape,
                                   const strain_shape *strain, double *sums)
{
    const ptrdiff_t next = call->is_outer[group->set] ? strain->of_moment + 1 : 1;
    const double *own = call->own_strains + OF_VIRIALS * group->own;
    ptrdiff_t k, b;
    int degree, x;

    for (degree = 0; degree < shape->n_degrees; degree++, sums += strain->length)
        if (group->outer)
            for (k = 0; k < strain->length; k += LANES)
                STORE(sums + k, LOAD(sums + k) - LOAD(own + k));
        else
            for (b = 0; b < group->count; b++)
                for (x = 0; x < OF_VIRIALS; x++)
                    sums[x * shape->width + b] -= own[b * next + x * strain->step];
}

/* Where the first strain of a sum stands, of which `place` is the place among those of values. */
static FORCE_INLINE ptrdiff_t NAME(place_of_strain)(const plip_group *group, const group_shape *shape,
                                                    const strain_shape *strain, int place)
{
    const int row = (int)shape->row, rows = (int)shape->rows, line = place / row, field = place % row;

    if (!group->outer)
        return line * strain->length + field;
    return line / rows * strain->length + field * strain->of_moment + line % rows;
}

/* Derivatives of columns from those of the sums of one group over all atoms. */
static void NAME(add_virials)(const rows_call *call, const plip_group *group, double *virials)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const strain_shape strain = strain_shape_of_group(plan, call->is_outer, group, LANES);
    const ptrdiff_t step = group->outer ? strain.step : shape.width, stride = call->virial_stride;
    double *sums = call->group_strains + strain.sums, of[OF_VIRIALS];
    int x, e;

    NAME(to_powers_of_cosine)(plan, shape.n_degrees, strain.length, sums);
    if (group->own >= 0)
        NAME(take_own_strains)(call, group, &shape, &strain, sums);
    for (e = group->contributions.begin; e < group->contributions.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        const double *first = sums + NAME(place_of_strain)(group, &shape, &strain, to->place[0]);
        const double *second =
            to->place[1] == to->place[0] ? first : sums + NAME(place_of_strain)(group, &shape, &strain, to->place[1]);
        double *virial = virials + to->column;
        for (x = 0; x < OF_VIRIALS; x++)
            of[x] = to->coefficient * (first[x * step] + second[x * step]);
        if (shape.set->basis == PLIP_HARMONICS) {
            const double isotropic = of[0], along = of[1], axial = of[2];
            of[0] = isotropic + along - 0.5 * axial;
            of[1] = isotropic - along - 0.5 * axial;
            of[2] = isotropic + axial;
        }
        for (x = 0; x < OF_VIRIALS; x++)
            virial[x * stride] += of[x];
    }
}
