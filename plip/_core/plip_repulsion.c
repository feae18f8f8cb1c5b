/* What replaces the learned functions outside the data: core repulsion of pairs, and the end of binding for
 * crowded atoms.
 *
 * Pairs. Below `outer`, a little below the shortest distance in the data, the learned functions see a pair as if it
 * were hardly closer than that, g(reach(r)), and fade out toward `inner`. The screened repulsion of nuclei takes over:
 * Ziegler, Biersack & Littmark, The Stopping and Range of Ions in Solids (1985).
 *
 * Surroundings. n = sum over neighbors of (1 - r^2 / range^2)^3 says how densely an atom is surrounded, and
 * y = CLOSENESS sum over neighbors closer than r_c = 0.9 outer of (1 - r / r_c)^3 how closely. Beyond
 * `limit`, a little above the largest n in the data, with x = log(n / limit), else x = 0, the energy of the atom is
 *     e0 + D L + (1 - D) T S(L) + R + STIFFNESS x^EXPONENT,
 * where L is its learned energy and R its share of the core repulsion. D = d(x) d(y), and d falls from 1 to 0 between
 * 0 and FADED; T = t(x) falls from 1 to 0 between FADED and GONE. S is L limited to the range from 0 to MOST, with soft
 * corners: S(L) = h(L) - h(L - MOST), h(z) = (z + sqrt(z^2 + SOFT^2)) / 2. So binding ends first: atoms that come far
 * closer than the data gain nothing by it.
 *
 * Energies. Where L + R is below `floor`, a little below the least of an atom in the data, L is replaced by
 * floor - DEPTH tanh((floor - L - R) / DEPTH) - R: surroundings that no data hold bind hardly more than those of the
 * data. All is smooth to second derivatives.
 */
#include <math.h>

#include "plip_plan.h"

/* e^2 / (4 pi epsilon_0) in eV Angstrom, and 0.8854 Bohr radii in Angstrom. */
#define COULOMB 14.399645
#define SCREENING 0.46850

/* Parts of outer: where the learned functions have come to rest, where the repulsion of nuclei begins and stands in
 * full, and where the force that adds to it begins to fade. Where the force is known, the two of them change places
 * further in: atoms in matter repel each other otherwise than nuclei do at the distances where data end. */
#define REST 0.95
#define BEGIN 1.0
#define FULL 0.8
#define FORCED 0.7
#define BEGIN_OF_KNOWN 0.9
#define FULL_OF_KNOWN 0.6
/* Part of the way from inner to outer on which the learned functions fade out: there the repulsion is so steep that
 * nothing they lose can make up for it. */
#define FADE 0.35
/* eV/Angstrom, where the force is not known. Surroundings of light atoms, whose nuclei hardly repel each other at these
 * distances, pull with several eV/Angstrom at an atom that comes closer. */
#define FORCE 12.0
/* How much the force grows with the way. It must: neighbors that an atom leaves behind push it on. */
#define GROWTH 3.0
/* The energy of a force that did not grow is at most this part of the repulsion of nuclei at the distance CLOSEST, in
 * Angstrom. */
#define SHARE 0.05
#define CLOSEST 0.3

/* eV per atom. Tantalum from density-functional theory, compressed to 0.66 of its length, follows 22 x^2.65 eV, and no
 * element is more than 1.5 times stiffer. The rest outweighs learned energies that fall while they fade. */
#define STIFFNESS 150.0
#define EXPONENT 2.65
#define FADED 0.25
#define GONE 1.2
/* eV. Learned energies of data that are compressed to 0.66 of their length are about 50 eV. */
#define SOFT 2.0
#define MOST 50.0

/* eV. Atoms of one species differ by as much in ordinary data. */
#define DEPTH 0.5

/* At 0.7 of `outer` y is FADED. */
#define CLOSENESS 25.0

/* 6u^5 - 15u^4 + 10u^3 of u = (r - low) / (high - low), and derivatives with respect to r. */
static void smooth_step(double low, double high, double r, double result[3])
{
    const double width = high - low, u = (r - low) / width;

    result[0] = u >= 1.0;
    result[1] = result[2] = 0.0;
    if (u > 0.0 && u < 1.0) {
        result[0] = u * u * u * (u * (6.0 * u - 15.0) + 10.0);
        result[1] = 30.0 * u * u * (u - 1.0) * (u - 1.0) / width;
        result[2] = 60.0 * u * (u * (2.0 * u - 3.0) + 1.0) / (width * width);
    }
}

