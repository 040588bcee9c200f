/* Attention whose scores are measured from a public ceiling of each head, without row maxima: rounds 2 to 7
 * of 16.
 *
 *  2  t = rho / rms        3  q, k, v = t u         4  scores = q . K, in units of the head's range
 *  5  e = 2^-(ceiling - score), the guard, extend v  6  1 / S; o' = sum e v    7  o = o' / S
 *
 * Rows and decode steps alike. A layer with a head that does need the maximum of its rows finds it between 4
 * and 5, for such heads alone: two rounds more. e keeps a wide fixed point: as a row's largest e may be as
 * small as 2^-headroom, 1 / S is read in two windows. Source: specification, dealtlayer.py and README, "Dealt
 * bytes". */
#include "base/realmath.h"
#include "engine/attention.h"
#include "kernels/gather.h"

/* The pairs of one range of scores, in the order of eng_list_pairs. */
struct ranged {
    size_t count;
    uint32_t *pair;   /* [count]: which pair */
    uint32_t *source; /* [count]: where its score lies in the product */
    uint32_t *own; /* [count]: which of them is the row's own score, UINT32_MAX where it is not subtracted */
    int64_t *ceiling; /* [count]: in units of the range */
    /* Rows that find their maximum: */
    size_t rows;
    uint32_t *starts; /* [rows + 1]: of their pairs among `found` */
    uint32_t *found;  /* [starts[rows]]: which of the pairs above */
    uint32_t *row;    /* [count]: which of these rows, UINT32_MAX for other rows */
};

static int64_t ceiling_units(const struct eng_step *step, const struct eng_head_plan *head)
{
    const struct eng_plan *plan = step->decoder->form.plan;
    size_t h = (size_t)(head - eng_plan_heads(plan, step->layer));
    double units = eng_plan_query_scale(plan, step->layer, h) * base_power_of_two(ENG_CEILING_SCORE);
    return base_nearest(head->ceiling * units / ENG_CEILING_UNITS);
}

/* Which pair of row r is its own: the slot that the row itself took. */
static size_t own_pair(const struct eng_step *step, const struct eng_pairs *pairs, size_t r)
{
    size_t line = r < pairs->answered ? r : r - pairs->answered, at = pairs->starts[r],
           source = line * pairs->used + step->slots[line % step->n];
    while (at < pairs->starts[r + 1] && pairs->source[at] != source)
        at++;
    if (at == pairs->starts[r + 1])
        mpc_fail(step->p, BASE_ERR_INTERNAL, "the cache policy lets a row not attend to itself");
    return at;
}

static struct ranged make_ranged(struct mpc_party *p, size_t pairs, size_t rows)
{
    return (struct ranged){.pair = mpc_bytes(p, pairs * sizeof(uint32_t)),
                           .source = mpc_bytes(p, pairs * sizeof(uint32_t)),
                           .own = mpc_bytes(p, pairs * sizeof(uint32_t)),
                           .ceiling = mpc_bytes(p, pairs * sizeof(int64_t)),
                           .starts = mpc_bytes(p, (rows + 1) * sizeof(uint32_t)),
                           .found = mpc_bytes(p, pairs * sizeof(uint32_t)),
                           .row = mpc_bytes(p, pairs * sizeof(uint32_t))};
}

/* Pairs of one row. */
static void list_row(const struct eng_step *step, const struct eng_pairs *pairs, size_t r, struct ranged *ret)
{
    const struct eng_head_plan *head =
        &eng_plan_heads(step->decoder->form.plan, step->layer)[eng_row_head(step, pairs, r)];
    int64_t ceiling = ceiling_units(step, head);
    size_t own = ret->count + own_pair(step, pairs, r) - pairs->starts[r], found = ret->starts[ret->rows];
    for (size_t i = pairs->starts[r]; i < pairs->starts[r + 1]; i++, ret->count++) {
        size_t at = ret->count;
        ret->pair[at] = (uint32_t)i;
        ret->source[at] = pairs->source[i];
        ret->own[at] = head->from == ENG_FROM_OWN ? (uint32_t)own : UINT32_MAX;
        ret->ceiling[at] = ceiling;
        ret->row[at] = head->from == ENG_FROM_MAXIMUM ? (uint32_t)ret->rows : UINT32_MAX;
        if (head->from == ENG_FROM_MAXIMUM)
            ret->found[found++] = (uint32_t)at;
    }
    if (head->from == ENG_FROM_MAXIMUM)
        ret->starts[++ret->rows] = (uint32_t)found;
}

