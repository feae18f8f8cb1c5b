/* The channels of a center, in groups of as many as a vector has lanes, and the places of their moments.
 *
 * A channel is angular if it has moments beyond degree 0, else scalar. Angular channels come first in a section, then
 * the scalar ones, then the pair function. Scalar ones that would need a group of their own are guests in free lanes of
 * the angular groups, if they do not reach further. Shared channels make a section behind those of all species. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_build.h"

int plip_find_channel(center_builder *c, int species, int function, int degree)
{
    return plip_find_product(c, species, function, -1, degree);
}

int plip_find_product(center_builder *c, int species, int first, int second, int degree)
{
    const int section = species == PLIP_ANY ? c->all->potential->n_species : species;
    int n;

    for (n = 0; n < c->n_channels; n++)
        if (c->channels[n].section == section && c->channels[n].function == first && c->channels[n].second == second)
            break;
    if (n == c->n_channels) {
        memset(c->channels + n, 0, sizeof *c->channels);
        c->channels[n].section = section;
        c->channels[n].function = first;
        c->channels[n].second = second;
        c->channels[n].even = c->channels[n].odd = -1;
        c->channels[n].cutoff = c->all->potential->functions[first].cutoff;
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

/* By species, then angular channels of growing cutoff and of falling degree, so that a group holds channels that reach as
 * far, of like degree. Guests follow in the last group, which reaches farthest. */
static int compare_channels(const void *first, const void *second)
{
    const channel *a = first, *b = second;

    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    if ((top(a) > 0) != (top(b) > 0))
        return top(a) > 0 ? -1 : 1;
    if (top(a) > 0 && a->cutoff != b->cutoff)
        return a->cutoff < b->cutoff ? -1 : 1;
    if (top(a) > 0 && top(a) != top(b))
        return top(a) > top(b) ? -1 : 1;
    if (a->even != b->even)
        return a->even > b->even ? -1 : 1;
    if (a->odd != b->odd)
        return a->odd > b->odd ? -1 : 1;
    if (a->function != b->function)
        return a->function > b->function ? 1 : -1;
    return (a->second > b->second) - (a->second < b->second);
}

/* Makes room for so many columns of either kind, and for the pair function if it is a scalar one. */
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
    g->n_angular += top(c) > 0;
    g->n_lanes++;
    g->square_cutoff = fmax(c->cutoff * c->cutoff, g->square_cutoff);
    part->max_degree = larger(top(c), part->max_degree);
    plip_add_product(b, own, c->function, c->second, 1.0);
    own->sensitivity = c->sensitivity;
    own->order = c->order;
    own->is_root = c->is_root;
    radial->cutoff = fmax(radial->cutoff, c->cutoff);
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

static double cutoff_of_pair_function(const builder *b, const section *part)
{
    const column *pair = part->scalar.columns;
    double cutoff = part->core.outer;
    int k;

    for (k = 0; k < pair->n_products; k++)
        cutoff = fmax(cutoff, b->potential->functions[pair->products[k].a].cutoff);
    return cutoff;
}

/* Puts the pair function behind other columns of a table, and its moment, which is an energy, into their group. */
static void place_pair_function(builder *b, center_plan *plan, const column *pair, double cutoff, table *radial,
                                int first_group, int place)
{
    const int lanes = b->potential->lanes;
    group *g = plan->groups + first_group + place / lanes;

    radial->columns[place] = *pair;
    radial->cutoff = fmax(radial->cutoff, cutoff);
    g->even = larger(0, g->even);
    g->n_lanes++;
    g->square_cutoff = fmax(cutoff * cutoff, g->square_cutoff);
    plip_add_power(b, g, place % lanes, 1, 1.0, 0);
}

/* How many scalar columns of a section are guests of the angular groups: as many as would not fill a group, or none.
 * The pair function of a species counts also if there is none: a core repulsion must not change the order of sums. `near`: how far
 * the angular functions reach. */
