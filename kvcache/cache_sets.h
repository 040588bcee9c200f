/* What cache.c and cache_sets.c share; private to kvcache/. */
#ifndef CACHET_KVCACHE_CACHE_SETS_H
#define CACHET_KVCACHE_CACHE_SETS_H

#include "kvcache/cache.h"

static inline const struct kv_layer_plan *kv_cache_plan(const struct kv_cache *c)
{
    return &c->plan->layer[c->layer];
}

/* The party's work area is exchanged for the cache's, and back. */
void kv_cache_swap_arena(struct kv_cache *cache, struct mpc_party *p);

/* When the prompt has been read: boxes of a layer's rows, and the first set of every layer that chooses ahead. Run their rounds. */
BASE_MUST_USE enum base_status kv_cache_box(struct kv_cache *cache, struct mpc_party *p);
BASE_MUST_USE enum base_status kv_caches_choose_first(struct kv_cache *caches, size_t layers, struct mpc_party *p);

#endif
