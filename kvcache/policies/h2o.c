/* h2o: each KV head keeps the rows that all rows so far attended to most, and the last rows; again after
 * every E new rows.
 *
 * The original evicts one row at every step; on shares a batch of E costs one choice and one move instead of
 * E of them. Source: H2O, arXiv 2306.14048: half of the budget for heavy hitters, half for recent rows. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "h2o", ret->dims.prompt, &evict, error));
    evict.queries = KV_QUERIES_ALL;
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0},   {KV_WINDOW, 32},
                                           {KV_UNIT, 1},   {KV_EVERY, 64}, {KV_HEADS, 1}};

const struct kv_policy kv_policy_h2o = {
    .name = "h2o",
    .summary = "each head keeps the rows with most attention so far, and the last rows",
    .source = "H2O, arXiv 2306.14048",
    .leakage = KV_LEAKAGE_OF_EVICTION,
    KV_OPTIONS(options),
    .plan = plan};
