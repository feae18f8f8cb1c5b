/* The plan of a center: what its terms ask for, in the order in which it is made. */
#include <math.h>

#include "plip_build.h"

int plip_arms(const plip_term *term)
{
    switch (term->kind) {
    case PLIP_THREE_BODY:
        return 2;
    case PLIP_FOUR_BODY:
        return 3;
    default:
        return 1;
    }
}

void plip_arm_degrees(const plip_term *term, int degrees[3])
{
    int arm;

    for (arm = 0; arm < 3; arm++)
        degrees[arm] = term->kind == PLIP_THREE_BODY ? term->power[0] : 0;
    if (term->kind == PLIP_FOUR_BODY) {
        degrees[0] = term->power[0] + term->power[2];
        degrees[1] = term->power[0] + term->power[1];
        degrees[2] = term->power[1] + term->power[2];
    }
}

/* Core repulsion of the center with each species, and the limits of its density and its energy. */
static void set_repulsion(center_builder *c)
{
    const plip_repulsion *repulsion = c->all->repulsion;
    const int n_species = c->all->potential->n_species, center = c->center;
    center_plan *plan = c->plan;
    const double range = repulsion->range[center];
    int s;

    for (s = 0; s < n_species; s++) {
        section *part = plan->sections + s;
        if (!(repulsion->outer[center * n_species + s] > 0.0))
            continue;
        part->core.first_number = plip_atomic_number(repulsion->symbols[center]);
        part->core.second_number = plip_atomic_number(repulsion->symbols[s]);
        part->core.inner = repulsion->inner[center * n_species + s];
        part->core.outer = repulsion->outer[center * n_species + s];
        part->core.force = repulsion->force[center * n_species + s];
        if (!repulsion->is_additive)
            plan->too_close = fmax(plan->too_close, PLIP_TOO_CLOSE * part->core.outer);
        part->scalar.columns->repulsion = 0.5;
        part->scalar.n_columns = 1;
    }
    plan->floor = repulsion->floor[center];
    if (repulsion->limit[center] > 0.0) {
        plan->limit = repulsion->limit[center];
        plan->square_range = range * range;
        plan->inverse_square_range = 1.0 / plan->square_range;
    }
}

/* Adds weight g_first g_second to the pair function of a section. */
static void add_to_pair_function(builder *b, section *part, int first, int second, double weight)
{
    plip_add_product(b, part->scalar.columns, first, second, weight);
    part->scalar.n_columns = 1;
}

/* How often a pair term counts a pair of these species: once for each way in which they fit its places, but places
 * that are alike tell no ways apart. */
static int ways_of_pair(const plip_term *term, int first, int second)
{
    const int a = term->species[0], b = term->species[1];
    const int ways = plip_holds(a, first) && plip_holds(b, second);

    return a == b ? ways : ways + (plip_holds(b, first) && plip_holds(a, second));
}

double plip_pair_weight(const plip_term *term, const int *functions, int center, int s)
{
    if (term->kind == PLIP_TWO_BODY)
        return 0.5 * ways_of_pair(term, center, s);
    if (term->kind != PLIP_THREE_BODY || !plip_holds(term->species[0], center) || !plip_holds(term->species[1], s) ||
        !plip_holds(term->species[2], s))
        return 0.0;
    /* Unordered pairs of neighbors if both arms are alike. */
    return functions[0] == functions[1] && term->species[1] == term->species[2] ? -0.5 : -1.0;
}

/* Bound of the derivative of a term by the moment of one of its arms. */
static double bound_of_derivative(const builder *b, const plip_term *term, const int *functions, int arm)
{
    double product = fabs(term->coefficient);
    int other;

    if (plip_is_root(term)) /* by the root, which table_error of plip_tables.c looks at */
        return product;
    for (other = 0; other < plip_arms(term); other++)
        if (other != arm)
            product *= b->bounds[functions[other]];
    if (term->kind == PLIP_N_BODY)
        product *= term->power[0] * pow(b->bounds[functions[0]], term->power[0] - 1);
    return product;
}

