/* Arithmetic on a few numbers at once, for the kernels of this folder.
 *
 * Compilers that know vector extensions map `lanes` to the registers of the
 * instruction set that the module is built for; elsewhere one lane is a plain double.
 */
#ifndef PLIP_LANES_H
#define PLIP_LANES_H

#include <math.h>
#include <string.h>

#if defined(__GNUC__)
typedef double lanes __attribute__((vector_size(32), aligned(8), may_alias));
typedef long long lanes_integer __attribute__((vector_size(32), aligned(8), may_alias));
#define LANES 4
#define INLINE static inline __attribute__((always_inline))
INLINE lanes splat(double x) { return (lanes){x, x, x, x}; }
#else
typedef double lanes;
#define LANES 1
#define INLINE static __inline
INLINE lanes splat(double x) { return x; }
#endif

INLINE lanes load(const double *source) { return *(const lanes *)source; }
INLINE void store(double *target, lanes value) { *(lanes *)target = value; }

/* Ask for the cache lines of `vectors` lanes. */
INLINE void prefetch(const double *source, const int vectors)
{
#if defined(__GNUC__)
    for (int v = 0; v < vectors; v += 2)
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

/* One tile of product_sum: `rows` x (`vectors` lanes) accumulators stay in registers. */
INLINE void product_tile(const int rows, const int vectors, long length, const double *a, long stride_a,
                         const double *b, long stride_b, double *c, long stride_c)
{
    lanes sum[4][4];
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < vectors; v++)
            sum[m][v] = load(c + m * stride_c + v * LANES);
    for (long i = 0; i < length; i++) {
        const double *ai = a + i * stride_a, *bi = b + i * stride_b;
        for (int m = 0; m < rows; m++) {
            lanes am = splat(ai[m]);
            for (int v = 0; v < vectors; v++)
                sum[m][v] += am * load(bi + v * LANES);
        }
    }
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < vectors; v++)
            store(c + m * stride_c + v * LANES, sum[m][v]);
}

/* Columns [0, vectors * LANES) of product_sum. Tiles of 12 accumulators fit 16 registers. */
INLINE void product_columns(const int vectors, long rows, long length, const double *a, long stride_a,
                            const double *b, long stride_b, double *c, long stride_c)
{
    long m = 0;
    if (vectors < 4)
        for (; m + 4 <= rows; m += 4)
            product_tile(4, vectors, length, a + m, stride_a, b, stride_b, c + m * stride_c, stride_c);
    for (; m + 3 <= rows; m += 3)
        product_tile(3, vectors, length, a + m, stride_a, b, stride_b, c + m * stride_c, stride_c);
    for (; m < rows; m++)
        product_tile(1, vectors, length, a + m, stride_a, b, stride_b, c + m * stride_c, stride_c);
}

/* c[m][n] += sum_i a[i][m] b[i][n]; columns must be a whole number of groups of four doubles. */
static void product_sum(long rows, long columns, long length, const double *a, long stride_a,
                        const double *b, long stride_b, double *c, long stride_c)
{
    while (columns >= 4 * LANES) {
        product_columns(4, rows, length, a, stride_a, b, stride_b, c, stride_c);
        b += 4 * LANES;
        c += 4 * LANES;
        columns -= 4 * LANES;
    }
    switch (columns / LANES) {
    case 3: product_columns(3, rows, length, a, stride_a, b, stride_b, c, stride_c); break;
    case 2: product_columns(2, rows, length, a, stride_a, b, stride_b, c, stride_c); break;
    case 1: product_columns(1, rows, length, a, stride_a, b, stride_b, c, stride_c); break;
    default: break;
    }
}

/* Fields p(u) of one degree and one pair, as what multiplies the radial functions:
 *
 *     d/dr_x [g(r) p(u)] = g'(r) p u_x + g(r) degree/r (P_x - p u_x),   p = u . P,
 *     P_x = sum_beta weight_beta S_{beta + x} u^beta,
 *
 * with S the symmetric tensor of the field. by_derivative[x] gets p u_x, by_value[x] the
 * second factor (not written for degree 0). S is that of the neighbour as a centre plus
 * `parity` times that of the atom itself as a centre; either may be NULL. `own` (or NULL) is
 * the vector to subtract n_own times from p, the neighbour's own share. With `arm` (r u) not
 * NULL, six more components xx yy zz yz xz xy follow, each component x times arm y. */
typedef struct {
    int degree, n_components, n_weights;
    long width;
    const double *weight;
    const int *successor;
    double parity, n_own;
    double *tensor; /* scratch: n_components * 4 * LANES doubles */
    const double *next; /* what comes after of_neighbor, brought near the processor in advance */
} field_group;

