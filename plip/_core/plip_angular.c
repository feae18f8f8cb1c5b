#include <math.h>
#include <stdlib.h>

#include "plip_angular.h"
#include "plip_core.h"

/* ------------------------------------------------------------------ monomials */

/* Number of a monomial x^(degree - y - z) y^y z^z among those of its degree. */
static int monomial(int degree, int y, int z)
{
    return z * (degree + 1) - z * (z - 1) / 2 + y;
}

static double binomial(int n, int k)
{
    double result = 1.0;
    int i;

    for (i = 1; i <= k; i++)
        result = result * (n - k + i) / i;
    return result;
}

/* (x + y + z)! / (x! y! z!) */
static double multinomial(int x, int y, int z)
{
    return binomial(x + y + z, z) * binomial(x + y, y);
}

/* Steps to the next monomial y^place[0] z^place[1] of a degree; returns 0 behind the last one. */
static int next_monomial(int degree, int place[2])
{
    if (++place[0] <= degree - place[1])
        return 1;
    place[0] = 0;
    if (++place[1] <= degree)
        return 1;
    place[1] = 0;
    return 0;
}

void plip_monomial_weights(int max_degree, double *weights)
{
    int degree, place[2] = {0, 0};

    for (degree = 0; degree <= max_degree; degree++)
        do
            *weights++ = multinomial(degree - place[0] - place[1], place[0], place[1]);
        while (next_monomial(degree, place));
}

/* A component that is made of nothing yet. `first` is the constant of its basis. */
static plip_component nothing(int first)
{
    return (plip_component){.source = {first, first}, .axis = {3, 3}, .weight = 1.0,
                            .lower = {{first, first}, {first, first}, {first, first}}};
}

/* `first`: number of the first monomial of the degree below. */
static void make_monomial(int degree, int y, int z, int first, plip_component *made)
{
    const int exponent[3] = {degree - y - z, y, z};
    int x;

    made->weight = multinomial(exponent[0], y, z);
    for (x = 0; x < 3; x++) {
        const int left[3] = {exponent[0] - (x == 0), y - (x == 1), z - (x == 2)};
        if (exponent[x] == 0)
            continue;
        made->source[0] = made->lower[x][0] = first + monomial(degree - 1, left[1], left[2]);
        made->axis[0] = x;
        made->factor[0] = 1.0;
        made->lower_weight[x][0] = multinomial(left[0], left[1], left[2]);
    }
}

/* ------------------------------------------------------------------ harmonics */

/* R_lm is the real or imaginary part of N_lm G_lm, with G_lm = (d^m P_l / dz^m) (x + i y)^m made homogeneous, and
 * N_lm^2 = (2 - delta_m0) (l - m)! / (l + m)!. They follow from one another by
 *
 *     (l - m) G_lm = (2 l - 1) z G_(l-1)m - (l + m - 1) r^2 G_(l-2)m,   G_ll = (2 l - 1) (x + i y) G_(l-1)(l-1),
 *
 * and their gradients are
 *
 *     (d_x + i d_y) G_lm = -G_(l-1)(m+1),   (d_x - i d_y) G_lm = (l + m) (l + m - 1) G_(l-1)(m-1),
 *     d_z G_lm = (l + m) G_(l-1)m. */

static double norm(int l, int m)
{
    double quotient = 1.0;
    int k;

    for (k = l - m + 1; k <= l + m; k++)
        quotient *= k;
    return sqrt((m ? 2.0 : 1.0) / quotient);
}

/* What a harmonic is made of. */
typedef struct {
    int first; /* number of the first harmonic */
    double norm;
} recipe;

/* weight times the real or imaginary part of G_lm, as the factor of a component, whose number is written; 0 where the
 * part vanishes. */
static double part(const recipe *of, int l, int m, int imaginary, double weight, int *number)
{
    if (m > l || (imaginary && m == 0))
        return 0.0;
    *number = of->first + l * l + (m ? 2 * m - 1 + imaginary : 0);
    return weight * of->norm / norm(l, m);
}

static void make_gradient(const recipe *of, int l, int m, int imaginary, plip_component *made)
{
    /* The real part of i z is minus the imaginary part of z, the imaginary part of i z the real one. */
    const double turn = imaginary ? 1.0 : -1.0, half = 0.5 * (l + m) * (l + m - 1.0);
    int (*number)[2] = made->lower, x, k;
    double (*weight)[2] = made->lower_weight;

    if (m == 0) {
        weight[0][0] = part(of, l - 1, 1, 0, -1.0, number[0]);
        weight[1][0] = part(of, l - 1, 1, 1, -1.0, number[1]);
    } else {
        weight[0][0] = part(of, l - 1, m + 1, imaginary, -0.5, number[0]);
        weight[0][1] = part(of, l - 1, m - 1, imaginary, half, number[0] + 1);
        weight[1][0] = part(of, l - 1, m + 1, !imaginary, 0.5 * turn, number[1]);
        weight[1][1] = part(of, l - 1, m - 1, !imaginary, half * turn, number[1] + 1);
    }
    weight[2][0] = part(of, l - 1, m, imaginary, l + m, number[2]);
    for (x = 0; x < 3; x++)
        for (k = 0; k < 2; k++)
            weight[x][k] /= l;
}

