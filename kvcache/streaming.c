#include "kvcache/streaming.h"

/* Heads that stay full: at least one, which is what such a policy is for. */
static size_t count_full(const struct kv_config *config, const struct kv_streaming_standard *standard,
                         size_t heads)
{
    uint32_t percent = config->value[KV_FULL];
    size_t full = kv_percent_of(heads, percent != 0 ? percent : standard->full);
    if (percent == 0 && config->value[KV_BUDGET] != 0)
        full = 2 * heads * config->value[KV_BUDGET] / 300;
    return full == 0 ? 1 : full;
}

/* The window that the others have when the mean over all heads is the budget. */
static enum base_status fit_window(const struct kv_plan *plan, const struct kv_config *config,
                                   const char *name, size_t full, size_t *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t heads = plan->dims.layers * plan->dims.kv_heads, prompt = plan->dims.prompt,
           sinks = config->value[KV_SINKS], all = heads * prompt * config->value[KV_BUDGET] / 100,
           rows = all > full * prompt ? (all - full * prompt) / (heads - full) : 0;
    TRY_THAT(config->value[KV_WINDOW] == 0, error, BASE_ERR_ARGUMENT,
             "policy %s: a budget and a window of %u rows: give one of them, the window follows from a "
             "budget",
             name, config->value[KV_WINDOW]);
    TRY_THAT(
        rows > sinks, error, BASE_ERR_ARGUMENT,
        "policy %s: a budget of %u %% with %zu of %zu heads full leaves %zu of %zu rows to the others, no "
        "more than %zu sinks: raise the budget, or lower full or sinks",
        name, config->value[KV_BUDGET], full, heads, rows, prompt, sinks);
    *ret = rows - sinks;
out:
    return status;
}

enum base_status kv_stream_all(struct kv_plan *plan, const struct kv_config *config,
                               const struct kv_streaming_standard *standard, bool prompt, size_t *ret_full,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t heads = plan->dims.layers * plan->dims.kv_heads, full = count_full(config, standard, heads),
           window = config->value[KV_WINDOW] != 0 ? config->value[KV_WINDOW] : standard->window;
    if (config->value[KV_BUDGET] != 0 && full < heads)
        TRY(fit_window(plan, config, standard->name, full, &window, error));
    struct kv_span span = {.sinks = config->value[KV_SINKS], .window = (uint32_t)window};
    for (size_t l = 0; l < plan->dims.layers; l++)
        for (size_t h = 0; h < plan->dims.kv_heads; h++) {
            plan->layer[l].decode[h] = span;
            if (prompt)
                plan->layer[l].prompt[h] = span;
        }
    *ret_full = full;
out:
    return status;
}

void kv_stream_except(struct kv_plan *plan, enum kv_head_score score, size_t count)
{
    const struct kv_dims *d = &plan->dims;
    for (size_t i = 0; i < count; i++) {
        size_t layer = d->layers, head = 0;
        int best = -1;
        for (size_t l = 0; l < d->layers; l++)
            for (size_t h = 0; h < d->kv_heads; h++) {
                int own = d->profile->head[l * d->kv_heads + h].score[score];
                if (plan->layer[l].decode[h].window != 0 && own > best) {
                    best = own;
                    layer = l;
                    head = h;
                }
            }
        if (layer == d->layers)
            return;
        plan->layer[layer].decode[head] = plan->layer[layer].prompt[head] = (struct kv_span){0};
    }
}
