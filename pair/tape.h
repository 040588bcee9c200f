/* What a party has made and not yet used: records in the order in which its online half takes them. One end writes, the other one reads, each on its
 * own thread. A record is handed out once and wiped. */
#ifndef CACHET_PAIR_TAPE_H
#define CACHET_PAIR_TAPE_H

#include "mpc/source.h"

struct pair_tape;

BASE_MUST_USE enum base_status pair_tape_create(struct pair_tape **ret, struct base_error *error);
/* Wipes what nobody took. Accepts a pointer to NULL. */
void pair_tape_destroy(struct pair_tape **tape);

/* One record; `trees`: how many point trees the party has made so far. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_tape_put(struct pair_tape *tape, const void *data, size_t size, uint64_t trees, struct base_error *error);
/* Wipes what waits. */
void pair_tape_drop(struct pair_tape *tape);
/* Nothing more comes; `why` NULL: all that was wanted is there. */
void pair_tape_close(struct pair_tape *tape, const struct base_error *why);
/* Waits for the next record. Errors: BASE_ERR_MISMATCH unless it has `size` bytes; BASE_ERR_CLOSED when none will come. */
BASE_MUST_USE enum base_status pair_tape_take(struct pair_tape *tape, void *ret_data, size_t size, struct base_error *error);
/* Size of the record that waits longest; false: none waits now. */
bool pair_tape_next(struct pair_tape *tape, size_t *ret_size);
uint64_t pair_tape_trees(struct pair_tape *tape);
/* Bytes that wait. */
uint64_t pair_tape_size(struct pair_tape *tape);

/* The source of an online party: takes from the tape, and puts nothing. */
void pair_source_over_tape(struct mpc_source *ret, struct pair_tape *tape);

#endif
