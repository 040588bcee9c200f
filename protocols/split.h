/* A wire by its signs: q -> q+ = max(q, 0) and q- = min(q, 0), exact, in two rounds.
 *
 * What a box makes of it (protocols/box.h): q+ . high + q- . low = sum_i max(q_i high_i, q_i low_i), Quest's
 * bound of every score of a group, as one product of twice the length. q- is the masked bit [q < 0] times q,
 * and q+ = q - q- is local.
 *
 * Shapes: q [n] -> q+, q- [n].
 * Units: those of q, ring, fraction and bound; nothing is rounded. -2^(k-1) <= q < 2^(k-1), read in Z_2^k.
 * Cost: 2 rounds; per element 2 (1 + R) bits online, two bit keys of k - 1 bits and 2 R bits offline, R the
 * ring of q (sec_split_cost).
 * Reveals: nothing (compare.h).
 * Errors: those of sec_compare and sec_select. Larger values wrap silently; the twin counts them.
 * Source: Quest, arXiv 2406.10774; specification, kv.py (split_q). */
#ifndef CACHET_PROTOCOLS_SPLIT_H
#define CACHET_PROTOCOLS_SPLIT_H

#include "protocols/compare.h"

/* Runs its two rounds; whatever else is queued goes with the first. */
BASE_MUST_USE enum base_status sec_split_eval(struct mpc_party *p, struct mpc_wire q, int k,
                                              struct mpc_wire *ret_positive, struct mpc_wire *ret_negative);
/* Rounds included. ring: of q. */
struct mpc_cost sec_split_cost(size_t n, int k, int ring);

extern const struct sec_gate sec_gate_split;

#endif
