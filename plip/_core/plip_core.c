/* From the terms of a potential to the plan that the kernels follow, and the choice of the kernel. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plip_plan.h"
#include "plip_simd.h"

/* Neighbours per cubic Angstrom that the sensitivity of the energy to a moment is estimated with (Mo: 0.064). */
#define NUMBER_DENSITY 0.1
/* A table may change the force of a centre on a neighbour by this much, eV/Angstrom: a pair force is the sum of two of
 * them, and about a hundred pairs, with errors of both signs, make the force on an atom. */
#define TABLE_TOLERANCE 4e-10
/* Tables of more intervals leave the cache; what is not accurate then is evaluated exactly. */
#define MIN_INTERVALS 256
#define MAX_INTERVALS 4096
/* Intervals (kinks: cutoffs, switches, onsets) that may be left to the exact functions before the table is refined. */
#define MAX_KINKS 16
/* Shorter distances than this part of the cutoff do not make a table finer: they are rare, and exact. */
#define RARE 0.25
/* eV/Angstrom. Errors of tables and of rounding that are no fault of the tables are below TABLE_TOLERANCE for forces up
 * to this one; see set_steep. Fits to data hardly reach a hundredth of it. */
#define STEEP_FORCE 1e4
/* Distances at which set_steep judges, from the cutoff to where atoms coincide: each so much of the last. */
#define SCAN_FACTOR 0.97
#define SCAN_END 1e-3

#define ALIGNMENT 64

struct block {
    struct block *next;
};

typedef struct {
    int section, function, even, odd;
    int group, lane; /* group: number within the centre */
    double sensitivity;
    int order; /* largest number of moments that a term multiplies */
} channel;

typedef struct {
    int p, q, degree; /* channels of one centre; E = weight M_p . M_q */
    double weight;
} raw_coupling;

typedef int triple[3];
typedef double jet[3]; /* value, first and second derivative of a function */

typedef struct {
    jmp_buf failed;
    char *error;
    plip_potential *potential;
    struct block *scratch;
    const plip_term *terms;
    int n_terms;
    const plip_repulsion *repulsion;
    double *bounds; /* per function: bound of its moments */
    triple *functions; /* per term: those of its arms */
} builder;

static void fail(builder *b, const char *reason)
{
    snprintf(b->error, PLIP_ERROR_LENGTH, "%s", reason);
    longjmp(b->failed, 1);
}

