/* Radial functions, one of them or as many as a vector has lanes, and cutoff functions. Included with LANES, VECTOR and
 * NAME(f), as plip_variants.h explains; VECTOR is double for one lane. */

#if LANES > 1
typedef long long NAME(mask) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

static FORCE_INLINE VECTOR NAME(where)(NAME(mask) mask, VECTOR x)
{
    return (VECTOR)(mask & (NAME(mask))x);
}

/* exp(x) for -708 <= x <= 708: 2^k exp(r) with |r| <= ln(2)/2 and the Taylor polynomial of degree 13, whose remainder
 * r^14/14! is below 5e-18. */
static FORCE_INLINE VECTOR NAME(bounded_exp)(VECTOR x)
{
    /* Added to a number below 2^51, it leaves the nearest integer in the last bits. */
    const double shift = 0x1.8p52;
    const VECTOR shifted = x * 1.4426950408889634 + shift, k = shifted - shift;
    const VECTOR r = x - k * 0x1.62e42feep-1 - k * 0x1.a39ef35793c76p-33;
    VECTOR e = (VECTOR){0} + 1.0 / 6227020800.0;
    e = e * r + 1.0 / 479001600.0;
    e = e * r + 1.0 / 39916800.0;
    e = e * r + 1.0 / 3628800.0;
    e = e * r + 1.0 / 362880.0;
    e = e * r + 1.0 / 40320.0;
    e = e * r + 1.0 / 5040.0;
    e = e * r + 1.0 / 720.0;
    e = e * r + 1.0 / 120.0;
    e = e * r + 1.0 / 24.0;
    e = e * r + 1.0 / 6.0;
    e = e * r + 0.5;
    e = e * r + 1.0;
    e = e * r + 1.0;
    return (VECTOR)((NAME(mask))e + ((NAME(mask))shifted << 52));
}
#else
typedef int NAME(mask);

static FORCE_INLINE VECTOR NAME(where)(NAME(mask) mask, VECTOR x)
{
    return mask ? x : 0.0;
}

static FORCE_INLINE VECTOR NAME(bounded_exp)(VECTOR x)
{
    return exp(x);
}
#endif

/* exp(-p (r - q)^2) and, in `slope`, its derivative over its value. Both are zero where exp leaves the normal
 * numbers. */
static FORCE_INLINE VECTOR NAME(gaussian)(VECTOR p, VECTOR q, double r, VECTOR *slope)
{
    const VECTOR x = r - q, px = p * x, exponent = -(px * x);
    const NAME(mask) is_normal = exponent >= -708.0;

    *slope = NAME(where)(is_normal, -(px + px));
    return NAME(where)(is_normal, NAME(bounded_exp)(NAME(where)(is_normal, exponent)));
}

/* Gaussian, Slater and Gaussian-type functions are exp(-rate (r - center)^2 + power log(r) - decay r). */
typedef struct {
    VECTOR rate, center, power, decay;
} NAME(exponent);

/* The function of an exponent, and its derivative over its value. Both are zero where exp leaves the normal numbers,
 * and the function is infinite where it is too large for a number. */
static FORCE_INLINE VECTOR NAME(exponential)(const NAME(exponent) *of, double r, double log_r, VECTOR *slope)
{
    const VECTOR x = r - of->center, px = of->rate * x, exponent = of->power * log_r - of->decay * r - px * x;
    const NAME(mask) is_normal = exponent >= -708.0, is_bounded = is_normal & (exponent <= 708.0);
    const VECTOR bounded = NAME(bounded_exp)(NAME(where)(is_bounded, exponent));
    const VECTOR large = NAME(where)(exponent > 708.0, (VECTOR){0} + HUGE_VAL);

    *slope = NAME(where)(is_normal, of->power / r - of->decay - (px + px));
    return NAME(where)(is_bounded, bounded) + large;
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
