/* Evaluation of a fitted potential in plain C: the one place where energies and forces are made.
 *
 * The Python extension and the LAMMPS plugin compile the same sources. Units: eV, Angstrom.
 *
 * A potential is created once from its terms, never changes, and may be used by many threads at a
 * time, each with a workspace of its own. The unit of work is some centers, with the lists of their
 * neighbors.
 */
#ifndef PLIP_CORE_H
#define PLIP_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "plip_radial.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLIP_ERROR_LENGTH 256

enum { PLIP_TWO_BODY, PLIP_THREE_BODY, PLIP_N_BODY, PLIP_FOUR_BODY, PLIP_N_INTERACTIONS };

/* Largest l of a three-body term, and largest degree of a moment of a four-body term. */
enum { PLIP_MAX_DEGREE = 40 };

/* In place of the power m of a density: the root of the sum of squares of its function. */
enum { PLIP_ROOT = 0 };

/* The least sum of squares that has a root. Below, functions are 1e-14, and tables hold nothing but rounding. */
#define PLIP_LEAST_SQUARE 1e-28

/* In place of a species of a term: atoms of every species. */
enum { PLIP_ANY = -2 };

/* One term of the energy, coefficient times X_n. */
typedef struct {
    int kind;
    int species[4];     /* two-body: both; else the center, then one per arm; PLIP_ANY in any place */
    int family[3];      /* radial function of each arm, and its two parameters */
    double p[3], q[3];
    int power[3];       /* three-body: l; N-body: m or PLIP_ROOT; four-body: p, q, t */
    double cutoff;
    double switch_distance; /* shortest distance of the switch of an N-body density; 0: none */
    double coefficient;
} plip_term;

/* Whether a term is the root of a density of squares. */
static inline int plip_is_root(const plip_term *term)
{
    return term->kind == PLIP_N_BODY && term->power[0] == PLIP_ROOT;
}

/* Interactions and radial families, with their names and those of the parameters p and q in Python and in files. */
typedef struct {
    const char *name;
    int n_species, n_functions, n_powers;
} plip_interaction;
typedef struct {
    const char *name, *p, *q; /* q is NULL where there is one parameter */
    int changes_sign;         /* whether phi is negative at some distances */
} plip_family;
extern const plip_interaction PLIP_INTERACTIONS[PLIP_N_INTERACTIONS];
extern const plip_family PLIP_FAMILIES[PLIP_N_FAMILIES];

/* Whether a value may be part of a potential: 0, or -1 with the reason in `error` (PLIP_ERROR_LENGTH characters).
 * `power` is that of a plip_term; a switch distance of 0 is none. */
int plip_check_length(const char *name, double value, char *error);
int plip_check_radial(int family, double p, double q, char *error);
int plip_check_power(int kind, const int *power, char *error);
int plip_check_term(int n_species, const plip_term *term, char *error);
/* Writes a reason like printf, and returns -1. */
int plip_refuse(char *error, const char *format, ...);
/* Atomic number of a chemical symbol, 0 of "X" (the dummy atom of ASE), -1 if it is none. */
int plip_atomic_number(const char *symbol);

/* What takes the place of the terms where the data that they were fitted to end; see plip_repulsion.c. */
typedef struct {
    const char *const *symbols;  /* (n_species,) chemical symbols */
    const double *inner, *outer; /* (n_species, n_species), symmetric: distances of the fade; outer 0: none */
    const double *force;         /* (n_species, n_species), symmetric: of the core repulsion, eV/Angstrom; 0: not known */
    const double *range, *limit; /* (n_species,): neighbors counted up to `range`, their most; limit 0: none */
    const double *floor;         /* (n_species,): least energy of an atom less its reference, eV; -infinity: none */
    int is_additive;             /* whether binding goes on however close neighbors are: terms are only added up */
} plip_repulsion;
int plip_check_repulsion(int n_species, const plip_repulsion *repulsion, char *error);

typedef struct plip_potential plip_potential;
typedef struct plip_workspace plip_workspace;

/* Atoms and results. Outputs are added to; those that are NULL are left out. */
typedef struct {
    const double *positions;      /* (n_all, 3), images included */
    const int *types;             /* (n_all,) */
    const int *species_of_type;   /* species index of each type; -1: not an atom of this potential */
    double *forces;               /* (n_all, 3) */
    double *strain_derivative;    /* (6,) xx yy zz yz xz xy: sum over pairs of D_a dE/dD_b, eV */
    double *strain_derivatives;   /* (n_all, 6): the same, half to each atom of a pair */
    double *centroid_derivatives; /* (n_all, 9) xx yy zz xy xz yz yx zx zy: all to the neighbor, for fluxes of heat */
} plip_system;

