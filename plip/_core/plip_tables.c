/* Tables of radial functions: on each of many equal intervals a polynomial of degree 7. It has value, first and second
 * derivative of the function at both ends, and its value and first derivative in the middle, so that the whole is smooth
 * to second derivatives. Where it is not accurate enough, an interval is cut into pieces: at cutoffs, where the core
 * repulsion ends, and in halves. Pieces that are not accurate either are left to the exact functions.
 *
 * The coefficients stand in the tables, not values at knots: Horner's rule needs fewer operations, and intervals may be
 * so wide, by the high degree, that the tables of some species stay in the cache. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "plip_build.h"

/* A table may change the force of a center on a neighbor by this much, eV/Angstrom: a pair force is the sum of two of
 * them, and about a hundred pairs, with errors of both signs, make the force on an atom. */
#define TABLE_TOLERANCE 2.5e-10
/* Tables of more intervals leave the cache. */
#define MIN_INTERVALS 64
#define MAX_INTERVALS 2048
/* So many intervals (kinks: switches, onsets) may be in pieces, besides those with a cutoff. With more, all are made
 * shorter. */
#define MAX_KINKS 16
/* How often a part of an interval is halved. */
#define HALVINGS 3
/* Shorter distances than this part of the cutoff do not make a table finer: they are rare. */
#define RARE 0.25
/* How much errors of values count; those of derivatives count once. */
#define DEGREE_WEIGHT(part) (1.0 + (part)->max_degree)

/* From one distance to another, with a polynomial around `center`, in an interval of this middle and width. */
typedef struct {
    double begin, end, center, middle, width;
} range;

/* Numbers of one interval. */
static size_t row_size(const table *t)
{
    return COEFFICIENTS * (size_t)t->n_columns;
}

/* The place of the lowest coefficient of column c in a row; the others follow at distances of `lanes`. */
static size_t place_in_row(const builder *b, int c)
{
    const int lanes = b->potential->lanes;
    return (size_t)(c / lanes) * COEFFICIENTS * lanes + c % lanes;
}

static double knot(int k, int n_intervals, double cutoff)
{
    return k == n_intervals ? cutoff : k * (cutoff / n_intervals);
}

/* The range of interval i of n. Its center is the one that the kernels find. */
static range interval_range(int i, int n_intervals, double cutoff)
{
    const double width = cutoff / n_intervals, middle = (i + 0.5) * width;
    const range result = {knot(i, n_intervals, cutoff), knot(i + 1, n_intervals, cutoff), middle, middle, width};
    return result;
}

/* c[k], coefficients of (r - center)^k, from values and derivatives at the ends and in the middle. With
 * z = (r - center) / width, even and odd powers of z have equations of their own. */
static void find_polynomial(const double left[3], const double middle[3], const double right[3], double width, double *c)
{
    const double even = 0.5 * (left[0] + right[0]) - middle[0];
    const double even1 = 0.125 * width * (right[1] - left[1]) - even;
    const double even2 = 0.0625 * width * width * (left[2] + right[2]) - even;
    const double odd0 = 0.5 * width * middle[1];
    const double odd = 0.5 * (right[0] - left[0]) - odd0;
    const double odd1 = 0.25 * width * (left[1] + right[1]) - odd0 - 3.0 * odd;
    const double odd2 = 0.0625 * width * width * (right[2] - left[2]) - 3.0 * odd;
    const double six = 0.25 * (even2 - 5.0 * even1), four = even1 - 2.0 * six;
    const double seven = 0.25 * (odd2 - 3.5 * odd1), five = 0.5 * odd1 - 2.0 * seven;
    double scale = 1.0;
    int k;

    c[0] = middle[0];
    c[1] = 2.0 * odd0;
    c[2] = 4.0 * (even - four - six);
    c[3] = 8.0 * (odd - five - seven);
    c[4] = 16.0 * four;
    c[5] = 32.0 * five;
    c[6] = 64.0 * six;
    c[7] = 128.0 * seven;
    for (k = 0; k < COEFFICIENTS; k++, scale /= width)
        c[k] *= scale;
}