static void list_range(const struct eng_step *step, const struct eng_pairs *pairs, int range,
                       struct ranged *ret)
{
    const struct eng_head_plan *heads = eng_plan_heads(step->decoder->form.plan, step->layer);
    *ret = make_ranged(step->p, pairs->starts[pairs->rows], pairs->rows);
    if (mpc_failed(step->p))
        return;
    ret->starts[0] = 0;
    for (size_t r = 0; r < pairs->rows; r++)
        if (heads[eng_row_head(step, pairs, r)].range == range)
            list_row(step, pairs, r, ret);
}

/* ceiling + own - score in units of the range, from opened scores; read by gates only. */
static struct mpc_wire below_ceiling(struct mpc_party *p, const struct ranged *range, struct mpc_wire score)
{
    struct mpc_wire ceiling =
        mpc_public(p, range->ceiling, range->count, score.ring, score.frac, score.ring - 1);
    struct mpc_wire top = mpc_add(p, mpc_gather(p, score, range->own, range->count), ceiling, 1, score.ring);
    return mpc_add(p, top, score, -1, score.ring);
}

/* Two rounds more: y of the rows that find their maximum is measured from what they find, c > max - slack. In
 * units from the middle of the range, x = 2^(s-1) - y; y becomes c - x. */
static enum base_status lower_to_maximum(const struct eng_step *step, const struct ranged *range,
                                         struct mpc_wire *y)
{
    struct mpc_party *p = step->p;
    const struct sec_coarse_max *gate = &step->decoder->form.gates->layer[step->layer].coarse_max;
    enum base_status status = BASE_OK;
    size_t found = range->starts[range->rows];
    int64_t middle = INT64_C(1) << (gate->k - 1), *middles = mpc_bytes(p, range->count * sizeof *middles),
            *lowering = mpc_bytes(p, range->count * sizeof *lowering);
    for (size_t i = 0; !mpc_failed(p) && i < range->count; i++) {
        middles[i] = middle; /* of the first `found` */
        lowering[i] = range->row[i] == UINT32_MAX ? 0 : -middle;
    }
    struct mpc_wire c, x = mpc_add(p, mpc_public(p, middles, found, y->ring, y->frac, y->ring - 1),
                                   mpc_gather(p, *y, range->found, found), -1, y->ring);
    TRY(sec_coarse_max_eval(p, gate, x, range->starts, range->rows, &c));
    struct mpc_wire lower =
        mpc_add(p, mpc_gather(p, c, range->row, range->count),
                mpc_public(p, lowering, range->count, y->ring, y->frac, y->ring - 1), 1, y->ring);
    *y = mpc_add(p, *y, lower, 1, y->ring);
out:
    return status;
}

