/* From the neighbors of a center to its moments; part of plip_kernel.h. */

static inline void NAME(clear)(int n, const moment_range *ranges, double *moments)
{
    for (; n > 0; n--, ranges++)
        memset(moments + ranges->first, 0, (size_t)ranges->n * sizeof(double));
}

/* Adds to moments of one or two groups the sums over n neighbors of g u^alpha, for `count` monomials: the sums are held
 * in registers. `size`: of the monomials of NEIGHBOR_BLOCK neighbors. */
static FORCE_INLINE void NAME(accumulate)(const int n_groups, const int count, int n, const double *g, int columns,
                                          const double *monomials, size_t size, double *const moments[2])
{
    VECTOR sum[2][14];
    int j, i, k, m;

    UNROLL(2)
    for (m = 0; m < n_groups; m++) {
        UNROLL(14)
        for (k = 0; k < count; k++)
            sum[m][k] = LOAD(moments[m] + k * LANES);
    }
    for (j = 0; j < n; j += NEIGHBOR_BLOCK, monomials += size) {
        const int end = n - j < NEIGHBOR_BLOCK ? n - j : NEIGHBOR_BLOCK;
        for (i = 0; i < end; i++, g += columns) {
            UNROLL(14)
            for (k = 0; k < count; k++) {
                const double monomial = monomials[k * NEIGHBOR_BLOCK + i];
                sum[0][k] += LOAD(g) * monomial;
                if (n_groups > 1)
                    sum[1][k] += LOAD(g + LANES) * monomial;
            }
        }
    }
    UNROLL(2)
    for (m = 0; m < n_groups; m++) {
        UNROLL(14)
        for (k = 0; k < count; k++)
            STORE(moments[m] + k * LANES, sum[m][k]);
    }
}

/* The same for all monomials of a degree: 1, 3, 6, 10, 15, 21, 28 and so on. */
static void NAME(accumulate_degree)(int n_groups, int degree, int n, const double *g, int columns,
                                    const double *monomials, size_t size, double *const moments[2])
{
    double *place[2];
    int count = COMPONENTS(degree), step;

    place[0] = moments[0];
    place[1] = moments[1];
    for (; count > 0; count -= step) {
#define STEP(groups, number)                                                                       \
    case number:                                                                                   \
        NAME(accumulate)(groups, number, n, g, columns, monomials, size, place);                   \
        break
        if (n_groups == 2) {
            step = count % 5 == 0 ? 5 : count >= 6 ? 6 : count >= 3 ? 3 : 1;
            switch (step) {
                STEP(2, 6);
                STEP(2, 5);
                STEP(2, 3);
                STEP(2, 1);
            }
        } else {
            /* 15 = 8 + 7: a remainder of one would wait for its own sum */
            step = count >= 14 && count != 15 ? 14 : count == 10 ? 10 : count >= 8 ? 8 : count >= 6 ? count
                 : count >= 3 ? 3 : 1;
            switch (step) {
                STEP(1, 14);
                STEP(1, 10);
                STEP(1, 8);
                STEP(1, 7);
                STEP(1, 6);
                STEP(1, 3);
                STEP(1, 1);
            }
        }
#undef STEP
        monomials += step * NEIGHBOR_BLOCK;
        place[0] += step * LANES;
        place[1] += step * LANES;
    }
}

/* Monomials of the unit vectors of LANES neighbors of all degrees from 1 to `last`. Inlined with degrees known, so that
 * no loop remains. */
static FORCE_INLINE void NAME(raise_monomials)(const int last, VECTOR x, VECTOR y, VECTOR z, double *result)
{
    int d, k;

    UNROLL(6)
    for (d = 1; d <= last; d++) {
        const double *old = result;
        double *new = result += COMPONENTS(d - 1) * NEIGHBOR_BLOCK;
        STORE(new, x * LOAD(old));
        new += NEIGHBOR_BLOCK;
        UNROLL(6)
        for (k = 0; k < d; k++)
            STORE(new + k * NEIGHBOR_BLOCK, y * LOAD(old + k * NEIGHBOR_BLOCK));
        new += d * NEIGHBOR_BLOCK;
        UNROLL(21)
        for (k = 0; k < COMPONENTS(d - 1); k++)
            STORE(new + k * NEIGHBOR_BLOCK, z * LOAD(old + k * NEIGHBOR_BLOCK));
    }
}

