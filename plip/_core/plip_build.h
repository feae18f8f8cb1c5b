/* What the files that build a potential from its terms share; private to them.
 *
 *   plip_build.c      memory, errors, the whole
 *   plip_functions.c  radial functions, and columns of tables, which are sums of products of them
 *   plip_tables.c     tables of columns
 *   plip_center.c     the plan of a center: what its terms ask for
 *   plip_groups.c     channels in groups of lanes, and places of moments
 *   plip_couplings.c  powers of moments, and products of two
 *   plip_four_body.c  products of three moments, and how they contract
 *   plip_values.c     values of single terms, in place of the last three
 *   plip_steep.c      where a center is evaluated apart
 */
#ifndef PLIP_BUILD_H
#define PLIP_BUILD_H

#include <setjmp.h>

#include "plip_plan.h"

struct block; /* of memory, in a list */

typedef int triple[3];
typedef double jet[3]; /* value, first and second derivative of a function */

/* State of the whole building. Functions of these files leave by longjmp if they fail. */
typedef struct {
    jmp_buf failed;
    char *error;
    plip_potential *potential;
    struct block *scratch; /* memory that is freed after each center */
    const plip_term *terms;
    int n_terms;
    const plip_repulsion *repulsion;
    int is_apart;      /* whether each term is a value of its own */
    double *bounds;    /* per function: bound of its moments */
    exact_functions *at; /* where tables are being made */
    jet *at_places;      /* per column: at the beginning, the center and the end of a range */
    triple *functions; /* per term: those of its arms */
} builder;

/* A radial function, or the product of two, seen through one species of neighbors, or through all. */
typedef struct {
    int section, function, second; /* second: -1 for none */
    int even, odd; /* largest degrees, -1 for none; section n_species is the shared one */
    int group, lane;                  /* group: number within the center */
    double sensitivity;
    int order; /* largest number of moments that a term multiplies */
    int is_root; /* as in a column */
    double cutoff;
} channel;

/* weight M_p . M_q, of two channels */
typedef struct {
    int p, q, degree;
    double weight;
} raw_coupling;

/* State of the building of one center. */
typedef struct {
    builder *all;
    center_plan *plan;
    int center; /* its species */
    int n_channels, n_couplings;
    channel *channels;
    raw_coupling *couplings;
} center_builder;

void plip_fail(builder *b, const char *reason);
/* Zeroed, aligned memory, freed with its pool. */
void *plip_take(builder *b, struct block **pool, size_t count, size_t size);
void plip_release(struct block *pool);
#define KEEP(count, type) ((type *)plip_take(b, &b->potential->blocks, (size_t)(count), sizeof(type)))
#define SCRATCH(count, type) ((type *)plip_take(b, &b->scratch, (size_t)(count), sizeof(type)))

static inline int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Whether a place of a term may hold an atom of a species. */
static inline int plip_holds(int place, int species)
{
    return place == PLIP_ANY || place == species;
}

/* Number of arms of a term with a center, and their degrees. */
int plip_arms(const plip_term *term);
void plip_arm_degrees(const plip_term *term, int degrees[3]);

/* Finds the functions of the arms of all terms. */
void plip_find_functions(builder *b);
/* Makes room to keep functions until the center is done. */
void plip_keep_functions(builder *b, exact_functions *at);
/* Finds all functions, which are kept. */
void plip_all_functions(const plip_potential *potential, exact_functions *at);
/* Adds weight g_first g_second to a column; second = -1: weight g_first. */
void plip_add_product(builder *b, column *column, int first, int second, double weight);

/* Tables of n sections, up to a cutoff; if there are several, the last one is that of the shared groups. */
void plip_make_tables(builder *b, section *parts, int n, double cutoff);

void plip_make_center(builder *b, int center);
/* How much of the pair function of a center and species s is g_a (two-body), of which half belongs to each of both atoms,
 * or g_a g_b, by which the part of a neighbor with itself is taken out of a three-body term; 0: none of it. */
double plip_pair_weight(const plip_term *term, const int *functions, int center, int s);
/* The channel of an arm to a species or PLIP_ANY, which is added if there is none yet, for moments up to `degree`. */
int plip_find_channel(center_builder *c, int species, int function, int degree);
/* The same for a product of two functions; second = -1: of one. */
int plip_find_product(center_builder *c, int species, int first, int second, int degree);
/* The first moment of a channel of one degree. */
int plip_moment_of(const center_plan *plan, const channel *channel, int degree);

/* Sorts the channels into groups. Channels have other numbers afterwards. */
void plip_make_groups(center_builder *c);
/* Adds weight density^power to the polynomial of a group. */
void plip_add_power(builder *b, group *g, int lane, int power, double weight, int three_body);
/* Adds weight density^(1/2). */
void plip_add_root(builder *b, group *g, int lane, double weight);
/* Adds weight M_p . M_q. */
void plip_add_coupling(center_builder *c, int p, int q, int degree, double weight);
void plip_make_couplings(center_builder *c);
/* Adds a range behind n others. */
void plip_add_range(moment_range *ranges, int *n, int first, int size);
void plip_make_trilinears(center_builder *c);
/* The number of the first moment of an arm among those that are used, which are added if they are not yet. */
int plip_find_arm(builder *b, center_plan *plan, const channel *c, int degree);
/* The runs of the moments that are used, once these are known. */
void plip_make_runs(center_builder *c);
/* The contraction of a rank, which is made if there is none yet. */
int plip_find_contraction(builder *b, const int *rank);

/* Channels of single terms, and what their values are made of. */
void plip_take_values(center_builder *c);
void plip_make_values(center_builder *c);

/* Below which distance neighbors of species s make the center steep. */
void plip_set_steep(center_builder *c, int s, double cutoff);

#endif
