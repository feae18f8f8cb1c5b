/* Runs the C files of plip without Python: neighbor list, potentials, single terms and design rows.
 *
 *     driver INPUT OUTPUT
 *
 * Both files are made of blocks, each a 64-bit number of bytes and so many bytes, in the order in which this program
 * takes and writes them; compare.py makes the input and judges the output. One output has the results of every
 * instruction set that is built and runs. Prints their names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plip_angular.h"
#include "plip_core.h"
#include "plip_rows.h"
#include "plip_simd.h"

static FILE *input, *output;

static void stop(const char *reason)
{
    fprintf(stderr, "driver: %s\n", reason);
    exit(1);
}

static void *new_memory(size_t size)
{
    void *memory = calloc(size ? size : 1, 1);

    if (!memory)
        stop("out of memory");
    return memory;
}

/* The next block, whose size must be a multiple of `size`, and how many there are. Never freed. */
static void *take(size_t size, int *count)
{
    uint64_t bytes;
    void *block;

    if (fread(&bytes, sizeof bytes, 1, input) != 1)
        stop("the input ends too early");
    if (bytes % size)
        stop("a block of the input has another size than its table");
    block = new_memory((size_t)bytes);
    if (bytes && fread(block, (size_t)bytes, 1, input) != 1)
        stop("the input ends too early");
    if (count)
        *count = (int)(bytes / size);
    return block;
}
#define TAKE(type, count) ((const type *)take(sizeof(type), count))

static void give(const void *values, size_t bytes)
{
    const uint64_t size = bytes;

    if (fwrite(&size, sizeof size, 1, output) != 1 || (bytes && fwrite(values, bytes, 1, output) != 1))
        stop("cannot write the output");
}

/* ------------------------------------------------------------------ potentials */

typedef struct {
    int n_species, n_atoms, n_terms;
    const double *positions, *cell, *reference;
    const int *periodic, *species;
    const plip_term *terms;
    plip_repulsion repulsion;
} case_of_potential;

static void take_potential(case_of_potential *c)
{
    const char *symbols; /* four characters each */
    const char **names;
    int k;

    c->positions = TAKE(double, NULL);
    c->cell = TAKE(double, NULL);
    c->periodic = TAKE(int, NULL);
    c->species = TAKE(int, &c->n_atoms);
    c->reference = TAKE(double, &c->n_species);
    c->terms = TAKE(plip_term, &c->n_terms);
    symbols = TAKE(char, NULL);
    names = new_memory((size_t)c->n_species * sizeof *names);
    for (k = 0; k < c->n_species; k++)
        names[k] = symbols + 4 * k;
    memset(&c->repulsion, 0, sizeof c->repulsion);
    c->repulsion.symbols = names;
    c->repulsion.inner = TAKE(double, NULL);
    c->repulsion.outer = TAKE(double, NULL);
    c->repulsion.force = TAKE(double, NULL);
    c->repulsion.range = TAKE(double, NULL);
    c->repulsion.limit = TAKE(double, NULL);
    c->repulsion.floor = TAKE(double, NULL);
}

/* Positions and species of all atoms, images included. */
static void place_images(const case_of_potential *c, const plip_list *list, double *positions, int *types)
{
    int b, x, k;

    for (b = 0; b < list->n_all; b++) {
        types[b] = c->species[list->owner[b]];
        for (x = 0; x < 3; x++) {
            positions[3 * b + x] = c->positions[3 * list->owner[b] + x];
            for (k = 0; k < 3; k++)
                positions[3 * b + x] += list->shift[3 * b + k] * c->cell[3 * k + x];
        }
    }
}

