/* Energy and derivatives of one centre. Included once per instruction set, with
 *   LANES   doubles per vector
 *   NAME(f) the name of f in this variant
 */

#if LANES > 1
typedef double NAME(vector) __attribute__((vector_size(8 * LANES), may_alias));
#else
typedef double NAME(vector);
#endif
#define VECTOR NAME(vector)
#define LOAD(p) (*(const VECTOR *)(p))
#define STORE(p, v) (*(VECTOR *)(p) = (v))

/* Neighbours that the backward pass takes at a time: 12 sums and 4 operands fill 16 registers. */
#define STEP 4

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

/* result[k] = total of the k-th of four vectors, those of one neighbour */
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

/* moments[k] = sum over n neighbours of g u^alpha(k), for `count` monomials held in registers */
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
    while (count > 0) {
        int step;
        /* 15 = 8 + 7: a remainder of one would wait for its own sum */
        if (count >= 14 && count != 15) {
            NAME(accumulate_14)(n, g, columns, monomials, stride, moments);
            step = 14;
        } else if (count == 10) {
            NAME(accumulate_10)(n, g, columns, monomials, stride, moments);
            step = 10;
        } else if (count >= 8) {
            NAME(accumulate_8)(n, g, columns, monomials, stride, moments);
            step = 8;
        } else if (count == 7) {
            NAME(accumulate_7)(n, g, columns, monomials, stride, moments);
            step = 7;
        } else if (count == 6) {
            NAME(accumulate_6)(n, g, columns, monomials, stride, moments);
            step = 6;
        } else if (count >= 3) {
            NAME(accumulate_3)(n, g, columns, monomials, stride, moments);
            step = 3;
        } else {
            NAME(accumulate_1)(n, g, columns, monomials, stride, moments);
            step = 1;
        }
        count -= step;
        monomials += (size_t)step * stride;
        moments += step * LANES;
    }
}

/* Values and derivatives of all columns of a table at n distances, [neighbour][column]. */
static void NAME(look_up)(const plip_potential *potential, const table *radial, int n, const double *r,
                          const int *interval, const double *weights, int stride, double *g, double *dg)
{
    int columns = radial->n_columns, j, c, k;

    for (j = 0; j < n; j++) {
        const double *knot = radial->knots + (size_t)interval[j] * 3 * columns;
        const double *w = weights + j;
        if (radial->exact[interval[j]]) {
            for (c = 0; c < columns; c++) {
                double value[3];
                plip_column_exact(potential, radial->columns + c, r[j], value);
                g[(size_t)j * columns + c] = value[0];
                dg[(size_t)j * columns + c] = value[1];
            }
            continue;
        }
        for (c = 0; c < columns; c += LANES) {
            VECTOR data = LOAD(knot + c);
            VECTOR value = data * w[0], slope = data * w[6 * (size_t)stride];
            for (k = 1; k < 6; k++) {
                data = LOAD(knot + k * columns + c);
                value += data * w[k * (size_t)stride];
                slope += data * w[(6 + k) * (size_t)stride];
            }
            STORE(g + (size_t)j * columns + c, value);
            STORE(dg + (size_t)j * columns + c, slope);
        }
    }
}

/* All monomials of the unit vectors up to max_degree, [monomial][neighbour]. */
static void NAME(monomials)(int max_degree, int n, const double *x, const double *y, const double *z, int stride,
                            double *result)
{
    double *old, *new;
    int d, k, j;

    for (j = 0; j < n; j++)
        result[j] = 1.0;
    old = result;
    for (d = 1; d <= max_degree; d++) {
        new = old + (size_t)COMPONENTS(d - 1) * stride;
        for (j = 0; j < n; j++)
            new[j] = x[j] * old[j];
        for (k = 0; k < d; k++)
            for (j = 0; j < n; j++)
                new[(size_t)(k + 1) * stride + j] = y[j] * old[(size_t)k * stride + j];
        for (k = 0; k < COMPONENTS(d - 1); k++)
            for (j = 0; j < n; j++)
                new[(size_t)(d + 1 + k) * stride + j] = z[j] * old[(size_t)k * stride + j];
        old = new;
    }
}

