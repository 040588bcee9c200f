#include "kvcache/policy.h"

#include <string.h>

extern const struct kv_policy kv_policy_window, kv_policy_a_shape, kv_policy_mpcache, kv_policy_snapkv,
    kv_policy_h2o, kv_policy_tova, kv_policy_pyramidkv, kv_policy_blocks, kv_policy_bounded, kv_policy_select,
    kv_policy_refresh, kv_policy_razor, kv_policy_duo, kv_policy_prefixkv;

/* clang-format off */
static const struct kv_policy *const policies[] = {
    &kv_policy_full, &kv_policy_window, &kv_policy_a_shape, &kv_policy_razor, &kv_policy_duo,
    &kv_policy_mpcache, &kv_policy_snapkv, &kv_policy_pyramidkv, &kv_policy_prefixkv, &kv_policy_h2o, &kv_policy_tova,
    &kv_policy_blocks, &kv_policy_bounded, &kv_policy_select, &kv_policy_refresh, NULL};
/* clang-format on */

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
    if (rows == 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy %s: a budget is missing: give --budget PERCENT, or keep=ROWS", name);
    if (rows < least)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy %s: a budget of %zu rows (of a prompt of %zu) is smaller than sinks, window "
                         "and a unit, %zu: raise the budget, or lower sinks, window or unit",
                         name, rows, prompt, least);
    return BASE_OK;
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
    return kv_check_budget(name, ret->keep, prompt, 1, error);
}

void kv_evict_in_all_layers(struct kv_plan *plan, const struct kv_eviction_plan *evict)
{
    for (size_t l = 0; l < plan->dims.layers; l++)
        plan->layer[l].evict = *evict;
}

enum base_status kv_selection_of(const struct kv_config *config, const char *name, size_t prompt,
                                 struct kv_selection_plan *ret, struct base_error *error)
{
    const uint32_t *v = config->value;
    size_t rows = kv_budget_rows(config, prompt), public_rows = v[KV_SINKS] + v[KV_WINDOW];
    enum base_status status = kv_check_budget(name, rows, prompt, public_rows + v[KV_UNIT], error);
    if (status != BASE_OK)
        return status;
    *ret = (struct kv_selection_plan){.units = (rows - public_rows) / v[KV_UNIT],
                                      .unit = v[KV_UNIT],
                                      .first = v[KV_SINKS],
                                      .last = v[KV_WINDOW],
                                      .reuse = v[KV_REUSE] == 0 ? 1 : v[KV_REUSE],
                                      .score = v[KV_SCORE],
                                      .before = v[KV_BEFORE],
                                      .alpha = v[KV_ALPHA],
                                      .probe = v[KV_PROBE],
                                      .ahead = v[KV_ASYNC] == 1};
    return BASE_OK;
}

void kv_select_in_all_layers(struct kv_plan *plan, const struct kv_selection_plan *select, size_t share)
{
    enum { ALONE = 2 };
    for (size_t l = 0; l < plan->dims.layers; l++) {
        plan->layer[l].select = *select;
        plan->layer[l].select.set_of = l < ALONE ? l : l - (l - ALONE) % share;
    }
}

enum base_status kv_evict_statically(const struct kv_config *config, const char *name, struct kv_plan *plan,
                                     size_t unit, struct base_error *error)
{
    const uint32_t *v = config->value;
    size_t prompt = plan->dims.prompt, rows = kv_percent_of(prompt, v[KV_STATIC]),
           selected = kv_budget_rows(config, prompt);
    if (v[KV_STATIC] == 100)
        return BASE_OK;
    if (rows < selected)
        return base_fail(
            error, BASE_ERR_ARGUMENT,
            "policy %s: static=%u leaves %zu of %zu rows, fewer than the %zu that a step attends "
            "to: raise static, or lower the budget",
            name, v[KV_STATIC], rows, prompt, selected);
    struct kv_eviction_plan evict = {.keep = rows,
                                     .first = v[KV_SINKS],
                                     .last = v[KV_WINDOW],
                                     .unit = unit,
                                     .queries = KV_QUERIES_LAST,
                                     .query_rows = kv_percent_of(prompt, v[KV_QUERIES]),
                                     .pool = 1};
    kv_evict_in_all_layers(plan, &evict);
    return BASE_OK;
}
