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

/* result[k] = total of the k-th of four vectors, those of one neighbor */
static inline void NAME(four_totals)(const double *v, double *result)
{
#if LANES >= 4 && PLIP_SHUFFLES
    typedef double four __attribute__((vector_size(32), may_alias));
    four h[4], low, high;
    int k;
    for (k = 0; k < 4; k++) {
        h[k] = *(const four *)(v + k * LANES);
#if LANES == 8
        h[k] += *(const four *)(v + k * LANES + 4);
#endif
    }
    low = __builtin_shufflevector(h[0], h[1], 0, 4, 2, 6) + __builtin_shufflevector(h[0], h[1], 1, 5, 3, 7);
    high = __builtin_shufflevector(h[2], h[3], 0, 4, 2, 6) + __builtin_shufflevector(h[2], h[3], 1, 5, 3, 7);
    *(four *)result =
        __builtin_shufflevector(low, high, 0, 1, 4, 5) + __builtin_shufflevector(low, high, 2, 3, 6, 7);
#else
    int k;
    for (k = 0; k < 4; k++)
        result[k] = NAME(total)(v + k * LANES);
#endif
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
    const int derivatives = system->forces || system->strain_derivative || system->strain_derivatives;
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

#undef VECTOR
#undef LOAD
#undef STORE
