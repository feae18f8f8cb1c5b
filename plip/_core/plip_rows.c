/* Design rows: working memory and entry points. plip_rows_check.c checks the tables, plip_rows_kernel.h computes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_core.h"
#include "plip_rows_plan.h"
#include "plip_simd.h"

/* Components of the rows of forces and of virials. */
enum { OF_FORCES = 3, OF_VIRIALS = 6 };

/* A neighbor is dominant if some function of it is so many times all others together, which steep functions reach only
 * if no other is closer than its distance over NEARNESS. */
#define DOMINANCE 100.0
#define NEARNESS 0.8
/* The atom is the dominant neighbor of its neighbor, and the other way round. */
enum { DOMINATES = 1, IS_DOMINATED = 2 };

/* Which component of a force times which of a distance vector makes each component xx yy zz yz xz xy of a virial. */
static const int virial_force[6] = {0, 1, 2, 1, 0, 0}, virial_arm[6] = {0, 1, 2, 2, 2, 1};

/* Which neighbors a function set is needed for: those of each species apart, those of any species together. */
enum { OF_SPECIES = 1, OF_ANY = 2 };

/* The neighbors of one or of any species of one atom, and what is computed of them. Neighbors are ordered by cutoff, so
 * that those of each function set come first. */
typedef struct {
    ptrdiff_t capacity;
    ptrdiff_t stride;   /* of the arrays with one row per component */
    ptrdiff_t *pair;    /* [neighbor] */
    int *neighbor;      /* [neighbor] its atom */
    ptrdiff_t *within;  /* [cutoff] number of neighbors */
    char *wanted;       /* [set] OF_SPECIES, OF_ANY, or both */
    int all_wanted;     /* of all sets */
    char *dominance;    /* [neighbor] DOMINATES, IS_DOMINATED, or both */
    int has_dominance;  /* whether any has */
    const double **states; /* [neighbor] its state */
    double *distance, *inverse;
    double *direction; /* [x][neighbor] unit vectors, and a row of ones */
    double *component; /* [component of the angular bases][neighbor] */
    double *gradient;  /* [component][x][neighbor] their gradients over r */
    double *radial;    /* [set] derivatives [neighbor][function], for values of columns times r, then values */
    double *cut;       /* [cutoff][neighbor][3] cutoff function and its derivatives */
    double *switched;  /* [neighbor][3] the same times the switch of one set */
    double *by_pair;   /* fields [neighbor][x][field]: p u_x, then q_x */
    double *scratch;
    double *sums; /* [degree][function][x][field] */
} bucket;

/* The pairs of one atom with its neighbors of one species, and the fields of one degree that act along them. The
 * coefficients S of a field are those of the neighbor as a center plus `parity` times those of the atom itself as a
 * center; either may be left out. */
typedef struct {
    int degree, n_components, of_neighbor, of_atom;
    ptrdiff_t width, row, step;  /* as in group_shape */
    const double *const *states; /* [neighbor] of the neighbors */
    const double *state;         /* of the atom itself */
    ptrdiff_t place;             /* of S in a state */
    ptrdiff_t to_others;         /* from S to that of the other neighbors than the dominant one */
    const char *dominance;       /* [neighbor], or NULL */
    double parity, inverse_degree;
    ptrdiff_t n_neighbors;
    const double *distance, *direction;
    const double *gradient;   /* [component][x][neighbor] gradients of the components of the degree over r */
    ptrdiff_t stride;         /* from one component of directions and gradients to the next */
    const double *own;        /* [neighbor][own_stride] the neighbor's own share in p, or NULL */
    ptrdiff_t own_stride;     /* the number of functions */
} pair_fields;

/* The state of an atom, and derivatives of its moments with respect to the strain. */
typedef struct {
    const double *state, *strained;
} strained_atom;

/* Memory that begins with a cache line, so that no vector lies across two lines; NULL if there is none. */
#define LINE 64

