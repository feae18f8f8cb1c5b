/* Energy and derivatives of centers; compiled by plip_variants.h for plip_evaluate.c.
 *
 * Moments of the neighbors, energies as polynomials of moments with their derivatives, the adjoints, and from these
 * back to the neighbors.
 */

#if LANES > 1
typedef double NAME(vector) __attribute__((vector_size(8 * LANES), may_alias));
#else
typedef double NAME(vector);
#endif
#define VECTOR NAME(vector)
#define LOAD(p) (*(const VECTOR *)(p))
#define STORE(p, v) (*(VECTOR *)(p) = (v))

static inline double NAME(total)(const double *v)
{
#if LANES == 8
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
#elif LANES == 4
    return (v[0] + v[2]) + (v[1] + v[3]);
#elif LANES == 2
    return v[0] + v[1];
#else
    return v[0];
#endif
}

/* A vector of the x-th numbers of LANES rows. */
#if LANES == 8
#define OF_ALL(r, x) {r[0][x], r[1][x], r[2][x], r[3][x], r[4][x], r[5][x], r[6][x], r[7][x]}
#elif LANES == 4
#define OF_ALL(r, x) {r[0][x], r[1][x], r[2][x], r[3][x]}
#elif LANES == 2
#define OF_ALL(r, x) {r[0][x], r[1][x]}
#else
#define OF_ALL(r, x) r[0][x]
#endif

/* Rows become columns, of a block of LANES vectors. */
static FORCE_INLINE void NAME(transpose)(VECTOR *rows)
{
#if LANES > 1 && PLIP_SHUFFLES
/* Exchanges the off-diagonal parts of all pairs of rows that are `step` apart. */
#define EXCHANGE(step, upper, lower)                                                  \
    UNROLL(8)                                                                         \
    for (k = 0; k < LANES; k++)                                                       \
        if (!(k & (step))) {                                                          \
            const VECTOR first = rows[k], second = rows[k + (step)];                  \
            rows[k] = __builtin_shufflevector(first, second, UNPACK upper);           \
            rows[k + (step)] = __builtin_shufflevector(first, second, UNPACK lower);  \
        }
#define UNPACK(...) __VA_ARGS__
    int k;
#if LANES == 8
    EXCHANGE(1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15))
    EXCHANGE(2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))
    EXCHANGE(4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
#elif LANES == 4
    EXCHANGE(1, (0, 4, 2, 6), (1, 5, 3, 7))
    EXCHANGE(2, (0, 1, 4, 5), (2, 3, 6, 7))
#else
    EXCHANGE(1, (0, 2), (1, 3))
#endif
#undef UNPACK
#undef EXCHANGE
#elif LANES > 1
    double block[LANES * LANES] ALIGNED(64);
    int k, lane;

    for (k = 0; k < LANES; k++)
        for (lane = 0; lane < LANES; lane++)
            block[lane * LANES + k] = rows[k][lane];
    for (k = 0; k < LANES; k++)
        rows[k] = LOAD(block + k * LANES);
#else
    (void)rows;
#endif
}

/* The k-th lane is the total of the k-th of LANES vectors, which are lost. */
static FORCE_INLINE VECTOR NAME(totals)(VECTOR *rows)
{
    VECTOR sum;
    int k;

    NAME(transpose)(rows);
    sum = rows[0];
    UNROLL(8)
    for (k = 1; k < LANES; k++)
        sum += rows[k];
    return sum;
}

#include "plip_kernel_tables.h"
#include "plip_kernel_moments.h"
#include "plip_kernel_energy.h"
#include "plip_kernel_four_body.h"
#include "plip_kernel_forces.h"

/* Whether a center is outside of the data, where plip_crowd takes over. */
static inline int NAME(is_outside)(const center_plan *plan, double density, const plip_center *center)
{
    return density > plan->limit || center->closest < plan->too_close ||
           center->energy - plan->reference_energy < plan->floor;
}

#include "plip_kernel_apart.h"

/* What is left to do for n centers of one species, at most LANES, whose moments are known. */
static void NAME(finish_batch)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                               const plip_workspace *work, int n, plip_center *const *batch, int derivatives, int mask)
{
    int k, m;

    if (plan->n_trilinears)
        NAME(four_body)(potential, plan, n, work->centers, batch, work->batch);
    for (k = 0; k < n; k++) {
        center_arrays *arrays = work->centers + k;
        if (NAME(is_outside)(plan, arrays->density, batch[k])) {
            const double fade = plip_crowd(plan, system, arrays->density, batch[k], mask);
            for (m = 0; m < plan->n_moments; m++)
                arrays->adjoints[m] *= fade;
        }
    }
    for (k = 0; k < n && derivatives; k++)
        if (!NAME(backward)(potential, plan, system, work, work->centers + k, batch[k]->atom))
            batch[k]->energy = NAN;
}

/* The centers of species s among n. 0, or -1 if memory ran out. */
static int NAME(evaluate_species)(const plip_potential *potential, plip_workspace *work, const plip_system *system,
                                  int s, int n, plip_center *centers, int derivatives, int mask)
{
    const center_plan *plan = potential->centers + s;
    /* Only four-body terms need several centers at a time; one center alone stays closer in the cache. */
    const int size = plan->n_trilinears ? LANES : 1;
    plip_center *batch[LANES];
    int filled = 0, i;

    for (i = 0; i < n; i++) {
        plip_center *center = centers + i;
        if (system->species_of_type[system->types[center->atom]] == s) {
            center_arrays *arrays = work->centers + filled;
            NAME(find_moments)(potential, plan, system, work, arrays, center, 0, mask);
            if (center->closest >= plan->steep || !plip_is_steep(plan, potential->n_species, arrays)) {
                center->energy =
                    plan->reference_energy + NAME(couple)(potential, plan, arrays->moments, arrays->adjoints);
                batch[filled++] = center;
            } else if (NAME(evaluate_apart)(potential, plan, system, work, arrays, center, derivatives, mask))
                return -1;
        }
        if (filled == size || (filled && i == n - 1)) {
            NAME(finish_batch)(potential, plan, system, work, filled, batch, derivatives, mask);
            filled = 0;
        }
    }
    return 0;
}

static int NAME(evaluate)(const plip_potential *potential, plip_workspace *work, const plip_system *system, int n,
                          plip_center *centers, int mask)
{
    const int derivatives = system->forces || system->strain_derivative || system->strain_derivatives ||
                            system->centroid_derivatives;
    int most = 0, s, i;

    for (i = 0; i < n; i++) {
        centers[i].energy = 0.0;
        most = centers[i].n_neighbors > most ? centers[i].n_neighbors : most;
    }
    if (work->capacity < most && plip_workspace_reserve(potential, work, most))
        return -1;
    for (s = 0; s < potential->n_species; s++)
        if (NAME(evaluate_species)(potential, work, system, s, n, centers, derivatives, mask))
            return -1;
    return 0;
}

#include "plip_kernel_values.h"

#undef OF_ALL
#undef VECTOR
#undef LOAD
#undef STORE