/* Writes energies and forces of all atoms, images folded back, and the strain derivative. */
static void evaluate(const case_of_potential *c, const plip_list *list, plip_system *system, plip_center *centers,
                     const char *simd)
{
    char error[PLIP_ERROR_LENGTH];
    plip_potential *potential =
        plip_create(c->n_species, c->reference, c->n_terms, c->terms, &c->repulsion, simd, error);
    plip_workspace *workspace = potential ? plip_workspace_create(potential) : NULL;
    double *energies = new_memory((size_t)c->n_atoms * sizeof(double)), strain[6] = {0};
    double *forces = new_memory((size_t)list->n_all * 3 * sizeof(double));
    int b, x;

    if (!potential)
        stop(error);
    system->forces = forces;
    system->strain_derivative = strain;
    if (!workspace || plip_evaluate(potential, workspace, system, c->n_atoms, centers, 0x7FFFFFFF))
        stop("out of memory");
    for (b = 0; b < c->n_atoms; b++)
        energies[b] = centers[b].energy;
    for (b = c->n_atoms; b < list->n_all; b++)
        for (x = 0; x < 3; x++)
            forces[3 * list->owner[b] + x] += forces[3 * b + x];
    give(energies, (size_t)c->n_atoms * sizeof(double));
    give(forces, (size_t)c->n_atoms * 3 * sizeof(double));
    give(strain, sizeof strain);
    plip_workspace_free(workspace);
    plip_free(potential);
}

static void evaluate_terms(const case_of_potential *c, plip_system *system, const plip_center *centers,
                           const char *simd)
{
    char error[PLIP_ERROR_LENGTH];
    const size_t size = (size_t)c->n_atoms * (size_t)c->n_terms * sizeof(double);
    plip_potential *terms = plip_create_terms(c->n_species, c->n_terms, c->terms, simd, error);
    plip_workspace *workspace = terms ? plip_workspace_create(terms) : NULL;
    double *values = new_memory(size);

    if (!terms)
        stop(error);
    system->forces = system->strain_derivative = NULL;
    if (!workspace || plip_term_values(terms, workspace, system, c->n_atoms, centers, 0x7FFFFFFF, values))
        stop("out of memory");
    give(values, size);
    plip_workspace_free(workspace);
    plip_free(terms);
}

static void run_potential(const case_of_potential *c, const char *simd)
{
    plip_list list;
    plip_system system;
    plip_center *centers = new_memory((size_t)c->n_atoms * sizeof(plip_center));
    double cutoff = 0.0, *positions;
    int *types, *identity = new_memory((size_t)c->n_species * sizeof(int)), k;

    for (k = 0; k < c->n_terms; k++)
        cutoff = c->terms[k].cutoff > cutoff ? c->terms[k].cutoff : cutoff;
    if (plip_list_build(&list, c->n_atoms, c->positions, c->cell, c->periodic, cutoff))
        stop("no neighbor list");
    positions = new_memory((size_t)list.n_all * 3 * sizeof(double));
    types = new_memory((size_t)list.n_all * sizeof(int));
    place_images(c, &list, positions, types);
    for (k = 0; k < c->n_species; k++)
        identity[k] = k;
    for (k = 0; k < c->n_atoms; k++) {
        centers[k].atom = k;
        centers[k].n_neighbors = (int)(list.offset[k + 1] - list.offset[k]);
        centers[k].neighbors = list.neighbors + list.offset[k];
    }
    memset(&system, 0, sizeof system);
    system.positions = positions;
    system.types = types;
    system.species_of_type = identity;
    evaluate(c, &list, &system, centers, simd);
    evaluate_terms(c, &system, centers, simd);
    plip_list_free(&list);
}

/* ------------------------------------------------------------------ design rows */

static void take_plan(plip_rows_plan *plan)
{
    const int *sizes = TAKE(int, NULL);
    plip_component *components;
    plip_product_places *places;
    plip_strain *strains;
    double *cosines;
    int degrees[2], n = 0, most, basis;

    memset(plan, 0, sizeof *plan);
    plan->n_terms = sizes[0];
    plan->n_species = sizes[1];
    plan->n_labels = sizes[2];
    plan->state_size = sizes[3];
    plan->n_halves = sizes[4];
    plan->max_degree[0] = sizes[5];
    plan->max_degree[1] = sizes[6];
    plan->cutoffs = TAKE(double, &plan->n_cutoffs);
    plan->sets = TAKE(plip_function_set, &plan->n_sets);
    plan->switches = TAKE(double, NULL);
    plan->families = TAKE(int, &plan->n_functions);
    plan->p = TAKE(double, NULL);
    plan->q = TAKE(double, NULL);
    plan->centers = TAKE(plip_center_tables, NULL);
    plan->groups_of = TAKE(plip_range, NULL);
    plan->moments = TAKE(plip_moments, &plan->n_moments);
    plan->powers = TAKE(plip_power, &plan->n_powers);
    plan->products = TAKE(plip_product, &plan->n_products);
    plan->groups = TAKE(plip_group, &plan->n_groups);
    plan->contributions = TAKE(plip_contribution, &plan->n_contributions);

    places = new_memory((size_t)plan->n_labels * sizeof *places);
    plip_find_product_places(plan, places);
    plan->product_places = places;
    most = plan->max_degree[plan->max_degree[1] > plan->max_degree[0]] + 1;
    for (basis = 0; basis < 2; basis++) {
        degrees[basis] = plan->max_degree[basis] < 0 ? -1 : plan->max_degree[basis] + 2;
        n += strains_below(basis, plan->max_degree[basis] + 1);
    }
    components = new_memory((size_t)(components_below(0, degrees[0] + 1) + components_below(1, degrees[1] + 1)) *
                            sizeof *components);
    plip_make_components(degrees, components);
    plan->components = components;
    strains = new_memory((size_t)n * sizeof *strains);
    plip_make_strains(plan->max_degree, components, strains);
    plan->strains = strains;
    cosines = new_memory((size_t)(most * most) * sizeof *cosines);
    plip_legendre_of_powers(most, cosines);
    plan->legendre_of_powers = cosines;
}

