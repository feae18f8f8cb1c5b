/* What plip_create makes of the terms; private to the core.
 *
 * A channel is a radial function seen by a center through one species of neighbors, or through all of them: then it
 * is shared by all sections. Channels are processed in groups of `lanes` (the width of a vector). The moments of a
 * group are stored degree by degree as [component][lane]; the components of a degree are the monomials of
 * plip_angular.h.
 */
#ifndef PLIP_PLAN_H
#define PLIP_PLAN_H

#include "plip_angular.h"
#include "plip_core.h"

/* Of all variants. */
#define PLIP_MAX_LANES 8

/* Neighbors are padded to a multiple of this, so that loops over them have no remainder. */
#define NEIGHBOR_BLOCK 8
#define ROUNDED_UP(n) (((n) + NEIGHBOR_BLOCK - 1) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK)

typedef struct {
    int family;
    double p, q, cutoff, switch_distance;
    int is_squared; /* g^2 takes the place of g */
} radial_function;

/* weight g_a or weight g_a g_b (b = -1: none) */
typedef struct {
    int a, b;
    double weight;
} product;

/* Atoms that are closer than this part of `outer` bind nothing; see plip_repulsion.c. */
#define PLIP_TOO_CLOSE 0.9

/* Column of a table: a radial function, or the pair function of a section. */
typedef struct {
    int n_products, capacity;
    product *products;
    double repulsion; /* share of the core repulsion that it holds */
    double sensitivity; /* bound of dE/d(moment); weighs the error of the table */
    int order; /* largest number of moments that a term multiplies; 1 for the pair function */
    int is_root; /* energies hold the root of its sum over neighbors */
} column;

/* Coefficients of a polynomial of a table: powers 0 ... 7 of the distance from the center of its interval. */
#define COEFFICIENTS 8

/* A part of an interval that one polynomial was not accurate enough for. */
typedef struct {
    double end;    /* from the end of the last one to here; infinite: to the end of the interval */
    double shift;  /* of the center of its polynomial from the middle of the interval */
    const double *row; /* as in `table`; NULL: evaluate the functions */
} piece;

/* A polynomial for each interval and column. A row holds those of all columns of an interval: [lanes of columns]
 * [coefficient][lane]. */
typedef struct {
    int n_columns; /* multiple of the lanes */
    column *columns;
    double cutoff;
    double *rows;
    int *kinds; /* per interval: WHOLE, EXACT, or 1 + the number of its first piece */
    const plip_core_pair *core;
    int n_pieces, capacity;
    piece *pieces;
} table;

#define WHOLE 0
/* Evaluate the functions. */
#define EXACT (-1)

typedef struct {
    int even, odd;     /* largest even and odd degree that are summed over neighbors; -1: none */
    int order;         /* of the polynomial in the moment of degree 0 */
    double *polynomial; /* (order, lanes): coefficients of powers 1 ... order */
    double *embedding;  /* (order, lanes): the same without three-body terms */
    double *squares;    /* (lanes,): three-body terms, coefficients of power 2 */
    double square_cutoff;
    double *roots;      /* (lanes,): coefficients of the root of the moment of degree 0; NULL: there are none */
    int *offset;       /* (max degree + 1,) first moment of each degree; -1: absent */
    int n_angular, n_lanes; /* lanes with moments beyond degree 0, which come first, and all that are used */
} group;

/* Vectors of the gradients of a group; see find_gradients. Of degree 0 or none there are none. */
#define GRADIENTS(g) (3 * (COMPONENTS((g)->even - 1) + COMPONENTS((g)->odd - 1)))

/* Neighbors of one species: angular groups first, then scalar groups (degree 0 only). Shared groups have a section of
 * their own behind that of the last species. All sections of a center with shared groups have the same spacing, and use
 * the tables of the shared section, except where their core repulsion changes them. */
