#include "kvcache/policy.h"

#include <string.h>

static const struct kv_policy *const policies[] = {&kv_policy_full, &kv_policy_window, NULL};

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
    return base_fail(error, BASE_ERR_ARGUMENT, "there is no cache policy \"%.40s\": choose one of %s", name, known);
}

void kv_visible_slots(const struct kv_policy *policy, const struct kv_config *config, const struct kv_store *store, size_t query,
                      struct kv_active *active)
{
    active->kind = KV_ACTIVE_PUBLIC;
    active->count = 0;
    for (size_t slot = 0; slot < store->used; slot++) {
        uint32_t key = store->position[slot];
        if (key != KV_EMPTY && key <= query && policy->visible(config, query, key))
            active->slots[active->count++] = (uint32_t)slot;
    }
}
