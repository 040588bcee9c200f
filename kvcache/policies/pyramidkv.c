/* pyramidkv: snapkv whose budget falls from the first to the last layer.
 *
 * Lower layers spread their attention, higher ones do not: the first layer keeps 2 m - m / beta rows, the
 * last one m / beta, beta = 20, of a mean budget m. Source: PyramidKV, arXiv 2406.02069. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t keep = kv_budget_rows(config, d->prompt);
    if (keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy pyramidkv: a budget is missing: give --budget PERCENT, or keep=ROWS");
    enum { BETA = 20 };
    size_t window = v[KV_SINKS] + v[KV_WINDOW];
    if (keep <= window)
        return base_fail(
            error, BASE_ERR_ARGUMENT,
            "policy pyramidkv: a budget of %zu rows is no more than sinks and window, %zu: raise it", keep,
            window);
    size_t least = (keep - window) / BETA, most = 2 * (keep - window) - least;
    for (size_t l = 0; l < d->layers; l++) {
        size_t rows = d->layers == 1 ? keep - window : most - (most - least) * l / (d->layers - 1);
        ret->layer[l].evict =
            (struct kv_eviction_plan){.keep = window + (rows < 2 * v[KV_UNIT] ? 2 * v[KV_UNIT] : rows),
                                      .first = v[KV_SINKS],
                                      .last = v[KV_WINDOW],
                                      .unit = v[KV_UNIT],
                                      .queries = KV_QUERIES_LAST,
                                      .query_rows = v[KV_WINDOW],
                                      .pool = v[KV_POOL],
                                      .per_head = v[KV_HEADS] == 1};
    }
    return BASE_OK;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_SINKS, 0}, {KV_WINDOW, 8},
                                           {KV_UNIT, 1},   {KV_POOL, 5}, {KV_HEADS, 1}};

const struct kv_policy kv_policy_pyramidkv = {
    .name = "pyramidkv",
    .summary = "snapkv with a budget that falls from layer to layer",
    .source = "PyramidKV, arXiv 2406.02069",
    .leakage =
        "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
