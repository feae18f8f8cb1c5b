/* How far atoms are from data: see plip_core.h. */
#include <math.h>

#include "plip_plan.h"

int plip_term_values(const plip_potential *terms, plip_workspace *workspace, const plip_system *system, int n,
                     const plip_center *centers, int mask, double *values)
{
    return terms->values(terms, workspace, system, NULL, n, centers, mask, values);
}

/* The largest quotient of a shortest distance and that of a neighbor that is closer; 0 if none is. `shortest`: those of
 * the species of the center. */
static double closeness(const plip_system *system, const double *shortest, const plip_center *center, int mask)
{
    const double *origin = system->positions + 3 * (size_t)center->atom;
    double worst = 0.0;
    int k;

    for (k = 0; k < center->n_neighbors; k++) {
        const int neighbor = center->neighbors[k] & mask, species = system->species_of_type[system->types[neighbor]];
        const double *r = system->positions + 3 * (size_t)neighbor;
        const double x = r[0] - origin[0], y = r[1] - origin[1], z = r[2] - origin[2];
        const double square = x * x + y * y + z * z;
        if (species >= 0 && square < shortest[species] * shortest[species])
            worst = fmax(worst, shortest[species] / sqrt(square));
    }
    return worst;
}

int plip_extrapolation(const plip_potential *terms, plip_workspace *workspace, const plip_system *system,
                       const plip_extent *extent, int n, const plip_center *centers, int mask, double *grades)
{
    int i;

    if (terms->values(terms, workspace, system, extent->factor, n, centers, mask, grades))
        return -1;
    for (i = 0; i < n; i++) {
        const int species = system->species_of_type[system->types[centers[i].atom]];
        double grade = grades[i];
        if (species < 0)
            continue;
        if (extent->limits[species] > 0.0)
            grade /= extent->limits[species];
        else
            grade = grade == 0.0 ? 0.0 : PLIP_LARGEST_GRADE;
        /* Not a number if moments overflow. */
        grade = grade < PLIP_LARGEST_GRADE ? grade : PLIP_LARGEST_GRADE;
        grade = fmax(grade, closeness(system, extent->shortest + species * terms->n_species, centers + i, mask));
        grades[i] = fmin(grade, PLIP_LARGEST_GRADE);
    }
    return 0;
}