/* All monomials of the unit vectors up to max_degree, [block][monomial][neighbor], with n / NEIGHBOR_BLOCK blocks. */
static void NAME(monomials)(int max_degree, int n, const double *x, const double *y, const double *z, double *result)
{
    const VECTOR one = (VECTOR){0} + 1.0;
    const size_t size = FIRST_MONOMIAL(max_degree + 1) * (size_t)NEIGHBOR_BLOCK;
    int j;

    for (j = 0; j < n; j += LANES) {
        const VECTOR vx = LOAD(x + j), vy = LOAD(y + j), vz = LOAD(z + j);
        double *first = result + j / NEIGHBOR_BLOCK * size + j % NEIGHBOR_BLOCK;
        STORE(first, one);
#define DEGREE(d)                                        \
    case d:                                              \
        NAME(raise_monomials)(d, vx, vy, vz, first);     \
        break
        switch (max_degree) {
            DEGREE(1);
            DEGREE(2);
            DEGREE(3);
            DEGREE(4);
            DEGREE(5);
        default:
            NAME(raise_monomials)(max_degree, vx, vy, vz, first);
        }
#undef DEGREE
    }
}

/* Degree d - 2 from degree d: x^2 + y^2 + z^2 = 1. */
static FORCE_INLINE void NAME(trace_degree)(const int d, const double *moments, double *result)
{
    int y, z;

    UNROLL(6)
    for (z = 0; z <= d - 2; z++) {
        UNROLL(6)
        for (y = 0; y <= d - 2 - z; y++)
            STORE(result + MONOMIAL(d - 2, y, z) * LANES,
                  LOAD(moments + MONOMIAL(d, y, z) * LANES) + LOAD(moments + MONOMIAL(d, y + 2, z) * LANES) +
                      LOAD(moments + MONOMIAL(d, y, z + 2) * LANES));
    }
}

/* Lower degrees from higher ones. Inlined with usual degrees known, so that no loop remains. */
static void NAME(trace)(const group *g, int top, double *moments)
{
    int d;

    for (d = top; d >= 2; d -= 2) {
        const double *from = moments + g->offset[d];
        double *to = moments + g->offset[d - 2];
#define DEGREE(d)                          \
    case d:                                \
        NAME(trace_degree)(d, from, to);   \
        break
        switch (d) {
            DEGREE(2);
            DEGREE(3);
            DEGREE(4);
            DEGREE(5);
        default:
            NAME(trace_degree)(d, from, to);
        }
#undef DEGREE
    }
}

/* Vectors from the center to the listed neighbors, and their squares. */
static void NAME(find_vectors)(const plip_system *system, const plip_workspace *work, const plip_center *center,
                               int mask)
{
    const double *const positions = system->positions, *const origin = positions + 3 * (size_t)center->atom;
    const double origin_x = origin[0], origin_y = origin[1], origin_z = origin[2];
    double *const x = work->listed, *const y = x + work->capacity, *const z = y + work->capacity;
    double *const square = z + work->capacity;
    const int *const listed = center->neighbors;
    int j, k;

    for (j = 0; j + LANES <= center->n_neighbors; j += LANES) {
        const double *r[LANES];
        UNROLL(8)
        for (k = 0; k < LANES; k++)
            r[k] = positions + 3 * (size_t)(listed[j + k] & mask);
        {
            const VECTOR all_x = OF_ALL(r, 0), all_y = OF_ALL(r, 1), all_z = OF_ALL(r, 2);
            const VECTOR dx = all_x - origin_x, dy = all_y - origin_y, dz = all_z - origin_z;
            STORE(x + j, dx);
            STORE(y + j, dy);
            STORE(z + j, dz);
            STORE(square + j, dx * dx + dy * dy + dz * dz);
        }
    }
    for (; j < center->n_neighbors; j++) {
        const double *r = positions + 3 * (size_t)(listed[j] & mask);
        x[j] = r[0] - origin_x;
        y[j] = r[1] - origin_y;
        z[j] = r[2] - origin_z;
        square[j] = x[j] * x[j] + y[j] * y[j] + z[j] * z[j];
    }
}

