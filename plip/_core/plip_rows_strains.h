/* Derivatives of the columns with respect to the strain; part of plip_rows_kernel.h. The equations are explained in
 * plip_angular.h. All is a sum over centers, so that moments serve all neighbors of a center at once: first the
 * derivatives of its moments, then their contractions with its fields. */

/* to = first + weight second, `size` numbers; returns what stands behind them. */
static FORCE_INLINE double *NAME(put_source)(const double *first, double weight, const double *second, ptrdiff_t size,
                                             double *to)
{
    ptrdiff_t a;

    for (a = 0; a < size; a += LANES)
        STORE(to + a, LOAD(first + a) + weight * LOAD(second + a));
    return to + size;
}

/* The strain sources of one degree, from the moments M up to the highest degree, and from the sources that are no
 * combinations of moments: N up to there for harmonics, and the last blocks of the degrees whose M are not known. */
static void NAME(find_sources)(const plip_function_set *set, int degree, ptrdiff_t width, const double *of_values,
                               const double *of_slopes, double *to)
{
    const int basis = set->basis;
    const ptrdiff_t size = components_of(basis, degree) * width, more = components_of(basis, degree + 2) * width;
    const double *m = of_values + components_below(basis, degree) * width;
    const double *n = of_slopes + components_below(basis, degree) * width;
    const double *above = of_slopes + components_below(basis, degree + 2) * width;

    if (basis == PLIP_MONOMIALS) {
        memcpy(to, m, (size_t)size * sizeof(double));
        memcpy(to + size, above, (size_t)more * sizeof(double));
        return;
    }
    to = NAME(put_source)(n, 0.0, m, size, to);
    if (degree > 1) {
        const ptrdiff_t below = components_below(basis, degree - 2) * width;
        to = NAME(put_source)(of_slopes + below, degree + 1.0, of_values + below,
                              components_of(basis, degree - 2) * width, to);
    }
    to = NAME(put_source)(n, 1.5, m, size, to);
    if (degree + 2 > set->max_degree)
        memcpy(to, above, (size_t)more * sizeof(double));
    else
        NAME(put_source)(above, -degree, of_values + components_below(basis, degree + 2) * width, more, to);
}

/* The sum over `count` entries of weight source[b], `vectors` vectors. */
static FORCE_INLINE void NAME(strain_tile)(const int vectors, const int count, const plip_strain *entries,
                                           const double *sources, ptrdiff_t width, double *to)
{
    const VECTOR zero = {0};
    VECTOR sum[3];
    int e, v;

    for (v = 0; v < vectors; v++)
        sum[v] = zero;
    for (e = 0; e < count; e++)
        for (v = 0; v < vectors; v++)
            sum[v] += entries[e].weight * LOAD(sources + entries[e].source * width + v * LANES);
    for (v = 0; v < vectors; v++)
        STORE(to + v * LANES, sum[v]);
}

/* All strains of one component, `vectors` vectors. */
static FORCE_INLINE void NAME(strain_component)(const int vectors, int basis, const plip_strain *entries,
                                                const double *sources, ptrdiff_t width, double *to)
{
    int x;

#define STRAIN(x, count, place) NAME(strain_tile)(vectors, count, entries + place, sources, width, to + x * width)
    if (basis == PLIP_HARMONICS) {
        STRAIN(0, STRAIN_ISOTROPIC, 0);
        STRAIN(1, STRAIN_SHEAR, STRAIN_ISOTROPIC);
        STRAIN(2, STRAIN_AXIAL, STRAIN_ISOTROPIC + STRAIN_SHEAR);
        for (x = 3; x < OF_VIRIALS; x++)
            STRAIN(x, STRAIN_SHEAR, STRAIN_ISOTROPIC + STRAIN_AXIAL + (x - 2) * STRAIN_SHEAR);
    } else
        for (x = 0; x < OF_VIRIALS; x++)
            STRAIN(x, STRAIN_OF_MONOMIAL, x * STRAIN_OF_MONOMIAL);
#undef STRAIN
}

/* Derivatives of moments: strained[component][strain][function]. */
static void NAME(strain_moments)(const rows_call *call, const plip_function_set *set, const double *of_values,
                                 const double *of_slopes, double *strained)
{
    const ptrdiff_t width = padded(set->count, LANES);
    const plip_strain *entries = first_strain(call->plan, set->basis);
    double *sources = call->strain_sources;
    ptrdiff_t a;
    int degree, k;

    for (degree = 0; degree <= set->max_degree; degree++) {
        NAME(find_sources)(set, degree, width, of_values, of_slopes, sources);
        for (k = 0; k < components_of(set->basis, degree); k++) {
            a = 0;
#define STRAIN_TILES(vectors)                                                                                        \
    for (; a + vectors * LANES <= width; a += vectors * LANES)                                                       \
        NAME(strain_component)(vectors, set->basis, entries, sources + a, width, strained + a);
            STRAIN_TILES(3)
            STRAIN_TILES(2)
            STRAIN_TILES(1)
#undef STRAIN_TILES
            entries += strains_of(set->basis);
            strained += OF_VIRIALS * width;
        }
    }
}

