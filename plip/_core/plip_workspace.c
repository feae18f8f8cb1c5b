/* Scratch memory of one thread that evaluates a potential. */
#include <stdint.h>
#include <stdlib.h>

#include "plip_plan.h"

#define ALIGNMENT 64

/* `count` doubles (or fewer ints) from a block whose use is counted in bytes; only counts if memory is NULL. */
static void *part_of(void *memory, size_t *used, size_t count, size_t size)
{
    void *result = memory ? (char *)memory + *used : NULL;
    *used += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return result;
}

static void *align(void *memory)
{
    return (void *)(((uintptr_t)memory + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static size_t lay_out_fixed(const plip_potential *potential, plip_workspace *work, void *memory)
{
    size_t used = 0;
    int k;

    for (k = 0; k < potential->batch; k++) {
        work->centers[k].moments = part_of(memory, &used, (size_t)potential->max_moments, sizeof(double));
        work->centers[k].adjoints = part_of(memory, &used, (size_t)potential->max_moments, sizeof(double));
    }
    work->gradients = part_of(memory, &used, (size_t)potential->max_gradients, sizeof(double));
    work->batch = part_of(memory, &used, (size_t)potential->max_batch, sizeof(double));
    return used;
}

static size_t lay_out(const plip_potential *potential, plip_workspace *work, void *memory, int capacity)
{
    size_t used = 0, n = (size_t)capacity, padded = n + NEIGHBOR_BLOCK * (size_t)potential->n_species;
    int k, s;

    for (k = 0; k < potential->batch; k++) {
        center_arrays *arrays = work->centers + k;
        for (s = 0; s < potential->n_species; s++) {
            pair_arrays *pairs = arrays->pairs + s;
            pairs->index = part_of(memory, &used, n, sizeof(int));
            pairs->interval = part_of(memory, &used, n, sizeof(int));
            pairs->dx = part_of(memory, &used, n, sizeof(double));
            pairs->dy = part_of(memory, &used, n, sizeof(double));
            pairs->dz = part_of(memory, &used, n, sizeof(double));
            pairs->r = part_of(memory, &used, n, sizeof(double));
        }
        arrays->rows = part_of(memory, &used, padded * (size_t)potential->max_rows, sizeof(double));
    }
    work->reached = part_of(memory, &used, n + 1, sizeof(int));
    work->kinds = part_of(memory, &used, n + 1, sizeof(int));
    work->listed = part_of(memory, &used, 4 * n, sizeof(double));
    work->sums = part_of(memory, &used, n * 4 * (size_t)potential->lanes, sizeof(double));
    return used;
}

plip_workspace *plip_workspace_create(const plip_potential *potential)
{
    const size_t batch = (size_t)potential->batch, n_species = (size_t)potential->n_species;
    plip_workspace *work = calloc(1, sizeof *work);
    pair_arrays *pairs;
    size_t k;

    if (!work)
        return NULL;
    work->centers = calloc(batch, sizeof *work->centers);
    work->pairs = pairs = calloc(batch * n_species, sizeof *pairs);
    if (work->centers && pairs)
        work->fixed_memory = malloc(lay_out_fixed(potential, work, NULL) + ALIGNMENT);
    if (!work->fixed_memory) {
        plip_workspace_free(work);
        return NULL;
    }
    for (k = 0; k < batch; k++)
        work->centers[k].pairs = pairs + k * n_species;
    lay_out_fixed(potential, work, align(work->fixed_memory));
    return work;
}

int plip_workspace_reserve(const plip_potential *potential, plip_workspace *work, int n_neighbors)
{
    int capacity = (n_neighbors + n_neighbors / 4 + 2 * NEIGHBOR_BLOCK) / NEIGHBOR_BLOCK * NEIGHBOR_BLOCK;

    work->capacity = 0;
    free(work->memory);
    work->memory = malloc(lay_out(potential, work, NULL, capacity) + ALIGNMENT);
    if (!work->memory)
        return -1;
    lay_out(potential, work, align(work->memory), capacity);
    work->capacity = capacity;
    return 0;
}

int plip_workspace_reserve_apart(plip_workspace *work, size_t size)
{
    if (size <= work->apart_size)
        return 0;
    free(work->apart_memory);
    work->apart_size = 0;
    work->apart_memory = size < SIZE_MAX / (2 * sizeof(double)) ? malloc(size * sizeof(double) + ALIGNMENT) : NULL;
    if (!work->apart_memory)
        return -1;
    work->apart = align(work->apart_memory);
    work->apart_size = size;
    return 0;
}

void plip_workspace_free(plip_workspace *work)
{
    if (!work)
        return;
    free(work->apart_memory);
    free(work->centers);
    free(work->pairs);
    free(work->fixed_memory);
    free(work->memory);
    free(work);
}
