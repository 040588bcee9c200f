/* tova: one set per layer, the rows that the newest row attends to most; again after every E new rows.
 *
 * The original drops one row at every step; on shares a batch of E costs one choice and one move instead of E
 * of them. Source: TOVA, arXiv 2401.06104. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "tova", ret->dims.prompt, &evict, error));
    evict.last = 1;
    evict.queries = KV_QUERIES_NEWEST;
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_UNIT, 1}, {KV_EVERY, 64}};

const struct kv_policy kv_policy_tova = {.name = "tova",
                                         .summary =
                                             "each layer keeps the rows that the newest row attends to most",
                                         .source = "TOVA, arXiv 2401.06104",
                                         .leakage = KV_LEAKAGE_OF_EVICTION,
                                         KV_OPTIONS(options),
                                         .plan = plan};