static void nuclear_repulsion(int first_number, int second_number, double r, double result[3])
{
    static const double weights[4] = {0.18175, 0.50986, 0.28022, 0.02817};
    static const double rates[4] = {3.19980, 0.94229, 0.40290, 0.20162};
    const double charges = COULOMB * first_number * second_number;
    const double length = SCREENING / (pow(first_number, 0.23) + pow(second_number, 0.23));
    double screening[3] = {0.0, 0.0, 0.0};
    int k;

    result[0] = result[1] = result[2] = 0.0;
    if (charges == 0.0) /* dummy atoms */
        return;
    for (k = 0; k < 4; k++) {
        const double rate = rates[k] / length, part = weights[k] * exp(-rate * r);
        screening[0] += part;
        screening[1] -= rate * part;
        screening[2] += rate * rate * part;
    }
    result[0] = charges / r * screening[0];
    result[1] = charges / r * (screening[1] - screening[0] / r);
    result[2] = charges / r * (screening[2] - 2.0 / r * (screening[1] - screening[0] / r));
}

/* The integral of 3u^2 - 2u^3, which rises from 0 to 1 between low and high; r from high on. */
static void ramp(double low, double high, double r, double result[3])
{
    const double width = high - low, u = (r - low) / width;

    result[0] = r;
    result[1] = 1.0;
    result[2] = 0.0;
    if (u < 1.0) {
        result[0] = high - width * (u > 0.0 ? 0.5 - u * u * u * (1.0 - 0.5 * u) : 0.5);
        result[1] = u > 0.0 ? u * u * (3.0 - 2.0 * u) : 0.0;
        result[2] = u > 0.0 ? 6.0 * u * (1.0 - u) / width : 0.0;
    }
}

/* Adds the energy of a force over the way that the learned functions do not see, and its derivatives. */
static void add_force(double force, double outer, const double seen[3], const double taken[3], double result[3])
{
    const double way = seen[0] - taken[0], slope = seen[1] - taken[1], curvature = seen[2] - taken[2];
    const double grown = 1.0 + 2.0 * GROWTH / outer * way;

    result[0] += force * way * (1.0 + GROWTH / outer * way);
    result[1] += force * grown * slope;
    result[2] += force * (grown * curvature + 2.0 * GROWTH / outer * slope * slope);
}

void plip_core_repulsion(const plip_core_pair *pair, double r, double repulsion[3], double fade[3], double reach[3])
{
    const double inner = pair->inner, outer = pair->outer;
    const int is_known = pair->force > 0.0;
    const double begin = outer * (is_known ? BEGIN_OF_KNOWN : BEGIN), full = outer * (is_known ? FULL_OF_KNOWN : FULL);
    /* Of the force that adds to the repulsion of nuclei. */
    const double force = is_known ? pair->force : FORCE, forced = is_known ? begin : FORCED * outer;
    const double end = is_known ? full : fmin(inner, 0.5 * outer);
    double nuclear[3], closest[3], above[3], seen[3], taken[3];
    int k;

    nuclear_repulsion(pair->first_number, pair->second_number, r, nuclear);
    nuclear_repulsion(pair->first_number, pair->second_number, CLOSEST, closest);
    smooth_step(full, begin, r, above);
    repulsion[0] = (1.0 - above[0]) * nuclear[0];
    repulsion[1] = (1.0 - above[0]) * nuclear[1] - above[1] * nuclear[0];
    repulsion[2] = (1.0 - above[0]) * nuclear[2] - 2.0 * above[1] * nuclear[1] - above[2] * nuclear[0];
    ramp(REST * outer, outer, r, seen);
    ramp(end, forced, r, taken);
    add_force(fmin(force, SHARE * closest[0] / (outer - end)), outer, seen, taken, repulsion);
    if (fade)
        smooth_step(inner, inner + FADE * (outer - inner), r, fade);
    for (k = 0; k < 3 && reach; k++)
        reach[k] = seen[k];
}

void plip_add_centroid(const plip_system *system, int neighbor, const double vector[3], const double derivative[3])
{
    static const int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
    int k;

    for (k = 0; k < 9; k++)
        system->centroid_derivatives[9 * (size_t)neighbor + k] += vector[first[k]] * derivative[second[k]];
}

/* Derivatives with respect to the pair vector to one neighbor: `slope` along it. */
static void add_pair(const plip_system *system, int i, int j, const double vector[3], double slope_over_r)
{
    static const int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
    int k;

    for (k = 0; k < 3 && system->forces; k++) {
        system->forces[3 * (size_t)j + k] -= slope_over_r * vector[k];
        system->forces[3 * (size_t)i + k] += slope_over_r * vector[k];
    }
    for (k = 0; k < 6; k++) {
        const double part = slope_over_r * vector[first[k]] * vector[second[k]];
        if (system->strain_derivative)
            system->strain_derivative[k] += part;
        if (system->strain_derivatives) {
            system->strain_derivatives[6 * (size_t)i + k] += 0.5 * part;
            system->strain_derivatives[6 * (size_t)j + k] += 0.5 * part;
        }
    }
    if (system->centroid_derivatives) {
        const double derivative[3] = {slope_over_r * vector[0], slope_over_r * vector[1], slope_over_r * vector[2]};
        plip_add_centroid(system, j, vector, derivative);
    }
}

