/* Eviction by a secret score: which units of rows stay is known to nobody, how many is public.
 *
 * The score of a unit is the attention that counted rows gave to its rows, summed over heads and rows: sums of softmax weights are linear
 * in e / S, so that one opening per unit, set and step is enough, whatever the number of heads and rows. The kept units become one-hot
 * rows (protocols/choice.h), in order, and a product moves them.
 * Cost: the exact digits (1 round), a choice by two digits (13), the move (1) and V's extension (1). Reveals: nothing; sizes are public.
 * Source: specification, kv.py (mass, evict) and README 9.2; MPCache, arXiv 2501.06807 (look-once static eviction). */
#ifndef CACHET_KVCACHE_EVICTION_H
#define CACHET_KVCACHE_EVICTION_H

#include "kvcache/gather.h"
#include "kvcache/scores.h"
#include "protocols/choice.h"

/* Bits of a score as it is ranked. */
enum { KV_EVICTION_BITS = 15 };

struct kv_eviction {
    const struct kv_eviction_plan *plan;
    struct kv_store *store;
    struct kv_scores *scores;
    struct kv_eviction_sizes sizes;
    int stage;
    struct mpc_wire ranked;
    struct sec_choice choice;
    struct kv_rows kept, means;
    struct mpc_wire moved_scores;
};

/* False: there are too few rows to evict. */
bool kv_eviction_start(struct kv_eviction *ret, const struct kv_eviction_plan *plan, struct kv_store *store, struct kv_scores *scores,
                       struct mpc_party *p);
/* Takes what the last round opened and queues the next openings; false when the rows have been evicted. */
bool kv_eviction_queue(struct mpc_party *p, struct kv_eviction *eviction);

#endif