/* The channels of the arms of a term, and what the energy depends on them. */
static void add_channels(center_builder *c, const plip_term *term, const int *functions)
{
    const int n_factors = term->kind == PLIP_N_BODY ? term->power[0] : plip_arms(term);
    int arm, degrees[3];

    plip_arm_degrees(term, degrees);
    for (arm = 0; arm < plip_arms(term); arm++) {
        channel *own = c->channels + plip_find_channel(c, term->species[arm + 1], functions[arm], degrees[arm]);
        own->sensitivity += bound_of_derivative(c->all, term, functions, arm);
        own->order = larger(n_factors, own->order);
        own->is_root = plip_is_root(term);
    }
}

/* Adds a two-body term. Three-body terms have j != k, products of moments do not: j = k is taken out again. */
static void add_pairs(center_builder *c, const plip_term *term, const int *functions)
{
    const int second = term->kind == PLIP_TWO_BODY ? -1 : functions[1];
    int s;

    for (s = 0; s < c->all->potential->n_species; s++) {
        const double weight = plip_pair_weight(term, functions, c->center, s);
        if (weight != 0.0)
            add_to_pair_function(c->all, c->plan->sections + s, functions[0], second, weight * term->coefficient);
    }
}

/* Channels and pair functions. */
static void take_terms(center_builder *c)
{
    builder *b = c->all;
    int n;

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        const int *functions = b->functions[n];
        if (term->kind != PLIP_TWO_BODY && plip_holds(term->species[0], c->center))
            add_channels(c, term, functions);
        add_pairs(c, term, functions);
    }
    for (n = 0; n < b->potential->n_species; n++)
        c->plan->sections[n].scalar.columns->sensitivity = c->plan->sections[n].scalar.columns->order = 1;
}

/* An N-body or three-body term, as a power of a moment or a product of two. */
static void couple_term(center_builder *c, const plip_term *term, const int *functions)
{
    const int degree = term->kind == PLIP_THREE_BODY ? term->power[0] : 0;
    const int p = plip_find_channel(c, term->species[1], functions[0], degree);
    const channel *first = c->channels + p;
    group *g = c->plan->groups + first->group;
    int q;

    if (plip_is_root(term)) {
        plip_add_root(c->all, g, first->lane, term->coefficient);
        return;
    }
    if (term->kind == PLIP_N_BODY) {
        plip_add_power(c->all, g, first->lane, term->power[0], term->coefficient, 0);
        return;
    }
    q = plip_find_channel(c, term->species[2], functions[1], degree);
    if (p == q && degree == 0)
        plip_add_power(c->all, g, first->lane, 2, 0.5 * term->coefficient, 1);
    else
        plip_add_coupling(c, p, q, degree, (p == q ? 0.5 : 1.0) * term->coefficient);
}

static void couple_terms(center_builder *c)
{
    const builder *b = c->all;
    int n;

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        if ((term->kind == PLIP_THREE_BODY || term->kind == PLIP_N_BODY) && plip_holds(term->species[0], c->center))
            couple_term(c, term, b->functions[n]);
    }
}

static double cutoff_of_section(const section *part, const section *shared)
{
    const double own = fmax(fmax(part->angular.cutoff, part->scalar.cutoff), part->core.outer);
    return fmax(own, fmax(shared->angular.cutoff, shared->scalar.cutoff));
}

static int has_columns(const section *part)
{
    return part->angular.n_columns + part->scalar.n_columns > 0;
}

/* Tables of all sections. Shared ones need the same grid for all. */
static void make_tables(center_builder *c)
{
    const int n_species = c->all->potential->n_species;
    section *parts = c->plan->sections, *shared = parts + n_species;
    double widest = 0.0;
    int s;

    for (s = 0; s < n_species; s++) {
        const double cutoff = cutoff_of_section(parts + s, shared);
        if (has_columns(parts + s) && !has_columns(shared))
            plip_make_tables(c->all, parts + s, 1, cutoff);
        widest = fmax(widest, cutoff);
    }
    if (has_columns(shared))
        plip_make_tables(c->all, parts, n_species + 1, widest);
}

