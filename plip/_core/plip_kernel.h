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
        const VECTOR zero = {0};                                                                            \
        VECTOR sum[count];                                                                                  \
        int j, k;                                                                                           \
        for (k = 0; k < count; k++)                                                                         \
            sum[k] = zero;                                                                                  \
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

/* Values and derivatives of all columns of a table at n distances, [neighbour][column]. `alone`: by the exact
 * functions, without the part of a neighbour with itself. */
static void NAME(look_up)(const plip_potential *potential, const table *radial, int alone, int n, const double *r,
                          const int *interval, const double *weights, int stride, double *g, double *dg)
{
    const VECTOR zero = {0};
    int columns = radial->n_columns, j, c, k;

    for (j = 0; j < n; j++) {
        const double *knot = radial->knots + (size_t)interval[j] * 3 * columns;
        VECTOR w[12];
        if (!alone && radial->exact[interval[j]] == PARTED && r[j] >= radial->core->outer) {
            knot = radial->beyond;
        } else if (alone || radial->exact[interval[j]]) {
            for (c = 0; c < columns; c++) {
                double value[3];
                plip_column_exact(potential, radial->columns + c, radial->core, r[j], alone, value);
                g[(size_t)j * columns + c] = value[0];
                dg[(size_t)j * columns + c] = value[1];
            }
            continue;
        }
        for (k = 0; k < 12; k++)
            w[k] = weights[k * (size_t)stride + j] - zero;
        for (c = 0; c < columns; c += LANES) {
            VECTOR data = LOAD(knot + c);
            VECTOR value = data * w[0], slope = data * w[6];
            for (k = 1; k < 6; k++) {
                data = LOAD(knot + k * columns + c);
                value += data * w[k];
                slope += data * w[6 + k];
            }
            STORE(g + (size_t)j * columns + c, value);
            STORE(dg + (size_t)j * columns + c, slope);
        }
    }
}

/* All monomials of the unit vectors up to max_degree, [monomial][neighbour]; n is a multiple of
 * NEIGHBOR_BLOCK. */
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

/* Energy of the polynomials, of all their terms or of the embedding alone; writes their adjoints. */
static FORCE_INLINE VECTOR NAME(add_polynomials)(const center_plan *plan, const int embedding, const double *moments,
                                                 double *adjoints)
{
    VECTOR energy = {0};
    int n, k;

    for (n = 0; n < plan->n_groups; n++) {
        const group *g = plan->groups + n;
        const double *polynomial = embedding ? g->embedding : g->polynomial;
        VECTOR value = {0}, slope = {0}, density;
        if (g->order == 0)
            continue;
        density = LOAD(moments + g->offset[0]);
        for (k = g->order - 1; k >= 0; k--) {
            VECTOR c = LOAD(polynomial + k * LANES);
            value = value * density + c;
            slope = slope * density + c * (double)(k + 1);
        }
        energy += value * density;
        STORE(adjoints + g->offset[0], slope);
    }
    return energy;
}

