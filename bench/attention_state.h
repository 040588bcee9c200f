/* What the operators of a decode step of attention have in common: made-up numbers, a role's state, attention
 * itself, and its check. */
#ifndef CACHET_BENCH_ATTENTION_STATE_H
#define CACHET_BENCH_ATTENTION_STATE_H

#include "bench/attention_operators.h"
#include "kvcache/selection.h"

enum {
    BENCH_ELEMENTS = BENCH_HEADS * BENCH_CHANNELS,
    BENCH_UNITS = BENCH_ROWS / BENCH_CLUSTER,
    BENCH_CHOSEN = 3, /* units of each head that answer its query: scores some 3 nats above the others */
    BENCH_KEPT = BENCH_CHOSEN * BENCH_CLUSTER,
    BENCH_MOST_STEPS = 16 /* of one run */
};

enum bench_number { BENCH_QUERY, BENCH_KEY, BENCH_VALUE };

/* The same at every role: [heads][rows][channels] from row `first` on, rows below BENCH_ROWS +
 * BENCH_MOST_STEPS; scores within some 8 nats, values within 4. NULL: no memory. */
int64_t *bench_numbers(const struct bench_attention_setting *setting, enum bench_number kind, size_t first,
                       size_t rows, struct base_error *error);
struct mpc_wire bench_wire_of(struct mpc_party *p, const struct bench_attention_setting *setting,
                              enum bench_number kind, size_t first, size_t rows, int ring,
                              struct base_error *error);
/* The unit `which` of those that answer head h, in index order. */
size_t bench_chosen_unit(size_t head, size_t which);

/* q [heads][channels] times the first rows of each head's matrix: [heads][rows]. Local. */
struct mpc_share bench_scores(struct mpc_party *p, const struct mpc_matrix *k, struct mpc_wire q,
                              size_t rows);
/* Attention of q [heads][channels] to the first `rows` slots of a store, of which the last one holds the
 * newest row: its values v are extended and stored on the way. 4 rounds; the calls of
 * engine/attention_ceilings.c from its round 4 on. */
BASE_MUST_USE enum base_status bench_attend(struct mpc_party *p,
                                            const struct bench_attention_setting *setting,
                                            struct kv_store *store, struct mpc_wire q, struct mpc_wire v,
                                            size_t rows, struct mpc_wire *ret);
/* Its parts. Scores are cut and opened to be read by gates alone; they count downwards from the ceiling,
 * guarded; e [heads][rows] gives weighted sums over the first rows of the store, 2 rounds. */
struct mpc_wire bench_cut_scores(struct mpc_party *p, const struct bench_attention_setting *setting,
                                 struct mpc_share scores);
struct mpc_wire bench_below_ceiling(struct mpc_party *p, const struct bench_attention_setting *setting,
                                    struct mpc_wire score);
const struct sec_exp_two *bench_exp(const struct bench_attention_setting *setting);
/* The newest row's v [heads][channels], extended. */
void bench_store_value(struct mpc_party *p, struct kv_store *store, struct mpc_wire v, size_t slot);
BASE_MUST_USE enum base_status bench_divide(struct mpc_party *p,
                                            const struct bench_attention_setting *setting,
                                            const struct kv_store *store, struct mpc_wire e, size_t rows,
                                            struct mpc_wire *ret);
/* A store's form for `capacity` slots, with K in ring_k. */
struct kv_form bench_store_form(const struct bench_attention_setting *setting, size_t capacity, int ring_k);
/* That nothing failed while a role's state was made. */
BASE_MUST_USE enum base_status bench_prepared(const struct mpc_party *p, struct base_error *error);
/* A store that holds `rows` rows, from the first one on. */
BASE_MUST_USE enum base_status bench_store_open(struct kv_store *ret, struct mpc_party *p,
                                                const struct bench_attention_setting *setting,
                                                struct kv_form form, size_t rows, struct base_error *error);
/* Judges o against softmax in double precision over k, v [heads][rows][channels]. Errors: BASE_ERR_MISMATCH.
 */
BASE_MUST_USE enum base_status bench_check_attention(const struct bench_operator *what, const int64_t *k,
                                                     const int64_t *v, size_t rows, const int64_t *result,
                                                     size_t count, int frac, struct base_error *error);

#endif
