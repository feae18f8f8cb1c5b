/* Neighbor list by cells: linear in the number of atoms, any cell, any number of images, any empty space. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_core.h"

/* Bins are this fraction of the cutoff: at 1/2 a search visits 3.7 times the volume of the sphere, at 1 6.4 times. */
#define BINS_PER_CUTOFF 2
/* Bins along an axis, at most: the product of three fits 64 bits. Boxes of a million bins have wider ones. */
#define MAX_BINS (1 << 20)
/* Up to so many bins for each atom have a place in a table; more are found by bisection. */
#define BINS_PER_ATOM 16
/* Cell vectors that an atom may be away from the cell; vectors along which the cutoff may reach; coefficients of the
 * reduced cell. Products of them are checked. */
#define FAR_AWAY 1e8
#define MAX_REACH 1e6
/* 200 MB of pairs, 1.5 GB of images; large systems may have as many as cutoffs of 10 Angstrom give. */
#define MAX_PAIRS 50000000.0
#define MAX_PAIRS_PER_ATOM 500.0
/* Of one atom: an evaluation takes about a kilobyte for each. A cutoff of 80 Angstrom in a metal. */
#define MAX_NEIGHBORS 200000
#define MAX_IMAGES 20000000.0
#define MAX_IMAGES_PER_ATOM 8.0
/* Distances that one call computes: seconds. Only matter much denser than the bins of a huge box comes here. */
#define MAX_VISITS 1e10

static void *array(size_t count, size_t size)
{
    return malloc((count ? count : 1) * size);
}

void plip_list_free(plip_list *list)
{
    free(list->owner);
    free(list->shift);
    free(list->offset);
    free(list->neighbors);
    memset(list, 0, sizeof *list);
}