/* Zeroed, aligned memory, freed with its pool. */
static void *take(builder *b, struct block **pool, size_t count, size_t size)
{
    size_t bytes = count * size + ALIGNMENT + sizeof(struct block);
    struct block *head;

    if (size && count > (SIZE_MAX / 2) / size)
        fail(b, "out of memory");
    head = calloc(1, bytes);
    if (!head)
        fail(b, "out of memory");
    head->next = *pool;
    *pool = head;
    if (pool == &b->potential->blocks)
        b->potential->memory += bytes;
    return (void *)(((uintptr_t)(head + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static void release(struct block *pool)
{
    while (pool) {
        struct block *next = pool->next;
        free(pool);
        pool = next;
    }
}

#define KEEP(count, type) ((type *)take(b, &b->potential->blocks, (size_t)(count), sizeof(type)))
#define SCRATCH(count, type) ((type *)take(b, &b->scratch, (size_t)(count), sizeof(type)))

/* ------------------------------------------------------------------ variants of the kernel */

#define PLIP_KERNEL "plip_kernel.h"
#include "plip_variants.h"

static const evaluate_function EVALUATE[PLIP_N_SIMD] = PLIP_VARIANTS(evaluate);

static void choose_kernel(builder *b, const char *name)
{
    const int simd = plip_simd_find(name);

    if (simd < 0)
        fail(b, "this machine does not have the instruction set that was asked for");
    b->potential->simd = PLIP_SIMD_NAMES[simd];
    b->potential->lanes = PLIP_SIMD_LANES[simd];
    b->potential->evaluate = EVALUATE[simd];
}

/* ------------------------------------------------------------------ monomials */

static int component(int degree, int y, int z)
{
    return z * (degree + 1) - z * (z - 1) / 2 + y;
}

static double factorial(int n)
{
    double result = 1.0;
    for (; n > 1; n--)
        result *= n;
    return result;
}

static double multinomial(int x, int y, int z)
{
    return nearbyint(factorial(x + y + z) / (factorial(x) * factorial(y) * factorial(z)));
}

static void make_multiplicities(builder *b)
{
    plip_potential *potential = b->potential;
    int d, y, z;

    potential->multiplicity = KEEP(FIRST_MONOMIAL(potential->max_degree + 1), double);
    for (d = 0; d <= potential->max_degree; d++)
        for (z = 0; z <= d; z++)
            for (y = 0; y <= d - z; y++)
                potential->multiplicity[FIRST_MONOMIAL(d) + component(d, y, z)] =
                    multinomial(d - y - z, y, z);
}

static int compare_entries(const void *first, const void *second)
{
    const entry *a = first, *b = second;

    return a->b != b->b ? (a->b > b->b) - (a->b < b->b)
         : a->a != b->a ? (a->a > b->a) - (a->a < b->a) : (a->c > b->c) - (a->c < b->c);
}

/* (u_j.u_k)^p (u_k.u_m)^q (u_m.u_j)^t as a sum over monomials of u_j, u_k, u_m of degrees p+t, p+q, q+t. Each product
 * of monomials of the three factors gives other exponents, so that no two entries are alike. */
static void make_contraction(builder *b, contraction *rank, const int *power)
{
    const int p = power[0], q = power[1], t = power[2];
    const int n_p = COMPONENTS(p), n_q = COMPONENTS(q), n_t = COMPONENTS(t);
    int py, pz, qy, qz, ty, tz, n;
    entry *e;

    memcpy(rank->power, power, sizeof rank->power);
    rank->n_a = COMPONENTS(p + t);
    rank->n_b = COMPONENTS(p + q);
    rank->n_entries = n_p * n_q * n_t;
    rank->entries = e = KEEP(rank->n_entries, entry);
    for (pz = 0; pz <= p; pz++)
        for (py = 0; py <= p - pz; py++)
            for (qz = 0; qz <= q; qz++)
                for (qy = 0; qy <= q - qz; qy++)
                    for (tz = 0; tz <= t; tz++)
                        for (ty = 0; ty <= t - tz; ty++, e++) {
                            e->a = component(p + t, py + ty, pz + tz);
                            e->b = component(p + q, py + qy, pz + qz);
                            e->c = component(q + t, qy + ty, qz + tz);
                            e->coefficient = multinomial(p - py - pz, py, pz) * multinomial(q - qy - qz, qy, qz) *
                                             multinomial(t - ty - tz, ty, tz);
                        }
    qsort(rank->entries, (size_t)rank->n_entries, sizeof(entry), compare_entries);
    rank->last = KEEP(rank->n_b, const entry *);
    for (n = 0; n < rank->n_entries; n++)
        rank->last[rank->entries[n].b] = rank->entries + n + 1;
}

static int find_contraction(builder *b, const int *power)
{
    plip_potential *potential = b->potential;
    int n;

    for (n = 0; n < potential->n_contractions; n++)
        if (memcmp(potential->contractions[n].power, power, 3 * sizeof(int)) == 0)
            return n;
    make_contraction(b, potential->contractions + n, power);
    potential->n_contractions++;
    return n;
}

/* ------------------------------------------------------------------ functions and tables */

static int find_function(builder *b, const plip_term *term, int arm)
{
    plip_potential *potential = b->potential;
    radial_function f;
    int n;

    memset(&f, 0, sizeof f);
    f.family = term->family[arm];
    f.p = term->p[arm];
    f.q = term->q[arm];
    f.cutoff = term->cutoff;
    f.switch_distance = term->kind == PLIP_N_BODY ? term->switch_distance : 0.0;
    for (n = 0; n < potential->n_functions; n++) {
        const radial_function *old = potential->functions + n;
        if (old->family == f.family && old->p == f.p && old->q == f.q && old->cutoff == f.cutoff &&
            old->switch_distance == f.switch_distance)
            return n;
    }
    potential->functions[n] = f;
    potential->n_functions++;
    return n;
}

static void function_value(const plip_potential *potential, int n, double r, double result[3])
{
    const radial_function *f = potential->functions + n;
    plip_radial(f->family, f->p, f->q, f->cutoff, f->switch_distance, r, result);
}

/* A radial function where the core repulsion takes over: fade(r) g(reach(r)). */
static void faded_value(const plip_potential *potential, int n, const double fade[3], const double reach[3],
                        double result[3])
{
    double g[3];

    function_value(potential, n, reach[0], g);
    g[2] = g[2] * reach[1] * reach[1] + g[1] * reach[2];
    g[1] *= reach[1];
    result[0] = fade[0] * g[0];
    result[1] = fade[0] * g[1] + fade[1] * g[0];
    result[2] = fade[0] * g[2] + 2.0 * fade[1] * g[1] + fade[2] * g[0];
}

void plip_column_exact(const plip_potential *potential, const column *column, const core_pair *core, double r,
                       int alone, double result[3])
{
    double repulsion[3] = {0.0, 0.0, 0.0}, fade[3], reach[3];
    const int inside = core && r < core->outer;
    int n;

    if (inside)
        plip_core_repulsion(core->first_number, core->second_number, core->inner, core->outer, r, repulsion, fade,
                            reach);
    for (n = 0; n < 3; n++)
        result[n] = column->repulsion * repulsion[n];
    for (n = 0; n < column->n_products; n++) {
        const product *part = column->products + n;
        double a[3], g[3];
        if (alone && part->b >= 0)
            continue;
        if (inside)
            faded_value(potential, part->a, fade, reach, a);
        else
            function_value(potential, part->a, r, a);
        if (part->b >= 0) {
            if (inside)
                faded_value(potential, part->b, fade, reach, g);
            else
                function_value(potential, part->b, r, g);
            a[2] = a[2] * g[0] + 2.0 * a[1] * g[1] + a[0] * g[2];
            a[1] = a[1] * g[0] + a[0] * g[1];
            a[0] *= g[0];
        }
        result[0] += part->weight * a[0];
        result[1] += part->weight * a[1];
        result[2] += part->weight * a[2];
    }
}

/* sum over neighbours of |g| in matter of NUMBER_DENSITY */
static double moment_bound(const plip_potential *potential, int n)
{
    const double cutoff = potential->functions[n].cutoff;
    double sum = 0.0, value[3];
    int k;

    /* Atoms do not come closer than about 1.5 Angstrom, or a third of a short cutoff. */
    const double start = cutoff < 4.5 ? cutoff / 3.0 : 1.5, step = (cutoff - start) / 200.0;
    for (k = 0; k < 200; k++) {
        double r = start + (k + 0.5) * step;
        function_value(potential, n, r, value);
        sum += fabs(value[0]) * 4.0 * 3.14159265358979 * r * r * step;
    }
    return sum * NUMBER_DENSITY;
}

static void add_product(builder *b, column *column, int a, int f, double weight)
{
    int n;

    for (n = 0; n < column->n_products; n++)
        if ((column->products[n].a == a && column->products[n].b == f) ||
            (f >= 0 && column->products[n].a == f && column->products[n].b == a)) {
            column->products[n].weight += weight;
            return;
        }
    if (column->n_products == column->capacity) {
        int capacity = 2 * column->capacity + 8;
        product *grown = KEEP(capacity, product);
        if (column->n_products)
            memcpy(grown, column->products, (size_t)column->n_products * sizeof(product));
        column->products = grown;
        column->capacity = capacity;
    }
    column->products[column->n_products].a = a;
    column->products[column->n_products].b = f;
    column->products[column->n_products].weight = weight;
    column->n_products++;
}

static double hermite(const double *left, const double *right, int stride, double t, double *slope)
{
    const double t2 = t * t, t3 = t2 * t;
    const double a = t3 * (10.0 + t * (6.0 * t - 15.0));

    *slope = 30.0 * t2 * (1.0 + t * (t - 2.0)) * (right[0] - left[0]) +
             (1.0 - t2 * (18.0 + t * (15.0 * t - 32.0))) * left[stride] +
             t * (1.0 - t * (4.5 + t * (2.5 * t - 6.0))) * left[2 * stride] +
             t2 * (t * (28.0 - 15.0 * t) - 12.0) * right[stride] + t2 * (1.5 + t * (2.5 * t - 4.0)) * right[2 * stride];
    return (1.0 - a) * left[0] + (t - t3 * (6.0 + t * (3.0 * t - 8.0))) * left[stride] +
           (0.5 * t2 - t3 * (1.5 + t * (0.5 * t - 1.5))) * left[2 * stride] + a * right[0] +
           t3 * (t * (7.0 - 3.0 * t) - 4.0) * right[stride] + t3 * (0.5 + t * (0.5 * t - 1.0)) * right[2 * stride];
}

/* Value, h * first and h^2 * second derivative of all columns at the first `n` knots. */
static void fill_knots(const plip_potential *potential, table *t, int n, double spacing)
{
    const int columns = t->n_columns;
    double value[3];
    int k, c, i;

    for (k = 0; k < n; k++) {
        double *knot = t->knots + (size_t)k * 3 * columns, scale = 1.0;
        for (c = 0; c < columns; c++) {
            plip_column_exact(potential, t->columns + c, t->core, k * spacing, 0, value);
            for (i = 0, scale = 1.0; i < 3; i++, scale *= spacing)
                knot[i * columns + c] = scale * value[i];
        }
    }
}

/* How much larger than its bound a moment is by one neighbour in interval i alone, at least 1. */
static double growth(const builder *b, const table *t, int i)
{
    double largest = 1.0;
    int c, side;

    for (c = 0; c < t->n_columns; c++) {
        const column *own = t->columns + c;
        if (own->order > 1 && own->n_products)
            for (side = 0; side < 2; side++)
                largest = fmax(largest, fabs(t->knots[(size_t)(i + side) * 3 * t->n_columns + c]) /
                                            b->bounds[own->products[0].a]);
    }
    return largest;
}

/* Marks those of the first `n` intervals whose table is not accurate enough. `error`: the largest error of the others.
 * Returns the number of marked ones that begin beyond `rare`. */
static int mark_exact(const builder *b, table *t, int n, double spacing, double degree_weight, double rare,
                      double *error)
{
    /* Where the derivative of the error of quintic interpolation is largest, and the error itself. */
    static const double places[3] = {0.28, 0.5, 0.72};
    const int columns = t->n_columns;
    int i, c, k, left_over = 0;
    double value[3];

    for (i = 0; i < n; i++) {
        const double *knot = t->knots + (size_t)i * 3 * columns, grown = growth(b, t, i);
        double sums[3] = {0.0, 0.0, 0.0}, worst;
        int good;
        for (c = 0; c < columns; c++) {
            const double sensitivity = t->columns[c].sensitivity * pow(grown, t->columns[c].order - 1);
            if (t->columns[c].n_products == 0 && t->columns[c].repulsion == 0.0)
                continue;
            for (k = 0; k < 3; k++) {
                double slope, interpolated, deviation, rounding;
                plip_column_exact(b->potential, t->columns + c, t->core, (i + places[k]) * spacing, 0, value);
                interpolated = hermite(knot + c, knot + 3 * columns + c, columns, places[k], &slope);
                deviation = fabs(slope / spacing - value[1]) + degree_weight * fabs(interpolated - value[0]);
                /* What double precision allows, 20 units in the last place, is no fault of the table. */
                rounding = 4e-15 * (fabs(value[0]) / spacing + fabs(value[1]));
                if (deviation <= rounding)
                    deviation = 0.0;
                sums[k] += sensitivity * deviation;
            }
        }
        worst = fmax(fmax(sums[0], sums[1]), sums[2]);
        good = isfinite(sums[0] + sums[1] + sums[2]) && worst <= TABLE_TOLERANCE;
        t->exact[i] = good ? 0 : EXACT;
        if (good && worst > *error)
            *error = worst;
        if (!good && i * spacing > rare)
            left_over++;
    }
    return left_over;
}

/* Fills a table; returns the number of intervals beyond RARE that are left to the exact functions. */
static int fill_table(const builder *b, table *t, int n_intervals, double spacing, double degree_weight, double *error)
{
    *error = 0.0;
    fill_knots(b->potential, t, n_intervals + 1, spacing);
    return mark_exact(b, t, n_intervals, spacing, degree_weight, RARE * n_intervals * spacing, error);
}

/* Puts the core repulsion into a finished table. Not a bit of it changes for distances from core->outer on. */
static void add_core(builder *b, table *t, const core_pair *core, int n_intervals, double spacing,
                     double degree_weight, double *error)
{
    const size_t row = (size_t)3 * (size_t)t->n_columns;
    const double last = core->outer / spacing;
    const int parted = last < n_intervals ? (int)last : n_intervals;

    t->core = core;
    if (parted < n_intervals) {
        t->beyond = KEEP(2 * row, double);
        memcpy(t->beyond, t->knots + (size_t)parted * row, 2 * row * sizeof(double));
        if (!t->exact[parted])
            t->exact[parted] = PARTED;
    }
    fill_knots(b->potential, t, parted + (parted < n_intervals), spacing);
    mark_exact(b, t, parted, spacing, degree_weight, 0.0, error);
}

static void make_tables(builder *b, section *part, double cutoff)
{
    plip_potential *potential = b->potential;
    const double degree_weight = 1.0 + part->max_degree;
    table *tables[2];
    int n_intervals, k, left_over;
    double error, own;
    size_t n;

    tables[0] = &part->angular;
    tables[1] = &part->scalar;
    for (n_intervals = MIN_INTERVALS;; n_intervals *= 2) {
        part->n_intervals = n_intervals;
        part->spacing = cutoff / n_intervals;
        left_over = 0;
        error = 0.0;
        for (k = 0; k < 2; k++) {
            /* Attempts that are not good enough are freed with the scratch memory. */
            tables[k]->knots = SCRATCH((size_t)(n_intervals + 1) * 3 * tables[k]->n_columns, double);
            tables[k]->exact = SCRATCH(n_intervals + 1, unsigned char);
            left_over += fill_table(b, tables[k], n_intervals, part->spacing, degree_weight, &own);
            error += own;
        }
        if (left_over <= MAX_KINKS || n_intervals == MAX_INTERVALS)
            break;
    }
    for (k = 0; k < 2; k++) {
        size_t size = (size_t)(n_intervals + 1) * 3 * tables[k]->n_columns, last;
        /* Behind the last knot comes one that nobody may read: NaN would show it. */
        double *knots = KEEP(size + 3 * tables[k]->n_columns, double);
        unsigned char *exact = KEEP(n_intervals + 1, unsigned char);
        memcpy(knots, tables[k]->knots, size * sizeof(double));
        for (last = size; last < size + 3 * tables[k]->n_columns; last++)
            knots[last] = NAN;
        memcpy(exact, tables[k]->exact, (size_t)n_intervals + 1);
        exact[n_intervals] = EXACT; /* r just below the cutoff may round into the interval behind the last */
        tables[k]->knots = knots;
        tables[k]->exact = exact;
    }
    for (k = 0; k < 2; k++) {
        const size_t size = (size_t)(n_intervals + 1) * 3 * tables[k]->n_columns;
        if (part->core.outer > 0.0) {
            own = 0.0;
            add_core(b, tables[k], &part->core, n_intervals, part->spacing, degree_weight, &own);
            error = fmax(error, own);
        }
        for (n = 0; n < size; n++)
            if (!isfinite(tables[k]->knots[n]))
                tables[k]->knots[n] = 0.0;
    }
    part->inverse_spacing = 1.0 / part->spacing;
    potential->table_error = fmax(potential->table_error, 2.0 * error);
}

static int arms(const plip_term *term)
{
    return term->kind == PLIP_N_BODY ? 1 : term->kind == PLIP_THREE_BODY ? 2 : 3;
}

/* The force of a term on a neighbour of section s if all arms of the term had their neighbours at its distance, without
 * regard to signs. `values`: all functions there. */
static double steepness(const builder *b, const plip_term *term, int s, const jet *values)
{
    const int *functions = b->functions[term - b->terms];
    double force = 0.0;
    int arm, other;

    for (arm = 0; arm < arms(term); arm++) {
        double product = fabs(term->coefficient * values[functions[arm]][1]);
        if (term->species[arm + 1] != s)
            continue;
        for (other = 0; other < arms(term); other++)
            product *= other == arm ? 1.0 : fabs(values[functions[other]][0]);
        if (term->kind == PLIP_N_BODY)
            product *= term->power[0] * pow(fabs(values[functions[0]][0]), term->power[0] - 1);
        force += product;
    }
    return force;
}

/* Values and derivatives of all functions for one neighbour of a section. */
static void evaluate_functions(const plip_potential *potential, const core_pair *core, double r, jet *values)
{
    const int inside = r < core->outer;
    double repulsion[3], fade[3], reach[3];
    int n;

    if (inside)
        plip_core_repulsion(core->first_number, core->second_number, core->inner, core->outer, r, repulsion, fade,
                            reach);
    for (n = 0; n < potential->n_functions; n++)
        if (inside)
            faded_value(potential, n, fade, reach, values[n]);
        else
            function_value(potential, n, r, values[n]);
}

/* Where terms make a force on a single neighbour that is larger than STEEP_FORCE, the centre is evaluated apart, see
 * evaluate_apart: what is subtracted would cost digits, and the errors of the tables of other neighbours are multiplied by
 * moments that they were not made for. */
static void set_steep(builder *b, center_plan *plan, int center, int s, double cutoff)
{
    section *part = plan->sections + s;
    jet *values = SCRATCH(b->potential->n_functions + 1, jet);
    double r, force = 0.0;
    int n;

    for (r = cutoff; r > SCAN_END && force <= STEEP_FORCE; r *= SCAN_FACTOR) {
        evaluate_functions(b->potential, &part->core, r, values);
        force = 0.0;
        for (n = 0; n < b->n_terms; n++)
            if (b->terms[n].kind != PLIP_TWO_BODY && b->terms[n].species[0] == center)
                force += steepness(b, b->terms + n, s, values);
    }
    part->steep = force <= STEEP_FORCE ? 0.0 : r / SCAN_FACTOR;
    plan->steep = fmax(plan->steep, part->steep);
}

int plip_is_steep(const center_plan *plan, int n_species, const center_arrays *arrays)
{
    int s, j;

    for (s = 0; s < n_species; s++)
        for (j = 0; j < arrays->pairs[s].near + arrays->pairs[s].far; j++)
            if (arrays->pairs[s].r[j] < plan->sections[s].steep)
                return 1;
    return 0;
}

/* ------------------------------------------------------------------ plan of one centre */

static int find_channel(channel *channels, int *n_channels, int section, int function, int degree)
{
    int n;

    for (n = 0; n < *n_channels; n++)
        if (channels[n].section == section && channels[n].function == function)
            break;
    if (n == *n_channels) {
        memset(channels + n, 0, sizeof *channels);
        channels[n].section = section;
        channels[n].function = function;
        channels[n].even = channels[n].odd = -1;
        (*n_channels)++;
    }
    if (degree % 2 == 0 && degree > channels[n].even)
        channels[n].even = degree;
    if (degree % 2 == 1 && degree > channels[n].odd)
        channels[n].odd = degree;
    return n;
}

static int top(const channel *c)
{
    return c->even > c->odd ? c->even : c->odd;
}

/* By species, then angular channels of falling degree, so that a group holds channels of like degree. */
static int compare_channels(const void *first, const void *second)
{
    const channel *a = first, *b = second;

    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    if (top(a) != top(b) && (top(a) > 0 || top(b) > 0))
        return top(a) > top(b) ? -1 : 1;
    if (a->even != b->even)
        return a->even > b->even ? -1 : 1;
    if (a->odd != b->odd)
        return a->odd > b->odd ? -1 : 1;
    return (a->function > b->function) - (a->function < b->function);
}

static void arm_degrees(const plip_term *term, int degrees[3])
{
    int arm;

    for (arm = 0; arm < 3; arm++)
        degrees[arm] = term->kind == PLIP_THREE_BODY ? term->power[0] : 0;
    if (term->kind == PLIP_FOUR_BODY) {
        degrees[0] = term->power[0] + term->power[2];
        degrees[1] = term->power[0] + term->power[1];
        degrees[2] = term->power[1] + term->power[2];
    }
}

/* Adds weight density^power to a polynomial. */
static void add_power(builder *b, group *g, int lanes, int lane, int power, double weight, int three_body)
{
    if (power > g->order) {
        double **polynomials[2] = {&g->polynomial, &g->embedding};
        int k;
        for (k = 0; k < 2; k++) {
            double *grown = KEEP(power * lanes, double);
            if (g->order)
                memcpy(grown, *polynomials[k], (size_t)(g->order * lanes) * sizeof(double));
            *polynomials[k] = grown;
        }
        g->order = power;
    }
    g->polynomial[(power - 1) * lanes + lane] += weight;
    if (!three_body) {
        g->embedding[(power - 1) * lanes + lane] += weight;
        return;
    }
    if (!g->squares)
        g->squares = KEEP(lanes, double);
    g->squares[lane] += weight;
}

static void add_coupling(raw_coupling *all, int *n, int p, int q, int degree, double weight)
{
    int k;

    for (k = 0; k < *n; k++)
        if (all[k].degree == degree && ((all[k].p == p && all[k].q == q) || (all[k].p == q && all[k].q == p))) {
            all[k].weight += weight;
            return;
        }
    all[k].p = p;
    all[k].q = q;
    all[k].degree = degree;
    all[k].weight = weight;
    (*n)++;
}

static int moment_of(const center_plan *plan, const channel *c, int degree)
{
    return plan->groups[c->group].offset[degree] + c->lane;
}

/* Groups of channels, and where their moments are. */
static void make_groups(builder *b, center_plan *plan, channel *channels, int n_channels)
{
    plip_potential *potential = b->potential;
    const int lanes = potential->lanes;
    int s, n = 0, k, d, moments = 0, n_groups = 0;

    plan->groups = KEEP(n_channels + 3 * potential->n_species, group);
    for (s = 0; s < potential->n_species; s++) {
        section *part = plan->sections + s;
        int n_angular = 0, n_scalar = 0, first = n, pair_columns = part->scalar.n_columns;
        column *pair_column = part->scalar.columns;

        for (; n < n_channels && channels[n].section == s; n++)
            if (top(channels + n) > 0)
                n_angular++;
            else
                n_scalar++;
        part->first_group = n_groups;
        part->first_moment = moments;
        part->n_angular = (n_angular + lanes - 1) / lanes;
        part->n_scalar = (n_scalar + pair_columns + lanes - 1) / lanes;
        part->angular.n_columns = part->n_angular * lanes;
        part->scalar.n_columns = part->n_scalar * lanes;
        part->angular.columns = KEEP(part->angular.n_columns, column);
        part->scalar.columns = KEEP(part->scalar.n_columns, column);
        for (k = 0; k < part->n_angular + part->n_scalar; k++)
            plan->groups[n_groups + k].even = plan->groups[n_groups + k].odd = -1;
        for (k = 0; k < n_angular + n_scalar; k++) {
            channel *c = channels + first + k;
            int is_scalar = k >= n_angular, place = is_scalar ? k - n_angular : k;
            table *radial = is_scalar ? &part->scalar : &part->angular;
            group *g;
            c->group = n_groups + (is_scalar ? part->n_angular : 0) + place / lanes;
            c->lane = place % lanes;
            g = plan->groups + c->group;
            g->even = c->even > g->even ? c->even : g->even;
            g->odd = c->odd > g->odd ? c->odd : g->odd;
            part->max_degree = top(c) > part->max_degree ? top(c) : part->max_degree;
            add_product(b, radial->columns + place, c->function, -1, 1.0);
            radial->columns[place].sensitivity = c->sensitivity;
            radial->columns[place].order = c->order;
            radial->cutoff = fmax(radial->cutoff, potential->functions[c->function].cutoff);
        }
        for (k = 0; k < part->n_angular + part->n_scalar; k++) {
            group *g = plan->groups + n_groups + k;
            int highest = g->even > g->odd ? g->even : g->odd;
            if (k >= part->n_angular)
                highest = g->even = 0;
            if (k == part->n_angular)
                part->scalar_moments = moments;
            g->offset = KEEP(highest + 1, int);
            for (d = 0; d <= highest; d++) {
                g->offset[d] = -1;
                if (d <= (d % 2 ? g->odd : g->even)) {
                    g->offset[d] = moments;
                    moments += COMPONENTS(d) * lanes;
                }
            }
        }
        n_groups += part->n_angular + part->n_scalar;
        part->end_moment = moments;
        if (pair_columns) {
            group *last = plan->groups + part->first_group + part->n_angular + n_scalar / lanes;
            part->scalar.columns[n_scalar] = *pair_column;
            for (k = 0; k < pair_column->n_products; k++)
                part->scalar.cutoff =
                    fmax(part->scalar.cutoff, potential->functions[pair_column->products[k].a].cutoff);
            add_power(b, last, lanes, n_scalar % lanes, 1, 1.0, 0);
        }
    }
    plan->n_groups = n_groups;
    plan->n_moments = moments;
}

static void make_couplings(builder *b, center_plan *plan, const channel *channels, const raw_coupling *all, int n_all)
{
    plip_potential *potential = b->potential;
    const int lanes = potential->lanes;
    int g, d, n, side, highest;

    plan->couplings = KEEP(n_all ? plan->n_groups * (potential->max_degree + 1) : 1, coupling);
    for (g = 0; g < plan->n_groups && n_all; g++) {
        highest = plan->groups[g].even > plan->groups[g].odd ? plan->groups[g].even : plan->groups[g].odd;
        for (d = 0; d <= highest; d++) {
            coupling *row = plan->couplings + plan->n_couplings;
            double *diagonal = KEEP(lanes, double), *weights = NULL;
            int *partner = NULL, capacity = 0, coupled = 0;
            row->degree = d;
            row->diagonal = diagonal;
            for (n = 0; n < n_all; n++) {
                if (all[n].degree != d)
                    continue;
                /* E = weight M_p . M_q = 1/2 M W M: W_pq = W_qp = weight, W_pp = 2 weight */
                for (side = 0; side < 2; side++) {
                    const channel *mine = channels + (side ? all[n].q : all[n].p);
                    const channel *other = channels + (side ? all[n].p : all[n].q);
                    int from, k;
                    if (mine->group != g)
                        continue;
                    if (mine == other) {
                        diagonal[mine->lane] += all[n].weight;
                        coupled = 1;
                        continue;
                    }
                    from = moment_of(plan, other, d);
                    for (k = 0; k < row->n; k++)
                        if (partner[k] == from)
                            break;
                    if (k == row->n) {
                        if (row->n == capacity) {
                            int larger = 2 * capacity + 4;
                            int *more_partners = KEEP(larger, int);
                            double *more_weights = KEEP(larger * lanes, double);
                            if (row->n) {
                                memcpy(more_partners, partner, (size_t)row->n * sizeof(int));
                                memcpy(more_weights, weights, (size_t)(row->n * lanes) * sizeof(double));
                            }
                            partner = more_partners;
                            weights = more_weights;
                            capacity = larger;
                        }
                        partner[row->n++] = from;
                    }
                    weights[k * lanes + mine->lane] += all[n].weight;
                }
            }
            row->partner = partner;
            row->weights = weights;
            if (row->n || coupled) {
                row->moments = plan->groups[g].offset[d];
                plan->n_couplings++;
            }
        }
    }
}

/* Number of the first moment of an arm among the moments of four-body terms. */
static int four_body_arm(builder *b, center_plan *plan, const channel *c, int degree)
{
    const int lanes = b->potential->lanes, first = moment_of(plan, c, degree);
    int n, k;

    for (n = 0; n < plan->n_four_body; n++)
        if (plan->four_body[n] == first)
            return n;
    for (k = 0; k < COMPONENTS(degree); k++)
        plan->four_body[plan->n_four_body++] = first + k * lanes;
    return n;
}

/* A four-body term whose arms begin with the r-th. A rank that does not change when b and c are exchanged
 * has b <= c. */
static void rotate(const plip_term *term, const int *arm, int r, int power[3], int at[3])
{
    int k;

    for (k = 0; k < 3; k++) {
        power[k] = term->power[(k + r) % 3];
        at[k] = arm[(k + r) % 3];
    }
    if (power[0] == power[2] && at[1] > at[2]) {
        k = at[1];
        at[1] = at[2];
        at[2] = k;
    }
}

/* The rotation of n terms of one rank with the least pairs (b, c), each of which is contracted once. */
static int best_rotation(builder *b, int n, const plip_term *const *terms, const triple *arm)
{
    triple *pairs = SCRATCH(n, triple);
    int best = 0, least = INT_MAX, r, k, m, power[3];

    for (r = 0; r < 3; r++) {
        int distinct = 0;
        for (k = 0; k < n; k++) {
            rotate(terms[k], arm[k], r, power, pairs[k]);
            for (m = 0; m < k && memcmp(pairs[m] + 1, pairs[k] + 1, 2 * sizeof(int)); m++)
                ;
            distinct += m == k;
        }
        if (distinct < least) {
            least = distinct;
            best = r;
        }
    }
    return best;
}

static void make_trilinears(builder *b, center_plan *plan, int center, channel *channels, int *n_channels)
{
    const int n_terms = b->n_terms;
    const plip_term **rank = SCRATCH(n_terms + 1, const plip_term *);
    char *done = SCRATCH(n_terms + 1, char);
    triple *arm = SCRATCH(n_terms + 1, triple);
    int n, k, m, side, n_moments = 0, count = 0;

    for (n = 0; n < n_terms; n++) {
        int degrees[3];
        done[n] = b->terms[n].kind != PLIP_FOUR_BODY || b->terms[n].species[0] != center;
        arm_degrees(b->terms + n, degrees);
        for (side = 0; side < 3 && !done[n]; side++)
            n_moments += COMPONENTS(degrees[side]);
        count += !done[n];
    }
    plan->four_body = KEEP(n_moments, int);
    plan->trilinears = KEEP(count, trilinear);
    for (n = 0; n < n_terms; n++) {
        trilinear *const first = plan->trilinears + plan->n_trilinears;
        int rotation, number, power[3], at[3], pass;
        count = 0;
        for (k = n; k < n_terms; k++) {
            const plip_term *term = b->terms + k;
            int degrees[3];
            if (done[k] || (count && memcmp(term->power, rank[0]->power, sizeof term->power)))
                continue;
            done[k] = 1;
            arm_degrees(term, degrees);
            for (side = 0; side < 3; side++) {
                m = find_channel(channels, n_channels, term->species[side + 1], find_function(b, term, side),
                                 degrees[side]);
                arm[count][side] = four_body_arm(b, plan, channels + m, degrees[side]);
            }
            rank[count++] = term;
        }
        if (!count)
            break;
        rotation = best_rotation(b, count, rank, arm);
        rotate(rank[0], arm[0], rotation, power, at);
        number = find_contraction(b, power);
        /* The first pass counts the terms of each form, the second one enters them. */
        for (pass = 0; pass < 2; pass++) {
            for (k = 0; k < count; k++) {
                trilinear *form = first;
                rotate(rank[k], arm[k], rotation, power, at);
                while (form < plan->trilinears + plan->n_trilinears && (form->b != at[1] || form->c != at[2]))
                    form++;
                if (form == plan->trilinears + plan->n_trilinears) {
                    form->contraction = number;
                    form->b = at[1];
                    form->c = at[2];
                    plan->n_trilinears++;
                }
                if (pass == 1) {
                    form->a[form->n] = at[0];
                    form->weight[form->n] = rank[k]->coefficient;
                }
                form->n++;
            }
            for (m = 0; first + m < plan->trilinears + plan->n_trilinears && pass == 0; m++) {
                first[m].a = KEEP(first[m].n, int);
                first[m].weight = KEEP(first[m].n, double);
                first[m].n = 0;
            }
        }
    }
}

/* The core repulsion of a centre with each species, and the limit of its density. */
static void set_repulsion(builder *b, center_plan *plan, int center)
{
    const plip_repulsion *repulsion = b->repulsion;
    const int n_species = b->potential->n_species;
    const double range = repulsion->range[center];
    int s;

    for (s = 0; s < n_species; s++) {
        section *part = plan->sections + s;
        if (!(repulsion->outer[center * n_species + s] > 0.0))
            continue;
        part->core.first_number = plip_atomic_number(repulsion->symbols[center]);
        part->core.second_number = plip_atomic_number(repulsion->symbols[s]);
        part->core.inner = repulsion->inner[center * n_species + s];
        part->core.outer = repulsion->outer[center * n_species + s];
        plan->too_close = fmax(plan->too_close, PLIP_TOO_CLOSE * part->core.outer);
        part->scalar.columns->repulsion = 0.5;
        part->scalar.n_columns = 1;
    }
    plan->floor = repulsion->floor[center];
    if (repulsion->limit[center] > 0.0) {
        plan->limit = repulsion->limit[center];
        plan->square_range = range * range;
        plan->inverse_square_range = 1.0 / plan->square_range;
    }
}

static void make_center(builder *b, int center)
{
    plip_potential *potential = b->potential;
    center_plan *plan = potential->centers + center;
    channel *channels = SCRATCH(3 * b->n_terms + 1, channel);
    raw_coupling *couplings = SCRATCH(b->n_terms + 1, raw_coupling);
    int n_channels = 0, n_couplings = 0, n, s, arm, k, rows = 0, gradients = 0;

    plan->sections = KEEP(potential->n_species, section);
    for (s = 0; s < potential->n_species; s++)
        plan->sections[s].scalar.columns = SCRATCH(1, column);
    plan->limit = INFINITY;
    plan->floor = -INFINITY;
    if (b->repulsion)
        set_repulsion(b, plan, center);

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        const double w = term->coefficient;
        int degrees[3], at[3], functions[3], factors;

        if (term->kind == PLIP_TWO_BODY) {
            /* Half of each pair belongs to each of its atoms. */
            for (s = 0; s < 2; s++)
                if (term->species[s] == center && (s == 0 || term->species[0] != term->species[1])) {
                    section *part = plan->sections + term->species[1 - s];
                    add_product(b, part->scalar.columns, find_function(b, term, 0), -1, 0.5 * w);
                    part->scalar.n_columns = 1;
                }
            continue;
        }
        if (term->species[0] != center)
            continue;
        arm_degrees(term, degrees);
        for (arm = 0; arm < arms(term); arm++) {
            functions[arm] = find_function(b, term, arm);
            at[arm] = find_channel(channels, &n_channels, term->species[arm + 1], functions[arm], degrees[arm]);
        }
        for (arm = 0; arm < arms(term); arm++) {
            double product = fabs(w);
            for (k = 0; k < arms(term); k++)
                if (k != arm)
                    product *= b->bounds[functions[k]];
            if (term->kind == PLIP_N_BODY)
                product *= term->power[0] * pow(b->bounds[functions[0]], term->power[0] - 1);
            channels[at[arm]].sensitivity += product;
            factors = term->kind == PLIP_N_BODY ? term->power[0] : arms(term);
            channels[at[arm]].order = factors > channels[at[arm]].order ? factors : channels[at[arm]].order;
        }
        if (term->kind == PLIP_THREE_BODY && term->species[1] == term->species[2]) {
            section *part = plan->sections + term->species[1];
            /* j != k: the self-term is a pair function. Unordered pairs if both arms are alike. */
            add_product(b, part->scalar.columns, functions[0], functions[1], functions[0] == functions[1] ? -0.5 * w : -w);
            part->scalar.n_columns = 1;
        }
    }
    for (s = 0; s < potential->n_species; s++)
        plan->sections[s].scalar.columns[0].sensitivity = plan->sections[s].scalar.columns[0].order = 1;
    qsort(channels, (size_t)n_channels, sizeof(channel), compare_channels);
    make_groups(b, plan, channels, n_channels);

    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        const channel *first;
        int p, q, degrees[3];
        if ((term->kind != PLIP_THREE_BODY && term->kind != PLIP_N_BODY) || term->species[0] != center)
            continue;
        arm_degrees(term, degrees);
        p = find_channel(channels, &n_channels, term->species[1], find_function(b, term, 0), degrees[0]);
        first = channels + p;
        if (term->kind == PLIP_N_BODY) {
            add_power(b, plan->groups + first->group, potential->lanes, first->lane, term->power[0], term->coefficient,
                      0);
            continue;
        }
        q = find_channel(channels, &n_channels, term->species[2], find_function(b, term, 1), degrees[1]);
        if (p == q && term->power[0] == 0)
            add_power(b, plan->groups + first->group, potential->lanes, first->lane, 2, 0.5 * term->coefficient, 1);
        else
            add_coupling(couplings, &n_couplings, p, q, term->power[0], (p == q ? 0.5 : 1.0) * term->coefficient);
    }
    make_couplings(b, plan, channels, couplings, n_couplings);
    make_trilinears(b, plan, center, channels, &n_channels);
    if (plan->n_trilinears)
        potential->batch = potential->lanes;

    for (s = 0; s < potential->n_species; s++) {
        section *part = plan->sections + s;
        double cutoff = fmax(fmax(part->angular.cutoff, part->scalar.cutoff), part->core.outer);
        int columns = part->angular.n_columns + part->scalar.n_columns, own;
        part->square_near = part->angular.cutoff * part->angular.cutoff;
        if (columns) {
            make_tables(b, part, cutoff);
            set_steep(b, plan, center, s, cutoff);
        }
        part->square_cutoff = cutoff * cutoff;
        cutoff = fmax(cutoff, sqrt(plan->square_range));
        potential->cutoff = fmax(potential->cutoff, cutoff);
        plan->square_cutoff = fmax(plan->square_cutoff, cutoff * cutoff);
        own = PAIR_ROWS + 2 * columns + FIRST_MONOMIAL(part->max_degree + 1);
        rows = own > rows ? own : rows;
        for (k = 0; k < part->n_angular; k++) {
            const group *g = plan->groups + part->first_group + k;
            int size = 3 * potential->lanes * ((g->even > 0 ? COMPONENTS(g->even - 1) : 0) +
                                               (g->odd > 0 ? COMPONENTS(g->odd - 1) : 0));
            gradients = size > gradients ? size : gradients;
        }
    }
    potential->max_rows = rows > potential->max_rows ? rows : potential->max_rows;
    potential->max_gradients = gradients > potential->max_gradients ? gradients : potential->max_gradients;
    potential->max_moments = plan->n_moments > potential->max_moments ? plan->n_moments : potential->max_moments;
    n = 2 * plan->n_four_body * potential->lanes;
    potential->max_four_body = n > potential->max_four_body ? n : potential->max_four_body;
}

/* ------------------------------------------------------------------ public */

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
        arm_degrees(term, degrees);
        for (arm = 0; arm < 3; arm++)
            if (degrees[arm] > b->potential->max_degree)
                b->potential->max_degree = degrees[arm];
    }
}

