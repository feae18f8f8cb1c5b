/* What the tables of design rows may hold. The kernels trust every entry that passes. */
#include <math.h>

#include "plip_core.h"
#include "plip_rows_plan.h"

/* More memory is not asked for. */
#define MOST (PTRDIFF_MAX / 64)

/* Whether `size` entries from `begin` on lie within `end`. */
static int fits(int64_t begin, int64_t size, int64_t end)
{
    return begin >= 0 && size >= 0 && size <= end && begin <= end - size;
}

static int is_part(plip_range range, int n)
{
    return range.begin >= 0 && range.begin <= range.end && range.end <= n;
}

static int is_flag(int value)
{
    return value == 0 || value == 1;
}

static int check_sizes(const plip_rows_plan *plan, char *error)
{
    int basis, c;

    if (plan->n_terms < 1 || plan->n_species < 1 || plan->n_sets < 1 || plan->state_size < 0 || plan->n_halves < 0)
        return plip_refuse(error, "a size is negative or zero");
    if (plan->n_labels != plan->n_species && plan->n_labels != plan->n_species + 1)
        return plip_refuse(error, "there are %d labels of %d species", plan->n_labels, plan->n_species);
    for (basis = 0; basis < PLIP_N_BASES; basis++) {
        const int degree = plan->max_degree[basis];
        if (degree < -1 || degree > PLIP_MAX_DEGREE)
            return plip_refuse(error, "max_degree %d: %d is not from -1 to %d", basis, degree, PLIP_MAX_DEGREE);
    }
    for (c = 0; c < plan->n_cutoffs; c++)
        if (!(plan->cutoffs[c] > (c ? plan->cutoffs[c - 1] : 0.0) && isfinite(plan->cutoffs[c])))
            return plip_refuse(error, "cutoff %d: cutoffs must be positive and ascending", c);
    return 0;
}

static int check_set(const plip_rows_plan *plan, int lanes, int number, char *error)
{
    const plip_function_set *set = plan->sets + number;
    int a;

    if (set->count < 1 || !fits(set->first, padded(set->count, lanes), plan->n_functions))
        return plip_refuse(error, "function set %d: its functions are not there", number);
    if (set->cutoff < 0 || set->cutoff >= plan->n_cutoffs)
        return plip_refuse(error, "function set %d: there is no cutoff %d", number, set->cutoff);
    if (!is_flag(set->is_squared))
        return plip_refuse(error, "function set %d: is_squared must be 0 or 1", number);
    if (set->basis < 0 || set->basis >= PLIP_N_BASES)
        return plip_refuse(error, "function set %d: there is no angular basis %d", number, set->basis);
    if (set->max_degree < 0 || set->max_degree > plan->max_degree[set->basis])
        return plip_refuse(error, "function set %d: its angular basis has no degree %d", number, set->max_degree);
    for (a = set->first; a < set->first + set->count; a++) {
        char reason[PLIP_ERROR_LENGTH];
        if (plip_check_radial(plan->families[a], plan->p[a], plan->q[a], reason))
            return plip_refuse(error, "function %d: %.200s", a, reason);
    }
    for (a = 0; a < plan->n_labels * plan->n_labels; a++) {
        const double shortest = plan->switches[number * plan->n_labels * plan->n_labels + a];
        if (!(shortest >= 0.0 && isfinite(shortest)))
            return plip_refuse(error, "function set %d: a switch distance is negative or not finite", number);
    }
    return 0;
}

/* Numbers of the state from the lowest to the highest degree. */
static int64_t state_numbers(int basis, int lowest, int highest, int64_t width)
{
    return (components_below(basis, highest + 1) - components_below(basis, lowest)) * width;
}

