/* a-shape: prompt rows attend to the first `sinks` rows and to a window; decode steps attend to everything.
 *
 * The prompt costs T (sinks + window) pairs instead of T^2 / 2, and no secret work. Source: MInference, arXiv
 * 2407.02490 (A-shape pattern); LM-Infinite, arXiv 2308.16137. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_dims *d = &ret->dims;
    size_t sinks = config->value[KV_SINKS], window = config->value[KV_WINDOW],
           rows = kv_budget_rows(config, d->prompt);
    TRY_THAT(rows == 0 || rows > sinks, error, BASE_ERR_ARGUMENT,
             "policy a-shape: a budget of %zu rows has no room for %zu sinks and a window: raise it", rows,
             sinks);
    if (rows != 0)
        window = rows - sinks;
    for (size_t l = 0; l < d->layers; l++)
        for (size_t h = 0; h < d->kv_heads; h++)
            ret->layer[l].prompt[h] = (struct kv_span){.sinks = (uint32_t)sinks, .window = (uint32_t)window};
out:
    return status;
}

static const struct kv_option options[] = {{KV_SINKS, 4}, {KV_WINDOW, 252}, {KV_BUDGET, 0}, {KV_KEEP, 0}};

const struct kv_policy kv_policy_a_shape = {
    .name = "a-shape",
    .summary = "prompt rows see the first and the last rows before them, answers see everything",
    .source = "MInference, arXiv 2407.02490",
    .leakage = "nothing beyond the length of the context: masks depend on positions only",
    KV_OPTIONS(options),
    .plan = plan};
