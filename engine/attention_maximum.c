/* Attention whose scores are measured from a row maximum that is found on shares: any range. */
#include "engine/attention.h"
#include "kernels/gather.h"

/* Scores of every pair, read by gates only: Z_2^ks with fs fraction bits. Queues one opening. */
static struct mpc_wire cut_scores(const struct eng_step *step, struct mpc_share product,
                                  const struct eng_pairs *pairs)
{
    const struct eng_plan *plan = step->decoder->form.plan;
    size_t count = pairs->starts[pairs->rows];
    int cut = product.frac - plan->fs, ring = cut + eng_plan_score_ring(plan, step->layer);
    struct mpc_share chosen = mpc_share_gather(step->p, product, pairs->source, count);
    return mpc_cut(step->p, chosen, ring, cut, eng_bound(plan->fs, plan->layer[step->layer].bits[ENG_SCORE]),
                   true, "score");
}

/* Decode with the norm deferred: rounds 2 and 3. The own row is scored beside the cache and then enters it.
 */
struct deferred {
    struct mpc_wire score; /* [rows * (cached + 1)], own last in each row */
    struct mpc_wire k, v;
};

static enum base_status scores_deferred(const struct eng_step *step, struct eng_projections *u,
                                        const struct eng_pairs *pairs, struct deferred *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    const struct eng_plan *plan = step->decoder->form.plan;
    const int *b = plan->layer[step->layer].bits;
    int ft = plan->layer[step->layer].ft[ENG_NORM_ATTENTION], ft2 = eng_plan_ft2(plan, step->layer);
    int ks = eng_plan_score_ring(plan, step->layer), cut = 2 * plan->fu - plan->fs;
    size_t dim = shape->head_dim, group = shape->heads / shape->kv_heads, heads = shape->heads,
           cached = pairs->starts[heads] - heads, at = 0;
    enum base_status status = BASE_OK;

    /* a_own: the key of each query head, then one dot product per head. */
    uint32_t *own = mpc_bytes(p, heads * dim * sizeof *own),
             *source = mpc_bytes(p, (cached + 1) * sizeof *source);
    uint32_t *order = mpc_bytes(p, (cached + heads) * sizeof *order);
    if (mpc_failed(p))
        return p->status;
    for (size_t i = 0; i < heads * dim; i++)
        own[i] = (uint32_t)(i / dim / group * dim + i % dim);
    for (size_t i = 0; i < cached + heads; i++)
        if (pairs->source[i] != UINT32_MAX)
            source[at++] = pairs->source[i];
    struct mpc_wire t[2], a = {0}, mine, key = mpc_gather(p, u->k, own, heads * dim);
    struct mpc_share product = {0};
    int log;
    (void)eng_account(step, ENG_CLASS_LINEAR);
    kern_hold(p->kern); /* an accelerator takes product and gate in one piece */
    if (cached > 0)
        product = eng_score_share(step, u->q, true, &log);
    (void)eng_account(step, ENG_CLASS_NORM);
    sec_spline_eval(p, &step->decoder->form.gates->layer[step->layer].norm_squared, u->squares, t, "rsqrt");
    kern_settle(p->kern);
    (void)eng_account(step, ENG_CLASS_LINEAR);
    mine = mpc_cut(p, mpc_share_dot(p, u->q, key, dim), u->q.ring, cut, eng_bound(plan->fs, b[ENG_AOWN]),
                   false, "a_own");
    if (cached > 0) {
        product = mpc_share_gather(p, product, source, cached);
        a = mpc_cut(p, product, u->q.ring, cut, eng_bound(plan->fs, b[ENG_A]), false, "a");
    }
    TRY(mpc_round(p));

    (void)eng_account(step, ENG_CLASS_NORM);
    size_t narrow = shape->kv_heads * dim;
    int bound_s = eng_bound(plan->fs, b[ENG_SCORE]);
    ret->k = mpc_cut(p, mpc_share_mul(p, u->k, t[0], narrow, plan->ring), plan->ring, ft,
                     eng_bound(plan->fu, b[ENG_K]), false, "k");
    ret->v = mpc_cut(p, mpc_share_mul(p, u->v, t[0], narrow, plan->ring), plan->ring, ft,
                     eng_bound(plan->fu, b[ENG_V]), false, "v");
    struct mpc_wire score =
        mpc_cut(p, mpc_share_mul(p, mine, t[1], heads, ft2 + ks), ft2 + ks, ft2, bound_s, true, "own score");
    if (cached > 0) {
        struct mpc_wire rest =
            mpc_cut(p, mpc_share_mul(p, a, t[0], cached, ft + ks), ft + ks, ft, bound_s, true, "score");
        TRY(mpc_round(p));
        score = mpc_concat(p, rest, score);
    } else {
        TRY(mpc_round(p));
    }
    /* Interleave: each head's cached scores, then its own. */
    size_t next = 0;
    for (size_t i = 0; i < cached + heads; i++)
        order[i] = pairs->source[i] == UINT32_MAX ? (uint32_t)(cached + pairs->row[i]) : (uint32_t)next++;
    ret->score = mpc_gather(p, score, order, cached + heads);
out:
    return status;
}