/* Sums over m neighbors of (r g' - degree g) B(u) of the components of two degrees more. */
static void NAME(find_last_source)(const rows_call *call, const plip_function_set *set, int degree, const double *value,
                                   const double *slope, ptrdiff_t first, ptrdiff_t m, double *to)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const double *component = call->bucket.component + first_component(call->plan, set->basis, degree + 2) * stride;
    double *mixed = call->strain_weighted;

    NAME(put_source)(slope + first * width, -degree, value + first * width, m * width, mixed);
    NAME(product)(components_of(set->basis, degree + 2), width, m, component + first, 1, stride, mixed, width,
                  to + components_below(set->basis, degree + 2) * width, width);
}

/* What a strain of degree 0 makes of neighbor k: the tensor u u in the strains of a basis. */
static FORCE_INLINE void NAME(strain_tensor)(const bucket *b, int basis, ptrdiff_t k, double tensor[OF_VIRIALS])
{
    const double u[3] = {b->direction[k], b->direction[b->stride + k], b->direction[2 * b->stride + k]};
    const double trace = 1.0 / 3.0;
    int x;

    for (x = 0; x < OF_VIRIALS; x++)
        tensor[x] = u[virial_force[x]] * u[virial_arm[x]];
    if (basis == PLIP_HARMONICS) {
        tensor[1] = 0.5 * (tensor[0] - tensor[1]);
        tensor[2] -= trace;
        tensor[0] = trace;
    }
}

/* The same of all neighbors for harmonics: strain_tensors[strain][neighbor]. */
static void NAME(find_strain_tensors)(const rows_call *call)
{
    const bucket *b = &call->bucket;
    double *tensors = call->strain_tensors, tensor[OF_VIRIALS];
    ptrdiff_t k;
    int x;

    for (k = 0; k < b->within[call->plan->n_cutoffs - 1]; k++) {
        NAME(strain_tensor)(b, PLIP_HARMONICS, k, tensor);
        for (x = 0; x < OF_VIRIALS; x++)
            tensors[x * b->stride + k] = tensor[x];
    }
}

/* The same for the neighbors from `first` on, `m` of them. `slope` has r times the derivatives of the functions;
 * `moments` are computed if they are NULL. */
