/* Monomials of unit vectors: their numbers, how often each occurs in a power of a cosine, and the contractions of
 * four-body terms, which are sums over monomials of three vectors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_build.h"

/* Number of a monomial x^(degree - y - z) y^y z^z among those of its degree. */
static int component(int degree, int y, int z)
{
    return z * (degree + 1) - z * (z - 1) / 2 + y;
}

static double factorial(int n)
{
    double result = 1.0;
    for (; n > 1; n--)
        result *= n;
    return result;
}

static double multinomial(int x, int y, int z)
{
    return nearbyint(factorial(x + y + z) / (factorial(x) * factorial(y) * factorial(z)));
}

void plip_make_multiplicities(builder *b)
{
    plip_potential *potential = b->potential;
    int d, y, z;

    potential->multiplicity = KEEP(FIRST_MONOMIAL(potential->max_degree + 1), double);
    for (d = 0; d <= potential->max_degree; d++)
        for (z = 0; z <= d; z++)
            for (y = 0; y <= d - z; y++)
                potential->multiplicity[FIRST_MONOMIAL(d) + component(d, y, z)] =
                    multinomial(d - y - z, y, z);
}

static int compare_entries(const void *first, const void *second)
{
    const entry *a = first, *b = second;

    return a->b != b->b ? (a->b > b->b) - (a->b < b->b)
         : a->a != b->a ? (a->a > b->a) - (a->a < b->a) : (a->c > b->c) - (a->c < b->c);
}

/* The product of one monomial of each of the three cosines. */
static entry make_entry(const int *power, const int *p, const int *q, const int *t)
{
    const int degree_p = power[0], degree_q = power[1], degree_t = power[2];
    entry e;

    e.a = component(degree_p + degree_t, p[0] + t[0], p[1] + t[1]);
    e.b = component(degree_p + degree_q, p[0] + q[0], p[1] + q[1]);
    e.c = component(degree_q + degree_t, q[0] + t[0], q[1] + t[1]);
    e.coefficient = multinomial(degree_p - p[0] - p[1], p[0], p[1]) * multinomial(degree_q - q[0] - q[1], q[0], q[1]) *
                    multinomial(degree_t - t[0] - t[1], t[0], t[1]);
    return e;
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

/* (u_j.u_k)^p (u_k.u_m)^q (u_m.u_j)^t as a sum over monomials of u_j, u_k, u_m of degrees p+t, p+q, q+t. Each product
 * of monomials of the three factors gives other exponents, so that no two entries are alike. */
static void make_contraction(builder *b, contraction *rank, const int *power)
{
    int p[2] = {0, 0}, q[2] = {0, 0}, t[2] = {0, 0}, n;
    entry *e;

    memcpy(rank->power, power, sizeof rank->power);
    rank->n_a = COMPONENTS(power[0] + power[2]);
    rank->n_b = COMPONENTS(power[0] + power[1]);
    rank->n_entries = COMPONENTS(power[0]) * COMPONENTS(power[1]) * COMPONENTS(power[2]);
    rank->entries = e = KEEP(rank->n_entries, entry);
    do
        do
            do
                *e++ = make_entry(power, p, q, t);
            while (next_monomial(power[2], t));
        while (next_monomial(power[1], q));
    while (next_monomial(power[0], p));
    qsort(rank->entries, (size_t)rank->n_entries, sizeof(entry), compare_entries);
    rank->last = KEEP(rank->n_b, const entry *);
    for (n = 0; n < rank->n_entries; n++)
        rank->last[rank->entries[n].b] = rank->entries + n + 1;
}

int plip_find_contraction(builder *b, const int *power)
{
    plip_potential *potential = b->potential;
    int n;

    for (n = 0; n < potential->n_contractions; n++)
        if (memcmp(potential->contractions[n].power, power, 3 * sizeof(int)) == 0)
            return n;
    make_contraction(b, potential->contractions + n, power);
    potential->n_contractions++;
    return n;
}