/* `n_own` numbers are known to be sums over neighbors of g_a g_b. */
static int check_moments(const plip_rows_plan *plan, int lanes, int number, int64_t *n_own, char *error)
{
    const plip_moments *moments = plan->moments + number;
    const plip_function_set *set;
    ptrdiff_t width;

    if (moments->neighbor < 0 || moments->neighbor >= plan->n_labels)
        return plip_refuse(error, "moments %d: there is no species %d", number, moments->neighbor);
    if (moments->set < 0 || moments->set >= plan->n_sets)
        return plip_refuse(error, "moments %d: there is no function set %d", number, moments->set);
    set = plan->sets + moments->set;
    width = padded(set->count, lanes);
    if (moments->state != PLIP_COMMON &&
        !fits(moments->state, state_numbers(set->basis, 0, set->max_degree, width), plan->state_size))
        return plip_refuse(error, "moments %d: they are not within the state", number);
    if (moments->own != -1 && moments->own != *n_own)
        return plip_refuse(error, "moments %d: their own sums must follow those before them", number);
    if (moments->own != -1 && set->basis != PLIP_HARMONICS)
        return plip_refuse(error, "moments %d: own sums are those of harmonics", number);
    if (moments->own != -1)
        *n_own += width * width;
    return 0;
}

static int check_operations(const plip_rows_plan *plan, char *error)
{
    int e;

    for (e = 0; e < plan->n_powers; e++) {
        const plip_power *power = plan->powers + e;
        if (!fits(power->moments, power->count, plan->state_size) ||
            !fits(power->state, power->count, plan->state_size))
            return plip_refuse(error, "power %d: its numbers are not within the state", e);
        if (plip_check_power(PLIP_N_BODY, &power->power, error))
            return -1;
    }
    for (e = 0; e < plan->n_products; e++) {
        const plip_product *product = plan->products + e;
        if (!fits(product->target, 1, plan->state_size) || !fits(product->first, 1, plan->state_size) ||
            !fits(product->second, 1, plan->state_size))
            return plip_refuse(error, "product %d: its numbers are not within the state", e);
    }
    return 0;
}

static int check_centers(const plip_rows_plan *plan, char *error)
{
    int s, k;

    for (s = 0; s < plan->n_labels; s++) {
        const plip_center_tables *center = plan->centers + s;
        if (!is_part(center->moments, plan->n_moments) || !is_part(center->powers, plan->n_powers) ||
            !is_part(center->products, plan->n_products))
            return plip_refuse(error, "center %d: its tables are not there", s);
        if (!fits(center->halves, plan->n_halves, plan->state_size))
            return plip_refuse(error, "center %d: its constant fields are not within the state", s);
    }
    for (k = 0; k < plan->n_labels * plan->n_labels; k++)
        if (!is_part(plan->groups_of[k], plan->n_groups))
            return plip_refuse(error, "pair of species %d: its groups are not there", k);
    return 0;
}

static int check_contributions(const plip_rows_plan *plan, int number, const group_shape *shape, char *error)
{
    const plip_range range = plan->groups[number].contributions;
    const int64_t n_sums = (int64_t)shape->n_degrees * shape->length;
    int e;

    if (!is_part(range, plan->n_contributions))
        return plip_refuse(error, "group %d: its contributions are not there", number);
    for (e = range.begin; e < range.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        /* From the x of a sum one comes to its y and z. */
        if (to->column < 0 || to->column >= plan->n_terms || !fits(to->place[0], 1, n_sums) ||
            !fits(to->place[1], 1, n_sums) || to->place[0] % shape->row >= shape->step ||
            to->place[1] % shape->row >= shape->step)
            return plip_refuse(error, "contribution %d: there is no such column or sum", e);
    }
    return 0;
}

