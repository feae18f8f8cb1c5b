/* Fields along the pairs of one atom, and their products with radial functions; part of plip_rows_kernel.h. */

/* Ask for the cache lines of `vectors` vectors. */
static FORCE_INLINE void NAME(prefetch)(const double *source, const int vectors)
{
#if PLIP_GNU
    int v;
    for (v = 0; v < vectors; v += LINE / 8 / LANES)
        __builtin_prefetch(source + v * LANES);
#else
    (void)source;
    (void)vectors;
#endif
}

/* S of one pair: of the neighbor as a center and of the atom itself as a center, or of one of them. */
static FORCE_INLINE VECTOR NAME(coefficients)(const int of_neighbor, const int of_atom, const double *near,
                                              const double *here, double parity, ptrdiff_t place)
{
    VECTOR s;
    if (of_neighbor && of_atom)
        s = LOAD(near + place) + parity * LOAD(here + place);
    else if (of_neighbor)
        s = LOAD(near + place);
    else
        s = parity * LOAD(here + place);
    return s;
}

/* The gradient of each component over its degree, for all neighbors. */
static FORCE_INLINE void NAME(component_gradients)(const pair_fields *f)
{
    double *gradient = f->gradient;
    ptrdiff_t k;
    int a, x;

    for (a = 0; a < f->n_components; a++)
        for (x = 0; x < 3; x++, gradient += f->stride) {
            const plip_component *of = f->components + a;
            const double first = of->lower_weight[x][0], second = of->lower_weight[x][1];
            const double *b = f->component + of->lower[x][0] * f->stride;
            const double *c = f->component + of->lower[x][1] * f->stride;
            for (k = 0; k < f->n_neighbors; k += LANES)
                STORE(gradient + k, first * LOAD(b + k) + second * LOAD(c + k));
        }
}

/* P_x = sum_a weight[a][x] S_a, x = 0, 1, 2, with the gradients of the components a as weights. `next` is S of the
 * neighbor that follows. */
static FORCE_INLINE void NAME(field_gradient)(const int vectors, const int of_neighbor, const int of_atom,
                                              const pair_fields *f, const double *near, const double *next,
                                              const double *here, const double *weight, VECTOR gradient[3][3])
{
    /* Copies, since stores could change what the pointer refers to, for all the compiler knows. */
    const ptrdiff_t width = f->width, size = f->n_components * width, stride = f->stride;
    const double parity = f->parity;
    const VECTOR zero = {0};
    ptrdiff_t a;
    int v;

    for (v = 0; v < vectors; v++)
        gradient[0][v] = gradient[1][v] = gradient[2][v] = zero;
    for (a = 0; a < size; a += width, weight += 3 * stride) {
        const double wx = weight[0], wy = weight[stride], wz = weight[2 * stride];
        if (of_neighbor)
            NAME(prefetch)(next + a, vectors);
        for (v = 0; v < vectors; v++) {
            const VECTOR s = NAME(coefficients)(of_neighbor, of_atom, near, here, parity, a + v * LANES);
            gradient[0][v] += wx * s;
            gradient[1][v] += wy * s;
            gradient[2][v] += wz * s;
        }
    }
}

/* A field p(u) of one pair k, as what multiplies the radial functions:
 *
 *     d/dr_x [g(r) p(u)] = g'(r) p u_x + g(r) degree/r (P_x - p u_x),   p = u . P.
 *
 * by_derivative[x] gets p u_x, by_value[x] the second factor (not written for degree 0). The neighbor's own share is taken
 * out of p n_own times. */
static FORCE_INLINE void NAME(field_tile)(const int vectors, const int of_neighbor, const int of_atom,
                                          const pair_fields *f, ptrdiff_t k, const double *near, const double *next,
                                          const double *here, const double *own, double n_own,
                                          double *by_derivative, double *by_value)
{
    const int degree = f->degree;
    const ptrdiff_t width = f->width;
    const double u[3] = {f->direction[k], f->direction[f->stride + k], f->direction[2 * f->stride + k]};
    const double scale = degree / f->distance[k];
    VECTOR gradient[3][3], p[3];
    int v, x;

    if (degree == 0)
        for (v = 0; v < vectors; v++) {
            p[v] = NAME(coefficients)(of_neighbor, of_atom, near, here, f->parity, v * LANES);
            gradient[0][v] = gradient[1][v] = gradient[2][v] = (VECTOR){0};
        }
    else {
        NAME(field_gradient)(vectors, of_neighbor, of_atom, f, near, next, here, f->gradient + k, gradient);
        for (v = 0; v < vectors; v++)
            p[v] = u[0] * gradient[0][v] + u[1] * gradient[1][v] + u[2] * gradient[2][v];
    }
    for (v = 0; v < vectors; v++) {
        for (x = 0; x < 3 && degree; x++)
            STORE(by_value + x * width + v * LANES, scale * (gradient[x][v] - p[v] * u[x]));
        if (own)
            p[v] -= n_own * LOAD(own + v * LANES);
        for (x = 0; x < 3; x++)
            STORE(by_derivative + x * width + v * LANES, p[v] * u[x]);
    }
}

