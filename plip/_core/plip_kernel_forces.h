/* From the adjoints of a center to derivatives with respect to the vectors of its pairs; part of plip_kernel.h. */

/* Neighbors that are taken at a time: 12 sums and 4 operands fill 16 registers. */
#define STEP 4
#define STEPS(n) (((n) + STEP - 1) / STEP * STEP)

/* Adds the adjoints of degree d - 2 to those of degree d: x^2 + y^2 + z^2 = 1. */
static FORCE_INLINE void NAME(raise_adjoints)(const int d, const double *lower, double *adjoints)
{
    int y, z;

    UNROLL(6)
    for (z = 0; z <= d; z++) {
        UNROLL(6)
        for (y = 0; y <= d - z; y++) {
            double *place = adjoints + MONOMIAL(d, y, z) * LANES;
            VECTOR sum = LOAD(place);
            if (d - y - z >= 2)
                sum += LOAD(lower + MONOMIAL(d - 2, y, z) * LANES);
            if (y >= 2)
                sum += LOAD(lower + MONOMIAL(d - 2, y - 2, z) * LANES);
            if (z >= 2)
                sum += LOAD(lower + MONOMIAL(d - 2, y, z - 2) * LANES);
            STORE(place, sum);
        }
    }
}

/* Adds the adjoints of lower degrees to those of the top degree. Inlined with usual degrees known. */
static void NAME(trace_back)(const group *g, int top, double *adjoints)
{
    int d;

    for (d = 2 + (top & 1); d <= top; d += 2) {
        const double *lower = adjoints + g->offset[d - 2];
        double *to = adjoints + g->offset[d];
#define DEGREE(d)                             \
    case d:                                   \
        NAME(raise_adjoints)(d, lower, to);   \
        break
        switch (d) {
            DEGREE(2);
            DEGREE(3);
            DEGREE(4);
            DEGREE(5);
        default:
            NAME(raise_adjoints)(d, lower, to);
        }
#undef DEGREE
    }
}

/* Coefficients of the gradient of a homogeneous polynomial: [monomial][x, y, z][lane]. */
static FORCE_INLINE void NAME(gradient_of_degree)(const int d, const double *adjoints, double *gradient)
{
    int y, z;

    UNROLL(6)
    for (z = 0; z < d; z++) {
        UNROLL(6)
        for (y = 0; y < d - z; y++) {
            double *place = gradient + 3 * MONOMIAL(d - 1, y, z) * LANES;
            STORE(place, LOAD(adjoints + MONOMIAL(d, y, z) * LANES) * (double)(d - y - z));
            STORE(place + LANES, LOAD(adjoints + MONOMIAL(d, y + 1, z) * LANES) * (double)(y + 1));
            STORE(place + 2 * LANES, LOAD(adjoints + MONOMIAL(d, y, z + 1) * LANES) * (double)(z + 1));
        }
    }
}

/* The same of P, where P(u) = sum of adjoint u^alpha over the two top degrees. */
static void NAME(find_gradients)(const group *g, const double *adjoints, double *gradient)
{
    const int tops[2] = {g->even, g->odd};
    int parity;

    for (parity = 0; parity < 2; parity++) {
        const int d = tops[parity];
        if (d < 1)
            continue;
#define DEGREE(d)                                                                \
    case d:                                                                      \
        NAME(gradient_of_degree)(d, adjoints + g->offset[d], gradient);          \
        break
        switch (d) {
            DEGREE(1);
            DEGREE(2);
            DEGREE(3);
            DEGREE(4);
            DEGREE(5);
        default:
            NAME(gradient_of_degree)(d, adjoints + g->offset[d], gradient);
        }
#undef DEGREE
        gradient += 3 * COMPONENTS(d - 1) * LANES;
    }
}

/* The same from adjoints of all degrees, which it adds to those of the top degrees. */
static void NAME(find_all_gradients)(const group *g, double *adjoints, double *gradient)
{
    NAME(trace_back)(g, g->even, adjoints);
    NAME(trace_back)(g, g->odd, adjoints);
    NAME(find_gradients)(g, adjoints, gradient);
}