typedef struct {
    int n_angular, n_scalar; /* groups of its own */
    int first_group;
    int max_degree;
    int n_intervals;
    int scalar_moments; /* first moment of the scalar groups, which come last */
    double spacing, inverse_spacing;
    double square_cutoff, square_near; /* how far all functions reach, and the angular ones */
    double steep; /* below this distance a neighbor makes its center steep; see plip_steep.c */
    plip_core_pair core;
    table angular, scalar;
    table shared_angular, shared_scalar; /* of the shared section below core.outer; without rows if that is 0 */
} section;

/* `n` moments from one on. */
typedef struct {
    int first, n;
} moment_range;

/* W M of one group and degree: the diagonal, and `n` channels of other lanes. */
typedef struct {
    int degree, moments;
    const double *diagonal; /* (lanes,) */
    int n;
    const int *partner;     /* (n,) first moment of the partner's lane */
    const double *weights;  /* (n, lanes) */
} coupling;

/* How three moments of a rank (p, q, t) contract: powers in falling order, so that arms change places. */
typedef struct {
    int rank[3], power[3];
    int place[3]; /* of each arm of the rank among the arms of plip_kernel_four_body.h */
    int n_open;   /* components of the first arm of the rank */
} contraction;

/* x^(degree - y - z) y^y z^z and its weight in a contraction. */
typedef struct {
    int y, z;
    double weight;
} plip_monomial;

/* `n` components of a group in a row, beginning at a moment, whose lanes are n rows of center_plan.used each, beginning
 * at `row`. Lanes that are not used have rows behind the last one. */
typedef struct {
    int moment, n;
    int row[PLIP_MAX_LANES];
} moment_run;

/* Four-body terms that have arms b and c in common: sum over t of weight[t] A_t B C. Arms are numbers of
 * their first moments among those of center_plan.used. */
typedef struct {
    int contraction, n, b, c;
    int *a;
    double *weight;
} trilinear;

/* A term of its own: the sum of weights[k] times moment sums[k], which is a two-body term or the part of neighbors with
 * themselves, and weight times a product of the moments of the arms. Moments are numbers among those of center_plan.used. */
typedef struct {
    int term, kind;
    int power; /* N-body: m or PLIP_ROOT; three-body: l */
    int arms[3];
    const contraction *rank;
    double weight;
    int n_sums;
    int *sums;
    double *weights;
} term_value;

typedef struct {
    double reference_energy, square_cutoff;
    double square_close; /* how far the angular group reaches that reaches least */
    double square_range, inverse_square_range; /* up to which neighbors count for the density */
    double limit;                              /* of the density; infinite: none */
    double floor;                              /* of the energy less the reference; minus infinity: none */
    double too_close;                          /* largest PLIP_TOO_CLOSE outer of its sections */
    double steep;                              /* the largest of its sections */
    section *sections; /* per species of neighbors; the last one is that of the shared groups */
    int n_groups;
    group *groups;
    int n_moments;
    int n_summed, n_uncoupled;
    moment_range *summed;    /* moments that are sums over neighbors; others are traces of them */
    int n_couplings;         /* at most one for each group and degree */
    coupling *couplings;
    moment_range *uncoupled; /* moments of no coupling */
    int n_used; /* moments that four-body terms need, or single terms, and which ones they are */
    int *used;
    int n_runs, n_rows; /* rows: n_used and those of lanes that are not used */
    moment_run *runs;   /* the used moments */
    int n_trilinears;
    trilinear *trilinears;
    int n_values;
    term_value *values; /* in the order of the terms */
} center_plan;

/* The order of the neighbors of a section; those beyond its cutoff are left out. */
enum { PAIR_CLOSE, PAIR_NEAR, PAIR_FAR, PAIR_BEYOND };

/* Neighbors of one species around the present center. Arrays with rows of `stride` = n rounded up to NEIGHBOR_BLOCK
 * are laid one behind the other in center_arrays.rows, so that they stay close in the cache. */
typedef struct {
    int close, near, far;  /* in this order: `near` are all within the angular cutoff, also the close ones */
    int next[4];           /* place of the next one of each kind */
    int *index, *interval; /* (capacity,) */
    double *dx, *dy, *dz, *r;
    double *unit;          /* (PAIR_ROWS, stride): unit vector, 1/r, distance from the center of the interval */
    double *angular; /* values, then derivatives: [neighbor][column] */
    double *scalar;  /* derivatives */
    double *monomials;     /* [block of neighbors][monomial][neighbor of the block] */
} pair_arrays;

