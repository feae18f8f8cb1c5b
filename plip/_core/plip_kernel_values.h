/* Values of single terms and leverages of centers; part of plip_kernel.h. Each lane works on a center of its own. */

/* Product of the moments of two arms. */
static FORCE_INLINE VECTOR NAME(product_of_two)(const plip_potential *potential, const term_value *value,
                                                const double *moments)
{
    const double *multiplicity = potential->multiplicity + FIRST_MONOMIAL(value->power);
    const double *a = moments + value->arms[0] * LANES, *b = moments + value->arms[1] * LANES;
    VECTOR sum = {0};
    int k;

    for (k = 0; k < COMPONENTS(value->power); k++)
        sum += LOAD(a + k * LANES) * LOAD(b + k * LANES) * multiplicity[k];
    return sum;
}

/* Product of the moments of three arms. */
static VECTOR NAME(product_of_three)(const plip_potential *potential, const term_value *value, const double *moments)
{
    const contraction *rank = value->rank;
    double *const none[3] = {NULL, NULL, NULL};
    const double *arms[3];
    int k;

    for (k = 0; k < 3; k++)
        arms[rank->place[k]] = moments + value->arms[k] * LANES;
    return NAME(contract)(0, rank->power, potential->multiplicity, 1.0, arms, none);
}

/* A power of a density, or its root. */
static FORCE_INLINE VECTOR NAME(power_of)(int power, const double *density)
{
    double roots[LANES] ALIGNED(64);
    VECTOR product = LOAD(density);
    int k;

    if (power == PLIP_ROOT) {
        for (k = 0; k < LANES; k++)
            roots[k] = density[k] > PLIP_LEAST_SQUARE ? sqrt(density[k]) : 0.0;
        return LOAD(roots);
    }
    for (k = 1; k < power; k++)
        product *= LOAD(density);
    return product;
}

static FORCE_INLINE VECTOR NAME(find_value)(const plip_potential *potential, const term_value *value,
                                            const double *moments)
{
    VECTOR sum = {0};
    int k;

    for (k = 0; k < value->n_sums; k++)
        sum += LOAD(moments + value->sums[k] * LANES) * value->weights[k];
    switch (value->kind) {
    case PLIP_THREE_BODY:
        return sum + NAME(product_of_two)(potential, value, moments) * value->weight;
    case PLIP_N_BODY:
        return NAME(power_of)(value->power, moments + value->arms[0] * LANES);
    case PLIP_FOUR_BODY:
        return NAME(product_of_three)(potential, value, moments);
    default:
        return sum;
    }
}

/* Solves `count` rows of T z = x, from row i on; those before are solved. z holds x, and z then. Returns the sum of z^2. */
static FORCE_INLINE VECTOR NAME(solve_rows)(const int count, int i, int first, const double *factor, double *z)
{
    const double *row[8];
    VECTOR rest[8], sum = {0};
    int j, k;

    for (k = 0; k < count; k++) {
        row[k] = factor + (size_t)(i + k) * (size_t)(i + k + 1) / 2;
        rest[k] = LOAD(z + (i + k) * LANES);
    }
    for (j = first; j < i; j++) {
        const VECTOR solved = LOAD(z + j * LANES);
        for (k = 0; k < count; k++)
            rest[k] -= solved * row[k][j];
    }
    for (k = 0; k < count; k++) {
        for (j = 0; j < k; j++)
            rest[k] -= rest[j] * row[k][i + j];
        rest[k] = rest[k] / row[k][i + k];
        STORE(z + (i + k) * LANES, rest[k]);
        sum += rest[k] * rest[k];
    }
    return sum;
}

/* |T^-1 x|^2 of values whose first ones are zero. They are lost. */
static void NAME(find_leverages)(int n_terms, int first, const double *factor, double *values, double *leverages)
{
    VECTOR sum = {0};
    int i = first;

    for (; i + 8 <= n_terms; i += 8)
        sum += NAME(solve_rows)(8, i, first, factor, values);
    for (; i < n_terms; i++)
        sum += NAME(solve_rows)(1, i, first, factor, values);
    STORE(leverages, sum);
}

/* The results of n centers of one species, at most LANES, whose moments are known. */
static void NAME(finish_values)(const plip_potential *potential, const center_plan *plan, const plip_workspace *work,
                                const double *factor, int n, const int *places, double *result)
{
    const int n_terms = potential->n_terms;
    double *const moments = work->batch, *const values = moments + plan->n_rows * LANES;
    double leverages[LANES] ALIGNED(64);
    int k, lane;

    NAME(gather_moments)(plan, n, work->centers, moments);
    for (k = 0; k < n_terms * LANES; k++)
        values[k] = 0.0;
    for (k = 0; k < plan->n_values; k++)
        STORE(values + plan->values[k].term * LANES, NAME(find_value)(potential, plan->values + k, moments));
    if (factor && plan->n_values)
        NAME(find_leverages)(n_terms, plan->values[0].term, factor, values, leverages);
    for (lane = 0; lane < n && plan->n_values; lane++) {
        if (factor)
            result[places[lane]] = leverages[lane];
        for (k = 0; k < n_terms && !factor; k++)
            result[(size_t)places[lane] * (size_t)n_terms + (size_t)k] = values[k * LANES + lane];
    }
}

static int NAME(values)(const plip_potential *potential, plip_workspace *work, const plip_system *system,
                        const double *factor, int n, const plip_center *centers, int mask, double *result)
{
    const size_t size = (size_t)n * (factor ? 1 : (size_t)potential->n_terms);
    int places[LANES], most = 0, filled = 0, s, i;
    size_t k;

    for (k = 0; k < size; k++)
        result[k] = 0.0;
    for (i = 0; i < n; i++)
        most = centers[i].n_neighbors > most ? centers[i].n_neighbors : most;
    if (work->capacity < most && plip_workspace_reserve(potential, work, most))
        return -1;
    for (s = 0; s < potential->n_species; s++) {
        const center_plan *plan = potential->centers + s;
        for (i = 0; i < n; i++) {
            plip_center center = centers[i];
            if (system->species_of_type[system->types[center.atom]] == s) {
                NAME(find_moments)(potential, plan, system, work, work->centers + filled, &center, 0, mask);
                places[filled++] = i;
            }
            if (filled == LANES || (filled && i == n - 1)) {
                NAME(finish_values)(potential, plan, work, factor, filled, places, result);
                filled = 0;
            }
        }
    }
    return 0;
}