/* The row of a range. */
static void fill_row(const builder *b, const table *t, range of, double *row)
{
    const double places[3] = {of.begin, of.center, of.end};
    double coefficients[COEFFICIENTS];
    jet *at_places = b->at_places;
    int p, c, k;

    for (p = 0; p < 3; p++) {
        plip_go_to(b->at, t->core, places[p]);
        for (c = 0; c < t->n_columns; c++)
            plip_column_exact(b->potential, t->columns + c, b->at, 0, at_places[3 * c + p]);
    }
    for (c = 0; c < t->n_columns; c++) {
        double *own = row + place_in_row(b, c);
        find_polynomial(at_places[3 * c], at_places[3 * c + 1], at_places[3 * c + 2], of.end - of.begin, coefficients);
        for (k = 0; k < COEFFICIENTS; k++)
            own[k * b->potential->lanes] = coefficients[k];
    }
}

static double interpolate(const builder *b, const double *row, int c, double x, double *slope)
{
    const double *own = row + place_in_row(b, c);
    double value = 0.0;
    int k;

    *slope = 0.0;
    for (k = COEFFICIENTS - 1; k >= 0; k--) {
        *slope = *slope * x + value;
        value = value * x + own[k * b->potential->lanes];
    }
    return value;
}

/* How much larger than its bound a moment is by one neighbor alone at the ends of the range of the last row, at least 1. */
static double growth(const builder *b, const table *t)
{
    double largest = 1.0;
    int c, side;

    for (c = 0; c < t->n_columns; c++) {
        const column *own = t->columns + c;
        if (own->order < 2 || !own->n_products)
            continue;
        for (side = 0; side < 3; side += 2)
            largest = fmax(largest, fabs(b->at_places[3 * c + side][0]) / b->bounds[own->products[0].a]);
    }
    return largest;
}

/* The root of a function and its derivative. */
static void take_root(double *value, double *slope)
{
    *value = sqrt(fmax(*value, 0.0));
    *slope = *value > 0.0 ? *slope / (2.0 * *value) : 0.0;
}

/* The error that the polynomial of column c makes at a distance: of the derivative, and of the value, which counts
 * degree_weight times. */
static double table_error(const builder *b, const table *t, int c, const double *row, range of, double degree_weight)
{
    double exact[3], slope, interpolated, deviation, rounding;

    plip_column_exact(b->potential, t->columns + c, b->at, 0, exact);
    interpolated = interpolate(b, row, c, b->at->r - of.center, &slope);
    if (t->columns[c].is_root) {
        /* Of one neighbor alone: other neighbors make it less. */
        take_root(&exact[0], &exact[1]);
        take_root(&interpolated, &slope);
    }
    deviation = fabs(slope - exact[1]) + degree_weight * fabs(interpolated - exact[0]);
    /* What double precision allows, 20 units in the last place, is no fault of the table. */
    rounding = 4e-15 * (fabs(exact[0]) / of.width + fabs(exact[1]));
    return deviation <= rounding ? 0.0 : deviation;
}

/* The error of the force on a neighbor in a range: errors of all columns times the sensitivity of the energy to them.
 * Infinity stands for whatever is too much. */
static double error_of_row(const builder *b, const table *t, const double *row, range of, double degree_weight)
{
    /* Where the derivative of the error is largest, and the error itself. */
    static const double places[6] = {0.132, 0.25, 0.372, 0.628, 0.75, 0.868};
    const double grown = growth(b, t);
    double worst = 0.0;
    int c, k;

    for (k = 0; k < 6; k++) {
        double sum = 0.0;
        plip_go_to(b->at, t->core, of.begin + places[k] * (of.end - of.begin));
        for (c = 0; c < t->n_columns; c++) {
            const column *own = t->columns + c;
            if (own->n_products || own->repulsion != 0.0)
                sum += own->sensitivity * pow(grown, own->order - 1) * table_error(b, t, c, row, of, degree_weight);
        }
        if (!(sum <= TABLE_TOLERANCE))
            return INFINITY;
        worst = fmax(worst, sum);
    }
    return worst;
}