static inline VECTOR NAME(gather)(const double *from, const int *index)
{
#if LANES == 8
    return (VECTOR){from[index[0]], from[index[1]], from[index[2]], from[index[3]],
                    from[index[4]], from[index[5]], from[index[6]], from[index[7]]};
#elif LANES == 4
    return (VECTOR){from[index[0]], from[index[1]], from[index[2]], from[index[3]]};
#elif LANES == 2
    return (VECTOR){from[index[0]], from[index[1]]};
#else
    return from[index[0]];
#endif
}

/* Energy of the couplings and of the polynomials; adjoints = derivatives with respect to the moments. */
static double NAME(contract)(const plip_potential *potential, const centre_plan *plan, const double *moments,
                             double *adjoints, double *scratch)
{
    const VECTOR zero = {0};
    VECTOR energy = zero;
    double sum[LANES] __attribute__((aligned(64)));
    int m, n, k, lane;

    for (m = 0; m < plan->n_moments; m++)
        adjoints[m] = 0.0;
    for (n = 0; n < plan->n_groups; n++) {
        const group *g = plan->groups + n;
        VECTOR value = {0}, slope = {0}, density;
        if (g->order == 0)
            continue;
        density = LOAD(moments + g->offset[0]);
        for (k = g->order - 1; k >= 0; k--) {
            VECTOR c = LOAD(g->polynomial + k * LANES);
            value = value * density + c;
            slope = slope * density + c * (double)(k + 1);
        }
        energy += value * density;
        STORE(adjoints + g->offset[0], slope);
    }
    for (n = 0; n < plan->n_couplings; n++) {
        const coupling *w = plan->couplings + n;
        const double *multiplicity = potential->degrees[w->degree].multiplicity;
        for (k = 0; k < COMPONENTS(w->degree); k++) {
            VECTOR moment = LOAD(moments + w->moments + k * LANES), product = {0};
            if (w->diagonal)
                product = moment * LOAD(w->diagonal);
            for (m = 0; m < w->n; m++)
                product += LOAD(w->weights + m * LANES) * moments[w->partner[m] + k * LANES];
            product = product * multiplicity[k];
            energy += product * moment * 0.5;
            STORE(adjoints + w->moments + k * LANES, LOAD(adjoints + w->moments + k * LANES) + product);
        }
    }
    for (n = 0; n < plan->n_batches; n++) {
        const batch *terms = plan->batches + n;
        const contraction *rank = potential->contractions + terms->contraction;
        const int n_in[3] = {rank->n_a, rank->n_b, rank->n_c};
        const int *where[3];
        double *in[3], *out[3], *place = scratch;
        VECTOR weight = LOAD(terms->weight), value = {0};
        int arm;
        where[0] = terms->a;
        where[1] = terms->b;
        where[2] = terms->c;
        for (arm = 0; arm < 3; arm++) {
            in[arm] = place;
            out[arm] = place + n_in[arm] * LANES;
            place += 2 * n_in[arm] * LANES;
            for (k = 0; k < n_in[arm]; k++) {
                STORE(in[arm] + k * LANES, NAME(gather)(moments + k * LANES, where[arm]));
                STORE(out[arm] + k * LANES, zero);
            }
        }
        for (k = 0; k < rank->n_entries; k++) {
            const entry *e = rank->entries + k;
            VECTOR a = LOAD(in[0] + e->a * LANES), b = LOAD(in[1] + e->b * LANES);
            VECTOR c = LOAD(in[2] + e->c * LANES) * e->coefficient;
            VECTOR ab = a * b;
            STORE(out[0] + e->a * LANES, LOAD(out[0] + e->a * LANES) + b * c);
            STORE(out[1] + e->b * LANES, LOAD(out[1] + e->b * LANES) + a * c);
            STORE(out[2] + e->c * LANES, LOAD(out[2] + e->c * LANES) + ab * e->coefficient);
        }
        for (k = 0; k < rank->n_c; k++)
            value += LOAD(in[2] + k * LANES) * LOAD(out[2] + k * LANES);
        energy += value * weight;
        for (arm = 0; arm < 3; arm++)
            for (k = 0; k < n_in[arm]; k++) {
                double *to = adjoints + k * LANES;
                STORE(sum, LOAD(out[arm] + k * LANES) * weight);
                for (lane = 0; lane < terms->n; lane++)
                    to[where[arm][lane]] += sum[lane];
            }
    }
    STORE(sum, energy);
    return NAME(total)(sum);
}

