/* Centers with a neighbor so close that the part of this neighbor with itself, which the square of the moments
 * holds too much, would cost digits; part of plip_kernel.h.
 *
 * The moments of all neighbors are made one by one, by the exact functions, and each is coupled to the moments of the
 * others: what is not there need not be subtracted. */

/* Derivatives of the three-body energy with respect to moments, if all moments belong to other neighbors than the one
 * whose derivatives are asked for: nothing is to be subtracted from them. */
static void NAME(three_body_adjoints)(const plip_potential *potential, const center_plan *plan, const double *moments,
                                      double *adjoints)
{
    int n;

    NAME(find_couplings)(potential, plan, moments, adjoints);
    for (n = 0; n < plan->n_groups; n++) {
        const group *g = plan->groups + n;
        double *adjoint = adjoints + g->offset[0];
        if (g->squares)
            STORE(adjoint, LOAD(adjoint) + LOAD(moments + g->offset[0]) * LOAD(g->squares) * 2.0);
    }
}

/* Moments and adjoints of each neighbor of a center, [neighbor][moment], and of all. */
typedef struct {
    int n;
    size_t size; /* of one array */
    double *moments, *adjoints, *sum, *common;
} NAME(singles);

/* 0, or -1 if memory ran out. */
static int NAME(take_singles)(const center_plan *plan, plip_workspace *work, int n, NAME(singles) *singles)
{
    singles->n = n;
    singles->size = (size_t)plan->n_moments;
    if (plip_workspace_reserve_apart(work, (2 * (size_t)n + 2) * singles->size))
        return -1;
    singles->common = work->apart;
    singles->sum = singles->common + singles->size;
    singles->moments = singles->sum + singles->size;
    singles->adjoints = singles->moments + (size_t)n * singles->size;
    return 0;
}

/* Moments of the j-th listed neighbor alone; `arrays` holds this pair then. */
static void NAME(find_single)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                              const plip_workspace *work, center_arrays *arrays, const plip_center *center, int j,
                              int mask)
{
    plip_center single = *center;

    single.n_neighbors = 1;
    single.neighbors = center->neighbors + j;
    NAME(find_moments)(potential, plan, system, work, arrays, &single, 1, mask);
}

/* Couples each neighbor to the others: adjoints of each, and the sum of all moments. Returns the energy. */
static double NAME(couple_singles)(const plip_potential *potential, const center_plan *plan,
                                   NAME(singles) *singles, double *others)
{
    const size_t size = singles->size, n = (size_t)singles->n;
    double energy = 0.0;
    size_t j, m;

    /* The neighbors behind each one for the present, then its adjoints. */
    for (m = 0; m < size; m++)
        singles->adjoints[(n - 1) * size + m] = singles->sum[m] = 0.0;
    for (j = n - 1; j > 0; j--)
        for (m = 0; m < size; m++)
            singles->adjoints[(j - 1) * size + m] =
                singles->adjoints[j * size + m] + singles->moments[j * size + m];
    for (j = 0; j < n; j++) {
        const double *mine = singles->moments + j * size;
        double *behind = singles->adjoints + j * size, product = 0.0;
        for (m = 0; m < size; m++)
            others[m] = singles->sum[m] + behind[m];
        NAME(three_body_adjoints)(potential, plan, others, behind);
        for (m = 0; m < size; m++) {
            product += mine[m] * behind[m];
            singles->sum[m] += mine[m];
        }
        energy += 0.5 * product;
    }
    return energy;
}

/* Energy of all terms that hold each neighbor with itself, powers of densities and four-body terms; their adjoints. */
static void NAME(couple_all)(const plip_potential *potential, const center_plan *plan, plip_workspace *work,
                             const NAME(singles) *singles, center_arrays *arrays, plip_center *center)
{
    double energy[LANES] ALIGNED(64);
    size_t m;

    for (m = 0; m < singles->size; m++) {
        arrays->moments[m] = singles->sum[m];
        arrays->adjoints[m] = 0.0;
    }
    STORE(energy, NAME(add_polynomials)(plan, 1, arrays->moments, arrays->adjoints));
    center->energy += NAME(total)(energy);
    if (plan->n_trilinears)
        NAME(four_body)(potential, plan, 1, arrays, &center, work->batch);
    memcpy(singles->common, arrays->adjoints, singles->size * sizeof(double));
}

/* `arrays` holds the center with all its neighbors. 0, or -1 if memory ran out. */
static int NAME(evaluate_apart)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                                plip_workspace *work, center_arrays *arrays, plip_center *center, int derivatives,
                                int mask)
{
    const double density = arrays->density;
    NAME(singles) singles;
    double fade = 1.0;
    size_t m;
    int j;

    if (NAME(take_singles)(plan, work, center->n_neighbors, &singles))
        return -1;
    for (j = 0; j < singles.n; j++) {
        NAME(find_single)(potential, plan, system, work, arrays, center, j, mask);
        memcpy(singles.moments + (size_t)j * singles.size, arrays->moments, singles.size * sizeof(double));
    }
    center->energy = plan->reference_energy + NAME(couple_singles)(potential, plan, &singles, arrays->moments);
    NAME(couple_all)(potential, plan, work, &singles, arrays, center);
    if (NAME(is_outside)(plan, density, center))
        fade = plip_crowd(plan, system, density, center, mask);
    for (j = 0; j < singles.n && derivatives; j++) {
        NAME(find_single)(potential, plan, system, work, arrays, center, j, mask);
        for (m = 0; m < singles.size; m++)
            arrays->adjoints[m] = fade * (singles.common[m] + singles.adjoints[(size_t)j * singles.size + m]);
        if (!NAME(backward)(potential, plan, system, work, arrays, center->atom))
            center->energy = NAN;
    }
    return 0;
}
