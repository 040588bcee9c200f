/* blocks: after the prompt, each layer keeps whole blocks of rows by the attention of the last rows of the
 * prompt.
 *
 * The cheapest eviction on shares: one score, one comparison and one one-hot column per block of 16 rows.
 * Lost blocks may stay as their mean row, which counts as often as it has rows. Source: specification, kv.py
 * (Bounded); SnapKV, arXiv 2404.14469, for pooled scores. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "blocks", ret->dims.prompt, &evict, error));
    evict.query_rows = kv_percent_of(ret->dims.prompt, config->value[KV_QUERIES]);
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0},  {KV_KEEP, 0},  {KV_SINKS, 4},
                                           {KV_WINDOW, 32}, {KV_UNIT, 16}, {KV_QUERIES, 20},
                                           {KV_POOL, 1},    {KV_HEADS, 0}, {KV_MEANS, 0}};

const struct kv_policy kv_policy_blocks = {
    .name = "blocks",
    .summary = "each layer keeps whole blocks by the attention of the last rows of the prompt",
    .source = "specification, section 9.4",
    .leakage = KV_LEAKAGE_OF_EVICTION,
    KV_OPTIONS(options),
    .plan = plan};