/* May leave by longjmp. */
static void make_potential(builder *b, int n_species, const double *reference_energies, const char *simd)
{
    plip_potential *const potential = b->potential;
    const plip_term *const terms = b->terms;
    const int n_terms = b->n_terms;
    char reason[PLIP_ERROR_LENGTH];
    int n, k, arm;

    if (n_species < 1 || n_terms < 0)
        fail(b, "a potential needs at least one species");
    potential->n_species = n_species;
    check_terms(b);
    if (b->repulsion && plip_check_repulsion(n_species, b->repulsion, reason))
        fail(b, reason);
    choose_kernel(b, simd);
    make_multiplicities(b);
    potential->functions = KEEP(3 * n_terms + 1, radial_function);
    potential->contractions = KEEP(3 * n_terms + 1, contraction); /* up to one per rotation */
    b->functions = KEEP(n_terms + 1, triple);
    for (n = 0; n < n_terms; n++)
        for (arm = 0; arm < (terms[n].kind == PLIP_TWO_BODY ? 1 : arms(terms + n)); arm++)
            b->functions[n][arm] = find_function(b, terms + n, arm);
    b->bounds = KEEP(potential->n_functions + 1, double);
    for (n = 0; n < potential->n_functions; n++)
        b->bounds[n] = moment_bound(potential, n);
    potential->centers = KEEP(n_species, center_plan);
    potential->batch = 1;
    for (k = 0; k < n_species; k++) {
        if (!isfinite(reference_energies[k]))
            fail(b, "a reference energy is not a finite number");
        potential->centers[k].reference_energy = reference_energies[k];
        make_center(b, k);
        release(b->scratch);
        b->scratch = NULL;
    }
    for (n = 0; n < potential->n_contractions; n++) {
        const int size = potential->contractions[n].n_a;
        potential->max_open = size > potential->max_open ? size : potential->max_open;
    }
    potential->max_four_body += 2 * potential->max_open * potential->lanes;
}

