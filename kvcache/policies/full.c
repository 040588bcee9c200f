/* full: every row stays and every query attends to all rows before it. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, size_t context, size_t chunk, struct kv_plan *ret,
                             struct base_error *error)
{
    (void)config;
    (void)chunk;
    (void)error;
    *ret = (struct kv_plan){.capacity = context, .rows = context};
    return BASE_OK;
}

static size_t slot(const struct kv_config *config, const struct kv_plan *kv, size_t position)
{
    (void)config;
    (void)kv;
    return position;
}

static bool visible(const struct kv_config *config, size_t query, size_t key)
{
    (void)config;
    return key <= query;
}

const struct kv_policy kv_policy_full = {
    .name = "full", .leakage = "nothing beyond the length of the context", .plan = plan, .slot = slot, .visible = visible};