static void make_harmonic(int l, int m, int imaginary, int first, plip_component *made)
{
    const recipe of = {first, norm(l, m)};
    const double raised = 2.0 * l - 1.0, turn = imaginary ? 1.0 : -1.0;
    double *factor = made->factor;

    if (m == l) {
        made->axis[0] = 0;
        factor[0] = part(&of, l - 1, m - 1, imaginary, raised, made->source);
        made->axis[1] = 1;
        factor[1] = part(&of, l - 1, m - 1, !imaginary, turn * raised, made->source + 1);
    } else {
        made->axis[0] = 2;
        factor[0] = part(&of, l - 1, m, imaginary, raised / (l - m), made->source);
        factor[1] = part(&of, l - 2, m, imaginary, -(l + m - 1.0) / (l - m), made->source + 1);
    }
    make_gradient(&of, l, m, imaginary, made);
}

/* ------------------------------------------------------------------ both */

void plip_make_components(const int max_degree[PLIP_N_BASES], plip_component *components)
{
    const int n_monomials = components_below(PLIP_MONOMIALS, max_degree[PLIP_MONOMIALS] + 1);
    const int n = n_monomials + components_below(PLIP_HARMONICS, max_degree[PLIP_HARMONICS] + 1);
    int degree, place[2] = {0, 0}, k;

    for (k = 0; k < n; k++)
        components[k] = nothing(k < n_monomials ? 0 : n_monomials);
    /* The first component of a basis is 1. */
    if (n_monomials)
        components[0].factor[0] = 1.0;
    if (n > n_monomials)
        components[n_monomials].factor[0] = 1.0;
    for (degree = 1; degree <= max_degree[PLIP_MONOMIALS]; degree++)
        do
            make_monomial(degree, place[0], place[1], FIRST_MONOMIAL(degree - 1),
                          components + FIRST_MONOMIAL(degree) + monomial(degree, place[0], place[1]));
        while (next_monomial(degree, place));
    for (degree = 1; degree <= max_degree[PLIP_HARMONICS]; degree++)
        for (k = 0; k <= 2 * degree; k++)
            make_harmonic(degree, (k + 1) / 2, k > 0 && k % 2 == 0, n_monomials,
                          components + n_monomials + degree * degree + k);
}

/* ------------------------------------------------------------------ strains */

enum { MOST_HARMONICS = (PLIP_MAX_DEGREE + 3) * (PLIP_MAX_DEGREE + 3) };

/* The two directions of each strain. */
static const int strain_of[6] = {0, 1, 2, 1, 0, 0}, strain_along[6] = {0, 1, 2, 2, 2, 1};

/* Adds weight u_x R_c of harmonic c, one of `degree`, as harmonics: that of the lower degree is the gradient over
 * 2 l + 1, and the matrix of u_x is symmetric but for the norms, (2 l + 1)^(-1/2). */
static void add_multiplied(const plip_component *harmonics, int first, int x, int degree, int c, double weight,
                           double *to)
{
    const double scale = weight / (2 * degree + 1);
    int d, k;

    for (k = 0; k < 2; k++)
        to[harmonics[c].lower[x][k] - first] += scale * degree * harmonics[c].lower_weight[x][k];
    for (d = (degree + 1) * (degree + 1); d < (degree + 2) * (degree + 2); d++)
        for (k = 0; k < 2; k++)
            if (harmonics[d].lower[x][k] - first == c)
                to[d] += scale * (degree + 1) * harmonics[d].lower_weight[x][k];
}

/* Adds weight u_x u_y R_c of harmonic c, one of `degree`. */
static void add_multiplied_twice(const plip_component *harmonics, int first, int x, int y, int degree, int c,
                                 double weight, double *to)
{
    double once[MOST_HARMONICS] = {0};
    int k, l;

    add_multiplied(harmonics, first, x, degree, c, weight, once);
    for (l = degree > 0 ? degree - 1 : 1; l <= degree + 1; l += 2)
        for (k = l * l; k < (l + 1) * (l + 1); k++)
            if (once[k] != 0.0)
                add_multiplied(harmonics, first, y, l, k, once[k], to);
}

/* Number of the harmonic cos(order) of a degree. */
static int cosine(int degree, int order)
{
    return degree * degree + (order ? 2 * order - 1 : 0);
}

/* Writes the entries of cos(order) from a harmonic of a degree, of whose strain `twice` has the weights of all harmonics;
 * returns what stands behind them. */