INLINE void field_tile(const int vectors, const field_group *g, const double *of_neighbor, const double *of_atom,
                       const double *u, double inverse_r, const double *own, const double *arm,
                       double *by_derivative, double *by_value)
{
    static const int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
    /* Copies, since stores could change what the pointer refers to, for all the compiler knows. */
    const int degree = g->degree, n_components = g->n_components, n_weights = g->n_weights;
    const long width = g->width;
    const double *weight = g->weight;
    const int *successor = g->successor;
    const lanes parity = splat(g->parity), n_own = splat(g->n_own);
    const double *next = g->next;
    double *sum = g->tensor;
    const double *tensor = sum;
    long stride = vectors * LANES;
    lanes gradient[3][4], p[4];
    if (of_neighbor && of_atom)
        for (int k = 0; k < n_components; k++) {
            prefetch(next + k * width, vectors);
            for (int v = 0; v < vectors; v++)
                store(sum + k * stride + v * LANES,
                      load(of_neighbor + k * width + v * LANES) + parity * load(of_atom + k * width + v * LANES));
        }
    else if (of_atom)
        for (int k = 0; k < n_components; k++)
            for (int v = 0; v < vectors; v++)
                store(sum + k * stride + v * LANES, parity * load(of_atom + k * width + v * LANES));
    else {
        tensor = of_neighbor;
        stride = width;
    }
    for (int x = 0; x < 3; x++)
        for (int v = 0; v < vectors; v++)
            gradient[x][v] = splat(0.0);
    if (degree == 0)
        for (int v = 0; v < vectors; v++)
            p[v] = load(tensor + v * LANES);
    else {
        for (int k = 0; k < n_weights; k++) {
            const lanes w = splat(weight[k]);
            for (int x = 0; x < 3; x++) {
                const double *component = tensor + successor[3 * k + x] * stride;
                for (int v = 0; v < vectors; v++)
                    gradient[x][v] += w * load(component + v * LANES);
            }
        }
        for (int v = 0; v < vectors; v++)
            p[v] = splat(u[0]) * gradient[0][v] + splat(u[1]) * gradient[1][v] + splat(u[2]) * gradient[2][v];
    }
    const lanes scale = splat(degree * inverse_r);
    for (int v = 0; v < vectors; v++) {
        lanes by_v[3], by_d[3];
        for (int x = 0; x < 3; x++)
            by_v[x] = scale * (gradient[x][v] - p[v] * splat(u[x]));
        if (own)
            p[v] -= n_own * load(own + v * LANES);
        for (int x = 0; x < 3; x++) {
            by_d[x] = p[v] * splat(u[x]);
            store(by_derivative + x * width + v * LANES, by_d[x]);
            if (degree)
                store(by_value + x * width + v * LANES, by_v[x]);
        }
        if (arm)
            for (int k = 0; k < 6; k++) {
                lanes y = splat(arm[second[k]]);
                store(by_derivative + (3 + k) * width + v * LANES, by_d[first[k]] * y);
                if (degree)
                    store(by_value + (3 + k) * width + v * LANES, by_v[first[k]] * y);
            }
    }
}

static void fields(const field_group *g, const double *of_neighbor, const double *of_atom, const double *u,
                   double inverse_r, const double *own, const double *arm, double *by_derivative,
                   double *by_value)
{
    long b = 0;
#define FIELD_TILES(vectors)                                                                                  \
    for (; b + vectors * LANES <= g->width; b += vectors * LANES)                                             \
        field_tile(vectors, g, of_neighbor ? of_neighbor + b : NULL, of_atom ? of_atom + b : NULL, u,         \
                   inverse_r, own ? own + b : NULL, arm, by_derivative + b, by_value + b);
    FIELD_TILES(4)
    FIELD_TILES(3)
    FIELD_TILES(2)
    FIELD_TILES(1)
#undef FIELD_TILES
}

/* The same for fields of degree 0 with their own functions: sum[x][b] += derivative[b] S_b u_x, all
 * three force components and, with `arm` not NULL, the six of the virial. */
INLINE void add_constant_fields(long width, const double *of_neighbor, const double *of_atom, const double *u,
                                const double *arm, const double *derivative, double *sum)
{
    static const int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
    for (long b = 0; b < width; b += LANES) {
        lanes s = splat(0.0);
        if (of_neighbor)
            s += load(of_neighbor + b);
        if (of_atom)
            s += load(of_atom + b);
        s *= load(derivative + b);
        for (int x = 0; x < 3; x++)
            store(sum + x * width + b, load(sum + x * width + b) + s * splat(u[x]));
        if (arm)
            for (int k = 0; k < 6; k++)
                store(sum + (3 + k) * width + b,
                      load(sum + (3 + k) * width + b) + s * splat(u[first[k]] * arm[second[k]]));
    }
}

/* sum[x][b] += derivative[b] by_derivative[x][b] + value[b] by_value[x][b] */
INLINE void add_diagonal(long width, int n_components, int angular, const double *value, const double *derivative,
                         const double *by_derivative, const double *by_value, double *sum)
{
    for (long b = 0; b < width; b += LANES) {
        lanes g = load(value + b), dg = load(derivative + b);
        for (int x = 0; x < n_components; x++) {
            lanes s = load(sum + x * width + b) + dg * load(by_derivative + x * width + b);
            if (angular)
                s += g * load(by_value + x * width + b);
            store(sum + x * width + b, s);
        }
    }
}

#endif