/* Finds the places in the list of the neighbors within the cutoff. Returns their number. `closest`: distance of the
 * closest of all. */
static int NAME(find_reached)(const center_plan *plan, const plip_workspace *work, int n_listed, double *closest)
{
    const double *const square = work->listed + 3 * (size_t)work->capacity, square_cutoff = plan->square_cutoff;
    int *const reached = work->reached;
    double least = INFINITY;
    int n = 0, j;

    /* Written in any case, kept if within reach: a branch that nobody can predict would cost more. */
    for (j = 0; j < n_listed; j++) {
        least = square[j] < least ? square[j] : least;
        reached[n] = j;
        n += square[j] < square_cutoff;
    }
    *closest = sqrt(least);
    return n;
}

/* Sorts neighbors by species, and within each into close ones, other near ones and far ones. Squares stand in place of
 * distances. Returns the density around the center. `is_single`: there is one species. */
static FORCE_INLINE double NAME(sort_neighbors)(const int is_single, const plip_potential *potential,
                                                const center_plan *plan, const plip_system *system,
                                                const plip_workspace *work, const plip_center *center, int n_reached,
                                                int mask, pair_arrays *all)
{
    const double *const x = work->listed, *const y = x + work->capacity, *const z = y + work->capacity;
    const double *const squares = z + work->capacity;
    const double inverse_square_range = plan->inverse_square_range, square_close = plan->square_close;
    double density = 0.0;
    int s, k;

    for (s = 0; s < potential->n_species; s++)
        memset(all[s].next, 0, sizeof all[s].next);
    for (k = 0; k < n_reached; k++) {
        const double square = squares[work->reached[k]], part_of_range = square * inverse_square_range;
        const double ratio = part_of_range < 1.0 ? part_of_range : 1.0;
        const section *part = plan->sections;
        int is_near, kind;
        s = system->species_of_type[system->types[center->neighbors[work->reached[k]] & mask]];
        work->kinds[k] = PAIR_BEYOND;
        if (s < 0)
            continue;
        density += DENSITY(ratio);
        part += is_single ? 0 : s;
        is_near = square < part->square_near;
        /* Sums in place of branches that nobody can predict. */
        kind = 2 * !is_near + ((is_near & (square >= square_close)) | (!is_near & (square >= part->square_cutoff)));
        work->kinds[k] = is_single ? kind : 4 * s + kind;
        all[is_single ? 0 : s].next[kind]++;
    }
    for (s = 0; s < potential->n_species; s++) {
        pair_arrays *pairs = all + s;
        pairs->close = pairs->next[PAIR_CLOSE];
        pairs->near = pairs->close + pairs->next[PAIR_NEAR];
        pairs->far = pairs->next[PAIR_FAR];
        pairs->next[PAIR_CLOSE] = 0;
        pairs->next[PAIR_NEAR] = pairs->close;
        pairs->next[PAIR_FAR] = pairs->near;
        pairs->next[PAIR_BEYOND] = pairs->near + pairs->far;
    }
    for (k = 0; k < n_reached; k++) {
        pair_arrays *pairs = all + (is_single ? 0 : work->kinds[k] / 4);
        const int kind = is_single ? work->kinds[k] : work->kinds[k] % 4, from = work->reached[k];
        const int place = pairs->next[kind]++;
        pairs->index[place] = center->neighbors[from] & mask;
        pairs->dx[place] = x[from];
        pairs->dy[place] = y[from];
        pairs->dz[place] = z[from];
        pairs->r[place] = squares[from];
    }
    return density;
}

