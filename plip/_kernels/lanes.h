/* Arithmetic on a few numbers at once, for the kernels of this folder.
 *
 * Compilers that know vector extensions map `lanes` to the registers of the
 * instruction set that the module is built for; elsewhere one lane is a plain double.
 */
#ifndef PLIP_LANES_H
#define PLIP_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Sizes and places in arrays; long would have 32 bits under Windows. */
typedef ptrdiff_t isize;

#if defined(__GNUC__)
#ifdef __AVX512F__
#define LANES 8
#define SPLAT(x) {x, x, x, x, x, x, x, x}
#else
#define LANES 4
#define SPLAT(x) {x, x, x, x}
#endif
typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef long long lanes_integer __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#define INLINE static inline __attribute__((always_inline))
INLINE lanes splat(double x) { return (lanes)SPLAT(x); }
#else
typedef double lanes;
#define LANES 1
#define INLINE static __inline
INLINE lanes splat(double x) { return x; }
#endif

INLINE lanes load(const double *source) { return *(const lanes *)source; }
INLINE void store(double *target, lanes value) { *(lanes *)target = value; }

/* Memory that begins with a cache line, so that no vector lies across two lines; NULL if there is none. */
#define LINE 64

static double *new_numbers(isize count)
{
    char *memory = malloc(sizeof(void *) + LINE + count * sizeof(double));
    if (!memory)
        return NULL;
    void **start = (void **)(((uintptr_t)memory + sizeof(void *) + LINE - 1) / LINE * LINE);
    start[-1] = memory;
    return (double *)start;
}

static void free_numbers(double *numbers)
{
    if (numbers)
        free(((void **)numbers)[-1]);
}

/* Ask for the cache lines of `vectors` lanes. */
INLINE void prefetch(const double *source, const int vectors)
{
#if defined(__GNUC__)
    for (int v = 0; v < vectors; v += LINE / 8 / LANES)
        __builtin_prefetch(source + v * LANES);
#else
    (void)source;
    (void)vectors;
#endif
}

/* exp(x) for x <= 0: 2^k exp(r) with |r| <= ln(2)/2 and the Taylor polynomial of degree 13,
 * whose remainder r^14/14! is below 5e-18; zero below -708, where exp leaves the normal numbers. */
INLINE lanes exp_of_negative(lanes x)
{
#if LANES > 1
    const lanes_integer vanishes = x < splat(-708.0);
    const lanes shift = splat(0x1.8p52);
    lanes y = (lanes)((vanishes & (lanes_integer)splat(-708.0)) | (~vanishes & (lanes_integer)x));
    lanes shifted = y * splat(1.4426950408889634) + shift;
    lanes k = shifted - shift;
    lanes r = y - k * splat(0x1.62e42feep-1) - k * splat(0x1.a39ef35793c76p-33);
    lanes e = splat(1.0 / 6227020800.0);
    e = e * r + splat(1.0 / 479001600.0);
    e = e * r + splat(1.0 / 39916800.0);
    e = e * r + splat(1.0 / 3628800.0);
    e = e * r + splat(1.0 / 362880.0);
    e = e * r + splat(1.0 / 40320.0);
    e = e * r + splat(1.0 / 5040.0);
    e = e * r + splat(1.0 / 720.0);
    e = e * r + splat(1.0 / 120.0);
    e = e * r + splat(1.0 / 24.0);
    e = e * r + splat(1.0 / 6.0);
    e = e * r + splat(0.5);
    e = e * r + splat(1.0);
    e = e * r + splat(1.0);
    return (lanes)(((lanes_integer)e + ((lanes_integer)shifted << 52)) & ~vanishes);
#else
    return exp(x);
#endif
}

/* Gaussians times the cutoff function, for `count` (whole lanes) positions q and exponents p. */
INLINE void gaussians(int count, const double *p, const double *q, double r, double f, double df,
                      double *value, double *derivative)
{
    for (int k = 0; k < count; k += LANES) {
        lanes x = splat(r) - load(q + k);
        lanes px = load(p + k) * x;
        lanes phi = exp_of_negative(-(px * x));
        store(value + k, phi * splat(f));
        store(derivative + k, phi * (splat(df) - (px + px) * splat(f)));
    }
}