/* Adds to sums[neighbor] = {S_x, S_y, S_z, T} of one group, where P(u) = sum of adjoint u^alpha over the two top
 * degrees, S = g grad P and T = g' P; the first group makes them. `gradients`: from find_gradients. `size`: of the
 * monomials of a block. */
static void NAME(differentiate)(const group *g, int is_first, const double *adjoints, const double *gradients, int n,
                                const double *value, const double *slope, int columns,
                                const double *monomials, size_t size, double *sums)
{
    const int tops[2] = {g->even, g->odd};
    const VECTOR zero = {0}, constant = g->even == 0 ? LOAD(adjoints + g->offset[0]) : zero;
    /* Euler: a homogeneous polynomial of degree d is u . grad P / d. The gradient of the odd one adds to that of the
     * even one, of which its share would be too much. */
    const double share_of_odd = g->odd > 0 ? 1.0 / g->odd : 0.0;
    const double shares[2] = {g->even > 0 ? 1.0 / g->even - share_of_odd : 0.0, share_of_odd};
    int parity, k, j, i;

    for (j = 0; j < n; j += STEP, value += STEP * columns, slope += STEP * columns, sums += STEP * 4 * LANES) {
        const double *const powers = monomials + j / NEIGHBOR_BLOCK * size + j % NEIGHBOR_BLOCK;
        const double *const x = powers + NEIGHBOR_BLOCK, *const y = x + NEIGHBOR_BLOCK, *const z = y + NEIGHBOR_BLOCK;
        const double *gradient = gradients;
        VECTOR px[STEP], py[STEP], pz[STEP], p[STEP];
        for (i = 0; i < STEP; i++) {
            px[i] = py[i] = pz[i] = zero;
            p[i] = constant;
        }
#define ADD(k)                                                                                              \
    {                                                                                                       \
        const VECTOR gx = LOAD(gradient + 3 * (k) * LANES), gy = LOAD(gradient + (3 * (k) + 1) * LANES);    \
        const VECTOR gz = LOAD(gradient + (3 * (k) + 2) * LANES);                                           \
        for (i = 0; i < STEP; i++) {                                                                        \
            px[i] += gx * u[(k) * NEIGHBOR_BLOCK + i];                                                      \
            py[i] += gy * u[(k) * NEIGHBOR_BLOCK + i];                                                      \
            pz[i] += gz * u[(k) * NEIGHBOR_BLOCK + i];                                                      \
        }                                                                                                   \
    }
        for (parity = 0; parity < 2; parity++) {
            const int d = tops[parity];
            const double *u = powers + FIRST_MONOMIAL(d - 1) * NEIGHBOR_BLOCK;
            if (d < 1)
                continue;
            /* 1, 3, 6, 10, 15, 21 and so on */
            for (k = COMPONENTS(d - 1); k >= 5; k -= 5, gradient += 15 * LANES, u += 5 * NEIGHBOR_BLOCK) {
                ADD(0)
                ADD(1)
                ADD(2)
                ADD(3)
                ADD(4)
            }
            for (; k > 0; k--, gradient += 3 * LANES, u += NEIGHBOR_BLOCK)
                ADD(0)
            for (i = 0; i < STEP; i++)
                p[i] += (px[i] * x[i] + py[i] * y[i] + pz[i] * z[i]) * shares[parity];
        }
#undef ADD
        for (i = 0; i < STEP; i++) {
            double *s = sums + i * 4 * LANES;
            const VECTOR v = LOAD(value + i * columns), dv = LOAD(slope + i * columns);
            STORE(s, (is_first ? zero : LOAD(s)) + v * px[i]);
            STORE(s + LANES, (is_first ? zero : LOAD(s + LANES)) + v * py[i]);
            STORE(s + 2 * LANES, (is_first ? zero : LOAD(s + 2 * LANES)) + v * pz[i]);
            STORE(s + 3 * LANES, (is_first ? zero : LOAD(s + 3 * LANES)) + dv * p[i]);
        }
    }
}

