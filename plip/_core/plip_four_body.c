/* Four-body terms: products of three moments, those of one rank with two arms in common contracted together. */
#include <limits.h>
#include <string.h>

#include "plip_build.h"

/* Terms of one rank. Arms are numbers of their first moments among those that are used. */
typedef struct {
    int n;
    const plip_term **terms;
    triple *arms;
} rank_terms;

int plip_find_arm(builder *b, center_plan *plan, const channel *c, int degree)
{
    const int lanes = b->potential->lanes, first = plip_moment_of(plan, c, degree);
    int n, k;

    for (n = 0; n < plan->n_used; n++)
        if (plan->used[n] == first)
            return n;
    for (k = 0; k < COMPONENTS(degree); k++)
        plan->used[plan->n_used++] = first + k * lanes;
    return n;
}

/* Rows of the lanes of each component, -1 for none: (n_moments / lanes, lanes). */
static int *rows_of_lanes(builder *b, const center_plan *plan)
{
    int *rows = SCRATCH(plan->n_moments + 1, int), k;

    for (k = 0; k < plan->n_moments; k++)
        rows[k] = -1;
    for (k = 0; k < plan->n_used; k++)
        rows[plan->used[k]] = k;
    return rows;
}

/* Whether the lanes of the next component have the rows behind those of a run. */
static int continues(const moment_run *run, const int *rows, int lanes)
{
    int lane;

    for (lane = 0; lane < lanes; lane++)
        if (rows[lane] != (run->row[lane] < 0 ? -1 : run->row[lane] + run->n))
            return 0;
    return 1;
}

void plip_make_runs(center_builder *c)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    const int lanes = b->potential->lanes, *rows = rows_of_lanes(b, plan);
    int moment, lane, k, longest = 0;

    plan->runs = KEEP(plan->n_used + 1, moment_run);
    for (moment = 0; moment < plan->n_moments; moment += lanes) {
        moment_run *run = plan->runs + plan->n_runs;
        int is_used = 0;
        for (lane = 0; lane < lanes; lane++)
            is_used |= rows[moment + lane] >= 0;
        if (!is_used)
            continue;
        if (plan->n_runs && run[-1].moment + run[-1].n * lanes == moment && continues(run - 1, rows + moment, lanes)) {
            run[-1].n++;
            continue;
        }
        run->moment = moment;
        run->n = 1;
        memcpy(run->row, rows + moment, (size_t)lanes * sizeof(int));
        plan->n_runs++;
    }
    for (k = 0; k < plan->n_runs; k++) {
        longest = larger(plan->runs[k].n, longest);
        for (lane = 0; lane < lanes; lane++)
            if (plan->runs[k].row[lane] < 0)
                plan->runs[k].row[lane] = plan->n_used;
    }
    plan->n_rows = plan->n_used + longest;
}