static double *new_numbers(ptrdiff_t count)
{
    char *memory;
    void **start;

    if (count < 0 || count > PTRDIFF_MAX / 16)
        return NULL;
    memory = malloc(sizeof(void *) + LINE + (size_t)count * sizeof(double));
    if (!memory)
        return NULL;
    start = (void **)(((uintptr_t)memory + sizeof(void *) + LINE - 1) / LINE * LINE);
    start[-1] = memory;
    return (double *)start;
}

static void free_numbers(double *numbers)
{
    if (numbers)
        free(((void **)numbers)[-1]);
}

static void free_bucket(bucket *b)
{
    free(b->pair);
    free(b->neighbor);
    free(b->within);
    free(b->wanted);
    free(b->dominance);
    free(b->states);
    free_numbers(b->distance);
    free_numbers(b->inverse);
    free_numbers(b->direction);
    free_numbers(b->component);
    free_numbers(b->gradient);
    free_numbers(b->radial);
    free_numbers(b->cut);
    free_numbers(b->switched);
    free_numbers(b->by_pair);
    free_numbers(b->scratch);
    free_numbers(b->sums);
}

/* Sizes of working memory that follow from all groups. */
typedef struct {
    ptrdiff_t widest_field, widest_set, most_components, most_sums;
} group_extremes;

static group_extremes extremes_of_groups(const plip_rows_plan *plan, int lanes)
{
    group_extremes most = {0, 0, 0, 0};
    int g, f;

    for (f = 0; f < plan->n_sets; f++)
        if (padded(plan->sets[f].count, lanes) > most.widest_set)
            most.widest_set = padded(plan->sets[f].count, lanes);

    for (g = 0; g < plan->n_groups; g++) {
        const group_shape shape = shape_of_group(plan, plan->groups + g, lanes);
        const int basis = shape.set->basis, degree = plan->groups[g].highest;
        const ptrdiff_t components = components_of(basis, degree), sums = shape.n_degrees * shape.length;
        if (shape.width > most.widest_field)
            most.widest_field = shape.width;
        if (components > most.most_components)
            most.most_components = components;
        if (sums > most.most_sums)
            most.most_sums = sums;
    }
    return most;
}

/* The label of any species, or of none if there is no such label. */
static int any_species(const plip_rows_plan *plan)
{
    return plan->n_labels > plan->n_species ? plan->n_species : -1;
}

/* Pairs of an atom with neighbors of one or of any species. */
static const int64_t *first_pair(const plip_rows_plan *plan, const plip_neighbors *near, ptrdiff_t i, int label,
                                 ptrdiff_t *end)
{
    const int64_t *first = near->first + i * plan->n_species;

    if (label < plan->n_species)
        first += label;
    *end = first[label < plan->n_species ? 1 : plan->n_species];
    return first;
}

/* Most neighbors in a bucket, at least 1. */
static ptrdiff_t most_pairs(const plip_rows_plan *plan, const plip_neighbors *near)
{
    ptrdiff_t i, end, most = 1;
    int t;

    for (i = 0; i < near->n_atoms; i++)
        for (t = 0; t < plan->n_labels; t++) {
            const int64_t *first = first_pair(plan, near, i, t, &end);
            if (end - *first > most)
                most = end - *first;
        }
    return most;
}

/* What each function set is needed for: moments or, for rows of derivatives, fields. */
static void find_wanted(bucket *b, const plip_rows_plan *plan, int for_derivatives)
{
    const int any = any_species(plan), n = plan->n_labels;
    int c, e;

    memset(b->wanted, 0, (size_t)plan->n_sets);
    for (e = 0; e < plan->n_moments && !for_derivatives; e++)
        b->wanted[plan->moments[e].set] |= plan->moments[e].neighbor == any ? OF_ANY : OF_SPECIES;
    for (c = 0; c < n * n && for_derivatives; c++)
        for (e = plan->groups_of[c].begin; e < plan->groups_of[c].end; e++)
            b->wanted[plan->groups[e].set] |= c == any * n + any ? OF_ANY : OF_SPECIES;
    b->all_wanted = 0;
    for (e = 0; e < plan->n_sets; e++)
        b->all_wanted |= b->wanted[e];
}

