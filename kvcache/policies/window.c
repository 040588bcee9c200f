/* window: the first `sinks` rows and the last `window` rows, both public (StreamingLLM, arXiv 2309.17453).
 *
 * Slots of the window are reused in a ring. The ring has room for a whole prefill chunk beyond the window,
 * because the first rows of a chunk still attend to rows that its last rows no longer see. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t sinks = config->value[KV_SINKS], window = config->value[KV_WINDOW],
           rows = kv_budget_rows(config, ret->dims.prompt);
    TRY_THAT(window > 0 || rows > 0, error, BASE_ERR_ARGUMENT,
             "policy window: window is 0: give the number of last rows to keep (--window), or a budget");
    TRY_THAT(window > 0 || rows > sinks, error, BASE_ERR_ARGUMENT,
             "policy window: a budget of %zu rows has no room for %zu sinks and a window: raise it", rows,
             sinks);
    if (window == 0)
        window = rows - sinks;
    for (size_t i = 0; i < 2 * ret->dims.layers * ret->dims.kv_heads; i++)
        ret->spans[i] = (struct kv_span){.sinks = (uint32_t)sinks, .window = (uint32_t)window};
out:
    return status;
}

static const struct kv_option options[] = {{KV_SINKS, 4}, {KV_WINDOW, 0}, {KV_BUDGET, 0}, {KV_KEEP, 0}};

const struct kv_policy kv_policy_window = {
    .name = "window",
    .summary = "the first and the last rows",
    .source = "StreamingLLM, arXiv 2309.17453",
    .leakage = "nothing beyond the length of the context: what is kept depends on positions only",
    KV_OPTIONS(options),
    .plan = plan};
