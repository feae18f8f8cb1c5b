/* Tables of radial functions: quintic Hermite splines on equal intervals. Intervals in which they are not accurate
 * enough are left to the exact functions. */
#include <math.h>
#include <string.h>

#include "plip_build.h"

/* A table may change the force of a center on a neighbor by this much, eV/Angstrom: a pair force is the sum of two of
 * them, and about a hundred pairs, with errors of both signs, make the force on an atom. */
#define TABLE_TOLERANCE 4e-10
/* Tables of more intervals leave the cache; what is not accurate then is evaluated exactly. */
#define MIN_INTERVALS 256
#define MAX_INTERVALS 4096
/* So many intervals (kinks: cutoffs, switches, onsets) may be left to the exact functions. With more, the table is
 * refined. */
#define MAX_KINKS 16
/* Shorter distances than this part of the cutoff do not make a table finer: they are rare, and exact. */
#define RARE 0.25
/* How much errors of values count; those of derivatives count once. */
#define DEGREE_WEIGHT(part) (1.0 + (part)->max_degree)

/* Numbers of one knot: value, spacing * first and spacing^2 * second derivative of each column. */
static size_t knot_size(const table *t)
{
    return 3 * (size_t)t->n_columns;
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
        double *knot = t->knots + (size_t)k * knot_size(t), scale = 1.0;
        for (c = 0; c < columns; c++) {
            plip_column_exact(potential, t->columns + c, t->core, k * spacing, 0, value);
            for (i = 0, scale = 1.0; i < 3; i++, scale *= spacing)
                knot[i * columns + c] = scale * value[i];
        }
    }
}

/* How much larger than its bound a moment is by one neighbor in interval i alone, at least 1. */
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

/* The error that the table of column c makes at part `place` of an interval, which is at distance r: of the derivative,
 * and of the value, which counts degree_weight times. */
static double table_error(const plip_potential *potential, const table *t, int c, const double *knot, double place,
                          double r, double spacing, double degree_weight)
{
    double exact[3], slope, interpolated, deviation, rounding;

    plip_column_exact(potential, t->columns + c, t->core, r, 0, exact);
    interpolated = hermite(knot + c, knot + knot_size(t) + c, t->n_columns, place, &slope);
    deviation = fabs(slope / spacing - exact[1]) + degree_weight * fabs(interpolated - exact[0]);
    /* What double precision allows, 20 units in the last place, is no fault of the table. */
    rounding = 4e-15 * (fabs(exact[0]) / spacing + fabs(exact[1]));
    return deviation <= rounding ? 0.0 : deviation;
}

/* The error of the force on a neighbor in interval i: errors of all columns times the sensitivity of the energy to
 * them. */
static double interval_error(const builder *b, const table *t, int i, double spacing, double degree_weight)
{
    /* Where the derivative of the error of quintic interpolation is largest, and the error itself. */
    static const double places[3] = {0.28, 0.5, 0.72};
    const double *knot = t->knots + (size_t)i * knot_size(t), grown = growth(b, t, i);
    double sums[3] = {0.0, 0.0, 0.0};
    int c, k;

    for (c = 0; c < t->n_columns; c++) {
        const column *own = t->columns + c;
        const double sensitivity = own->sensitivity * pow(grown, own->order - 1);
        if (own->n_products == 0 && own->repulsion == 0.0)
            continue;
        for (k = 0; k < 3; k++)
            sums[k] += sensitivity * table_error(b->potential, t, c, knot, places[k], (i + places[k]) * spacing,
                                                 spacing, degree_weight);
    }
    return isfinite(sums[0] + sums[1] + sums[2]) ? fmax(fmax(sums[0], sums[1]), sums[2]) : INFINITY;
}

/* Marks those of the first `n` intervals whose table is not accurate enough. `error`: the largest error of the others.
 * Returns the number of marked ones that begin beyond `rare`. */