/* Cutoffs of a section. */
static void finish_section(center_builder *c, int s)
{
    plip_potential *potential = c->all->potential;
    center_plan *plan = c->plan;
    section *part = plan->sections + s;
    const section *shared = plan->sections + potential->n_species;
    const double near = fmax(part->angular.cutoff, shared->angular.cutoff);
    double cutoff = cutoff_of_section(part, shared);

    part->square_near = near * near;
    if (has_columns(part) || has_columns(shared))
        plip_set_steep(c, s, cutoff);
    part->max_degree = larger(part->max_degree, shared->max_degree);
    part->square_cutoff = cutoff * cutoff;
    cutoff = fmax(cutoff, sqrt(plan->square_range));
    potential->cutoff = fmax(potential->cutoff, cutoff);
    plan->square_cutoff = fmax(plan->square_cutoff, cutoff * cutoff);
}

/* What a workspace needs for a section. */
static void size_rows(plip_potential *potential, const center_plan *plan, const section *part)
{
    const section *shared = plan->sections + potential->n_species;
    const int angular = part->angular.n_columns + shared->angular.n_columns;
    const int columns = angular + part->scalar.n_columns + shared->scalar.n_columns;
    int k, of_shared = 0, of_own = 0;

    potential->max_rows =
        larger(PAIR_ROWS + 2 * columns + FIRST_MONOMIAL(part->max_degree + 1), potential->max_rows);
    for (k = 0; k < shared->n_angular; k++)
        of_shared += GRADIENTS(plan->groups + shared->first_group + k);
    for (k = 0; k < part->n_angular; k++)
        of_own = larger(GRADIENTS(plan->groups + part->first_group + k), of_own);
    potential->max_gradients = larger(potential->lanes * (of_shared + of_own), potential->max_gradients);
}

void plip_make_center(builder *b, int center)
{
    plip_potential *potential = b->potential;
    center_plan *plan = potential->centers + center;
    center_builder c = {.all = b, .plan = plan, .center = center};
    int s, k;

    c.channels = SCRATCH((3 + potential->n_species) * b->n_terms + 1, channel);
    c.couplings = SCRATCH(b->n_terms + 1, raw_coupling);
    plan->sections = KEEP(potential->n_species + 1, section);
    for (s = 0; s <= potential->n_species; s++)
        plan->sections[s].scalar.columns = SCRATCH(1, column);
    plan->limit = INFINITY;
    plan->floor = -INFINITY;
    if (b->repulsion)
        set_repulsion(&c);
    if (b->is_apart) {
        plip_take_values(&c);
        plip_make_groups(&c);
        plip_make_values(&c);
    } else {
        take_terms(&c);
        plip_make_groups(&c);
        couple_terms(&c);
        plip_make_couplings(&c);
        plip_make_trilinears(&c);
    }
    plip_make_runs(&c);
    if (plan->n_trilinears || b->is_apart)
        potential->batch = potential->lanes;
    make_tables(&c);
    for (s = 0; s < potential->n_species; s++) {
        finish_section(&c, s);
        size_rows(potential, plan, plan->sections + s);
    }
    plan->square_close = plan->square_cutoff;
    for (k = 0; k < plan->n_groups; k++)
        if (larger(plan->groups[k].even, plan->groups[k].odd) > 0)
            plan->square_close = fmin(plan->groups[k].square_cutoff, plan->square_close);
    potential->max_moments = larger(plan->n_moments, potential->max_moments);
    potential->max_batch = larger(2 * plan->n_rows * potential->lanes, potential->max_batch);
    if (b->is_apart)
        potential->max_batch = larger((plan->n_rows + b->n_terms) * potential->lanes, potential->max_batch);
}
