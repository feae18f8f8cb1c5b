/* Sizes that follow from the tables of design rows; private to their sources. */
#ifndef PLIP_ROWS_PLAN_H
#define PLIP_ROWS_PLAN_H

#include "plip_rows.h"

static inline ptrdiff_t padded(ptrdiff_t count, int lanes)
{
    return (count + lanes - 1) / lanes * lanes;
}

/* Degrees of the components of a basis: strains need two more than moments. */
static inline int n_degrees_of_components(const plip_rows_plan *plan, int basis)
{
    return plan->max_degree[basis] < 0 ? 0 : plan->max_degree[basis] + 3;
}

/* The first component of a degree among those of both bases. */
static inline int first_component(const plip_rows_plan *plan, int basis, int degree)
{
    const int monomials = components_below(PLIP_MONOMIALS, n_degrees_of_components(plan, PLIP_MONOMIALS));
    return (basis == PLIP_HARMONICS ? monomials : 0) + components_below(basis, degree);
}

static inline int all_components(const plip_rows_plan *plan)
{
    return first_component(plan, PLIP_HARMONICS, n_degrees_of_components(plan, PLIP_HARMONICS));
}

/* The entries of the first component of a basis. */
static inline const plip_strain *first_strain(const plip_rows_plan *plan, int basis)
{
    const int monomials = components_below(PLIP_MONOMIALS, plan->max_degree[PLIP_MONOMIALS] + 1);
    return plan->strains + (basis == PLIP_HARMONICS ? monomials * strains_of(PLIP_MONOMIALS) : 0);
}

/* Powers of the cosine from 0 on. */
static inline int n_cosines(const plip_rows_plan *plan)
{
    const int *degree = plan->max_degree;
    return 1 + (degree[0] > degree[1] ? degree[0] : degree[1]);
}

/* Sizes of the arrays of a group. */
typedef struct {
    const plip_function_set *set;
    ptrdiff_t width;       /* fields of each degree, padded */
    ptrdiff_t n_functions; /* padded */
    ptrdiff_t length;      /* sums of each degree, padded */
    int n_degrees;
} group_shape;

static inline group_shape shape_of_group(const plip_rows_plan *plan, const plip_group *group, int lanes)
{
    group_shape shape;

    shape.set = plan->sets + group->set;
    shape.width = padded(group->count, lanes);
    shape.n_functions = padded(shape.set->count, lanes);
    shape.length = group->outer ? shape.width * shape.n_functions : shape.width;
    shape.n_degrees = group->highest - group->lowest + 1;
    return shape;
}

#endif