/* e = exp(score - c), extended when the plan says so, and the new rows of the cache with it. */
static enum base_status exponentiate(const struct eng_step *step, struct mpc_wire score,
                                     const struct eng_pairs *pairs, struct mpc_wire *v,
                                     struct mpc_wire *ret_e)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_gates *gates = &step->decoder->form.gates->layer[step->layer];
    size_t count = pairs->starts[pairs->rows];
    int ks = eng_plan_score_ring(plan, step->layer);
    enum base_status status = BASE_OK;
    struct mpc_wire c;
    (void)eng_account(step, ENG_CLASS_SOFTMAX);
    if (!plan->pair) /* two parties: by the maximum's own keys */
        sec_guard_eval(p, &gates->guard[0], score,
                       UINT64_C(1) << (eng_plan_histogram_ring(plan, step->layer) - 1), "score");
    TRY(sec_coarse_max_eval(p, &gates->coarse_max, score, pairs->starts, pairs->rows, &c));
    struct mpc_wire y = mpc_add(p, mpc_gather(p, c, pairs->row, count), mpc_reduce(p, score, ks), -1, ks);
    struct mpc_wire e = sec_exp_eval(p, &step->decoder->form.gates->exp[gates->exp], y, "exp");
    if (plan->ring_sv != 0)
        *v = mpc_extend(p, *v, plan->ring_sv, "extend v");
    TRY(mpc_round(p));
    if (plan->ring_sv != 0) {
        e = mpc_extend(p, e, plan->ring_sv, "extend e");
        TRY(mpc_round(p));
    }
    *ret_e = e;
out:
    return status;
}

enum { WEIGHT_FRACTION = 12 };

/* Ring of the counted rows' e / S. */
static int weight_ring(const struct eng_step *step, const struct eng_unit_sums *sums)
{
    return eng_score_ring(sums, WEIGHT_FRACTION + step->decoder->form.plan->fy);
}

/* e of each unit as a factor. */
static void ready_units(const struct eng_step *step, struct eng_unit_sums *sums)
{
    int cut = sums->sum.frac - WEIGHT_FRACTION;
    struct mpc_wire units = mpc_truncate(step->p, sums->sum, cut, sums->sum.bound > cut ? sums->sum.bound - cut : 1, "e of units");
    sums->sum = mpc_ready(step->p, units, weight_ring(step, sums), "e of units ready");
}

/* The counted rows' e / S of each unit, to be opened with o. */
static void score_units(const struct eng_step *step, size_t target, struct mpc_wire inverse,
                        struct eng_unit_sums *sums)
{
    struct eng_step own = eng_target(step, target);
    struct mpc_wire inverses = mpc_gather(step->p, inverse, sums->row, sums->rows);
    eng_queue_scores(&own, mpc_share_mul(step->p, sums->sum, inverses, sums->units, weight_ring(step, sums)), sums);
}

/* o = o' / S: two rounds. */
static enum base_status normalise(const struct eng_step *step, struct mpc_wire e,
                                  const struct eng_pairs *pairs, struct mpc_wire *ret_o)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    const int *b = plan->layer[step->layer].bits;
    int log_context = eng_plan_log_context(plan);
    enum base_status status = BASE_OK;
    struct eng_unit_sums *sums = eng_unit_sums(step, e, pairs);
    TRY(p->status);
    struct mpc_wire sum = mpc_sum_runs(p, e, pairs->starts, pairs->rows, plan->fo + log_context), inverse;
    sum = mpc_truncate(p, sum, d->form.gates->sum_cut, d->form.gates->sum_bits, "S");
    struct sec_windows_reading windows = {0};
    struct mpc_cost *softmax = eng_account(step, ENG_CLASS_LINEAR);
    kern_hold(p->kern); /* an accelerator takes product and gate in one piece */
    struct mpc_share share = eng_weighted_sum(step, e, pairs);
    p->account = softmax;
    if (plan->pair)
        windows = sec_windows_eval(p, &d->form.gates->windows, sum, "1/S");
    else
        sec_spline_eval(p, &d->form.gates->reciprocal, sum, &inverse, "1/S");
    kern_settle(p->kern);
    (void)eng_account(step, ENG_CLASS_LINEAR);
    struct mpc_wire o = mpc_cut(p, share, share.ring, share.frac - plan->fo2,
                                eng_bound(plan->fo2, log_context + b[ENG_V]), false, "sum e v");
    p->account = softmax;
    TRY(mpc_round(p));
    o = mpc_ready(p, o, plan->ring, "o ready");
    if (plan->pair)
        inverse = sec_windows_choose(p, &d->form.gates->windows, &windows, plan->ring, "1/S chosen");
    for (size_t i = 0; i < eng_targets(step); i++)
        if (sums[i].units > 0)
            ready_units(step, &sums[i]);
    TRY(eng_ready_round(step));
    share = mpc_share_mul(p, o, mpc_slice(inverse, 0, pairs->answered), d->form.shape->head_dim, plan->ring);
    o = mpc_cut(p, share, plan->ring, plan->fo2 + plan->fy - plan->fu, eng_bound(plan->fu, b[ENG_O]), false,
                "o");
    for (size_t i = 0; i < eng_targets(step); i++)
        if (sums[i].units > 0)
            score_units(step, i, inverse, &sums[i]);
    TRY(mpc_round(p));
    eng_add_scores(step, sums);
    *ret_o = eng_swap_axes(step, o, d->form.shape->heads, step->n);
