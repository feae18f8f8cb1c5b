/* Four-body terms: products of three moments; part of plip_kernel.h. Each lane works on a center of its own, so that
 * nothing but the moments themselves is gathered across lanes.
 *
 * With powers p, q, t of its cosines, and w the weights of monomials, a product of moments of three arms is
 *
 *     sum over alpha of degree p, beta of degree q, tau of degree t of
 *         w_alpha w_beta w_tau A^(alpha + tau) B^(alpha + beta) C^(beta + tau).
 */

#define PLACE(degree, y, z) (MONOMIAL(degree, y, z) * LANES)
/* Of beta + tau among the components of C that a call takes: all, or a single one. */
#define PLACE_OF_C(k, m) (n_q * n_t > 1 ? PLACE(q + t, beta[k].y + tau[m].y, beta[k].z + tau[m].z) : 0)

/* `scale` times the part of n_q monomials beta and of n_t monomials tau, which are all of degrees q and t, or one of
 * each: then arm[2] begins at their component. Adds to the adjoints if `derivatives`. Inlined with n_q and n_t known:
 * all places are constants but for those of alpha in the rows of A and B, which have one power of z each. Arms may be
 * the same. */
static FORCE_INLINE VECTOR NAME(contract_part)(const int derivatives, const int p, const int q, const int t,
                                               const int n_q, const int n_t, const plip_monomial *beta,
                                               const plip_monomial *tau, const double *weight, double scale,
                                               const double *const arm[3], double *const adjoint[3])
{
    const int n_c = n_q * n_t > 1 ? COMPONENTS(q + t) : 1, rows_a = n_t > 1 ? t : 0, rows_b = n_q > 1 ? q : 0;
    const int first_a = n_t > 1 ? 0 : tau->z, first_b = n_q > 1 ? 0 : beta->z;
    const VECTOR zero = {0};
    ptrdiff_t row_a[3], row_b[3];
    VECTOR sum = {0}, dc[15];
    int y, z, k, m;

    UNROLL(15)
    for (k = 0; k < n_c; k++)
        dc[k] = zero;
    UNROLL(3)
    for (k = 0; k <= rows_a; k++)
        row_a[k] = PLACE(p + t, 0, first_a + k);
    UNROLL(3)
    for (k = 0; k <= rows_b; k++)
        row_b[k] = PLACE(p + q, 0, first_b + k);
    for (z = 0; z <= p; z++) {
        for (y = 0; y <= p - z; y++, weight++) {
            const double scaled = *weight * scale;
            VECTOR a[6], da[6];
            UNROLL(6)
            for (m = 0; m < n_t; m++)
                a[m] = LOAD(arm[0] + row_a[tau[m].z - first_a] + tau[m].y * LANES) * (scaled * tau[m].weight);
            UNROLL(6)
            for (k = 0; k < n_q; k++) {
                const ptrdiff_t place = row_b[beta[k].z - first_b] + beta[k].y * LANES;
                const VECTOR b = LOAD(arm[1] + place) * beta[k].weight;
                VECTOR db;
                UNROLL(6)
                for (m = 0; m < n_t; m++) {
                    const VECTOR c = LOAD(arm[2] + PLACE_OF_C(k, m));
                    db = m ? db + a[m] * c : a[m] * c;
                    da[m] = k ? da[m] + b * c : b * c;
                    dc[PLACE_OF_C(k, m) / LANES] += a[m] * b;
                }
                if (derivatives)
                    STORE(adjoint[1] + place, LOAD(adjoint[1] + place) + db * beta[k].weight);
            }
            UNROLL(6)
            for (m = 0; m < n_t && derivatives; m++) {
                double *place = adjoint[0] + row_a[tau[m].z - first_a] + tau[m].y * LANES;
                STORE(place, LOAD(place) + da[m] * (scaled * tau[m].weight));
            }
            UNROLL(3)
            for (k = 0; k <= rows_a; k++)
                row_a[k] += LANES;
            UNROLL(3)
            for (k = 0; k <= rows_b; k++)
                row_b[k] += LANES;
        }
        /* From the end of the rows of alpha to those of the next z. */
        UNROLL(3)
        for (k = 0; k <= rows_a; k++)
            row_a[k] += (t - first_a - k) * LANES;
        UNROLL(3)
        for (k = 0; k <= rows_b; k++)
            row_b[k] += (q - first_b - k) * LANES;
    }
    UNROLL(15)
    for (k = 0; k < n_c; k++) {
        sum += dc[k] * LOAD(arm[2] + k * LANES);
        if (derivatives)
            STORE(adjoint[2] + k * LANES, LOAD(adjoint[2] + k * LANES) + dc[k]);
    }
    return sum;
}