/* Lower degrees from higher ones: x^2 + y^2 + z^2 = 1. */
static void NAME(trace)(const plip_potential *potential, const group *g, int top, double *moments)
{
    int d, k;

    for (d = top; d >= 2; d -= 2) {
        const degree_tables *upper = potential->degrees + d, *lower = potential->degrees + d - 1;
        const double *from = moments + g->offset[d];
        double *to = moments + g->offset[d - 2];
        for (k = 0; k < COMPONENTS(d - 2); k++)
            STORE(to + k * LANES, LOAD(from + upper->up[0][lower->up[0][k]] * LANES) +
                                      LOAD(from + upper->up[1][lower->up[1][k]] * LANES) +
                                      LOAD(from + upper->up[2][lower->up[2][k]] * LANES));
    }
}

static void NAME(trace_back)(const plip_potential *potential, const group *g, int top, double *adjoints)
{
    int d, k, axis;

    for (d = 2 + (top & 1); d <= top; d += 2) {
        const degree_tables *upper = potential->degrees + d, *lower = potential->degrees + d - 1;
        const double *from = adjoints + g->offset[d - 2];
        double *to = adjoints + g->offset[d];
        for (k = 0; k < COMPONENTS(d - 2); k++)
            for (axis = 0; axis < 3; axis++) {
                double *place = to + upper->up[axis][lower->up[axis][k]] * LANES;
                STORE(place, LOAD(place) + LOAD(from + k * LANES));
            }
    }
}

/* Adds to sums[neighbour] = {S_x, S_y, S_z, T} of one group, where P(u) = sum of adjoint u^alpha over the two top
 * degrees, S = g grad P and T = g' P. */
static void NAME(backward)(const plip_potential *potential, const group *g, const double *adjoints,
                           double *gradients, int n, const double *value, const double *slope, int columns,
                           const double *monomials, int stride, double *sums)
{
    const int tops[2] = {g->even, g->odd};
    const double *x = monomials + stride, *y = x + stride, *z = y + stride;
    const VECTOR zero = {0};
    double *first = gradients;
    int parity, k, j, i;

    for (parity = 0; parity < 2; parity++) {
        const degree_tables *degree;
        const double *adjoint;
        int d = tops[parity], axis;
        if (d < 1)
            continue;
        degree = potential->degrees + d;
        adjoint = adjoints + g->offset[d];
        for (k = 0; k < COMPONENTS(d - 1); k++)
            for (axis = 0; axis < 3; axis++)
                STORE(first + (3 * k + axis) * LANES,
                      LOAD(adjoint + degree->up[axis][k] * LANES) * degree->factor[axis][k]);
        first += 3 * COMPONENTS(d - 1) * LANES;
    }
    for (j = 0; j < n; j += STEP) {
        VECTOR px[STEP], py[STEP], pz[STEP], p[STEP];
        for (i = 0; i < STEP; i++) {
            px[i] = py[i] = pz[i] = zero;
            p[i] = g->even == 0 ? LOAD(adjoints + g->offset[0]) : zero;
        }
        first = gradients;
        for (parity = 0; parity < 2; parity++) {
            VECTOR ax[STEP], ay[STEP], az[STEP];
            const int d = tops[parity], count = COMPONENTS(d - 1);
            const double *u;
            if (d < 1)
                continue;
            for (i = 0; i < STEP; i++)
                ax[i] = ay[i] = az[i] = zero;
            u = monomials + (size_t)FIRST_MONOMIAL(d - 1) * stride + j;
            for (k = 0; k < count; k++) {
                VECTOR gx = LOAD(first), gy = LOAD(first + LANES), gz = LOAD(first + 2 * LANES);
                first += 3 * LANES;
                for (i = 0; i < STEP; i++) {
                    ax[i] += gx * u[i];
                    ay[i] += gy * u[i];
                    az[i] += gz * u[i];
                }
                u += stride;
            }
            for (i = 0; i < STEP; i++) {
                p[i] += (ax[i] * x[j + i] + ay[i] * y[j + i] + az[i] * z[j + i]) * (1.0 / d);
                px[i] += ax[i];
                py[i] += ay[i];
                pz[i] += az[i];
            }
        }
        for (i = 0; i < STEP; i++) {
            double *s = sums + (size_t)(j + i) * 4 * LANES;
            VECTOR v = LOAD(value + (size_t)(j + i) * columns), dv = LOAD(slope + (size_t)(j + i) * columns);
            STORE(s, LOAD(s) + v * px[i]);
            STORE(s + LANES, LOAD(s + LANES) + v * py[i]);
            STORE(s + 2 * LANES, LOAD(s + 2 * LANES) + v * pz[i]);
            STORE(s + 3 * LANES, LOAD(s + 3 * LANES) + dv * p[i]);
        }
    }
}

