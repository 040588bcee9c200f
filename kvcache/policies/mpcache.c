/* mpcache: MPCache's look-once eviction on shares, with a public budget.
 *
 * After the prompt each layer keeps the rows that the last 20 % of the prompt's rows attended to most (10 %
 * of prompts above 24576), averaged over heads, one set for all heads. The original keeps what lies above a
 * threshold, whose number leaks; here it is a constant. Source: MPCache, arXiv 2501.06807, section 3. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy mpcache: a budget is missing: give --budget PERCENT, or keep=ROWS");
    enum { LONG_PROMPT = 24576, QUERIES = 20, QUERIES_LONG = 10 };
    size_t percent = v[KV_QUERIES] != 0 ? v[KV_QUERIES] : d->prompt > LONG_PROMPT ? QUERIES_LONG : QUERIES;
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].evict = (struct kv_eviction_plan){.keep = keep,
                                                        .unit = v[KV_UNIT],
                                                        .queries = KV_QUERIES_LAST,
                                                        .query_rows = (d->prompt * percent + 99) / 100,
                                                        .pool = 1};
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_UNIT, 1}, {KV_QUERIES, 0}};

const struct kv_policy kv_policy_mpcache = {
    .name = "mpcache",
    .summary = "MPCache: look-once eviction by the attention of the last 20 % of the prompt",
    .source = "MPCache, arXiv 2501.06807",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
