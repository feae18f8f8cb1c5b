/* Neighbour list by cells: linear in the number of atoms, any cell, any number of images. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plip_core.h"

/* Bins are this fraction of the cutoff: at 1/2 a search visits 3.7 times the volume of the sphere, at 1 6.4 times. */
#define BINS_PER_CUTOFF 2
/* Cell vectors that an atom may be away from the cell, and that the cutoff may span: more would not fit an int. */
#define MAX_IMAGES 1e6

static void *array(size_t count, size_t size)
{
    return malloc((count ? count : 1) * size);
}

void plip_list_free(plip_list *list)
{
    free(list->owner);
    free(list->shift);
    free(list->offset);
    free(list->neighbours);
    memset(list, 0, sizeof *list);
}

/* Integers m with low <= s + m <= high. */
static void image_range(double s, double low, double high, int *first, int *last)
{
    *first = (int)ceil(low - s);
    *last = (int)floor(high - s);
}

static void invert(const double *a, double *inverse)
{
    double det;
    int i, j;

    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++) {
            int i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;
            inverse[3 * j + i] = a[3 * i1 + j1] * a[3 * i2 + j2] - a[3 * i1 + j2] * a[3 * i2 + j1];
        }
    det = a[0] * inverse[0] + a[1] * inverse[3] + a[2] * inverse[6];
    for (i = 0; i < 9; i++)
        inverse[i] /= det;
}

/* Local atoms wrapped into the cell, then the images within the cutoff of them. */
static int make_images(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                       double cutoff)
{
    double inverse[9], low[3], high[3];
    double *fraction = array(3 * (size_t)n, sizeof(double));
    int i, k, pass;
    size_t count = 0;

    list->owner = NULL;
    if (!fraction)
        return -1;
    invert(cell, inverse);
    for (k = 0; k < 3; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
    }
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++) {
            const double *r = positions + 3 * (size_t)i;
            double s = r[0] * inverse[k] + r[1] * inverse[3 + k] + r[2] * inverse[6 + k];
            if (periodic[k] && !(fabs(s) < MAX_IMAGES)) {
                free(fraction);
                return -2;
            }
            fraction[3 * (size_t)i + k] = s;
            s -= periodic[k] ? floor(s) : 0.0;
            if (s < low[k])
                low[k] = s;
            if (s > high[k])
                high[k] = s;
        }
    for (k = 0; k < 3; k++) {
        double *c = inverse + k;
        /* cutoff over the height of the cell, with a margin for rounding */
        double delta = cutoff * sqrt(c[0] * c[0] + c[3] * c[3] + c[6] * c[6]) * (1.0 + 1e-10) + 1e-10;
        if (periodic[k] && !(delta < MAX_IMAGES)) {
            free(fraction);
            return -2;
        }
        low[k] -= delta;
        high[k] += delta;
    }
    for (pass = 0; pass < 2; pass++) {
        size_t next = (size_t)n;
        for (i = 0; i < n; i++) {
            int wrap[3], first[3] = {0, 0, 0}, last[3] = {0, 0, 0}, a, b, c;
            for (k = 0; k < 3; k++) {
                double s = fraction[3 * (size_t)i + k];
                wrap[k] = periodic[k] ? -(int)floor(s) : 0;
                if (periodic[k])
                    image_range(s + wrap[k], low[k], high[k], &first[k], &last[k]);
            }
            if (pass == 0) {
                next += (size_t)(last[0] - first[0] + 1) * (last[1] - first[1] + 1) * (last[2] - first[2] + 1) - 1;
                if (next > INT_MAX / 4) {
                    free(fraction);
                    return -2;
                }
                continue;
            }
            list->owner[i] = i;
            memcpy(list->shift + 3 * (size_t)i, wrap, sizeof wrap);
            for (a = first[0]; a <= last[0]; a++)
                for (b = first[1]; b <= last[1]; b++)
                    for (c = first[2]; c <= last[2]; c++) {
                        if (a == 0 && b == 0 && c == 0)
                            continue;
                        list->owner[next] = i;
                        list->shift[3 * next] = wrap[0] + a;
                        list->shift[3 * next + 1] = wrap[1] + b;
                        list->shift[3 * next + 2] = wrap[2] + c;
                        next++;
                    }
        }
        if (pass == 1)
            break;
        count = next;
        list->owner = array(count, sizeof(int));
        list->shift = array(3 * count, sizeof(int));
        if (!list->owner || !list->shift) {
            free(fraction);
            return -1;
        }
    }
    free(fraction);
    list->n_local = n;
    list->n_all = (int)count;
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
    double size[3], width = cutoff / BINS_PER_CUTOFF;
    int k, i;

    for (k = 0; k < 3; k++) {
        double low = x[k], high = x[k];
        for (i = 1; i < n; i++) {
            double value = x[3 * (size_t)i + k];
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        g.origin[k] = low;
        size[k] = high - low;
    }
    /* Sparse systems would need more bins than atoms: coarser bins then. */
    for (;;) {
        double total = 1.0;
        for (k = 0; k < 3; k++)
            total *= floor(size[k] / width) + 1.0;
        if (total <= 4.0 * n + 64.0)
            break;
        width *= 1.25;
    }
    for (k = 0; k < 3; k++) {
        g.n[k] = (int)floor(size[k] / width) + 1;
        g.inverse_width[k] = 1.0 / width;
    }
    return g;
}