/* Components [begin, end) of an angular basis at unit vectors: the sum of two terms factor u[axis]
 * component[source] each, with the axes x, y, z and 1. All neighbours of a component stand side by side,
 * `stride` numbers from one component to the next. */
static void angular_components(isize n_neighbors, int begin, int end, const int *source, const int *axis,
                               const double *factor, const double *direction, double *component, isize stride)
{
    if (begin < end)
        for (isize k = 0; k < n_neighbors; k += LANES)
            store(component + begin * stride + k, splat(1.0));
    for (int a = begin + 1; a < end; a++) {
        const lanes first = splat(factor[2 * a]), second = splat(factor[2 * a + 1]);
        const double *u = direction + axis[2 * a] * stride, *v = direction + axis[2 * a + 1] * stride;
        const double *b = component + source[2 * a] * stride, *c = component + source[2 * a + 1] * stride;
        for (isize k = 0; k < n_neighbors; k += LANES)
            store(component + a * stride + k,
                  first * load(u + k) * load(b + k) + second * load(v + k) * load(c + k));
    }
}

/* One tile of a product: `rows` x (`vectors` lanes) accumulators stay in registers. */
INLINE void product_tile(const int accumulate, const int rows, const int vectors, isize length,
                         const double *a, isize step_i, isize step_m, const double *b, isize stride_b, double *c,
                         isize stride_c)
{
    lanes sum[12][4];
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < vectors; v++)
            sum[m][v] = accumulate ? load(c + m * stride_c + v * LANES) : splat(0.0);
    for (isize i = 0; i < length; i++) {
        const double *ai = a + i * step_i, *bi = b + i * stride_b;
        for (int m = 0; m < rows; m++) {
            const lanes am = splat(ai[m * step_m]);
            for (int v = 0; v < vectors; v++)
                sum[m][v] += am * load(bi + v * LANES);
        }
    }
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < vectors; v++)
            store(c + m * stride_c + v * LANES, sum[m][v]);
}

/* `vectors` lanes of columns, in tiles of `most` rows. */
INLINE void product_columns(const int accumulate, const int most, const int vectors, isize rows, isize length,
                            const double *a, isize step_i, isize step_m, const double *b, isize stride_b,
                            double *c, isize stride_c)
{
    isize m = 0;
#define PRODUCT_TILES(count)                                                                                 \
    for (; m + count <= rows; m += count)                                                                    \
        product_tile(accumulate, count, vectors, length, a + m * step_m, step_i, step_m, b, stride_b,        \
                     c + m * stride_c, stride_c);
    PRODUCT_TILES(most)
    PRODUCT_TILES(3)
    PRODUCT_TILES(1)
#undef PRODUCT_TILES
}

/* Twelve accumulators fit 16 registers and hide the latency of the multiply-adds. */
INLINE void product_of_kind(const int accumulate, isize rows, isize columns, isize length, const double *a,
                            isize step_i, isize step_m, const double *b, isize stride_b, double *c,
                            isize stride_c)
{
#define PRODUCT_COLUMNS(most, vectors)                                                                       \
    product_columns(accumulate, most, vectors, rows, length, a, step_i, step_m, b, stride_b, c, stride_c)
    for (; columns >= 4 * LANES; columns -= 4 * LANES) {
        PRODUCT_COLUMNS(3, 4);
        b += 4 * LANES;
        c += 4 * LANES;
    }
    switch (columns / LANES) {
    case 3: PRODUCT_COLUMNS(4, 3); break;
    case 2: PRODUCT_COLUMNS(6, 2); break;
    case 1: PRODUCT_COLUMNS(12, 1); break;
    default: break;
    }
#undef PRODUCT_COLUMNS
}

