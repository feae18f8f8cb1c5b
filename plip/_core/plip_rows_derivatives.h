/* Rows of the derivatives of columns with respect to atoms: sums over pairs of fields times radial functions; part of
 * plip_rows_kernel.h. */

/* Takes sums from three rows: rows[x][column] -= coefficient sums[x step + place], for both places. */
static void NAME(take_from_columns)(const plip_rows_plan *plan, plip_range range, const double *sums, ptrdiff_t step,
                                    double *rows, ptrdiff_t stride)
{
    int e;

    for (e = range.begin; e < range.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        const double *first = sums + to->place[0], *second = sums + to->place[1];
        double *row = rows + to->column;
        row[0] -= to->coefficient * (first[0] + second[0]);
        row[stride] -= to->coefficient * (first[step] + second[step]);
        row[2 * stride] -= to->coefficient * (first[2 * step] + second[2 * step]);
    }
}

/* Sums over pairs of fields times radial functions: all fields with all functions. */
static void NAME(product_of_fields)(const bucket *b, const group_shape *shape, const pair_fields *pairs,
                                    const double *derivative, const double *value, double *sums)
{
    const ptrdiff_t row = shape->row, n = shape->n_functions, m = pairs->n_neighbors;
    double *p = b->by_pair, *q = p + m * row + LANES;
    const NAME(factors) factors[2] = {{m, derivative, n, 1, p, row}, {pairs->degree ? m : 0, value, n, 1, q, row}};

    NAME(end_rows)(m, p, OF_FORCES, shape->step);
    NAME(end_rows)(m, q, OF_FORCES, shape->step);
    NAME(fields)(pairs, p, q);
    NAME(two_products)(shape->rows, row, factors, sums, row);
}

/* The sums of one group over the pairs of a bucket. Fills in what `pairs` does not have yet. */
static void NAME(sum_over_pairs)(const rows_call *call, const plip_group *group, const group_shape *shape,
                                 pair_fields *pairs)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const ptrdiff_t m = pairs->n_neighbors, n_functions = shape->n_functions, step = shape->step;
    const double *derivative = b->radial + 2 * b->capacity * shape->set->first, *value = derivative + m * n_functions;
    double *sums = b->sums;
    int degree;

    pairs->own = group->own >= 0 ? value : NULL;
    pairs->own_stride = n_functions;
    for (degree = group->lowest; degree <= group->highest; degree++, sums += shape->length) {
        pairs->degree = degree;
        pairs->inverse_degree = degree ? 1.0 / degree : 0.0;
        pairs->n_components = components_of(shape->set->basis, degree);
        pairs->gradient = b->gradient + 3 * b->stride * first_component(plan, shape->set->basis, degree);
        pairs->parity = degree % 2 ? -1.0 : 1.0;
        if (group->outer)
            NAME(product_of_fields)(b, shape, pairs, derivative, value, sums);
        else if (!degree && !pairs->own)
            NAME(constant_fields)(pairs, derivative, sums, step);
        else
            NAME(diagonal_fields)(pairs, derivative, value, sums, step);
        pairs->place += pairs->n_components * shape->width;
    }
}

/* The columns of centers of one species with an arm of another, for the pairs of one bucket, around atom n: rows of
 * the forces on it. It may be an arm of its neighbors, a center, or both. */
static void NAME(add_columns)(const rows_call *call, int center, int arm, ptrdiff_t n, int neighbor_is_center,
                              int atom_is_center, double *force_rows)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const plip_range groups = plan->groups_of[center * plan->n_labels + arm];
    int g;

    for (g = groups.begin; g < groups.end; g++) {
        const plip_group *group = plan->groups + g;
        const group_shape shape = shape_of_group(plan, group, LANES);
        pair_fields pairs = {0};
        pairs.width = shape.width;
        pairs.row = shape.row;
        pairs.step = shape.step;
        pairs.of_neighbor = neighbor_is_center;
        pairs.of_atom = atom_is_center;
        pairs.states = b->states;
        pairs.state = call->states + n * plan->state_size;
        pairs.place = group->state;
        pairs.to_others = call->near->n_atoms * plan->state_size;
        pairs.dominance = group->own >= 0 && b->has_dominance ? b->dominance : NULL;
        pairs.n_neighbors = b->within[shape.set->cutoff];
        pairs.distance = b->distance;
        pairs.direction = b->direction;
        pairs.stride = b->stride;
        if (pairs.n_neighbors == 0)
            continue;
        NAME(sum_over_pairs)(call, group, &shape, &pairs);
        NAME(to_powers_of_cosine)(plan, shape.n_degrees, shape.length, b->sums);
        NAME(take_from_columns)(plan, group->contributions, b->sums, shape.step, force_rows, call->force_stride);
    }
}

/* The columns for the pairs of an atom n of species s with neighbors of species t, which are in the bucket. */
static void NAME(add_pairs)(rows_call *call, ptrdiff_t n, int s, int t, double *rows)
{
    const int any = any_species(call->plan);
    const bucket *b = &call->bucket;
    ptrdiff_t k;

    for (k = 0; k < b->within[call->plan->n_cutoffs - 1]; k++)
        b->states[k] = call->states + b->neighbor[k] * call->plan->state_size;
    if (t == any) {
        NAME(find_dominance)(call, n, any, any);
        NAME(add_columns)(call, any, any, n, 1, 1, rows);
        return;
    }
    /* As a neighbor of species s of each center of species t, and as a center of species s. For s = t both use the same
     * columns and are added up beforehand. */
    NAME(find_dominance)(call, n, s, t);
    NAME(add_columns)(call, t, s, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, s, t, n, 0, 1, rows);
    if (any < 0)
        return;
    NAME(add_columns)(call, any, s, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, any, t, n, 0, 1, rows);
    NAME(find_dominance)(call, n, any, any);
    NAME(add_columns)(call, t, any, n, 1, s == t, rows);
    if (s != t)
        NAME(add_columns)(call, s, any, n, 0, 1, rows);
}

static void NAME(derivatives)(rows_call *call, ptrdiff_t begin, ptrdiff_t end)
{
    const plip_rows_plan *plan = call->plan;
    double *rows = call->force_rows;
    ptrdiff_t n;
    int t, x;

    for (n = begin; n < end; n++, rows += 3 * call->force_stride) {
        const int s = call->near->species[n];
        for (x = 0; x < 3; x++)
            memset(rows + x * call->force_stride, 0, (size_t)plan->n_terms * sizeof(double));
        for (t = 0; t < plan->n_labels; t++)
            if (NAME(fill_bucket)(call, n, s, t, -1.0, 1) > 0)
                NAME(add_pairs)(call, n, s, t, rows);
    }
}
