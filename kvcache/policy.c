#include "kvcache/policy.h"

#include <string.h>

extern const struct kv_policy kv_policy_window, kv_policy_a_shape, kv_policy_mpcache, kv_policy_snapkv,
    kv_policy_h2o, kv_policy_tova, kv_policy_pyramidkv, kv_policy_blocks, kv_policy_bounded, kv_policy_select;

static const struct kv_policy *const policies[] = {
    &kv_policy_full,      &kv_policy_window, &kv_policy_a_shape, &kv_policy_mpcache, &kv_policy_snapkv,
    &kv_policy_h2o,       &kv_policy_tova,

    &kv_policy_pyramidkv, &kv_policy_blocks, &kv_policy_bounded, &kv_policy_select,  NULL};

const struct kv_policy *const *kv_policy_list(void)
{
    return policies;
}

enum base_status kv_policy_find(const char *name, const struct kv_policy **ret, struct base_error *error)
{
    char known[256] = "";
    for (size_t i = 0; policies[i] != NULL; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            *ret = policies[i];
            return BASE_OK;
        }
        strncat(known, i == 0 ? "" : ", ", sizeof known - strlen(known) - 1);
        strncat(known, policies[i]->name, sizeof known - strlen(known) - 1);
    }
    return base_fail(error, BASE_ERR_ARGUMENT, "there is no cache policy \"%.40s\": choose one of %s", name,
                     known);
}

size_t kv_budget_rows(const struct kv_config *config, size_t prompt)
{
    size_t keep = config->value[KV_KEEP];
    return keep != 0 ? keep : (prompt * config->value[KV_BUDGET] + 50) / 100;
}
