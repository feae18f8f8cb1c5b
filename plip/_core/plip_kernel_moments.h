/* From the neighbors of a center to its moments; part of plip_kernel.h. */

/* moments[k] += sum over n neighbors of g u^alpha(k), for `count` monomials held in registers */
#define ACCUMULATE(count)                                                                                   \
    static void NAME(accumulate_##count)(int n, const double *g, int columns, const double *monomials, int stride, \
                                         double *moments)                                                   \
    {                                                                                                       \
        VECTOR sum[count];                                                                                  \
        int j, k;                                                                                           \
        for (k = 0; k < count; k++)                                                                         \
            sum[k] = LOAD(moments + k * LANES);                                                             \
        for (j = 0; j < n; j++) {                                                                           \
            VECTOR value = LOAD(g + (size_t)j * columns);                                                   \
            for (k = 0; k < count; k++)                                                                     \
                sum[k] += value * monomials[(size_t)k * stride + j];                                        \
        }                                                                                                   \
        for (k = 0; k < count; k++)                                                                         \
            STORE(moments + k * LANES, sum[k]);                                                             \
    }
ACCUMULATE(14)
ACCUMULATE(10)
ACCUMULATE(8)
ACCUMULATE(7)
ACCUMULATE(6)
ACCUMULATE(3)
ACCUMULATE(1)
#undef ACCUMULATE

static void NAME(accumulate)(int count, int n, const double *g, int columns, const double *monomials, int stride,
                             double *moments)
{
#define ACCUMULATE(step)                                                                \
    case step:                                                                          \
        NAME(accumulate_##step)(n, g, columns, monomials, stride, moments);             \
        break
    while (count > 0) {
        /* 15 = 8 + 7: a remainder of one would wait for its own sum */
        const int step = count >= 14 && count != 15 ? 14 : count == 10 ? 10 : count >= 8 ? 8 : count >= 6 ? count
                       : count >= 3 ? 3 : 1;
        switch (step) {
            ACCUMULATE(14);
            ACCUMULATE(10);
            ACCUMULATE(8);
            ACCUMULATE(7);
            ACCUMULATE(6);
            ACCUMULATE(3);
            ACCUMULATE(1);
        }
        count -= step;
        monomials += (size_t)step * stride;
        moments += step * LANES;
    }
#undef ACCUMULATE
}

/* All monomials of the unit vectors up to max_degree, [monomial][neighbor]; n is a multiple
 * of NEIGHBOR_BLOCK. */
static void NAME(monomials)(int max_degree, int n, const double *x, const double *y, const double *z, int stride,
                            double *result)
{
    const VECTOR one = (VECTOR){0} + 1.0;
    int d, k, j;

    for (j = 0; j < n; j += LANES) {
        const VECTOR vx = LOAD(x + j), vy = LOAD(y + j), vz = LOAD(z + j);
        double *old = result + j, *new = old + stride;
        STORE(old, one);
        for (d = 1; d <= max_degree; d++) {
            STORE(new, vx * LOAD(old));
            new += stride;
            for (k = 0; k < d; k++, new += stride)
                STORE(new, vy * LOAD(old + (size_t)k * stride));
            for (k = 0; k < COMPONENTS(d - 1); k++, new += stride)
                STORE(new, vz * LOAD(old + (size_t)k * stride));
            old += (size_t)COMPONENTS(d - 1) * stride;
        }
    }
}

/* Lower degrees from higher ones: x^2 + y^2 + z^2 = 1. Rows of components share the power of z. */
static void NAME(trace)(const group *g, int top, double *moments)
{
    int d, y, z;

    for (d = top; d >= 2; d -= 2) {
        const double *row = moments + g->offset[d];
        double *to = moments + g->offset[d - 2];
        for (z = 0; z <= d - 2; z++) {
            const double *second = row + (2 * (d - z) + 1) * LANES;
            for (y = 0; y <= d - 2 - z; y++, to += LANES)
                STORE(to, LOAD(row + y * LANES) + LOAD(row + (y + 2) * LANES) + LOAD(second + y * LANES));
            row += (d - z + 1) * LANES;
        }
    }
}

/* Finds the listed neighbors within the cutoff, the close ones first if there may be others. Returns their number.
 * `n_close`: that of the close ones. `closest`: distance of the closest of all. */
static FORCE_INLINE int NAME(find_reached)(const int has_others, const center_plan *plan,
                                           const plip_system *system, const plip_workspace *work,
                                           const plip_center *center, int mask, int *n_close, double *closest)
{
    const double *const positions = system->positions, *const origin = positions + 3 * (size_t)center->atom;
    const double square_close = plan->square_close, square_cutoff = plan->square_cutoff;
    const int *const listed = center->neighbors;
    int *const close = work->reached, *const others = work->others;
    double least = INFINITY;
    int n = 0, n_others = 0, k;

    /* Written in any case, kept if within reach: a branch that nobody can predict would cost more. */
    for (k = 0; k < center->n_neighbors; k++) {
        const int neighbor = listed[k] & mask;
        const double *r = positions + 3 * (size_t)neighbor;
        const double x = r[0] - origin[0], y = r[1] - origin[1], z = r[2] - origin[2];
        const double square = x * x + y * y + z * z;
        const int is_close = square < square_close;
        least = square < least ? square : least;
        close[n] = neighbor;
        n += is_close;
        if (has_others) {
            others[n_others] = neighbor;
            n_others += !is_close & (square < square_cutoff);
        }
    }
    for (k = 0; k < n_others; k++)
        close[n + k] = others[k];
    *n_close = n;
    *closest = sqrt(least);
    return n + n_others;
}

/* Sorts neighbors by species: those within reach of the angular functions from the front, among them the close ones
 * first, and the others from the end.
 * Squares stand in place of distances. Returns the density around the center. */
static double NAME(sort_neighbors)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                                   int atom, int capacity, int n_reached, int n_close, const int *reached,
                                   pair_arrays *all)
{
    const double *const positions = system->positions, *const origin = positions + 3 * (size_t)atom;
    const double inverse_square_range = plan->inverse_square_range;
    double density = 0.0;
    int s, k;

    for (s = 0; s < potential->n_species; s++)
        all[s].close = all[s].near = all[s].far = 0;
    for (k = 0; k < n_reached; k++) {
        const int neighbor = reached[k];
        const double *r = positions + 3 * (size_t)neighbor;
        const double x = r[0] - origin[0], y = r[1] - origin[1], z = r[2] - origin[2];
        const double square = x * x + y * y + z * z;
        const double part_of_range = square * inverse_square_range;
        const double ratio = part_of_range < 1.0 ? part_of_range : 1.0;
        const section *part;
        pair_arrays *pairs;
        int near, far, place;
        s = system->species_of_type[system->types[neighbor]];
        if (s < 0)
            continue;
        density += DENSITY(ratio);
        part = plan->sections + s;
        pairs = all + s;
        near = square < part->square_near;
        far = !near & (square < part->square_cutoff);
        pairs->far += far;
        place = far ? capacity - pairs->far : pairs->near;
        pairs->near += near;
        pairs->close += near & (k < n_close);
        pairs->index[place] = neighbor;
        pairs->dx[place] = x;
        pairs->dy[place] = y;
        pairs->dz[place] = z;
        pairs->r[place] = square;
    }
    return density;
}

