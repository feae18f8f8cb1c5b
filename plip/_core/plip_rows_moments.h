/* Moments of one function set, and what sums over atoms need before they are columns; part of plip_rows_kernel.h. */

/* Moments of one function set, or of some of its `m` neighbors from `first` on. */
static void NAME(find_moments_of_set)(const rows_call *call, const plip_function_set *set, const double *value,
                                      ptrdiff_t first, ptrdiff_t m, double *moments)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const double *component = call->bucket.component + first_component(call->plan, set->basis, 0) * stride;

    NAME(product)(components_below(set->basis, set->max_degree + 1), width, m, component + first, 1, stride,
                  value + first * width, width, moments, width);
}

/* Adds the sums over m neighbors of g_a g_b. */
static void NAME(add_own_sums)(const rows_call *call, const plip_moments *moments, ptrdiff_t m, const double *value)
{
    const plip_function_set *set = call->plan->sets + moments->set;
    const ptrdiff_t width = padded(set->count, LANES);
    double *sums = call->own_sums + moments->own;
    ptrdiff_t k, a;

    if (call->is_outer[moments->set]) {
        NAME(add_product)(set->count, width, m, value, width, 1, value, width, sums, width);
        return;
    }
    for (a = 0; a < width; a += LANES) {
        VECTOR sum = LOAD(sums + a);
        for (k = 0; k < m; k++)
            sum += LOAD(value + k * width + a) * LOAD(value + k * width + a);
        STORE(sums + a, sum);
    }
}

/* Moments and, if wanted, own sums of a set without the dominant neighbor k, and moments with this neighbor twice. */
static void NAME(set_apart)(const rows_call *call, const plip_moments *moments, int has_own, ptrdiff_t k, ptrdiff_t m,
                            double *value, double *others)
{
    const plip_function_set *set = call->plan->sets + moments->set;
    const ptrdiff_t width = padded(set->count, LANES);
    const ptrdiff_t size = components_below(set->basis, set->max_degree + 1) * width;
    const int is_known = moments->state == PLIP_COMMON;
    double *doubled = call->doubled + (is_known ? 0 : moments->state), *kept = call->bucket.scratch;
    ptrdiff_t a;

    /* The neighbor may be beyond the cutoff of the set, which then has none. */
    if (!is_known)
        NAME(find_moments_of_set)(call, set, value, k, k < m, doubled);
    for (a = 0; a < width; a++) {
        kept[a] = value[k * width + a];
        value[k * width + a] = 0.0;
    }
    if (!is_known)
        NAME(find_moments_of_set)(call, set, value, 0, m, others + moments->state);
    if (has_own)
        NAME(add_own_sums)(call, moments, m, value);
    for (a = 0; a < width; a++)
        value[k * width + a] = kept[a];
    for (a = 0; a < size && !is_known; a++)
        doubled[a] = others[moments->state + a] + 2.0 * doubled[a];
}

/* From sums of Legendre polynomials to sums of powers of the cosine, in place: sums[l] = sum_k table[l][k] sums[k],
 * `length` numbers each. */
static void NAME(to_powers_of_cosine)(const plip_rows_plan *plan, int n_degrees, ptrdiff_t length, double *sums)
{
    ptrdiff_t b;
    int l, k;

    for (l = n_degrees - 1; l > 1; l--) {
        const double *table = plan->legendre_of_powers + l * n_cosines(plan);
        for (b = 0; b < length; b += LANES) {
            VECTOR sum = {0};
            for (k = l; k >= 0; k -= 2)
                sum += table[k] * LOAD(sums + k * length + b);
            STORE(sums + l * length + b, sum);
        }
    }
}

/* Takes the own share of the neighbors, which is in own_sums, out of the sums of all degrees. */
static void NAME(take_own)(const rows_call *call, const plip_group *group, const group_shape *shape, double *sums)
{
    const ptrdiff_t step = call->is_outer[group->set] ? shape->n_functions + 1 : 1;
    const double *own = call->own_sums + group->own;
    ptrdiff_t a, b;
    int degree;

    for (degree = 0; degree < shape->n_degrees; degree++, sums += shape->length)
        if (group->outer)
            for (a = 0; a < shape->rows; a++)
                for (b = 0; b < shape->width; b += LANES)
                    STORE(sums + a * shape->row + b,
                          LOAD(sums + a * shape->row + b) - LOAD(own + a * shape->n_functions + b));
        else
            for (b = 0; b < group->count; b++)
                sums[b] -= own[b * step];
}
