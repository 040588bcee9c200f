/* 128 OTs in each direction from elliptic curves: what every other OT of a session grows from. Once per session.
 *
 * Endemic OT of Masny and Rindal over ristretto255 (libsodium). For each OT the sender draws a and sends A = a G; the receiver with bit b
 * draws t and a random element r_(1-b), sets r_b = t G - Hp(b, r_(1-b)), and sends r_0, r_1. Keys: K_i = H(i, a (r_i + Hp(i, r_(1-i))));
 * the receiver has K_b = H(b, t A).
 *
 * Why this one and not the "simplest" OT of Chou and Orlandi, which sends half as much: both messages are independent of each other and
 * travel in ONE exchange for both directions; the pair (r_0, r_1) is exactly uniform whatever b is, so the sender learns nothing even from
 * unbounded work; and its proof stands (random oracle, computational Diffie-Hellman), where that of Chou and Orlandi has known gaps. The
 * bytes are once in a session.
 *
 * Bound to the session: session id, sender, number of the OT and branch enter both hashes; the whole of both messages enters H. A message
 * begins with version, sender's party, k and session, and one that was recorded in another session, comes from the wrong party or runs with
 * another k is refused by name. A second run in a session is an internal error.
 *
 * Cost: 1 exchange; each way PAIR_BASE_BYTES. About 130 scalar multiplications of each kind. Reveals: nothing (computational Diffie-Hellman, random oracle).
 * Source: D. Masny, P. Rindal, Endemic oblivious transfer, CCS 2019; I. McQuoid, M. Rosulek, L. Roy, Batching base oblivious transfers,
 * ASIACRYPT 2021 (separate domains for each OT of a batch). */
#ifndef CACHET_PAIR_BASE_OT_H
#define CACHET_PAIR_BASE_OT_H

#include "pair/party.h"

enum {
    PAIR_BASE_OTS = 128,
    PAIR_POINT = 32,
    PAIR_BASE_HEAD = 32,
    PAIR_BASE_BYTES = PAIR_BASE_HEAD + PAIR_BASE_OTS * 3 * PAIR_POINT,
};

/* `choice`: own bits as the receiver, 0 or 1 each. ret_chosen[i] is the peer's pair [i][choice[i]]; ret_pair is this party's, as sender.
 * Secrets all. Errors: BASE_ERR_MISMATCH (k, version), BASE_ERR_PEER (another session, the wrong party, no point), those of the link. */
BASE_MUST_USE enum base_status pair_base_ot(struct pair_party *p, int k, const uint8_t choice[PAIR_BASE_OTS],
                                            struct pair_block ret_chosen[PAIR_BASE_OTS], struct pair_block ret_pair[PAIR_BASE_OTS][2],
                                            struct base_error *error);

#endif
