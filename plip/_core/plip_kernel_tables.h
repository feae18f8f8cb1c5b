/* Radial functions of the neighbors of a center, from tables; part of plip_kernel.h. */

/* All columns at one distance by the exact functions; see plip_column_exact. */
static void NAME(evaluate_columns)(const plip_potential *potential, const table *radial, double r, int alone, double *g,
                                   double *dg)
{
    exact_functions at = {0};
    double value[3];
    int c;

    plip_go_to(&at, radial->core, r);
    for (c = 0; c < radial->n_columns; c++) {
        plip_column_exact(potential, radial->columns + c, &at, alone, value);
        g[c] = value[0];
        dg[c] = value[1];
    }
}

/* `count` groups of columns at distance x from the center of an interval, side by side. */
static FORCE_INLINE void NAME(interpolate_groups)(const int count, const double *row, VECTOR x, double *g, double *dg)
{
    VECTOR value[3], slope[3];
    int c, k;

    UNROLL(3)
    for (c = 0; c < count; c++) {
        const double *own = row + c * COEFFICIENTS * LANES;
        slope[c] = LOAD(own + (COEFFICIENTS - 1) * LANES);
        value[c] = slope[c] * x + LOAD(own + (COEFFICIENTS - 2) * LANES);
    }
    UNROLL(8)
    for (k = COEFFICIENTS - 3; k >= 0; k--) {
        UNROLL(3)
        for (c = 0; c < count; c++) {
            slope[c] = slope[c] * x + value[c];
            value[c] = value[c] * x + LOAD(row + (c * COEFFICIENTS + k) * LANES);
        }
    }
    UNROLL(3)
    for (c = 0; c < count; c++) {
        STORE(g + c * LANES, value[c]);
        STORE(dg + c * LANES, slope[c]);
    }
}

/* All columns at distance x from the center of an interval, by its row of the table. */
static FORCE_INLINE void NAME(interpolate)(const double *row, int columns, double x, double *g, double *dg)
{
    const VECTOR zero = {0}, offset = x - zero;

    for (; columns >= 3 * LANES; columns -= 3 * LANES, g += 3 * LANES, dg += 3 * LANES) {
        NAME(interpolate_groups)(3, row, offset, g, dg);
        row += 3 * COEFFICIENTS * LANES;
    }
    if (columns >= 2 * LANES)
        NAME(interpolate_groups)(2, row, offset, g, dg);
    else if (columns)
        NAME(interpolate_groups)(1, row, offset, g, dg);
}

/* The same at distance r by the piece that holds it, `first` or one behind it. `offset`: from the middle of the
 * interval. */
static void NAME(interpolate_piece)(const plip_potential *potential, const table *radial, const piece *first, double r,
                                    double offset, double *g, double *dg)
{
    while (r >= first->end)
        first++;
    if (first->row)
        NAME(interpolate)(first->row, radial->n_columns, offset - first->shift, g, dg);
    else
        NAME(evaluate_columns)(potential, radial, r, 0, g, dg);
}

/* Values and derivatives of all columns of a table at n distances, `step` numbers from one to the next. `offsets`: of
 * the distances from the centers of their intervals. `alone`: by the exact functions, without the part of a neighbor
 * with itself. */
static void NAME(look_up)(const plip_potential *potential, const table *radial, int alone, int n, const double *r,
                          const int *interval, const double *offsets, double *g, double *dg, int step)
{
    const int columns = radial->n_columns;
    int j;

    for (j = 0; j < n; j++, g += step, dg += step) {
        const int kind = radial->kinds[interval[j]];
        if (kind == WHOLE && !alone)
            NAME(interpolate)(radial->rows + (size_t)interval[j] * COEFFICIENTS * columns, columns, offsets[j], g, dg);
        else if (kind != EXACT && !alone)
            NAME(interpolate_piece)(potential, radial, radial->pieces + kind - 1, r[j], offsets[j], g, dg);
        else
            NAME(evaluate_columns)(potential, radial, r[j], alone, g, dg);
    }
}

/* The same for shared columns: neighbors within the core repulsion have the table `inside`. */
static void NAME(look_up_shared)(const plip_potential *potential, const section *part, const table *radial,
                                 const table *inside, int alone, int n, const double *r, const int *interval,
                                 const double *offsets, double *g, double *dg, int step)
{
    int first, end;

    for (first = 0; first < n && radial->n_columns; first = end) {
        const int is_inside = r[first] < part->core.outer;
        for (end = first + 1; end < n && (r[end] < part->core.outer) == is_inside; end++)
            ;
        NAME(look_up)(potential, is_inside ? inside : radial, alone, end - first, r + first, interval + first,
                      offsets + first, g + (size_t)first * step, dg + (size_t)first * step, step);
    }
}

/* Finds unit vectors, intervals of the table, and distances from their centers. */
static void NAME(prepare_pairs)(const section *part, pair_arrays *pairs, int stride)
{
    const double *const dx = pairs->dx, *const dy = pairs->dy, *const dz = pairs->dz;
    const double spacing = part->spacing, inverse_spacing = part->inverse_spacing;
    double *const r = pairs->r, *const ux = pairs->unit, *const uy = ux + stride, *const uz = uy + stride;
    double *const inverse = uz + stride, *const offsets = inverse + stride;
    int *const interval = pairs->interval;
    int j;

    INDEPENDENT
    for (j = 0; j < stride; j++) {
        const double distance = sqrt(r[j]), over = 1.0 / distance;
        const int left = (int)(distance * inverse_spacing);
        interval[j] = left;
        r[j] = distance;
        inverse[j] = over;
        ux[j] = dx[j] * over;
        uy[j] = dy[j] * over;
        uz[j] = dz[j] * over;
        offsets[j] = distance - (left + 0.5) * spacing;
    }
}
