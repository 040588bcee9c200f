/* What a choice by attention ranks: the attention that the step's last rows gave to each unit of cached rows,
 * summed over rows and heads.
 *
 * e / S of a unit is the sum of its e, divided: linear, so that all rows and heads of a set fall into one
 * opening per unit, in the round that opens o. Source: specification, kv.py (mass). */
#include "base/bits.h"
#include "engine/attention.h"

/* Each probe is a sum of its own. */
static struct eng_unit_sums sum_probes(struct mpc_party *p, struct kv_scores *scores, struct mpc_wire e,
                                       const struct eng_pairs *pairs)
{
    size_t rows = pairs->rows - pairs->answered, n = pairs->probes;
    struct eng_unit_sums ret = {.scores = scores, .rows = rows, .units = n};
    uint32_t *index = mpc_bytes(p, rows * n * sizeof *index);
    ret.row = mpc_bytes(p, rows * sizeof *ret.row);
    if (mpc_failed(p))
        return (struct eng_unit_sums){0};
    for (size_t i = 0; i < rows; i++) {
        size_t r = pairs->answered + i;
        ret.row[i] = (uint32_t)r;
        for (size_t j = 0; j < n; j++)
            index[i * n + j] = (uint32_t)(pairs->starts[r + 1] - n + j);
    }
    ret.sum = mpc_gather(p, e, index, rows * n);
    return ret;
}

static struct eng_unit_sums sum_units(const struct eng_step *step, struct mpc_wire e,
                                      const struct eng_pairs *pairs)
{
    struct mpc_party *p = step->p;
    size_t counted, heads = step->decoder->form.shape->heads, used = pairs->used, at = 0, run = 0;
    struct kv_scores *scores = kv_cache_scored(&step->decoder->cache[step->layer], step->n, &counted);
    struct eng_unit_sums ret = {.scores = scores};
    if (scores == NULL || used <= scores->first)
        return ret;
    if (pairs->probes > 0)
        return sum_probes(p, scores, e, pairs);
    ret.units = (used - scores->first + scores->unit - 1) / scores->unit;
    ret.rows = heads * counted;
    uint32_t *of = mpc_bytes(p, used * sizeof *of),
             *index = mpc_bytes(p, ret.rows * (used - scores->first) * sizeof *index),
             *starts = mpc_bytes(p, (ret.rows * ret.units + 1) * sizeof *starts);
    ret.row = mpc_bytes(p, ret.rows * sizeof *ret.row);
    for (size_t i = 0; i < ret.rows && !mpc_failed(p); i++) {
        size_t r = i / counted * step->n + step->n - counted + i % counted;
        ret.row[i] = (uint32_t)r;
        for (size_t slot = 0; slot < used; slot++)
            of[slot] = UINT32_MAX;
        for (size_t j = pairs->starts[r]; j < pairs->starts[r + 1]; j++)
            of[pairs->source[j] - r * used] = (uint32_t)j;
        for (size_t slot = scores->first; slot < used; slot++) {
            if ((slot - scores->first) % scores->unit == 0)
                starts[run++] = (uint32_t)at;
            index[at++] = of[slot];
        }
    }
    if (mpc_failed(p))
        return (struct eng_unit_sums){0};
    starts[run] = (uint32_t)at;
    ret.sum = mpc_sum_runs(p, mpc_gather(p, e, index, at), starts, run,
                           e.bound + eng_plan_log_context(step->decoder->form.plan));
    return ret;
}

struct eng_unit_sums *eng_unit_sums(const struct eng_step *step, struct mpc_wire e,
                                    const struct eng_pairs *pairs)
{
    size_t targets = eng_targets(step);
    struct eng_unit_sums *sums = mpc_bytes(step->p, targets * sizeof *sums);
    for (size_t i = 0; sums != NULL && i < targets; i++) {
        struct eng_step own = eng_target(step, i);
        sums[i] = sum_units(&own, e, pairs);
    }
    return sums;
}

/* [rows][units] of weights, added up over the rows of each set: [sets][units]. */
static struct mpc_share add_up(struct mpc_party *p, struct mpc_share weight, const struct eng_unit_sums *sums,
                               size_t sets)
{
    struct mpc_share out = mpc_share_make(p, sets * sums->units, weight.ring, weight.frac);
    size_t rows = sums->rows / sets;
    for (size_t i = 0; out.z != NULL && i < sets * sums->units; i++) {
        uint64_t sum = 0;
        for (size_t r = 0; r < rows; r++)
            sum += weight.z[(i / sums->units * rows + r) * sums->units + i % sums->units];
        out.z[i] = sum;
    }
    out.slack = weight.slack * (double)rows;
    return out;
}

static int lost(const struct eng_unit_sums *sums, int fraction)
{
    return fraction - sums->scores->frac;
}

int eng_score_ring(const struct eng_unit_sums *sums, int fraction)
{
    return lost(sums, fraction) + kv_score_ring(sums->scores);
}

void eng_queue_scores(const struct eng_step *step, struct mpc_share weight, struct eng_unit_sums *sums)
{
    struct mpc_party *p = step->p;
    struct mpc_cost *before = eng_account(step, ENG_CLASS_SELECTION);
    sums->score =
        mpc_cut(p, add_up(p, weight, sums, sums->scores->sets), eng_score_ring(sums, weight.frac),
                lost(sums, weight.frac), kv_score_sum_bits(sums->scores), false, "attention of units");
    p->account = before;
}

static void add(const struct eng_unit_sums *sums)
{
    struct kv_scores *scores = sums->scores;
    const struct mpc_wire *w = &sums->score;
    uint64_t *to[] = {scores->sum.m, scores->sum.l1, scores->sum.l2, scores->sum.x},
             *from[] = {w->m, w->l1, w->l2, w->x};
    uint64_t keep = kern_ring_mask(kv_score_ring(scores));
    for (int a = 0; a < 4; a++)
        for (size_t i = 0; to[a] != NULL && from[a] != NULL && i < w->count; i++) {
            uint64_t *at = &to[a][i / sums->units * scores->units + i % sums->units];
            *at = a == 3 ? *at + from[a][i] : (*at + from[a][i]) & keep;
        }
}

void eng_add_scores(const struct eng_step *step, const struct eng_unit_sums *sums)
{
    for (size_t i = 0; i < eng_targets(step); i++)
        if (sums[i].units > 0)
            add(&sums[i]);
    (void)eng_account(step, ENG_CLASS_SELECTION);
    kv_cache_rank(step->decoder->cache, step->layer, step->p);
}

void eng_weigh_rows(const struct eng_step *step, const struct eng_pairs *pairs, struct mpc_wire *e)
{
    const struct kv_store *store = kv_cache_store(&step->decoder->cache[step->layer]);
    uint64_t *arrays[] = {e->m, e->l1, e->l2, e->x}, keep = kern_ring_mask(e->ring);
    size_t most = 1;
    for (size_t i = 0; i < pairs->starts[pairs->rows]; i++) {
        bool probe = pairs->source[i] >= pairs->answered * pairs->used;
        uint64_t weight = probe ? 1 : store->weight[pairs->source[i] % pairs->used];
        most = weight > most ? weight : most;
        for (int a = 0; weight != 1 && a < 4; a++)
            if (arrays[a] != NULL)
                arrays[a][i] = a == 3 ? arrays[a][i] * weight : (arrays[a][i] * weight) & keep;
    }
    e->bound += base_log_ceil(most);
}
