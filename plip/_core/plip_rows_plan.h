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

/* The entries of the strains of the first component of a basis. */
static inline const plip_strain *first_strain(const plip_rows_plan *plan, int basis)
{
    return plan->strains +
           (basis == PLIP_HARMONICS ? strains_below(PLIP_MONOMIALS, plan->max_degree[PLIP_MONOMIALS] + 1) : 0);
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
    /* Sums of each degree: a row for each function, or one row if each field has its own, of one field after the other
     * for x, y and z. */
    ptrdiff_t rows, row;
    ptrdiff_t step;   /* from x to y */
    ptrdiff_t length; /* of all rows */
    int n_degrees;
} group_shape;

static inline group_shape shape_of_group(const plip_rows_plan *plan, const plip_group *group, int lanes)
{
    group_shape shape;

    shape.set = plan->sets + group->set;
    shape.width = padded(group->count, lanes);
    shape.n_functions = padded(shape.set->count, lanes);
    shape.rows = group->outer ? shape.set->count : 1;
    shape.step = group->outer ? group->count : shape.width;
    shape.row = padded(3 * shape.step, lanes);
    shape.length = shape.rows * shape.row;
    shape.n_degrees = group->highest - group->lowest + 1;
    return shape;
}

/* Which function sets have groups of every field with every function. The others have each field with its own function
 * alone. */
static inline void find_outer_sets(const plip_rows_plan *plan, char *is_outer)
{
    int f, g;

    for (f = 0; f < plan->n_sets; f++)
        is_outer[f] = 0;
    for (g = 0; g < plan->n_groups; g++)
        is_outer[plan->groups[g].set] |= plan->groups[g].outer != 0;
}

/* The same for derivatives with respect to the strain. */
typedef struct {
    ptrdiff_t step;       /* from one strain of a moment to the next */
    ptrdiff_t moments;    /* place of those of the moments, from the lowest degree on */
    ptrdiff_t of_moment;  /* those of each moment, [strain][function], padded */
    ptrdiff_t sums;       /* place of those of the sums */
    ptrdiff_t length;     /* those of the sums of each degree: [field][strain][function], or [strain][field] */
} strain_shape;

/* The strains of a sum take no more room than three sums with their x, y and z, even where they are padded. */
enum { ROOM_OF_STRAINS = 3 };

/* The functions of one strain follow those of another without a gap where products take them all in a row. */
static inline ptrdiff_t strain_step(const plip_function_set *set, int is_outer, int lanes)
{
    return is_outer ? set->count : padded(set->count, lanes);
}

static inline strain_shape strain_shape_of_group(const plip_rows_plan *plan, const char *is_outer,
                                                 const plip_group *group, int lanes)
{
    const plip_function_set *set = plan->sets + group->set;
    const ptrdiff_t below = components_below(set->basis, group->lowest), width = padded(set->count, lanes);
    strain_shape shape;

    shape.step = strain_step(set, is_outer[group->set], lanes);
    shape.of_moment = padded(6 * shape.step, lanes);
    shape.moments = 6 * (group->moments - below * width) + below * shape.of_moment;
    shape.sums = ROOM_OF_STRAINS * (ptrdiff_t)group->sums;
    shape.length = group->outer ? group->count * shape.of_moment : 6 * padded(group->count, lanes);
    return shape;
}

#endif
