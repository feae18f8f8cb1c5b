/* States of atoms and values of columns: the moments of all neighborhoods, the fields that follow from them, and their
 * contractions, those of strains included; part of plip_rows_kernel.h. */

/* Moments of all function sets over the neighbors of species t of an atom of some species, as a center of species s, of
 * which `dominant` is one or -1. `others`: moments without that one. Own sums of centers of any species that those of
 * their species have, too, are left to add_common_own_sums. */
static void NAME(find_moments)(const rows_call *call, int species, int s, int t, ptrdiff_t dominant, double *state,
                               double *others)
{
    const plip_rows_plan *plan = call->plan;
    const bucket *b = &call->bucket;
    const plip_range range = plan->centers[s].moments;
    int e, has_own;

    for (e = range.begin; e < range.end; e++) {
        const plip_moments *moments = plan->moments + e;
        const plip_function_set *set = plan->sets + moments->set;
        const ptrdiff_t m = b->within[set->cutoff], width = padded(set->count, LANES);
        double *value = b->radial + 2 * b->capacity * set->first + m * width;
        if (moments->neighbor != t || (moments->state == PLIP_COMMON && moments->own < 0))
            continue;
        if (moments->state != PLIP_COMMON &&
            !(call->strained && m > 0 && dominant < 0 && NAME(are_found_together)(set)))
            NAME(find_moments_of_set)(call, set, value, 0, m, state + moments->state);
        has_own = moments->own >= 0 && (s == species || !same_own_sums(plan, species, moments));
        if (call->strained)
            NAME(find_strains)(call, moments, has_own, m, dominant, value - m * width, value, state);
        if (moments->own < 0)
            continue;
        if (dominant >= 0)
            NAME(set_apart)(call, moments, has_own, dominant, m, value, others);
        else if (has_own)
            NAME(add_own_sums)(call, moments, m, value);
    }
}

/* Adds numbers. */
static void NAME(add_numbers)(ptrdiff_t count, const double *from, double *to)
{
    ptrdiff_t k;

    for (k = 0; k < count; k += LANES)
        STORE(to + k, LOAD(to + k) + LOAD(from + k));
}

/* Adds the own sums of centers of all species to those of centers of any species that have the same. */
static void NAME(add_common_own_sums)(const rows_call *call)
{
    const plip_rows_plan *plan = call->plan;
    const int any = any_species(plan);
    int e, s;

    for (s = 0; s < plan->n_species && any >= 0; s++)
        for (e = plan->centers[any].moments.begin; e < plan->centers[any].moments.end; e++) {
            const plip_moments *moments = plan->moments + e;
            const plip_function_set *set = plan->sets + moments->set;
            const int is_outer = call->is_outer[moments->set];
            const ptrdiff_t rows = is_outer ? set->count : 1, width = padded(set->count, LANES);
            const plip_moments *from = moments->own >= 0 ? same_own_sums(plan, s, moments) : NULL;
            if (!from)
                continue;
            NAME(add_numbers)(rows * width, call->own_sums + from->own, call->own_sums + moments->own);
            if (call->strained)
                NAME(add_numbers)(rows * padded(OF_VIRIALS * strain_step(set, is_outer, LANES), LANES),
                                  call->own_strains + OF_VIRIALS * from->own,
                                  call->own_strains + OF_VIRIALS * moments->own);
        }
}

/* Coefficients of the fields that follow from one moment each. */
static void NAME(find_coefficients)(const plip_rows_plan *plan, int s, double *state)
{
    const plip_center_tables *center = plan->centers + s;
    int e, k;

    for (k = 0; k < plan->n_halves; k++)
        state[center->halves + k] = 0.5;
    for (e = center->powers.begin; e < center->powers.end; e++) {
        const plip_power *power = plan->powers + e;
        for (k = 0; k < power->count; k++)
            state[power->state + k] = derivative_of_power(state[power->moments + k], power->power);
    }
}

/* A range of the states of LANES atoms side by side. */
static void NAME(put_abreast)(double *const *states, plip_range range, double *abreast)
{
    ptrdiff_t k;
    int j;

    for (k = range.begin; k < range.end; k++)
        for (j = 0; j < LANES; j++)
            abreast[k * LANES + j] = states[j][k];
}

/* Coefficients of the fields of a center that are products of moments, for up to LANES atoms. */
static void NAME(find_products)(const rows_call *call, int s, const ptrdiff_t *atoms, int count, double *states)
{
    const plip_rows_plan *plan = call->plan;
    const plip_range range = plan->centers[s].products;
    const plip_product_places *places = plan->product_places + s;
    double *abreast = call->abreast, *of_atom[LANES];
    ptrdiff_t k;
    int e, j;

    /* The first atom stands for those that are not there. */
    for (j = 0; j < LANES; j++)
        of_atom[j] = states + atoms[j < count ? j : 0] * plan->state_size;
    NAME(put_abreast)(of_atom, places->factors, abreast);
    NAME(put_abreast)(of_atom, places->targets, abreast);
    for (e = range.begin; e < range.end; e++) {
        const plip_product *product = plan->products + e;
        double *target = abreast + product->target * LANES;
        STORE(target, LOAD(target) + product->weight * LOAD(abreast + product->first * LANES) *
                                         LOAD(abreast + product->second * LANES));
    }
    for (k = places->targets.begin; k < places->targets.end; k++)
        for (j = 0; j < LANES; j++)
            of_atom[j][k] = abreast[k * LANES + j];
}

