/* Values and derivatives of the columns of one structure; compiled by plip_variants.h for plip_rows.c. */

#if LANES > 1
/* Blocks of functions may begin anywhere. */
typedef double NAME(vector) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#else
typedef double NAME(vector);
#endif
#define VECTOR NAME(vector)
#define LOAD(p) (*(const VECTOR *)(p))
#define STORE(p, v) (*(VECTOR *)(p) = (v))

/* Rows of several blocks of numbers are padded as a whole. Whole vectors are written to one block after the other, so
 * that what is beyond the end of a block is overwritten by the next one. Where the last block does not reach the end of
 * the row, zeros must stand, which are written first. */
static FORCE_INLINE void NAME(end_rows)(ptrdiff_t n_rows, double *rows, const int blocks, ptrdiff_t block)
{
    const ptrdiff_t row = padded(blocks * block, LANES);
    const VECTOR zero = {0};
    ptrdiff_t k;

    if ((blocks - 1) * block + padded(block, LANES) < row)
        for (k = 1; k <= n_rows; k++)
            STORE(rows + k * row - LANES, zero);
}

#include "plip_gaussian.h"
#include "plip_rows_product.h"

/* ------------------------------------------------------------------ neighbors of one species */

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

/* Components of an angular basis below a degree. All neighbors of a component stand side by side. */
static void NAME(find_components)(const rows_call *call, int basis, int degree)
{
    const bucket *b = &call->bucket;
    const ptrdiff_t count = b->within[call->plan->n_cutoffs - 1], stride = b->stride;
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
        for (k = 0; k < count; k += LANES)
            STORE(component + k, first * LOAD(u + k) * LOAD(c + k) + second * LOAD(v + k) * LOAD(d + k));
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

/* Where functions of a set go: value and derivative of the first of them at the first neighbor. */
typedef struct {
    double *value, *derivative;
    ptrdiff_t width;
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
        STORE(to->derivative + (k + j) * to->width, phi[j] * (f[1] + slope[j] * f[0]));
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
static void NAME(find_function)(ptrdiff_t m, ptrdiff_t width, int family, double p, double q, const double *distance,
                                const double *factor, double *value, double *derivative)
{
    ptrdiff_t k;

    for (k = 0; k < m; k++, factor += 3) {
        double phi[3];
        plip_phi(family, p, q, distance[k], phi);
        value[k * width] = phi[0] * factor[0];
        derivative[k * width] = phi[1] * factor[0] + phi[0] * factor[1];
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

/* The functions of one set for all of its neighbors, times a factor. */
static void NAME(find_functions)(const rows_call *call, const plip_function_set *set, const double *factor)
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
        const NAME(place_of_functions) to = {value + first, derivative + first, width};
        if (NAME(are_gaussians)(family + first, set->count - first))
            NAME(find_gaussians)(m, p + first, q + first, b->distance, factor, to);
        else if (NAME(find_exponents)(b, family + first, p + first, q + first, set->count - first, &exponent,
                                      &has_powers))
            NAME(find_exponentials)(m, &exponent, has_powers, b->distance, factor, to);
        else
            for (a = first; a < first + LANES && a < set->count; a++)
                NAME(find_function)(m, width, family[a], p[a], q[a], b->distance, factor, value + a, derivative + a);
    }
    for (k = 0; k < m; k++)
        for (a = set->count; a < width; a++)
            value[k * width + a] = derivative[k * width + a] = 0.0;
    for (k = 0; k < m * width && set->is_squared; k++) {
        derivative[k] *= 2.0 * value[k];
        value[k] *= value[k];
    }
}

#include "plip_rows_fields.h"

/* The highest degree that function sets of a basis want of the neighbors; -1 if there are none. */
static int NAME(wanted_degree)(const rows_call *call, int basis, int wanted)
{
    const plip_rows_plan *plan = call->plan;
    int f, degree = -1;

    for (f = 0; f < plan->n_sets; f++)
        if (plan->sets[f].basis == basis && call->bucket.wanted[f] & wanted && plan->sets[f].max_degree > degree)
            degree = plan->sets[f].max_degree;
    return degree;
}

/* All of the pairs between atom i of species s and neighbors of species t: directions are from or, with sign -1, to the
 * atom. Gradients need no components of the highest degree, strains those of two more. Returns their number, or -1 if
 * no function set wants them. */
static ptrdiff_t NAME(fill_bucket)(const rows_call *call, ptrdiff_t i, int s, int t, double sign, int for_gradients)
{
    const plip_rows_plan *plan = call->plan;
    const int wanted = t == any_species(plan) ? OF_ANY : OF_SPECIES;
    ptrdiff_t end, begin = first_pair(plan, call->near, i, t, &end)[0];
    int basis, f;

    if (!(call->bucket.all_wanted & wanted))
        return -1;
    sort_pairs(call, begin, end);
    NAME(find_directions)(call, sign);
    for (basis = 0; basis < PLIP_N_BASES; basis++) {
        const int degree = NAME(wanted_degree)(call, basis, wanted);
        if (degree < 0)
            continue;
        NAME(find_components)(call, basis, for_gradients ? degree : call->strained ? degree + 3 : degree + 1);
        if (for_gradients)
            NAME(find_gradients)(call, basis, degree);
    }
    NAME(find_cutoff_functions)(call);
    for (f = 0; f < plan->n_sets; f++) {
        const double shortest = plan->switches[(f * plan->n_labels + s) * plan->n_labels + t];
        if (call->bucket.wanted[f] & wanted)
            NAME(find_functions)(call, plan->sets + f, factor_of_set(call, plan->sets + f, shortest));
    }
    return end - begin;
}

/* ------------------------------------------------------------------ dominant neighbors */

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

/* ------------------------------------------------------------------ values */

/* Moments of one function set, or of some of its `m` neighbors from `first` on. */
static void NAME(find_moments_of_set)(const rows_call *call, const plip_function_set *set, const double *value,
                                      ptrdiff_t first, ptrdiff_t m, double *moments)
{
    const ptrdiff_t width = padded(set->count, LANES), stride = call->bucket.stride;
    const double *component = call->bucket.component + first_component(call->plan, set->basis, 0) * stride;

    NAME(product)(components_below(set->basis, set->max_degree + 1), width, m, component + first, 1, stride,
                  value + first * width, width, moments, width);
}

/* Moments and own sums of a set without the dominant neighbor k, and moments with this neighbor twice. */
static void NAME(set_apart)(const rows_call *call, const plip_moments *moments, ptrdiff_t k, ptrdiff_t m, double *value,
                            double *others)
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
    NAME(add_product)(set->count, width, m, value, width, 1, value, width, call->own_sums + moments->own, width);
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

/* Takes the own share of the neighbors out of the sums of all degrees. That of two functions stands at
 * own[a n_functions + b]. */
static void NAME(take_own)(const plip_group *group, const group_shape *shape, const double *own, double *sums)
{
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
                sums[b] -= own[b * shape->n_functions + b];
}

#include "plip_rows_strains.h"

/* Moments of all function sets over the neighbors of species t of a center of species s, of which `dominant` is one or
 * -1. `others`: moments without that one. */
static void NAME(find_moments)(const rows_call *call, int s, int t, ptrdiff_t dominant, double *state, double *others)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const plip_range range = plan->centers[s].moments;
    int e;

    for (e = range.begin; e < range.end; e++) {
        const plip_moments *moments = plan->moments + e;
        const plip_function_set *set = plan->sets + moments->set;
        const ptrdiff_t m = b->within[set->cutoff], width = padded(set->count, LANES);
        double *value = b->radial + 2 * b->capacity * set->first + m * width;
        if (moments->neighbor != t || (moments->state == PLIP_COMMON && moments->own < 0))
            continue;
        if (moments->state != PLIP_COMMON)
            NAME(find_moments_of_set)(call, set, value, 0, m, state + moments->state);
        if (call->strained)
            NAME(find_strains)(call, moments, m, dominant, value - m * width, value, state);
        if (moments->own < 0)
            continue;
        if (dominant >= 0)
            NAME(set_apart)(call, moments, dominant, m, value, others);
        else
            NAME(add_product)(set->count, width, m, value, width, 1, value, width, call->own_sums + moments->own,
                              width);
    }
}

/* Coefficients of the fields that follow from one moment each. */
static void NAME(find_coefficients)(const plip_rows_plan *plan, int s, double *state)
{
    const plip_center_tables *center = plan->centers + s;
    int e, k;

    for (k = 0; k < plan->n_halves; k++)
        state[center->halves + k] = 0.5;
    for (e = center->powers.begin; e < center->powers.end; e++) {
        const plip_power *power = plan->powers + e;
        for (k = 0; k < power->count; k++)
            state[power->state + k] = derivative_of_power(state[power->moments + k], power->power);
    }
}

/* Those that are products of moments, for atoms whose states stand side by side. */
static void NAME(add_products)(const plip_rows_plan *plan, int s, double *abreast)
{
    const plip_range range = plan->centers[s].products;
    int e;

    for (e = range.begin; e < range.end; e++) {
        const plip_product *product = plan->products + e;
        double *target = abreast + product->target * LANES;
        STORE(target, LOAD(target) + product->weight * LOAD(abreast + product->first * LANES) *
                                         LOAD(abreast + product->second * LANES));
    }
}

/* The same for up to LANES atoms of species s. */
static void NAME(find_products)(const rows_call *call, int s, const ptrdiff_t *atoms, int count, double *states)
{
    const plip_rows_plan *plan = call->plan;
    const ptrdiff_t size = plan->state_size;
    const int any = any_species(plan);
    double *abreast = call->abreast;
    ptrdiff_t k;
    int j;

    for (j = 0; j < LANES; j++) {
        const double *state = states + atoms[j < count ? j : 0] * size;
        for (k = 0; k < size; k++)
            abreast[k * LANES + j] = state[k];
    }
    if (any >= 0)
        NAME(add_products)(plan, any, abreast);
    NAME(add_products)(plan, s, abreast);
    for (j = 0; j < count; j++) {
        double *state = states + atoms[j] * size;
        for (k = 0; k < size; k++)
            state[k] = abreast[k * LANES + j];
    }
}

/* Adds the contractions of the fields of one group, a part of one state, with moments, a part of another. */
static void NAME(add_contractions)(const rows_call *call, const plip_group *group, const double *state,
                                   const double *state_of_moments)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const ptrdiff_t width = shape.width, n_functions = shape.n_functions;
    const double *moments = state_of_moments + group->moments, *fields = state + group->state;
    double *sums = call->group_sums + group->sums, *weighted = call->bucket.scratch;
    int degree, k;
    ptrdiff_t b;

    for (degree = group->lowest; degree <= group->highest; degree++, sums += shape.length) {
        const int n_components = components_of(shape.set->basis, degree);
        const plip_component *components = plan->components + first_component(plan, shape.set->basis, degree);
        for (k = 0; k < n_components; k++)
            for (b = 0; b < width; b++) {
                const double coefficient = components[k].weight * fields[k * width + b];
                if (group->outer)
                    weighted[k * width + b] = coefficient;
                else
                    sums[b] += coefficient * moments[k * n_functions + b];
            }
        if (group->outer)
            NAME(add_product)(shape.rows, width, n_components, moments, n_functions, 1, weighted, width, sums,
                              shape.row);
        fields += n_components * width;
        moments += n_components * n_functions;
    }
}