/* The same with derivatives for q = t and two arms A and B that are one: what they have in common is computed once. */
static FORCE_INLINE VECTOR NAME(contract_same)(const int p, const int q, const plip_monomial *beta,
                                               const double *weight, double scale, const double *arm, const double *c,
                                               double *adjoint, double *adjoint_of_c)
{
    const int n_q = COMPONENTS(q), n_c = COMPONENTS(2 * q);
    const VECTOR zero = {0};
    ptrdiff_t row[3];
    VECTOR sum = {0}, dc[15];
    int y, z, k, m;

    UNROLL(15)
    for (k = 0; k < n_c; k++)
        dc[k] = zero;
    UNROLL(3)
    for (k = 0; k <= q; k++)
        row[k] = PLACE(p + q, 0, k);
    for (z = 0; z <= p; z++) {
        for (y = 0; y <= p - z; y++, weight++) {
            const double scaled = *weight * scale;
            VECTOR a[6], b[6];
            UNROLL(6)
            for (k = 0; k < n_q; k++) {
                b[k] = LOAD(arm + row[beta[k].z] + beta[k].y * LANES) * beta[k].weight;
                a[k] = b[k] * scaled;
            }
            UNROLL(6)
            for (k = 0; k < n_q; k++) {
                double *place = adjoint + row[beta[k].z] + beta[k].y * LANES;
                VECTOR da = a[0] * LOAD(c + PLACE(2 * q, beta[k].y + beta[0].y, beta[k].z + beta[0].z));
                UNROLL(6)
                for (m = 1; m < n_q; m++)
                    da += a[m] * LOAD(c + PLACE(2 * q, beta[k].y + beta[m].y, beta[k].z + beta[m].z));
                STORE(place, LOAD(place) + da * (2.0 * beta[k].weight));
            }
            UNROLL(6)
            for (k = 0; k < n_q; k++) {
                const VECTOR twice = a[k] + a[k];
                dc[MONOMIAL(2 * q, 2 * beta[k].y, 2 * beta[k].z)] += a[k] * b[k];
                UNROLL(6)
                for (m = k + 1; m < n_q; m++)
                    dc[MONOMIAL(2 * q, beta[k].y + beta[m].y, beta[k].z + beta[m].z)] += twice * b[m];
            }
            UNROLL(3)
            for (k = 0; k <= q; k++)
                row[k] += LANES;
        }
        UNROLL(3)
        for (k = 0; k <= q; k++)
            row[k] += (q - k) * LANES;
    }
    UNROLL(15)
    for (k = 0; k < n_c; k++) {
        sum += dc[k] * LOAD(c + k * LANES);
        STORE(adjoint_of_c + k * LANES, LOAD(adjoint_of_c + k * LANES) + dc[k]);
    }
    return sum;
}

/* The same, one beta and one tau at a time, for any degrees. */
static VECTOR NAME(contract_any)(const int derivatives, const int *power, const double *weights, double scale,
                                 const double *const arm[3], double *const adjoint[3])
{
    const int p = power[0], q = power[1], t = power[2];
    const double *weight_q = weights + FIRST_MONOMIAL(q);
    plip_monomial beta, tau;
    VECTOR sum = {0};

    for (beta.z = 0; beta.z <= q; beta.z++)
        for (beta.y = 0; beta.y <= q - beta.z; beta.y++) {
            const double *weight_t = weights + FIRST_MONOMIAL(t);
            beta.weight = *weight_q++;
            for (tau.z = 0; tau.z <= t; tau.z++)
                for (tau.y = 0; tau.y <= t - tau.z; tau.y++) {
                    const int place = PLACE(q + t, beta.y + tau.y, beta.z + tau.z);
                    const double *const arms[3] = {arm[0], arm[1], arm[2] + place};
                    double *const adjoints[3] = {adjoint[0], adjoint[1], derivatives ? adjoint[2] + place : NULL};
                    tau.weight = *weight_t++;
                    sum += NAME(contract_part)(derivatives, p, q, t, 1, 1, &beta, &tau, weights + FIRST_MONOMIAL(p),
                                               scale, arms, adjoints);
                }
        }
    return sum;
}

/* `scale` times the product of moments of three arms, for powers in falling order. Adds to the derivatives by them if
 * `derivatives`. */
