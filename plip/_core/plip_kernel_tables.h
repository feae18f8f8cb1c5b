/* Radial functions of the neighbors of a center, from tables; part of plip_kernel.h. */

/* All columns at one distance by the exact functions; see plip_column_exact. */
static void NAME(evaluate_columns)(const plip_potential *potential, const table *radial, double r, int alone, double *g,
                                   double *dg)
{
    double value[3];
    int c;

    for (c = 0; c < radial->n_columns; c++) {
        plip_column_exact(potential, radial->columns + c, radial->core, r, alone, value);
        g[c] = value[0];
        dg[c] = value[1];
    }
}

/* All columns of one interval, by the weights of one neighbor. */
static FORCE_INLINE void NAME(interpolate)(const double *knot, int columns, const double *weights, int stride,
                                           double *g, double *dg)
{
    const VECTOR zero = {0};
    VECTOR w[12];
    int c, k;

    for (k = 0; k < 12; k++)
        w[k] = weights[k * (size_t)stride] - zero;
    for (c = 0; c < columns; c += LANES) {
        VECTOR data = LOAD(knot + c);
        VECTOR value = data * w[0], slope = data * w[6];
        for (k = 1; k < 6; k++) {
            data = LOAD(knot + k * columns + c);
            value += data * w[k];
            slope += data * w[6 + k];
        }
        STORE(g + c, value);
        STORE(dg + c, slope);
    }
}

/* Values and derivatives of all columns of a table at n distances, `row` numbers from one to the next. `alone`: by the exact
 * functions, without the part of a neighbor with itself. */
static void NAME(look_up)(const plip_potential *potential, const table *radial, int alone, int n, const double *r,
                          const int *interval, const double *weights, int stride, double *g, double *dg, int row)
{
    const int columns = radial->n_columns;
    int j;

    for (j = 0; j < n; j++, g += row, dg += row) {
        const double *knot = radial->knots + (size_t)interval[j] * 3 * columns;
        const int is_parted = radial->exact[interval[j]] == PARTED && r[j] >= radial->core->outer;
        if (alone || (radial->exact[interval[j]] && !is_parted))
            NAME(evaluate_columns)(potential, radial, r[j], alone, g, dg);
        else
            NAME(interpolate)(is_parted ? radial->beyond : knot, columns, weights + j, stride, g, dg);
    }
}

/* The same for shared columns: neighbors within the core repulsion have the table `inside`. */
static void NAME(look_up_shared)(const plip_potential *potential, const section *part, const table *radial,
                                 const table *inside, int alone, int n, const double *r, const int *interval,
                                 const double *weights, int stride, double *g, double *dg, int row)
{
    int first, end;

    for (first = 0; first < n && radial->n_columns; first = end) {
        const int is_inside = r[first] < part->core.outer;
        for (end = first + 1; end < n && (r[end] < part->core.outer) == is_inside; end++)
            ;
        NAME(look_up)(potential, is_inside ? inside : radial, alone, end - first, r + first, interval + first,
                      weights + first, stride, g + (size_t)first * row, dg + (size_t)first * row, row);
    }
}

/* Finds unit vectors, intervals of the table and weights of its knots. */
static void NAME(prepare_pairs)(const section *part, pair_arrays *pairs, int stride)
{
    const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
    double *const r = pairs->r, *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
    double *const inverse = uz + stride, *const weights = inverse + stride;
    int *const interval = pairs->interval;
    int j;

    INDEPENDENT
    for (j = 0; j < stride; j++) {
        const double distance = sqrt(r[j]), over = 1.0 / distance, slope = part->inverse_spacing;
        const double scaled = distance * slope;
        const int left = (int)scaled;
        const double t = scaled - left, t2 = t * t, t3 = t2 * t;
        const double a = t3 * (10.0 + t * (6.0 * t - 15.0)), b = 30.0 * t2 * (1.0 + t * (t - 2.0)) * slope;
        double *w = weights + j;
        interval[j] = left;
        r[j] = distance;
        inverse[j] = over;
        ux[j] = dx[j] * over;
        uy[j] = dy[j] * over;
        uz[j] = dz[j] * over;
        w[0] = 1.0 - a;
        w[stride] = t - t3 * (6.0 + t * (3.0 * t - 8.0));
        w[2 * stride] = 0.5 * t2 - t3 * (1.5 + t * (0.5 * t - 1.5));
        w[3 * stride] = a;
        w[4 * stride] = t3 * (t * (7.0 - 3.0 * t) - 4.0);
        w[5 * stride] = t3 * (0.5 + t * (0.5 * t - 1.0));
        w[6 * stride] = -b;
        w[7 * stride] = slope * (1.0 - t2 * (18.0 + t * (15.0 * t - 32.0)));
        w[8 * stride] = slope * t * (1.0 - t * (4.5 + t * (2.5 * t - 6.0)));
        w[9 * stride] = b;
        w[10 * stride] = slope * t2 * (t * (28.0 - 15.0 * t) - 12.0);
        w[11 * stride] = slope * t2 * (1.5 + t * (2.5 * t - 4.0));
    }
}