/* Values of columns from the sums of one group over all atoms. A column is homogeneous in its arms, so that its value
 * follows from any one of its derivatives. */
static void NAME(add_values)(const rows_call *call, const plip_group *group, double *values)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const double arms = group->arms == PLIP_ROOT ? 0.5 : group->arms;
    double *sums = call->group_sums + group->sums;
    int e;

    NAME(to_powers_of_cosine)(plan, shape.n_degrees, shape.length, sums);
    if (group->own >= 0)
        NAME(take_own)(group, &shape, call->own_sums + group->own, sums);
    for (e = group->contributions.begin; e < group->contributions.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        values[to->column] += to->coefficient / arms * (sums[to->place[0]] + sums[to->place[1]]);
    }
}

/* Moments of an atom over its neighbors of species t, which it has as a center of its own species s and as one of any
 * species. */
static void NAME(add_neighbors)(const rows_call *call, ptrdiff_t i, int s, int t, double *state, double *others,
                                double *dominant)
{
    const int any = any_species(call->plan);
    ptrdiff_t k;

    *dominant = 0.0;
    if (NAME(fill_bucket)(call, i, s, t, 1.0, 0) < 0)
        return;
    k = NAME(find_dominant)(call, s, t);
    if (k < 0 && any >= 0)
        k = NAME(find_dominant)(call, any, t);
    if (k >= 0)
        *dominant = call->bucket.distance[k];
    if (call->strained)
        NAME(find_strain_tensors)(call);
    NAME(find_moments)(call, s, t, k, state, others);
    if (any >= 0)
        NAME(find_moments)(call, any, t, k, state, others);
}

