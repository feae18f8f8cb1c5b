/* Products of small matrices whose columns are whole vectors; part of plip_rows_kernel.h. */

/* sum_i a[i step_i + m step_m] b[i stride_b + n], i < length */
typedef struct {
    ptrdiff_t length;
    const double *a;
    ptrdiff_t step_i, step_m;
    const double *b;
    ptrdiff_t stride_b;
} NAME(factors);

static FORCE_INLINE void NAME(add_factors)(const int rows, const int vectors, const NAME(factors) *f, ptrdiff_t m,
                                           ptrdiff_t n, VECTOR sum[12][4])
{
    const ptrdiff_t step_m = f->step_m, step_i = f->step_i, stride_b = f->stride_b, length = f->length;
    const double *a = f->a + m * step_m, *b = f->b + n;
    ptrdiff_t i;
    int k, v;

    for (i = 0; i < length; i++, a += step_i, b += stride_b)
        for (k = 0; k < rows; k++) {
            const double ak = a[k * step_m];
            for (v = 0; v < vectors; v++)
                sum[k][v] += ak * LOAD(b + v * LANES);
        }
}

/* One tile of a product: `rows` x `vectors` accumulators stay in registers. */
static FORCE_INLINE void NAME(product_tile)(const int accumulate, const int rows, const int vectors,
                                            const NAME(factors) *factors, const int n_factors, ptrdiff_t m,
                                            ptrdiff_t n, double *c, ptrdiff_t stride_c)
{
    const VECTOR zero = {0};
    VECTOR sum[12][4];
    int k, v;

    for (k = 0; k < rows; k++)
        for (v = 0; v < vectors; v++)
            sum[k][v] = accumulate ? LOAD(c + (m + k) * stride_c + n + v * LANES) : zero;
    for (k = 0; k < n_factors; k++)
        NAME(add_factors)(rows, vectors, factors + k, m, n, sum);
    for (k = 0; k < rows; k++)
        for (v = 0; v < vectors; v++)
            STORE(c + (m + k) * stride_c + n + v * LANES, sum[k][v]);
}

/* `vectors` vectors of columns from n on, in tiles of at most `most` rows. Their numbers of rows are nearly the same,
 * since a tile of few rows waits for its multiply-adds. */
static FORCE_INLINE void NAME(product_columns)(const int accumulate, const int most, const int vectors, ptrdiff_t rows,
                                               const NAME(factors) *factors, const int n_factors, ptrdiff_t n,
                                               double *c, ptrdiff_t stride_c)
{
    ptrdiff_t m = 0, tiles;

#define PRODUCT_TILE(count)                                                                                          \
    case count:                                                                                                      \
        if (count <= most)                                                                                           \
            NAME(product_tile)(accumulate, count, vectors, factors, n_factors, m, n, c, stride_c);                   \
        m += count;                                                                                                  \
        break;
    for (tiles = (rows + most - 1) / most; tiles > 0; tiles--)
        switch ((rows - m + tiles - 1) / tiles) {
        PRODUCT_TILE(1)
        PRODUCT_TILE(2)
        PRODUCT_TILE(3)
        PRODUCT_TILE(4)
        PRODUCT_TILE(5)
        PRODUCT_TILE(6)
        PRODUCT_TILE(7)
        PRODUCT_TILE(8)
        PRODUCT_TILE(9)
        PRODUCT_TILE(10)
        PRODUCT_TILE(11)
        PRODUCT_TILE(12)
        default: break;
        }
#undef PRODUCT_TILE
}

/* Twelve accumulators fit 16 registers and hide the latency of the multiply-adds. Twice as many, where there are 32
 * registers, halve the loads and what short sums cost besides. */
#define ACCUMULATORS (LANES == 8 ? 24 : 12)

static FORCE_INLINE void NAME(product_of_kind)(const int accumulate, ptrdiff_t rows, ptrdiff_t columns,
                                               const NAME(factors) *factors, const int n_factors, double *c,
                                               ptrdiff_t stride_c)
{
    ptrdiff_t n = 0;
#define PRODUCT_COLUMNS(most, vectors)                                                                               \
    NAME(product_columns)(accumulate, most, vectors, rows, factors, n_factors, n, c, stride_c)
    /* A single vector would need as many loads as multiply-adds. */
    if (columns > LANES && columns % (4 * LANES) == LANES) {
        PRODUCT_COLUMNS(ACCUMULATORS / 3, 3);
        n += 3 * LANES;
    }
    for (; n + 4 * LANES <= columns; n += 4 * LANES)
        PRODUCT_COLUMNS(ACCUMULATORS / 4, 4);
    switch ((columns - n) / LANES) {
    case 3: PRODUCT_COLUMNS(ACCUMULATORS / 3, 3); break;
    case 2: PRODUCT_COLUMNS(ACCUMULATORS / 2, 2); break;
    case 1: PRODUCT_COLUMNS(12, 1); break;
    default: break;
    }
#undef PRODUCT_COLUMNS
}
#undef ACCUMULATORS

/* c[m][n] = sum_i a[i step_i + m step_m] b[i][n]; columns must be whole vectors. */
static void NAME(product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t length, const double *a, ptrdiff_t step_i,
                          ptrdiff_t step_m, const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    const NAME(factors) factors = {length, a, step_i, step_m, b, stride_b};

    NAME(product_of_kind)(0, rows, columns, &factors, 1, c, stride_c);
}

/* The same, added to c. */
static void NAME(add_product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t length, const double *a, ptrdiff_t step_i,
                              ptrdiff_t step_m, const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    const NAME(factors) factors = {length, a, step_i, step_m, b, stride_b};

    NAME(product_of_kind)(1, rows, columns, &factors, 1, c, stride_c);
}

/* The sum of two products. */
static void NAME(two_products)(ptrdiff_t rows, ptrdiff_t columns, const NAME(factors) factors[2], double *c,
                               ptrdiff_t stride_c)
{
    const NAME(factors) both[2] = {factors[0], factors[1]};

    NAME(product_of_kind)(0, rows, columns, both, 2, c, stride_c);
}

/* Several products, added to c. */
static void NAME(add_several_products)(ptrdiff_t rows, ptrdiff_t columns, const NAME(factors) *factors, int n_factors,
                                       double *c, ptrdiff_t stride_c)
{
    NAME(product_of_kind)(1, rows, columns, factors, n_factors, c, stride_c);
}
