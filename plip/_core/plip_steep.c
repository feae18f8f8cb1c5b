/* Centers with a neighbor so close that they are evaluated apart; see plip_kernel_apart.h. */
#include <math.h>

#include "plip_build.h"

/* eV/Angstrom. Errors of tables that rounding excuses are below the tolerance of the tables for forces up to this one.
 * Fits to data hardly reach a hundredth of it. */
#define STEEP_FORCE 1e4
/* Distances that are judged, from the cutoff to where atoms coincide: each so much of the last. */
#define SCAN_FACTOR 0.97
#define SCAN_END 1e-3

/* The force of a term on a neighbor of section s if all arms of the term had their neighbors at its distance, without
 * regard to signs. `values`: all functions there. */
static double force_of_term(const plip_term *term, const int *functions, int s, const jet *values)
{
    double force = 0.0;
    int arm, other;

    for (arm = 0; arm < plip_arms(term); arm++) {
        double product = fabs(term->coefficient * values[functions[arm]][1]);
        if (!plip_holds(term->species[arm + 1], s))
            continue;
        for (other = 0; other < plip_arms(term); other++)
            product *= other == arm ? 1.0 : fabs(values[functions[other]][0]);
        if (plip_is_root(term))
            product *= values[functions[0]][0] > 0.0 ? 0.5 / sqrt(values[functions[0]][0]) : 0.0;
        else if (term->kind == PLIP_N_BODY)
            product *= term->power[0] * pow(fabs(values[functions[0]][0]), term->power[0] - 1);
        force += product;
    }
    return force;
}

static double force_at(const center_builder *c, int s, double r, exact_functions *at)
{
    const builder *b = c->all;
    double force = 0.0;
    int n;

    plip_go_to(at, &c->plan->sections[s].core, r);
    plip_all_functions(b->potential, at);
    for (n = 0; n < b->n_terms; n++)
        if (b->terms[n].kind != PLIP_TWO_BODY && plip_holds(b->terms[n].species[0], c->center))
            force += force_of_term(b->terms + n, b->functions[n], s, at->values);
    return force;
}

/* Where the force on a neighbor is larger than STEEP_FORCE, the part of a neighbor with itself, which is subtracted,
 * would cost digits, and errors of the tables of other neighbors are multiplied by moments that they were not
 * made for. */
void plip_set_steep(center_builder *c, int s, double cutoff)
{
    builder *b = c->all;
    section *part = c->plan->sections + s;
    exact_functions at = {0};
    double r = cutoff;

    plip_keep_functions(b, &at);
    while (r > SCAN_END && force_at(c, s, r, &at) <= STEEP_FORCE)
        r *= SCAN_FACTOR;
    part->steep = r > SCAN_END ? r : 0.0;
    c->plan->steep = fmax(c->plan->steep, part->steep);
}

int plip_is_steep(const center_plan *plan, int n_species, const center_arrays *arrays)
{
    int s, j;

    for (s = 0; s < n_species; s++)
        for (j = 0; j < arrays->pairs[s].near + arrays->pairs[s].far; j++)
            if (arrays->pairs[s].r[j] < plan->sections[s].steep)
                return 1;
    return 0;
}
