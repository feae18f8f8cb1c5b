/* Energies of a center by powers of moments and by products of two moments: polynomials and couplings. */
#include <string.h>

#include "plip_build.h"

void plip_add_power(builder *b, group *g, int lane, int power, double weight, int three_body)
{
    const int lanes = b->potential->lanes;

    if (power > g->order) {
        double **polynomials[2] = {&g->polynomial, &g->embedding};
        int k;
        for (k = 0; k < 2; k++) {
            double *grown = KEEP(power * lanes, double);
            if (g->order)
                memcpy(grown, *polynomials[k], (size_t)(g->order * lanes) * sizeof(double));
            *polynomials[k] = grown;
        }
        g->order = power;
    }
    g->polynomial[(power - 1) * lanes + lane] += weight;
    if (!three_body) {
        g->embedding[(power - 1) * lanes + lane] += weight;
        return;
    }
    if (!g->squares)
        g->squares = KEEP(lanes, double);
    g->squares[lane] += weight;
}

void plip_add_root(builder *b, group *g, int lane, double weight)
{
    if (!g->roots)
        g->roots = KEEP(b->potential->lanes, double);
    g->roots[lane] += weight;
}

void plip_add_coupling(center_builder *c, int p, int q, int degree, double weight)
{
    raw_coupling *old;
    int k;

    for (k = 0; k < c->n_couplings; k++) {
        old = c->couplings + k;
        if (old->degree == degree && ((old->p == p && old->q == q) || (old->p == q && old->q == p))) {
            old->weight += weight;
            return;
        }
    }
    old = c->couplings + c->n_couplings++;
    old->p = p;
    old->q = q;
    old->degree = degree;
    old->weight = weight;
}

/* What becomes of a group and degree in a coupling, while it grows. */
typedef struct {
    builder *all;
    int n, capacity, is_coupled;
    int *partner;
    double *diagonal, *weights;
} coupling_row;

/* Weights of the lanes of the group with a partner, which is added if there is none yet. */
static double *weights_of_partner(coupling_row *row, int moment)
{
    builder *b = row->all;
    const int lanes = b->potential->lanes;
    int k;

    for (k = 0; k < row->n; k++)
        if (row->partner[k] == moment)
            return row->weights + k * lanes;
    if (row->n == row->capacity) {
        const int capacity = 2 * row->capacity + 4;
        int *partner = KEEP(capacity, int);
        double *weights = KEEP(capacity * lanes, double);
        if (row->n) {
            memcpy(partner, row->partner, (size_t)row->n * sizeof(int));
            memcpy(weights, row->weights, (size_t)(row->n * lanes) * sizeof(double));
        }
        row->partner = partner;
        row->weights = weights;
        row->capacity = capacity;
    }
    row->partner[row->n] = moment;
    return row->weights + row->n++ * lanes;
}

/* E = weight M_p . M_q = 1/2 M W M: adds W_pq, which is the weight or, for p = q, twice the weight in two steps. */
static void couple_channel(coupling_row *row, const center_plan *plan, const channel *mine, const channel *other,
                           int degree, double weight)
{
    if (mine == other)
        row->diagonal[mine->lane] += weight;
    else
        weights_of_partner(row, plip_moment_of(plan, other, degree))[mine->lane] += weight;
    row->is_coupled = 1;
}

/* The coupling of one group and degree; returns whether there is any. */
static int make_coupling(center_builder *c, int g, int degree, coupling *made)
{
    builder *b = c->all;
    coupling_row row = {.all = b};
    int n;

    row.diagonal = KEEP(b->potential->lanes, double);
    for (n = 0; n < c->n_couplings; n++) {
        const raw_coupling *raw = c->couplings + n;
        const channel *p = c->channels + raw->p, *q = c->channels + raw->q;
        if (raw->degree != degree)
            continue;
        if (p->group == g)
            couple_channel(&row, c->plan, p, q, degree, raw->weight);
        if (q->group == g)
            couple_channel(&row, c->plan, q, p, degree, raw->weight);
    }
    made->degree = degree;
    made->diagonal = row.diagonal;
    made->n = row.n;
    made->partner = row.partner;
    made->weights = row.weights;
    if (row.is_coupled)
        made->moments = c->plan->groups[g].offset[degree];
    return row.is_coupled;
}

void plip_make_couplings(center_builder *c)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    int g, degree;

    plan->couplings = KEEP(plan->n_groups * (b->potential->max_degree + 1) + 1, coupling);
    plan->uncoupled = KEEP(plan->n_groups * (b->potential->max_degree + 1) + 1, moment_range);
    for (g = 0; g < plan->n_groups; g++)
        for (degree = 0; degree <= larger(plan->groups[g].even, plan->groups[g].odd); degree++) {
            const int first = plan->groups[g].offset[degree], size = COMPONENTS(degree) * b->potential->lanes;
            if (c->n_couplings && make_coupling(c, g, degree, plan->couplings + plan->n_couplings))
                plan->n_couplings++;
            else if (first >= 0)
                plip_add_range(plan->uncoupled, &plan->n_uncoupled, first, size);
        }
}