/* c[m][n] = sum_i a[i step_i + m step_m] b[i][n]; columns must be whole lanes. */
static void product(isize rows, isize columns, isize length, const double *a, isize step_i, isize step_m,
                    const double *b, isize stride_b, double *c, isize stride_c)
{
    product_of_kind(0, rows, columns, length, a, step_i, step_m, b, stride_b, c, stride_c);
}

/* The same, added to c. */
static void add_product(isize rows, isize columns, isize length, const double *a, isize step_i, isize step_m,
                        const double *b, isize stride_b, double *c, isize stride_c)
{
    product_of_kind(1, rows, columns, length, a, step_i, step_m, b, stride_b, c, stride_c);
}

/* The six components xx yy zz yz xz xy of a virial: which of a force, times which of a distance vector. */
static const int virial_force[6] = {0, 1, 2, 1, 0, 0}, virial_arm[6] = {0, 1, 2, 2, 2, 1};

/* The pairs of one atom with its neighbours of one species, and the fields of one degree that act along
 * them. The coefficients S of a field are those of the neighbour as a centre plus `parity` times those of
 * the atom itself as a centre; either may be left out. */
typedef struct {
    int degree, n_components, with_virial;
    isize width;
    const double *of_atoms; /* S of the first atom, to be taken of the neighbours, or NULL */
    isize state_size;        /* from one atom to the next */
    const double *of_atom;  /* S of the atom itself, or NULL */
    double parity;
    isize n_neighbors;
    const int *neighbor;
    const double *distance, *direction, *component;
    isize stride;                /* from one component of directions and of the angular basis to the next */
    const int *lower;           /* [component][x][2] which components make its gradient */
    const double *lower_weight; /* their weights */
    double *scratch;            /* [component][x][neighbour] */
    const double *own;          /* [neighbour][own_stride] the neighbour's own share in p, or NULL */
    isize own_stride;
    double n_own; /* how many times to subtract it */
} pair_fields;

/* S of one pair: of the neighbour as a centre and of the atom itself as a centre, or of one of them. */
INLINE lanes coefficients(const int of_neighbor, const int of_atom, const double *near, const double *here,
                          lanes parity, isize place)
{
    lanes s;
    if (of_neighbor && of_atom)
        s = load(near + place) + parity * load(here + place);
    else if (of_neighbor)
        s = load(near + place);
    else
        s = parity * load(here + place);
    return s;
}

/* The gradient of each component over its degree, for all neighbours. */
INLINE void gradient_weights(const pair_fields *g)
{
    for (isize a = 0; a < 3 * g->n_components; a++) {
        const lanes first = splat(g->lower_weight[2 * a]), second = splat(g->lower_weight[2 * a + 1]);
        const double *b = g->component + g->lower[2 * a] * g->stride;
        const double *c = g->component + g->lower[2 * a + 1] * g->stride;
        for (isize k = 0; k < g->n_neighbors; k += LANES)
            store(g->scratch + a * g->stride + k, first * load(b + k) + second * load(c + k));
    }
}

/* A field p(u) of one pair k, as what multiplies the radial functions:
 *
 *     d/dr_x [g(r) p(u)] = g'(r) p u_x + g(r) degree/r (P_x - p u_x),   p = u . P,
 *     P_x = sum_a weight[a][x] S_a,   weight[a][x] the gradient of component a over its degree.
 *
 * by_derivative[x] gets p u_x, by_value[x] the second factor (not written for degree 0). For the
 * virial, six more components follow: each times a component of r u. */
