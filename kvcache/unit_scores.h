/* How a decode step's queries score units of cached rows: one number per set and unit, in one opening.
 *
 *   mean     q against the sum of the unit's keys, and of those of the rows before it: no more than that
 *   squares  the sum of (q . k)^2 over the unit and the heads of the set: every row's score is opened, too
 *   box      q+ . high + q- . low, the largest score that the unit's box of keys allows (Quest)
 *   alpha    q . (alpha high + (1 - alpha) low), alpha in sixteenths (MPCache)
 *
 * Queries of the heads of a set are added up first, but for the squares. Boxes (protocols/box.h) are made
 * once, when the prompt has been read: rows of the answer are attended to as part of the window.
 * Scores have KV_UNIT_BITS bits as they are ranked, means for the step itself KV_UNIT_BITS_FRESH, which a
 * choice of one digit reads in fewer rounds; KV_UNIT_FINE more below take the rounding and are dropped
 * exactly: the twin and the parties choose the same units but for scores at an edge. A score beyond the
 * plan's bound wraps: a worse choice, and, where units are compared in pairs (SEC_CHOICE_PAIRS), ranks that
 * are no permutation: a gathered row may then be nothing, or a sum of units. The twin counts it, no guard
 * watches it.
 *
 * Reveals: nothing. Source: specification, kv.py (unit_scores, second_moment, box, split_q), README 9.3. */
#ifndef CACHET_KVCACHE_UNIT_SCORES_H
#define CACHET_KVCACHE_UNIT_SCORES_H

#include "kvcache/store.h"

enum { KV_UNIT_BITS = 12, KV_UNIT_BITS_FRESH = 9, KV_UNIT_FINE = 6 };

/* How q . k counts: |q . k| <= 2^product_bits in units of the product for every score within the plan's
 * bound; attention reads it in Z_2^ring. */
struct kv_score_form {
    size_t heads;
    int product_bits, ring;
};

struct kv_scorer {
    const struct kv_selection_plan *plan;
    const struct kv_store *all;
    struct kv_score_form form;
    struct mpc_wire boxes[2]; /* of units, and of pairs of units: [kv_heads][boxed][channels] */
    size_t boxed[2];
};

/* Bits of a score as it is ranked, of a unit among all. */
int kv_scorer_bits(const struct kv_selection_plan *plan);
/* Ring that keys need to be scored. */
int kv_scorer_ring(const struct kv_score_form *form, const struct kv_selection_plan *plan, size_t kv_heads);
size_t kv_scorer_sets(const struct kv_scorer *scorer);

/* Boxes of the units, for a plan that reads them; they lie in p->arena until kv_scorer_keep. Runs its rounds:
 * 1 to bring keys under fresh masks and 2 log2(unit), and 2 for pairs. */
BASE_MUST_USE enum base_status kv_scorer_box(struct kv_scorer *scorer, struct mpc_party *p,
                                             struct kv_units units);
/* Copies boxes into p->arena as it is now: where they are made, much more is needed. */
void kv_scorer_keep(struct kv_scorer *scorer, struct mpc_party *p);
/* q [heads][head_dim] -> what the scores below read. box: runs 2 rounds. */
BASE_MUST_USE enum base_status kv_scorer_query(const struct kv_scorer *scorer, struct mpc_party *p,
                                               struct mpc_wire q, struct mpc_wire *ret);
/* Queues the opening of the scores [sets][units], signed, of kv_scorer_bits + KV_UNIT_FINE bits; of the pairs
 * of units, if `pairs`. squares: the scores of rows, to be given to kv_scorer_squares after the round. */
struct mpc_wire kv_scorer_queue(const struct kv_scorer *scorer, struct mpc_party *p, struct kv_units units,
                                struct mpc_wire query, bool pairs);
struct mpc_wire kv_scorer_squares(const struct kv_scorer *scorer, struct mpc_party *p, struct kv_units units,
                                  struct mpc_wire rows);
/* Opened scores from zero on. Local. */
struct mpc_wire kv_scorer_level(const struct kv_scorer *scorer, struct mpc_party *p, struct mpc_wire scores);
/* Queues the opening of such scores, of bits + KV_UNIT_FINE bits, without the fine ones: exact. */
struct mpc_wire kv_scorer_rank(struct mpc_party *p, struct mpc_wire scores, int bits);

#endif