/* Pads neighbors to the stride. */
static void NAME(pad)(pair_arrays *pairs, int stride)
{
    int k;

    for (k = pairs->near + pairs->far; k < stride; k++) {
        pairs->dx[k] = pairs->r[k] = 1.0;
        pairs->dy[k] = pairs->dz[k] = 0.0;
    }
}

/* Adds to the moments of the highest even and odd degree of the angular groups of a section: of two groups at a time
 * that reach as far and have the same degree. `size`: of the monomials of a block. */
static void NAME(add_angular_moments)(const center_plan *plan, const section *part, const pair_arrays *pairs,
                                      const double *g, int columns, const double *monomials, size_t size,
                                      double *moments)
{
    int k, parity, n_groups;

    for (parity = 0; parity < 2; parity++)
        for (k = 0; k < part->n_angular; k += n_groups) {
            const group *own = plan->groups + part->first_group + k, *next = own + 1;
            const int degree = parity ? own->odd : own->even, is_far = own->square_cutoff > plan->square_close;
            double *place[2];
            n_groups = 1;
            if (degree < 0)
                continue;
            place[0] = place[1] = moments + own->offset[degree];
            if (k + 1 < part->n_angular && (parity ? next->odd : next->even) == degree &&
                (next->square_cutoff > plan->square_close) == is_far) {
                place[1] = moments + next->offset[degree];
                n_groups = 2;
            }
            NAME(accumulate_degree)(n_groups, degree, is_far ? pairs->near : pairs->close, g + k * LANES, columns,
                                    monomials + FIRST_MONOMIAL(degree) * NEIGHBOR_BLOCK, size, place);
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
    const size_t n_monomials = FIRST_MONOMIAL(part->max_degree + 1);
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
    NAME(monomials)(part->max_degree, padded, ux, uy, uz, powers);
    NAME(add_angular_moments)(plan, part, pairs, g, columns, powers, n_monomials * NEIGHBOR_BLOCK, moments);
    NAME(add_angular_moments)(plan, shared, pairs, g + own, columns, powers, n_monomials * NEIGHBOR_BLOCK, moments);
    return powers + n_monomials * padded;
}

/* Adds to the moments of the scalar groups of a section. Two sums, so that none waits for the other. */
static void NAME(add_scalar_moments)(const section *part, int n, const double *g, int columns, double *moments)
{
    double *place = moments + part->scalar_moments;
    int k, j;

    for (k = 0; k < part->n_scalar; k++, g += LANES, place += LANES) {
        const double *value = g;
        VECTOR first = LOAD(place), second = {0};
        for (j = 0; j + 2 <= n; j += 2, value += 2 * columns) {
            first += LOAD(value);
            second += LOAD(value + columns);
        }
        if (j < n)
            first += LOAD(value);
        STORE(place, first + second);
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
                                             const section *part, int alone, pair_arrays *pairs,
                                             double *memory, double *moments)
{
    const section *shared = plan->sections + potential->n_species;
    const int near = pairs->near, n = near + pairs->far, stride = ROUNDED_UP(n);

    if (n == 0)
        return memory;
    NAME(pad)(pairs, stride);
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
    int n_reached, s, m;

    NAME(find_vectors)(system, work, center, mask);
    n_reached = NAME(find_reached)(plan, work, center->n_neighbors, &center->closest);
    arrays->density = potential->n_species == 1
                    ? NAME(sort_neighbors)(1, potential, plan, system, work, center, n_reached, mask, arrays->pairs)
                    : NAME(sort_neighbors)(0, potential, plan, system, work, center, n_reached, mask, arrays->pairs);
    center->crowding = arrays->density / plan->limit;
    NAME(clear)(plan->n_summed, plan->summed, moments);
    for (s = 0; s < potential->n_species; s++)
        memory = NAME(find_moments_of_section)(potential, plan, plan->sections + s, alone,
                                               arrays->pairs + s, memory, moments);
    for (m = 0; m < plan->n_groups; m++) {
        NAME(trace)(plan->groups + m, plan->groups[m].even, moments);
        NAME(trace)(plan->groups + m, plan->groups[m].odd, moments);
    }
}