/* Moves the far neighbors behind the near ones, and pads them to the stride. */
static void NAME(close_gap)(pair_arrays *pairs, int capacity, int stride)
{
    const int n = pairs->near + pairs->far;
    int k;

    for (k = pairs->near; k < n; k++) {
        const int from = capacity - n + k;
        pairs->index[k] = pairs->index[from];
        pairs->dx[k] = pairs->dx[from];
        pairs->dy[k] = pairs->dy[from];
        pairs->dz[k] = pairs->dz[from];
        pairs->r[k] = pairs->r[from];
    }
    for (k = n; k < stride; k++) {
        pairs->dx[k] = pairs->r[k] = 1.0;
        pairs->dy[k] = pairs->dz[k] = 0.0;
    }
}

/* Adds to the moments of the highest even and odd degree of the angular groups of a section. */
static void NAME(add_angular_moments)(const center_plan *plan, const section *part, const pair_arrays *pairs,
                                      const double *g, int columns, const double *monomials, int stride,
                                      double *moments)
{
    int k, parity;

    for (k = 0; k < part->n_angular; k++) {
        const group *own = plan->groups + part->first_group + k;
        const int tops[2] = {own->even, own->odd}, n = own->square_cutoff > plan->square_close ? pairs->near : pairs->close;
        for (parity = 0; parity < 2; parity++) {
            const int d = tops[parity];
            if (d >= 0)
                NAME(accumulate)(COMPONENTS(d), n, g + k * LANES, columns,
                                 monomials + (size_t)FIRST_MONOMIAL(d) * stride, stride, moments + own->offset[d]);
        }
    }
}

/* Adds to the moments of the angular groups of a section and to the shared ones. Returns the free memory behind what it
 * used. */
