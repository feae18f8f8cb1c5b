#include <float.h>
#include <math.h>

#include "plip_radial.h"
#include "plip_variants.h"

#define PI 3.14159265358979323846

#define LANES 1
#define NAME(f) f##_of_one
#define VECTOR double
#include "plip_gaussian.h"

static void set(double result[3], double value, double first, double second)
{
    result[0] = value;
    result[1] = first;
    result[2] = second;
}

/* v, and its derivatives from the logarithmic one, a = v'/v, and the derivative of that. Where v has vanished, they
 * would be zero times what may be infinite. */
static void set_logarithmic(double result[3], double v, double a, double da)
{
    if (v > DBL_MIN)
        set(result, v, a * v, (a * a + da) * v);
    else
        set(result, v, 0.0, 0.0);
}

static void gaussian(double p, double q, double r, double result[3])
{
    double v, a;

    gaussian_of_one(1, p, q, &r, &v, &a);
    set_logarithmic(result, v, a, -2.0 * p);
}

static void slater(double p, double q, double r, double result[3])
{
    set_logarithmic(result, pow(r, p) * exp(-q * r), p / r - q, -p / (r * r));
}

static void gaussian_type(double p, double q, double r, double result[3])
{
    set_logarithmic(result, pow(r, p) * exp(-q * r * r), p / r - 2.0 * q * r, -p / (r * r) - 2.0 * q);
}

static void stillinger_weber(double p, double q, double r, double result[3])
{
    const double x = r - q;

    if (x > 0.0)
        set_logarithmic(result, exp(p / x), -p / (x * x), 2.0 * p / (x * x * x));
    else
        set(result, 0.0, 0.0, 0.0);
}

static void power(double p, double q, double r, double result[3])
{
    const double v = pow(r, p);

    (void)q;
    set(result, v, p * v / r, p * (p - 1.0) * v / (r * r));
}

static void lorentzian(double p, double q, double r, double result[3])
{
    const double x = r - p, v = 1.0 / (pow(x, q) + 1.0);

    if (fabs(x) > 1.0) { /* powers of x may overflow where the function has vanished */
        const double a = 1.0 - v;
        set(result, v, -q / x * a * v, q / (x * x) * a * v * (1.0 - q + 2.0 * q * a));
    } else {
        const double a = q * pow(x, q - 1.0);
        set(result, v, -a * v * v, (-q * (q - 1.0) * pow(x, q - 2.0) + 2.0 * a * a * v) * v * v);
    }
}

static void log_normal(double p, double q, double r, double result[3])
{
    const double x = r - p;

    if (x > 0.0) {
        const double u = log(x / q);
        set_logarithmic(result, exp(-u * u), -2.0 * u / x, (2.0 * u - 2.0) / (x * x));
    } else {
        set(result, 0.0, 0.0, 0.0);
    }
}

static void lennard_jones(double p, double q, double r, double result[3])
{
    const double x = p / r, a = x * x * x * x * x * x;

    (void)q;
    set(result, 4.0 * (a * a - a), -24.0 * (2.0 * a * a - a) / r, 24.0 * (26.0 * a * a - 7.0 * a) / (r * r));
}

void plip_phi(int family, double p, double q, double r, double result[3])
{
    switch (family) {
    case PLIP_GAUSSIAN: gaussian(p, q, r, result); break;
    case PLIP_SLATER: slater(p, q, r, result); break;
    case PLIP_GAUSSIAN_TYPE: gaussian_type(p, q, r, result); break;
    case PLIP_STILLINGER_WEBER: stillinger_weber(p, q, r, result); break;
    case PLIP_POWER: power(p, q, r, result); break;
    case PLIP_LORENTZIAN: lorentzian(p, q, r, result); break;
    case PLIP_LOG_NORMAL: log_normal(p, q, r, result); break;
    case PLIP_LENNARD_JONES: lennard_jones(p, q, r, result); break;
    default: set(result, 0.0, 0.0, 0.0);
    }
}

void plip_cutoff_function(double cutoff, double r, double result[3])
{
    /* (1 + cos x) / 2 = sin^2 z keeps its relative precision near the cutoff, where it is exactly zero. */
    const double k = PI / cutoff, z = 0.5 * PI * (1.0 - r / cutoff), s = sin(z), c = cos(z);

    if (r <= cutoff)
        set(result, s * s, -k * s * c, 0.5 * k * k * (1.0 - 2.0 * s * s));
    else
        set(result, 0.0, 0.0, 0.0);
}

void plip_switch(double shortest, double r, double result[3])
{
    const double begin = PLIP_SWITCH_BEGIN * shortest, width = PLIP_SWITCH_END * shortest - begin;
    const double u = (r - begin) / width;

    if (u <= 0.0)
        set(result, 0.0, 0.0, 0.0);
    else if (u >= 1.0)
        set(result, 1.0, 0.0, 0.0);
    else
        set(result, u * u * u * (u * (6.0 * u - 15.0) + 10.0), 30.0 * u * u * (u - 1.0) * (u - 1.0) / width,
            60.0 * u * (u * (2.0 * u - 3.0) + 1.0) / (width * width));
}

void plip_multiply(double f[3], const double factor[3])
{
    set(f, f[0] * factor[0], f[1] * factor[0] + f[0] * factor[1],
        f[2] * factor[0] + 2.0 * f[1] * factor[1] + f[0] * factor[2]);
}

void plip_radial(int family, double p, double q, double cutoff, double switch_distance, double r,
                 double result[3])
{
    plip_cutoff_function(cutoff, r, result);
    if (r <= cutoff)
        plip_multiply_radial(family, p, q, switch_distance, r, result);
}

void plip_multiply_radial(int family, double p, double q, double switch_distance, double r, double result[3])
{
    double factor[3];

    if (switch_distance > 0.0) {
        plip_switch(switch_distance, r, factor);
        if (factor[0] == 0.0) {
            set(result, 0.0, 0.0, 0.0);
            return;
        }
        plip_multiply(result, factor);
    }
    plip_phi(family, p, q, r, factor);
    plip_multiply(result, factor);
}
