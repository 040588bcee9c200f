/* snapkv: after the prompt, each KV head keeps the rows that the last rows of the prompt attended to, and
 * these last rows.
 *
 * Scores are averaged over neighbouring rows, so that what was attended to keeps its neighbourhood. The
 * answer's rows are all kept. Source: SnapKV, arXiv 2404.14469: its window is a number of rows (32), its
 * pooling 5 or 7. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "snapkv", ret->dims.prompt, &evict, error));
    evict.query_rows = config->value[KV_WINDOW];
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_SINKS, 0}, {KV_WINDOW, 32},
                                           {KV_UNIT, 1},   {KV_POOL, 5}, {KV_HEADS, 1}, {KV_MEANS, 0}};

const struct kv_policy kv_policy_snapkv = {
    .name = "snapkv",
    .summary = "each head keeps what the last rows of the prompt attended to, with its neighbours",
    .source = "SnapKV, arXiv 2404.14469",
    .leakage = KV_LEAKAGE_OF_EVICTION,
    KV_OPTIONS(options),
    .plan = plan};
