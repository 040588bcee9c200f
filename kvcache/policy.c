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

size_t kv_percent_of(size_t rows, uint32_t percent)
{
    return (rows * percent + 99) / 100;
}

bool kv_policy_takes(const struct kv_policy *policy, enum kv_key key)
{
    for (size_t i = 0; i < policy->options_count; i++)
        if (policy->options[i].key == key)
            return true;
    return false;
}

enum base_status kv_check_budget(const char *name, size_t rows, size_t prompt, size_t least,
                                 struct base_error *error)
{
    return rows >= least ? BASE_OK
                         : base_fail(error, BASE_ERR_ARGUMENT,
                                     "policy %s: a budget of %zu rows (of a prompt of %zu) is smaller than "
                                     "sinks, window and a unit, %zu: "
                                     "raise the budget, or lower sinks, window or unit",
                                     name, rows, prompt, least);
}

enum base_status kv_eviction_of(const struct kv_config *config, const char *name, size_t prompt,
                                struct kv_eviction_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    *ret = (struct kv_eviction_plan){.keep = kv_budget_rows(config, prompt),
                                     .first = v[KV_SINKS],
                                     .last = v[KV_WINDOW],
                                     .unit = v[KV_UNIT],
                                     .queries = KV_QUERIES_LAST,
                                     .pool = v[KV_POOL] == 0 ? 1 : v[KV_POOL],
                                     .per_head = v[KV_HEADS] == 1,
                                     .means = v[KV_MEANS] == 1,
                                     .chunk = v[KV_CHUNK],
                                     .every = v[KV_EVERY]};
    if (ret->keep == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy %s: a budget is missing: give --budget PERCENT, or keep=ROWS", name);
    return BASE_OK;
}

void kv_evict_in_all_layers(struct kv_plan *plan, const struct kv_eviction_plan *evict)
{
    for (size_t l = 0; l < plan->dims.layers; l++)
        plan->layer[l].evict = *evict;
}
