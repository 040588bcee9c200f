/* A party's matrices on an accelerator (kernels/device.h), for as long as its session lives: weights, embedding and the tables of gates at once,
 * and the caches of every slot, which follow what is written into them. Products find them by their addresses; nothing else of the engine knows. */
#ifndef CACHET_ENGINE_PLACED_H
#define CACHET_ENGINE_PLACED_H

#include "engine/session.h"
#include "kernels/device.h"

struct eng_placed {
    struct kern_device *device;
    struct eng_session *session;
    struct kern_placed **weights; /* [count] */
    size_t count;
    size_t weight_bytes, cache_bytes; /* of the device's memory */
    bool limbs; /* weights have theirs there, too: products of many rows need not make them anew */
};

/* Caches go first, then weights, with their limbs where memory allows. Device and session are borrowed, and outlive it.
 * Errors: BASE_ERR_MEMORY (how much is missing), BASE_ERR_IO. */
BASE_MUST_USE enum base_status eng_place(struct eng_placed *ret, struct kern_device *device, struct eng_session *session, struct base_error *error);
/* Accepts a zeroed one. */
void eng_placed_finish(struct eng_placed *placed);

#endif
