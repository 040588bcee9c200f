/* h2o: each KV head keeps the rows that all rows so far attended to most, and the last rows; again after
 * every E new rows.
 *
 * The original evicts one row at every step; on shares a batch of E costs one choice and one move instead of
 * E of them. Source: H2O, arXiv 2306.14048: half of the budget for heavy hitters, half for recent rows. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy h2o: a budget is missing: give --budget PERCENT, or keep=ROWS");
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].evict = (struct kv_eviction_plan){.keep = keep,
                                                        .last = v[KV_WINDOW],
                                                        .unit = v[KV_UNIT],
                                                        .queries = KV_QUERIES_ALL,
                                                        .pool = 1,
                                                        .per_head = v[KV_HEADS] == 1,
                                                        .every = v[KV_EVERY]};
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0},   {KV_WINDOW, 32},
                                           {KV_UNIT, 1},   {KV_EVERY, 64}, {KV_HEADS, 1}};

const struct kv_policy kv_policy_h2o = {
    .name = "h2o",
    .summary = "each head keeps the rows with most attention so far, and the last rows",
    .source = "H2O, arXiv 2306.14048",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
