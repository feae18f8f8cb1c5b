/* What a potential may hold. The readers of its file (plip.potential, the LAMMPS plugin) and the parameters of a fit
 * (plip.radial, plip.interactions) are checked here and nowhere else. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plip_core.h"

/* Angstrom. Nothing is closer than the first; the second reaches more neighbors than memory holds. */
#define SHORTEST 0.01
#define LONGEST 1000.0
#define MAX_POWER 1000
/* Products of monomials in a four-body contraction, each some operations per center. */
#define MAX_PRODUCTS 200000

const plip_family PLIP_FAMILIES[PLIP_N_FAMILIES] = {
    {"Gaussian", "eta", "centers", 0},      {"Slater", "powers", "zeta", 0},
    {"GaussianType", "powers", "zeta", 0},  {"StillingerWeber", "gamma", "onset", 0},
    {"Power", "powers", NULL, 0},           {"Lorentzian", "centers", "exponents", 0},
    {"LogNormal", "onsets", "scales", 0},   {"LennardJones", "sigma", NULL, 1},
};

const plip_interaction PLIP_INTERACTIONS[PLIP_N_INTERACTIONS] = {
    {"two-body", 2, 1, 0},
    {"three-body", 3, 2, 1},
    {"N-body", 2, 1, 1},
    {"four-body", 4, 3, 3},
};

static const char *const ELEMENTS =
    " X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt "
    "Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv "
    "Ts Og ";

int plip_refuse(char *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, PLIP_ERROR_LENGTH, format, arguments);
    va_end(arguments);
    return -1;
}

int plip_atomic_number(const char *symbol)
{
    const size_t length = strlen(symbol);
    const char *place = ELEMENTS;
    int number;

    /* Each symbol stands between two spaces. */
    for (number = 0; place[1]; number++) {
        const char *end = strchr(place + 1, ' ');
        if ((size_t)(end - place - 1) == length && memcmp(place + 1, symbol, length) == 0)
            return number;
        place = end;
    }
    return -1;
}

int plip_check_repulsion(int n_species, const plip_repulsion *repulsion, char *error)
{
    int s, t;

    for (s = 0; s < n_species; s++) {
        const char *const symbol = repulsion->symbols[s];
        const double range = repulsion->range[s], limit = repulsion->limit[s];
        if (plip_atomic_number(symbol) < 0)
            return plip_refuse(error, "'%.20s' is not a chemical symbol", symbol);
        if (!(repulsion->floor[s] <= DBL_MAX))
            return plip_refuse(error, "the least energy of %s must be a finite number, got %g",
                               symbol, repulsion->floor[s]);
        if (limit != 0.0 || range != 0.0) {
            if (plip_check_length("the range of a density", range, error))
                return -1;
            if (!(limit > 0.0 && limit <= DBL_MAX))
                return plip_refuse(error, "the limit of the density of %s must be positive, got %g", symbol, limit);
        }
        for (t = 0; t < n_species; t++) {
            const double inner = repulsion->inner[s * n_species + t], outer = repulsion->outer[s * n_species + t];
            const double force = repulsion->force[s * n_species + t];
            if (!(force >= 0.0 && force <= DBL_MAX))
                return plip_refuse(error, "the force of the core repulsion of %s and %s must be positive, got %g", symbol,
                                   repulsion->symbols[t], force);
            if (inner == 0.0 && outer == 0.0 && force == 0.0)
                continue;
            if (plip_check_length("a distance of the core repulsion", inner, error) ||
                plip_check_length("a distance of the core repulsion", outer, error))
                return -1;
            if (!(inner <= 0.9 * outer))
                return plip_refuse(error,
                                   "the first distance of the core repulsion of %s and %s must be below 0.9 of the "
                                   "second, got %g and %g",
                                   symbol, repulsion->symbols[t], inner, outer);
        }
    }
    return 0;
}

int plip_check_length(const char *name, double value, char *error)
{
    if (value >= SHORTEST && value <= LONGEST)
        return 0;
    return plip_refuse(error, "%.100s must be a length of %g to %g Angstrom, got %g", name, SHORTEST, LONGEST, value);
}