/* Contractions of an atom as a center of species s with its neighbors of species t. */
static void NAME(contract_groups)(const rows_call *call, int s, int t, const double *state, const double *others,
                                  int has_dominant)
{
    const plip_rows_plan *plan = call->plan;
    const plip_range groups = plan->groups_of[s * plan->n_labels + t];
    int g;

    for (g = groups.begin; g < groups.end; g++) {
        /* (M + m)^2 - m^2 = M (M + 2 m), with the moments M of the others and m of the dominant neighbor. */
        const int is_apart = plan->groups[g].own >= 0 && has_dominant;
        NAME(add_contractions)(call, plan->groups + g, is_apart ? others : state, is_apart ? call->doubled : state);
    }
}

/* Contractions of the fields of up to LANES atoms, as centers of species s, with the derivatives of their moments over
 * neighbors of species t. */
static void NAME(contract_strained_groups)(const rows_call *call, int s, int t, const ptrdiff_t *atoms, int count,
                                           const double *states, const double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const plip_range groups = plan->groups_of[s * plan->n_labels + t];
    const ptrdiff_t size = plan->state_size, to_others = call->near->n_atoms * size;
    int g, j;

    for (g = groups.begin; g < groups.end; g++) {
        strained_atom parts[2 * LANES];
        int n_parts = 0;
        for (j = 0; j < count; j++) {
            const double *state = states + atoms[j] * size;
            const int is_apart = plan->groups[g].own >= 0;
            parts[n_parts++] = (strained_atom){state, call->strained + OF_VIRIALS * j * size};
            if (dominant[atoms[j] * plan->n_labels + t] > 0.0)
                parts[n_parts++] = (strained_atom){state + (is_apart ? to_others : 0),
                                                   call->strained_apart + OF_VIRIALS * j * size};
        }
        NAME(contract_strains)(call, plan->groups + g, parts, n_parts);
    }
}