/* One column of LANES neighbors. */
static FORCE_INLINE VECTOR NAME(take_column)(const double *column, int columns)
{
    const double *r[LANES];
    int k;

    UNROLL(8)
    for (k = 0; k < LANES; k++)
        r[k] = column + (size_t)k * columns;
    {
        const VECTOR result = OF_ALL(r, 0);
        return result;
    }
}

/* Adds S_x, S_y, S_z and T of one lane of a group, as differentiate does, but with LANES neighbors in the lanes of the
 * vectors: where few lanes of a group are used, this takes less time. `powers`: monomials of these neighbors. */
static void NAME(differentiate_lane)(const group *g, int lane, const double *adjoints, const double *gradient,
                                     const double *value, const double *slope, int columns, const double *powers,
                                     VECTOR s[4])
{
    const double *const x = powers + NEIGHBOR_BLOCK, *const y = x + NEIGHBOR_BLOCK, *const z = y + NEIGHBOR_BLOCK;
    const double share_of_odd = g->odd > 0 ? 1.0 / g->odd : 0.0;
    const double shares[2] = {g->even > 0 ? 1.0 / g->even - share_of_odd : 0.0, share_of_odd};
    const VECTOR v = NAME(take_column)(value + lane, columns), dv = NAME(take_column)(slope + lane, columns);
    const VECTOR zero = {0};
    VECTOR px = zero, py = zero, pz = zero, p = zero;
    int parity, k;

    if (g->even == 0)
        p += adjoints[g->offset[0] + lane];
    gradient += lane;
    for (parity = 0; parity < 2; parity++) {
        const int d = parity ? g->odd : g->even;
        const double *u = powers + FIRST_MONOMIAL(d - 1) * NEIGHBOR_BLOCK;
        VECTOR qx = zero, qy = zero, qz = zero;
        if (d < 1)
            continue;
        /* Two sums each, so that none waits for the other. */
        for (k = COMPONENTS(d - 1); k >= 2; k -= 2, gradient += 6 * LANES, u += 2 * NEIGHBOR_BLOCK) {
            px += LOAD(u) * gradient[0];
            py += LOAD(u) * gradient[LANES];
            pz += LOAD(u) * gradient[2 * LANES];
            qx += LOAD(u + NEIGHBOR_BLOCK) * gradient[3 * LANES];
            qy += LOAD(u + NEIGHBOR_BLOCK) * gradient[4 * LANES];
            qz += LOAD(u + NEIGHBOR_BLOCK) * gradient[5 * LANES];
        }
        for (; k > 0; k--, gradient += 3 * LANES) {
            px += LOAD(u) * gradient[0];
            py += LOAD(u) * gradient[LANES];
            pz += LOAD(u) * gradient[2 * LANES];
        }
        px += qx;
        py += qy;
        pz += qz;
        p += (px * LOAD(x) + py * LOAD(y) + pz * LOAD(z)) * shares[parity];
    }
    s[0] += v * px;
    s[1] += v * py;
    s[2] += v * pz;
    s[3] += dv * p;
}

/* A group of few lanes, and what near_forces has of it. */
typedef struct {
    const group *own;
    const double *gradients, *value, *slope;
    int n; /* neighbors within its reach */
} NAME(few_lanes);

static inline int NAME(has_few_lanes)(const group *g)
{
    return 2 * g->n_angular <= LANES;
}

/* The same for all lanes of a group, its guests too. `j`: the first of LANES neighbors. */
static FORCE_INLINE void NAME(add_few_lanes)(const NAME(few_lanes) *few, const double *adjoints, int columns,
                                             const double *powers, int j, VECTOR s[4])
{
    const group *g = few->own;
    const double *value = few->value + (size_t)j * columns, *slope = few->slope + (size_t)j * columns;
    int lane;

    for (lane = 0; lane < g->n_angular; lane++)
        NAME(differentiate_lane)(g, lane, adjoints, few->gradients, value, slope, columns, powers, s);
    for (; lane < g->n_lanes; lane++)
        s[3] += NAME(take_column)(slope + lane, columns) * adjoints[g->offset[0] + lane];
}

/* Adds for each of n neighbors the sum over the scalar columns of a section of adjoint times slope, lane by lane.
 * `columns`: from one neighbor to the next. */
