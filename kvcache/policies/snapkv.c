/* snapkv: after the prompt, each KV head keeps the rows that the last rows of the prompt attended to, and
 * these last rows.
 *
 * Scores are averaged over neighbouring rows, so that what was attended to keeps its neighbourhood. The
 * answer's rows are all kept. Source: SnapKV, arXiv 2404.14469: its window is a number of rows (32), its
 * pooling 5 or 7. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy snapkv: a budget is missing: give --budget PERCENT, or keep=ROWS");
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].evict = (struct kv_eviction_plan){.keep = keep,
                                                        .first = v[KV_SINKS],
                                                        .last = v[KV_WINDOW],
                                                        .unit = v[KV_UNIT],
                                                        .queries = KV_QUERIES_LAST,
                                                        .query_rows = v[KV_WINDOW],
                                                        .pool = v[KV_POOL],
                                                        .per_head = v[KV_HEADS] == 1,
                                                        .means = v[KV_MEANS] == 1};
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_SINKS, 0}, {KV_WINDOW, 32},
                                           {KV_UNIT, 1},   {KV_POOL, 5}, {KV_HEADS, 1}, {KV_MEANS, 0}};

const struct kv_policy kv_policy_snapkv = {
    .name = "snapkv",
    .summary = "each head keeps what the last rows of the prompt attended to, with its neighbours",
    .source = "SnapKV, arXiv 2404.14469",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
