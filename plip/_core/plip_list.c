/* Neighbor list by cells: linear in the number of atoms, any cell, any number of images, any empty space. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_core.h"

/* Bins are this fraction of the cutoff: at 1/2 a search visits 3.7 times the volume of the sphere, at 1 6.4 times. They
 * are as wide as the cutoff where there would be too many for a table. */
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

/* The reduced cell, and what may lie in it. */
typedef struct {
    lattice lattice;
    double *fraction;       /* (n, 3) places of the local atoms in units of its vectors */
    double low[3], high[3]; /* where images are within the cutoff of local atoms */
} image_box;

/* The box of the local atoms alone. `largest`: of all fractions. */
static int find_fractions(image_box *box, int n, const double *positions, double *largest)
{
    const lattice *l = &box->lattice;
    int i, k;

    for (k = 0; k < 3; k++) {
        box->low[k] = INFINITY;
        box->high[k] = -INFINITY;
    }
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++) {
            const double *r = positions + 3 * (size_t)i;
            double s = r[0] * l->inverse[0][k] + r[1] * l->inverse[1][k] + r[2] * l->inverse[2][k];
            if (!isfinite(s) || (k < l->n && !(fabs(s) < FAR_AWAY)))
                return PLIP_FAR_AWAY;
            box->fraction[3 * (size_t)i + k] = s;
            *largest = fmax(*largest, fabs(s));
            s -= k < l->n ? floor(s) : 0.0;
            box->low[k] = fmin(box->low[k], s);
            box->high[k] = fmax(box->high[k], s);
        }
    return 0;
}

/* Widens the box by the cutoff. */
static int widen(image_box *box, double cutoff, double largest)
{
    const lattice *l = &box->lattice;
    int k;

    for (k = 0; k < 3; k++) {
        const double height = 1.0 / sqrt(l->inverse[0][k] * l->inverse[0][k] + l->inverse[1][k] * l->inverse[1][k] +
                                         l->inverse[2][k] * l->inverse[2][k]);
        /* with a margin for rounding */
        const double delta = cutoff / height * (1.0 + 1e-10) + 1e-10 + 1e-14 * largest;
        if (k < l->n && !(delta < MAX_REACH))
            return PLIP_TOO_MANY;
        box->low[k] -= delta;
        box->high[k] += delta;
    }
    return 0;
}

/* Which images of atom i are in the box, relative to that in the cell, which is `wrap` away from the atom itself. */
static void images_of(const image_box *box, int i, double wrap[3], int first[3], int last[3])
{
    int k;

    for (k = 0; k < 3; k++) {
        const double s = box->fraction[3 * (size_t)i + k];
        wrap[k] = first[k] = last[k] = 0;
        if (k >= box->lattice.n)
            continue;
        wrap[k] = -floor(s);
        image_range(s - floor(s), box->low[k], box->high[k], first + k, last + k);
    }
}

/* Number of local atoms and images. */
static double count_images(const image_box *box, int n)
{
    double count = n, wrap[3];
    int i, k, first[3], last[3];

    for (i = 0; i < n; i++) {
        double product = 1.0;
        images_of(box, i, wrap, first, last);
        for (k = 0; k < 3; k++)
            product *= last[k] - first[k] + 1;
        count += product - 1.0;
    }
    return count;
}

static int write_images(plip_list *list, int n, const image_box *box)
{
    size_t next = (size_t)n;
    int i, a, b, c;

    for (i = 0; i < n; i++) {
        int first[3], last[3], wrong;
        double wrap[3];
        images_of(box, i, wrap, first, last);
        wrong = add_image(list, (size_t)i, i, &box->lattice, wrap);
        for (a = first[0]; a <= last[0]; a++)
            for (b = first[1]; b <= last[1]; b++)
                for (c = first[2]; c <= last[2]; c++) {
                    const double m[3] = {wrap[0] + a, wrap[1] + b, wrap[2] + c};
                    if (a || b || c)
                        wrong |= add_image(list, next++, i, &box->lattice, m);
                }
        if (wrong)
            return PLIP_FAR_AWAY;
    }
    list->n_local = n;
    list->n_all = (int)next;
    return 0;
}