/* Memory for the largest bucket, for so many components of forces (0 for none). */
static int new_bucket(bucket *b, const plip_rows_plan *plan, int lanes, const plip_neighbors *near, int n_forces)
{
    const group_extremes most = extremes_of_groups(plan, lanes);
    ptrdiff_t k, scratch;

    b->capacity = most_pairs(plan, near);
    /* An odd number of cache lines, so that components do not compete for the same part of the cache. */
    b->stride = ((b->capacity + 7) / 8 | 1) * 8;
    scratch = b->stride > most.widest_field ? b->stride : most.widest_field;
    scratch = scratch > most.widest_set ? scratch : most.widest_set;
    scratch = scratch > 4 * lanes ? scratch : 4 * lanes;

    b->pair = malloc((size_t)b->capacity * sizeof(ptrdiff_t));
    b->neighbor = malloc((size_t)b->capacity * sizeof(int));
    b->within = malloc((size_t)plan->n_cutoffs * sizeof(ptrdiff_t));
    b->wanted = malloc((size_t)plan->n_sets);
    b->dominance = malloc((size_t)b->capacity);
    b->states = malloc((size_t)b->capacity * sizeof(const double *));
    b->distance = new_numbers(b->stride);
    b->inverse = new_numbers(b->stride);
    b->direction = new_numbers(4 * b->stride);
    b->component = new_numbers(all_components(plan) * b->stride);
    b->gradient = new_numbers(n_forces * all_components(plan) * b->stride);
    b->radial = new_numbers(2 * b->capacity * plan->n_functions);
    b->cut = new_numbers(3 * plan->n_cutoffs * b->capacity);
    b->switched = new_numbers(3 * b->capacity);
    b->by_pair = new_numbers(2 * (n_forces * b->capacity * most.widest_field + lanes));
    b->scratch = new_numbers(most.most_components * scratch);
    b->sums = new_numbers(n_forces ? most.most_sums : 0);
    if (!b->pair || !b->neighbor || !b->within || !b->wanted || !b->dominance || !b->states || !b->distance ||
        !b->inverse || !b->direction || !b->component || !b->gradient || !b->radial || !b->cut || !b->switched ||
        !b->by_pair || !b->scratch || !b->sums) {
        free_bucket(b);
        return -1;
    }
    find_wanted(b, plan, n_forces > 0);
    /* What stands beyond the last neighbor is read with it, and must be a number. */
    memset(b->direction, 0, (size_t)(3 * b->stride) * sizeof(double));
    memset(b->distance, 0, (size_t)b->stride * sizeof(double));
    memset(b->inverse, 0, (size_t)b->stride * sizeof(double));
    for (k = 0; k < b->stride; k++)
        b->direction[3 * b->stride + k] = 1.0;
    return 0;
}

/* What the kernels of one call share. */
typedef struct {
    const plip_rows_plan *plan;
    const plip_neighbors *near;
    bucket bucket;
    /* of values */
    char *is_outer; /* [set] from find_outer_sets */
    double *group_sums;
    double *own_sums; /* sums over neighbors of g_a g_b: [a][b], or those of a = b of sets that are not outer */
    double *doubled; /* (lanes, state_size): moments of some atoms, those of dominant neighbors twice */
    double *abreast; /* (state_size, lanes): states of some atoms side by side */
    /* of virials; the first is NULL if there are none */
    double *strained;       /* (lanes, 6 state_size): derivatives of the moments of some atoms, as in strain_shape */
    double *strained_apart; /* the same by dominant neighbors, where there are any */
    double *group_strains, *own_strains; /* derivatives of group_sums, as in strain_shape, and own_sums */
    double *strain_moments, *strain_sources, *strain_tensors, *strain_weighted;
    double *strains; /* [strain][function] of one moment */
    double *kept;    /* derivatives and values of one neighbor */
    ptrdiff_t virial_stride;
    /* of derivatives */
    const double *states, *dominant;
    double *force_rows;
    ptrdiff_t force_stride;
} rows_call;

