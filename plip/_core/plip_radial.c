/* Exact radial functions. The tables are made from them, and where a table would not be accurate they are used. */
#include <float.h>
#include <math.h>

#include "plip_core.h"

#define PI 3.14159265358979323846

static void family_value(int family, double p, double q, double r, double *result)
{
    double v = 0.0, dv = 0.0, ddv = 0.0, a, x;

    switch (family) {
    case PLIP_GAUSSIAN:
        x = r - q;
        v = exp(-p * x * x);
        if (v > DBL_MIN) { /* below it derivatives are zero times what may be infinite; so, too, in what follows */
            dv = -2.0 * p * x * v;
            ddv = (4.0 * p * p * x * x - 2.0 * p) * v;
        }
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
    result[0] = v;
    result[1] = dv;
    result[2] = ddv;
}

static void multiply(double *f, double v, double dv, double ddv)
{
    f[2] = f[2] * v + 2.0 * f[1] * dv + f[0] * ddv;
    f[1] = f[1] * v + f[0] * dv;
    f[0] *= v;
}

void plip_radial(int family, double p, double q, double cutoff, double switch_distance, double r,
                 double result[3])
{
    double k = PI / cutoff;

    result[0] = result[1] = result[2] = 0.0;
    if (!(r <= cutoff))
        return;
    if (switch_distance > 0.0) {
        /* 6u^5 - 15u^4 + 10u^3 between 0.95 and 1.05 times the shortest distance */
        double width = 1.05 * switch_distance - 0.95 * switch_distance;
        double u = (r - 0.95 * switch_distance) / width;
        if (u <= 0.0)
            return;
        family_value(family, p, q, r, result);
        if (u < 1.0)
            multiply(result, u * u * u * (u * (6.0 * u - 15.0) + 10.0), 30.0 * u * u * (u - 1.0) * (u - 1.0) / width,
                     60.0 * u * (u * (2.0 * u - 3.0) + 1.0) / (width * width));
    } else {
        family_value(family, p, q, r, result);
    }
    /* At the cutoff itself the sine is not exactly zero; forces must vanish there. */
    if (r == cutoff)
        multiply(result, 0.0, 0.0, 0.5 * k * k);
    else
        multiply(result, 0.5 * (1.0 + cos(k * r)), -0.5 * k * sin(k * r), -0.5 * k * k * cos(k * r));
}