static void take_neighbors(plip_neighbors *near)
{
    int n_atoms, n_pairs;

    near->species = TAKE(int, &n_atoms);
    near->first = TAKE(int64_t, NULL);
    near->neighbor = TAKE(int, &n_pairs);
    near->vector = TAKE(double, NULL);
    near->distance = TAKE(double, NULL);
    near->n_atoms = n_atoms;
    near->n_pairs = n_pairs;
}

static void run_rows(const plip_rows_plan *plan, const plip_neighbors *near, int simd)
{
    const size_t n = (size_t)near->n_atoms, row = (size_t)plan->n_terms * sizeof(double);
    double *states = new_memory(2 * n * (size_t)plan->state_size * sizeof(double));
    double *dominant = new_memory(n * (size_t)plan->n_labels * sizeof(double));
    double *values = new_memory(row), *forces = new_memory(3 * n * row), *virial = new_memory(6 * row);
    char error[PLIP_ERROR_LENGTH];

    if (plip_rows_check(plan, PLIP_SIMD_LANES[simd], error) ||
        plip_rows_check_neighbors(plan, near, 0, near->n_atoms, error))
        stop(error);
    if (plip_rows_values(plan, simd, near, 0, near->n_atoms, states, dominant, values, virial, plan->n_terms) ||
        plip_rows_derivatives(plan, simd, near, states, dominant, 0, near->n_atoms, forces, plan->n_terms))
        stop("out of memory");
    give(values, row);
    give(forces, 3 * n * row);
    give(virial, 6 * row);
}

/* For each case: a potential, neighbors, and plans for some numbers of lanes. */
static void run_case(void)
{
    case_of_potential c;
    plip_neighbors near;
    int n_plans, k, simd;
    const int *lanes;
    plip_rows_plan *plans;

    take_potential(&c);
    take_neighbors(&near);
    lanes = TAKE(int, &n_plans);
    plans = new_memory((size_t)n_plans * sizeof *plans);
    for (k = 0; k < n_plans; k++)
        take_plan(plans + k);
    for (simd = 0; simd < PLIP_N_SIMD; simd++) {
        if (!plip_simd_runs(simd))
            continue;
        for (k = 0; k < n_plans && lanes[k] != PLIP_SIMD_LANES[simd]; k++)
            ;
        if (k == n_plans)
            stop("there is no plan for so many lanes");
        run_potential(&c, PLIP_SIMD_NAMES[simd]);
        run_rows(plans + k, &near, simd);
    }
}

int main(int argc, char **argv)
{
    int n_cases, k;

    if (argc != 3 || !(input = fopen(argv[1], "rb")) || !(output = fopen(argv[2], "wb")))
        stop("driver INPUT OUTPUT");
    TAKE(char, &n_cases);
    for (k = 0; k < PLIP_N_SIMD; k++)
        if (plip_simd_runs(k))
            printf("%s %d\n", PLIP_SIMD_NAMES[k], PLIP_SIMD_LANES[k]);
    for (k = 0; k < n_cases; k++)
        run_case();
    if (fclose(output))
        stop("cannot write the output");
    return 0;
}