/* Adds the contractions of the fields of one group, a part of one state, with moments, a part of another. */
static void NAME(add_contractions)(const rows_call *call, const plip_group *group, const double *state,
                                   const double *state_of_moments)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const ptrdiff_t width = shape.width, n_functions = shape.n_functions;
    const double *moments = state_of_moments + group->moments, *fields = state + group->state;
    const int has_weights = shape.set->basis == PLIP_MONOMIALS;
    double *sums = call->group_sums + group->sums, *weighted = call->bucket.scratch;
    int degree, k;
    ptrdiff_t b;

    for (degree = group->lowest; degree <= group->highest; degree++, sums += shape.length) {
        const int n_components = components_of(shape.set->basis, degree);
        const plip_component *components = plan->components + first_component(plan, shape.set->basis, degree);
        for (k = 0; k < n_components && (has_weights || !group->outer); k++)
            for (b = 0; b < width; b++) {
                const double coefficient = components[k].weight * fields[k * width + b];
                if (group->outer)
                    weighted[k * width + b] = coefficient;
                else
                    sums[b] += coefficient * moments[k * n_functions + b];
            }
        if (group->outer)
            NAME(add_product)(shape.rows, width, n_components, moments, n_functions, 1,
                              has_weights ? weighted : fields, width, sums, shape.row);
        fields += n_components * width;
        moments += n_components * n_functions;
    }
}

/* Values of columns from the sums of one group over all atoms. A column is homogeneous in its arms, so that its value
 * follows from any one of its derivatives. */
static void NAME(add_values)(const rows_call *call, const plip_group *group, double *values)
{
    const plip_rows_plan *plan = call->plan;
    const group_shape shape = shape_of_group(plan, group, LANES);
    const double arms = group->arms == PLIP_ROOT ? 0.5 : group->arms;
    double *sums = call->group_sums + group->sums;
    int e;

    NAME(to_powers_of_cosine)(plan, shape.n_degrees, shape.length, sums);
    if (group->own >= 0)
        NAME(take_own)(call, group, &shape, sums);
    for (e = group->contributions.begin; e < group->contributions.end; e++) {
        const plip_contribution *to = plan->contributions + e;
        values[to->column] += to->coefficient / arms * (sums[to->place[0]] + sums[to->place[1]]);
    }
}

/* Moments of an atom over its neighbors of species t, which it has as a center of its own species s and as one of any
 * species. */
static void NAME(add_neighbors)(const rows_call *call, ptrdiff_t i, int s, int t, double *state, double *others,
                                double *dominant)
{
    const int any = any_species(call->plan);
    ptrdiff_t k;

    *dominant = 0.0;
    if (NAME(fill_bucket)(call, i, s, t, 1.0, 0) < 0)
        return;
    k = NAME(find_dominant)(call, s, t);
    if (k < 0 && any >= 0)
        k = NAME(find_dominant)(call, any, t);
    if (k >= 0)
        *dominant = call->bucket.distance[k];
    if (call->strained)
        NAME(find_strain_tensors)(call);
    NAME(find_moments)(call, s, s, t, k, state, others);
    if (any >= 0)
        NAME(find_moments)(call, s, any, t, k, state, others);
}

/* Contractions of an atom as a center of species s with its neighbors of species t. */
static void NAME(contract_groups)(const rows_call *call, int s, int t, const double *state, const double *others,
                                  int has_dominant)
{
    const plip_rows_plan *plan = call->plan;
    const plip_range groups = plan->groups_of[s * plan->n_labels + t];
    int g;

    for (g = groups.begin; g < groups.end; g++) {
        /* (M + m)^2 - m^2 = M (M + 2 m), with the moments M of the others and m of the dominant neighbor. */
        const int is_apart = plan->groups[g].own >= 0 && has_dominant;
        NAME(add_contractions)(call, plan->groups + g, is_apart ? others : state, is_apart ? call->doubled : state);
    }
}

/* Contractions of the fields of up to LANES atoms, as centers of species s, with the derivatives of their moments over
 * neighbors of species t. */
static void NAME(contract_strained_groups)(const rows_call *call, int s, int t, const ptrdiff_t *atoms, int count,
                                           const double *states, const double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const plip_range groups = plan->groups_of[s * plan->n_labels + t];
    const ptrdiff_t size = plan->state_size, to_others = call->near->n_atoms * size;
    int g, j;

    for (g = groups.begin; g < groups.end; g++) {
        strained_atom parts[2 * LANES];
        int n_parts = 0;
        for (j = 0; j < count; j++) {
            const double *state = states + atoms[j] * size;
            const int is_apart = plan->groups[g].own >= 0;
            parts[n_parts++] = (strained_atom){state, call->strained + OF_VIRIALS * j * size};
            if (dominant[atoms[j] * plan->n_labels + t] > 0.0)
                parts[n_parts++] = (strained_atom){state + (is_apart ? to_others : 0),
                                                   call->strained_apart + OF_VIRIALS * j * size};
        }
        NAME(contract_strains)(call, plan->groups + g, parts, n_parts);
    }
}

