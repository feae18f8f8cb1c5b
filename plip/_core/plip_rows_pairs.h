/* The pairs of one atom with its neighbors of one species: their angular components and radial functions, and which
 * neighbors are dominant; part of plip_rows_kernel.h. */

/* Distances, and unit vectors times `sign`. */
static void NAME(find_directions)(const rows_call *call, double sign)
{
    const bucket *b = &call->bucket;
    const ptrdiff_t count = b->within[call->plan->n_cutoffs - 1];
    ptrdiff_t k;
    int x;

    for (k = 0; k < count; k++) {
        const double r = call->near->distance[b->pair[k]], scale = sign / r;
        b->distance[k] = r;
        b->inverse[k] = 1.0 / r;
        for (x = 0; x < 3; x++)
            b->direction[x * b->stride + k] = scale * call->near->vector[3 * b->pair[k] + x];
    }
}

/* Components of an angular basis below a degree, of the first neighbors. All neighbors of a component stand side by
 * side. */
static void NAME(find_components)(const rows_call *call, int basis, int degree, ptrdiff_t count)
{
    const bucket *b = &call->bucket;
    const ptrdiff_t stride = b->stride;
    const int begin = first_component(call->plan, basis, 0), end = first_component(call->plan, basis, degree);
    const VECTOR one = (VECTOR){0} + 1.0;
    double *component = b->component + begin * stride;
    ptrdiff_t k;
    int a;

    for (k = 0; k < count && begin < end; k += LANES)
        STORE(component + k, one);
    for (a = begin + 1; a < end; a++) {
        const plip_component *of = call->plan->components + a;
        const double first = of->factor[0], second = of->factor[1];
        const double *u = b->direction + of->axis[0] * stride, *v = b->direction + of->axis[1] * stride;
        const double *c = b->component + of->source[0] * stride, *d = b->component + of->source[1] * stride;
        component += stride;
        if (second == 0.0)
            for (k = 0; k < count; k += LANES)
                STORE(component + k, first * LOAD(u + k) * LOAD(c + k));
        else
            for (k = 0; k < count; k += LANES)
                STORE(component + k, first * LOAD(u + k) * LOAD(c + k) + second * LOAD(v + k) * LOAD(d + k));
    }
}

/* The gradients of the components of a basis up to a degree over r, of the first neighbors. */
static void NAME(find_gradients)(const rows_call *call, int basis, int max_degree, ptrdiff_t count)
{
    const bucket *b = &call->bucket;
    const ptrdiff_t stride = b->stride;
    double *scale = b->scratch;
    int degree, a, x;
    ptrdiff_t k;

    for (degree = 1; degree <= max_degree; degree++) {
        const int begin = first_component(call->plan, basis, degree), end = begin + components_of(basis, degree);
        double *gradient = b->gradient + begin * 3 * stride;
        for (k = 0; k < count; k += LANES)
            STORE(scale + k, degree * LOAD(b->inverse + k));
        for (a = begin; a < end; a++)
            for (x = 0; x < 3; x++, gradient += stride) {
                const plip_component *of = call->plan->components + a;
                const double first = of->lower_weight[x][0], second = of->lower_weight[x][1];
                const double *c = b->component + of->lower[x][0] * stride;
                const double *d = b->component + of->lower[x][1] * stride;
                if (second == 0.0)
                    for (k = 0; k < count; k += LANES)
                        STORE(gradient + k, LOAD(scale + k) * (first * LOAD(c + k)));
                else
                    for (k = 0; k < count; k += LANES)
                        STORE(gradient + k, LOAD(scale + k) * (first * LOAD(c + k) + second * LOAD(d + k)));
            }
    }
}

/* The cutoff functions at all distances within them. */
static void NAME(find_cutoff_functions)(const rows_call *call)
{
    const bucket *b = &call->bucket;
    ptrdiff_t k, j;
    int c, d;

    for (c = 0; c < call->plan->n_cutoffs; c++) {
        double *cut = b->cut + 3 * c * b->capacity;
        for (k = 0; k < b->within[c]; k += LANES) {
            VECTOR result[3];
            NAME(cutoff_function)(call->plan->cutoffs[c], LOAD(b->distance + k), result);
            for (d = 0; d < 3; d++)
                STORE(b->scratch + d * LANES, result[d]);
            for (j = 0; j < LANES && k + j < b->within[c]; j++, cut += 3)
                for (d = 0; d < 3; d++)
                    cut[d] = b->scratch[d * LANES + j];
        }
    }
}