/* What the strains of up to LANES atoms of species s add to the sums of all groups. */
static void NAME(contract_strained)(const rows_call *call, int s, const ptrdiff_t *atoms, int count,
                                    const double *states, const double *dominant)
{
    const int any = any_species(call->plan);
    int t;

    for (t = 0; t < call->plan->n_labels; t++) {
        NAME(contract_strained_groups)(call, s, t, atoms, count, states, dominant);
        if (any >= 0)
            NAME(contract_strained_groups)(call, any, t, atoms, count, states, dominant);
    }
}

/* The moments of one atom, and the fields that follow from one moment each. */
static void NAME(begin_state)(const rows_call *call, ptrdiff_t i, double *states, double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const ptrdiff_t size = plan->state_size;
    double *state = states + i * size, *others = states + (call->near->n_atoms + i) * size;
    const int s = call->near->species[i], any = any_species(plan);
    int t;

    if (plan->n_products)
        memset(state, 0, (size_t)size * sizeof(double));
    for (t = 0; t < plan->n_labels; t++)
        NAME(add_neighbors)(call, i, s, t, state, others, dominant + i * plan->n_labels + t);
    if (any >= 0)
        NAME(find_coefficients)(plan, any, state);
    NAME(find_coefficients)(plan, s, state);
}

/* What one atom adds to the sums of all groups. */
static void NAME(contract)(const rows_call *call, ptrdiff_t i, const double *states, const double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const ptrdiff_t size = plan->state_size;
    const double *state = states + i * size, *others = states + (call->near->n_atoms + i) * size;
    const int s = call->near->species[i], any = any_species(plan);
    int t;

    for (t = 0; t < plan->n_labels; t++) {
        const int has_dominant = dominant[i * plan->n_labels + t] > 0.0;
        NAME(contract_groups)(call, s, t, state, others, has_dominant);
        if (any >= 0)
            NAME(contract_groups)(call, any, t, state, others, has_dominant);
    }
}

