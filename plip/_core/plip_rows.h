/* Design rows in plain C: the moments of all neighborhoods of a structure, the values of its columns, and their
 * derivatives. The equations are explained in plip/_design/_plan.py, which makes the tables of this file.
 *
 * Species are numbered from 0 to n_species - 1. Tables by species may have one entry more, for terms of any species:
 * then n_labels is n_species + 1, else n_species.
 *
 * Index names: n atom whose rows are made, i center or neighbor, s and t species, a function, b field, x Cartesian
 * component.
 */
#ifndef PLIP_ROWS_H
#define PLIP_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "plip_angular.h"

/* Entries begin to end of another table. */
typedef struct {
    int begin, end;
} plip_range;

/* Radial functions that share a cutoff. `first` is their place among all functions, padded to whole vectors. */
typedef struct {
    int first, count;
    int cutoff;      /* which one */
    int max_degree;  /* of their moments */
    int basis;
    int is_squared;  /* 1: g^2 takes the place of g */
} plip_function_set;

/* Moments of a function set, over the neighbors of one or of any species. */
enum { PLIP_COMMON = -1 };
typedef struct {
    int neighbor, set;
    int state; /* their place in the state of the center; PLIP_COMMON: they are those of a center of any species */
    int own;   /* place of the sum over neighbors of g_a g_b; -1: not needed */
} plip_moments;

/* Fields m M^(m - 1) of an N-body interaction, or M^(-1/2) / 2 for PLIP_ROOT: `count` numbers of the state from as
 * many moments. */
typedef struct {
    int moments, state, count, power;
} plip_power;

/* state[target] += weight state[first] state[second] */
typedef struct {
    int target, first, second;
    double weight;
} plip_product;

/* Fields of one arm: what multiplies its radial functions. */
typedef struct {
    int set;
    int lowest, highest; /* degrees; several degrees are those of powers of the cosine */
    int state;           /* place of the coefficients of the fields in the state of the center */
    int count;           /* fields of each degree */
    int outer;           /* 1: every field with every function; 0: field b with function b */
    int own;             /* as in plip_moments: the fields contain the neighbor itself, to be taken out */
    int moments;         /* place of the moments of the functions, from the lowest degree on */
    int arms;            /* of the interaction; PLIP_ROOT stands for one half */
    plip_range contributions;
    int64_t sums; /* place of its sums among those of all groups; their shape is in plip_rows_plan.h */
} plip_group;

/* coefficient (sum at place[0] + sum at place[1]) of a group contributes to a column. The places are those of x, which
 * values have alone, and may be the same. */
typedef struct {
    int column, place[2];
    double coefficient;
} plip_contribution;

/* The tables of a center of one or of any species. */
typedef struct {
    plip_range moments, powers, products;
    int halves; /* place of the fields of the two-body interaction, which are 1/2 */
} plip_center_tables;

/* The places in a state that the products of a center read, and those of their targets, with whatever is between. */
typedef struct {
    plip_range factors, targets;
} plip_product_places;

typedef struct {
    int n_terms, n_species, n_labels, state_size, n_halves;
    int n_cutoffs, n_sets, n_functions, n_moments, n_powers, n_products, n_groups, n_contributions;
    int max_degree[PLIP_N_BASES];     /* -1: none */
    const double *cutoffs;            /* ascending */
    const plip_function_set *sets;
    const double *switches;           /* (n_sets, n_labels, n_labels): shortest distances, 0 for no switch */
    const int *families;              /* (n_functions,), and their parameters, apart for loads of whole vectors */
    const double *p, *q;
    const plip_center_tables *centers; /* (n_labels,) */
    const plip_range *groups_of;      /* (n_labels, n_labels): by center and neighbor */
    const plip_moments *moments;
    const plip_power *powers;
    const plip_product *products;
    const plip_group *groups;
    const plip_contribution *contributions;
    const plip_product_places *product_places; /* (n_labels,), from plip_find_product_places */
    /* What plip_angular.h makes: components up to max_degree + 2, the rest up to max_degree or the larger of both. */
    const plip_component *components;
    const plip_strain *strains;
    const double *legendre_of_powers;
} plip_rows_plan;

/* Neighbors of every atom, by species; plip._structures._neighbors.Neighbors. */
typedef struct {
    ptrdiff_t n_atoms, n_pairs;
    const int *species;     /* (n_atoms,) */
    const int64_t *first;   /* (n_atoms * n_species + 1,) */
    const int *neighbor;    /* (n_pairs,) */
    const double *vector;   /* (n_pairs, 3) */
    const double *distance; /* (n_pairs,) */
} plip_neighbors;

/* Whether no entry of the tables leads outside of a table, an array or what a kernel can do: 0, or -1 with the
 * reason in `error` (PLIP_ERROR_LENGTH characters). `lanes` is what functions and fields are padded to. Numbers of
 * entries are not checked, and the angular bases need not be there yet. */
int plip_rows_check(const plip_rows_plan *plan, int lanes, char *error);
/* The places of the products of all centers of a plan that was checked. */
void plip_find_product_places(const plip_rows_plan *plan, plip_product_places *places);
/* The same as plip_rows_check for the neighbors of the atoms [begin, end). */
int plip_rows_check_neighbors(const plip_rows_plan *plan, const plip_neighbors *near, ptrdiff_t begin, ptrdiff_t end,
                              char *error);

/* Overwrites the states of the atoms [begin, end), and adds what they have of the values of all columns, (n_terms,),
 * and of their derivatives dX/d(strain), (6, virial_stride) in the order xx yy zz yz xz xy, unless `virials` is NULL.
 * `simd` must run here. 0, or -1 if memory ran out.
 *
 * The square of the moments holds each neighbor with itself, which is taken out. Where one neighbor outweighs all
 * others of its species, or of any species, this would cost the digits of what is left. Fields that act on such a
 * dominant neighbor are those of the other neighbors alone, so that there is nothing to take out.
 *
 * states (2, n_atoms, state_size): moments and coefficients of the fields; then moments without the dominant neighbors,
 * written only where there is one. dominant (n_atoms, n_labels): the distance of this neighbor, 0 if there is none. */
int plip_rows_values(const plip_rows_plan *plan, int simd, const plip_neighbors *near, ptrdiff_t begin, ptrdiff_t end,
                     double *states, double *dominant, double *values, double *virials, ptrdiff_t virial_stride);

/* Rows of the atoms [begin, end) from what is known of all: force_rows (3 (end - begin), stride) is overwritten with
 * -dX/dr. 0, or -1 if memory ran out. */
int plip_rows_derivatives(const plip_rows_plan *plan, int simd, const plip_neighbors *near, const double *states,
                          const double *dominant, ptrdiff_t begin, ptrdiff_t end, double *force_rows,
                          ptrdiff_t force_stride);

#endif