/* Where functions of a set go: value and derivative of the first of them at the first neighbor. Derivatives are
 * multiplied by the scale of their neighbor. */
typedef struct {
    double *value, *derivative;
    ptrdiff_t width;
    const double *scale;
} NAME(place_of_functions);

/* A vector of functions at `count` distances from k on, times factors that have derivatives, too. */
static FORCE_INLINE void NAME(store_functions)(const int count, ptrdiff_t k, const VECTOR *phi, const VECTOR *slope,
                                               const double *factor, const NAME(place_of_functions) *to)
{
    int j;

    UNROLL(4)
    for (j = 0; j < count; j++) {
        const double *f = factor + 3 * (k + j);
        STORE(to->value + (k + j) * to->width, phi[j] * f[0]);
        STORE(to->derivative + (k + j) * to->width, to->scale[k + j] * (phi[j] * (f[1] + slope[j] * f[0])));
    }
}

/* Calls AT(count, k) for all of m distances, four at a time where there are so many; some are then done twice. */
#define IN_FOURS(m, AT)                                                                                              \
    do {                                                                                                             \
        ptrdiff_t k;                                                                                                 \
        for (k = 0; k < m && m < 4; k++)                                                                             \
            AT(1, k);                                                                                                \
        for (k = 0; k < m && m >= 4; k += 4)                                                                         \
            AT(4, k + 4 <= m ? k : m - 4);                                                                           \
    } while (0)

static FORCE_INLINE void NAME(gaussians_at)(const int count, ptrdiff_t k, VECTOR rate, VECTOR center,
                                            const double *distance, const double *factor,
                                            const NAME(place_of_functions) *to)
{
    VECTOR phi[4], slope[4];

    NAME(gaussian)(count, rate, center, distance + k, phi, slope);
    NAME(store_functions)(count, k, phi, slope, factor, to);
}

/* A vector of Gaussians at `m` distances, times factors that have derivatives, too. */
static void NAME(find_gaussians)(ptrdiff_t m, const double *p, const double *q, const double *distance,
                                 const double *factor, NAME(place_of_functions) to)
{
    const VECTOR rate = LOAD(p), center = LOAD(q);

#define GAUSSIANS_AT(count, k) NAME(gaussians_at)(count, k, rate, center, distance, factor, &to)
    IN_FOURS(m, GAUSSIANS_AT);
#undef GAUSSIANS_AT
}

/* The exponents of a vector of functions; 0 if one of them has none. `has_powers` gets whether log(r) is needed. */
static int NAME(find_exponents)(const bucket *b, const int *family, const double *p, const double *q, ptrdiff_t count,
                                NAME(exponent) *of, int *has_powers)
{
    /* Not on the stack, from where GCC 12 would load two numbers by MMX, which leaves the x87 unusable. */
    double *rate = b->scratch, *center = rate + LANES, *power = center + LANES, *decay = power + LANES;
    ptrdiff_t a;

    *has_powers = 0;
    for (a = 0; a < 4 * LANES; a++)
        rate[a] = 0.0;
    for (a = 0; a < LANES && a < count; a++) {
        if (family[a] == PLIP_GAUSSIAN) {
            rate[a] = p[a];
            center[a] = q[a];
        } else if (family[a] == PLIP_SLATER || family[a] == PLIP_GAUSSIAN_TYPE) {
            power[a] = p[a];
            (family[a] == PLIP_SLATER ? decay : rate)[a] = q[a];
        } else
            return 0;
        *has_powers |= power[a] != 0.0;
    }
    *of = (NAME(exponent)){LOAD(rate), LOAD(center), LOAD(power), LOAD(decay)};
    return 1;
}

static FORCE_INLINE void NAME(exponentials_at)(const int count, ptrdiff_t k, const NAME(exponent) *of, int has_powers,
                                               const double *distance, const double *factor,
                                               const NAME(place_of_functions) *to)
{
    VECTOR phi[4], slope[4];
    double log_r[4] = {0.0, 0.0, 0.0, 0.0};
    int j;

    for (j = 0; j < count && has_powers; j++)
        log_r[j] = log(distance[k + j]);
    NAME(exponential)(count, of, distance + k, log_r, phi, slope);
    NAME(store_functions)(count, k, phi, slope, factor, to);
}