static int NAME(centre)(const plip_potential *potential, plip_workspace *work, const plip_system *system, int i,
                        int n_neighbours, const int *neighbours, int mask, double *energy)
{
    const int species = system->species_of_type[system->types[i]];
    const int n_species = potential->n_species;
    const double *origin = system->positions + 3 * (size_t)i;
    const centre_plan *plan;
    double force[3] = {0.0, 0.0, 0.0}, strain[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    double *memory;
    int s, k, j;

    *energy = 0.0;
    if (species < 0)
        return 0;
    plan = potential->centres + species;
    if (work->capacity < n_neighbours && plip_workspace_reserve(potential, work, n_neighbours))
        return -1;

    /* Neighbours by species; those within reach of the angular functions from the front, the others from the end. */
    for (s = 0; s < n_species; s++)
        work->pairs[s].near = work->pairs[s].far = 0;
    for (k = 0; k < n_neighbours; k++) {
        const int neighbour = neighbours[k] & mask;
        const double *r = system->positions + 3 * (size_t)neighbour;
        const double x = r[0] - origin[0], y = r[1] - origin[1], z = r[2] - origin[2];
        const double square = x * x + y * y + z * z;
        const section *part;
        pair_arrays *pairs;
        int place;
        s = system->species_of_type[system->types[neighbour]];
        if (s < 0)
            continue;
        part = plan->sections + s;
        pairs = work->pairs + s;
        /* Written in any case, kept if near: a branch that nobody can predict would cost more. */
        place = pairs->near;
        pairs->near += square < part->square_near;
        if (square >= part->square_near && square < part->square_cutoff)
            place = work->capacity - ++pairs->far;
        pairs->index[place] = neighbour;
        pairs->dx[place] = x;
        pairs->dy[place] = y;
        pairs->dz[place] = z;
        pairs->r[place] = square;
    }

    /* Forward: moments. */
    for (k = 0; k < plan->n_moments; k++)
        work->moments[k] = 0.0;
    memory = work->rows;
    for (s = 0; s < n_species; s++) {
        const section *part = plan->sections + s;
        pair_arrays *pairs = work->pairs + s;
        const int near = pairs->near, n = near + pairs->far;
        const int stride = (n + NEIGHBOUR_BLOCK - 1) / NEIGHBOUR_BLOCK * NEIGHBOUR_BLOCK;
        double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz, *const r = pairs->r;
        double *ux, *uy, *uz, *inverse, *weights;
        int *const interval = pairs->interval;
        int columns;

        if (n == 0)
            continue;
        for (k = near; k < n; k++) {
            const int from = work->capacity - n + k;
            pairs->index[k] = pairs->index[from];
            dx[k] = dx[from];
            dy[k] = dy[from];
            dz[k] = dz[from];
            r[k] = r[from];
        }
        for (j = n; j < stride; j++) {
            dx[j] = r[j] = 1.0;
            dy[j] = dz[j] = 0.0;
        }
        ux = pairs->unit = memory;
        uy = ux + stride;
        uz = uy + stride;
        inverse = uz + stride;
        weights = inverse + stride;
        memory += (size_t)PAIR_ROWS * stride;
        INDEPENDENT
        for (j = 0; j < stride; j++) {
            const double distance = sqrt(r[j]), over = 1.0 / distance, slope = part->inverse_spacing;
            const double scaled = distance * slope;
            const int left = (int)scaled;
            const double t = scaled - left, t2 = t * t, t3 = t2 * t;
            const double a = t3 * (10.0 + t * (6.0 * t - 15.0)), b = 30.0 * t2 * (1.0 + t * (t - 2.0)) * slope;
            double *w = weights + j;
            interval[j] = left;
            r[j] = distance;
            inverse[j] = over;
            ux[j] = dx[j] * over;
            uy[j] = dy[j] * over;
            uz[j] = dz[j] * over;
            w[0] = 1.0 - a;
            w[stride] = t - t3 * (6.0 + t * (3.0 * t - 8.0));
            w[2 * stride] = 0.5 * t2 - t3 * (1.5 + t * (0.5 * t - 1.5));
            w[3 * stride] = a;
            w[4 * stride] = t3 * (t * (7.0 - 3.0 * t) - 4.0);
            w[5 * stride] = t3 * (0.5 + t * (0.5 * t - 1.0));
            w[6 * stride] = -b;
            w[7 * stride] = slope * (1.0 - t2 * (18.0 + t * (15.0 * t - 32.0)));
            w[8 * stride] = slope * t * (1.0 - t * (4.5 + t * (2.5 * t - 6.0)));
            w[9 * stride] = b;
            w[10 * stride] = slope * t2 * (t * (28.0 - 15.0 * t) - 12.0);
            w[11 * stride] = slope * t2 * (1.5 + t * (2.5 * t - 4.0));
        }
        columns = part->angular.n_columns;
        if (near && columns) {
            const int padded = (near + NEIGHBOUR_BLOCK - 1) / NEIGHBOUR_BLOCK * NEIGHBOUR_BLOCK;
            double *g = pairs->angular = memory, *dg = g + (size_t)padded * columns, *monomials;
            pairs->monomials = monomials = dg + (size_t)padded * columns;
            memory = monomials + (size_t)FIRST_MONOMIAL(part->max_degree + 1) * stride;
            NAME(look_up)(potential, &part->angular, near, r, interval, weights, stride, g, dg);
            for (k = near * columns; k < padded * columns; k++)
                g[k] = dg[k] = 0.0;
            NAME(monomials)(part->max_degree, padded, ux, uy, uz, stride, monomials);
            for (k = 0; k < part->n_angular; k++) {
                const group *g_k = plan->groups + part->first_group + k;
                const int tops[2] = {g_k->even, g_k->odd};
                int parity;
                for (parity = 0; parity < 2; parity++) {
                    const int d = tops[parity];
                    if (d < 0)
                        continue;
                    NAME(accumulate)(COMPONENTS(d), near, g + k * LANES, columns,
                                     monomials + (size_t)FIRST_MONOMIAL(d) * stride, stride,
                                     work->moments + g_k->offset[d]);
                    NAME(trace)(potential, g_k, d, work->moments);
                }
            }
        }
        columns = part->scalar.n_columns;
        if (columns) {
            double *g = pairs->scalar = memory, *dg = g + (size_t)n * columns;
            memory = dg + (size_t)n * columns;
            NAME(look_up)(potential, &part->scalar, n, r, interval, weights, stride, g, dg);
            for (k = 0; k < part->n_scalar; k++) {
                VECTOR sum = {0};
                for (j = 0; j < n; j++)
                    sum += LOAD(g + (size_t)j * columns + k * LANES);
                STORE(work->moments + part->scalar_moments + k * LANES, sum);
            }
        }
    }

    *energy = plan->reference_energy + NAME(contract)(potential, plan, work->moments, work->adjoints, work->four_body);
    if (!system->forces && !system->strain_derivative && !system->strain_derivatives)
        return 0;

    /* Backward: derivatives with respect to the pair vectors. */
    for (s = 0; s < n_species; s++) {
        const section *part = plan->sections + s;
        const pair_arrays *pairs = work->pairs + s;
        const int near = pairs->near, n = near + pairs->far;
        const int stride = (n + NEIGHBOUR_BLOCK - 1) / NEIGHBOUR_BLOCK * NEIGHBOUR_BLOCK;
        const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
        const double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
        const double *const inverse = uz + stride;
        double *const fx = pairs->unit + 4 * stride, *const fy = fx + stride, *const fz = fy + stride;
        int columns = part->angular.n_columns, done = 0;

        if (n == 0)
            continue;
        if (near && columns) {
            const int padded = (near + NEIGHBOUR_BLOCK - 1) / NEIGHBOUR_BLOCK * NEIGHBOUR_BLOCK;
            const double *g = pairs->angular, *dg = g + (size_t)padded * columns;
            const int steps = (near + STEP - 1) / STEP * STEP;
            for (k = 0; k < steps * 4 * LANES; k++)
                work->sums[k] = 0.0;
            for (k = 0; k < part->n_angular; k++) {
                const group *g_k = plan->groups + part->first_group + k;
                NAME(trace_back)(potential, g_k, g_k->even, work->adjoints);
                NAME(trace_back)(potential, g_k, g_k->odd, work->adjoints);
                NAME(backward)(potential, g_k, work->adjoints, work->gradients, steps, g + k * LANES, dg + k * LANES,
                               columns, pairs->monomials, stride, work->sums);
            }
            for (j = 0; j < near; j++) {
                double sum[4] __attribute__((aligned(32)));
                NAME(four_totals)(work->sums + (size_t)j * 4 * LANES, sum);
                const double along = sum[0] * ux[j] + sum[1] * uy[j] + sum[2] * uz[j];
                const double t = sum[3] - along * inverse[j];
                fx[j] = ux[j] * t + sum[0] * inverse[j];
                fy[j] = uy[j] * t + sum[1] * inverse[j];
                fz[j] = uz[j] * t + sum[2] * inverse[j];
            }
            done = near;
        }
        for (j = done; j < n; j++)
            fx[j] = fy[j] = fz[j] = 0.0;
        columns = part->scalar.n_columns;
        if (columns) {
            const double *adjoint = work->adjoints + part->scalar_moments, *dg = pairs->scalar + (size_t)n * columns;
            for (j = 0; j < n; j++) {
                double sum[LANES] __attribute__((aligned(64))), t;
                VECTOR slope = LOAD(dg + (size_t)j * columns) * LOAD(adjoint);
                for (k = LANES; k < columns; k += LANES)
                    slope += LOAD(dg + (size_t)j * columns + k) * LOAD(adjoint + k);
                STORE(sum, slope);
                t = NAME(total)(sum);
                fx[j] += t * ux[j];
                fy[j] += t * uy[j];
                fz[j] += t * uz[j];
            }
        }
        if (system->forces)
            for (j = 0; j < n; j++) {
                double *f = system->forces + 3 * (size_t)pairs->index[j];
                f[0] -= fx[j];
                f[1] -= fy[j];
                f[2] -= fz[j];
                force[0] += fx[j];
                force[1] += fy[j];
                force[2] += fz[j];
            }
        if (system->strain_derivative)
            for (j = 0; j < n; j++) {
                strain[0] += dx[j] * fx[j];
                strain[1] += dy[j] * fy[j];
                strain[2] += dz[j] * fz[j];
                strain[3] += dy[j] * fz[j];
                strain[4] += dx[j] * fz[j];
                strain[5] += dx[j] * fy[j];
            }
        if (system->strain_derivatives)
            for (j = 0; j < n; j++) {
                double *mine = system->strain_derivatives + 6 * (size_t)i;
                double *other = system->strain_derivatives + 6 * (size_t)pairs->index[j];
                const double half[6] = {0.5 * dx[j] * fx[j], 0.5 * dy[j] * fy[j], 0.5 * dz[j] * fz[j],
                                        0.5 * dy[j] * fz[j], 0.5 * dx[j] * fz[j], 0.5 * dx[j] * fy[j]};
                for (k = 0; k < 6; k++) {
                    mine[k] += half[k];
                    other[k] += half[k];
                }
            }
    }
    if (system->forces)
        for (k = 0; k < 3; k++)
            system->forces[3 * (size_t)i + k] += force[k];
    if (system->strain_derivative)
        for (k = 0; k < 6; k++)
            system->strain_derivative[k] += strain[k];
    return 0;
}

#undef VECTOR
#undef LOAD
#undef STORE
#undef STEP
