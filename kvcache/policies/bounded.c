/* bounded: the prompt is read in chunks, and blocks are evicted after each, so that its cost grows with T
 * times the budget, not with T^2.
 *
 * A chunk's rows attend to what is kept and to their own chunk. Source: specification, kv.py (Bounded);
 * Locret, arXiv 2410.01805, for chunked prefill under a budget. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy bounded: a budget is missing: give --budget PERCENT, or keep=ROWS");
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].evict =
            (struct kv_eviction_plan){.keep = keep,
                                      .first = v[KV_SINKS],
                                      .last = v[KV_WINDOW],
                                      .unit = v[KV_UNIT],
                                      .queries = KV_QUERIES_LAST,
                                      .query_rows = (v[KV_CHUNK] * v[KV_QUERIES] + 99) / 100,
                                      .pool = v[KV_POOL],
                                      .per_head = v[KV_HEADS] == 1,
                                      .chunk = v[KV_CHUNK]};
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0},  {KV_KEEP, 0},  {KV_SINKS, 4},
                                           {KV_WINDOW, 32}, {KV_UNIT, 16}, {KV_QUERIES, 20},
                                           {KV_POOL, 1},    {KV_HEADS, 0}, {KV_CHUNK, 256}};

const struct kv_policy kv_policy_bounded = {
    .name = "bounded",
    .summary = "the prompt in chunks, blocks evicted after each chunk",
    .source = "specification, section 9.4",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