static FORCE_INLINE void NAME(add_scalar_slopes)(const int n, const section *part, const double *adjoints,
                                                 const double *slopes, int columns, VECTOR *sums)
{
    const double *adjoint = adjoints + part->scalar_moments;
    int k, j;

    for (k = 0; k < part->n_scalar; k++, adjoint += LANES, slopes += LANES) {
        const VECTOR own = LOAD(adjoint);
        const double *slope = slopes;
        UNROLL(8)
        for (j = 0; j < n; j++, slope += columns)
            sums[j] += LOAD(slope) * own;
    }
}

/* Sums of LANES neighbors, one in each lane: those of `sums`, and of the slopes of all scalar columns. The first
 * `count` neighbors exist. */
static FORCE_INLINE VECTOR NAME(all_slopes)(const section *part, const section *shared, const double *adjoints,
                                            const double *slopes, int count, VECTOR *sums)
{
    const int own = part->scalar.n_columns, columns = own + shared->scalar.n_columns;
    int k;

    if (count >= LANES) {
        NAME(add_scalar_slopes)(LANES, part, adjoints, slopes, columns, sums);
        NAME(add_scalar_slopes)(LANES, shared, adjoints, slopes + own, columns, sums);
    } else {
        for (k = 0; k < count; k++, slopes += columns) {
            NAME(add_scalar_slopes)(1, part, adjoints, slopes, columns, sums + k);
            NAME(add_scalar_slopes)(1, shared, adjoints, slopes + own, columns, sums + k);
        }
    }
    return NAME(totals)(sums);
}

/* Counts a group, of which the first has made the sums of n neighbors: those of the others up to `all` are zero. */
static inline void NAME(complete)(int *n_done, int n, int all, double *sums)
{
    int k;

    for (k = n * 4 * LANES; k < all * 4 * LANES && !*n_done; k++)
        sums[k] = 0.0;
    ++*n_done;
}

/* Forces on the near neighbors of a section from the sums of most groups, from those of few lanes, and from the scalar
 * columns. */
static void NAME(assemble_forces)(const section *part, const section *shared, const center_arrays *arrays,
                                  const pair_arrays *pairs, int stride, const double *sums, int n_few,
                                  const NAME(few_lanes) *few, double *const force[3])
{
    const int columns = part->angular.n_columns + shared->angular.n_columns;
    const int scalars = part->scalar.n_columns + shared->scalar.n_columns;
    const double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
    const double *const inverse = uz + stride;
    const size_t size = FIRST_MONOMIAL(part->max_degree + 1) * (size_t)NEIGHBOR_BLOCK;
    int j, k, i;

    for (j = 0; j < pairs->near; j += LANES) {
        const double *powers = pairs->monomials + j / NEIGHBOR_BLOCK * size + j % NEIGHBOR_BLOCK;
        VECTOR s[4], along, t;
        for (k = 0; k < 4; k++) {
            VECTOR rows[LANES];
            UNROLL(8)
            for (i = 0; i < LANES; i++)
                rows[i] = LOAD(sums + ((size_t)(j + i) * 4 + k) * LANES);
            s[k] = k < 3 ? NAME(totals)(rows)
                         : NAME(all_slopes)(part, shared, arrays->adjoints, pairs->scalar + (size_t)j * scalars,
                                            pairs->near - j, rows);
        }
        for (k = 0; k < n_few; k++)
            if (j < few[k].n)
                NAME(add_few_lanes)(few + k, arrays->adjoints, columns, powers, j, s);
        along = s[0] * LOAD(ux + j) + s[1] * LOAD(uy + j) + s[2] * LOAD(uz + j);
        t = s[3] - along * LOAD(inverse + j);
        STORE(force[0] + j, LOAD(ux + j) * t + s[0] * LOAD(inverse + j));
        STORE(force[1] + j, LOAD(uy + j) * t + s[1] * LOAD(inverse + j));
        STORE(force[2] + j, LOAD(uz + j) * t + s[2] * LOAD(inverse + j));
    }
}

