/* The radial functions of a potential, and columns of tables, which are sums of products of them. */
#include <math.h>
#include <string.h>

#include "plip_build.h"

/* Neighbors per cubic Angstrom that the sensitivity of the energy to a moment is estimated with (Mo: 0.064). */
#define NUMBER_DENSITY 0.1

/* The number of the function of an arm, which is added if it is new. */
static int find_function(builder *b, const plip_term *term, int arm)
{
    plip_potential *potential = b->potential;
    radial_function f;
    int n;

    memset(&f, 0, sizeof f);
    f.family = term->family[arm];
    f.p = term->p[arm];
    f.q = term->q[arm];
    f.cutoff = term->cutoff;
    f.switch_distance = term->kind == PLIP_N_BODY ? term->switch_distance : 0.0;
    f.is_squared = plip_is_root(term);
    for (n = 0; n < potential->n_functions; n++) {
        const radial_function *old = potential->functions + n;
        if (old->family == f.family && old->p == f.p && old->q == f.q && old->cutoff == f.cutoff &&
            old->switch_distance == f.switch_distance && old->is_squared == f.is_squared)
            return n;
    }
    potential->functions[n] = f;
    potential->n_functions++;
    return n;
}

/* Function n at distance r, which is the same for all functions at one distance of a pair. */
static void function_value(const plip_potential *potential, int n, exact_functions *at, double r, double result[3])
{
    const radial_function *f = potential->functions + n;
    int k;

    if (at->cutoff != f->cutoff) {
        at->cutoff = f->cutoff;
        plip_cutoff_function(f->cutoff, r, at->of_cutoff);
    }
    for (k = 0; k < 3; k++)
        result[k] = at->of_cutoff[k];
    if (r <= f->cutoff)
        plip_multiply_radial(f->family, f->p, f->q, f->switch_distance, r, result);
}

/* A radial function where the core repulsion takes over: fade(r) g(reach(r)). */
static void faded_value(const plip_potential *potential, int n, exact_functions *at, double result[3])
{
    const double *fade = at->fade, *reach = at->reach;
    double g[3];

    function_value(potential, n, at, reach[0], g);
    g[2] = g[2] * reach[1] * reach[1] + g[1] * reach[2];
    g[1] *= reach[1];
    result[0] = fade[0] * g[0];
    result[1] = fade[0] * g[1] + fade[1] * g[0];
    result[2] = fade[0] * g[2] + 2.0 * fade[1] * g[1] + fade[2] * g[0];
}

/* A function as a neighbor has it, inside the core repulsion or not. */
static void value_of_neighbor(const plip_potential *potential, int n, exact_functions *at, double result[3])
{
    if (at->inside)
        faded_value(potential, n, at, result);
    else
        function_value(potential, n, at, at->r, result);
    if (potential->functions[n].is_squared) {
        const double g[3] = {result[0], result[1], result[2]};
        plip_multiply(result, g);
    }
}

void plip_go_to(exact_functions *at, const plip_core_pair *core, double r)
{
    int k;

    at->r = r;
    at->cutoff = 0.0;
    at->number++;
    at->inside = core && r < core->outer;
    for (k = 0; k < 3; k++)
        at->repulsion[k] = 0.0;
    if (at->inside)
        plip_core_repulsion(core, r, at->repulsion, at->fade, at->reach);
}

/* Function n, in `room` unless it is kept. */
static const double *function_at(const plip_potential *potential, int n, exact_functions *at, double room[3])
{
    double *value = at->values ? at->values[n] : room;

    if (!at->values || at->known[n] != at->number)
        value_of_neighbor(potential, n, at, value);
    if (at->values)
        at->known[n] = at->number;
    return value;
}

void plip_keep_functions(builder *b, exact_functions *at)
{
    at->number = 0;
    at->known = SCRATCH(b->potential->n_functions + 1, int);
    at->values = SCRATCH(b->potential->n_functions + 1, jet);
}

void plip_all_functions(const plip_potential *potential, exact_functions *at)
{
    int n;

    for (n = 0; n < potential->n_functions; n++)
        function_at(potential, n, at, NULL);
}

void plip_column_exact(const plip_potential *potential, const column *column, exact_functions *at, int alone,
                       double result[3])
{
    int n, k;

    for (k = 0; k < 3; k++)
        result[k] = column->repulsion * at->repulsion[k];
    for (n = 0; n < column->n_products; n++) {
        const product *part = column->products + n;
        double room[2][3], value[3];
        const double *first;
        if (alone && part->b >= 0)
            continue;
        first = function_at(potential, part->a, at, room[0]);
        for (k = 0; k < 3; k++)
            value[k] = first[k];
        if (part->b >= 0)
            plip_multiply(value, function_at(potential, part->b, at, room[1]));
        for (k = 0; k < 3; k++)
            result[k] += part->weight * value[k];
    }
}

/* The sum over neighbors of |g| in matter of NUMBER_DENSITY. */
static double moment_bound(const plip_potential *potential, int n)
{
    const double cutoff = potential->functions[n].cutoff;
    exact_functions at = {0};
    double sum = 0.0, value[3];
    int k;

    /* Atoms do not come closer than about 1.5 Angstrom, or a third of a short cutoff. */
    const double start = cutoff < 4.5 ? cutoff / 3.0 : 1.5, step = (cutoff - start) / 200.0;
    for (k = 0; k < 200; k++) {
        double r = start + (k + 0.5) * step;
        plip_go_to(&at, NULL, r);
        value_of_neighbor(potential, n, &at, value);
        sum += fabs(value[0]) * 4.0 * 3.14159265358979 * r * r * step;
    }
    return sum * NUMBER_DENSITY;
}

void plip_add_product(builder *b, column *column, int first, int second, double weight)
{
    product *part;
    int n;

    for (n = 0; n < column->n_products; n++) {
        part = column->products + n;
        if ((part->a == first && part->b == second) || (second >= 0 && part->a == second && part->b == first)) {
            part->weight += weight;
            return;
        }
    }
    if (column->n_products == column->capacity) {
        const int capacity = 2 * column->capacity + 8;
        product *grown = KEEP(capacity, product);
        if (column->n_products)
            memcpy(grown, column->products, (size_t)column->n_products * sizeof(product));
        column->products = grown;
        column->capacity = capacity;
    }
    part = column->products + column->n_products++;
    part->a = first;
    part->b = second;
    part->weight = weight;
}

void plip_find_functions(builder *b)
{
    plip_potential *potential = b->potential;
    int n, arm;

    potential->functions = KEEP(3 * b->n_terms + 1, radial_function);
    b->functions = KEEP(b->n_terms + 1, triple);
    for (n = 0; n < b->n_terms; n++)
        for (arm = 0; arm < plip_arms(b->terms + n); arm++)
            b->functions[n][arm] = find_function(b, b->terms + n, arm);
    b->bounds = KEEP(potential->n_functions + 1, double);
    for (n = 0; n < potential->n_functions; n++)
        b->bounds[n] = moment_bound(potential, n);
}