/* Energy of the couplings; adds to the adjoints. */
static FORCE_INLINE VECTOR NAME(add_couplings)(const plip_potential *potential, const center_plan *plan, VECTOR energy,
                                               const double *moments, double *adjoints)
{
    VECTOR energies[7] = {{0}};
    int n, k;

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

/* Four-body terms of n centres of one species, at most LANES: adds to their energies and adjoints. Each lane
 * works on a centre of its own, so that nothing but the moments themselves is gathered across lanes. */
static void NAME(four_body)(const plip_potential *potential, const center_plan *plan, int n,
                            const center_arrays *arrays, plip_center *const *centers, double *scratch)
{
    const VECTOR zero = {0};
    double *const moments = scratch, *const adjoints = moments + plan->n_four_body * LANES;
    double *const open = adjoints + plan->n_four_body * LANES;
    double *const result = open + potential->max_open * LANES;
    VECTOR energy = zero;
    const entry *e;
    int m, k, t, lane;

    for (m = 0; m < plan->n_four_body; m++) {
        STORE(moments + m * LANES, zero);
        STORE(adjoints + m * LANES, zero);
    }
    for (lane = 0; lane < n; lane++) {
        const double *from = arrays[lane].moments;
        for (m = 0; m < plan->n_four_body; m++)
            moments[m * LANES + lane] = from[plan->four_body[m]];
    }
    for (m = 0; m < plan->n_trilinears; m++) {
        const trilinear *form = plan->trilinears + m;
        const contraction *rank = potential->contractions + form->contraction;
        const double *b = moments + form->b * LANES, *c = moments + form->c * LANES;
        double *const db = adjoints + form->b * LANES, *const dc = adjoints + form->c * LANES;
        for (k = 0; k < rank->n_a; k++) {
            STORE(open + k * LANES, LOAD(moments + (form->a[0] + k) * LANES) * form->weight[0]);
            STORE(result + k * LANES, zero);
        }
        for (t = 1; t < form->n; t++)
            for (k = 0; k < rank->n_a; k++)
                STORE(open + k * LANES, LOAD(open + k * LANES) +
                                            LOAD(moments + (form->a[t] + k) * LANES) * form->weight[t]);
        for (e = rank->entries, k = 0; k < rank->n_b; k++) {
            const VECTOR vb = LOAD(b + k * LANES);
            VECTOR sum = zero;
            for (; e < rank->last[k]; e++) {
                const VECTOR va = LOAD(open + e->a * LANES), vc = LOAD(c + e->c * LANES) * e->coefficient;
                STORE(result + e->a * LANES, LOAD(result + e->a * LANES) + vb * vc);
                STORE(dc + e->c * LANES, LOAD(dc + e->c * LANES) + va * vb * e->coefficient);
                sum += va * vc;
            }
            STORE(db + k * LANES, LOAD(db + k * LANES) + sum);
        }
        for (k = 0; k < rank->n_a; k++)
            energy += LOAD(open + k * LANES) * LOAD(result + k * LANES);
        for (t = 0; t < form->n; t++)
            for (k = 0; k < rank->n_a; k++) {
                double *da = adjoints + (form->a[t] + k) * LANES;
                STORE(da, LOAD(da) + LOAD(result + k * LANES) * form->weight[t]);
            }
    }
    STORE(open, energy);
    for (lane = 0; lane < n; lane++) {
        double *to = arrays[lane].adjoints;
        centers[lane]->energy += open[lane];
        for (m = 0; m < plan->n_four_body; m++)
            to[plan->four_body[m]] += adjoints[m * LANES + lane];
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

static void NAME(trace_back)(const group *g, int top, double *adjoints)
{
    int d, y, z;

    for (d = 2 + (top & 1); d <= top; d += 2) {
        const double *from = adjoints + g->offset[d - 2];
        double *row = adjoints + g->offset[d];
        for (z = 0; z <= d - 2; z++) {
            double *second = row + (2 * (d - z) + 1) * LANES;
            for (y = 0; y <= d - 2 - z; y++, from += LANES) {
                const VECTOR v = LOAD(from);
                STORE(row + y * LANES, LOAD(row + y * LANES) + v);
                STORE(row + (y + 2) * LANES, LOAD(row + (y + 2) * LANES) + v);
                STORE(second + y * LANES, LOAD(second + y * LANES) + v);
            }
            row += (d - z + 1) * LANES;
        }
    }
}

/* Adds to sums[neighbour] = {S_x, S_y, S_z, T} of one group, where P(u) = sum of adjoint u^alpha over the two top
 * degrees, S = g grad P and T = g' P. */
static void NAME(differentiate)(const group *g, const double *adjoints, double *gradients, int n,
                                const double *value, const double *slope, int columns,
                                const double *monomials, int stride, double *sums)
{
    const int tops[2] = {g->even, g->odd};
    const double *x = monomials + stride, *y = x + stride, *z = y + stride;
    const VECTOR zero = {0};
    double *gradient = gradients;
    int parity, k, j, i, ky, kz;

    for (parity = 0; parity < 2; parity++) {
        const int d = tops[parity];
        const double *row;
        if (d < 1)
            continue;
        row = adjoints + g->offset[d];
        for (kz = 0; kz < d; kz++) {
            const double *next = row + (d - kz + 1) * LANES;
            for (ky = 0; ky < d - kz; ky++, gradient += 3 * LANES) {
                STORE(gradient, LOAD(row + ky * LANES) * (double)(d - ky - kz));
                STORE(gradient + LANES, LOAD(row + (ky + 1) * LANES) * (double)(ky + 1));
                STORE(gradient + 2 * LANES, LOAD(next + ky * LANES) * (double)(kz + 1));
            }
            row = next;
        }
    }
    for (j = 0; j < n; j += STEP) {
        VECTOR px[STEP], py[STEP], pz[STEP], p[STEP], along[STEP];
        for (i = 0; i < STEP; i++) {
            px[i] = py[i] = pz[i] = along[i] = zero;
            p[i] = g->even == 0 ? LOAD(adjoints + g->offset[0]) : zero;
        }
        gradient = gradients;
        for (parity = 0; parity < 2; parity++) {
            const int d = tops[parity], count = COMPONENTS(d - 1);
            const double *u;
            if (d < 1)
                continue;
            u = monomials + (size_t)FIRST_MONOMIAL(d - 1) * stride + j;
            for (k = 0; k < count; k++) {
                VECTOR gx = LOAD(gradient), gy = LOAD(gradient + LANES), gz = LOAD(gradient + 2 * LANES);
                gradient += 3 * LANES;
                for (i = 0; i < STEP; i++) {
                    px[i] += gx * u[i];
                    py[i] += gy * u[i];
                    pz[i] += gz * u[i];
                }
                u += stride;
            }
            /* Euler: a homogeneous polynomial of degree d is u . grad P / d. */
            for (i = 0; i < STEP; i++) {
                const VECTOR sum = px[i] * x[j + i] + py[i] * y[j + i] + pz[i] * z[j + i];
                p[i] += (sum - along[i]) * (1.0 / d);
                along[i] = sum;
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

/* sum over columns of adjoint times slope of one neighbour, lane by lane */
static inline VECTOR NAME(scalar_slope)(const double *adjoint, const double *slope, int columns)
{
    VECTOR sum = LOAD(slope) * LOAD(adjoint);
    int k;

    for (k = LANES; k < columns; k += LANES)
        sum += LOAD(slope + k) * LOAD(adjoint + k);
    return sum;
}

/* Neighbours and moments of a centre, and all of its energy but the four-body terms. `alone`: of a single neighbour,
 * see look_up. */
static void NAME(forward)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                          const plip_workspace *work, center_arrays *arrays, plip_center *center, int alone, int mask)
{
    const int n_species = potential->n_species, capacity = work->capacity;
    const double *const positions = system->positions, *const origin = positions + 3 * (size_t)center->atom;
    const double square_cutoff = plan->square_cutoff, inverse_square_range = plan->inverse_square_range;
    const int *const listed = center->neighbors;
    int *const reached = work->reached;
    double *memory = arrays->rows, density = 0.0;
    double closest = INFINITY;
    int n_reached = 0, s, k, j;

    /* Written in any case, kept if within reach: a branch that nobody can predict would cost more. */
    for (k = 0; k < center->n_neighbors; k++) {
        const int neighbor = listed[k] & mask;
        const double *r = positions + 3 * (size_t)neighbor;
        const double x = r[0] - origin[0], y = r[1] - origin[1], z = r[2] - origin[2];
        const double square = x * x + y * y + z * z;
        closest = square < closest ? square : closest;
        reached[n_reached] = neighbor;
        n_reached += square < square_cutoff;
    }
    center->closest = sqrt(closest);

    /* Neighbours by species; those within reach of the angular functions from the front, the others from the end. */
    for (s = 0; s < n_species; s++)
        arrays->pairs[s].near = arrays->pairs[s].far = 0;
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
        pairs = arrays->pairs + s;
        near = square < part->square_near;
        far = !near & (square < part->square_cutoff);
        pairs->far += far;
        place = far ? capacity - pairs->far : pairs->near;
        pairs->near += near;
        pairs->index[place] = neighbor;
        pairs->dx[place] = x;
        pairs->dy[place] = y;
        pairs->dz[place] = z;
        pairs->r[place] = square;
    }
    arrays->density = density;
    center->crowding = density / plan->limit;

    for (s = 0; s < n_species; s++) {
        const section *part = plan->sections + s;
        pair_arrays *pairs = arrays->pairs + s;
        const int near = pairs->near, n = near + pairs->far;
        const int stride = (n + NEIGHBOR_BLOCK - 1) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK;
        double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz, *const r = pairs->r;
        double *ux, *uy, *uz, *inverse, *weights;
        int *const interval = pairs->interval;
        int columns;

        if (near == 0)
            for (k = part->first_moment; k < part->end_moment; k++)
                arrays->moments[k] = 0.0;
        if (n == 0)
            continue;
        for (k = near; k < n; k++) {
            const int from = capacity - n + k;
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
            const int padded = (near + NEIGHBOR_BLOCK - 1) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK;
            double *g = pairs->angular = memory, *dg = g + (size_t)padded * columns, *monomials;
            pairs->monomials = monomials = dg + (size_t)padded * columns;
            memory = monomials + (size_t)FIRST_MONOMIAL(part->max_degree + 1) * stride;
            NAME(look_up)(potential, &part->angular, alone, near, r, interval, weights, stride, g, dg);
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
                                     arrays->moments + g_k->offset[d]);
                    NAME(trace)(g_k, d, arrays->moments);
                }
            }
        }
        columns = part->scalar.n_columns;
        if (columns) {
            double *dg = pairs->scalar = memory, *g = dg + (size_t)n * columns;
            memory = g + (size_t)n * columns;
            NAME(look_up)(potential, &part->scalar, alone, n, r, interval, weights, stride, g, dg);
            for (k = 0; k < part->n_scalar; k++) {
                VECTOR sum = {0};
                for (j = 0; j < n; j++)
                    sum += LOAD(g + (size_t)j * columns + k * LANES);
                STORE(arrays->moments + part->scalar_moments + k * LANES, sum);
            }
        }
    }

    center->energy =
        plan->reference_energy + NAME(couple)(potential, plan, arrays->moments, arrays->adjoints);
}

/* From the adjoints of a centre to the derivatives with respect to the pair vectors. Returns whether these are
 * finite. */
static int NAME(backward)(const plip_potential *potential, const center_plan *plan,
                          const plip_system *system, plip_workspace *work, const center_arrays *arrays, int i)
{
    const int n_species = potential->n_species;
    double force[3] = {0.0, 0.0, 0.0}, strain[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    int s, k, j;

    for (s = 0; s < n_species; s++) {
        const section *part = plan->sections + s;
        const pair_arrays *pairs = arrays->pairs + s;
        const int near = pairs->near, n = near + pairs->far;
        const int stride = (n + NEIGHBOR_BLOCK - 1) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK;
        const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
        const double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
        const double *const inverse = uz + stride;
        const double *const adjoint = arrays->adjoints + part->scalar_moments;
        const int scalars = part->scalar.n_columns;
        const double *const scalar = pairs->scalar;
        double *const fx = pairs->unit + 4 * stride, *const fy = fx + stride, *const fz = fy + stride;
        int columns = part->angular.n_columns, done = 0;

        if (n == 0)
            continue;
        if (near && columns) {
            const int padded = (near + NEIGHBOR_BLOCK - 1) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK;
            const double *g = pairs->angular, *dg = g + (size_t)padded * columns;
            const int steps = (near + STEP - 1) / STEP * STEP;
            for (k = 0; k < steps * 4 * LANES; k++)
                work->sums[k] = 0.0;
            for (k = 0; k < part->n_angular; k++) {
                const group *g_k = plan->groups + part->first_group + k;
                NAME(trace_back)(g_k, g_k->even, arrays->adjoints);
                NAME(trace_back)(g_k, g_k->odd, arrays->adjoints);
                NAME(differentiate)(g_k, arrays->adjoints, work->gradients, steps, g + k * LANES,
                                    dg + k * LANES, columns, pairs->monomials, stride, work->sums);
            }
            for (j = 0; j < near; j++) {
                double sum[4] ALIGNED(32);
                if (scalars) {
                    double *t = work->sums + ((size_t)j * 4 + 3) * LANES;
                    STORE(t, LOAD(t) + NAME(scalar_slope)(adjoint, scalar + (size_t)j * scalars, scalars));
                }
                NAME(four_totals)(work->sums + (size_t)j * 4 * LANES, sum);
                const double along = sum[0] * ux[j] + sum[1] * uy[j] + sum[2] * uz[j];
                const double t = sum[3] - along * inverse[j];
                fx[j] = ux[j] * t + sum[0] * inverse[j];
                fy[j] = uy[j] * t + sum[1] * inverse[j];
                fz[j] = uz[j] * t + sum[2] * inverse[j];
            }
            done = near;
        }
        for (j = done; j < n; j++) {
            double sum[LANES] ALIGNED(64), t = 0.0;
            if (scalars) {
                STORE(sum, NAME(scalar_slope)(adjoint, scalar + (size_t)j * scalars, scalars));
                t = NAME(total)(sum);
            }
            fx[j] = t * ux[j];
            fy[j] = t * uy[j];
            fz[j] = t * uz[j];
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
    /* Sums with an infinite number are infinite or NaN. */
    return isfinite(force[0] + force[1] + force[2] + strain[0] + strain[1] + strain[2]);
}

/* Whether a centre is outside of the data, where plip_crowd takes over. */
static inline int NAME(is_outside)(const center_plan *plan, double density, const plip_center *center)
{
    return density > plan->limit || center->closest < plan->too_close ||
           center->energy - plan->reference_energy < plan->floor;
}

/* Derivatives of the three-body energy with respect to moments, if all moments belong to other neighbours than the one
 * whose derivatives are asked for: nothing is to be subtracted from them. */
static void NAME(three_body_adjoints)(const plip_potential *potential, const center_plan *plan, const double *moments,
                                      double *adjoints)
{
    const VECTOR zero = {0};
    int n, m;

    for (m = 0; m < plan->n_moments; m++)
        adjoints[m] = 0.0;
    for (n = 0; n < plan->n_groups; n++) {
        const group *g = plan->groups + n;
        if (g->squares)
            STORE(adjoints + g->offset[0], LOAD(moments + g->offset[0]) * LOAD(g->squares) * 2.0);
    }
    NAME(add_couplings)(potential, plan, zero, moments, adjoints);
}

/* A centre with a neighbour so close that the part of this neighbour with itself, which the square of the moments
 * holds too much, would cost digits. The moments of all neighbours are made one by one, by the exact functions, and
 * each is coupled to the moments of the others: what is not there need not be subtracted. `arrays` holds the present
 * centre with all its neighbours. 0, or -1 if memory ran out. */
static int NAME(evaluate_apart)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                                plip_workspace *work, center_arrays *arrays, plip_center *center, int derivatives,
                                int mask)
{
    const size_t size = (size_t)plan->n_moments;
    const double density = arrays->density;
    double *common, *others, *moments, *adjoints, energy[LANES] ALIGNED(64), fade = 1.0;
    plip_center single = *center;
    int j, n = center->n_neighbors;
    size_t m;

    if (plip_workspace_reserve_apart(work, (2 * (size_t)n + 2) * size))
        return -1;
    common = work->apart;
    others = common + size;
    moments = others + size;
    adjoints = moments + (size_t)n * size;
    single.n_neighbors = 1;
    for (j = 0; j < n; j++) {
        single.neighbors = center->neighbors + j;
        NAME(forward)(potential, plan, system, work, arrays, &single, 1, mask);
        memcpy(moments + (size_t)j * size, arrays->moments, size * sizeof(double));
    }
    /* The neighbours behind each one for the present, then the derivatives by its moments. */
    for (m = 0; m < size; m++)
        adjoints[(size_t)(n - 1) * size + m] = others[m] = 0.0;
    for (j = n - 1; j > 0; j--)
        for (m = 0; m < size; m++)
            adjoints[(size_t)(j - 1) * size + m] = adjoints[(size_t)j * size + m] + moments[(size_t)j * size + m];
    center->energy = plan->reference_energy;
    for (j = 0; j < n; j++) {
        double *mine = moments + (size_t)j * size, *behind = adjoints + (size_t)j * size, sum = 0.0;
        for (m = 0; m < size; m++)
            arrays->moments[m] = others[m] + behind[m];
        NAME(three_body_adjoints)(potential, plan, arrays->moments, behind);
        for (m = 0; m < size; m++) {
            sum += mine[m] * behind[m];
            others[m] += mine[m];
        }
        center->energy += 0.5 * sum;
    }
    /* Powers of densities and four-body terms hold each neighbour with itself. */
    for (m = 0; m < size; m++) {
        arrays->moments[m] = others[m];
        arrays->adjoints[m] = 0.0;
    }
    STORE(energy, NAME(add_polynomials)(plan, 1, arrays->moments, arrays->adjoints));
    center->energy += NAME(total)(energy);
    if (plan->n_trilinears)
        NAME(four_body)(potential, plan, 1, arrays, &center, work->four_body);
    memcpy(common, arrays->adjoints, size * sizeof(double));
    if (NAME(is_outside)(plan, density, center))
        fade = plip_crowd(plan, system, density, center, mask);
    for (j = 0; j < n && derivatives; j++) {
        single.neighbors = center->neighbors + j;
        NAME(forward)(potential, plan, system, work, arrays, &single, 1, mask);
        for (m = 0; m < size; m++)
            arrays->adjoints[m] = fade * (common[m] + adjoints[(size_t)j * size + m]);
        if (!NAME(backward)(potential, plan, system, work, arrays, center->atom))
            center->energy = NAN;
    }
    return 0;
}

static int NAME(evaluate)(const plip_potential *potential, plip_workspace *work, const plip_system *system,
                          int n, plip_center *centers, int mask)
{
    const int derivatives = system->forces || system->strain_derivative || system->strain_derivatives;
    int most = 0, s, i, k, m;

    for (i = 0; i < n; i++) {
        centers[i].energy = 0.0;
        most = centers[i].n_neighbors > most ? centers[i].n_neighbors : most;
    }
    if (work->capacity < most && plip_workspace_reserve(potential, work, most))
        return -1;
    for (s = 0; s < potential->n_species; s++) {
        const center_plan *plan = potential->centers + s;
        /* Only four-body terms need several centres at a time; one centre alone stays closer in the cache. */
        const int size = plan->n_trilinears ? LANES : 1;
        plip_center *batch[LANES];
        int filled = 0;
        for (i = 0; i < n; i++) {
            if (system->species_of_type[system->types[centers[i].atom]] == s) {
                center_arrays *arrays = work->centers + filled;
                NAME(forward)(potential, plan, system, work, arrays, centers + i, 0, mask);
                if (centers[i].closest >= plan->steep || !plip_is_steep(plan, potential->n_species, arrays))
                    batch[filled++] = centers + i;
                else if (NAME(evaluate_apart)(potential, plan, system, work, arrays, centers + i, derivatives, mask))
                    return -1;
            }
            if (filled < size && (i < n - 1 || filled == 0))
                continue;
            if (plan->n_trilinears)
                NAME(four_body)(potential, plan, filled, work->centers, batch, work->four_body);
            for (k = 0; k < filled; k++)
                if (NAME(is_outside)(plan, work->centers[k].density, batch[k])) {
                    const double fade = plip_crowd(plan, system, work->centers[k].density, batch[k], mask);
                    for (m = 0; m < plan->n_moments; m++)
                        work->centers[k].adjoints[m] *= fade;
                }
            for (k = 0; k < filled && derivatives; k++)
                if (!NAME(backward)(potential, plan, system, work, work->centers + k, batch[k]->atom))
                    batch[k]->energy = NAN;
            filled = 0;
        }
    }
    return 0;
}

#undef VECTOR
#undef LOAD
#undef STORE
#undef STEP