/* Round 4: y of every range, its guard read. */
static enum base_status measure(const struct eng_step *step, struct eng_projections *u,
                                const struct eng_pairs *pairs, struct ranged *range, struct mpc_wire *ret_y)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_gates *gates = &step->decoder->form.gates->layer[step->layer];
    enum base_status status = BASE_OK;
    int log;
    (void)eng_account(step, ENG_CLASS_LINEAR);
    struct mpc_share product = eng_score_share(step, u->q, false, &log);
    int cut = eng_plan_ceiling_widths(plan, step->layer).score_cut + log;
    for (int r = 0; r < ENG_RANGES; r++) {
        list_range(step, pairs, r, &range[r]);
        if (range[r].count == 0)
            continue;
        int k = eng_range_units(&plan->layer[step->layer].range[r]) + 1;
        ret_y[r] = mpc_cut(p, mpc_share_gather(p, product, range[r].source, range[r].count), cut + k, cut,
                           k - 1, true, "score");
    }
    TRY(mpc_round(p));
    (void)eng_account(step, ENG_CLASS_SOFTMAX);
    for (int r = 0; r < ENG_RANGES; r++) {
        if (range[r].count == 0)
            continue;
        ret_y[r] = below_ceiling(p, &range[r], ret_y[r]);
        sec_guard_eval(p, &gates->guard[r], ret_y[r], 0, "score");
    }
    for (int r = 0; r < ENG_RANGES; r++)
        if (range[r].rows > 0)
            TRY(lower_to_maximum(step, &range[r], &ret_y[r]));
out:
    return status;
}

/* Rounds 4 and 5: e of every pair in the order of the pairs, V in its ring. */
static enum base_status exponentiate(const struct eng_step *step, struct eng_projections *u,
                                     const struct eng_pairs *pairs, struct mpc_wire *ret_e)
{
    struct mpc_party *p = step->p;
    const struct eng_gates *gates = step->decoder->form.gates;
    const size_t *exp_two = gates->layer[step->layer].exp_two;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(step->decoder->form.plan, step->layer);
    enum base_status status = BASE_OK;
    struct mpc_wire y[ENG_RANGES] = {{0}}, e[ENG_RANGES] = {{0}};
    struct ranged range[ENG_RANGES] = {{0}};
    size_t all = pairs->starts[pairs->rows], done = 0;
    TRY(measure(step, u, pairs, range, y));
    uint32_t *order = mpc_bytes(p, all * sizeof *order);
    for (int r = 0; r < ENG_RANGES && !mpc_failed(p); r++) {
        for (size_t i = 0; i < range[r].count; i++)
            order[range[r].pair[i]] = (uint32_t)done++;
        if (range[r].count > 0)
            e[r] = sec_exp_two_eval(p, &gates->exp_two[exp_two[r]], y[r], "exp");
    }
    struct mpc_cost *softmax = eng_account(step, ENG_CLASS_LINEAR);
    u->v = mpc_extend(p, u->v, w.e_ring, "extend v");
    p->account = softmax;
    TRY(mpc_round(p));
    struct mpc_wire both = range[0].count == 0   ? e[1]
                           : range[1].count == 0 ? e[0]
                                                 : mpc_concat(p, e[0], e[1]);
    *ret_e = mpc_gather(p, both, order, all);
    /* No score comes nearer to its ceiling than the guard's first cell, or the answer is void (all but
     * surely: a score within that cell is reported as the masks fall). */
    ret_e->bound = w.e_frac - w.empty;
    mpc_check_bound(p, "e", ret_e);
out:
    return status;
}

/* The counted rows' e / S of each unit, to be opened with o. */
static void score_units(const struct eng_step *step, size_t target, const struct sec_reciprocal_two *gate,
                        struct mpc_wire S, const struct mpc_wire *inverse, struct eng_unit_sums *sums)
{
    struct mpc_party *p = step->p;
    struct eng_step own = eng_target(step, target);
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(step->decoder->form.plan, step->layer);
    /* As many bits as o' has: a row whose e are small keeps its weights. */
    int f = w.read_frac < w.e_frac - w.window ? w.read_frac : w.e_frac - w.window,
        cut = w.e_frac - w.window - f, bound = sums->sum.bound - cut,
        ring = eng_score_ring(sums, f + w.inverse_frac);
    struct mpc_wire inverses[SEC_WINDOWS],
        sum = mpc_truncate(p, sums->sum, cut, bound < 1 ? 1 : bound, "e of units");
    for (int i = 0; i < SEC_WINDOWS; i++)
        inverses[i] = mpc_gather(p, inverse[i], sums->row, sums->rows);
    struct mpc_share weight = sec_reciprocal_two_divide(p, gate, mpc_gather(p, S, sums->row, sums->rows),
                                                        inverses, sum, f + 1, ring);
    eng_queue_scores(&own, weight, sums);
}