/* The same of a vector of functions that have exponents. */
static void NAME(find_exponentials)(ptrdiff_t m, const NAME(exponent) *of, int has_powers, const double *distance,
                                    const double *factor, NAME(place_of_functions) to)
{
    const NAME(exponent) exponent = *of;

#define EXPONENTIALS_AT(count, k) NAME(exponentials_at)(count, k, &exponent, has_powers, distance, factor, &to)
    IN_FOURS(m, EXPONENTIALS_AT);
#undef EXPONENTIALS_AT
}

/* The same of one function of any family. */
static void NAME(find_function)(ptrdiff_t m, int family, double p, double q, const double *distance,
                                const double *factor, NAME(place_of_functions) to)
{
    ptrdiff_t k;

    for (k = 0; k < m; k++, factor += 3) {
        double phi[3];
        plip_phi(family, p, q, distance[k], phi);
        to.value[k * to.width] = phi[0] * factor[0];
        to.derivative[k * to.width] = to.scale[k] * (phi[1] * factor[0] + phi[0] * factor[1]);
    }
}

static int NAME(are_gaussians)(const int *family, ptrdiff_t count)
{
    ptrdiff_t a;

    for (a = 0; a < LANES && a < count; a++)
        if (family[a] != PLIP_GAUSSIAN)
            return 0;
    return 1;
}

/* The functions of one set for all of its neighbors, times a factor, and their derivatives times a scale. */
static void NAME(find_functions)(const rows_call *call, const plip_function_set *set, const double *factor,
                                 const double *scale)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const ptrdiff_t m = b->within[set->cutoff], width = padded(set->count, LANES);
    const int *family = plan->families + set->first;
    const double *p = plan->p + set->first, *q = plan->q + set->first;
    double *derivative = b->radial + 2 * b->capacity * set->first, *value = derivative + m * width;
    NAME(exponent) exponent;
    ptrdiff_t k, a, first;
    int has_powers;

    for (first = 0; first < width; first += LANES) {
        NAME(place_of_functions) to = {value + first, derivative + first, width, scale};
        if (NAME(are_gaussians)(family + first, set->count - first))
            NAME(find_gaussians)(m, p + first, q + first, b->distance, factor, to);
        else if (NAME(find_exponents)(b, family + first, p + first, q + first, set->count - first, &exponent,
                                      &has_powers))
            NAME(find_exponentials)(m, &exponent, has_powers, b->distance, factor, to);
        else
            for (a = first; a < first + LANES && a < set->count; a++, to.value++, to.derivative++)
                NAME(find_function)(m, family[a], p[a], q[a], b->distance, factor, to);
    }
    for (k = 0; k < m; k++)
        for (a = set->count; a < width; a++)
            value[k * width + a] = derivative[k * width + a] = 0.0;
    for (k = 0; k < m * width && set->is_squared; k++) {
        derivative[k] *= 2.0 * value[k];
        value[k] *= value[k];
    }
}

/* The highest degree that function sets of a basis want of the neighbors, -1 if there are none, and the number of the
 * neighbors that they want it of. */
static int NAME(wanted_degree)(const rows_call *call, int basis, int wanted, ptrdiff_t *count)
{
    const plip_rows_plan *plan = call->plan;
    int f, degree = -1;

    *count = 0;
    for (f = 0; f < plan->n_sets; f++) {
        const plip_function_set *set = plan->sets + f;
        if (set->basis != basis || !(call->bucket.wanted[f] & wanted))
            continue;
        degree = set->max_degree > degree ? set->max_degree : degree;
        *count = call->bucket.within[set->cutoff] > *count ? call->bucket.within[set->cutoff] : *count;
    }
    return degree;
}

/* All of the pairs between atom i of species s and neighbors of species t: directions are from or, with sign -1, to the
 * atom. Gradients need no components of the highest degree, strains those of two more, and derivatives times r. Returns
 * their number, or -1 if no function set wants them. */