static plip_strain *strain_of_order(int degree, int order, const double *twice, plip_strain *strains)
{
    int l, block = 2 * degree + 1;

    for (l = degree - 2; l <= degree + 2; l += 2, strains++) {
        *strains = (plip_strain){0, 0.0};
        if (l < degree && degree < 2)
            continue;
        if (order <= l)
            *strains = (plip_strain){block + cosine(l, order) - l * l, twice[cosine(l, order)]};
        block += 2 * l + 1;
    }
    return strains;
}

/* Writes the entries of the harmonics of one order of a degree, and returns what stands behind them. */
static plip_strain *strains_of_harmonics(const plip_component *harmonics, int first, int degree, int order,
                                         plip_strain *strains)
{
    const int c = cosine(degree, order);
    double axial[MOST_HARMONICS] = {0};
    int q;

    add_multiplied_twice(harmonics, first, 2, 2, degree, c, 1.0, axial);
    axial[c] -= 1.0 / 3.0;
    strains = strain_of_order(degree, order, axial, strains);
    for (q = 1; q <= 2; q++) {
        double twice[MOST_HARMONICS] = {0};
        const double nothing[MOST_HARMONICS] = {0};
        add_multiplied_twice(harmonics, first, 0, q == 1 ? 2 : 0, degree, c, 1.0 / q, twice);
        if (q == 2)
            add_multiplied_twice(harmonics, first, 1, 1, degree, c, -0.5, twice);
        strains = strain_of_order(degree, order + q, twice, strains);
        strains = strain_of_order(degree, abs(order - q), order ? twice : nothing, strains);
    }
    return strains;
}

/* Writes the entries of the monomial u_x^(degree - y - z) u_y^y u_z^z. */
static plip_strain *strain_of_monomial(int degree, int y, int z, int x, plip_strain *strains)
{
    const int i = strain_of[x], j = strain_along[x], exponent[3] = {degree - y - z, y, z};
    const int same = exponent[i] ? monomial(degree, y - (i == 1) + (j == 1), z - (i == 2) + (j == 2)) : 0;
    const int more = monomial(degree + 2, y + (i == 1) + (j == 1), z + (i == 2) + (j == 2));
    const double weight = multinomial(exponent[0], y, z);

    *strains++ = (plip_strain){same, weight * exponent[i]};
    *strains++ = (plip_strain){COMPONENTS(degree) + more, weight};
    return strains;
}

void plip_make_strains(const int max_degree[PLIP_N_BASES], const plip_component *components, plip_strain *strains)
{
    const int n_monomials =
        max_degree[PLIP_MONOMIALS] < 0 ? 0 : components_below(PLIP_MONOMIALS, max_degree[PLIP_MONOMIALS] + 3);
    int degree, place[2] = {0, 0}, order, x;

    for (degree = 0; degree <= max_degree[PLIP_MONOMIALS]; degree++)
        do
            for (x = 0; x < 6; x++)
                strains = strain_of_monomial(degree, place[0], place[1], x, strains);
        while (next_monomial(degree, place));
    for (degree = 0; degree <= max_degree[PLIP_HARMONICS]; degree++)
        for (order = 0; order <= degree; order++)
            strains = strains_of_harmonics(components + n_monomials, n_monomials, degree, order, strains);
}

void plip_legendre_of_powers(int size, double *table)
{
    int l, k;

    for (k = 0; k < size * size; k++)
        table[k] = k == 0;
    /* (2 k + 1) x P_k = (k + 1) P_(k+1) + k P_(k-1) */
    for (l = 1; l < size; l++)
        for (k = 0; k < l; k++) {
            const double lower = table[(l - 1) * size + k];
            table[l * size + k + 1] += lower * (k + 1) / (2 * k + 1);
            if (k)
                table[l * size + k - 1] += lower * k / (2 * k + 1);
        }
}

/* The product of one monomial of each of the three cosines. */
static plip_summand summand(const int *power, const int *p, const int *q, const int *t)
{
    const int degree_p = power[0], degree_q = power[1], degree_t = power[2];
    plip_summand e;

    e.a = monomial(degree_p + degree_t, p[0] + t[0], p[1] + t[1]);
    e.b = monomial(degree_p + degree_q, p[0] + q[0], p[1] + q[1]);
    e.c = monomial(degree_q + degree_t, q[0] + t[0], q[1] + t[1]);
    e.coefficient = multinomial(degree_p - p[0] - p[1], p[0], p[1]) * multinomial(degree_q - q[0] - q[1], q[0], q[1]) *
                    multinomial(degree_t - t[0] - t[1], t[0], t[1]);
    return e;
}

void plip_make_contraction(const int power[3], plip_summand *summands)
{
    int p[2] = {0, 0}, q[2] = {0, 0}, t[2] = {0, 0};

    do
        do
            do
                *summands++ = summand(power, p, q, t);
            while (next_monomial(power[2], t));
        while (next_monomial(power[1], q));
    while (next_monomial(power[0], p));
}