static int is_mine(const center_builder *c, const plip_term *term)
{
    return term->kind == PLIP_FOUR_BODY && plip_holds(term->species[0], c->center);
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

/* The rotation of terms of one rank with the fewest pairs (b, c), each of which is contracted once. */
static int best_rotation(builder *b, const rank_terms *rank)
{
    triple *arms = SCRATCH(rank->n, triple);
    int best = 0, least = INT_MAX, r, k, m, power[3];

    for (r = 0; r < 3; r++) {
        int distinct = 0;
        for (k = 0; k < rank->n; k++) {
            rotate(rank->terms[k], rank->arms[k], r, power, arms[k]);
            for (m = 0; m < k && memcmp(arms[m] + 1, arms[k] + 1, 2 * sizeof(int)); m++)
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

/* All terms of the rank of the first one that is not done yet; marks them as done. */
static void take_rank(center_builder *c, char *done, rank_terms *rank)
{
    builder *b = c->all;
    int n, arm;

    rank->n = 0;
    for (n = 0; n < b->n_terms; n++) {
        const plip_term *term = b->terms + n;
        int degrees[3];
        if (done[n] || (rank->n && memcmp(term->power, rank->terms[0]->power, sizeof term->power)))
            continue;
        done[n] = 1;
        plip_arm_degrees(term, degrees);
        for (arm = 0; arm < 3; arm++) {
            const int found = plip_find_channel(c, term->species[arm + 1], b->functions[n][arm], degrees[arm]);
            rank->arms[rank->n][arm] = plip_find_arm(b, c->plan, c->channels + found, degrees[arm]);
        }
        rank->terms[rank->n++] = term;
    }
}

/* Powers 0, 1, 2 belong to the cosines of arms 0 and 1, 1 and 2, 2 and 0. */
static const int ARM_OPPOSITE[3] = {2, 0, 1};

static void make_contraction(contraction *made, const int *rank)
{
    int order[3] = {0, 1, 2}, k, m;

    for (k = 1; k < 3; k++)
        for (m = k; m > 0 && rank[order[m]] > rank[order[m - 1]]; m--) {
            const int last = order[m];
            order[m] = order[m - 1];
            order[m - 1] = last;
        }
    memcpy(made->rank, rank, sizeof made->rank);
    made->n_open = COMPONENTS(rank[0] + rank[2]);
    for (k = 0; k < 3; k++)
        made->power[k] = rank[order[k]];
    /* A has powers p and t, B has p and q, C has q and t. */
    made->place[ARM_OPPOSITE[order[1]]] = 0;
    made->place[ARM_OPPOSITE[order[2]]] = 1;
    made->place[ARM_OPPOSITE[order[0]]] = 2;
}

int plip_find_contraction(builder *b, const int *rank)
{
    plip_potential *potential = b->potential;
    int n;

    for (n = 0; n < potential->n_contractions; n++)
        if (memcmp(potential->contractions[n].rank, rank, 3 * sizeof(int)) == 0)
            return n;
    make_contraction(potential->contractions + n, rank);
    potential->n_contractions++;
    return n;
}

/* The form from `first` on with these arms b and c, which is added if there is none yet. */
static trilinear *find_form(center_plan *plan, trilinear *first, int contraction, const int at[3])
{
    trilinear *const end = plan->trilinears + plan->n_trilinears;
    trilinear *form = first;

    while (form < end && (form->b != at[1] || form->c != at[2]))
        form++;
    if (form == end) {
        form->contraction = contraction;
        form->b = at[1];
        form->c = at[2];
        plan->n_trilinears++;
    }
    return form;
}

/* The forms of all terms of one rank. */
static void add_forms(center_builder *c, const rank_terms *rank)
{
    builder *b = c->all;
    center_plan *plan = c->plan;
    trilinear *const first = plan->trilinears + plan->n_trilinears, *form;
    const int rotation = best_rotation(b, rank);
    int k, contraction, power[3], at[3];

    rotate(rank->terms[0], rank->arms[0], rotation, power, at);
    contraction = plip_find_contraction(b, power);
    for (k = 0; k < rank->n; k++) {
        rotate(rank->terms[k], rank->arms[k], rotation, power, at);
        find_form(plan, first, contraction, at)->n++;
    }
    for (form = first; form < plan->trilinears + plan->n_trilinears; form++) {
        form->a = KEEP(form->n, int);
        form->weight = KEEP(form->n, double);
        form->n = 0;
    }
    for (k = 0; k < rank->n; k++) {
        rotate(rank->terms[k], rank->arms[k], rotation, power, at);
        form = find_form(plan, first, contraction, at);
        form->a[form->n] = at[0];
        form->weight[form->n] = rank->terms[k]->coefficient;
        form->n++;
    }
}

void plip_make_trilinears(center_builder *c)
{
    builder *b = c->all;
    char *done = SCRATCH(b->n_terms + 1, char);
    rank_terms rank;
    int n, arm, n_moments = 0, left = 0;

    for (n = 0; n < b->n_terms; n++) {
        int degrees[3];
        done[n] = !is_mine(c, b->terms + n);
        if (done[n])
            continue;
        plip_arm_degrees(b->terms + n, degrees);
        for (arm = 0; arm < 3; arm++)
            n_moments += COMPONENTS(degrees[arm]);
        left++;
    }
    c->plan->used = KEEP(n_moments, int);
    c->plan->trilinears = KEEP(left, trilinear);
    rank.terms = SCRATCH(left + 1, const plip_term *);
    rank.arms = SCRATCH(left + 1, triple);
    for (; left; left -= rank.n) {
        take_rank(c, done, &rank);
        add_forms(c, &rank);
    }
}