static double derivative_of_power(double x, int power)
{
    double result = 1.0;
    int k;

    if (power == PLIP_ROOT)
        return x > PLIP_LEAST_SQUARE ? 0.5 / sqrt(x) : 0.0;
    for (k = 1; k < power; k++)
        result *= x;
    return power * result;
}

/* ------------------------------------------------------------------ what vectors do not speed up */

/* The pairs [begin, end) by cutoff. */
static void sort_pairs(const rows_call *call, ptrdiff_t begin, ptrdiff_t end)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    double lower = 0.0;
    ptrdiff_t p, count = 0;
    int c;

    for (c = 0; c < plan->n_cutoffs; c++) {
        const double upper = plan->cutoffs[c];
        for (p = begin; p < end; p++)
            if (lower <= call->near->distance[p] && call->near->distance[p] < upper) {
                b->pair[count] = p;
                b->neighbor[count] = call->near->neighbor[p];
                count++;
            }
        b->within[c] = count;
        lower = upper;
    }
}

/* What multiplies the functions of a set: its cutoff function, times the switch if there is one. */
static const double *factor_of_set(const rows_call *call, const plip_function_set *set, double shortest)
{
    const bucket *b = &call->bucket;
    const double *cut = b->cut + 3 * set->cutoff * b->capacity;
    ptrdiff_t k;

    if (!(shortest > 0.0))
        return cut;
    for (k = 0; k < b->within[set->cutoff]; k++) {
        plip_switch(shortest, b->distance[k], b->switched + 3 * k);
        plip_multiply(b->switched + 3 * k, cut + 3 * k);
    }
    return b->switched;
}

/* The moments of a center of species s with own sums of the same functions of the same neighbors; NULL: none. */
static const plip_moments *same_own_sums(const plip_rows_plan *plan, int s, const plip_moments *moments)
{
    int e;

    for (e = plan->centers[s].moments.begin; e < plan->centers[s].moments.end; e++) {
        const plip_moments *other = plan->moments + e;
        if (other->own >= 0 && other->set == moments->set && other->neighbor == moments->neighbor)
            return other;
    }
    return NULL;
}

#define PLIP_KERNEL "plip_rows_kernel.h"
#include "plip_variants.h"

typedef void values_function(rows_call *, ptrdiff_t begin, ptrdiff_t end, double *states, double *dominant,
                             double *values, double *virials);
typedef void derivatives_function(rows_call *, ptrdiff_t begin, ptrdiff_t end);
static values_function *const VALUES[PLIP_N_SIMD] = PLIP_VARIANTS(values);
static derivatives_function *const DERIVATIVES[PLIP_N_SIMD] = PLIP_VARIANTS(derivatives);

/* Numbers of the sums of all groups, and of the sums over neighbors of g_a g_b. */
static void count_sums(const plip_rows_plan *plan, int lanes, ptrdiff_t *n_group_sums, ptrdiff_t *n_own_sums)
{
    int g, m;

    *n_group_sums = *n_own_sums = 0;
    for (g = 0; g < plan->n_groups; g++) {
        const group_shape shape = shape_of_group(plan, plan->groups + g, lanes);
        *n_group_sums += shape.n_degrees * shape.length;
    }
    for (m = 0; m < plan->n_moments; m++) {
        const ptrdiff_t width = padded(plan->sets[plan->moments[m].set].count, lanes);
        if (plan->moments[m].own >= 0)
            *n_own_sums += width * width;
    }
}