/* Work on the next atom of several, or back by so many. */
static void NAME(move_on)(rows_call *call, ptrdiff_t count)
{
    const ptrdiff_t step = count * call->plan->state_size;

    call->doubled += step;
    if (call->strained) {
        call->strained += OF_VIRIALS * step;
        call->strained_apart += OF_VIRIALS * step;
    }
}

/* Up to LANES atoms of species s. */
static void NAME(add_atoms)(rows_call *call, int s, const ptrdiff_t *atoms, int count, double *states,
                            double *dominant)
{
    int j;

    for (j = 0; j < count; j++, NAME(move_on)(call, 1))
        NAME(begin_state)(call, atoms[j], states, dominant);
    NAME(move_on)(call, -count);
    if (call->plan->n_products)
        NAME(find_products)(call, s, atoms, count, states);
    for (j = 0; j < count; j++, NAME(move_on)(call, 1))
        NAME(contract)(call, atoms[j], states, dominant);
    NAME(move_on)(call, -count);
    if (call->strained)
        NAME(contract_strained)(call, s, atoms, count, states, dominant);
}

static void NAME(values)(rows_call *call, ptrdiff_t begin, ptrdiff_t end, double *states, double *dominant,
                         double *values, double *virials)
{
    const plip_rows_plan *plan = call->plan;
    ptrdiff_t i, atoms[LANES];
    int s, g, count;

    for (s = 0; s < plan->n_species; s++) {
        count = 0;
        for (i = begin; i < end; i++) {
            if (call->near->species[i] != s)
                continue;
            atoms[count++] = i;
            if (count == LANES) {
                NAME(add_atoms)(call, s, atoms, count, states, dominant);
                count = 0;
            }
        }
        if (count)
            NAME(add_atoms)(call, s, atoms, count, states, dominant);
    }
    for (g = 0; g < plan->n_groups; g++) {
        NAME(add_values)(call, plan->groups + g, values);
        if (virials)
            NAME(add_virials)(call, plan->groups + g, virials);
    }
}

/* ------------------------------------------------------------------ derivatives */

/* Takes sums from three rows: rows[x][column] -= coefficient sums[x step + place], for both places. */
static void NAME(take_from_columns)(const plip_rows_plan *plan, plip_range range, const double *sums, ptrdiff_t step,
                                    double *rows, ptrdiff_t stride)
{
    int e;

    for (e = range.begin; e < range.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        const double *first = sums + to->place[0], *second = sums + to->place[1];
        double *row = rows + to->column;
        row[0] -= to->coefficient * (first[0] + second[0]);
        row[stride] -= to->coefficient * (first[step] + second[step]);
        row[2 * stride] -= to->coefficient * (first[2 * step] + second[2 * step]);
    }
}

/* Sums over pairs of fields times radial functions: all fields with all functions. */
static void NAME(product_of_fields)(const bucket *b, const group_shape *shape, const pair_fields *pairs,
                                    const double *derivative, const double *value, double *sums)
{
    const ptrdiff_t row = shape->row, n = shape->n_functions, m = pairs->n_neighbors;
    double *p = b->by_pair, *q = p + m * row + LANES;
    const NAME(factors) factors[2] = {{m, derivative, n, 1, p, row}, {pairs->degree ? m : 0, value, n, 1, q, row}};

    NAME(end_rows)(m, p, OF_FORCES, shape->step);
    NAME(end_rows)(m, q, OF_FORCES, shape->step);
    NAME(fields)(pairs, p, q);
    NAME(two_products)(shape->rows, row, factors, sums, row);
}

/* The sums of one group over the pairs of a bucket. Fills in what `pairs` does not have yet. */
static void NAME(sum_over_pairs)(const rows_call *call, const plip_group *group, const group_shape *shape,
                                 pair_fields *pairs)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const ptrdiff_t m = pairs->n_neighbors, n_functions = shape->n_functions, step = shape->step;
    const double *derivative = b->radial + 2 * b->capacity * shape->set->first, *value = derivative + m * n_functions;
    double *sums = b->sums;
    int degree;

    pairs->own = group->own >= 0 ? value : NULL;
    pairs->own_stride = n_functions;
    for (degree = group->lowest; degree <= group->highest; degree++, sums += shape->length) {
        pairs->degree = degree;
        pairs->inverse_degree = degree ? 1.0 / degree : 0.0;
        pairs->n_components = components_of(shape->set->basis, degree);
        pairs->gradient = b->gradient + 3 * b->stride * first_component(plan, shape->set->basis, degree);
        pairs->parity = degree % 2 ? -1.0 : 1.0;
        if (group->outer)
            NAME(product_of_fields)(b, shape, pairs, derivative, value, sums);
        else if (!degree && !pairs->own)
            NAME(constant_fields)(pairs, derivative, sums, step);
        else
            NAME(diagonal_fields)(pairs, derivative, value, sums, step);
        pairs->place += pairs->n_components * shape->width;
    }
}

