#include "parties/policy_flags.h"

static enum base_status set(const struct kv_policy *policy, enum kv_key key, uint64_t value,
                            struct kv_config *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (value == 0)
        return BASE_OK;
    TRY_THAT(kv_policy_takes(policy, key), error, BASE_ERR_ARGUMENT, "--%s is nothing that policy %s takes",
             kv_key_entry(key)->name, policy->name);
    ret->value[key] = (uint32_t)value;
out:
    return status;
}

enum base_status policy_flags_read(const struct policy_flags *flags, const struct kv_policy **ret_policy,
                                   struct kv_config *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(kv_config_parse(flags->policy, 0, ret_policy, ret, error));
    TRY(set(*ret_policy, KV_BUDGET, flags->budget, ret, error));
    TRY(set(*ret_policy, KV_SINKS, flags->sinks, ret, error));
    TRY(set(*ret_policy, KV_WINDOW, flags->window, ret, error));
out:
    return status;
}