/* Later the last three hold forces. */
#define PAIR_ROWS 7

typedef struct {
    pair_arrays *pairs; /* per species */
    double *moments, *adjoints, *rows;
    double density; /* sum over neighbors of DENSITY(square distance / square range) */
} center_arrays;

#define DENSITY(ratio) ((1.0 - (ratio)) * (1.0 - (ratio)) * (1.0 - (ratio)))

struct plip_workspace {
    int capacity; /* neighbors */
    void *fixed_memory, *memory;
    center_arrays *centers; /* (batch,) */
    pair_arrays *pairs;     /* theirs */
    double *gradients, *batch, *sums;
    double *listed; /* (4, capacity): vectors to the listed neighbors, and their squares */
    int *reached, *kinds; /* (capacity + 1,) */
    void *apart_memory;
    double *apart; /* moments and adjoints of single neighbors; see plip_workspace_reserve_apart */
    size_t apart_size;
};

typedef int (*evaluate_function)(const plip_potential *, plip_workspace *, const plip_system *, int,
                                 plip_center *, int);
/* By instruction set, in the order of plip_simd.h; NULL for those that are not built. */
extern const evaluate_function PLIP_EVALUATE[];

/* Values of n centers (n, n_terms), or with a factor their leverages (n,). */
typedef int (*values_function)(const plip_potential *, plip_workspace *, const plip_system *, const double *factor, int,
                               const plip_center *, int, double *);
extern const values_function PLIP_VALUES[];

struct plip_potential {
    int n_species, n_terms, lanes, max_degree;
    int batch; /* centers that are evaluated at a time, at most */
    double cutoff, table_error;
    const char *simd;
    evaluate_function evaluate;
    values_function values;
    center_plan *centers;
    double *multiplicity; /* multinomial coefficients of all monomials */
    int n_contractions;
    contraction *contractions;
    int n_functions;
    radial_function *functions;
    int max_open;  /* components of the arm of a contraction that is summed over terms, at most */
    int max_moments, max_gradients, max_rows, max_batch; /* sizes of a workspace, in doubles */
    struct block *blocks; /* all memory */
    size_t memory;
};

int plip_workspace_reserve(const plip_potential *potential, plip_workspace *workspace, int n_neighbors);
/* Room for `size` doubles in workspace->apart. 0, or -1 if memory ran out. */
int plip_workspace_reserve_apart(plip_workspace *workspace, size_t size);
/* What the exact functions are at one distance of a pair, with its core repulsion if there is any. `values` keeps those
 * that were asked for, `known` is the number of the distance where a function is kept; both are NULL to keep none. */
typedef struct {
    double r;
    int inside, number, *known;
    double repulsion[3], fade[3], reach[3], (*values)[3];
    double cutoff, of_cutoff[3]; /* the latest cutoff, and its function */
} exact_functions;

void plip_go_to(exact_functions *at, const plip_core_pair *core, double r);
/* Value, first and second derivative of a column. `alone`: without the part of a neighbor with itself, which the
 * moments of this neighbor alone do not hold. */
void plip_column_exact(const plip_potential *potential, const column *column, exact_functions *at, int alone,
                       double result[3]);
/* Whether a neighbor is closer than the `steep` of its section. */
int plip_is_steep(const center_plan *plan, int n_species, const center_arrays *arrays);
/* Puts the energy of a center right whose neighbors are too dense or too close, or that is bound too strongly, and adds
 * to the derivatives what the moments do not know. Returns what the adjoints are to be multiplied by. */
double plip_crowd(const center_plan *plan, const plip_system *system, double density, plip_center *center, int mask);
/* Adds a distance vector times the derivative of a center with respect to it. */
void plip_add_centroid(const plip_system *system, int neighbor, const double vector[3], const double derivative[3]);

#endif
