/* Moving rows of the cache by secret one-hot rows: one product, nothing opened.
 *
 * K and V of kept units are the products of one-hot rows [kept][units] with the units as columns, each in the smallest ring that it fits:
 * scores read K in its own ring, V is moved as it was before it was extended, and extended afterwards.
 * Cost: 3 ring bits per moved element (2 online, 1 dealt) and one round; V's extension 4 (ring_v - moved_v) bits and one round.
 * Reveals: nothing. Source: specification, kv.py (gather, evict, gather_units). */
#ifndef CACHET_KVCACHE_GATHER_H
#define CACHET_KVCACHE_GATHER_H

#include "kvcache/store.h"

/* Rows of every head, [heads][rows][head_dim], in the types of a store. */
struct kv_rows {
    struct mpc_wire k, v;
};

/* Queues K and V of the units that `hot` selects: hot [sets][stride][units], of which rows [first, first + count) of each set are
 * used; head h of `heads` reads set h * sets / heads and the store's head h * kv_heads / heads. sum: the sum of each unit's rows
 * instead of its rows. */
struct kv_gather {
    const struct kv_store *store;
    struct kv_units units;
    size_t heads, sets, stride, first, count;
    bool sum;
};
struct kv_rows kv_gather_queue(struct mpc_party *p, const struct kv_gather *gather, struct mpc_wire hot);

/* Queues what brings gathered rows into the rings of the store, if anything: true then. Gathered sums of 2^log_rows rows become means. */
bool kv_gather_extend(struct mpc_party *p, const struct kv_form *form, int log_rows, struct kv_rows *rows);

#endif