static int fill_images(plip_list *list, int n, const double *positions, double cutoff, image_box *box)
{
    double largest = 0.0, count;
    int status = find_fractions(box, n, positions, &largest);

    if (!status)
        status = widen(box, cutoff, largest);
    if (status)
        return status;
    count = count_images(box, n);
    if (!(count <= MAX_IMAGES + MAX_IMAGES_PER_ATOM * n) || !(count < INT_MAX / 4))
        return PLIP_TOO_MANY;
    list->owner = array((size_t)count, sizeof(int));
    list->shift = array(3 * (size_t)count, sizeof(int));
    if (!list->owner || !list->shift)
        return PLIP_NO_MEMORY;
    return write_images(list, n, box);
}

/* Local atoms wrapped into the reduced cell, then the images within the cutoff of them. */
static int make_images(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                       double cutoff)
{
    image_box box;
    int status = PLIP_NO_MEMORY;

    box.fraction = array(3 * (size_t)n, sizeof(double));
    make_lattice(&box.lattice, cell, periodic);
    if (box.fraction)
        status = fill_images(list, n, positions, cutoff, &box);
    free(box.fraction);
    return status;
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

static grid make_grid(int n, const double *x, double bin_width)
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
        width = fmax(fmax(bin_width, (high - low) / (MAX_BINS - 1)), 1e-100);
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

/* All atoms in bins. */
typedef struct {
    grid grid;
    int n;
    int reach[3];   /* bins that the cutoff reaches beyond that of an atom */
    double *x;      /* (n, 3) positions */
    double *sorted; /* (3, n) in the order of the bins */
    binned *atoms;  /* (n,) */
    int *start;     /* where each bin begins; NULL if there are too many of them */
} bins;

static void free_bins(bins *all)
{
    free(all->x);
    free(all->sorted);
    free(all->atoms);
    free(all->start);
}

static void place_atoms(bins *all, const plip_list *list, const double *positions, const double *cell)
{
    int i, k;

    for (i = 0; i < all->n; i++)
        for (k = 0; k < 3; k++) {
            const int *s = list->shift + 3 * (size_t)i;
            all->x[3 * (size_t)i + k] =
                positions[3 * (size_t)list->owner[i] + k] + (s[0] * cell[k] + s[1] * cell[3 + k] + s[2] * cell[6 + k]);
        }
}

static double count_bins(const grid *g)
{
    return (double)g->n[0] * g->n[1] * g->n[2];
}

static int make_bins(bins *all, const plip_list *list, const double *positions, const double *cell, double cutoff)
{
    const int n = all->n = list->n_all;
    const double most_bins = (double)BINS_PER_ATOM * n;
    const grid *g = &all->grid;
    grid wide;
    double n_bins;
    int i, k;

    all->x = array(3 * (size_t)n, sizeof(double));
    all->sorted = array(3 * (size_t)n, sizeof(double));
    all->atoms = array((size_t)n, sizeof(binned));
    if (!all->x || !all->sorted || !all->atoms)
        return PLIP_NO_MEMORY;
    place_atoms(all, list, positions, cell);
    all->grid = make_grid(n, all->x, cutoff / BINS_PER_CUTOFF);
    if (count_bins(g) > most_bins) {
        wide = make_grid(n, all->x, cutoff);
        if (count_bins(&wide) <= most_bins)
            all->grid = wide;
    }
    n_bins = count_bins(g);
    if (n_bins <= most_bins) {
        all->start = calloc((size_t)n_bins + 1, sizeof(int));
        if (!all->start)
            return PLIP_NO_MEMORY;
    }
    /* The x axis is innermost: the bins that a search visits along x lie in one run. */
    for (i = 0; i < n; i++) {
        const double *r = all->x + 3 * (size_t)i;
        all->atoms[i].bin = ((int64_t)bin_of(g, 2, r[2]) * g->n[1] + bin_of(g, 1, r[1])) * g->n[0] + bin_of(g, 0, r[0]);
        all->atoms[i].atom = i;
    }
    if (sort_atoms(all->atoms, n, all->start, (size_t)n_bins))
        return PLIP_NO_MEMORY;
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++)
            all->sorted[(size_t)k * n + i] = all->x[3 * (size_t)all->atoms[i].atom + k];
    for (k = 0; k < 3; k++)
        all->reach[k] = (int)ceil(cutoff * g->inverse_width[k] * (1.0 - 1e-12));
    return 0;
}