static int mark_exact(const builder *b, table *t, int n, double spacing, double degree_weight, double rare,
                      double *error)
{
    int i, left_over = 0;

    for (i = 0; i < n; i++) {
        const double worst = interval_error(b, t, i, spacing, degree_weight);
        const int good = worst <= TABLE_TOLERANCE;
        t->exact[i] = good ? 0 : EXACT;
        if (good)
            *error = fmax(*error, worst);
        else if (i * spacing > rare)
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
    const size_t row = knot_size(t);
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

/* Fills the tables of a section in scratch memory; returns as fill_table. */
static int fill_section(builder *b, section *part, int n_intervals, double spacing, double *error)
{
    table *tables[2] = {&part->angular, &part->scalar};
    int k, left_over = 0;

    part->n_intervals = n_intervals;
    part->spacing = spacing;
    *error = 0.0;
    for (k = 0; k < 2; k++) {
        double own;
        tables[k]->knots = SCRATCH((size_t)(n_intervals + 1) * knot_size(tables[k]), double);
        tables[k]->exact = SCRATCH(n_intervals + 1, unsigned char);
        left_over += fill_table(b, tables[k], n_intervals, spacing, DEGREE_WEIGHT(part), &own);
        *error += own;
    }
    return left_over;
}

/* Fills the tables of sections on the coarsest common grid on which they are accurate. */
static void fill_sections(builder *b, section *parts, int n, double cutoff, double *errors)
{
    int n_intervals, k, most;

    for (n_intervals = MIN_INTERVALS;; n_intervals *= 2) {
        for (most = 0, k = 0; k < n; k++)
            most = larger(fill_section(b, parts + k, n_intervals, cutoff / n_intervals, errors + k), most);
        if (most <= MAX_KINKS || n_intervals == MAX_INTERVALS)
            return;
    }
}

/* Moves a table from scratch memory into that of the potential. */
static void keep_table(builder *b, table *t, int n_intervals)
{
    const size_t size = (size_t)(n_intervals + 1) * knot_size(t);
    /* Behind the last knot comes one that nobody may read: NaN would show it. */
    double *knots = KEEP(size + knot_size(t), double);
    unsigned char *exact = KEEP(n_intervals + 1, unsigned char);
    size_t n;

    memcpy(knots, t->knots, size * sizeof(double));
    for (n = size; n < size + knot_size(t); n++)
        knots[n] = NAN;
    memcpy(exact, t->exact, (size_t)n_intervals + 1);
    exact[n_intervals] = EXACT; /* r just below the cutoff may round into the interval behind the last */
    t->knots = knots;
    t->exact = exact;
}

/* Knots that are not finite belong to exact intervals alone. */
static void clear_infinite_knots(table *t, int n_intervals)
{
    const size_t size = (size_t)(n_intervals + 1) * knot_size(t);
    size_t n;

    for (n = 0; n < size; n++)
        if (!isfinite(t->knots[n]))
            t->knots[n] = 0.0;
}

/* What the core repulsion of a section makes of a shared table, up to its end. */
static void make_shared_core(builder *b, table *t, const table *shared, const section *part, double *error)
{
    const double last = part->core.outer / part->spacing;
    const int n = last < part->n_intervals ? (int)last : part->n_intervals;

    t->n_columns = shared->n_columns;
    t->columns = shared->columns;
    t->core = &part->core;
    t->knots = KEEP((size_t)(n + 2) * knot_size(t), double);
    t->exact = KEEP(n + 1, unsigned char);
    fill_knots(b->potential, t, n + 2, part->spacing);
    mark_exact(b, t, n, part->spacing, DEGREE_WEIGHT(part), 0.0, error);
    t->exact[n] = EXACT; /* the interval in which it ends */
    clear_infinite_knots(t, n + 1);
}

/* Moves the tables of a section into the memory of the potential. Returns their error. */
static double keep_section(builder *b, section *part, double error)
{
    table *tables[2] = {&part->angular, &part->scalar};
    int k;

    for (k = 0; k < 2; k++) {
        keep_table(b, tables[k], part->n_intervals);
        if (part->core.outer > 0.0) {
            double own = 0.0;
            add_core(b, tables[k], &part->core, part->n_intervals, part->spacing, DEGREE_WEIGHT(part), &own);
            error = fmax(error, own);
        }
        clear_infinite_knots(tables[k], part->n_intervals);
    }
    part->inverse_spacing = 1.0 / part->spacing;
    return error;
}

void plip_make_tables(builder *b, section *parts, int n, double cutoff)
{
    double *errors = SCRATCH(n, double), of_shared;
    int k;

    fill_sections(b, parts, n, cutoff, errors);
    for (k = 0; k < n; k++)
        errors[k] = keep_section(b, parts + k, errors[k]);
    of_shared = n > 1 ? errors[n - 1] : 0.0;
    for (k = 0; k < n; k++) {
        section *part = parts + k;
        double own = of_shared;
        if (n > 1 && part->core.outer > 0.0) {
            make_shared_core(b, &part->shared_angular, &parts[n - 1].angular, part, &own);
            make_shared_core(b, &part->shared_scalar, &parts[n - 1].scalar, part, &own);
        }
        b->potential->table_error = fmax(b->potential->table_error, 2.0 * (errors[k] + own));
    }
}