/* The columns of centers of one species with an arm of another, for the pairs of one bucket, around atom n: rows of
 * the forces on it. It may be an arm of its neighbors, a center, or both. */
static void NAME(add_columns)(const rows_call *call, int center, int arm, ptrdiff_t n, int neighbor_is_center,
                              int atom_is_center, double *force_rows)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const plip_range groups = plan->groups_of[center * plan->n_labels + arm];
    int g;

    for (g = groups.begin; g < groups.end; g++) {
        const plip_group *group = plan->groups + g;
        const group_shape shape = shape_of_group(plan, group, LANES);
        pair_fields pairs = {0};
        pairs.width = shape.width;
        pairs.row = shape.row;
        pairs.step = shape.step;
        pairs.of_neighbor = neighbor_is_center;
        pairs.of_atom = atom_is_center;
        pairs.states = b->states;
        pairs.state = call->states + n * plan->state_size;
        pairs.place = group->state;
        pairs.to_others = call->near->n_atoms * plan->state_size;
        pairs.dominance = group->own >= 0 && b->has_dominance ? b->dominance : NULL;
        pairs.n_neighbors = b->within[shape.set->cutoff];
        pairs.distance = b->distance;
        pairs.direction = b->direction;
        pairs.stride = b->stride;
        if (pairs.n_neighbors == 0)
            continue;
        NAME(sum_over_pairs)(call, group, &shape, &pairs);
        NAME(to_powers_of_cosine)(plan, shape.n_degrees, shape.length, b->sums);
        NAME(take_from_columns)(plan, group->contributions, b->sums, shape.step, force_rows, call->force_stride);
    }
}

/* The columns for the pairs of an atom n of species s with neighbors of species t, which are in the bucket. */
static void NAME(add_pairs)(rows_call *call, ptrdiff_t n, int s, int t, double *rows)
{
    const int any = any_species(call->plan);
    const bucket *b = &call->bucket;
    ptrdiff_t k;

    for (k = 0; k < b->within[call->plan->n_cutoffs - 1]; k++)
        b->states[k] = call->states + b->neighbor[k] * call->plan->state_size;
    if (t == any) {
        NAME(find_dominance)(call, n, any, any);
        NAME(add_columns)(call, any, any, n, 1, 1, rows);
        return;
    }
    /* As a neighbor of species s of each center of species t, and as a center of species s. For s = t both use the same
     * columns and are added up beforehand. */
    NAME(find_dominance)(call, n, s, t);
    NAME(add_columns)(call, t, s, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, s, t, n, 0, 1, rows);
    if (any < 0)
        return;
    NAME(add_columns)(call, any, s, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, any, t, n, 0, 1, rows);
    NAME(find_dominance)(call, n, any, any);
    NAME(add_columns)(call, t, any, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, s, any, n, 0, 1, rows);
}

static void NAME(derivatives)(rows_call *call, ptrdiff_t begin, ptrdiff_t end)
{
    const plip_rows_plan *plan = call->plan;
    double *rows = call->force_rows;
    ptrdiff_t n;
    int t, x;

    for (n = begin; n < end; n++, rows += 3 * call->force_stride) {
        const int s = call->near->species[n];
        for (x = 0; x < 3; x++)
            memset(rows + x * call->force_stride, 0, (size_t)plan->n_terms * sizeof(double));
        for (t = 0; t < plan->n_labels; t++)
            if (NAME(fill_bucket)(call, n, s, t, -1.0, 1) > 0)
                NAME(add_pairs)(call, n, s, t, rows);
    }
}

#undef VECTOR
#undef LOAD
#undef STORE
