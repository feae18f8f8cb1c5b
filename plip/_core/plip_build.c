/* From the terms of a potential to the plan that the kernels follow. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plip_build.h"
#include "plip_simd.h"

#define ALIGNMENT 64

struct block {
    struct block *next;
};

void plip_fail(builder *b, const char *reason)
{
    snprintf(b->error, PLIP_ERROR_LENGTH, "%s", reason);
    longjmp(b->failed, 1);
}

void *plip_take(builder *b, struct block **pool, size_t count, size_t size)
{
    size_t bytes = count * size + ALIGNMENT + sizeof(struct block);
    struct block *head;

    if (size && count > (SIZE_MAX / 2) / size)
        plip_fail(b, "out of memory");
    head = calloc(1, bytes);
    if (!head)
        plip_fail(b, "out of memory");
    head->next = *pool;
    *pool = head;
    if (pool == &b->potential->blocks)
        b->potential->memory += bytes;
    return (void *)(((uintptr_t)(head + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void plip_release(struct block *pool)
{
    while (pool) {
        struct block *next = pool->next;
        free(pool);
        pool = next;
    }
}

static void check_terms(builder *b)
{
    char reason[PLIP_ERROR_LENGTH];
    int n, arm, degrees[3];

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        if (plip_check_term(b->potential->n_species, term, reason)) {
            snprintf(b->error, PLIP_ERROR_LENGTH, "term %d: %.230s", n, reason);
            longjmp(b->failed, 1);
        }
        plip_arm_degrees(term, degrees);
        for (arm = 0; arm < 3; arm++)
            if (degrees[arm] > b->potential->max_degree)
                b->potential->max_degree = degrees[arm];
    }
}

static void choose_kernel(builder *b, const char *name)
{
    const int simd = plip_simd_find(name);

    if (simd < 0)
        plip_fail(b, "this machine does not have the instruction set that was asked for");
    b->potential->simd = PLIP_SIMD_NAMES[simd];
    b->potential->lanes = PLIP_SIMD_LANES[simd];
    b->potential->evaluate = PLIP_EVALUATE[simd];
    b->potential->values = PLIP_VALUES[simd];
}

static void make_centers(builder *b, const double *reference_energies)
{
    plip_potential *potential = b->potential;
    int n;

    potential->centers = KEEP(potential->n_species, center_plan);
    potential->batch = 1;
    for (n = 0; n < potential->n_species; n++) {
        if (reference_energies && !isfinite(reference_energies[n]))
            plip_fail(b, "a reference energy is not a finite number");
        potential->centers[n].reference_energy = reference_energies ? reference_energies[n] : 0.0;
        plip_make_center(b, n);
        plip_release(b->scratch);
        b->scratch = NULL;
    }
    for (n = 0; n < potential->n_contractions; n++)
        potential->max_open = larger(potential->contractions[n].n_open, potential->max_open);
    potential->max_batch += 2 * potential->max_open * potential->lanes;
}

/* May leave by longjmp. */
static void make_potential(builder *b, int n_species, const double *reference_energies, const char *simd)
{
    char reason[PLIP_ERROR_LENGTH];

    if (n_species < 1 || b->n_terms < 0)
        plip_fail(b, "a potential needs at least one species");
    b->potential->n_species = n_species;
    b->potential->n_terms = b->n_terms;
    check_terms(b);
    if (b->repulsion && plip_check_repulsion(n_species, b->repulsion, reason))
        plip_fail(b, reason);
    choose_kernel(b, simd);
    b->potential->multiplicity = KEEP(FIRST_MONOMIAL(b->potential->max_degree + 1), double);
    plip_monomial_weights(b->potential->max_degree, b->potential->multiplicity);
    b->potential->contractions = KEEP(3 * b->n_terms + 1, contraction); /* up to one per rotation */
    plip_find_functions(b);
    make_centers(b, reference_energies);
}

/* A function of its own: no variable of its caller lives across setjmp. */
static int try_potential(builder *b, int n_species, const double *reference_energies, const char *simd)
{
    if (setjmp(b->failed))
        return -1;
    make_potential(b, n_species, reference_energies, simd);
    return 0;
}

/* `task`: what to build from. `reference_energies`: NULL for zeros. */
static plip_potential *create(const builder *task, int n_species, const double *reference_energies, const char *simd,
                              char *error)
{
    builder *b = calloc(1, sizeof *b);
    plip_potential *potential = calloc(1, sizeof *potential);

    snprintf(error, PLIP_ERROR_LENGTH, "out of memory");
    if (b && potential) {
        *b = *task;
        b->error = error;
        b->potential = potential;
        if (try_potential(b, n_species, reference_energies, simd)) {
            plip_free(potential);
            potential = NULL;
        }
        plip_release(b->scratch);
    } else {
        free(potential);
        potential = NULL;
    }
    free(b);
    return potential;
}

plip_potential *plip_create(int n_species, const double *reference_energies, int n_terms, const plip_term *terms,
                            const plip_repulsion *repulsion, const char *simd, char *error)
{
    const builder task = {.terms = terms, .n_terms = n_terms, .repulsion = repulsion};

    return create(&task, n_species, reference_energies, simd, error);
}

plip_potential *plip_create_terms(int n_species, int n_terms, const plip_term *terms, const char *simd, char *error)
{
    const builder task = {.terms = terms, .n_terms = n_terms, .is_apart = 1};

    return create(&task, n_species, NULL, simd, error);
}

void plip_free(plip_potential *potential)
{
    if (potential)
        plip_release(potential->blocks);
    free(potential);
}

double plip_cutoff(const plip_potential *potential)
{
    return potential->cutoff;
}

const char *plip_simd(const plip_potential *potential)
{
    return potential->simd;
}

double plip_table_error(const plip_potential *potential)
{
    return potential->table_error;
}

size_t plip_memory(const plip_potential *potential)
{
    return potential->memory;
}
