/* window: the first `sinks` rows and the last `window` rows, both public (StreamingLLM, arXiv 2309.17453).
 *
 * Slots of the window are reused in a ring. The ring has room for a whole prefill chunk beyond the window, because the
 * first rows of a chunk still attend to rows that its last rows no longer see. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, size_t context, size_t chunk, struct kv_plan *ret,
                             struct base_error *error)
{
    if (config->window == 0)
        return base_fail(error, BASE_ERR_ARGUMENT, "policy window: window is 0: give the number of last rows to keep (--window)");
    size_t rows = config->sinks + config->window, capacity = rows + chunk;
    *ret = (struct kv_plan){.capacity = capacity < context ? capacity : context, .rows = rows < context ? rows : context};
    return BASE_OK;
}

static size_t slot(const struct kv_config *config, const struct kv_plan *kv, size_t position)
{
    if (position < kv->capacity)
        return position;
    return config->sinks + (position - config->sinks) % (kv->capacity - config->sinks);
}

static bool visible(const struct kv_config *config, size_t query, size_t key)
{
    return key <= query && (key < config->sinks || query - key < config->window);
}

const struct kv_policy kv_policy_window = {.name = "window",
                                           .leakage = "nothing beyond the length of the context: what is kept depends on positions only",
                                           .plan = plan, .slot = slot, .visible = visible};
