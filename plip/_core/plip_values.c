/* The values of single terms. Functions of two-body terms, and products of functions that take neighbors with themselves
 * out of three-body terms, have channels like those of all arms; nothing is folded. */
#include <math.h>

#include "plip_build.h"

/* Functions are sampled at so many distances, from this part of the largest cutoff on: closer neighbors are rare. */
#define SAMPLES 200
#define NEAREST 0.25

/* How large the moments of each function are: in matter, or those of one neighbor. */
static double *find_scales(builder *b)
{
    const plip_potential *potential = b->potential;
    exact_functions at = {0};
    double *scales = SCRATCH(potential->n_functions + 1, double), cutoff = 0.0;
    int n, k;

    plip_keep_functions(b, &at);
    for (n = 0; n < potential->n_functions; n++) {
        scales[n] = b->bounds[n];
        cutoff = fmax(cutoff, potential->functions[n].cutoff);
    }
    for (k = 0; k < SAMPLES; k++) {
        plip_go_to(&at, NULL, cutoff * (NEAREST + (1.0 - NEAREST) * k / SAMPLES));
        plip_all_functions(potential, &at);
        for (n = 0; n < potential->n_functions; n++)
            scales[n] = fmax(scales[n], fabs(at.values[n][0]));
    }
    return scales;
}

/* A channel whose table is as accurate as its moments, or the roots of them, are large. */
static void add_channel(center_builder *c, int species, int first, int second, int degree, double scale, int is_root)
{
    channel *own = c->channels + plip_find_product(c, species, first, second, degree);

    own->sensitivity = scale > 0.0 && isfinite(scale) ? 1.0 / (is_root ? sqrt(scale) : scale) : 1.0;
    own->order = 1;
    own->is_root = is_root;
}

static int has_arms(const center_builder *c, const plip_term *term)
{
    return term->kind != PLIP_TWO_BODY && plip_holds(term->species[0], c->center);
}

void plip_take_values(center_builder *c)
{
    builder *b = c->all;
    const double *scales = find_scales(b);
    int n, k, degrees[3];

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        const int *f = b->functions[n];
        const int second = term->kind == PLIP_THREE_BODY ? f[1] : -1;
        plip_arm_degrees(term, degrees);
        for (k = 0; k < plip_arms(term) && has_arms(c, term); k++)
            add_channel(c, term->species[k + 1], f[k], -1, degrees[k], scales[f[k]], plip_is_root(term));
        for (k = 0; k < b->potential->n_species; k++)
            if (plip_pair_weight(term, f, c->center, k) != 0.0)
                add_channel(c, k, f[0], second, 0, scales[f[0]] * (second < 0 ? 1.0 : scales[second]), 0);
    }
}

/* Adds weight times the sum over neighbors of species s of one function or of the product of two. */
static void add_sum(center_builder *c, term_value *value, int s, int first, int second, double weight)
{
    const channel *own = c->channels + plip_find_product(c, s, first, second, 0);

    value->sums[value->n_sums] = plip_find_arm(c->all, c->plan, own, 0);
    value->weights[value->n_sums++] = weight;
}

static void make_value(center_builder *c, int n, term_value *value)
{
    builder *b = c->all;
    const plip_term *term = b->terms + n;
    const int *f = b->functions[n], n_species = b->potential->n_species;
    int k, degrees[3];

    value->term = n;
    value->kind = term->kind;
    value->power = term->power[0];
    value->weight = 1.0;
    value->sums = KEEP(n_species, int);
    value->weights = KEEP(n_species, double);
    for (k = 0; k < n_species; k++) {
        const double weight = plip_pair_weight(term, f, c->center, k);
        if (weight != 0.0)
            add_sum(c, value, k, f[0], term->kind == PLIP_THREE_BODY ? f[1] : -1, weight);
    }
    plip_arm_degrees(term, degrees);
    for (k = 0; k < plip_arms(term) && has_arms(c, term); k++) {
        const int found = plip_find_channel(c, term->species[k + 1], f[k], degrees[k]);
        value->arms[k] = plip_find_arm(b, c->plan, c->channels + found, degrees[k]);
    }
    /* Unordered pairs of neighbors if both arms are alike. */
    if (term->kind == PLIP_THREE_BODY && value->arms[0] == value->arms[1])
        value->weight = 0.5;
    if (term->kind == PLIP_FOUR_BODY)
        value->rank = b->potential->contractions + plip_find_contraction(b, term->power);
}

/* The most moments that values need. */
static int count_moments(const center_builder *c)
{
    const builder *b = c->all;
    int n, arm, degrees[3], count = b->n_terms * b->potential->n_species;

    for (n = 0; n < b->n_terms; n++) {
        plip_arm_degrees(b->terms + n, degrees);
        for (arm = 0; arm < 3; arm++)
            count += COMPONENTS(degrees[arm]);
    }
    return count;
}

void plip_make_values(center_builder *c)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    int n, s;

    plan->used = KEEP(count_moments(c), int);
    plan->values = KEEP(b->n_terms, term_value);
    for (n = 0; n < b->n_terms; n++) {
        int is_mine = has_arms(c, b->terms + n);
        for (s = 0; s < b->potential->n_species; s++)
            is_mine |= plip_pair_weight(b->terms + n, b->functions[n], c->center, s) != 0.0;
        if (is_mine)
            make_value(c, n, plan->values + plan->n_values++);
    }
}
