/* The channels of a center, in groups of as many as a vector has lanes, and the places of their moments.
 *
 * A channel is angular if it has moments beyond degree 0, else scalar. Angular channels come first in a section, then
 * the scalar ones, then the pair function. Shared channels make a section behind those of all
 * species. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_build.h"

int plip_find_channel(center_builder *c, int species, int function, int degree)
{
    const int section = species == PLIP_ANY ? c->all->potential->n_species : species;
    int n;

    for (n = 0; n < c->n_channels; n++)
        if (c->channels[n].section == section && c->channels[n].function == function)
            break;
    if (n == c->n_channels) {
        memset(c->channels + n, 0, sizeof *c->channels);
        c->channels[n].section = section;
        c->channels[n].function = function;
        c->channels[n].even = c->channels[n].odd = -1;
        c->n_channels++;
    }
    if (degree % 2 == 0 && degree > c->channels[n].even)
        c->channels[n].even = degree;
    if (degree % 2 == 1 && degree > c->channels[n].odd)
        c->channels[n].odd = degree;
    return n;
}

int plip_moment_of(const center_plan *plan, const channel *channel, int degree)
{
    return plan->groups[channel->group].offset[degree] + channel->lane;
}

static int top(const channel *c)
{
    return larger(c->even, c->odd);
}

/* By species, then angular channels of falling degree, so that a group holds channels of like degree. */
static int compare_channels(const void *first, const void *second)
{
    const channel *a = first, *b = second;

    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    if (top(a) != top(b) && (top(a) > 0 || top(b) > 0))
        return top(a) > top(b) ? -1 : 1;
    if (a->even != b->even)
        return a->even > b->even ? -1 : 1;
    if (a->odd != b->odd)
        return a->odd > b->odd ? -1 : 1;
    return (a->function > b->function) - (a->function < b->function);
}

/* Makes room for so many channels of either kind, and for the pair function if there is one. */
static void size_section(builder *b, section *part, int n_angular, int n_scalar, int has_pair)
{
    const int lanes = b->potential->lanes;

    part->n_angular = (n_angular + lanes - 1) / lanes;
    part->n_scalar = (n_scalar + has_pair + lanes - 1) / lanes;
    part->angular.n_columns = part->n_angular * lanes;
    part->scalar.n_columns = part->n_scalar * lanes;
    part->angular.columns = KEEP(part->angular.n_columns, column);
    part->scalar.columns = KEEP(part->scalar.n_columns, column);
}

/* Gives a channel its group, lane and column. `place`: its number among those of its kind in the section. */
static void place_channel(builder *b, center_plan *plan, section *part, channel *c, int is_scalar, int place)
{
    const int lanes = b->potential->lanes;
    table *radial = is_scalar ? &part->scalar : &part->angular;
    column *own = radial->columns + place;
    group *g;

    c->group = part->first_group + (is_scalar ? part->n_angular : 0) + place / lanes;
    c->lane = place % lanes;
    g = plan->groups + c->group;
    g->even = larger(c->even, g->even);
    g->odd = larger(c->odd, g->odd);
    part->max_degree = larger(top(c), part->max_degree);
    plip_add_product(b, own, c->function, -1, 1.0);
    own->sensitivity = c->sensitivity;
    own->order = c->order;
    radial->cutoff = fmax(radial->cutoff, b->potential->functions[c->function].cutoff);
}

/* Sets the offsets of the moments of a group, which begin at `first`. Returns the number behind the last one. */
static int place_moments(builder *b, group *g, int first)
{
    const int highest = larger(g->even, g->odd);
    int d;

    g->offset = KEEP(highest + 1, int);
    for (d = 0; d <= highest; d++) {
        g->offset[d] = -1;
        if (d <= (d % 2 ? g->odd : g->even)) {
            g->offset[d] = first;
            first += COMPONENTS(d) * b->potential->lanes;
        }
    }
    return first;
}

/* Puts the pair function behind the scalar channels. Its moment is an energy. */
static void place_pair_function(builder *b, center_plan *plan, section *part, const column *pair, int place)
{
    const int lanes = b->potential->lanes;
    int k;

    part->scalar.columns[place] = *pair;
    for (k = 0; k < pair->n_products; k++)
        part->scalar.cutoff = fmax(part->scalar.cutoff, b->potential->functions[pair->products[k].a].cutoff);
    plip_add_power(b, plan->groups + part->first_group + part->n_angular + place / lanes, place % lanes, 1, 1.0, 0);
}

/* Makes the groups of one section from its n channels. */
static void make_section(builder *b, center_plan *plan, section *part, channel *channels, int n)
{
    const column *pair = part->scalar.columns;
    const int has_pair = part->scalar.n_columns;
    int n_angular = 0, k;

    while (n_angular < n && top(channels + n_angular) > 0)
        n_angular++;
    size_section(b, part, n_angular, n - n_angular, has_pair);
    part->first_group = plan->n_groups;
    plan->n_groups += part->n_angular + part->n_scalar;
    for (k = part->first_group; k < plan->n_groups; k++)
        plan->groups[k].even = plan->groups[k].odd = -1;
    for (k = 0; k < n; k++)
        place_channel(b, plan, part, channels + k, k >= n_angular, k < n_angular ? k : k - n_angular);
    for (k = 0; k < part->n_angular + part->n_scalar; k++) {
        group *g = plan->groups + part->first_group + k;
        if (k >= part->n_angular)
            g->even = 0;
        if (k == part->n_angular)
            part->scalar_moments = plan->n_moments;
        plan->n_moments = place_moments(b, g, plan->n_moments);
    }
    if (has_pair)
        place_pair_function(b, plan, part, pair, n - n_angular);
}

void plip_make_groups(center_builder *c)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    const int n_species = b->potential->n_species;
    int s, first = 0;

    qsort(c->channels, (size_t)c->n_channels, sizeof(channel), compare_channels);
    plan->groups = KEEP(c->n_channels + 3 * (n_species + 1), group);
    for (s = 0; s <= n_species; s++) {
        int end = first;
        while (end < c->n_channels && c->channels[end].section == s)
            end++;
        make_section(b, plan, plan->sections + s, c->channels + first, end - first);
        first = end;
    }
}
