#include "kvcache/scores.h"

#include "base/bits.h"
#include "protocols/digits.h"

/* The weights of a set sum to a quarter of the range at most; an eighth more keeps sums of weights that are
 * zero but for rounding, of e as well as of 1 / S, above zero. */
enum { ROUNDING = 3 };

int kv_score_sum_bits(const struct kv_scores *s)
{
    return s->bits + KV_SCORE_FINE;
}

int kv_score_ring(const struct kv_scores *s)
{
    return kv_score_sum_bits(s) + 3;
}

void kv_scores_make(struct kv_scores *s, struct mpc_party *p, size_t counted)
{
    s->frac = kv_score_sum_bits(s) - 2 - base_log_ceil(counted);
    s->sum = mpc_wire_make(p, s->sets * s->units, kv_score_ring(s), 0, kv_score_sum_bits(s));
    kv_scores_clear(s);
}

void kv_scores_clear(struct kv_scores *scores)
{
    uint64_t *arrays[] = {scores->sum.m, scores->sum.l1, scores->sum.l2, scores->sum.x};
    for (int a = 0; a < 4; a++)
        for (size_t i = 0; arrays[a] != NULL && i < scores->sum.count; i++)
            arrays[a][i] = 0;
}

struct mpc_wire kv_scores_pool(struct mpc_party *p, const struct kv_scores *s, struct kv_score_windows w)
{
    size_t at = 0;
    uint32_t *index = mpc_bytes(p, s->sets * w.n * w.length * sizeof *index),
             *starts = mpc_bytes(p, (s->sets * w.n + 1) * sizeof *starts);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    for (size_t set = 0; set < s->sets; set++)
        for (size_t i = 0; i < w.n; i++) {
            starts[set * w.n + i] = (uint32_t)at;
            for (size_t j = i * w.stride; j < i * w.stride + w.length; j++)
                index[at++] = j < w.before || j - w.before >= w.units
                                  ? UINT32_MAX
                                  : (uint32_t)(set * s->units + j - w.before);
        }
    starts[s->sets * w.n] = (uint32_t)at;
    struct mpc_wire sum =
        mpc_sum_runs(p, mpc_gather(p, s->sum, index, at), starts, s->sets * w.n, kv_score_sum_bits(s));
    sum.frac = 0;
    /* Half a unit of what is ranked keeps sums of zero away from an edge. */
    return mpc_add_const(p, sum, (1 << (kv_score_sum_bits(s) - ROUNDING)) + (1 << (KV_SCORE_FINE - 1)));
}

struct mpc_wire kv_scores_rank(struct mpc_party *p, const struct kv_scores *s, struct mpc_wire pooled)
{
    return sec_high_digit(p, pooled, kv_score_sum_bits(s), KV_SCORE_FINE, "ranked score");
}
