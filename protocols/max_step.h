/* Compare-exchange of pairs (value, id), one round: what argmax and top_k are built of.
 *
 * With s = [a - b >= 0] read on d = a - b in Z_2^k, one DCF key per pair with payload (1, D_d, D_id), D the masks of d and of the
 * difference of ids, gives shares of s d and s (id_a - id_b) at once; then high = b + s d and low = a - s d are local, and so
 * are the ids. Equal values count as a before b.
 * Units: |value| < 2^(k-2), so that d fits k bits; 0 <= id < 2^(ri-2).
 * Cost: 1 round, 2 n (k + ri) bits online, two DCF keys and k + ri bits per pair offline (sec_max_step_cost).
 * Reveals: nothing. Errors: values outside the range wrap; the twin counts them.
 * Source: specification, compare.py (Argmax.eval_step); one payload word 1 in the larger ring serves both products. */
#ifndef CACHET_PROTOCOLS_MAX_STEP_H
#define CACHET_PROTOCOLS_MAX_STEP_H

#include "protocols/gate.h"

struct sec_max_step {
    int k;  /* bits of a value as read */
    int ri; /* ring of an id: its bits and two more */
};

struct sec_ranked {
    struct mpc_wire value; /* Z_2^k */
    struct mpc_wire id;    /* Z_2^ri */
};

/* The smallest k and ri for values of |x| < 2^bound and ids below n. */
struct sec_max_step sec_max_step_for(int bound, size_t n);

/* Values with their positions as ids, padded to `padded` pairs by public values below every allowed one. */
struct sec_ranked sec_ranked_start(struct mpc_party *p, const struct sec_max_step *step, struct mpc_wire x, size_t padded);
/* Pairs index[i]. */
struct sec_ranked sec_ranked_gather(struct mpc_party *p, struct sec_ranked from, const uint32_t *index, size_t count);
/* Overwrites pairs at[i] of *to in place. */
void sec_ranked_put(struct sec_ranked *to, const uint32_t *at, struct sec_ranked from);

/* The larger and the smaller of each pair (ret_low may be NULL). Runs one round; whatever else is queued goes with it. */
BASE_MUST_USE enum base_status sec_max_step_eval(struct mpc_party *p, const struct sec_max_step *step, struct sec_ranked a,
                                                 struct sec_ranked b, struct sec_ranked *ret_high, struct sec_ranked *ret_low);
/* Rounds included. */
struct mpc_cost sec_max_step_cost(const struct sec_max_step *step, size_t pairs);

/* Sample inputs of the gates that rank: |x| < 2^SEC_RANKED_SAMPLE_BOUND, with equal neighbours among them. */
enum { SEC_RANKED_SAMPLE_BOUND = 18 };
void sec_ranked_sample(int64_t *ret_x, size_t count, uint64_t seed);

extern const struct sec_gate sec_gate_max_step;

#endif