static int count_guests(const builder *b, const center_plan *plan, const section *part, const channel *channels,
                        int n_angular, int n, double near)
{
    const int lanes = b->potential->lanes, n_free = (lanes - n_angular % lanes) % lanes;
    const int may_have_pair = part != plan->sections + b->potential->n_species;
    const int n_guests = (n - n_angular + may_have_pair) % lanes;
    int k;

    if (n_guests > n_free || cutoff_of_pair_function(b, part) > near)
        return 0;
    for (k = n_angular; k < n_angular + n_guests - may_have_pair; k++)
        if (channels[k].cutoff > near)
            return 0;
    return n_guests;
}

/* Puts the channels of a section and its pair function into groups. */
static void place_section(builder *b, center_plan *plan, section *part, channel *channels, int n_angular, int n,
                          double near)
{
    const column *pair = part->scalar.columns;
    const double cutoff = cutoff_of_pair_function(b, part);
    const int may_have_pair = part != plan->sections + b->potential->n_species, has_pair = part->scalar.n_columns;
    const int n_guests = count_guests(b, plan, part, channels, n_angular, n, near);
    const int n_first = n_guests ? n_angular + n_guests - may_have_pair : n_angular; /* channels in angular groups */
    int k;

    size_section(b, part, n_first + (n_guests && has_pair), n - n_first, !n_guests && has_pair);
    part->first_group = plan->n_groups;
    plan->n_groups += part->n_angular + part->n_scalar;
    for (k = part->first_group; k < plan->n_groups; k++)
        plan->groups[k].even = plan->groups[k].odd = -1;
    for (k = 0; k < n; k++)
        place_channel(b, plan, part, channels + k, k >= n_first, k < n_first ? k : k - n_first);
    if (has_pair && n_guests)
        place_pair_function(b, plan, pair, cutoff, &part->angular, part->first_group, n_first);
    else if (has_pair)
        place_pair_function(b, plan, pair, cutoff, &part->scalar, part->first_group + part->n_angular, n - n_first);
}

/* Makes the groups of one section from its n channels. `shared`: how far the shared angular functions reach. */
static void make_section(builder *b, center_plan *plan, section *part, channel *channels, int n, double shared)
{
    double near = shared;
    int n_angular, k;

    for (n_angular = 0; n_angular < n && top(channels + n_angular) > 0; n_angular++)
        near = fmax(near, channels[n_angular].cutoff);
    place_section(b, plan, part, channels, n_angular, n, near);
    for (k = 0; k < part->n_angular + part->n_scalar; k++) {
        group *g = plan->groups + part->first_group + k;
        if (k >= part->n_angular)
            g->even = 0;
        if (k == part->n_angular)
            part->scalar_moments = plan->n_moments;
        plan->n_moments = place_moments(b, g, plan->n_moments);
    }
}

void plip_add_range(moment_range *ranges, int *n, int first, int size)
{
    if (*n && ranges[*n - 1].first + ranges[*n - 1].n == first) {
        ranges[*n - 1].n += size;
        return;
    }
    ranges[*n].first = first;
    ranges[*n].n = size;
    ++*n;
}

static void find_summed_moments(builder *b, center_plan *plan)
{
    const int lanes = b->potential->lanes;
    int k, parity;

    plan->summed = KEEP(2 * plan->n_groups + 1, moment_range);
    for (k = 0; k < plan->n_groups; k++)
        for (parity = 0; parity < 2; parity++) {
            const group *g = plan->groups + k;
            const int degree = parity ? g->odd : g->even;
            if (degree >= 0)
                plip_add_range(plan->summed, &plan->n_summed, g->offset[degree], COMPONENTS(degree) * lanes);
        }
}

void plip_make_groups(center_builder *c)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    const int n_species = b->potential->n_species;
    double near = 0.0;
    int s, k, first = 0;

    qsort(c->channels, (size_t)c->n_channels, sizeof(channel), compare_channels);
    plan->groups = KEEP(c->n_channels + 3 * (n_species + 1), group);
    for (k = 0; k < c->n_channels; k++)
        if (c->channels[k].section == n_species && top(c->channels + k) > 0)
            near = fmax(near, c->channels[k].cutoff);
    for (s = 0; s <= n_species; s++) {
        int end = first;
        while (end < c->n_channels && c->channels[end].section == s)
            end++;
        make_section(b, plan, plan->sections + s, c->channels + first, end - first, near);
        first = end;
    }
    find_summed_moments(b, plan);
}