static double *NAME(find_angular_moments)(const plip_potential *potential, const center_plan *plan, const section *part,
                                          int alone, pair_arrays *pairs, int stride, double *memory, double *moments)
{
    const section *shared = plan->sections + potential->n_species;
    const int near = pairs->near, own = part->angular.n_columns, columns = own + shared->angular.n_columns;
    const int padded = ROUNDED_UP(near);
    double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride, *const offsets = uz + 2 * stride;
    double *const g = pairs->angular = memory, *const dg = g + (size_t)padded * columns;
    double *const powers = pairs->monomials = dg + (size_t)padded * columns;
    int k;

    if (own)
        NAME(look_up)(potential, &part->angular, alone, near, pairs->r, pairs->interval, offsets, g, dg, columns);
    NAME(look_up_shared)(potential, part, &shared->angular, &part->shared_angular, alone, near, pairs->r,
                         pairs->interval, offsets, g + own, dg + own, columns);
    for (k = near * columns; k < padded * columns; k++)
        g[k] = dg[k] = 0.0;
    NAME(monomials)(part->max_degree, padded, ux, uy, uz, stride, powers);
    NAME(add_angular_moments)(plan, part, pairs, g, columns, powers, stride, moments);
    NAME(add_angular_moments)(plan, shared, pairs, g + own, columns, powers, stride, moments);
    return powers + (size_t)FIRST_MONOMIAL(part->max_degree + 1) * stride;
}

/* Adds to the moments of the scalar groups of a section. */
static void NAME(add_scalar_moments)(const section *part, int n, const double *g, int columns, double *moments)
{
    int k, j;

    for (k = 0; k < part->n_scalar; k++) {
        VECTOR sum = LOAD(moments + part->scalar_moments + k * LANES);
        for (j = 0; j < n; j++)
            sum += LOAD(g + (size_t)j * columns + k * LANES);
        STORE(moments + part->scalar_moments + k * LANES, sum);
    }
}

/* Does the same for the scalar groups. Only derivatives of their functions are needed later. */
static double *NAME(find_scalar_moments)(const plip_potential *potential, const center_plan *plan, const section *part,
                                         int alone, pair_arrays *pairs, int stride, double *memory, double *moments)
{
    const section *shared = plan->sections + potential->n_species;
    const int n = pairs->near + pairs->far, own = part->scalar.n_columns, columns = own + shared->scalar.n_columns;
    const double *const offsets = pairs->unit + 4 * stride;
    double *const dg = pairs->scalar = memory, *const g = dg + (size_t)n * columns;

    if (own)
        NAME(look_up)(potential, &part->scalar, alone, n, pairs->r, pairs->interval, offsets, g, dg, columns);
    NAME(look_up_shared)(potential, part, &shared->scalar, &part->shared_scalar, alone, n, pairs->r, pairs->interval,
                         offsets, g + own, dg + own, columns);
    NAME(add_scalar_moments)(part, n, g, columns, moments);
    NAME(add_scalar_moments)(shared, n, g + own, columns, moments);
    return g + (size_t)n * columns;
}

/* Adds to the moments what the neighbors of one species make. Returns the free memory behind what it used. */
static double *NAME(find_moments_of_section)(const plip_potential *potential, const center_plan *plan,
                                             const section *part, int alone, int capacity, pair_arrays *pairs,
                                             double *memory, double *moments)
{
    const section *shared = plan->sections + potential->n_species;
    const int near = pairs->near, n = near + pairs->far, stride = ROUNDED_UP(n);

    if (n == 0)
        return memory;
    NAME(close_gap)(pairs, capacity, stride);
    pairs->unit = memory;
    memory += (size_t)PAIR_ROWS * stride;
    NAME(prepare_pairs)(part, pairs, stride);
    if (near && part->angular.n_columns + shared->angular.n_columns)
        memory = NAME(find_angular_moments)(potential, plan, part, alone, pairs, stride, memory, moments);
    if (part->scalar.n_columns + shared->scalar.n_columns)
        memory = NAME(find_scalar_moments)(potential, plan, part, alone, pairs, stride, memory, moments);
    return memory;
}

/* Finds the neighbors and the moments of a center. `alone`: of a single neighbor, see look_up. */
static void NAME(find_moments)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                               const plip_workspace *work, center_arrays *arrays, plip_center *center, int alone,
                               int mask)
{
    double *memory = arrays->rows, *const moments = arrays->moments;
    int n_close, s, m;
    const int n_reached = plan->square_close < plan->square_cutoff
                        ? NAME(find_reached)(1, plan, system, work, center, mask, &n_close, &center->closest)
                        : NAME(find_reached)(0, plan, system, work, center, mask, &n_close, &center->closest);

    arrays->density = NAME(sort_neighbors)(potential, plan, system, center->atom, work->capacity, n_reached, n_close,
                                           work->reached, arrays->pairs);
    center->crowding = arrays->density / plan->limit;
    for (m = 0; m < plan->n_moments; m++)
        moments[m] = 0.0;
    for (s = 0; s < potential->n_species; s++)
        memory = NAME(find_moments_of_section)(potential, plan, plan->sections + s, alone, work->capacity,
                                               arrays->pairs + s, memory, moments);
    for (m = 0; m < plan->n_groups; m++) {
        NAME(trace)(plan->groups + m, plan->groups[m].even, moments);
        NAME(trace)(plan->groups + m, plan->groups[m].odd, moments);
    }
}