INLINE void field_tile(const int vectors, const int of_neighbor, const int of_atom, const pair_fields *g,
                       isize k, const double *near, const double *next, const double *here,
                       const double *weight, const double *own, double *by_derivative, double *by_value)
{
    /* Copies, since stores could change what the pointer refers to, for all the compiler knows. */
    const int degree = g->degree;
    const isize n_components = g->n_components, width = g->width;
    const lanes parity = splat(g->parity);
    const double u[3] = {g->direction[k], g->direction[g->stride + k], g->direction[2 * g->stride + k]};
    const double r = g->distance[k];
    lanes gradient[3][4], p[4];
    for (int x = 0; x < 3; x++)
        for (int v = 0; v < vectors; v++)
            gradient[x][v] = splat(0.0);
    if (degree == 0)
        for (int v = 0; v < vectors; v++)
            p[v] = coefficients(of_neighbor, of_atom, near, here, parity, v * LANES);
    else {
        for (isize a = 0; a < n_components * width; a += width) {
            const lanes wx = splat(weight[0]), wy = splat(weight[g->stride]),
                        wz = splat(weight[2 * g->stride]);
            weight += 3 * g->stride;
            if (of_neighbor)
                prefetch(next + a, vectors);
            for (int v = 0; v < vectors; v++) {
                const lanes s = coefficients(of_neighbor, of_atom, near, here, parity, a + v * LANES);
                gradient[0][v] += wx * s;
                gradient[1][v] += wy * s;
                gradient[2][v] += wz * s;
            }
        }
        for (int v = 0; v < vectors; v++)
            p[v] = splat(u[0]) * gradient[0][v] + splat(u[1]) * gradient[1][v] + splat(u[2]) * gradient[2][v];
    }
    const lanes scale = splat(degree / r);
    for (int v = 0; v < vectors; v++) {
        lanes by_v[3], by_d[3];
        for (int x = 0; x < 3; x++)
            by_v[x] = scale * (gradient[x][v] - p[v] * splat(u[x]));
        if (own)
            p[v] -= splat(g->n_own) * load(own + v * LANES);
        for (int x = 0; x < 3; x++) {
            by_d[x] = p[v] * splat(u[x]);
            store(by_derivative + x * width + v * LANES, by_d[x]);
            if (degree)
                store(by_value + x * width + v * LANES, by_v[x]);
        }
        if (g->with_virial)
            for (int x = 0; x < 6; x++) {
                const lanes arm = splat(r * u[virial_arm[x]]);
                store(by_derivative + (3 + x) * width + v * LANES, by_d[virial_force[x]] * arm);
                if (degree)
                    store(by_value + (3 + x) * width + v * LANES, by_v[virial_force[x]] * arm);
            }
    }
}

/* The fields of all pairs: by_derivative and by_value are [neighbour][x][field]. */
INLINE void fields_of_kind(const int of_neighbor, const int of_atom, const pair_fields *g,
                           double *by_derivative, double *by_value)
{
    const isize width = g->width, step = width * (g->with_virial ? 9 : 3), m = g->n_neighbors;
    const double *near = NULL, *next = NULL;
    if (g->degree)
        gradient_weights(g);
    for (isize k = 0; k < m; k++) {
        isize b = 0;
        if (of_neighbor) {
            near = g->of_atoms + g->neighbor[k] * g->state_size;
            next = g->of_atoms + g->neighbor[k + 1 < m ? k + 1 : k] * g->state_size;
        }
#define FIELD_TILES(vectors)                                                                                 \
    for (; b + vectors * LANES <= width; b += vectors * LANES)                                               \
        field_tile(vectors, of_neighbor, of_atom, g, k, of_neighbor ? near + b : NULL,                       \
                   of_neighbor ? next + b : NULL, of_atom ? g->of_atom + b : NULL, g->scratch + k,           \
                   g->own ? g->own + k * g->own_stride + b : NULL, by_derivative + k * step + b,             \
                   by_value + k * step + b);
        FIELD_TILES(4)
        FIELD_TILES(3)
        FIELD_TILES(2)
        FIELD_TILES(1)
#undef FIELD_TILES
    }
}

static void fields(const pair_fields *g, double *by_derivative, double *by_value)
{
    if (g->of_atoms && g->of_atom)
        fields_of_kind(1, 1, g, by_derivative, by_value);
    else if (g->of_atoms)
        fields_of_kind(1, 0, g, by_derivative, by_value);
    else
        fields_of_kind(0, 1, g, by_derivative, by_value);
}

/* From sums of Legendre polynomials to sums of powers of the cosine, in place: sums[l] = sum_k table[l][k]
 * sums[k], the first `count` of `length` numbers each. The table has `stride` columns. */