/* Forces on the near neighbors of a section, by all its functions. */
static void NAME(near_forces)(const center_plan *plan, const section *part, const section *shared,
                              const center_arrays *arrays, const pair_arrays *pairs, int stride,
                              const plip_workspace *work, double *const force[3])
{
    const int near = pairs->near, columns = part->angular.n_columns + shared->angular.n_columns;
    const double *const g = pairs->angular, *const dg = g + (size_t)ROUNDED_UP(near) * columns;
    const size_t size = FIRST_MONOMIAL(part->max_degree + 1) * (size_t)NEIGHBOR_BLOCK;
    double *gradients = work->gradients;
    NAME(few_lanes) few[2]; /* the last group of its own, and the last shared one */
    int n_few = 0, n_done = 0, k;

    /* The gradients of the shared groups come first, and stay for the next section. */
    for (k = 0; k < shared->n_angular + part->n_angular; k++) {
        const int is_shared = k < shared->n_angular, number = is_shared ? k : k - shared->n_angular;
        const group *own = plan->groups + (is_shared ? shared : part)->first_group + number;
        const size_t place = (size_t)((is_shared ? part->n_angular + number : number) * LANES);
        const int n = own->square_cutoff > plan->square_close ? near : pairs->close;
        if (!is_shared)
            NAME(find_all_gradients)(own, arrays->adjoints, gradients);
        if (NAME(has_few_lanes)(own)) {
            few[n_few].own = own;
            few[n_few].gradients = gradients;
            few[n_few].value = g + place;
            few[n_few].slope = dg + place;
            few[n_few++].n = n;
        } else {
            NAME(differentiate)(own, !n_done, arrays->adjoints, gradients, STEPS(n), g + place, dg + place, columns,
                                pairs->monomials, size, work->sums);
            NAME(complete)(&n_done, STEPS(n), ROUNDED_UP(near), work->sums);
        }
        if (is_shared)
            gradients += GRADIENTS(own) * LANES;
    }
    if (!n_done)
        memset(work->sums, 0, (size_t)ROUNDED_UP(near) * 4 * LANES * sizeof(double));
    NAME(assemble_forces)(part, shared, arrays, pairs, stride, work->sums, n_few, few, force);
}

/* Forces on the neighbors from `first` on, by the scalar functions alone. */
static void NAME(far_forces)(const section *part, const section *shared, const center_arrays *arrays,
                             const pair_arrays *pairs, int first, int stride, double *const force[3])
{
    const int n = pairs->near + pairs->far, scalars = part->scalar.n_columns + shared->scalar.n_columns;
    const double *const unit = pairs->unit;
    const VECTOR zero = {0};
    int j, k, x;

    for (j = first; j < n; j += LANES) {
        double t[LANES] ALIGNED(64);
        VECTOR rows[LANES];
        UNROLL(8)
        for (k = 0; k < LANES; k++)
            rows[k] = zero;
        STORE(t, NAME(all_slopes)(part, shared, arrays->adjoints, pairs->scalar + (size_t)j * scalars, n - j, rows));
        for (x = 0; x < 3; x++)
            for (k = 0; k < LANES && k < n - j; k++)
                force[x][j + k] = t[k] * unit[x * stride + j + k];
    }
}

/* Adds the forces of a section to those of its neighbors, and to the sum over all. */
static void NAME(add_forces)(const plip_system *system, const pair_arrays *pairs, double *const force[3], double sum[3])
{
    const int n = pairs->near + pairs->far;
    const double *const fx = force[0], *const fy = force[1], *const fz = force[2];
    int j;

    for (j = 0; j < n; j++) {
        double *f = system->forces + 3 * (size_t)pairs->index[j];
        f[0] -= fx[j];
        f[1] -= fy[j];
        f[2] -= fz[j];
        sum[0] += fx[j];
        sum[1] += fy[j];
        sum[2] += fz[j];
    }
}