/* Fills the row of a range. Returns whether it is accurate enough; then `error` is raised to its error. */
static int make_row(const builder *b, const table *t, range of, double *row, double degree_weight, double *error)
{
    double worst;

    fill_row(b, t, of, row);
    worst = error_of_row(b, t, row, of, degree_weight);
    if (!(worst <= TABLE_TOLERANCE)) {
        memset(row, 0, row_size(t) * sizeof(double)); /* nobody reads it; it may be infinite */
        return 0;
    }
    *error = fmax(*error, worst);
    return 1;
}

static int is_within(double r, range of)
{
    return r > of.begin && r < of.end;
}

/* The first cutoff of the functions of a table within a range; its end if there is none. */
static double first_cutoff(const builder *b, const table *t, range of)
{
    int c, k;

    for (c = 0; c < t->n_columns; c++)
        for (k = 0; k < t->columns[c].n_products; k++) {
            const product *part = t->columns[c].products + k;
            const double cutoff = b->potential->functions[part->a].cutoff;
            if (is_within(cutoff, of))
                of.end = cutoff;
            if (part->b >= 0 && is_within(b->potential->functions[part->b].cutoff, of))
                of.end = b->potential->functions[part->b].cutoff;
        }
    return of.end;
}

static void add_piece(builder *b, table *t, double end, double shift, const double *row)
{
    const piece added = {end, shift, row};

    if (t->n_pieces == t->capacity) {
        piece *grown = SCRATCH(2 * t->capacity + 16, piece);
        if (t->n_pieces)
            memcpy(grown, t->pieces, (size_t)t->n_pieces * sizeof(piece));
        t->pieces = grown;
        t->capacity = 2 * t->capacity + 16;
    }
    t->pieces[t->n_pieces++] = added;
}

/* Adds pieces for a range without cutoffs. */
static void add_pieces(builder *b, table *t, range of, int halvings, double degree_weight, double *error)
{
    const double center = of.center = 0.5 * (of.begin + of.end);
    double *row = SCRATCH(row_size(t), double);

    if (make_row(b, t, of, row, degree_weight, error)) {
        add_piece(b, t, of.end, center - of.middle, row);
    } else if (halvings) {
        range half = of;
        half.end = center;
        add_pieces(b, t, half, halvings - 1, degree_weight, error);
        half.begin = center;
        half.end = of.end;
        add_pieces(b, t, half, halvings - 1, degree_weight, error);
    } else {
        add_piece(b, t, of.end, 0.0, NULL);
    }
}

/* Cuts a range at its cutoffs, and makes pieces of all parts. */
static void cut_range(builder *b, table *t, range of, double degree_weight, double *error)
{
    while (of.begin < of.end) {
        range part = of;
        part.end = first_cutoff(b, t, of);
        add_pieces(b, t, part, HALVINGS, degree_weight, error);
        /* At the cutoff a function has its limits from below. */
        of.begin = part.end < of.end ? nextafter(part.end, INFINITY) : of.end;
        t->pieces[t->n_pieces - 1].end = of.begin;
    }
}

/* Makes pieces of those of the first n intervals that are not accurate enough as a whole. */
static void cut_intervals(builder *b, table *t, int n, int n_intervals, double cutoff, double degree_weight,
                          double *error)
{
    int i, k;

    for (i = 0; i < n; i++) {
        const int first = t->n_pieces;
        if (t->kinds[i] != EXACT)
            continue;
        cut_range(b, t, interval_range(i, n_intervals, cutoff), degree_weight, error);
        for (k = first; k < t->n_pieces; k++)
            if (t->pieces[k].row)
                t->kinds[i] = first + 1;
        t->pieces[t->n_pieces - 1].end = INFINITY;
    }
}

/* Room in scratch memory for n rows of a table. */
static void size_table(builder *b, table *t, int n)
{
    t->rows = SCRATCH((size_t)(n + 1) * row_size(t), double);
    t->kinds = SCRATCH(n + 1, int);
    t->n_pieces = t->capacity = 0;
}

/* Fills the first n rows of a table. Returns the number of intervals beyond RARE that are not accurate enough although
 * no function ends there; the rest is left out after more than `limit` of them. */