/* h(y) of the soft corners, and its slope. */
static double positive_part(double y, double *slope)
{
    const double root = sqrt(y * y + SOFT * SOFT);

    *slope = 0.5 * (1.0 + y / root);
    return 0.5 * (y + root);
}

/* The vector to a neighbor, its square, and the species of the neighbor. */
static int find_neighbor(const plip_system *system, int center, int neighbor, double vector[3], double *square)
{
    int k;

    for (k = 0; k < 3; k++)
        vector[k] = system->positions[3 * (size_t)neighbor + k] - system->positions[3 * (size_t)center + k];
    *square = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
    return system->species_of_type[system->types[neighbor]];
}

/* Core repulsion and its slope; zero for pairs that are far enough from each other. */
static double pair_repulsion(const plip_core_pair *core, double square, double *slope)
{
    double result[3];

    *slope = 0.0;
    if (square >= core->outer * core->outer)
        return 0.0;
    plip_core_repulsion(core, sqrt(square), result, NULL, NULL);
    *slope = result[1];
    return result[0];
}

/* The part of y that a pair makes, and its slope. */
static double closeness(const plip_core_pair *core, double square, double *slope)
{
    const double reach = PLIP_TOO_CLOSE * core->outer;
    double left;

    *slope = 0.0;
    if (square >= reach * reach)
        return 0.0;
    left = 1.0 - sqrt(square) / reach;
    *slope = -3.0 * CLOSENESS * left * left / reach;
    return CLOSENESS * left * left * left;
}

double plip_crowd(const center_plan *plan, const plip_system *system, double density, plip_center *center, int mask)
{
    const double x = density > plan->limit ? log(density / plan->limit) : 0.0;
    double vector[3], core_energy = 0.0, y = 0.0, square, slope, other_slope;
    double dense[3], close[3], later[3], bind, keep, learned, kept, lower, upper, fade, slope_of_floor = 1.0;
    double by_density = 0.0, by_closeness;
    int s, k;

    for (k = 0; k < center->n_neighbors; k++) {
        s = find_neighbor(system, center->atom, center->neighbors[k] & mask, vector, &square);
        if (s >= 0) {
            core_energy += 0.5 * pair_repulsion(&plan->sections[s].core, square, &slope);
            y += closeness(&plan->sections[s].core, square, &slope);
        }
    }
    smooth_step(0.0, FADED, x, dense);
    smooth_step(0.0, FADED, y, close);
    smooth_step(FADED, GONE, x, later);
    bind = (1.0 - dense[0]) * (1.0 - close[0]);
    keep = 1.0 - later[0];
    learned = center->energy - plan->reference_energy - core_energy;
    if (learned + core_energy < plan->floor) {
        const double below = tanh((plan->floor - learned - core_energy) / DEPTH);
        learned = plan->floor - DEPTH * below - core_energy;
        slope_of_floor = 1.0 - below * below;
    }
    kept = positive_part(learned, &lower) - positive_part(learned - MOST, &upper);
    fade = bind + (1.0 - bind) * keep * (lower - upper);
    center->energy = plan->reference_energy + bind * learned + (1.0 - bind) * keep * kept + core_energy;
    if (x > 0.0) {
        center->energy += STIFFNESS * pow(x, EXPONENT);
        by_density = STIFFNESS * EXPONENT * pow(x, EXPONENT - 1.0) -
                     dense[1] * (1.0 - close[0]) * (learned - keep * kept) - later[1] * (1.0 - bind) * kept;
        by_density /= density;
    }
    by_closeness = -close[1] * (1.0 - dense[0]) * (learned - keep * kept);

    for (k = 0; k < center->n_neighbors; k++) {
        const int neighbor = center->neighbors[k] & mask;
        double left, slope_over_r = 0.0;
        s = find_neighbor(system, center->atom, neighbor, vector, &square);
        if (s < 0)
            continue;
        left = 1.0 - square * plan->inverse_square_range;
        if (left > 0.0)
            slope_over_r = -6.0 * by_density * left * left * plan->inverse_square_range;
        pair_repulsion(&plan->sections[s].core, square, &slope);
        closeness(&plan->sections[s].core, square, &other_slope);
        slope_over_r += ((1.0 - fade) * 0.5 * slope + by_closeness * other_slope) / sqrt(square);
        add_pair(system, center->atom, neighbor, vector, slope_over_r);
    }
    return fade * slope_of_floor;
}