/* Adds distance vector times force, xx yy zz yz xz xy. */
static void NAME(add_strain)(const pair_arrays *pairs, double *const force[3], double strain[6])
{
    const int n = pairs->near + pairs->far;
    const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
    const double *const fx = force[0], *const fy = force[1], *const fz = force[2];
    int j;

    for (j = 0; j < n; j++) {
        strain[0] += dx[j] * fx[j];
        strain[1] += dy[j] * fy[j];
        strain[2] += dz[j] * fz[j];
        strain[3] += dy[j] * fz[j];
        strain[4] += dx[j] * fz[j];
        strain[5] += dx[j] * fy[j];
    }
}

/* The same by atom, half to the center i and half to each neighbor. */
static void NAME(add_strains)(const plip_system *system, const pair_arrays *pairs, int i, double *const force[3])
{
    const int n = pairs->near + pairs->far;
    const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
    const double *const fx = force[0], *const fy = force[1], *const fz = force[2];
    double *mine = system->strain_derivatives + 6 * (size_t)i;
    int j, k;

    for (j = 0; j < n; j++) {
        double *other = system->strain_derivatives + 6 * (size_t)pairs->index[j];
        const double half[6] = {0.5 * dx[j] * fx[j], 0.5 * dy[j] * fy[j], 0.5 * dz[j] * fz[j],
                                0.5 * dy[j] * fz[j], 0.5 * dx[j] * fz[j], 0.5 * dx[j] * fy[j]};
        for (k = 0; k < 6; k++) {
            mine[k] += half[k];
            other[k] += half[k];
        }
    }
}

/* The same, all nine numbers and all to the neighbor. */
static void NAME(add_centroids)(const plip_system *system, const pair_arrays *pairs, double *const force[3])
{
    const int n = pairs->near + pairs->far;
    int j;

    for (j = 0; j < n; j++) {
        const double vector[3] = {pairs->dx[j], pairs->dy[j], pairs->dz[j]};
        const double derivative[3] = {force[0][j], force[1][j], force[2][j]};
        plip_add_centroid(system, pairs->index[j], vector, derivative);
    }
}

/* Adds what the pairs of a center make of its adjoints to the results. Returns whether all is finite. */
static int NAME(backward)(const plip_potential *potential, const center_plan *plan, const plip_system *system,
                          const plip_workspace *work, const center_arrays *arrays, int i)
{
    const section *shared = plan->sections + potential->n_species;
    double sum[3] = {0.0, 0.0, 0.0}, strain[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0}, *gradients = work->gradients;
    int s, k;

    for (k = 0; k < shared->n_angular; k++) {
        const group *own = plan->groups + shared->first_group + k;
        NAME(find_all_gradients)(own, arrays->adjoints, gradients);
        gradients += GRADIENTS(own) * LANES;
    }
    for (s = 0; s < potential->n_species; s++) {
        const section *part = plan->sections + s;
        const pair_arrays *pairs = arrays->pairs + s;
        const int n = pairs->near + pairs->far, stride = ROUNDED_UP(n);
        const int has_angular = part->angular.n_columns + shared->angular.n_columns > 0;
        /* In place of the distances from the centers of intervals, which have served. */
        double *const first = pairs->unit + 4 * stride;
        double *const force[3] = {first, first + stride, first + 2 * stride};
        if (n == 0)
            continue;
        if (pairs->near && has_angular)
            NAME(near_forces)(plan, part, shared, arrays, pairs, stride, work, force);
        NAME(far_forces)(part, shared, arrays, pairs, has_angular ? pairs->near : 0, stride, force);
        if (system->forces)
            NAME(add_forces)(system, pairs, force, sum);
        if (system->strain_derivative)
            NAME(add_strain)(pairs, force, strain);
        if (system->strain_derivatives)
            NAME(add_strains)(system, pairs, i, force);
        if (system->centroid_derivatives)
            NAME(add_centroids)(system, pairs, force);
    }
    if (system->forces)
        for (k = 0; k < 3; k++)
            system->forces[3 * (size_t)i + k] += sum[k];
    if (system->strain_derivative)
        for (k = 0; k < 6; k++)
            system->strain_derivative[k] += strain[k];
    /* Sums with an infinite number are infinite or NaN. */
    return isfinite(sum[0] + sum[1] + sum[2] + strain[0] + strain[1] + strain[2]);
}

#undef STEPS
#undef STEP