static int fill_rows(const builder *b, table *t, int n, int n_intervals, double cutoff, double degree_weight, int limit,
                     double *error)
{
    int i, n_kinks = 0;

    for (i = 0; i < n && n_kinks <= limit; i++) {
        const range of = interval_range(i, n_intervals, cutoff);
        const int is_good = make_row(b, t, of, t->rows + (size_t)i * row_size(t), degree_weight, error);
        t->kinds[i] = is_good ? WHOLE : EXACT;
        n_kinks += !is_good && of.begin > RARE * cutoff && first_cutoff(b, t, of) == of.end;
    }
    return n_kinks;
}

/* Adds the pieces that an interval had. */
static void add_old_pieces(builder *b, table *t, int kind, const piece *old, const double *row)
{
    if (kind == WHOLE)
        add_piece(b, t, INFINITY, 0.0, row);
    if (kind == EXACT)
        add_piece(b, t, INFINITY, 0.0, NULL);
    if (kind == WHOLE || kind == EXACT)
        return;
    for (old += kind - 1; old->end < INFINITY; old++)
        add_piece(b, t, old->end, old->shift, old->row);
    add_piece(b, t, INFINITY, old->shift, old->row);
}

/* Puts the core repulsion of a section into the rows before its end, which is in interval `last`. Not a bit of others
 * changes, and nothing for distances from the end on. */
static void fill_core(builder *b, table *t, const section *part, double cutoff, int last, double *error)
{
    const double outer = part->core.outer, degree_weight = DEGREE_WEIGHT(part);
    const piece *old = t->pieces;
    int i, first;

    t->core = &part->core;
    t->n_pieces = t->capacity = 0;
    fill_rows(b, t, last, part->n_intervals, cutoff, degree_weight, INT_MAX, error);
    cut_intervals(b, t, last, part->n_intervals, cutoff, degree_weight, error);
    for (i = last; i < part->n_intervals; i++) {
        range inside = interval_range(i, part->n_intervals, cutoff);
        if (i > last && t->kinds[i] <= WHOLE)
            continue;
        inside.end = outer;
        first = t->n_pieces;
        if (i == last)
            cut_range(b, t, inside, degree_weight, error);
        add_old_pieces(b, t, t->kinds[i], old, t->rows + (size_t)i * row_size(t));
        t->kinds[i] = first + 1;
    }
}

/* The number of the interval in which the core repulsion of a section ends. */
static int last_of_core(const section *part)
{
    const double last = part->core.outer / part->spacing;
    return last < part->n_intervals - 1 ? (int)last : part->n_intervals - 1;
}

/* Fills the tables of a section in scratch memory; returns as fill_rows. `errors`: of both. */
static int fill_section(builder *b, section *part, int n_intervals, double cutoff, int limit, double *errors)
{
    table *tables[2] = {&part->angular, &part->scalar};
    int k, n_kinks = 0;

    part->n_intervals = n_intervals;
    part->spacing = cutoff / n_intervals;
    for (k = 0; k < 2 && n_kinks <= limit; k++) {
        errors[k] = 0.0;
        size_table(b, tables[k], n_intervals);
        n_kinks += fill_rows(b, tables[k], n_intervals, n_intervals, cutoff, DEGREE_WEIGHT(part), limit - n_kinks,
                             errors + k);
    }
    return n_kinks;
}

/* Fills the tables of sections on the coarsest common grid on which they are accurate. */
static void fill_sections(builder *b, section *parts, int n, double cutoff, double *errors)
{
    int n_intervals, k, most;

    /* 64, 96, 128, 192 and so on */
    for (n_intervals = MIN_INTERVALS;; n_intervals = n_intervals % 3 ? n_intervals / 2 * 3 : n_intervals / 3 * 4) {
        const int limit = n_intervals < MAX_INTERVALS ? MAX_KINKS : INT_MAX;
        for (most = 0, k = 0; k < n && most <= limit; k++)
            most = fill_section(b, parts + k, n_intervals, cutoff, limit, errors + 2 * k);
        if (most <= limit)
            return;
    }
}

