/* From the adjoints of a center to derivatives with respect to the vectors of its pairs; part of plip_kernel.h. */

/* Neighbors that are taken at a time: 12 sums and 4 operands fill 16 registers. */
#define STEP 4
#define STEPS(n) (((n) + STEP - 1) / STEP * STEP)

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

/* Coefficients of grad P, where P(u) = sum of adjoint u^alpha over the two top degrees: [monomial][x, y, z][lane]. */
static void NAME(find_gradients)(const group *g, const double *adjoints, double *gradient)
{
    const int tops[2] = {g->even, g->odd};
    int parity, ky, kz;

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
}

/* The same from adjoints of all degrees, which it adds to those of the top degrees. */
static void NAME(find_all_gradients)(const group *g, double *adjoints, double *gradient)
{
    NAME(trace_back)(g, g->even, adjoints);
    NAME(trace_back)(g, g->odd, adjoints);
    NAME(find_gradients)(g, adjoints, gradient);
}

/* Adds to sums[neighbor] = {S_x, S_y, S_z, T} of one group, where P(u) = sum of adjoint u^alpha over the two top
 * degrees, S = g grad P and T = g' P; the first group makes them. `gradients`: from find_gradients. */
static void NAME(differentiate)(const group *g, int is_first, const double *adjoints, const double *gradients, int n,
                                const double *value, const double *slope, int columns,
                                const double *monomials, int stride, double *sums)
{
    const int tops[2] = {g->even, g->odd};
    const double *x = monomials + stride, *y = x + stride, *z = y + stride;
    const VECTOR zero = {0};
    const double *gradient;
    int parity, k, j, i;

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
            STORE(s, (is_first ? zero : LOAD(s)) + v * px[i]);
            STORE(s + LANES, (is_first ? zero : LOAD(s + LANES)) + v * py[i]);
            STORE(s + 2 * LANES, (is_first ? zero : LOAD(s + 2 * LANES)) + v * pz[i]);
            STORE(s + 3 * LANES, (is_first ? zero : LOAD(s + 3 * LANES)) + dv * p[i]);
        }
    }
}

/* sum over the scalar columns of a section of adjoint times slope of one neighbor, lane by lane */
static inline VECTOR NAME(add_scalar_slope)(const section *part, const double *adjoints, const double *slope,
                                            VECTOR sum)
{
    const double *adjoint = adjoints + part->scalar_moments;
    int k;

    for (k = 0; k < part->n_scalar * LANES; k += LANES)
        sum += LOAD(slope + k) * LOAD(adjoint + k);
    return sum;
}

/* The same, with the shared columns. */
static inline VECTOR NAME(scalar_slope)(const section *part, const section *shared, const double *adjoints,
                                        const double *slope)
{
    const VECTOR zero = {0}, own = NAME(add_scalar_slope)(part, adjoints, slope, zero);
    return NAME(add_scalar_slope)(shared, adjoints, slope + part->n_scalar * LANES, own);
}

/* Counts a group, of which the first has made the sums of n neighbors: those of the others up to `all` are zero. */
static inline void NAME(complete)(int *n_done, int n, int all, double *sums)
{
    int k;

    for (k = n * 4 * LANES; k < all * 4 * LANES && !*n_done; k++)
        sums[k] = 0.0;
    ++*n_done;
}

/* Forces on the near neighbors of a section, by all its functions. */
static void NAME(near_forces)(const center_plan *plan, const section *part, const section *shared,
                              const center_arrays *arrays, const pair_arrays *pairs, int stride,
                              const plip_workspace *work, double *const force[3])
{
    const int near = pairs->near, columns = part->angular.n_columns + shared->angular.n_columns;
    const int scalars = part->scalar.n_columns + shared->scalar.n_columns;
    const double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
    const double *const inverse = uz + stride;
    const double *g = pairs->angular, *dg = g + (size_t)ROUNDED_UP(near) * columns;
    double *gradients = work->gradients;
    double *const fx = force[0], *const fy = force[1], *const fz = force[2];
    int n_done = 0, k, j;

    /* The gradients of the shared groups come first, and stay for the next section. */
    for (k = 0; k < shared->n_angular; k++) {
        const group *own = plan->groups + shared->first_group + k;
        const int place = (part->n_angular + k) * LANES;
        const int n = own->square_cutoff > plan->square_close ? near : pairs->close;
        NAME(differentiate)(own, !n_done, arrays->adjoints, gradients, STEPS(n), g + place, dg + place, columns,
                            pairs->monomials, stride, work->sums);
        NAME(complete)(&n_done, STEPS(n), STEPS(near), work->sums);
        gradients += GRADIENTS(own) * LANES;
    }
    for (k = 0; k < part->n_angular; k++, g += LANES, dg += LANES) {
        const group *own = plan->groups + part->first_group + k;
        const int n = own->square_cutoff > plan->square_close ? near : pairs->close;
        NAME(find_all_gradients)(own, arrays->adjoints, gradients);
        NAME(differentiate)(own, !n_done, arrays->adjoints, gradients, STEPS(n), g, dg, columns, pairs->monomials,
                            stride, work->sums);
        NAME(complete)(&n_done, STEPS(n), STEPS(near), work->sums);
    }
    for (j = 0; j < near; j++) {
        double sum[4] ALIGNED(32);
        if (scalars) {
            double *t = work->sums + ((size_t)j * 4 + 3) * LANES;
            STORE(t, LOAD(t) + NAME(scalar_slope)(part, shared, arrays->adjoints, pairs->scalar + (size_t)j * scalars));
        }
        NAME(four_totals)(work->sums + (size_t)j * 4 * LANES, sum);
        const double along = sum[0] * ux[j] + sum[1] * uy[j] + sum[2] * uz[j];
        const double t = sum[3] - along * inverse[j];
        fx[j] = ux[j] * t + sum[0] * inverse[j];
        fy[j] = uy[j] * t + sum[1] * inverse[j];
        fz[j] = uz[j] * t + sum[2] * inverse[j];
    }
}

/* Forces on the neighbors from `first` on, by the scalar functions alone. */
static void NAME(far_forces)(const section *part, const section *shared, const center_arrays *arrays,
                             const pair_arrays *pairs, int first, int stride, double *const force[3])
{
    const int n = pairs->near + pairs->far, scalars = part->scalar.n_columns + shared->scalar.n_columns;
    const double *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
    double *const fx = force[0], *const fy = force[1], *const fz = force[2];
    int j;

    for (j = first; j < n; j++) {
        double sum[LANES] ALIGNED(64), t = 0.0;
        if (scalars) {
            STORE(sum, NAME(scalar_slope)(part, shared, arrays->adjoints, pairs->scalar + (size_t)j * scalars));
            t = NAME(total)(sum);
        }
        fx[j] = t * ux[j];
        fy[j] = t * uy[j];
        fz[j] = t * uz[j];
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
