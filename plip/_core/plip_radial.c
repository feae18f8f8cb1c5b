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

void plip_phi(int family, double p, double q, double r, double result[3])
{
    /* Where a function has vanished, its derivatives would be zero times what may be infinite. */
    double v = 0.0, dv = 0.0, ddv = 0.0, a, x;

    switch (family) {
    case PLIP_GAUSSIAN:
        v = gaussian_of_one(p, q, r, &a);
        dv = a * v;
        ddv = v > 0.0 ? (a * a - 2.0 * p) * v : 0.0;
        break;
    case PLIP_SLATER:
        v = pow(r, p) * exp(-q * r);
        if (v > DBL_MIN) {
            a = p / r - q;
            dv = a * v;
            ddv = (a * a - p / (r * r)) * v;
        }
        break;
    case PLIP_GAUSSIAN_TYPE:
        v = pow(r, p) * exp(-q * r * r);
        if (v > DBL_MIN) {
            a = p / r - 2.0 * q * r;
            dv = a * v;
            ddv = (a * a - p / (r * r) - 2.0 * q) * v;
        }
        break;
    case PLIP_STILLINGER_WEBER:
        x = r - q;
        if (x > 0.0)
            v = exp(p / x);
        if (v > DBL_MIN) {
            a = -p / (x * x);
            dv = a * v;
            ddv = (a * a + 2.0 * p / (x * x * x)) * v;
        }
        break;
    case PLIP_POWER:
        v = pow(r, p);
        dv = p * v / r;
        ddv = p * (p - 1.0) * v / (r * r);
        break;
    case PLIP_LORENTZIAN:
        x = r - p;
        v = 1.0 / (pow(x, q) + 1.0);
        if (fabs(x) > 1.0) { /* powers of x may overflow where the function has vanished */
            a = 1.0 - v;
            dv = -q / x * a * v;
            ddv = q / (x * x) * a * v * (1.0 - q + 2.0 * q * a);
        } else {
            a = q * pow(x, q - 1.0);
            dv = -a * v * v;
            ddv = (-q * (q - 1.0) * pow(x, q - 2.0) + 2.0 * a * a * v) * v * v;
        }
        break;
    case PLIP_LOG_NORMAL:
        x = r - p;
        if (x > 0.0) {
            a = log(x / q);
            v = exp(-a * a);
            if (v > DBL_MIN) {
                dv = -2.0 * a / x * v;
                ddv = (4.0 * a * a - 2.0 + 2.0 * a) / (x * x) * v;
            }
        }
        break;
    case PLIP_LENNARD_JONES:
        x = p / r;
        a = x * x * x * x * x * x;
        v = 4.0 * (a * a - a);
        dv = -24.0 * (2.0 * a * a - a) / r;
        ddv = 24.0 * (26.0 * a * a - 7.0 * a) / (r * r);
        break;
    }
    set(result, v, dv, ddv);
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
    double factor[3];

    plip_cutoff_function(cutoff, r, result);
    if (!(r <= cutoff))
        return;
    if (switch_distance > 0.0) {
        plip_switch(switch_distance, r, factor);
        if (factor[0] == 0.0 && factor[1] == 0.0) {
            set(result, 0.0, 0.0, 0.0);
            return;
        }
        plip_multiply(result, factor);
    }
    plip_phi(family, p, q, r, factor);
    plip_multiply(result, factor);
}
