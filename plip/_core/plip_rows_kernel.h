/* Values and derivatives of the columns of one structure; compiled by plip_variants.h for plip_rows.c. */

#if LANES > 1
/* Blocks of functions may begin anywhere. */
typedef double NAME(vector) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#else
typedef double NAME(vector);
#endif
#define VECTOR NAME(vector)
#define LOAD(p) (*(const VECTOR *)(p))
#define STORE(p, v) (*(VECTOR *)(p) = (v))

/* Rows of several blocks of numbers are padded as a whole. Whole vectors are written to one block after the other, so
 * that what is beyond the end of a block is overwritten by the next one. Where the last block does not reach the end of
 * the row, zeros must stand, which are written first. */
static FORCE_INLINE void NAME(end_rows)(ptrdiff_t n_rows, double *rows, const int blocks, ptrdiff_t block)
{
    const ptrdiff_t row = padded(blocks * block, LANES);
    const VECTOR zero = {0};
    ptrdiff_t k;

    if ((blocks - 1) * block + padded(block, LANES) < row)
        for (k = 1; k <= n_rows; k++)
            STORE(rows + k * row - LANES, zero);
}

#include "plip_gaussian.h"
#include "plip_rows_product.h"

#include "plip_rows_pairs.h"

#include "plip_rows_moments.h"
#include "plip_rows_strains.h"
#include "plip_rows_values.h"

#include "plip_rows_fields.h"
#include "plip_rows_derivatives.h"

#undef VECTOR
#undef LOAD
#undef STORE
