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
static FORCE_INLINE void NAME(strain_component)(const int vectors, const plip_function_set *set,
                                                const plip_strain *entries, const double *sources, ptrdiff_t width,
                                                double *to)
{
    const ptrdiff_t step = set->count;
    int x;

#define STRAIN(x, count, place) NAME(strain_tile)(vectors, count, entries + place, sources, width, to + x * step)
    if (set->basis == PLIP_HARMONICS) {
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

/* Derivatives of moments: strained[component][strain][function], in rows as end_rows explains. */
static void NAME(strain_moments)(const rows_call *call, const plip_function_set *set, const double *of_values,
                                 const double *of_slopes, double *strained)
{
    const ptrdiff_t width = padded(set->count, LANES), row = padded(OF_VIRIALS * set->count, LANES);
    const plip_strain *entries = first_strain(call->plan, set->basis);
    double *sources = call->strain_sources;
    ptrdiff_t a;
    int degree, k;

    NAME(end_rows)(components_below(set->basis, set->max_degree + 1), strained, OF_VIRIALS, set->count);
    for (degree = 0; degree <= set->max_degree; degree++) {
        NAME(find_sources)(set, degree, width, of_values, of_slopes, sources);
        for (k = 0; k < components_of(set->basis, degree); k++) {
            a = width;
            /* The last functions come first, for what is beyond them is overwritten. Of the few functions of most sets
             * the sources are at multiples of a constant. */
#define STRAIN_TILES(vectors, width)                                                                                 \
    for (; a >= vectors * LANES; a -= vectors * LANES)                                                               \
        NAME(strain_component)(vectors, set, entries, sources + a - vectors * LANES, width,                          \
                               strained + a - vectors * LANES);
            if (a == 3 * LANES)
                STRAIN_TILES(3, 3 * LANES)
            if (a == 2 * LANES)
                STRAIN_TILES(2, 2 * LANES)
            if (a == LANES)
                STRAIN_TILES(1, LANES)
            STRAIN_TILES(3, width)
            STRAIN_TILES(2, width)
            STRAIN_TILES(1, width)
#undef STRAIN_TILES
            entries += strains_of(set->basis);
            strained += row;
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
    ptrdiff_t a;
    int degree = 0, x;

    if (set->basis == PLIP_HARMONICS && set->max_degree == 0) {
        NAME(product)(OF_VIRIALS, width, m, call->strain_tensors + first, 1, stride, slope + first * width, width,
                      call->strains, width);
        NAME(end_rows)(1, strained, OF_VIRIALS, set->count);
        for (x = 0; x < OF_VIRIALS; x++)
            for (a = 0; a < width; a += LANES)
                STORE(strained + x * set->count + a, LOAD(call->strains + x * width + a));
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

/* Adds the derivatives of the sums over neighbors of g_a g_b by g_a: [b][strain][a], in rows as end_rows explains. */
static void NAME(strain_own_sums)(const rows_call *call, const plip_function_set *set, ptrdiff_t m, const double *value,
                                  const double *slope, double *sums)
{
    const ptrdiff_t width = padded(set->count, LANES), row = padded(OF_VIRIALS * set->count, LANES);
    double tensor[OF_VIRIALS];
    ptrdiff_t k, a;
    int x;

    NAME(end_rows)(m, call->strain_weighted, OF_VIRIALS, set->count);
    for (k = 0; k < m; k++) {
        double *weighted = call->strain_weighted + k * row;
        NAME(strain_tensor)(&call->bucket, set->basis, k, tensor);
        for (x = 0; x < OF_VIRIALS; x++, weighted += set->count)
            for (a = 0; a < width; a += LANES)
                STORE(weighted + a, tensor[x] * LOAD(slope + k * width + a));
    }
    NAME(add_product)(set->count, row, m, value, width, 1, call->strain_weighted, row, sums, row);
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
        NAME(strain_own_sums)(call, set, m, value, slope, call->own_strains + OF_VIRIALS * moments->own);
    for (a = 0; a < width && dominant >= 0; a++)
        value[dominant * width + a] = kept[a];
}

/* Adds the contractions of fields of one degree with derivatives of the moments of the functions of the same number, of
 * several atoms. `fields` and `moments` are their places. */
static void NAME(add_strained_diagonal)(const strained_atom *atoms, int count, int n_components,
                                        const plip_component *components, ptrdiff_t fields, ptrdiff_t moments,
                                        const group_shape *shape, const strain_shape *strain, double *sums)
{
    const ptrdiff_t width = shape->width, step = shape->set->count;
    ptrdiff_t b;
    int j, k, x;

    for (b = 0; b < width; b += LANES) {
        VECTOR sum[OF_VIRIALS];
        for (x = 0; x < OF_VIRIALS; x++)
            sum[x] = LOAD(sums + x * width + b);
        for (j = 0; j < count; j++)
            for (k = 0; k < n_components; k++) {
                const double *strained = atoms[j].strained + moments + k * strain->of_moment + b;
                const VECTOR field = components[k].weight * LOAD(atoms[j].state + fields + k * width + b);
                for (x = 0; x < OF_VIRIALS; x++)
                    sum[x] += field * LOAD(strained + x * step);
            }
        for (x = 0; x < OF_VIRIALS; x++)
            STORE(sums + x * width + b, sum[x]);
    }
}

/* The same for all fields with all functions. */
static void NAME(add_strained_products)(const rows_call *call, const strained_atom *atoms, int count, int n_components,
                                        const plip_component *components, ptrdiff_t fields, ptrdiff_t moments,
                                        const group_shape *shape, const strain_shape *strain, double *sums)
{
    const ptrdiff_t width = shape->width, row = strain->of_moment;
    double *weighted = call->strain_fields;
    NAME(factors) factors[2 * LANES];
    ptrdiff_t b;
    int j, k;

    for (j = 0; j < count; j++) {
        factors[j] = (NAME(factors)){n_components, weighted, width, 1, atoms[j].strained + moments, row};
        for (k = 0; k < n_components; k++, weighted += width)
            for (b = 0; b < width; b += LANES)
                STORE(weighted + b, components[k].weight * LOAD(atoms[j].state + fields + k * width + b));
    }
    NAME(add_several_products)(shape->step, row, factors, count, sums, row);
}

/* Adds the contractions of the fields of one group with derivatives of moments, of several atoms. */
static void NAME(contract_strains)(const rows_call *call, const plip_group *group, const strained_atom *atoms,
                                   int count)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const strain_shape strain = strain_shape_of_group(plan, group, LANES);
    ptrdiff_t fields = group->state, moments = strain.moments;
    double *sums = call->group_strains + strain.sums;
    int degree;

    for (degree = group->lowest; degree <= group->highest; degree++, sums += strain.length) {
        const int n = components_of(shape.set->basis, degree);
        const plip_component *components = plan->components + first_component(plan, shape.set->basis, degree);
        if (group->outer)
            NAME(add_strained_products)(call, atoms, count, n, components, fields, moments, &shape, &strain, sums);
        else
            NAME(add_strained_diagonal)(atoms, count, n, components, fields, moments, &shape, &strain, sums);
        fields += n * shape.width;
        moments += n * strain.of_moment;
    }
}

/* Takes the own share of the neighbors out of the sums of all degrees. */
static void NAME(take_own_strains)(const plip_group *group, const group_shape *shape, const strain_shape *strain,
                                   const double *own, double *sums)
{
    ptrdiff_t k, b;
    int degree, x;

    for (degree = 0; degree < shape->n_degrees; degree++, sums += strain->length)
        if (group->outer)
            for (k = 0; k < strain->length; k += LANES)
                STORE(sums + k, LOAD(sums + k) - LOAD(own + k));
        else
            for (b = 0; b < group->count; b++)
                for (x = 0; x < OF_VIRIALS; x++)
                    sums[x * shape->width + b] -= own[b * strain->of_moment + x * shape->set->count + b];
}

/* Where the first strain of a sum stands, of which `place` is the place among those of values. */
static FORCE_INLINE ptrdiff_t NAME(place_of_strain)(const plip_group *group, const group_shape *shape,
                                                    const strain_shape *strain, int place)
{
    const int row = (int)shape->row, rows = (int)shape->rows, field = place % row, degree = place / row / rows;

    return degree * strain->length + (group->outer ? field * strain->of_moment + place / row % rows : field);
}

/* Derivatives of columns from those of the sums of one group over all atoms. */
static void NAME(add_virials)(const rows_call *call, const plip_group *group, double *virials)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const strain_shape strain = strain_shape_of_group(plan, group, LANES);
    const ptrdiff_t step = group->outer ? shape.set->count : shape.width, stride = plan->n_terms;
    double *sums = call->group_strains + strain.sums, of[OF_VIRIALS];
    int x, e;

    NAME(to_powers_of_cosine)(plan, shape.n_degrees, strain.length, sums);
    if (group->own >= 0)
        NAME(take_own_strains)(group, &shape, &strain, call->own_strains + OF_VIRIALS * group->own, sums);
    for (e = group->contributions.begin; e < group->contributions.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        const double *first = sums + NAME(place_of_strain)(group, &shape, &strain, to->place[0]);
        const double *second = sums + NAME(place_of_strain)(group, &shape, &strain, to->place[1]);
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
