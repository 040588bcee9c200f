/* What an offline probe found out about a model's heads and layers: public whole numbers that policies read.
 *
 * The probe (engine/calibrate_profile.h) runs on public calibration text in the clear; its result travels in
 * the numeric plan, so that all parties have the same. It says how far a head's attention reaches and how a
 * layer's attention is spread. Reveals nothing of a request: it is made before any. Sources: RazorAttention,
 * arXiv 2407.15891 (echo and induction); DuoAttention, arXiv 2410.10819 (what a head loses by a window);
 * PrefixKV, arXiv 2412.03409 (cumulative attention per layer). */
#ifndef CACHET_KVCACHE_PROFILE_H
#define CACHET_KVCACHE_PROFILE_H

#include "base/status.h"

#include <stddef.h>

/* Scores of a KV head: the largest of its query heads', and what all of them change together. */
enum kv_head_score {
    KV_HEAD_ECHO,      /* attention to earlier occurrences of the own token, on repeated random tokens */
    KV_HEAD_INDUCTION, /* attention to what followed them */
    KV_HEAD_DEVIATION, /* root mean square of what changes in the residual when the head sees sinks and window
                          alone, relative to the residual */
    KV_HEAD_SCORES,
};
const char *kv_head_score_name(enum kv_head_score score);

/* Scores and attention count in 1 / KV_PROFILE_ONE; a deviation may be larger than 1. */
enum { KV_PROFILE_ONE = 10000, KV_PROFILE_MOST_SCORE = 10 * KV_PROFILE_ONE, KV_CURVE_POINTS = 16 };

struct kv_head_profile {
    int score[KV_HEAD_SCORES];
};

struct kv_profile {
    size_t layers, kv_heads;      /* 0: there is no profile */
    struct kv_head_profile *head; /* [layers][kv_heads] */
    /* [layers][KV_CURVE_POINTS]: the part of the attention of a text's last rows, averaged over heads, that
     * goes to the most attended kv_curve_share(point) of its rows */
    int *curve;
};

/* Share of the rows at a point of the curves, in 1 / KV_PROFILE_ONE, rising. */
int kv_curve_share(size_t point);

/* All zero. Free with kv_profile_finish, which accepts a zeroed profile. */
BASE_MUST_USE enum base_status kv_profile_init(struct kv_profile *ret, size_t layers, size_t kv_heads,
                                               struct base_error *error);
/* For shapes that nobody can probe: the first heads of every layer reach furthest, and attention is spread
 * evenly, so that layers have equal budgets. */
BASE_MUST_USE enum base_status kv_profile_init_uniform(struct kv_profile *ret, size_t layers, size_t kv_heads,
                                                       struct base_error *error);
void kv_profile_finish(struct kv_profile *profile);
/* A deep copy, also of a profile that is not there. */
BASE_MUST_USE enum base_status kv_profile_copy(struct kv_profile *ret, const struct kv_profile *profile,
                                               struct base_error *error);
/* Every score and point in its range, curves that rise. Errors: BASE_ERR_FORMAT naming layer, head or point.
 */
BASE_MUST_USE enum base_status kv_profile_check(const struct kv_profile *profile, struct base_error *error);

/* Levels of attention, finer than the curves' points, so that a level can meet a budget. */
enum { KV_LEVEL_FINE = 1024, KV_LEVEL_ONE = KV_PROFILE_ONE * KV_LEVEL_FINE };
/* Of `rows` rows, how many the layer must keep to hold `level` / KV_LEVEL_ONE of the attention: the curve,
 * straight between its points, rounded down. Grows with the level. */
size_t kv_profile_rows(const struct kv_profile *profile, size_t layer, size_t rows, int level);

#endif
