/* Radial functions, one of them or as many as a vector has lanes, and cutoff functions. Included with LANES, VECTOR and
 * NAME(f), as plip_variants.h explains; VECTOR is double for one lane.
 *
 * Radial functions are taken at `count` distances at a time: each operation waits for the one before it, so that those
 * of several distances are written next to each other. */

#if LANES > 1
typedef long long NAME(mask) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

static FORCE_INLINE VECTOR NAME(where)(NAME(mask) mask, VECTOR x)
{
    return (VECTOR)(mask & (NAME(mask))x);
}

/* e = e r + next, for `count` vectors. */
static FORCE_INLINE void NAME(horner)(const int count, const double next, const VECTOR *r, VECTOR *e)
{
    int j;

    UNROLL(4)
    for (j = 0; j < count; j++)
        e[j] = e[j] * r[j] + next;
}

/* exp(x) for -708 <= x <= 708: 2^k exp(r) with |r| <= ln(2)/2 and the Taylor polynomial of degree 13, whose remainder
 * r^14/14! is below 5e-18. */
static FORCE_INLINE void NAME(bounded_exp)(const int count, const VECTOR *x, VECTOR *e)
{
    /* Added to a number below 2^51, it leaves the nearest integer in the last bits. */
    const double shift = 0x1.8p52;
    VECTOR r[4];
    NAME(mask) power[4];
    int j;

    UNROLL(4)
    for (j = 0; j < count; j++) {
        const VECTOR shifted = x[j] * 1.4426950408889634 + shift, k = shifted - shift;
        r[j] = x[j] - k * 0x1.62e42feep-1 - k * 0x1.a39ef35793c76p-33;
        power[j] = (NAME(mask))shifted << 52;
        e[j] = (VECTOR){0} + 1.0 / 6227020800.0;
    }
    NAME(horner)(count, 1.0 / 479001600.0, r, e);
    NAME(horner)(count, 1.0 / 39916800.0, r, e);
    NAME(horner)(count, 1.0 / 3628800.0, r, e);
    NAME(horner)(count, 1.0 / 362880.0, r, e);
    NAME(horner)(count, 1.0 / 40320.0, r, e);
    NAME(horner)(count, 1.0 / 5040.0, r, e);
    NAME(horner)(count, 1.0 / 720.0, r, e);
    NAME(horner)(count, 1.0 / 120.0, r, e);
    NAME(horner)(count, 1.0 / 24.0, r, e);
    NAME(horner)(count, 1.0 / 6.0, r, e);
    NAME(horner)(count, 0.5, r, e);
    NAME(horner)(count, 1.0, r, e);
    NAME(horner)(count, 1.0, r, e);
    UNROLL(4)
    for (j = 0; j < count; j++)
        e[j] = (VECTOR)((NAME(mask))e[j] + power[j]);
}
#else
typedef int NAME(mask);

static FORCE_INLINE VECTOR NAME(where)(NAME(mask) mask, VECTOR x)
{
    return mask ? x : 0.0;
}

static FORCE_INLINE void NAME(bounded_exp)(const int count, const VECTOR *x, VECTOR *e)
{
    int j;

    for (j = 0; j < count; j++)
        e[j] = exp(x[j]);
}
#endif

/* exp(-p (r - q)^2) at `count` distances, at most 4, and, in `slope`, its derivative over its value. Both are zero where
 * exp leaves the normal numbers. */
static FORCE_INLINE void NAME(gaussian)(const int count, VECTOR p, VECTOR q, const double *r, VECTOR *value,
                                        VECTOR *slope)
{
    VECTOR exponent[4];
    NAME(mask) is_normal[4];
    int j;

    UNROLL(4)
    for (j = 0; j < count; j++) {
        const VECTOR x = r[j] - q, px = p * x;
        exponent[j] = -(px * x);
        is_normal[j] = exponent[j] >= -708.0;
        exponent[j] = NAME(where)(is_normal[j], exponent[j]);
        slope[j] = NAME(where)(is_normal[j], -(px + px));
    }
    NAME(bounded_exp)(count, exponent, value);
    UNROLL(4)
    for (j = 0; j < count; j++)
        value[j] = NAME(where)(is_normal[j], value[j]);
}

/* Gaussian, Slater and Gaussian-type functions are exp(-rate (r - center)^2 + power log(r) - decay r). */
typedef struct {
    VECTOR rate, center, power, decay;
} NAME(exponent);

/* The function of an exponent at `count` distances, at most 4, and its derivative over its value. Both are zero where
 * exp leaves the normal numbers, and the function is infinite where it is too large for a number. */
static FORCE_INLINE void NAME(exponential)(const int count, const NAME(exponent) *of, const double *r,
                                           const double *log_r, VECTOR *value, VECTOR *slope)
{
    VECTOR bounded[4], large[4];
    NAME(mask) is_bounded[4];
    int j;

    UNROLL(4)
    for (j = 0; j < count; j++) {
        const VECTOR x = r[j] - of->center, px = of->rate * x;
        const VECTOR exponent = of->power * log_r[j] - of->decay * r[j] - px * x;
        const NAME(mask) is_normal = exponent >= -708.0;
        is_bounded[j] = is_normal & (exponent <= 708.0);
        bounded[j] = NAME(where)(is_bounded[j], exponent);
        large[j] = NAME(where)(exponent > 708.0, (VECTOR){0} + HUGE_VAL);
        slope[j] = NAME(where)(is_normal, of->power / r[j] - of->decay - (px + px));
    }
    NAME(bounded_exp)(count, bounded, value);
    UNROLL(4)
    for (j = 0; j < count; j++)
        value[j] = NAME(where)(is_bounded[j], value[j]) + large[j];
}

/* sin(x) for 0 <= x <= pi/2: the Taylor polynomial of degree 21, whose remainder x^23/23! is below 2e-18. */
static FORCE_INLINE VECTOR NAME(quarter_sine)(VECTOR x)
{
    const VECTOR square = x * x;
    VECTOR sum = (VECTOR){0} + 1.0 / 51090942171709440000.0;
    sum = sum * square - 1.0 / 121645100408832000.0;
    sum = sum * square + 1.0 / 355687428096000.0;
    sum = sum * square - 1.0 / 1307674368000.0;
    sum = sum * square + 1.0 / 6227020800.0;
    sum = sum * square - 1.0 / 39916800.0;
    sum = sum * square + 1.0 / 362880.0;
    sum = sum * square - 1.0 / 5040.0;
    sum = sum * square + 1.0 / 120.0;
    sum = sum * square - 1.0 / 6.0;
    return x + x * (sum * square);
}

/* plip_cutoff_function at distances below the cutoff. */
static FORCE_INLINE void NAME(cutoff_function)(double cutoff, VECTOR r, VECTOR result[3])
{
    const double half = 0.5 * 3.14159265358979323846, k = 2.0 * half / cutoff;
    const VECTOR s = NAME(quarter_sine)(half * (1.0 - r / cutoff)), c = NAME(quarter_sine)(half * (r / cutoff));

    result[0] = s * s;
    result[1] = -k * s * c;
    result[2] = 0.5 * k * k * (1.0 - 2.0 * s * s);
}