/* What the strains of up to LANES atoms of species s add to the sums of all groups. */
static void NAME(contract_strained)(const rows_call *call, int s, const ptrdiff_t *atoms, int count,
                                    const double *states, const double *dominant)
{
    const int any = any_species(call->plan);
    int t;

    for (t = 0; t < call->plan->n_labels; t++) {
        NAME(contract_strained_groups)(call, s, t, atoms, count, states, dominant);
        if (any >= 0)
            NAME(contract_strained_groups)(call, any, t, atoms, count, states, dominant);
    }
}

/* Sets the coefficients that products are added to, and what is between them, to zero. */
static void NAME(clear_targets)(const plip_rows_plan *plan, int s, double *state)
{
    const plip_range targets = plan->product_places[s].targets;

    memset(state + targets.begin, 0, (size_t)(targets.end - targets.begin) * sizeof(double));
}

/* The moments of one atom, and the fields that follow from one moment each. */
static void NAME(begin_state)(const rows_call *call, ptrdiff_t i, double *states, double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const ptrdiff_t size = plan->state_size;
    double *state = states + i * size, *others = states + (call->near->n_atoms + i) * size;
    const int s = call->near->species[i], any = any_species(plan);
    int t;

    NAME(clear_targets)(plan, s, state);
    if (any >= 0)
        NAME(clear_targets)(plan, any, state);
    for (t = 0; t < plan->n_labels; t++)
        NAME(add_neighbors)(call, i, s, t, state, others, dominant + i * plan->n_labels + t);
    if (any >= 0)
        NAME(find_coefficients)(plan, any, state);
    NAME(find_coefficients)(plan, s, state);
}

/* What one atom adds to the sums of all groups. */
static void NAME(contract)(const rows_call *call, ptrdiff_t i, const double *states, const double *dominant)
{
    const plip_rows_plan *plan = call->plan;
    const ptrdiff_t size = plan->state_size;
    const double *state = states + i * size, *others = states + (call->near->n_atoms + i) * size;
    const int s = call->near->species[i], any = any_species(plan);
    int t;

    for (t = 0; t < plan->n_labels; t++) {
        const int has_dominant = dominant[i * plan->n_labels + t] > 0.0;
        NAME(contract_groups)(call, s, t, state, others, has_dominant);
        if (any >= 0)
            NAME(contract_groups)(call, any, t, state, others, has_dominant);
    }
}

/* Work on the next atom of several, or back by so many. */
static void NAME(move_on)(rows_call *call, ptrdiff_t count)
{
    const ptrdiff_t step = count * call->plan->state_size;

    call->doubled += step;
    if (call->strained) {
        call->strained += OF_VIRIALS * step;
        call->strained_apart += OF_VIRIALS * step;
    }
}

/* Up to LANES atoms of species s. */
static void NAME(add_atoms)(rows_call *call, int s, const ptrdiff_t *atoms, int count, double *states,
                            double *dominant)
{
    int j;

    for (j = 0; j < count; j++, NAME(move_on)(call, 1))
        NAME(begin_state)(call, atoms[j], states, dominant);
    NAME(move_on)(call, -count);
    NAME(find_products)(call, s, atoms, count, states);
    if (any_species(call->plan) >= 0)
        NAME(find_products)(call, any_species(call->plan), atoms, count, states);
    for (j = 0; j < count; j++, NAME(move_on)(call, 1))
        NAME(contract)(call, atoms[j], states, dominant);
    NAME(move_on)(call, -count);
    if (call->strained)
        NAME(contract_strained)(call, s, atoms, count, states, dominant);
}

static void NAME(values)(rows_call *call, ptrdiff_t begin, ptrdiff_t end, double *states, double *dominant,
                         double *values, double *virials)
{
    const plip_rows_plan *plan = call->plan;
    ptrdiff_t i, atoms[LANES];
    int s, g, count;

    for (s = 0; s < plan->n_species; s++) {
        count = 0;
        for (i = begin; i < end; i++) {
            if (call->near->species[i] != s)
                continue;
            atoms[count++] = i;
            if (count == LANES) {
                NAME(add_atoms)(call, s, atoms, count, states, dominant);
                count = 0;
            }
        }
        if (count)
            NAME(add_atoms)(call, s, atoms, count, states, dominant);
    }
    NAME(add_common_own_sums)(call);
    for (g = 0; g < plan->n_groups; g++) {
        NAME(add_values)(call, plan->groups + g, values);
        if (virials)
            NAME(add_virials)(call, plan->groups + g, virials);
    }
}
