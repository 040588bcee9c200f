/* full: every row stays and every query attends to all rows before it. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    (void)config;
    (void)ret;
    (void)error;
    return BASE_OK;
}

const struct kv_policy kv_policy_full = {.name = "full",
                                         .summary = "every row stays",
                                         .source = "the model itself",
                                         .leakage = "nothing beyond the length of the context",
                                         .plan = plan};