static int check_group(const plip_rows_plan *plan, int lanes, int number, int64_t *n_sums, int64_t n_own,
                       char *error)
{
    const plip_group *group = plan->groups + number;
    group_shape shape;
    int64_t own;

    if (group->set < 0 || group->set >= plan->n_sets)
        return plip_refuse(error, "group %d: there is no function set %d", number, group->set);
    if (!is_flag(group->outer) || group->count < 1 || group->count > plan->state_size)
        return plip_refuse(error, "group %d: outer or count is not possible", number);
    /* No interaction has more arms than a density to a power. */
    if (plip_check_power(PLIP_N_BODY, &group->arms, error))
        return -1;
    if (group->lowest < 0 || group->lowest > group->highest || group->highest > plan->sets[group->set].max_degree)
        return plip_refuse(error, "group %d: its function set has no degrees %d to %d", number, group->lowest,
                      group->highest);
    shape = shape_of_group(plan, group, lanes);
    if (!fits(group->state, state_numbers(shape.set->basis, group->lowest, group->highest, shape.width),
              plan->state_size) ||
        !fits(group->moments, state_numbers(shape.set->basis, group->lowest, group->highest, shape.n_functions),
              plan->state_size))
        return plip_refuse(error, "group %d: its fields or moments are not within the state", number);
    if ((!group->outer || group->own != -1) && shape.width > shape.n_functions)
        return plip_refuse(error, "group %d: there are more fields than functions", number);
    own = (int64_t)shape.n_functions * shape.n_functions;
    if (group->own != -1 && !fits(group->own, own, n_own))
        return plip_refuse(error, "group %d: its own sums have no place", number);
    if (group->sums != *n_sums)
        return plip_refuse(error, "group %d: its sums must follow those of the group before it", number);
    if (shape.length > (MOST - *n_sums) / shape.n_degrees)
        return plip_refuse(error, "group %d: there are too many sums", number);
    *n_sums += shape.n_degrees * shape.length;
    return check_contributions(plan, number, &shape, error);
}

int plip_rows_check(const plip_rows_plan *plan, int lanes, char *error)
{
    int64_t n_sums = 0, n_own = 0;
    int k;

    if (check_sizes(plan, error))
        return -1;
    for (k = 0; k < plan->n_sets; k++)
        if (check_set(plan, lanes, k, error))
            return -1;
    for (k = 0; k < plan->n_moments; k++)
        if (check_moments(plan, lanes, k, &n_own, error))
            return -1;
    if (check_operations(plan, error) || check_centers(plan, error))
        return -1;
    for (k = 0; k < plan->n_groups; k++)
        if (check_group(plan, lanes, k, &n_sums, n_own, error))
            return -1;
    return 0;
}

int plip_rows_check_neighbors(const plip_rows_plan *plan, const plip_neighbors *near, ptrdiff_t begin, ptrdiff_t end,
                              char *error)
{
    const ptrdiff_t n_buckets = near->n_atoms * plan->n_species;
    ptrdiff_t k;

    if (begin < 0 || begin > end || end > near->n_atoms)
        return plip_refuse(error, "there are no atoms %lld to %lld", (long long)begin, (long long)end);
    for (k = 0; k < near->n_atoms; k++)
        if (near->species[k] < 0 || near->species[k] >= plan->n_species)
            return plip_refuse(error, "atom %lld is of no species", (long long)k);
    if (near->first[0] != 0 || near->first[n_buckets] != near->n_pairs)
        return plip_refuse(error, "the first and the last neighbor are not those of the pairs");
    for (k = 0; k < n_buckets; k++)
        if (near->first[k] > near->first[k + 1])
            return plip_refuse(error, "the neighbors of atom %lld end before they begin",
                               (long long)(k / plan->n_species));
    for (k = near->first[begin * plan->n_species]; k < near->first[end * plan->n_species]; k++)
        if (near->neighbor[k] < 0 || near->neighbor[k] >= near->n_atoms)
            return plip_refuse(error, "pair %lld has no neighbor", (long long)k);
    return 0;
}

static void widen(plip_range *range, int place)
{
    if (range->begin == range->end)
        *range = (plip_range){place, place + 1};
    if (place < range->begin)
        range->begin = place;
    if (place >= range->end)
        range->end = place + 1;
}

void plip_find_product_places(const plip_rows_plan *plan, plip_product_places *places)
{
    int s, e;

    for (s = 0; s < plan->n_labels; s++, places++) {
        *places = (plip_product_places){{0, 0}, {0, 0}};
        for (e = plan->centers[s].products.begin; e < plan->centers[s].products.end; e++) {
            widen(&places->factors, plan->products[e].first);
            widen(&places->factors, plan->products[e].second);
            widen(&places->targets, plan->products[e].target);
        }
    }
}