/* Rounds 6 and 7: o = o' / S. */
static enum base_status divide(const struct eng_step *step, struct mpc_wire e, const struct eng_pairs *pairs,
                               struct mpc_wire *ret_o)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    const int *b = plan->layer[step->layer].bits;
    const struct sec_reciprocal_two *gate =
        &d->form.gates->reciprocal_two[d->form.gates->layer[step->layer].reciprocal_two];
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, step->layer);
    int log_context = eng_plan_log_context(plan), lost = w.read_frac + w.inverse_frac - plan->fu;
    enum base_status status = BASE_OK;
    struct mpc_wire inverse[SEC_WINDOWS],
        S = mpc_sum_runs(p, e, pairs->starts, pairs->rows, e.bound + log_context);
    struct eng_unit_sums *sums = eng_unit_sums(step, e, pairs);
    TRY(p->status);
    struct mpc_cost *softmax = eng_account(step, ENG_CLASS_LINEAR);
    kern_hold(p->kern); /* an accelerator takes product and gate in one piece */
    struct mpc_share share = eng_weighted_sum(step, e, pairs);
    p->account = softmax;
    sec_reciprocal_two_eval(p, gate, S, inverse, "1/S");
    kern_settle(p->kern);
    (void)eng_account(step, ENG_CLASS_LINEAR);
    struct mpc_wire o = mpc_cut(p, share, w.e_ring, share.frac - w.sum_frac,
                                eng_bound(w.sum_frac + w.sum, b[ENG_V]), false, "sum e v");
    p->account = softmax;
    TRY(mpc_round(p));
    struct mpc_wire inverses[SEC_WINDOWS];
    for (int i = 0; i < SEC_WINDOWS; i++)
        inverses[i] = mpc_slice(inverse[i], 0, pairs->answered);
    share = sec_reciprocal_two_divide(p, gate, mpc_slice(S, 0, pairs->answered), inverses, o,
                                      eng_bound(w.read_frac, b[ENG_V] + 1), w.o_ring + lost);
    o = mpc_cut(p, share, w.o_ring + lost, lost, eng_bound(plan->fu, b[ENG_O]), false, "o");
    for (size_t i = 0; i < eng_targets(step); i++)
        if (sums[i].units > 0)
            score_units(step, i, gate, S, inverse, &sums[i]);
    TRY(mpc_round(p));
    eng_add_scores(step, sums);
    *ret_o = eng_swap_axes(step, o, d->form.shape->heads, step->n);
out:
    return status;
}

enum base_status eng_attention_ceilings(const struct eng_step *step, struct eng_projections *u,
                                        struct mpc_wire *ret_o)
{
    struct mpc_party *p = step->p;
    struct kv_cache *cache = &step->decoder->cache[step->layer];
    struct eng_pairs pairs;
    struct mpc_wire e;
    enum base_status status = BASE_OK;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(step->decoder->form.plan, step->layer);
    TRY(eng_normalise_projections(
        step, u, (struct eng_normal_form){.qk = cache->all.form.ring_k, .v = w.v_ring, .v_frac = w.v_frac}));
    TRY(eng_choose_rows(step, u->q));
    /* K must be in place for the scores; V is stored again when it has been extended. */
    struct mpc_wire early = mpc_wire_make(p, u->v.count, w.e_ring, u->v.frac, u->v.bound);
    eng_append(step, u->k, early);
    if (!eng_list_pairs(step, false, &pairs))
        return p->status;
    TRY(exponentiate(step, u, &pairs, &e));
    eng_append(step, u->k, u->v);
    eng_weigh_rows(step, &pairs, &e);
    TRY(divide(step, e, &pairs, ret_o));
out:
    return status;
}