static ptrdiff_t NAME(fill_bucket)(const rows_call *call, ptrdiff_t i, int s, int t, double sign, int for_gradients)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const int wanted = t == any_species(plan) ? OF_ANY : OF_SPECIES;
    const double *ones = b->direction + 3 * b->stride, *scale = for_gradients ? ones : b->distance;
    ptrdiff_t end, begin = first_pair(plan, call->near, i, t, &end)[0];
    int basis, f;

    if (!(b->all_wanted & wanted))
        return -1;
    sort_pairs(call, begin, end);
    NAME(find_directions)(call, sign);
    for (basis = 0; basis < PLIP_N_BASES; basis++) {
        ptrdiff_t count;
        const int degree = NAME(wanted_degree)(call, basis, wanted, &count);
        if (degree < 0)
            continue;
        NAME(find_components)(call, basis, for_gradients ? degree : call->strained ? degree + 3 : degree + 1, count);
        if (for_gradients)
            NAME(find_gradients)(call, basis, degree, count);
    }
    NAME(find_cutoff_functions)(call);
    for (f = 0; f < plan->n_sets; f++) {
        const double shortest = plan->switches[(f * plan->n_labels + s) * plan->n_labels + t];
        if (b->wanted[f] & wanted)
            NAME(find_functions)(call, plan->sets + f, factor_of_set(call, plan->sets + f, shortest), scale);
    }
    return end - begin;
}

/* The closest of the first m neighbors if none is nearly as close, else -1. */
static ptrdiff_t NAME(lonely_neighbor)(const bucket *b, ptrdiff_t m)
{
    double first = INFINITY, second = INFINITY;
    ptrdiff_t k, closest = -1;

    for (k = 0; k < m; k++)
        if (b->distance[k] < first) {
            second = first;
            first = b->distance[k];
            closest = k;
        } else if (b->distance[k] < second)
            second = b->distance[k];
    return first < NEARNESS * second ? closest : -1;
}

/* Whether some function of neighbor k is DOMINANCE times those of the other neighbors together. */
static int NAME(is_dominant)(const double *value, ptrdiff_t width, ptrdiff_t m, ptrdiff_t k)
{
    ptrdiff_t a, j;

    for (a = 0; a < width; a++) {
        const double mine = fabs(value[k * width + a]);
        double others = 0.0;
        for (j = 0; j < m; j++)
            others += j == k ? 0.0 : fabs(value[j * width + a]);
        if (mine > DOMINANCE * others)
            return 1;
    }
    return 0;
}

/* The dominant neighbor of species t of an atom, by the moments of a center of species s, or -1. */
static ptrdiff_t NAME(find_dominant)(const rows_call *call, int s, int t)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const plip_range range = plan->centers[s].moments;
    const ptrdiff_t k = NAME(lonely_neighbor)(b, b->within[plan->n_cutoffs - 1]);
    int e;

    for (e = range.begin; e < range.end && k >= 0; e++) {
        const plip_moments *moments = plan->moments + e;
        const plip_function_set *set = plan->sets + moments->set;
        const ptrdiff_t m = b->within[set->cutoff], width = padded(set->count, LANES);
        if (moments->neighbor == t && moments->own >= 0 && k < m &&
            NAME(is_dominant)(b->radial + 2 * b->capacity * set->first + m * width, width, m, k))
            return k;
    }
    return -1;
}

/* Of each pair of an atom of species s with neighbors of species t: who dominates whom, among all neighbors of its
 * species or, for s = t = any, of any species. Distances of a pair from either
 * side agree but for rounding, and no other neighbor is near one that dominates. */
static void NAME(find_dominance)(rows_call *call, ptrdiff_t n, int s, int t)
{
    const plip_rows_plan *plan = call->plan;
    bucket *b = &call->bucket;
    const ptrdiff_t count = b->within[plan->n_cutoffs - 1];
    const double mine = call->dominant[n * plan->n_labels + t];
    ptrdiff_t k;

    b->has_dominance = 0;
    for (k = 0; k < count; k++) {
        const double r = b->distance[k], other = call->dominant[b->neighbor[k] * plan->n_labels + s];
        b->dominance[k] = 0;
        if (other > 0.0 && fabs(r - other) < 0.1 * r)
            b->dominance[k] |= DOMINATES;
        if (mine > 0.0 && fabs(r - mine) < 0.1 * r)
            b->dominance[k] |= IS_DOMINATED;
        b->has_dominance |= b->dominance[k];
    }
}
