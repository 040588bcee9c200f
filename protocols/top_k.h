/* The k largest of n values with their indices, in descending order, nothing opened.
 *
 * Blocks of K = 2^c >= k pairs (the last one filled up with public minimum values) are sorted by Batcher's odd-even merge sort;
 * then blocks are halved in number again and again: of two sorted blocks the larger of a[i] and b[K-1-i] are the K largest, in
 * bitonic order, and c more rounds sort them. A block without a partner waits.
 * Shapes: x [n] -> values [k], ids [k], 1 <= k <= 64, k <= n. Units: as max_step.h. Equal values come in any order of their ids.
 * Cost: c (c + 1) / 2 + ceil(log2 ceil(n / K)) (1 + c) rounds; steps by formula (sec_top_k_cost). Reveals: nothing.
 * Source: K. E. Batcher, Sorting networks and their applications, AFIPS 1968. */
#ifndef CACHET_PROTOCOLS_TOP_K_H
#define CACHET_PROTOCOLS_TOP_K_H

#include "protocols/max_step.h"

enum { SEC_TOP_K_MAX = 64 };

/* Runs all its rounds; whatever else is queued goes with the first. */
BASE_MUST_USE enum base_status sec_top_k_eval(struct mpc_party *p, const struct sec_max_step *step, size_t k, struct mpc_wire x,
                                              struct sec_ranked *ret);
/* Rounds included. */
struct mpc_cost sec_top_k_cost(const struct sec_max_step *step, size_t k, size_t n);

extern const struct sec_gate sec_gate_top_k;

#endif
