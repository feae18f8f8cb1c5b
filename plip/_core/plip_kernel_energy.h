/* Energies of a center and their derivatives with respect to its moments, the adjoints; part of plip_kernel.h. */

/* `count` components of a coupling: adjoints += multiplicity W M; energies += M multiplicity W M, one sum for
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
        STORE(result + k * LANES, LOAD(result + k * LANES) + product[k]);
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

/* Energy of the polynomials and roots, of all their terms or of the embedding alone; writes their adjoints. */
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

/* Energy of the couplings; adds to the adjoints. */
static FORCE_INLINE VECTOR NAME(add_couplings)(const plip_potential *potential, const center_plan *plan, VECTOR energy,
                                               const double *moments, double *adjoints)
{
    VECTOR energies[7];
    int n, k;

    for (k = 0; k < 7; k++)
        energies[k] = (VECTOR){0};
    for (n = 0; n < plan->n_couplings; n++) {
        const coupling *w = plan->couplings + n;
        const double *multiplicity = potential->multiplicity + FIRST_MONOMIAL(w->degree);
        /* 1, 3, 6, 10, 15, 21, 28 components */
        for (k = 0; k + 7 <= COMPONENTS(w->degree); k += 7)
            NAME(couple_components)(7, w, multiplicity, moments, adjoints, k, energies);
        for (; k + 3 <= COMPONENTS(w->degree); k += 3)
            NAME(couple_components)(3, w, multiplicity, moments, adjoints, k, energies);
        for (; k < COMPONENTS(w->degree); k++)
            NAME(couple_components)(1, w, multiplicity, moments, adjoints, k, energies);
    }
    for (k = 0; k < 7; k++)
        energy += energies[k] * 0.5;
    return energy;
}

/* Energy of the couplings and of the polynomials; adjoints = derivatives with respect to the moments. */
static double NAME(couple)(const plip_potential *potential, const center_plan *plan, const double *moments,
                           double *adjoints)
{
    VECTOR energy;
    double sum[LANES] ALIGNED(64);
    int m;

    for (m = 0; m < plan->n_moments; m++)
        adjoints[m] = 0.0;
    energy = NAME(add_polynomials)(plan, 0, moments, adjoints);
    energy = NAME(add_couplings)(potential, plan, energy, moments, adjoints);
    STORE(sum, energy);
    return NAME(total)(sum);
}

/* Moments of four-body terms of n centers, one per lane. */
static void NAME(gather_moments)(const center_plan *plan, int n, const center_arrays *arrays, double *moments)
{
    const VECTOR zero = {0};
    int m, lane;

    for (m = 0; m < plan->n_used; m++)
        STORE(moments + m * LANES, zero);
    for (lane = 0; lane < n; lane++)
        for (m = 0; m < plan->n_used; m++)
            moments[m * LANES + lane] = arrays[lane].moments[plan->used[m]];
}

/* Contracts arm a, which is open, with arms b and c: result = derivative by arm a; adds those by arms b and c. */
static FORCE_INLINE void NAME(contract)(const contraction *rank, const double *open, const double *b, const double *c,
                                        double *result, double *db, double *dc)
{
    const plip_summand *e = rank->summands;
    int k;

    for (k = 0; k < rank->n_b; k++) {
        const VECTOR vb = LOAD(b + k * LANES);
        VECTOR sum = {0};
        for (; e < rank->last[k]; e++) {
            const VECTOR va = LOAD(open + e->a * LANES), vc = LOAD(c + e->c * LANES) * e->coefficient;
            STORE(result + e->a * LANES, LOAD(result + e->a * LANES) + vb * vc);
            STORE(dc + e->c * LANES, LOAD(dc + e->c * LANES) + va * vb * e->coefficient);
            sum += va * vc;
        }
        STORE(db + k * LANES, LOAD(db + k * LANES) + sum);
    }
}

/* Energy of one form; adds to the adjoints. `open` and `result` are scratch. */
static FORCE_INLINE VECTOR NAME(add_form)(const plip_potential *potential, const trilinear *form, const double *moments,
                                          double *adjoints, double *open, double *result, VECTOR energy)
{
    const contraction *rank = potential->contractions + form->contraction;
    const VECTOR zero = {0};
    int k, t;

    for (k = 0; k < rank->n_a; k++) {
        STORE(open + k * LANES, LOAD(moments + (form->a[0] + k) * LANES) * form->weight[0]);
        STORE(result + k * LANES, zero);
    }
    for (t = 1; t < form->n; t++)
        for (k = 0; k < rank->n_a; k++)
            STORE(open + k * LANES,
                  LOAD(open + k * LANES) + LOAD(moments + (form->a[t] + k) * LANES) * form->weight[t]);
    NAME(contract)(rank, open, moments + form->b * LANES, moments + form->c * LANES, result, adjoints + form->b * LANES,
                   adjoints + form->c * LANES);
    for (k = 0; k < rank->n_a; k++)
        energy += LOAD(open + k * LANES) * LOAD(result + k * LANES);
    for (t = 0; t < form->n; t++)
        for (k = 0; k < rank->n_a; k++) {
            double *da = adjoints + (form->a[t] + k) * LANES;
            STORE(da, LOAD(da) + LOAD(result + k * LANES) * form->weight[t]);
        }
    return energy;
}

/* Four-body terms of n centers of one species, at most LANES: adds to their energies and adjoints. Each lane
 * works on a center of its own, so that nothing but the moments themselves is gathered across lanes. */
static void NAME(four_body)(const plip_potential *potential, const center_plan *plan, int n,
                            const center_arrays *arrays, plip_center *const *centers, double *scratch)
{
    const VECTOR zero = {0};
    double *const moments = scratch, *const adjoints = moments + plan->n_used * LANES;
    double *const open = adjoints + plan->n_used * LANES;
    double *const result = open + potential->max_open * LANES;
    VECTOR energy = zero;
    int m, lane;

    NAME(gather_moments)(plan, n, arrays, moments);
    for (m = 0; m < plan->n_used; m++)
        STORE(adjoints + m * LANES, zero);
    for (m = 0; m < plan->n_trilinears; m++)
        energy = NAME(add_form)(potential, plan->trilinears + m, moments, adjoints, open, result, energy);
    STORE(open, energy);
    for (lane = 0; lane < n; lane++) {
        centers[lane]->energy += open[lane];
        for (m = 0; m < plan->n_used; m++)
            arrays[lane].adjoints[plan->used[m]] += adjoints[m * LANES + lane];
    }
}
