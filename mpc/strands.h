/* Strands: several computations of one party that meet in every round, so that together they take the rounds of the longest of them. What
 * each of them opens goes out in one message each way.
 *
 * A strand is ordinary code that calls mpc_round: there it rests until all others rest or have ended, then one round serves all. Strands run
 * one after the other in a fixed order on the caller's thread, so every role draws from its streams in the same order, and a strand may use
 * the party as if it were alone. Each has a work area and a stack of its own. The order, the number of rounds and everything else that decides
 * who runs when must be public. */
#ifndef CACHET_MPC_STRANDS_H
#define CACHET_MPC_STRANDS_H

#include "mpc/party.h"

struct mpc_strands;

/* Room for `most` strands whose work areas hold work_size bytes each (address space, touched when used). */
BASE_MUST_USE enum base_status mpc_strands_create(struct mpc_strands **ret, size_t most, size_t work_size, struct base_error *error);
/* Accepts a pointer to NULL. */
void mpc_strands_destroy(struct mpc_strands **strands);

typedef enum base_status (*mpc_strand_fn)(void *context, size_t index, struct mpc_party *p);
/* Runs fn for every index below `count` (at most those of create) until all have returned. Wires that strands made stay until
 * mpc_strands_release. Cost: as many rounds as the strand with most of them; bytes of all. Errors: the first failure of the party. */
BASE_MUST_USE enum base_status mpc_strands_run(struct mpc_strands *strands, struct mpc_party *p, size_t count, mpc_strand_fn fn, void *context);
/* Gives the work areas back. trim: to the system, too, which wipes them and the stacks; while no strand runs. */
void mpc_strands_release(struct mpc_strands *strands, bool trim);

/* mpc_round of a party that runs a strand. */
enum base_status mpc_strand_rest(struct mpc_party *p);

#endif
