/* Energies of a center and their derivatives with respect to its moments, the adjoints; part of plip_kernel.h. */

/* `count` components of a coupling: adjoints = multiplicity W M; energies += M multiplicity W M, one sum for
 * each component, so that none waits for another. */
static FORCE_INLINE void NAME(couple_components)(int count, const coupling *w, const double *multiplicity,
                                                 const double *moments, double *adjoints, int first,
                                                 VECTOR *energies)
{
    VECTOR moment[7], product[7];
    const double *mine = moments + w->moments + first * LANES;
    double *result = adjoints + w->moments + first * LANES;
    int m, k;

    for (k = 0; k < count; k++) {
        moment[k] = LOAD(mine + k * LANES);
        product[k] = moment[k] * LOAD(w->diagonal);
    }
    for (m = 0; m < w->n; m++) {
        const VECTOR weights = LOAD(w->weights + m * LANES);
        const double *partner = moments + w->partner[m] + first * LANES;
        for (k = 0; k < count; k++)
            product[k] += weights * partner[k * LANES];
    }
    for (k = 0; k < count; k++) {
        product[k] = product[k] * multiplicity[first + k];
        energies[k] += product[k] * moment[k];
        STORE(result + k * LANES, product[k]);
    }
}

/* Energy of the roots of a group; adds to their adjoints. */
static FORCE_INLINE VECTOR NAME(add_roots)(const group *g, const double *moments, double *adjoints)
{
    double energy[LANES] ALIGNED(64);
    int lane;

    for (lane = 0; lane < LANES; lane++) {
        const double density = moments[g->offset[0] + lane], weight = g->roots[lane];
        const double root = weight != 0.0 && density > PLIP_LEAST_SQUARE ? sqrt(density) : 0.0;
        energy[lane] = weight * root;
        if (root > 0.0)
            adjoints[g->offset[0] + lane] += 0.5 * weight / root;
    }
    return LOAD(energy);
}

/* Energy of the polynomials and roots, of all their terms or of the embedding alone; adds to their adjoints. */
static FORCE_INLINE VECTOR NAME(add_polynomials)(const center_plan *plan, const int embedding, const double *moments,
                                                 double *adjoints)
{
    VECTOR energy = {0};
    int n, k;

    for (n = 0; n < plan->n_groups; n++) {
        const group *g = plan->groups + n;
        const double *polynomial = embedding ? g->embedding : g->polynomial;
        VECTOR value = {0}, slope = {0}, density;
        if (g->roots)
            energy += NAME(add_roots)(g, moments, adjoints);
        if (g->order == 0)
            continue;
        density = LOAD(moments + g->offset[0]);
        for (k = g->order - 1; k >= 0; k--) {
            VECTOR c = LOAD(polynomial + k * LANES);
            value = value * density + c;
            slope = slope * density + c * (double)(k + 1);
        }
        energy += value * density;
        STORE(adjoints + g->offset[0], LOAD(adjoints + g->offset[0]) + slope);
    }
    return energy;
}

/* Energy of the couplings; makes the adjoints. */
static FORCE_INLINE VECTOR NAME(find_couplings)(const plip_potential *potential, const center_plan *plan,
                                                const double *moments, double *adjoints)
{
    VECTOR energies[7];
    int n, k;

    NAME(clear)(plan->n_uncoupled, plan->uncoupled, adjoints);
    for (k = 0; k < 7; k++)
        energies[k] = (VECTOR){0};
    for (n = 0; n < plan->n_couplings; n++) {
        const coupling *w = plan->couplings + n;
        const double *multiplicity = potential->multiplicity + FIRST_MONOMIAL(w->degree);
        const int count = COMPONENTS(w->degree);
        k = 0;
#define COMPONENTS_AT_ONCE(n)        \
    for (; k + n <= count; k += n)   \
    NAME(couple_components)(n, w, multiplicity, moments, adjoints, k, energies)
        /* 1, 3, 6, 10, 15, 21, 28 components, and so on */
        switch (w->degree) {
        case 2:
            COMPONENTS_AT_ONCE(6);
            break;
        case 3:
        case 4:
            COMPONENTS_AT_ONCE(5);
            break;
        case 5:
        case 6:
            COMPONENTS_AT_ONCE(7);
            break;
        default:
            COMPONENTS_AT_ONCE(3);
            COMPONENTS_AT_ONCE(1);
        }
#undef COMPONENTS_AT_ONCE
    }
    for (k = 1; k < 7; k++)
        energies[0] += energies[k];
    return energies[0] * 0.5;
}

/* Energy of the couplings and of the polynomials; adjoints = derivatives with respect to the moments. */
static double NAME(couple)(const plip_potential *potential, const center_plan *plan, const double *moments,
                           double *adjoints)
{
    VECTOR energy;
    double sum[LANES] ALIGNED(64);

    energy = NAME(find_couplings)(potential, plan, moments, adjoints);
    energy += NAME(add_polynomials)(plan, 0, moments, adjoints);
    STORE(sum, energy);
    return NAME(total)(sum);
}