static FORCE_INLINE VECTOR NAME(contract)(const int derivatives, const int *power, const double *weights, double scale,
                                          const double *const arm[3], double *const adjoint[3])
{
    static const plip_monomial ZERO[] = {{0, 0, 1.0}}, ONE[] = {{0, 0, 1.0}, {1, 0, 1.0}, {0, 1, 1.0}};
    static const plip_monomial TWO[] = {{0, 0, 1.0}, {1, 0, 2.0}, {2, 0, 1.0}, {0, 1, 2.0}, {1, 1, 2.0}, {0, 2, 1.0}};

#define SAME(q, beta)                                                                                           \
    case q:                                                                                                     \
        return NAME(contract_same)(power[0], q, beta, weights + FIRST_MONOMIAL(power[0]), scale, arm[0], arm[2],\
                                   adjoint[0], adjoint[2])
    if (derivatives && arm[0] == arm[1])
        switch (power[1]) {
            SAME(1, ONE);
            SAME(2, TWO);
        }
#undef SAME
#define PART(q, t, beta, tau)                                                                                   \
    case 3 * q + t:                                                                                             \
        return NAME(contract_part)(derivatives, power[0], q, t, COMPONENTS(q), COMPONENTS(t), beta, tau,        \
                                   weights + FIRST_MONOMIAL(power[0]), scale, arm, adjoint)
    switch (power[1] > 2 ? -1 : 3 * power[1] + power[2]) {
        PART(0, 0, ZERO, ZERO);
        PART(1, 0, ONE, ZERO);
        PART(1, 1, ONE, ONE);
        PART(2, 0, TWO, ZERO);
        PART(2, 1, TWO, ONE);
        PART(2, 2, TWO, TWO);
    default:
        return NAME(contract_any)(derivatives, power, weights, scale, arm, adjoint);
    }
#undef PART
}

#undef PLACE_OF_C
#undef PLACE

/* Moments of four-body terms of n centers, one per lane; other lanes repeat the first center. */
static void NAME(gather_moments)(const center_plan *plan, int n, const center_arrays *arrays, double *moments)
{
    const double *from[LANES];
    int m, k, lane;

    for (lane = 0; lane < LANES; lane++)
        from[lane] = arrays[lane < n ? lane : 0].moments;
    for (m = 0; m < plan->n_runs; m++) {
        const moment_run *run = plan->runs + m;
        for (k = 0; k < run->n; k++) {
            VECTOR block[LANES];
            UNROLL(8)
            for (lane = 0; lane < LANES; lane++)
                block[lane] = LOAD(from[lane] + run->moment + k * LANES);
            NAME(transpose)(block);
            UNROLL(8)
            for (lane = 0; lane < LANES; lane++)
                STORE(moments + (run->row[lane] + k) * LANES, block[lane]);
        }
    }
}

/* Adds the adjoints of n centers to theirs. */
static void NAME(scatter_adjoints)(const center_plan *plan, int n, const double *adjoints, const center_arrays *arrays)
{
    int m, k, lane;

    for (m = 0; m < plan->n_runs; m++) {
        const moment_run *run = plan->runs + m;
        for (k = 0; k < run->n; k++) {
            VECTOR block[LANES];
            UNROLL(8)
            for (lane = 0; lane < LANES; lane++)
                block[lane] = LOAD(adjoints + (run->row[lane] + k) * LANES);
            NAME(transpose)(block);
            UNROLL(8)
            for (lane = 0; lane < LANES && lane < n; lane++) {
                double *place = arrays[lane].adjoints + run->moment + k * LANES;
                STORE(place, LOAD(place) + block[lane]);
            }
        }
    }
}

/* open = sum over the terms of a form of weight times moments of their first arms */
static FORCE_INLINE void NAME(open_form)(const trilinear *form, int n_open, const double *moments, double *open)
{
    int k, t;

    for (k = 0; k < n_open; k++) {
        VECTOR sum = LOAD(moments + (form->a[0] + k) * LANES) * form->weight[0];
        for (t = 1; t < form->n; t++)
            sum += LOAD(moments + (form->a[t] + k) * LANES) * form->weight[t];
        STORE(open + k * LANES, sum);
    }
}

/* Adds to the adjoints of the first arms of a form what the derivatives by `open` are. */
static FORCE_INLINE void NAME(close_form)(const trilinear *form, int n_open, const double *derivatives, double *adjoints)
{
    int k, t;

    for (t = 0; t < form->n; t++) {
        const double weight = form->weight[t];
        double *a = adjoints + form->a[t] * LANES;
        for (k = 0; k < n_open; k++, a += LANES)
            STORE(a, LOAD(a) + LOAD(derivatives + k * LANES) * weight);
    }
}