/* What the core repulsion of a section makes of a shared table, up to its end. */
static void make_shared_core(builder *b, table *t, const table *shared, const section *part, double cutoff,
                             double *error)
{
    const int last = last_of_core(part);
    int i;

    t->n_columns = shared->n_columns;
    t->columns = shared->columns;
    size_table(b, t, part->n_intervals);
    for (i = last; i < part->n_intervals; i++)
        t->kinds[i] = EXACT;
    fill_core(b, t, part, cutoff, last, error);
}

/* Moves numbers from scratch memory into that of the potential. */
static double *keep_numbers(builder *b, const double *numbers, size_t n)
{
    double *kept = KEEP(n, double);

    memcpy(kept, numbers, n * sizeof(double));
    return kept;
}

/* Moves the first n rows of a table from scratch memory into that of the potential. */
static void keep_table(builder *b, table *t, int n)
{
    const size_t size = row_size(t);
    const int *kinds = t->kinds;
    const piece *pieces = t->pieces;
    size_t k;
    int i;

    /* Behind the last row comes one that nobody may read: NaN would show it. */
    t->rows = keep_numbers(b, t->rows, (size_t)(n + 1) * size);
    for (k = 0; k < size; k++)
        t->rows[(size_t)n * size + k] = NAN;
    t->kinds = KEEP(n + 1, int);
    memcpy(t->kinds, kinds, (size_t)n * sizeof(int));
    t->kinds[n] = EXACT; /* r just below the cutoff may round into the interval behind the last */
    t->pieces = KEEP(t->n_pieces + 1, piece);
    for (i = 0; i < t->n_pieces; i++) {
        t->pieces[i] = pieces[i];
        if (pieces[i].row)
            t->pieces[i].row = keep_numbers(b, pieces[i].row, size);
    }
}

/* Cuts the intervals of the tables of a section, and puts the core repulsion in. Returns their error. */
static double finish_section(builder *b, section *part, double cutoff, double errors[2])
{
    table *tables[2] = {&part->angular, &part->scalar};
    int k;

    for (k = 0; k < 2; k++) {
        cut_intervals(b, tables[k], part->n_intervals, part->n_intervals, cutoff, DEGREE_WEIGHT(part), errors + k);
        if (part->core.outer > 0.0)
            fill_core(b, tables[k], part, cutoff, last_of_core(part), errors + k);
    }
    part->inverse_spacing = 1.0 / part->spacing;
    return errors[0] + errors[1];
}

/* What the core repulsion makes of both shared tables. Returns their error. */
static double finish_shared(builder *b, section *part, const section *shared, double cutoff)
{
    double errors[2] = {0.0, 0.0};

    make_shared_core(b, &part->shared_angular, &shared->angular, part, cutoff, errors);
    make_shared_core(b, &part->shared_scalar, &shared->scalar, part, cutoff, errors + 1);
    keep_table(b, &part->shared_angular, last_of_core(part) + 1);
    keep_table(b, &part->shared_scalar, last_of_core(part) + 1);
    return errors[0] + errors[1];
}

void plip_make_tables(builder *b, section *parts, int n, double cutoff)
{
    double *errors = SCRATCH(2 * n, double), of_shared = 0.0;
    exact_functions at = {0};
    int k, most = 0;

    for (k = 0; k < n; k++)
        most = larger(most, larger(parts[k].angular.n_columns, parts[k].scalar.n_columns));
    plip_keep_functions(b, &at);
    b->at = &at;
    b->at_places = SCRATCH(3 * most, jet);
    fill_sections(b, parts, n, cutoff, errors);
    for (k = n - 1; k >= 0; k--) {
        section *part = parts + k;
        const double own = finish_section(b, part, cutoff, errors + 2 * k);
        double shared = of_shared;
        if (k == n - 1)
            of_shared = n > 1 ? own : 0.0;
        else if (part->core.outer > 0.0)
            shared = fmax(shared, finish_shared(b, part, parts + n - 1, cutoff));
        b->potential->table_error = fmax(b->potential->table_error, 2.0 * (own + shared));
        keep_table(b, &part->angular, part->n_intervals);
        keep_table(b, &part->scalar, part->n_intervals);
    }
}
