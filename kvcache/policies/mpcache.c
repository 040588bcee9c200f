/* mpcache: MPCache on shares, with public sizes.
 *
 * Look-once eviction: after the prompt each layer keeps `static` percent of the rows, those that the last 20
 * % of the prompt's rows attended to most (10 % of prompts above 24576), averaged over heads, one set for all
 * heads. The original keeps what lies above a threshold, whose number leaks; here it is a constant.
 * Query-aware selection: in clusters of `unit` rows of what is left, each query head attends to the best by
 * alpha r_max + (1 - alpha) r_min; half of the pairs of clusters, those of 32 rows, are chosen first; the
 * first and the last pair always stay; from the third layer on two adjacent layers use one set. `budget` is
 * what a step attends to. Each part can be switched off: static=100, budget=static (no selection), levels=1,
 * share=1, heads=0. Source: MPCache, arXiv 2501.06807, section 3; specification, kv.py (GatherCache,
 * levels=2). */
#include "kvcache/policy.h"

enum { LONG_PROMPT = 24576, QUERIES = 20, QUERIES_LONG = 10 };

static enum base_status plan_selection(const struct kv_config *config, struct kv_plan *ret,
                                       struct base_error *error)
{
    enum base_status status = BASE_OK;
    const uint32_t *v = config->value;
    struct kv_config own = *config;
    struct kv_selection_plan select;
    own.value[KV_SINKS] = own.value[KV_WINDOW] = 2 * v[KV_UNIT];
    TRY(kv_selection_of(&own, "mpcache", ret->dims.prompt, &select, error));
    select.score = KV_SCORE_ALPHA;
    select.per_query_head = v[KV_HEADS] == 1;
    if (v[KV_LEVELS] == 2) {
        size_t rows = kv_percent_of(ret->dims.prompt, v[KV_STATIC]), pairs = rows / (2 * v[KV_UNIT]);
        select.pairs = pairs / 2 > (select.units + 1) / 2 ? pairs / 2 : (select.units + 1) / 2;
    }
    kv_select_in_all_layers(ret, &select, v[KV_SHARE]);
out:
    return status;
}

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_config own = *config;
    uint32_t *v = own.value;
    if (v[KV_QUERIES] == 0)
        v[KV_QUERIES] = ret->dims.prompt > LONG_PROMPT ? QUERIES_LONG : QUERIES;
    /* An eviction alone, where no more rows are left than a step attends to. */
    if (v[KV_KEEP] == 0 && v[KV_BUDGET] != 0 && v[KV_STATIC] <= v[KV_BUDGET])
        v[KV_STATIC] = v[KV_BUDGET];
    else
        TRY(plan_selection(&own, ret, error));
    TRY(kv_evict_statically(&own, "mpcache", ret, 1, error));
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0},    {KV_STATIC, 50},
                                           {KV_UNIT, 16},  {KV_QUERIES, 0}, {KV_ALPHA, 10},
                                           {KV_LEVELS, 2}, {KV_HEADS, 1},   {KV_SHARE, 2}};

const struct kv_policy kv_policy_mpcache = {
    .name = "mpcache",
    .summary = "MPCache: look-once eviction, then the best clusters of each step",
    .source = "MPCache, arXiv 2501.06807",
    .leakage = KV_LEAKAGE_OF_SELECTION,
    KV_OPTIONS(options),
    .plan = plan};