/* Energy of a form of rank (0, p, 0), a scalar product of moments of degree p times a sum of moments of degree 0; adds to
 * the adjoints. `weights`: of the monomials of degree p. */
static VECTOR NAME(add_scalar_product)(int p, const trilinear *form, const double *weights, const double *moments,
                                       double *adjoints)
{
    const double *const b = moments + form->b * LANES, *const c = moments + form->c * LANES;
    double *const adjoint_b = adjoints + form->b * LANES, *const adjoint_c = adjoints + form->c * LANES;
    VECTOR open = LOAD(moments + form->a[0] * LANES) * form->weight[0], product = LOAD(b) * LOAD(c) * weights[0];
    int k;

    for (k = 1; k < form->n; k++)
        open += LOAD(moments + form->a[k] * LANES) * form->weight[k];
    for (k = 1; k < COMPONENTS(p); k++)
        product += LOAD(b + k * LANES) * LOAD(c + k * LANES) * weights[k];
    for (k = 0; k < COMPONENTS(p); k++) {
        const VECTOR scale = open * weights[k];
        STORE(adjoint_b + k * LANES, LOAD(adjoint_b + k * LANES) + LOAD(c + k * LANES) * scale);
        STORE(adjoint_c + k * LANES, LOAD(adjoint_c + k * LANES) + LOAD(b + k * LANES) * scale);
    }
    for (k = 0; k < form->n; k++) {
        double *a = adjoints + form->a[k] * LANES;
        STORE(a, LOAD(a) + product * form->weight[k]);
    }
    return open * product;
}

/* Energy of one form; adds to the adjoints. `open` and `derivatives` are scratch. */
static VECTOR NAME(add_form)(const plip_potential *potential, const trilinear *form, const double *moments,
                             double *adjoints, double *open, double *derivatives)
{
    const contraction *rank = potential->contractions + form->contraction;
    const int is_single = form->n == 1;
    const VECTOR zero = {0};
    const double *arm[3];
    double *adjoint[3];
    VECTOR energy;
    int k;

    if (rank->rank[0] == 0 && rank->rank[2] == 0)
        return NAME(add_scalar_product)(rank->rank[1], form, potential->multiplicity + FIRST_MONOMIAL(rank->rank[1]),
                                        moments, adjoints);
    arm[rank->place[0]] = is_single ? moments + form->a[0] * LANES : open;
    adjoint[rank->place[0]] = is_single ? adjoints + form->a[0] * LANES : derivatives;
    arm[rank->place[1]] = moments + form->b * LANES;
    adjoint[rank->place[1]] = adjoints + form->b * LANES;
    arm[rank->place[2]] = moments + form->c * LANES;
    adjoint[rank->place[2]] = adjoints + form->c * LANES;
    if (!is_single) {
        NAME(open_form)(form, rank->n_open, moments, open);
        for (k = 0; k < rank->n_open; k++)
            STORE(derivatives + k * LANES, zero);
    }
    energy = NAME(contract)(1, rank->power, potential->multiplicity, is_single ? form->weight[0] : 1.0, arm, adjoint);
    if (!is_single)
        NAME(close_form)(form, rank->n_open, derivatives, adjoints);
    return energy;
}

/* Four-body terms of n centers of one species, at most LANES: adds to their energies and adjoints. */
static void NAME(four_body)(const plip_potential *potential, const center_plan *plan, int n,
                            const center_arrays *arrays, plip_center *const *centers, double *scratch)
{
    double *const moments = scratch, *const adjoints = moments + plan->n_rows * LANES;
    double *const open = adjoints + plan->n_rows * LANES;
    double *const result = open + potential->max_open * LANES;
    VECTOR energy = {0};
    const VECTOR zero = {0};
    int m, lane;

    NAME(gather_moments)(plan, n, arrays, moments);
    for (m = 0; m < plan->n_rows; m++)
        STORE(adjoints + m * LANES, zero);
    for (m = 0; m < plan->n_trilinears; m++)
        energy += NAME(add_form)(potential, plan->trilinears + m, moments, adjoints, open, result);
    STORE(open, energy);
    for (lane = 0; lane < n; lane++)
        centers[lane]->energy += open[lane];
    NAME(scatter_adjoints)(plan, n, adjoints, arrays);
}
