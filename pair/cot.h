/* Correlated OTs by SoftSpoken OT extension, in both directions of one pair: the pool that every job takes from.
 *
 * Sender s has a secret Delta_s for the session. COT i: the sender holds K_i, the receiver a random bit c_i and M_i = K_i xor c_i Delta_s.
 * lsb(Delta_1) = 0 and lsb(Delta_2) = 1, which point trees need: 127 bits of entropy each.
 *
 * Setup: 128 base OTs each way give, for each of 128 / k groups of k bits of Delta, a tree of 2^k seeds: all of them to the COTs' receiver,
 * all but the one at the group's value to the sender. A batch stretches seeds by AES-CTR and sends 128 / k - 1 bits per COT, receiver to
 * sender. Both directions travel in the same exchange.
 *
 * Cost: pair_cot_start_cost once; pair_cot_extend_cost for a batch (n is rounded up to 128). AES calls per COT and end: 2^k / k.
 * Reveals: nothing: corrections are masked by streams that the sender lacks. Assumptions: those of the base OTs; AES as a PRG; users hash
 * K and M with kern_table.hash_tweaked under the COT's number, which is never used twice: pads are random in the ideal-permutation model.
 * Statistical distance: none. Semi-honest: there is no consistency check of the receiver.
 * Source: L. Roy, SoftSpokenOT, CRYPTO 2022 (figure 7, without the check); C. Guo et al., S&P 2020 (the hash). */
#ifndef CACHET_PAIR_COT_H
#define CACHET_PAIR_COT_H

#include "pair/party.h"

enum { PAIR_COT_BATCH = 128 };

/* COTs first .. first + count - 1 of one direction, good until the next pair_run or pair_cot_reserve. */
struct pair_cots {
    uint64_t first; /* their numbers, counted over the session */
    size_t count;
    const struct pair_block *key; /* K at the sender, M at the receiver; secret */
    const uint8_t *choice;        /* the receiver's bits, 0 or 1; NULL at the sender; secret */
};

/* Base OTs and seed trees, k = 4 or 8. Cost: pair_cot_start_cost. Errors: those of pair_base_ot; BASE_ERR_ARGUMENT for another k;
 * BASE_ERR_INTERNAL when the session has them. */
BASE_MUST_USE enum base_status pair_cot_start(struct pair_party *p, int k, struct base_error *error);
struct pair_cost pair_cot_start_cost(void);
/* Wipes Delta, seeds and pool. */
void pair_cot_finish(struct pair_party *p);

/* Makes the pool hold at least count[s] unused COTs of each sender s, at both ends alike; at most one exchange. Errors: BASE_ERR_INTERNAL
 * before pair_cot_start. */
BASE_MUST_USE enum base_status pair_cot_reserve(struct pair_party *p, const uint64_t count[3], struct base_error *error);
/* Of a batch of count[s] COTs for each sender s, from nothing in the pool. */
struct pair_cost pair_cot_extend_cost(const uint64_t count[3], int k);

/* Hands out the next `count` COTs of `sender`, once in their life. Errors: BASE_ERR_INTERNAL when fewer are left: the caller has declared
 * less than it uses. */
BASE_MUST_USE enum base_status pair_cot_take(struct pair_party *p, int sender, size_t count, struct pair_cots *ret, struct base_error *error);

/* Delta and nothing else, for reading what was made under it in a session that has ended: there are no COTs to take. Ends with pair_cot_finish.
 * Errors: BASE_ERR_MEMORY; BASE_ERR_INTERNAL where the party has COTs. */
BASE_MUST_USE enum base_status pair_cot_of_delta(struct pair_party *p, struct pair_block delta, struct base_error *error);

/* Own Delta as a sender. Secret. */
struct pair_block pair_delta(const struct pair_party *p);
int pair_cot_k(const struct pair_party *p);
/* COTs of a sender that were handed out so far: where the cursor stands. */
uint64_t pair_cot_used(const struct pair_party *p, int sender);

#endif
