/* Scores of cached rows by the attention that they got: sums of softmax weights over runs of rows, by set.
 *
 * Sums of e / S are linear in e, so that one opening per run, set and step is enough, whatever the number of
 * heads and rows that counted. They are ranked exactly: KV_SCORE_FINE more bits take the rounding and are
 * dropped (protocols/digits.h), so that scores which are equal but for rounding stay equal, and the plaintext
 * twin and the parties keep the same rows but for scores at an edge. Source: specification, kv.py (mass). */
#ifndef CACHET_KVCACHE_SCORES_H
#define CACHET_KVCACHE_SCORES_H

#include "mpc/wire.h"

enum { KV_SCORE_FINE = 6 };

/* What is added up, and the sums so far: [sets][units]. */
struct kv_scores {
    size_t first; /* slot of the first row that is ranked */
    size_t unit;  /* rows of one sum: unit u holds the rows of slots first + u unit and on */
    size_t sets, units;
    int bits; /* of a score as it is ranked */
    int frac; /* fraction bits: the largest possible sum is below 2^(bits + KV_SCORE_FINE - 1) */
    struct mpc_wire sum;
};

/* Makes the sums, in p->arena, and clears them; `counted` rows of all heads of a set at most are added up.
 * frac and sum are set here, the rest is the caller's. */
void kv_scores_make(struct kv_scores *scores, struct mpc_party *p, size_t counted);
void kv_scores_clear(struct kv_scores *scores);
int kv_score_sum_bits(const struct kv_scores *scores);
int kv_score_ring(const struct kv_scores *scores);

/* Sum i of n is that of units [i stride - before, i stride - before + length), as far as they are of the first
 * `units`. */
struct kv_score_windows {
    size_t n, stride, before, length, units;
};
/* [sets][n], not below zero whatever rounding did, and half a unit of what is ranked above the sums: whole
 * numbers of kv_score_sum_bits bits. Local. */
struct mpc_wire kv_scores_pool(struct mpc_party *p, const struct kv_scores *scores,
                               struct kv_score_windows windows);
/* Queues the opening of pooled sums without their fine bits: exact, scores->bits bits. */
struct mpc_wire kv_scores_rank(struct mpc_party *p, const struct kv_scores *scores, struct mpc_wire pooled);

#endif