static double dot(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The lattice of the periodic rows of `cell`, by short vectors. */
typedef struct {
    int n;               /* periodic directions; they come first */
    double vector[3][3]; /* the others are unit vectors normal to them */
    double number[3][3]; /* vector = number . cell, integers */
    double inverse[3][3]; /* vector . inverse = 1 */
} lattice;

static void combine(lattice *l, int k, const double *number, const double *cell)
{
    int c;

    for (c = 0; c < 3; c++) {
        l->number[k][c] = number[c];
        l->vector[k][c] = number[0] * cell[c] + number[1] * cell[3 + c] + number[2] * cell[6 + c];
    }
}

/* vector[k] -= a vector[0] + b vector[1], if that is shorter */
static int shorten(lattice *l, int k, double a, double b, const double *cell)
{
    lattice trial = *l;
    double number[3];
    int c;

    for (c = 0; c < 3; c++)
        number[c] = l->number[k][c] - a * l->number[0][c] - (k > 1 ? b * l->number[1][c] : 0.0);
    combine(&trial, k, number, cell);
    /* The margin is for rounding, so that vectors of one length do not take turns for ever. */
    if (!(dot(trial.vector[k], trial.vector[k]) < dot(l->vector[k], l->vector[k]) * (1.0 - 1e-9)))
        return 0;
    *l = trial;
    return 1;
}

static void sort_vectors(lattice *l)
{
    int pass, k;

    for (pass = 0; pass < l->n; pass++)
        for (k = 0; k + 1 < l->n; k++)
            if (dot(l->vector[k], l->vector[k]) > dot(l->vector[k + 1], l->vector[k + 1])) {
                double v[3], m[3];
                memcpy(v, l->vector[k], sizeof v);
                memcpy(m, l->number[k], sizeof m);
                memcpy(l->vector[k], l->vector[k + 1], sizeof v);
                memcpy(l->number[k], l->number[k + 1], sizeof m);
                memcpy(l->vector[k + 1], v, sizeof v);
                memcpy(l->number[k + 1], m, sizeof m);
            }
}

/* Shorten the longest vector by the others until nothing helps: the Minkowski-reduced basis in up to three
 * dimensions (Semaev, Lecture Notes in Computer Science 2146, 181 (2001)). */
static void reduce(lattice *l, const double *cell)
{
    int changed = 1, a, b;

    while (changed) {
        double v00, v01, v11, v02, v12, det, y0, y1;
        changed = 0;
        sort_vectors(l);
        v00 = dot(l->vector[0], l->vector[0]);
        v01 = dot(l->vector[0], l->vector[1]);
        if (l->n >= 2 && v00 > 0.0 && shorten(l, 1, nearbyint(v01 / v00), 0.0, cell)) {
            changed = 1;
            continue;
        }
        if (l->n < 3)
            continue;
        v11 = dot(l->vector[1], l->vector[1]);
        v02 = dot(l->vector[0], l->vector[2]);
        v12 = dot(l->vector[1], l->vector[2]);
        det = v00 * v11 - v01 * v01;
        if (!(det > 0.0))
            continue;
        y0 = nearbyint((v02 * v11 - v12 * v01) / det);
        y1 = nearbyint((v12 * v00 - v02 * v01) / det);
        for (a = -1; a <= 1; a++)
            for (b = -1; b <= 1; b++)
                changed |= shorten(l, 2, a + (changed ? 0.0 : y0), b + (changed ? 0.0 : y1), cell);
    }
}

static void cross(const double *a, const double *b, double *result)
{
    int k;

    for (k = 0; k < 3; k++)
        result[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

static void normalize(double *a)
{
    const double length = sqrt(dot(a, a));
    int k;

    for (k = 0; k < 3; k++)
        a[k] /= length;
}

static void make_lattice(lattice *l, const double *cell, const int *periodic)
{
    int k, c;

    memset(l, 0, sizeof *l);
    for (k = 0; k < 3; k++)
        if (periodic[k]) {
            double number[3] = {0.0, 0.0, 0.0};
            number[k] = 1.0;
            combine(l, l->n++, number, cell);
        }
    reduce(l, cell);
    if (l->n == 0)
        l->vector[0][0] = 1.0;
    if (l->n <= 1) {
        /* Normal to the first vector, from the axis that is farthest from it. */
        const double *v = l->vector[0];
        double axis[3] = {0.0, 0.0, 0.0};
        k = fabs(v[0]) <= fabs(v[1]) ? 0 : 1;
        axis[fabs(v[2]) < fabs(v[k]) ? 2 : k] = 1.0;
        cross(v, axis, l->vector[1]);
        normalize(l->vector[1]);
    }
    if (l->n <= 2) {
        cross(l->vector[0], l->vector[1], l->vector[2]);
        normalize(l->vector[2]);
    }
    for (k = 0; k < 3; k++) {
        double normal[3], volume;
        cross(l->vector[(k + 1) % 3], l->vector[(k + 2) % 3], normal);
        volume = dot(l->vector[k], normal);
        for (c = 0; c < 3; c++)
            l->inverse[c][k] = normal[c] / volume;
    }
}

/* Integers m with low <= s + m <= high. */
static void image_range(double s, double low, double high, int *first, int *last)
{
    *first = (int)ceil(low - s);
    *last = (int)floor(high - s);
}

/* Cell vectors of an image m of the reduced lattice. -1 if they do not fit an int. */
static int add_image(plip_list *list, size_t place, int owner, const lattice *l, const double *m)
{
    int c;

    list->owner[place] = owner;
    for (c = 0; c < 3; c++) {
        double shift = m[0] * l->number[0][c] + m[1] * l->number[1][c] + m[2] * l->number[2][c];
        if (!(fabs(shift) < INT_MAX / 4))
            return -1;
        list->shift[3 * place + c] = (int)shift;
    }
    return 0;
}

/* Local atoms wrapped into the reduced cell, then the images within the cutoff of them. */
static int make_images(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                       double cutoff)
{
    const double most = MAX_IMAGES + MAX_IMAGES_PER_ATOM * n;
    lattice l;
    double low[3], high[3], largest = 0.0, count = n;
    double *fraction = array(3 * (size_t)n, sizeof(double));
    int i, k;
    size_t next = (size_t)n;

    if (!fraction)
        return PLIP_NO_MEMORY;
    make_lattice(&l, cell, periodic);
    for (k = 0; k < 3; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
    }
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++) {
            const double *r = positions + 3 * (size_t)i;
            double s = r[0] * l.inverse[0][k] + r[1] * l.inverse[1][k] + r[2] * l.inverse[2][k];
            if (!isfinite(s) || (k < l.n && !(fabs(s) < FAR_AWAY))) {
                free(fraction);
                return PLIP_FAR_AWAY;
            }
            fraction[3 * (size_t)i + k] = s;
            largest = fmax(largest, fabs(s));
            s -= k < l.n ? floor(s) : 0.0;
            low[k] = fmin(low[k], s);
            high[k] = fmax(high[k], s);
        }
    for (k = 0; k < 3; k++) {
        const double height = 1.0 / sqrt(l.inverse[0][k] * l.inverse[0][k] + l.inverse[1][k] * l.inverse[1][k] +
                                         l.inverse[2][k] * l.inverse[2][k]);
        /* with a margin for rounding */
        double delta = cutoff / height * (1.0 + 1e-10) + 1e-10 + 1e-14 * largest;
        if (k < l.n && !(delta < MAX_REACH)) {
            free(fraction);
            return PLIP_TOO_MANY;
        }
        low[k] -= delta;
        high[k] += delta;
    }
    for (i = 0; i < n; i++) {
        double product = 1.0;
        for (k = 0; k < l.n; k++) {
            int first, last;
            double s = fraction[3 * (size_t)i + k];
            image_range(s - floor(s), low[k], high[k], &first, &last);
            product *= last - first + 1;
        }
        count += product - 1.0;
    }
    if (!(count <= most) || !(count < INT_MAX / 4)) {
        free(fraction);
        return PLIP_TOO_MANY;
    }
    list->owner = array((size_t)count, sizeof(int));
    list->shift = array(3 * (size_t)count, sizeof(int));
    if (!list->owner || !list->shift) {
        free(fraction);
        return PLIP_NO_MEMORY;
    }
    for (i = 0; i < n; i++) {
        int first[3] = {0, 0, 0}, last[3] = {0, 0, 0}, a, b, c, wrong;
        double wrap[3] = {0.0, 0.0, 0.0};
        for (k = 0; k < l.n; k++) {
            double s = fraction[3 * (size_t)i + k];
            wrap[k] = -floor(s);
            image_range(s - floor(s), low[k], high[k], &first[k], &last[k]);
        }
        wrong = add_image(list, (size_t)i, i, &l, wrap);
        for (a = first[0]; a <= last[0]; a++)
            for (b = first[1]; b <= last[1]; b++)
                for (c = first[2]; c <= last[2]; c++) {
                    double m[3] = {wrap[0] + a, wrap[1] + b, wrap[2] + c};
                    if (a || b || c)
                        wrong |= add_image(list, next++, i, &l, m);
                }
        if (wrong) {
            free(fraction);
            return PLIP_FAR_AWAY;
        }
    }
    free(fraction);
    list->n_local = n;
    list->n_all = (int)next;
    return 0;
}

typedef struct {
    double origin[3], inverse_width[3];
    int n[3];
} grid;

static int bin_of(const grid *g, int axis, double x)
{
    int b = (int)((x - g->origin[axis]) * g->inverse_width[axis]);
    return b < 0 ? 0 : b >= g->n[axis] ? g->n[axis] - 1 : b;
}

static grid make_grid(int n, const double *x, double cutoff)
{
    grid g;
    int k, i;

    for (k = 0; k < 3; k++) {
        double low = x[k], high = x[k], width;
        for (i = 1; i < n; i++) {
            low = fmin(low, x[3 * (size_t)i + k]);
            high = fmax(high, x[3 * (size_t)i + k]);
        }
        /* One of all numbers at least, so that its inverse is a number too. */
        width = fmax(fmax(cutoff / BINS_PER_CUTOFF, (high - low) / (MAX_BINS - 1)), 1e-100);
        g.origin[k] = low;
        g.inverse_width[k] = 1.0 / width;
        g.n[k] = (int)((high - low) * g.inverse_width[k]) + 1;
    }
    return g;
}

typedef struct {
    int64_t bin;
    int atom;
} binned;

static int compare_binned(const void *first, const void *second)
{
    const binned *a = first, *b = second;

    return a->bin != b->bin ? (a->bin > b->bin) - (a->bin < b->bin) : (a->atom > b->atom) - (a->atom < b->atom);
}

/* The first of n sorted atoms in `bin` or behind it. */
static int bisect(const binned *atoms, int n, int64_t bin)
{
    int low = 0, high = n;

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (atoms[middle].bin < bin)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Sort atoms by bin; `start` (of n_bins + 1 places) tells where each bin begins, unless it is NULL. */
static int sort_atoms(binned *atoms, int n, int *start, size_t n_bins)
{
    binned *sorted;
    size_t b;
    int i;

    if (!start) {
        qsort(atoms, (size_t)n, sizeof *atoms, compare_binned);
        return 0;
    }
    sorted = array((size_t)n, sizeof *sorted);
    if (!sorted)
        return -1;
    for (i = 0; i < n; i++)
        start[atoms[i].bin + 1]++;
    for (b = 0; b < n_bins; b++)
        start[b + 1] += start[b];
    for (i = 0; i < n; i++)
        sorted[start[atoms[i].bin]++] = atoms[i];
    for (b = n_bins; b > 0; b--)
        start[b] = start[b - 1];
    start[0] = 0;
    memcpy(atoms, sorted, (size_t)n * sizeof *sorted);
    free(sorted);
    return 0;
}

int plip_list_build(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                    double cutoff)
{
    const double most = fmax(MAX_PAIRS, MAX_PAIRS_PER_ATOM * n);
    double *x = NULL, *sorted = NULL, n_bins, visits = 0.0;
    binned *atoms = NULL;
    int *start = NULL;
    size_t capacity = 0;
    int64_t used = 0;
    int n_all, i, k, reach[3], status = PLIP_NO_MEMORY;
    grid g;

    memset(list, 0, sizeof *list);
    list->offset = array((size_t)n + 1, sizeof(int64_t));
    if (!list->offset)
        return PLIP_NO_MEMORY;
    list->offset[0] = 0;
    if (n == 0)
        return 0;
    status = make_images(list, n, positions, cell, periodic, cutoff);
    if (status)
        goto fail;
    status = PLIP_NO_MEMORY;
    n_all = list->n_all;
    x = array(3 * (size_t)n_all, sizeof(double));
    sorted = array(3 * (size_t)n_all, sizeof(double));
    atoms = array((size_t)n_all, sizeof(binned));
    if (!x || !sorted || !atoms)
        goto fail;
    for (i = 0; i < n_all; i++)
        for (k = 0; k < 3; k++) {
            const int *s = list->shift + 3 * (size_t)i;
            x[3 * (size_t)i + k] =
                positions[3 * (size_t)list->owner[i] + k] + (s[0] * cell[k] + s[1] * cell[3 + k] + s[2] * cell[6 + k]);
        }
    g = make_grid(n_all, x, cutoff);
    n_bins = (double)g.n[0] * g.n[1] * g.n[2];
    if (n_bins <= (double)BINS_PER_ATOM * n_all) {
        start = calloc((size_t)n_bins + 1, sizeof(int));
        if (!start)
            goto fail;
    }
    /* The x axis is innermost: the bins that a search visits along x lie in one run. */
    for (i = 0; i < n_all; i++) {
        const double *r = x + 3 * (size_t)i;
        atoms[i].bin = ((int64_t)bin_of(&g, 2, r[2]) * g.n[1] + bin_of(&g, 1, r[1])) * g.n[0] + bin_of(&g, 0, r[0]);
        atoms[i].atom = i;
    }
    if (sort_atoms(atoms, n_all, start, (size_t)n_bins))
        goto fail;
    for (i = 0; i < n_all; i++)
        for (k = 0; k < 3; k++)
            sorted[(size_t)k * n_all + i] = x[3 * (size_t)atoms[i].atom + k];
    for (k = 0; k < 3; k++)
        reach[k] = (int)ceil(cutoff * g.inverse_width[k] * (1.0 - 1e-12));

    for (i = 0; i < n; i++) {
        const double *r = x + 3 * (size_t)i;
        int low[3], high[3], by, bz;
        for (k = 0; k < 3; k++) {
            int b = bin_of(&g, k, r[k]);
            low[k] = b > reach[k] ? b - reach[k] : 0;
            high[k] = b + reach[k] < g.n[k] ? b + reach[k] : g.n[k] - 1;
        }
        for (bz = low[2]; bz <= high[2]; bz++)
            for (by = low[1]; by <= high[1]; by++) {
                const int64_t row = ((int64_t)bz * g.n[1] + by) * g.n[0];
                const int first = start ? start[row + low[0]] : bisect(atoms, n_all, row + low[0]);
                const int last = start ? start[row + high[0] + 1] : bisect(atoms, n_all, row + high[0] + 1);
                int m;
                if (capacity < (size_t)(used + last - first)) {
                    /* The first guess is from the atoms done so far. */
                    double guess = 1.05 * (double)(used + 64) / (i + 1) * n;
                    size_t wanted = (size_t)fmin(guess, most) + (size_t)(used + last - first);
                    int *grown = realloc(list->neighbors, wanted * sizeof(int));
                    if (!grown)
                        goto fail;
                    list->neighbors = grown;
                    capacity = wanted;
                }
                for (m = first; m < last; m++) {
                    double dx = sorted[m] - r[0], dy = sorted[(size_t)n_all + m] - r[1];
                    double dz = sorted[2 * (size_t)n_all + m] - r[2];
                    double square = dx * dx + dy * dy + dz * dz;
                    int other = atoms[m].atom;
                    list->neighbors[used] = other;
                    used += (square < cutoff * cutoff) & (other != i);
                }
                visits += last - first;
            }
        list->offset[i + 1] = used;
        if ((double)used > most || used - list->offset[i] > MAX_NEIGHBORS || visits > MAX_VISITS) {
            status = PLIP_TOO_MANY;
            goto fail;
        }
    }
    status = 0;
    {
        int *fitted = realloc(list->neighbors, (used ? (size_t)used : 1) * sizeof(int));
        if (fitted)
            list->neighbors = fitted;
    }
fail:
    free(x);
    free(sorted);
    free(atoms);
    free(start);
    if (status)
        plip_list_free(list);
    return status;
}