int plip_check_radial(int family, double p, double q, char *error)
{
    const plip_family *known;
    const char *name, *rule = NULL;
    double value;

    if (family < 0 || family >= PLIP_N_FAMILIES)
        return plip_refuse(error, "there is no radial family %d", family);
    known = PLIP_FAMILIES + family;
    name = known->q;
    value = q;
    switch (family) {
    case PLIP_GAUSSIAN:
    case PLIP_STILLINGER_WEBER:
    case PLIP_LENNARD_JONES:
        name = known->p;
        value = p;
        if (family == PLIP_STILLINGER_WEBER ? !(p < 0.0) : !(p > 0.0))
            rule = family == PLIP_STILLINGER_WEBER ? "negative" : "positive";
        break;
    case PLIP_SLATER:
    case PLIP_GAUSSIAN_TYPE:
    case PLIP_LOG_NORMAL:
        if (!(q > 0.0))
            rule = "positive";
        break;
    case PLIP_LORENTZIAN:
        if (!(q >= 2.0) || fmod(q, 2.0) != 0.0)
            rule = "even integers from 2 on";
        break;
    default:
        break;
    }
    if (!isfinite(p) || !isfinite(q)) {
        rule = "finite";
        name = isfinite(p) ? known->q : known->p;
        value = isfinite(p) ? q : p;
    }
    if (!rule)
        return 0;
    return plip_refuse(error, "%s: %s must be %s, got %g", known->name, name, rule, value);
}

int plip_check_power(int kind, const int *power, char *error)
{
    int k;

    if (kind == PLIP_THREE_BODY && (power[0] < 0 || power[0] > PLIP_MAX_DEGREE))
        return plip_refuse(error, "the power of the cosine must be an integer from 0 to %d", PLIP_MAX_DEGREE);
    if (kind == PLIP_N_BODY && power[0] != PLIP_ROOT && (power[0] < 1 || power[0] > MAX_POWER))
        return plip_refuse(error, "the power of a density must be an integer from 1 to %d, or 0.5", MAX_POWER);
    if (kind == PLIP_FOUR_BODY) {
        double products = 1.0;
        for (k = 0; k < 3; k++) {
            if (power[k] < 0 || power[k] > PLIP_MAX_DEGREE || power[k] + power[(k + 1) % 3] > PLIP_MAX_DEGREE)
                return plip_refuse(error,
                                   "the powers (p, q, t) of a four-body term must be integers from 0 on, two of them "
                                   "together at most %d",
                                   PLIP_MAX_DEGREE);
            products *= (power[k] + 1) * (power[k] + 2) / 2;
        }
        if (products > MAX_PRODUCTS)
            return plip_refuse(error,
                               "the powers (%d, %d, %d) of a four-body term give %.3g products of monomials, more "
                               "than %d",
                               power[0], power[1], power[2], products, MAX_PRODUCTS);
    }
    return 0;
}

int plip_check_term(int n_species, const plip_term *term, char *error)
{
    const plip_interaction *kind;
    int k;

    if (term->kind < 0 || term->kind >= PLIP_N_INTERACTIONS)
        return plip_refuse(error, "there is no interaction %d", term->kind);
    kind = PLIP_INTERACTIONS + term->kind;
    for (k = 0; k < kind->n_species; k++)
        if (term->species[k] != PLIP_ANY && (term->species[k] < 0 || term->species[k] >= n_species))
            return plip_refuse(error, "it has a species without a reference energy");
    for (k = 0; k < kind->n_functions; k++)
        if (plip_check_radial(term->family[k], term->p[k], term->q[k], error))
            return -1;
    if (plip_check_power(term->kind, term->power, error) || plip_check_length("cutoff", term->cutoff, error))
        return -1;
    if (plip_is_root(term) && PLIP_FAMILIES[term->family[0]].changes_sign)
        return plip_refuse(error, "the root of a density has a kink where its function, %s, changes sign",
                           PLIP_FAMILIES[term->family[0]].name);
    if (term->switch_distance != 0.0) {
        if (term->kind != PLIP_N_BODY)
            return plip_refuse(error, "only the density of an N-body term may have a switch");
        if (plip_check_length("switch", term->switch_distance, error))
            return -1;
    }
    if (!isfinite(term->coefficient))
        return plip_refuse(error, "its coefficient is not a finite number");
    return 0;
}
