/* A kernel table that remembers every draw of every stream, and can change one of them.
 *
 * The rule of all masks: whoever holds a stream makes each of its draws once, and all holders make the same ones. A draw is named by the
 * stream's key and counter; a holder is known by where its key lies. The recorder sees a draw that a holder makes twice, one that more
 * holders make than a stream can have, and holders that draw different shapes under one name.
 *
 * One recorder per process, for any number of threads, parties and sessions. */
#ifndef CACHET_TESTS_SUPPORT_RECORDER_H
#define CACHET_TESTS_SUPPORT_RECORDER_H

#include "kernels/kern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The client, P0, and P1 or P2. */
enum { RECORDER_HOLDERS = 3 };

struct recorder_draw {
    uint8_t key[16];
    uint64_t counter;
    int ring; /* of words; 0: bytes */
    size_t count;
    const struct kern_aes_key *holder[RECORDER_HOLDERS];
};

/* Forgets everything, and returns the table that records and does its work by `under`. */
const struct kern_table *recorder_start(const struct kern_table *under);
size_t recorder_count(void);
/* In the order in which the first holder made them. */
struct recorder_draw recorder_at(size_t i);
/* The first breach of the rule, in words; NULL: none. */
const char *recorder_breach(void);
/* Prints draws and repeats; 0 without a breach: the end of a cmocka group. */
int recorder_says(void);

/* From now on every holder finds each word of this draw changed by `delta`, added or by XOR (bytes: by XOR); NULL: none. */
void recorder_change(const struct recorder_draw *draw, uint64_t delta, bool by_xor);

#endif