out:
    return status;
}

/* After a deferred step the own pair of each row points to the slot that the new row took. */
static void point_to_own_slot(const struct eng_step *step, struct eng_pairs *pairs)
{
    size_t used = step->decoder->cache[step->layer].all.used;
    for (size_t i = 0; i < pairs->starts[pairs->rows]; i++) {
        size_t r = pairs->row[i];
        size_t slot = pairs->source[i] == UINT32_MAX ? step->slots[0] : pairs->source[i] - r * pairs->used;
        pairs->source[i] = (uint32_t)(r * used + slot);
    }
    pairs->used = used;
}

static enum base_status run_deferred(const struct eng_step *step, struct eng_projections *u,
                                     struct mpc_wire *ret_o)
{
    struct kv_cache *cache = &step->decoder->cache[step->layer];
    struct eng_pairs pairs;
    struct deferred scored;
    struct mpc_wire e;
    enum base_status status = BASE_OK;
    kv_cache_slots(cache, 1, step->slots);
    if (!eng_list_pairs(step, true, &pairs))
        return step->p->status;
    TRY(scores_deferred(step, u, &pairs, &scored));
    TRY(exponentiate(step, scored.score, &pairs, &scored.v, &e));
    kv_cache_append(cache, step->p, scored.k, scored.v, 1);
    point_to_own_slot(step, &pairs);
    TRY(normalise(step, e, &pairs, ret_o));
out:
    return status;
}

/* Rows, from round 2 on. The new rows enter the cache before they are scored. */
static enum base_status run_folded(const struct eng_step *step, struct eng_projections *u,
                                   struct mpc_wire *ret_o)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    struct kv_cache *cache = &step->decoder->cache[step->layer];
    struct eng_pairs pairs;
    struct mpc_wire e;
    enum base_status status = BASE_OK;
    int ring = plan->ring - plan->layer[step->layer].ft[ENG_NORM_ATTENTION];
    struct eng_normal_form form = {.qk = cache->all.form.ring_k, .v = ring, .v_frac = plan->fu};
    TRY(eng_normalise_projections(step, u, form));
    bool late = plan->ring_sv != 0 || eng_values_wait(u);
    TRY(eng_choose_rows(step, u->q));
    /* K must be in place for the scores; V may still wait for its extension or its product, and is stored again
     * when it has it. */
    struct mpc_wire early = late ? mpc_wire_make(p, u->v.count, cache->all.form.ring_v, cache->all.form.frac_v, cache->all.form.bound_v) : u->v;
    eng_append(step, u->k, early);
    if (!eng_list_pairs(step, false, &pairs))
        return p->status;
    int log;
    (void)eng_account(step, ENG_CLASS_LINEAR);
    struct mpc_wire score = cut_scores(step, eng_score_share(step, u->q, false, &log), &pairs);
    eng_queue_values(step, u, form);
    TRY(mpc_round(p));
    eng_swap_values(step, u);
    TRY(exponentiate(step, score, &pairs, &u->v, &e));
    if (late)
        eng_append(step, u->k, u->v);
    eng_weigh_rows(step, &pairs, &e);
    TRY(normalise(step, e, &pairs, ret_o));
out:
    return status;
}

enum base_status eng_attention_maximum(const struct eng_step *step, struct eng_projections *u,
                                       struct mpc_wire *ret_o)
{
    const struct kv_layer_plan *kv = &step->decoder->request.layer[step->layer];
    bool deferred =
        step->n == 1 && !step->decoder->form.plan->fold && kv->evict.keep == 0 && kv->select.units == 0;
    return deferred ? run_deferred(step, u, ret_o) : run_folded(step, u, ret_o);
}
