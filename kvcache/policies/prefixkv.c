/* prefixkv: after the prompt, each layer keeps what the last rows of the prompt attended to, layers whose
 * attention is spread more rows than others.
 *
 * One level for all layers: each keeps the rows that hold that part of its attention on calibration text, and
 * the level is the one whose rows are the budget, found by bisection. One set per layer, by the attention
 * averaged over heads. The original drops rows near the end of the window while decoding; here the answer's
 * rows stay. Source: PrefixKV, arXiv 2412.03409. */
#include "kvcache/policy.h"

/* Rows of each layer at a level, no fewer than `least`; their number. */
static size_t keep_at(struct kv_plan *plan, int level, size_t least)
{
    size_t sum = 0;
    for (size_t l = 0; l < plan->dims.layers; l++) {
        size_t rows = kv_profile_rows(plan->dims.profile, l, plan->dims.prompt, level);
        plan->layer[l].evict.keep = rows < least ? least : rows;
        sum += plan->layer[l].evict.keep;
    }
    return sum;
}

/* The highest level within the budget; the rows that rounding leaves go to one layer after the other. */
static void share_out(struct kv_plan *plan, size_t mean, size_t least)
{
    size_t all = mean * plan->dims.layers;
    int low = 0, high = KV_LEVEL_ONE;
    while (low + 1 < high) {
        int level = low + (high - low) / 2;
        if (keep_at(plan, level, least) <= all)
            low = level;
        else
            high = level;
    }
    size_t left = all - keep_at(plan, low, least);
    for (size_t l = 0; left > 0; l = (l + 1) % plan->dims.layers)
        if (plan->layer[l].evict.keep < plan->dims.prompt) {
            plan->layer[l].evict.keep++;
            left--;
        }
}

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_eviction_plan evict;
    size_t prompt = ret->dims.prompt;
    TRY(kv_eviction_of(config, "prefixkv", prompt, &evict, error));
    size_t least = evict.first + evict.last + 2 * evict.unit - 1, mean = evict.keep;
    TRY(kv_check_budget("prefixkv", mean, prompt, least, error));
    evict.query_rows = evict.last;
    kv_evict_in_all_layers(ret, &evict);
    if (mean < prompt)
        share_out(ret, mean, least);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_SINKS, 4},
                                           {KV_WINDOW, 8}, {KV_UNIT, 8}, {KV_POOL, 3}};

const struct kv_policy kv_policy_prefixkv = {
    .name = "prefixkv",
    .summary = "each layer keeps rows by attention, more where the model's attention is spread",
    .source = "PrefixKV, arXiv 2412.03409",
    .leakage = KV_LEAKAGE_OF_EVICTION,
    .reads_profile = true,
    KV_OPTIONS(options),
    .plan = plan};