int plip_list_build(plip_list *list, int n, const double *positions, const double *cell, const int *periodic,
                    double cutoff)
{
    double *x = NULL, *sorted = NULL;
    int *start = NULL, *index = NULL, *bin = NULL;
    size_t n_bins, capacity = 0;
    int64_t used = 0;
    double closest = INFINITY;
    int n_all, i, k, reach[3], status;
    grid g;

    memset(list, 0, sizeof *list);
    status = make_images(list, n, positions, cell, periodic, cutoff);
    if (status)
        goto fail;
    status = -1;
    n_all = list->n_all;
    x = array(3 * (size_t)n_all, sizeof(double));
    sorted = array(3 * (size_t)n_all, sizeof(double));
    index = array((size_t)n_all, sizeof(int));
    bin = array((size_t)n_all, sizeof(int));
    list->offset = array((size_t)n + 1, sizeof(int64_t));
    if (!x || !sorted || !index || !bin || !list->offset)
        goto fail;
    for (i = 0; i < n_all; i++)
        for (k = 0; k < 3; k++) {
            const int *s = list->shift + 3 * (size_t)i;
            x[3 * (size_t)i + k] =
                positions[3 * (size_t)list->owner[i] + k] + (s[0] * cell[k] + s[1] * cell[3 + k] + s[2] * cell[6 + k]);
        }
    g = make_grid(n_all, x, cutoff);
    n_bins = (size_t)g.n[0] * g.n[1] * g.n[2];
    start = calloc(n_bins + 1, sizeof(int));
    if (!start)
        goto fail;
    /* Counting sort by bin, the x axis innermost: the bins that a search visits along x lie in one run. */
    for (i = 0; i < n_all; i++) {
        const double *r = x + 3 * (size_t)i;
        bin[i] = (bin_of(&g, 2, r[2]) * g.n[1] + bin_of(&g, 1, r[1])) * g.n[0] + bin_of(&g, 0, r[0]);
        start[bin[i] + 1]++;
    }
    for (i = 0; i < (int)n_bins; i++)
        start[i + 1] += start[i];
    for (i = 0; i < n_all; i++) {
        int place = start[bin[i]]++;
        index[place] = i;
        for (k = 0; k < 3; k++)
            sorted[(size_t)k * n_all + place] = x[3 * (size_t)i + k];
    }
    for (i = (int)n_bins; i > 0; i--)
        start[i] = start[i - 1];
    start[0] = 0;
    for (k = 0; k < 3; k++)
        reach[k] = (int)ceil(cutoff * g.inverse_width[k] * (1.0 - 1e-12));

    list->offset[0] = 0;
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
                size_t row = ((size_t)bz * g.n[1] + by) * g.n[0];
                int first = start[row + low[0]], last = start[row + high[0] + 1], m;
                if (capacity < (size_t)(used + last - first)) {
                    /* The first guess is from the atoms done so far. */
                    size_t wanted = (size_t)(1.05 * (double)(used + 64) / (i + 1) * n) + (size_t)(used + last - first);
                    int *grown = realloc(list->neighbours, wanted * sizeof(int));
                    if (!grown)
                        goto fail;
                    list->neighbours = grown;
                    capacity = wanted;
                }
                for (m = first; m < last; m++) {
                    double dx = sorted[m] - r[0], dy = sorted[(size_t)n_all + m] - r[1];
                    double dz = sorted[2 * (size_t)n_all + m] - r[2];
                    double square = dx * dx + dy * dy + dz * dz;
                    list->neighbours[used] = index[m];
                    used += (square < cutoff * cutoff) & (index[m] != i);
                    if (square < closest && index[m] != i)
                        closest = square;
                }
            }
        list->offset[i + 1] = used;
    }
    list->closest = sqrt(closest);
    status = 0;
    {
        int *fitted = realloc(list->neighbours, (used ? (size_t)used : 1) * sizeof(int));
        if (fitted)
            list->neighbours = fitted;
    }
fail:
    free(x);
    free(sorted);
    free(index);
    free(bin);
    free(start);
    if (status)
        plip_list_free(list);
    return status;
}