static FORCE_INLINE void NAME(fields_of_kind)(const int of_neighbor, const int of_atom, const pair_fields *f,
                                              double *by_pair)
{
    const ptrdiff_t width = f->width, m = f->n_neighbors;
    const double *near = NULL, *next = NULL, *here = NULL;
    double *by_derivative = by_pair, *by_value = by_pair + m * OF_FORCES * width;
    ptrdiff_t k;

    if (f->degree)
        NAME(component_gradients)(f);
    for (k = 0; k < m; k++) {
        const int dominance = f->own ? f->dominance[k] : 0;
        double n_own = 0.0;
        ptrdiff_t b = 0;
        if (of_neighbor) {
            near = f->of_atoms + f->neighbor[k] * f->state_size + (dominance & DOMINATES ? f->to_others : 0);
            next = f->of_atoms + f->neighbor[k + 1 < m ? k + 1 : k] * f->state_size;
            n_own += !(dominance & DOMINATES);
        }
        if (of_atom) {
            here = f->of_atom + (dominance & IS_DOMINATED ? f->to_others : 0);
            n_own += !(dominance & IS_DOMINATED);
        }
        /* The gradients of three vectors and what they are made of fit 16 registers. */
#define FIELD_TILES(vectors)                                                                                         \
    for (; b + vectors * LANES <= width; b += vectors * LANES)                                                       \
        NAME(field_tile)(vectors, of_neighbor, of_atom, f, k, of_neighbor ? near + b : NULL,                         \
                         of_neighbor ? next + b : NULL, of_atom ? here + b : NULL,                                   \
                         f->own ? f->own + k * f->own_stride + b : NULL, n_own, by_derivative + b, by_value + b);
        FIELD_TILES(3)
        FIELD_TILES(2)
        FIELD_TILES(1)
#undef FIELD_TILES
        by_derivative += OF_FORCES * width;
        by_value += OF_FORCES * width;
    }
}

/* The fields of all pairs, [neighbor][x][field]: what multiplies derivatives, then what multiplies values. */
static void NAME(fields)(const pair_fields *f, double *by_pair)
{
    if (f->of_atoms && f->of_atom)
        NAME(fields_of_kind)(1, 1, f, by_pair);
    else if (f->of_atoms)
        NAME(fields_of_kind)(1, 0, f, by_pair);
    else
        NAME(fields_of_kind)(0, 1, f, by_pair);
}

/* Each field with its own radial function: sum[x step + b] = sum_k derivative[k][b] by_derivative[k][x][b] +
 * value[k][b] by_value[k][x][b]. */
static void NAME(diagonal_product)(ptrdiff_t width, ptrdiff_t length, int angular, const double *derivative,
                                   const double *value, ptrdiff_t stride, const double *by_derivative,
                                   const double *by_value, double *sum, ptrdiff_t step)
{
    ptrdiff_t x, b, k;

    for (x = 0; x < OF_FORCES; x++)
        for (b = 0; b < width; b += LANES) {
            VECTOR total = {0};
            for (k = 0; k < length; k++) {
                const ptrdiff_t place = (k * OF_FORCES + x) * width + b;
                total += LOAD(derivative + k * stride + b) * LOAD(by_derivative + place);
                if (angular)
                    total += LOAD(value + k * stride + b) * LOAD(by_value + place);
            }
            STORE(sum + x * step + b, total);
        }
}

/* The same for fields of degree 0 without an own share, which need not be written down. */
static FORCE_INLINE void NAME(constant_fields_of_kind)(const int of_neighbor, const int of_atom, const pair_fields *f,
                                                       const double *derivative, ptrdiff_t stride, double *sum,
                                                       ptrdiff_t step)
{
    const double *near = NULL;
    ptrdiff_t b, k;
    int x;

    for (b = 0; b < f->width; b += LANES) {
        VECTOR total[OF_FORCES];
        for (x = 0; x < OF_FORCES; x++)
            total[x] = (VECTOR){0};
        for (k = 0; k < f->n_neighbors; k++) {
            if (of_neighbor)
                near = f->of_atoms + f->neighbor[k] * f->state_size;
            const VECTOR s = LOAD(derivative + k * stride + b) *
                             NAME(coefficients)(of_neighbor, of_atom, near, f->of_atom, 1.0, b);
            for (x = 0; x < OF_FORCES; x++)
                total[x] += s * f->direction[x * f->stride + k];
        }
        for (x = 0; x < OF_FORCES; x++)
            STORE(sum + x * step + b, total[x]);
    }
}

static void NAME(constant_fields)(const pair_fields *f, const double *derivative, ptrdiff_t stride, double *sum,
                                  ptrdiff_t step)
{
    if (f->of_atoms && f->of_atom)
        NAME(constant_fields_of_kind)(1, 1, f, derivative, stride, sum, step);
    else if (f->of_atoms)
        NAME(constant_fields_of_kind)(1, 0, f, derivative, stride, sum, step);
    else
        NAME(constant_fields_of_kind)(0, 1, f, derivative, stride, sum, step);
}
