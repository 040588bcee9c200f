/* Programs on three roles and a client (tests/support/three_parties.h) in which everything secret is undefined memory.
 *
 * Secret are the keys of all streams from their schedule on, and the client's inputs. So every mask, every seed, every correction word,
 * every dealt share, every message and every result is secret as far as it follows from those.
 *
 * WHAT IS ALLOWED to decide where a party jumps and what it reads, and nothing else:
 *
 *  1. The m of a wire that P1 and P2 both hold. It came in the client's message, or was put together in a round, or by a shuffle: x plus
 *     a mask that is never used again and uniform to everybody but P0, so the word is uniform, and known to both. Gates read public tables
 *     at m, sort their reading points m - knot, walk shared prefixes of those once, and branch on where an interval around m wraps. The
 *     same for what is opened under MPC_OPEN_SHUFFLED_BITS and MPC_OPEN_SHUFFLED_FLAGS, which is public to both by the registry of openings.
 *     At P1 and P2 alone: P0 holds no m, and nothing becomes public there. What is left: P0 knows the mask, so P0 must not be able to time
 *     P1 and P2 within a round. It receives no message from either.
 *  2. Permutations of rows, which are sorted out of a stream in time that depends on them and then index the rows that move (sec_permute).
 *     Both holders know the permutation, and no share, mask or input enters it. What is left: the time of P1's sort is a number about a
 *     permutation that P2 does not know, and the other way round.
 *
 * (A third one is about memcheck, not about secrets: allowed.supp.) */
#ifndef CACHET_TESTS_CONSTANT_TIME_WATCHED_RUN_H
#define CACHET_TESTS_CONSTANT_TIME_WATCHED_RUN_H

#include "tests/support/three_parties.h"

#include "protocols/gate.h"

/* What a run showed; each role writes its own places. */
struct watch {
    bool secret_mask[TRIO_PARTIES], secret_share[TRIO_PARTIES];
};

/* For programs, which call it before anything else: from then on the completed wires of p are looked at, and made public where allowance 1
 * says so. `watch` lives as long as the run. */
void watch_party(struct mpc_party *p, struct watch *watch);
/* trio_input, under allowance 1. */
struct mpc_wire watch_input(struct mpc_party *p, const struct trio_job *job, size_t which);

/* Runs the job without a twin, its inputs secret (and left so). False, and a line that begins with `name`, when a role failed. */
bool watch_run(const char *name, struct trio_job job);

/* The same, and its judgement: there was no report, and every role held secret masks and shares, or nothing would have been checked. */
bool watch_passes(const char *name, struct trio_job job, struct watch *watch);

/* The same of one gate over its own sample of so many units; `job` says how it is run. */
bool watch_gate(const struct sec_gate *gate, size_t units, struct trio_job job);

#endif
