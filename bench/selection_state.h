/* What the operators of a selecting step have in common: a role's state, and what it is in the clear. */
#ifndef CACHET_BENCH_SELECTION_STATE_H
#define CACHET_BENCH_SELECTION_STATE_H

#include "bench/attention_state.h"

enum {
    BENCH_FINE_BITS = KV_UNIT_BITS_FRESH + KV_UNIT_FINE,
    /* A box's row is 3 high + 2 low, five times MPCache's at alpha = 0.6. */
    BENCH_HIGH_PARTS = 3,
    BENCH_LOW_PARTS = 2,
    BENCH_PARTS_BITS = 3
};

/* A row that arrives after the units: v as it comes, full_v in the store's ring. */
struct bench_row {
    struct mpc_wire k, v, full_v;
};

struct bench_selection {
    struct kv_store all, active;
    struct kv_selection_plan plan;
    struct kv_score_form score;
    int hot_ring;           /* of one-hot rows */
    struct mpc_wire q;      /* [heads][channels] */
    struct mpc_wire keys;   /* of the last unit, [heads][rows][channels] */
    struct mpc_wire scores; /* [heads][units], of KV_UNIT_BITS_FRESH bits: bench_known_score */
    struct mpc_wire hot;    /* [heads][BENCH_CHOSEN][units]: bench_chosen_unit */
    struct bench_row arrived[BENCH_MOST_STEPS];
    struct mpc_matrix box[BENCH_HEADS]; /* [units][channels]: boxes' rows */
};

/* `prepare` and `release` of bench/operators.h. */
BASE_MUST_USE enum base_status bench_selection_prepare(struct mpc_party *p, const struct bench_operator *what,
                                                       void **ret_state, struct base_error *error);
void bench_selection_release(void **state);

extern const struct kv_units bench_units;
/* By the sums of keys, under the state's plan. */
struct kv_selection bench_selection_of(const struct bench_selection *state);
/* One-hot rows in Z_2^ring; in Z_2^1 flags. */
struct sec_choice_form bench_choice_form(int ring);
/* Rows of the chosen units and `more` that arrived after all units, [heads][BENCH_KEPT + more][channels];
 * NULL: no memory. */
int64_t *bench_chosen_rows(const struct bench_operator *what, enum bench_number kind, size_t more,
                           struct base_error *error);
/* `check` of operators whose result is the last of `steps` steps, by the chosen units and what arrived. */
BASE_MUST_USE enum base_status bench_check_steps(const struct bench_operator *what, const int64_t *result,
                                                 size_t count, int frac, struct base_error *error);

/* Bits that a unit's score loses before it is rounded. */
int bench_score_cut(const struct bench_attention_setting *setting);
/* Distinct within a head. */
int64_t bench_known_score(size_t head, size_t unit);
/* Boxes' rows: [heads][units][channels]. NULL: no memory. */
int64_t *bench_clear_boxes(const struct bench_attention_setting *setting, struct base_error *error);

#endif