/* A function of its own: no variable of its caller lives across setjmp. */
static int try_potential(builder *b, int n_species, const double *reference_energies, const char *simd)
{
    if (setjmp(b->failed))
        return -1;
    make_potential(b, n_species, reference_energies, simd);
    return 0;
}

plip_potential *plip_create(int n_species, const double *reference_energies, int n_terms, const plip_term *terms,
                            const plip_repulsion *repulsion, const char *simd, char *error)
{
    builder *b = calloc(1, sizeof *b);
    plip_potential *potential = calloc(1, sizeof *potential);

    snprintf(error, PLIP_ERROR_LENGTH, "out of memory");
    if (b && potential) {
        b->error = error;
        b->potential = potential;
        b->terms = terms;
        b->n_terms = n_terms;
        b->repulsion = repulsion;
        if (try_potential(b, n_species, reference_energies, simd)) {
            plip_free(potential);
            potential = NULL;
        }
        release(b->scratch);
    } else {
        free(potential);
        potential = NULL;
    }
    free(b);
    return potential;
}

void plip_free(plip_potential *potential)
{
    if (potential)
        release(potential->blocks);
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
    work->four_body = part_of(memory, &used, (size_t)potential->max_four_body, sizeof(double));
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

int plip_evaluate(const plip_potential *potential, plip_workspace *workspace, const plip_system *system,
                  int n, plip_center *centers, int mask)
{
    return potential->evaluate(potential, workspace, system, n, centers, mask);
}