/* Pairs that are found, and room for more. */
typedef struct {
    double square_cutoff, visits;
    size_t capacity;
    int64_t used;
} search;

/* Makes room for `more` neighbors of atom i. The first guess is from the atoms done so far. */
static int reserve(plip_list *list, search *done, int i, int more, double most)
{
    if (done->capacity < (size_t)(done->used + more)) {
        const double guess = 1.05 * (double)(done->used + 64) / (i + 1) * list->n_local;
        const size_t wanted = (size_t)fmin(guess, most) + (size_t)(done->used + more);
        int *grown = realloc(list->neighbors, wanted * sizeof(int));
        if (!grown)
            return PLIP_NO_MEMORY;
        list->neighbors = grown;
        done->capacity = wanted;
    }
    return 0;
}

/* Adds those neighbors of atom i that are among the sorted atoms from `first` to `last` - 1. */
static void add_neighbors(plip_list *list, const bins *all, search *done, int i, int first, int last)
{
    const double *r = all->x + 3 * (size_t)i;
    const double *x = all->sorted, *y = x + all->n, *z = y + all->n;
    const double square_cutoff = done->square_cutoff;
    int64_t used = done->used;
    int m;

    for (m = first; m < last; m++) {
        const double dx = x[m] - r[0], dy = y[m] - r[1], dz = z[m] - r[2];
        const double square = dx * dx + dy * dy + dz * dz;
        const int other = all->atoms[m].atom;
        list->neighbors[used] = other;
        used += (square < square_cutoff) & (other != i);
    }
    done->used = used;
    done->visits += last - first;
}

static int find_neighbors_of(plip_list *list, const bins *all, search *done, int i, double most)
{
    const grid *g = &all->grid;
    const int *start = all->start;
    int low[3], high[3], by, bz, k;

    for (k = 0; k < 3; k++) {
        const int b = bin_of(g, k, all->x[3 * (size_t)i + k]);
        low[k] = b > all->reach[k] ? b - all->reach[k] : 0;
        high[k] = b + all->reach[k] < g->n[k] ? b + all->reach[k] : g->n[k] - 1;
    }
    for (bz = low[2]; bz <= high[2]; bz++)
        for (by = low[1]; by <= high[1]; by++) {
            const int64_t row = ((int64_t)bz * g->n[1] + by) * g->n[0];
            const int first = start ? start[row + low[0]] : bisect(all->atoms, all->n, row + low[0]);
            const int last = start ? start[row + high[0] + 1] : bisect(all->atoms, all->n, row + high[0] + 1);
            if (reserve(list, done, i, last - first, most))
                return PLIP_NO_MEMORY;
            add_neighbors(list, all, done, i, first, last);
        }
    list->offset[i + 1] = done->used;
    if ((double)done->used > most || done->used - list->offset[i] > MAX_NEIGHBORS || done->visits > MAX_VISITS)
        return PLIP_TOO_MANY;
    return 0;
}

static int find_all_neighbors(plip_list *list, const bins *all, double cutoff)
{
    const double most = fmax(MAX_PAIRS, MAX_PAIRS_PER_ATOM * list->n_local);
    search done = {.square_cutoff = cutoff * cutoff};
    int i, status = 0, *fitted;

    for (i = 0; i < list->n_local && !status; i++)
        status = find_neighbors_of(list, all, &done, i, most);
    fitted = realloc(list->neighbors, (done.used ? (size_t)done.used : 1) * sizeof(int));
    if (fitted)
        list->neighbors = fitted;
    return status;
}

int plip_list_build(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                    double cutoff)
{
    bins all = {.n = 0};
    int status;

    memset(list, 0, sizeof *list);
    list->offset = array((size_t)n + 1, sizeof(int64_t));
    if (!list->offset)
        return PLIP_NO_MEMORY;
    list->offset[0] = 0;
    if (n == 0)
        return 0;
    status = make_images(list, n, positions, cell, periodic, cutoff);
    if (!status)
        status = make_bins(&all, list, positions, cell, cutoff);
    if (!status)
        status = find_all_neighbors(list, &all, cutoff);
    free_bins(&all);
    if (status)
        plip_list_free(list);
    return status;
}
