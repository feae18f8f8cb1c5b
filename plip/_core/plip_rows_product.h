/* Products of small matrices whose columns are whole vectors; part of plip_rows_kernel.h. */

/* One tile of a product: `rows` x `vectors` accumulators stay in registers. */
static FORCE_INLINE void NAME(product_tile)(const int accumulate, const int rows, const int vectors, ptrdiff_t length,
                                            const double *a, ptrdiff_t step_i, ptrdiff_t step_m, const double *b,
                                            ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    const VECTOR zero = {0};
    VECTOR sum[12][4];
    ptrdiff_t i;
    int m, v;

    for (m = 0; m < rows; m++)
        for (v = 0; v < vectors; v++)
            sum[m][v] = accumulate ? LOAD(c + m * stride_c + v * LANES) : zero;
    for (i = 0; i < length; i++) {
        const double *ai = a + i * step_i, *bi = b + i * stride_b;
        for (m = 0; m < rows; m++) {
            const double am = ai[m * step_m];
            for (v = 0; v < vectors; v++)
                sum[m][v] += am * LOAD(bi + v * LANES);
        }
    }
    for (m = 0; m < rows; m++)
        for (v = 0; v < vectors; v++)
            STORE(c + m * stride_c + v * LANES, sum[m][v]);
}

/* `vectors` vectors of columns, in tiles of `most` rows. */
static FORCE_INLINE void NAME(product_columns)(const int accumulate, const int most, const int vectors, ptrdiff_t rows,
                                               ptrdiff_t length, const double *a, ptrdiff_t step_i, ptrdiff_t step_m,
                                               const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    ptrdiff_t m = 0;
#define PRODUCT_TILES(count)                                                                                         \
    for (; m + count <= rows; m += count)                                                                            \
        NAME(product_tile)(accumulate, count, vectors, length, a + m * step_m, step_i, step_m, b, stride_b,          \
                           c + m * stride_c, stride_c);
    PRODUCT_TILES(most)
    PRODUCT_TILES(3)
    PRODUCT_TILES(1)
#undef PRODUCT_TILES
}

/* Twelve accumulators fit 16 registers and hide the latency of the multiply-adds. */
static FORCE_INLINE void NAME(product_of_kind)(const int accumulate, ptrdiff_t rows, ptrdiff_t columns,
                                               ptrdiff_t length, const double *a, ptrdiff_t step_i, ptrdiff_t step_m,
                                               const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
#define PRODUCT_COLUMNS(most, vectors)                                                                               \
    NAME(product_columns)(accumulate, most, vectors, rows, length, a, step_i, step_m, b, stride_b, c, stride_c)
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

/* c[m][n] = sum_i a[i step_i + m step_m] b[i][n]; columns must be whole vectors. */
static void NAME(product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t length, const double *a, ptrdiff_t step_i,
                          ptrdiff_t step_m, const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    NAME(product_of_kind)(0, rows, columns, length, a, step_i, step_m, b, stride_b, c, stride_c);
}

/* The same, added to c. */
static void NAME(add_product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t length, const double *a, ptrdiff_t step_i,
                              ptrdiff_t step_m, const double *b, ptrdiff_t stride_b, double *c, ptrdiff_t stride_c)
{
    NAME(product_of_kind)(1, rows, columns, length, a, step_i, step_m, b, stride_b, c, stride_c);
}
