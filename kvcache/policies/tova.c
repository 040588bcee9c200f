/* tova: one set per layer, the rows that the newest row attends to most; again after every E new rows.
 *
 * The original drops one row at every step; on shares a batch of E costs one choice and one move instead of E
 * of them. Source: TOVA, arXiv 2401.06104. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy tova: a budget is missing: give --budget PERCENT, or keep=ROWS");
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].evict = (struct kv_eviction_plan){.keep = keep,
                                                        .last = 1,
                                                        .unit = v[KV_UNIT],
                                                        .queries = KV_QUERIES_NEWEST,
                                                        .pool = 1,
                                                        .every = v[KV_EVERY]};
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_UNIT, 1}, {KV_EVERY, 64}};

const struct kv_policy kv_policy_tova = {
    .name = "tova",
    .summary = "each layer keeps the rows that the newest row attends to most",
    .source = "TOVA, arXiv 2401.06104",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
