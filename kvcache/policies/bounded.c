/* bounded: the prompt is read in chunks, and blocks are evicted after each, so that its cost grows with T
 * times the budget, not with T^2.
 *
 * A chunk's rows attend to what is kept and to their own chunk. Source: specification, kv.py (Bounded);
 * Locret, arXiv 2410.01805, for chunked prefill under a budget. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "bounded", ret->dims.prompt, &evict, error));
    evict.query_rows = kv_percent_of(config->value[KV_CHUNK], config->value[KV_QUERIES]);
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0},  {KV_KEEP, 0},  {KV_SINKS, 4},
                                           {KV_WINDOW, 32}, {KV_UNIT, 16}, {KV_QUERIES, 20},
                                           {KV_POOL, 1},    {KV_HEADS, 0}, {KV_CHUNK, 256}};

const struct kv_policy kv_policy_bounded = {.name = "bounded",
                                            .summary =
                                                "the prompt in chunks, blocks evicted after each chunk",
                                            .source = "specification, section 9.4",
                                            .leakage = KV_LEAKAGE_OF_EVICTION,
                                            KV_OPTIONS(options),
                                            .plan = plan};