/* NULL, with the reason in `error` (PLIP_ERROR_LENGTH characters), if the terms cannot be evaluated.
 * `repulsion` may be NULL. `simd` is "auto" or the name of a compiled variant: "avx512", "avx2" or "baseline". */
plip_potential *plip_create(int n_species, const double *reference_energies, int n_terms,
                            const plip_term *terms, const plip_repulsion *repulsion, const char *simd,
                            char *error);
void plip_free(plip_potential *potential);

double plip_cutoff(const plip_potential *potential);
const char *plip_simd(const plip_potential *potential);
/* Estimated bound of the error in a pair force that the radial tables cause, eV/Angstrom, where neighbors are no
 * closer than in matter. */
double plip_table_error(const plip_potential *potential);
size_t plip_memory(const plip_potential *potential);

plip_workspace *plip_workspace_create(const plip_potential *potential);
void plip_workspace_free(plip_workspace *workspace);

/* An atom with its neighbors, which must hold every atom within the cutoff and may hold others. */
typedef struct {
    int atom, n_neighbors;
    const int *neighbors;
    double energy;  /* result; reference energy included; NaN also where a derivative is not finite */
    double closest; /* result: distance of the closest neighbor; infinite without neighbors */
    double crowding; /* result: density over its limit; 0 without one */
} plip_center;

/* A good number of centers for one call: four-body terms take several of one species at a time, and each species has
 * tables of its own. */
#define PLIP_CENTERS 512

/* Energies of n centers and their derivatives. Each index of a neighbor is masked by `mask` first. 0, or -1
 * if memory ran out. */
int plip_evaluate(const plip_potential *potential, plip_workspace *workspace, const plip_system *system,
                  int n, plip_center *centers, int mask);

/* The single terms of atoms, and how far they are from data that a potential was fitted to.
 *
 * A potential of single terms holds the terms apart, each with coefficient 1. Repulsion is no part of them. Its energies
 * are zero; it is evaluated by the two functions below. Parameters and errors are those of plip_create. */
plip_potential *plip_create_terms(int n_species, int n_terms, const plip_term *terms, const char *simd, char *error);

/* Values of the terms of n centers: (n, n_terms), X_n with this atom as center, or of two-body terms half of each pair of
 * this atom. Centers whose type is no species of the potential have zeros. Returns as plip_evaluate. */
int plip_term_values(const plip_potential *terms, plip_workspace *workspace, const plip_system *system, int n,
                     const plip_center *centers, int mask, double *values);

/* What the data hold. */
typedef struct {
    const double *factor;   /* lower triangle T, row by row, n_terms (n_terms + 1) / 2 numbers, no zeros on the diagonal */
    const double *limits;   /* (n_species,): largest leverage |T^-1 x|^2 of the atoms of the data; 0: there are none */
    const double *shortest; /* (n_species, n_species): shortest distance of the data; 0: none */
} plip_extent;

/* Grades are not larger, and are this large for atoms of a species without data. */
#define PLIP_LARGEST_GRADE 1e6

/* Extrapolation grades of n centers: leverage over its limit, or the shortest distance of the data over that of a
 * neighbor which is closer, whichever is larger. Returns as plip_evaluate. */
int plip_extrapolation(const plip_potential *terms, plip_workspace *workspace, const plip_system *system,
                       const plip_extent *extent, int n, const plip_center *centers, int mask, double *grades);

/* Where the core repulsion of two species takes over; outer 0: nowhere. */
typedef struct {
    int first_number, second_number; /* atomic numbers */
    double inner, outer, force; /* as in plip_repulsion */
} plip_core_pair;

/* Core repulsion of a pair: value, first and second derivative. For atoms closer than `outer` the radial functions
 * are fade(r) g(reach(r)); `fade` and `reach` may be NULL. */
void plip_core_repulsion(const plip_core_pair *pair, double r, double repulsion[3], double fade[3], double reach[3]);

/* Neighbor list: images first become atoms of their own ("all" = local, then images). */
typedef struct {
    int n_local, n_all;
    int *owner;          /* (n_all,) local atom of each atom */
    int *shift;          /* (n_all, 3) cell vectors to add to the owner's position */
    int64_t *offset;     /* (n_local + 1,) */
    int *neighbors;     /* (offset[n_local],) indices of all atoms */
} plip_list;

/* Why there is no list. */
enum {
    PLIP_NO_MEMORY = -1,
    PLIP_TOO_MANY = -2, /* neighbors or images */
    PLIP_FAR_AWAY = -3  /* an atom is more cells away than can be counted, or a number is not finite */
};

/* All pairs closer than `cutoff`, each in both directions, in an order that depends on the arguments only. Rows of
 * `cell` in directions that are not periodic do not matter. Returns 0 or a reason from above. */
int plip_list_build(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                    double cutoff);
void plip_list_free(plip_list *list);

#ifdef __cplusplus
}
#endif

#endif