static void NAME(strain_neighbors)(const rows_call *call, const plip_function_set *set, const double *value,
                                   const double *slope, ptrdiff_t first, ptrdiff_t m, const double *moments,
                                   double *strained)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const ptrdiff_t known = components_below(set->basis, set->max_degree + 1);
    const double *component = call->bucket.component + first_component(call->plan, set->basis, 0) * stride + first;
    double *of_values = call->strain_moments, *of_slopes = of_values + known * width;
    int degree = 0;

    if (set->basis == PLIP_HARMONICS && set->max_degree == 0) {
        NAME(product)(OF_VIRIALS, width, m, call->strain_tensors + first, 1, stride, slope + first * width, width,
                      strained, width);
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

/* Adds the derivatives of the sums over neighbors of g_a g_b by g_a: [b][strain][a]. */
static void NAME(strain_own_sums)(const rows_call *call, int basis, ptrdiff_t m, ptrdiff_t width, const double *value,
                                  const double *slope, double *sums)
{
    double *weighted = call->strain_weighted, tensor[OF_VIRIALS];
    ptrdiff_t k, a;
    int x;

    for (k = 0; k < m; k++) {
        NAME(strain_tensor)(&call->bucket, basis, k, tensor);
        for (x = 0; x < OF_VIRIALS; x++, weighted += width)
            for (a = 0; a < width; a += LANES)
                STORE(weighted + a, tensor[x] * LOAD(slope + k * width + a));
    }
    NAME(add_product)(width, OF_VIRIALS * width, m, value, width, 1, call->strain_weighted, OF_VIRIALS * width, sums,
                      OF_VIRIALS * width);
}

/* Derivatives of the moments of one function set, unless they are known, over the m neighbors in the bucket, of which
 * `dominant` is one or -1, and of their own sums. Those by the dominant neighbor stand apart. */
static void NAME(find_strains)(const rows_call *call, const plip_moments *moments, ptrdiff_t m, ptrdiff_t dominant,
                               const double *derivative, double *value, const double *state)
{
    const plip_function_set *set = call->plan->sets + moments->set;
    const int is_known = moments->state == PLIP_COMMON;
    const ptrdiff_t width = padded(set->count, LANES), place = is_known ? 0 : OF_VIRIALS * (ptrdiff_t)moments->state;
    double *slope = call->slope, *kept = call->bucket.scratch;
    ptrdiff_t k, a;

    if (m == 0) {
        const ptrdiff_t size = is_known ? 0 : components_below(set->basis, set->max_degree + 1) * width;
        memset(call->strained + place, 0, (size_t)(OF_VIRIALS * size) * sizeof(double));
        if (dominant >= 0)
            memset(call->strained_apart + place, 0, (size_t)(OF_VIRIALS * size) * sizeof(double));
        return;
    }
    for (k = 0; k < m; k++)
        for (a = 0; a < width; a += LANES)
            STORE(slope + k * width + a, call->bucket.distance[k] * LOAD(derivative + k * width + a));
    if (dominant < 0 && !is_known)
        NAME(strain_neighbors)(call, set, value, slope, 0, m, state + moments->state, call->strained + place);
    if (dominant >= 0) {
        double *of_value = value + dominant * width, *of_slope = slope + dominant * width;
        if (!is_known)
            NAME(strain_neighbors)(call, set, value, slope, dominant, 1, NULL, call->strained_apart + place);
        for (a = 0; a < width; a++) {
            kept[a] = of_value[a];
            of_value[a] = of_slope[a] = 0.0;
        }
        if (!is_known)
            NAME(strain_neighbors)(call, set, value, slope, 0, m, NULL, call->strained + place);
    }
    if (moments->own >= 0)
        NAME(strain_own_sums)(call, set->basis, m, width, value, slope, call->own_strains + OF_VIRIALS * moments->own);
    for (a = 0; a < width && dominant >= 0; a++)
        value[dominant * width + a] = kept[a];
}

/* Adds a field with derivatives of the moments of the function of the same number. */
static void NAME(add_strained_diagonal)(const NAME(factors) *f, ptrdiff_t width, ptrdiff_t n_functions, double *sums)
{
    ptrdiff_t k, b;
    int x;

    for (k = 0; k < f->length; k++)
        for (x = 0; x < OF_VIRIALS; x++)
            for (b = 0; b < width; b += LANES)
                STORE(sums + x * width + b,
                      LOAD(sums + x * width + b) + LOAD(f->a + k * f->step_i + b) *
                                                       LOAD(f->b + k * f->stride_b + x * n_functions + b));
}

/* Adds the contractions of the fields of one group with derivatives of moments, of several atoms. */
static void NAME(contract_strains)(const rows_call *call, const plip_group *group, const strained_atom *atoms,
                                   int count)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const ptrdiff_t width = shape.width, row = OF_VIRIALS * shape.n_functions;
    ptrdiff_t fields = group->state, moments = OF_VIRIALS * (ptrdiff_t)group->moments, b;
    double *sums = call->group_strains + OF_VIRIALS * group->sums;
    NAME(factors) factors[2 * LANES];
    int degree, j, k;

    for (degree = group->lowest; degree <= group->highest; degree++, sums += OF_VIRIALS * shape.length) {
        const int n_components = components_of(shape.set->basis, degree);
        const plip_component *components = plan->components + first_component(plan, shape.set->basis, degree);
        double *weighted = call->strain_fields;
        for (j = 0; j < count; j++) {
            factors[j] = (NAME(factors)){n_components, weighted, width, 1, atoms[j].strained + moments, row};
            for (k = 0; k < n_components; k++, weighted += width)
                for (b = 0; b < width; b += LANES)
                    STORE(weighted + b, components[k].weight * LOAD(atoms[j].state + fields + k * width + b));
        }
        if (group->outer)
            NAME(add_several_products)(group->count, row, factors, count, sums, row);
        for (j = 0; j < count && !group->outer; j++)
            NAME(add_strained_diagonal)(factors + j, width, shape.n_functions, sums);
        fields += n_components * width;
        moments += n_components * row;
    }
}

/* Adds the derivative of a column by a strain of a basis. */
static FORCE_INLINE void NAME(add_virial)(int basis, int x, double value, double *virial, ptrdiff_t stride)
{
    if (basis == PLIP_MONOMIALS || x > 2) {
        virial[x * stride] += value;
        return;
    }
    virial[0] += x == 2 ? -0.5 * value : value;
    virial[stride] += x == 2 ? -0.5 * value : x == 1 ? -value : value;
    virial[2 * stride] += x == 1 ? 0.0 : value;
}

/* Derivatives of columns from those of the sums of one group over all atoms. */
static void NAME(add_virials)(const rows_call *call, const plip_group *group, double *virials)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    /* Numbers of each field side by side, and from its first strain to the next. */
    const ptrdiff_t step = group->outer ? shape.n_functions : shape.width, n = shape.n_degrees * shape.length;
    const double *from = call->group_strains + OF_VIRIALS * group->sums;
    const double *own = group->own < 0 ? NULL : call->own_strains + OF_VIRIALS * group->own;
    double *sums = call->one_strain;
    ptrdiff_t k, a;
    int x, e;

    for (x = 0; x < OF_VIRIALS; x++) {
        for (k = 0; k < n; k += step)
            for (a = 0; a < step; a++)
                sums[k + a] = from[OF_VIRIALS * k + x * step + a];
        NAME(to_powers_of_cosine)(plan, shape.n_degrees, shape.length, shape.length, sums);
        if (group->own >= 0)
            NAME(take_own)(group, &shape, own + x * shape.n_functions, OF_VIRIALS * shape.n_functions, sums);
        for (e = group->contributions.begin; e < group->contributions.end; e++) {
            const plip_contribution *to = plan->contributions + e;
            NAME(add_virial)(shape.set->basis, x, to->coefficient * (sums[to->place[0]] + sums[to->place[1]]),
                             virials + to->column, plan->n_terms);
        }
    }
}
