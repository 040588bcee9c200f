/* mpcache: MPCache's look-once eviction on shares, with a public budget.
 *
 * After the prompt each layer keeps the rows that the last 20 % of the prompt's rows attended to most (10 %
 * of prompts above 24576), averaged over heads, one set for all heads. The original keeps what lies above a
 * threshold, whose number leaks; here it is a constant. Source: MPCache, arXiv 2501.06807, section 3. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum { LONG_PROMPT = 24576, QUERIES = 20, QUERIES_LONG = 10 };
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "mpcache", ret->dims.prompt, &evict, error));
    uint32_t percent = config->value[KV_QUERIES];
    if (percent == 0)
        percent = ret->dims.prompt > LONG_PROMPT ? QUERIES_LONG : QUERIES;
    evict.query_rows = kv_percent_of(ret->dims.prompt, percent);
    kv_evict_in_all_layers(ret, &evict);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_UNIT, 1}, {KV_QUERIES, 0}};

const struct kv_policy kv_policy_mpcache = {
    .name = "mpcache",
    .summary = "MPCache: look-once eviction by the attention of the last 20 % of the prompt",
    .source = "MPCache, arXiv 2501.06807",
    .leakage = KV_LEAKAGE_OF_EVICTION,
    KV_OPTIONS(options),
    .plan = plan};
