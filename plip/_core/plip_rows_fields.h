/* Fields along the pairs of one atom, and their products with radial functions; part of plip_rows_kernel.h.
 *
 * With the field p(u) of degree l at one pair, and P its gradient over l,
 *
 *     d/dr_x [g(r) p(u)] = g' p u_x + g q_x,   q_x = l/r (P_x - p u_x),   p = u . P.
 *
 * Gradients have the factor 1/r from the start. */

/* Asks for the cache line of vector v, once for each line. */
static FORCE_INLINE void NAME(prefetch)(const double *source, const int v)
{
#if PLIP_GNU
    if (v % (LINE / 8 / LANES) == 0)
        __builtin_prefetch(source + v * LANES);
#else
    (void)source;
    (void)v;
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

/* Where the coefficients of pair k stand, and how many times they contain the neighbor's own share. */
static FORCE_INLINE double NAME(find_place)(const int of_neighbor, const int of_atom, const pair_fields *f,
                                            ptrdiff_t k, const double **near, const double **here)
{
    const int dominance = f->dominance ? f->dominance[k] : 0;
    double n_own = 0.0;

    if (of_neighbor) {
        *near = f->states[k] + f->place + (dominance & DOMINATES ? f->to_others : 0);
        n_own += !(dominance & DOMINATES);
    }
    if (of_atom) {
        *here = f->state + f->place + (dominance & IS_DOMINATED ? f->to_others : 0);
        n_own += !(dominance & IS_DOMINATED);
    }
    return n_own;
}

/* Vectors of fields at a time: the three components of the gradient of each and what they are made of fit the
 * registers, of which there are 32 for eight lanes, else 16. */
#define AT_ONCE (LANES == 8 ? 6 : 3)
/* Pairs at a time: more than two would want more pointers than there are registers for. */
#define PAIRS(vectors) (LANES == 8 ? 2 : 3 / (vectors))

static FORCE_INLINE void NAME(set_zero)(const int count, VECTOR gradient[AT_ONCE][3])
{
    const VECTOR zero = {0};
    int i;

    UNROLL(6)
    for (i = 0; i < count; i++)
        gradient[i][0] = gradient[i][1] = gradient[i][2] = zero;
}

/* gradient[i][x] += sum_a weight[a][x] S_a of `pairs` pairs from k on, for each of them `vectors` vectors from b on,
 * with the gradients of the components a as weights. `here` is the same for all of them. */
static FORCE_INLINE void NAME(field_gradients)(const int pairs, const int vectors, const int of_neighbor,
                                               const int of_atom, const pair_fields *f, ptrdiff_t k, ptrdiff_t b,
                                               const double *const near[AT_ONCE], const double *here,
                                               VECTOR gradient[AT_ONCE][3])
{
    const ptrdiff_t width = f->width, end = f->n_components * width + b, stride = f->stride;
    const double *weight = f->gradient + k, parity = f->parity, *next[AT_ONCE] = {NULL};
    const VECTOR zero = {0};
    ptrdiff_t a;
    int j, v;

    UNROLL(6)
    for (j = 0; j < pairs && of_neighbor; j++)
        next[j] = f->states[k + pairs + j < f->n_neighbors ? k + pairs + j : k] + f->place;
    for (a = b; a < end; a += width, weight += 3 * stride) {
        const double *of_y = weight + stride, *of_z = of_y + stride;
        UNROLL(3)
        for (v = 0; v < vectors; v++) {
            VECTOR mine = zero;
            if (of_atom)
                mine = parity * LOAD(here + a + v * LANES);
            UNROLL(6)
            for (j = 0; j < pairs; j++) {
                const double wx = weight[j], wy = of_y[j], wz = of_z[j];
                VECTOR s = mine, *to = gradient[j * vectors + v];
                if (of_neighbor)
                    NAME(prefetch)(next[j] + a, v);
                if (of_neighbor && of_atom)
                    s += LOAD(near[j] + a + v * LANES);
                else if (of_neighbor)
                    s = LOAD(near[j] + a + v * LANES);
                to[0] += wx * s;
                to[1] += wy * s;
                to[2] += wz * s;
            }
        }
    }
}

/* The field of one pair, one vector of them: p, and u . gradient, of which q is made. */
typedef struct {
    VECTOR p, along;
} NAME(field);

/* The fields of `pairs` pairs from k on, for each of them `vectors` vectors from b on. The neighbor's own share is
 * taken out of p. */
static FORCE_INLINE void NAME(find_fields)(const int pairs, const int vectors, const int of_neighbor,
                                           const int of_atom, const pair_fields *f, ptrdiff_t k, ptrdiff_t b,
                                           NAME(field) fields[AT_ONCE], VECTOR gradient[AT_ONCE][3])
{
    const ptrdiff_t stride = f->stride;
    const double *near[AT_ONCE] = {NULL}, *here = NULL;
    double n_own[AT_ONCE] = {0.0};
    int j, v;

    UNROLL(6)
    for (j = 0; j < pairs; j++)
        n_own[j] = NAME(find_place)(of_neighbor, of_atom, f, k + j, near + j, &here);
    NAME(set_zero)(pairs * vectors, gradient);
    if (f->degree)
        NAME(field_gradients)(pairs, vectors, of_neighbor, of_atom, f, k, b, near, here, gradient);
    UNROLL(6)
    for (j = 0; j < pairs; j++) {
        const double *u = f->direction + k + j, r = f->distance[k + j] * f->inverse_degree;
        UNROLL(3)
        for (v = 0; v < vectors; v++) {
            NAME(field) *to = fields + j * vectors + v;
            const VECTOR *g = gradient[j * vectors + v];
            to->along = u[0] * g[0] + u[stride] * g[1] + u[2 * stride] * g[2];
            if (f->degree)
                to->p = r * to->along;
            else
                to->p = NAME(coefficients)(of_neighbor, of_atom, near[j], here, f->parity, b + v * LANES);
            if (f->own)
                to->p -= n_own[j] * LOAD(f->own + (k + j) * f->own_stride + b + v * LANES);
        }
    }
}

/* Writes the fields of some pairs, p u_x and, but for degree 0, q_x: [neighbor][x][field], in rows as end_rows
 * explains. */
static FORCE_INLINE void NAME(write_fields)(const int pairs, const int vectors, const int of_neighbor,
                                            const int of_atom, const pair_fields *f, ptrdiff_t k, ptrdiff_t b,
                                            double *p, double *q)
{
    NAME(field) fields[AT_ONCE];
    VECTOR gradient[AT_ONCE][3];
    int j, v, x;

    NAME(find_fields)(pairs, vectors, of_neighbor, of_atom, f, k, b, fields, gradient);
    UNROLL(6)
    for (j = 0; j < pairs; j++) {
        UNROLL(3)
        for (x = 0; x < 3; x++) {
            const ptrdiff_t place = (k + j) * f->row + x * f->step + b;
            const double u = f->direction[x * f->stride + k + j];
            UNROLL(3)
            for (v = 0; v < vectors; v++) {
                const NAME(field) *from = fields + j * vectors + v;
                STORE(p + place + v * LANES, u * from->p);
                if (f->degree)
                    STORE(q + place + v * LANES, gradient[j * vectors + v][x] - u * from->along);
            }
        }
    }
}

/* `vectors` vectors from b on of the fields of all pairs, as many pairs at a time as there is room for. The last ones
 * may be done twice. */
static FORCE_INLINE void NAME(fields_of_vectors)(const int vectors, const int of_neighbor, const int of_atom,
                                                 const pair_fields *f, ptrdiff_t b, double *p, double *q)
{
    const int most = PAIRS(vectors);
    const ptrdiff_t n = f->n_neighbors;
    ptrdiff_t k;

    if (n >= most && !f->dominance)
        for (k = 0; k < n; k += most)
            NAME(write_fields)(most, vectors, of_neighbor, of_atom, f, k + most <= n ? k : n - most, b, p, q);
    else
        for (k = 0; k < n; k++)
            NAME(write_fields)(1, vectors, of_neighbor, of_atom, f, k, b, p, q);
}

static FORCE_INLINE void NAME(fields_of_kind)(const int of_neighbor, const int of_atom, const pair_fields *pairs,
                                              double *p, double *q)
{
    /* A copy, since stores could change what the pointer refers to, for all the compiler knows. */
    const pair_fields f = *pairs;
    ptrdiff_t b = f.width;

    /* The last vectors come first, for what is beyond the last field is overwritten. */
#define FIELDS_OF_VECTORS(vectors)                                                                                   \
    for (; b >= vectors * LANES; b -= vectors * LANES)                                                               \
        NAME(fields_of_vectors)(vectors, of_neighbor, of_atom, &f, b - vectors * LANES, p, q);
    FIELDS_OF_VECTORS(3)
    if (PAIRS(2) > 1)
        FIELDS_OF_VECTORS(2)
    FIELDS_OF_VECTORS(1)
#undef FIELDS_OF_VECTORS
}

/* The fields of all pairs. */
static void NAME(fields)(const pair_fields *f, double *p, double *q)
{
    if (f->of_neighbor && f->of_atom)
        NAME(fields_of_kind)(1, 1, f, p, q);
    else if (f->of_neighbor)
        NAME(fields_of_kind)(1, 0, f, p, q);
    else
        NAME(fields_of_kind)(0, 1, f, p, q);
}

/* Adds some pairs to total[x], each field with its own radial function: derivative p u_x + value q_x. */
static FORCE_INLINE void NAME(add_diagonal)(const int pairs, const int of_neighbor, const int of_atom,
                                            const pair_fields *f, ptrdiff_t k, ptrdiff_t b, const double *derivative,
                                            const double *value, VECTOR total[3])
{
    NAME(field) fields[AT_ONCE];
    VECTOR gradient[AT_ONCE][3];
    int j, x;

    NAME(find_fields)(pairs, 1, of_neighbor, of_atom, f, k, b, fields, gradient);
    UNROLL(3)
    for (j = 0; j < pairs; j++) {
        const ptrdiff_t place = (k + j) * f->own_stride + b;
        VECTOR p = LOAD(derivative + place) * fields[j].p;
        if (f->degree) {
            const VECTOR g = LOAD(value + place);
            p -= g * fields[j].along;
            UNROLL(3)
            for (x = 0; x < 3; x++)
                total[x] += g * gradient[j][x];
        }
        UNROLL(3)
        for (x = 0; x < 3; x++)
            total[x] += f->direction[x * f->stride + k + j] * p;
    }
}

static FORCE_INLINE void NAME(diagonal_of_kind)(const int of_neighbor, const int of_atom, const pair_fields *pairs,
                                                const double *derivative, const double *value, double *sum,
                                                ptrdiff_t step)
{
    const pair_fields f = *pairs;
    const VECTOR zero = {0};
    const int most = PAIRS(1);
    ptrdiff_t b, k;
    int x;

    for (b = 0; b < f.width; b += LANES) {
        VECTOR total[3] = {zero, zero, zero};
        k = 0;
        /* The sums over components of one pair would wait for each other. */
        for (; k + most <= f.n_neighbors && !f.dominance; k += most)
            NAME(add_diagonal)(most, of_neighbor, of_atom, &f, k, b, derivative, value, total);
        for (; k < f.n_neighbors; k++)
            NAME(add_diagonal)(1, of_neighbor, of_atom, &f, k, b, derivative, value, total);
        for (x = 0; x < OF_FORCES; x++)
            STORE(sum + x * step + b, total[x]);
    }
}

/* The sums over pairs of each field with its own radial function, sum[x step + field]. */
static void NAME(diagonal_fields)(const pair_fields *f, const double *derivative, const double *value, double *sum,
                                  ptrdiff_t step)
{
    if (f->of_neighbor && f->of_atom)
        NAME(diagonal_of_kind)(1, 1, f, derivative, value, sum, step);
    else if (f->of_neighbor)
        NAME(diagonal_of_kind)(1, 0, f, derivative, value, sum, step);
    else
        NAME(diagonal_of_kind)(0, 1, f, derivative, value, sum, step);
}

/* The same for fields of degree 0 without an own share. */
static FORCE_INLINE void NAME(constant_fields_of_kind)(const int of_neighbor, const int of_atom,
                                                       const pair_fields *pairs, const double *derivative, double *sum,
                                                       ptrdiff_t step)
{
    const pair_fields f = *pairs;
    const VECTOR zero = {0};
    const double *near = NULL;
    ptrdiff_t b, k;
    int x;

    for (b = 0; b < f.width; b += LANES) {
        VECTOR total[3] = {zero, zero, zero};
        for (k = 0; k < f.n_neighbors; k++) {
            if (of_neighbor)
                near = f.states[k] + f.place;
            const VECTOR p = LOAD(derivative + k * f.own_stride + b) *
                             NAME(coefficients)(of_neighbor, of_atom, near, f.state + f.place, 1.0, b);
            UNROLL(3)
            for (x = 0; x < 3; x++)
                total[x] += p * f.direction[x * f.stride + k];
        }
        for (x = 0; x < OF_FORCES; x++)
            STORE(sum + x * step + b, total[x]);
    }
}

static void NAME(constant_fields)(const pair_fields *f, const double *derivative, double *sum, ptrdiff_t step)
{
    if (f->of_neighbor && f->of_atom)
        NAME(constant_fields_of_kind)(1, 1, f, derivative, sum, step);
    else if (f->of_neighbor)
        NAME(constant_fields_of_kind)(1, 0, f, derivative, sum, step);
    else
        NAME(constant_fields_of_kind)(0, 1, f, derivative, sum, step);
}

#undef AT_ONCE
#undef PAIRS