static void powers_of_cosine(int n_degrees, const double *table, isize stride, isize count, isize length,
                             double *sums)
{
    for (int l = n_degrees - 1; l > 1; l--)
        for (isize b = 0; b < count; b += LANES) {
            lanes sum = splat(0.0);
            for (int k = l; k >= 0; k -= 2)
                sum += splat(table[l * stride + k]) * load(sums + k * length + b);
            store(sums + l * length + b, sum);
        }
}

/* Add sums to three rows: rows[x stride + column[e]] += factor coefficient[e] sums[x step + place[e]]. */
static void add_to_columns(isize count, const int *column, const int *place, const double *coefficient,
                           double factor, const double *sums, isize step, double *rows, isize stride)
{
    for (isize e = 0; e < count; e++) {
        const double weight = factor * coefficient[e];
        const double *from = sums + place[e];
        double *to = rows + column[e];
        to[0] += weight * from[0];
        to[stride] += weight * from[step];
        to[2 * stride] += weight * from[2 * step];
    }
}

/* Each field with its own radial function: sum[x step + b] = sum_k derivative[k][b] by_derivative[k][x][b] +
 * value[k][b] by_value[k][x][b]. */
static void diagonal_product(isize n_outputs, isize width, isize length, int angular, const double *derivative,
                             const double *value, isize stride, const double *by_derivative,
                             const double *by_value, double *sum, isize step)
{
    for (isize x = 0; x < n_outputs; x++)
        for (isize b = 0; b < width; b += LANES) {
            lanes total = splat(0.0);
            for (isize k = 0; k < length; k++) {
                const isize place = (k * n_outputs + x) * width + b;
                total += load(derivative + k * stride + b) * load(by_derivative + place);
                if (angular)
                    total += load(value + k * stride + b) * load(by_value + place);
            }
            store(sum + x * step + b, total);
        }
}

/* The same for fields of degree 0 without an own share, which need not be written down. */
INLINE void constant_fields_of_kind(const int of_neighbor, const int of_atom, const int n_outputs,
                                    const pair_fields *g, const double *derivative, isize stride, double *sum,
                                    isize step)
{
    const double *near = NULL;
    for (isize b = 0; b < g->width; b += LANES) {
        lanes total[9];
        for (int x = 0; x < n_outputs; x++)
            total[x] = splat(0.0);
        for (isize k = 0; k < g->n_neighbors; k++) {
            if (of_neighbor)
                near = g->of_atoms + g->neighbor[k] * g->state_size;
            const lanes s = load(derivative + k * stride + b) *
                            coefficients(of_neighbor, of_atom, near, g->of_atom, splat(1.0), b);
            const double u[3] = {g->direction[k], g->direction[g->stride + k],
                                 g->direction[2 * g->stride + k]};
            for (int x = 0; x < 3; x++)
                total[x] += s * splat(u[x]);
            for (int x = 3; x < n_outputs; x++)
                total[x] += s * splat(u[virial_force[x - 3]] * u[virial_arm[x - 3]] * g->distance[k]);
        }
        for (int x = 0; x < n_outputs; x++)
            store(sum + x * step + b, total[x]);
    }
}

static void constant_fields(const pair_fields *g, const double *derivative, isize stride, double *sum,
                            isize step)
{
#define CONSTANT_FIELDS(of_neighbor, of_atom)                                                                \
    do {                                                                                                     \
        if (g->with_virial)                                                                                  \
            constant_fields_of_kind(of_neighbor, of_atom, 9, g, derivative, stride, sum, step);              \
        else                                                                                                 \
            constant_fields_of_kind(of_neighbor, of_atom, 3, g, derivative, stride, sum, step);              \
    } while (0)
    if (g->of_atoms && g->of_atom)
        CONSTANT_FIELDS(1, 1);
    else if (g->of_atoms)
        CONSTANT_FIELDS(1, 0);
    else
        CONSTANT_FIELDS(0, 1);
#undef CONSTANT_FIELDS
}

#endif