/* Memory for virials. */
static int new_strains(rows_call *call, int lanes, ptrdiff_t n_group_sums, ptrdiff_t n_own_sums)
{
    const plip_rows_plan *plan = call->plan;
    const group_extremes most = extremes_of_groups(plan, lanes);
    const ptrdiff_t components = all_components(plan), capacity = call->bucket.capacity;

    call->strained = new_numbers(OF_VIRIALS * lanes * plan->state_size);
    call->strained_apart = new_numbers(OF_VIRIALS * lanes * plan->state_size);
    call->group_strains = new_numbers(ROOM_OF_STRAINS * n_group_sums);
    call->own_strains = new_numbers(OF_VIRIALS * n_own_sums);
    call->strain_moments = new_numbers(2 * components * most.widest_set + lanes);
    call->strain_sources = new_numbers(3 * components * lanes); /* three blocks */
    call->strain_tensors = new_numbers(OF_VIRIALS * call->bucket.stride);
    call->strain_weighted = new_numbers(OF_VIRIALS * capacity * most.widest_set);
    call->strains = new_numbers(OF_VIRIALS * most.widest_set);
    call->kept = new_numbers(2 * most.widest_set);
    if (!call->strained || !call->strained_apart || !call->group_strains || !call->own_strains ||
        !call->strain_moments || !call->strain_sources || !call->strain_tensors ||
        !call->strain_weighted || !call->strains || !call->kept)
        return -1;
    memset(call->group_strains, 0, (size_t)(ROOM_OF_STRAINS * n_group_sums) * sizeof(double));
    memset(call->own_strains, 0, (size_t)(OF_VIRIALS * n_own_sums) * sizeof(double));
    return 0;
}

static void free_call(rows_call *call)
{
    free(call->is_outer);
    free_numbers(call->group_sums);
    free_numbers(call->own_sums);
    free_numbers(call->doubled);
    free_numbers(call->abreast);
    free_numbers(call->strained);
    free_numbers(call->strained_apart);
    free_numbers(call->group_strains);
    free_numbers(call->own_strains);
    free_numbers(call->strain_moments);
    free_numbers(call->strain_sources);
    free_numbers(call->strain_tensors);
    free_numbers(call->strain_weighted);
    free_numbers(call->strains);
    free_numbers(call->kept);
    free_bucket(&call->bucket);
}

int plip_rows_values(const plip_rows_plan *plan, int simd, const plip_neighbors *near, ptrdiff_t begin, ptrdiff_t end,
                     double *states, double *dominant, double *values, double *virials, ptrdiff_t virial_stride)
{
    const int lanes = PLIP_SIMD_LANES[simd];
    rows_call call = {.plan = plan, .near = near, .virial_stride = virial_stride};
    ptrdiff_t n_group_sums, n_own_sums;
    int status = -1;

    count_sums(plan, lanes, &n_group_sums, &n_own_sums);
    if (new_bucket(&call.bucket, plan, lanes, near, 0))
        return -1;
    call.is_outer = malloc((size_t)plan->n_sets);
    call.group_sums = new_numbers(n_group_sums);
    call.own_sums = new_numbers(n_own_sums);
    call.doubled = new_numbers(lanes * plan->state_size);
    call.abreast = new_numbers(lanes * plan->state_size);
    if (call.is_outer && call.group_sums && call.own_sums && call.doubled && call.abreast &&
        (!virials || !new_strains(&call, lanes, n_group_sums, n_own_sums))) {
        find_outer_sets(plan, call.is_outer);
        memset(call.group_sums, 0, (size_t)n_group_sums * sizeof(double));
        memset(call.own_sums, 0, (size_t)n_own_sums * sizeof(double));
        VALUES[simd](&call, begin, end, states, dominant, values, virials);
        status = 0;
    }
    free_call(&call);
    return status;
}

int plip_rows_derivatives(const plip_rows_plan *plan, int simd, const plip_neighbors *near, const double *states,
                          const double *dominant, ptrdiff_t begin, ptrdiff_t end, double *force_rows,
                          ptrdiff_t force_stride)
{
    rows_call call = {.plan = plan, .near = near};

    call.states = states;
    call.dominant = dominant;
    call.force_rows = force_rows;
    call.force_stride = force_stride;
    if (new_bucket(&call.bucket, plan, PLIP_SIMD_LANES[simd], near, OF_FORCES))
        return -1;
    DERIVATIVES[simd](&call, begin, end);
    free_bucket(&call.bucket);
    return 0;
}
