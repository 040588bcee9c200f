#include "kvcache/config.h"

#include "kvcache/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 1 << 20 };

static const char *const scores[] = {"mean", "squares", "box", "alpha"};

static const struct kv_key_entry keys[KV_KEYS] = {
    [KV_BUDGET] = {"budget", "percent of the prompt's rows that are kept or attended to", 1, 100, NULL},
    [KV_KEEP] = {"keep", "the budget as a number of rows", 1, MOST_ROWS, NULL},
    [KV_SINKS] = {"sinks", "first rows that always stay", 0, MOST_ROWS, NULL},
    [KV_WINDOW] = {"window", "last rows that always stay", 1, MOST_ROWS, NULL},
    [KV_UNIT] = {"unit", "rows that are kept or selected together", 1, 64, NULL},
    [KV_QUERIES] = {"queries", "percent of the prompt's rows, its last ones, whose attention counts", 1, 100,
                    NULL},
    [KV_POOL] = {"pool", "units whose scores are averaged", 1, 63, NULL},
    [KV_EVERY] = {"every", "new rows between two evictions while decoding; 0: none", 0, MOST_ROWS, NULL},
    [KV_MEANS] = {"means", "1: lost units stay as their mean row", 0, 1, NULL},
    [KV_HEADS] = {"heads", "1: one set per KV head; 0: one per layer", 0, 1, NULL},
    [KV_CHUNK] = {"chunk", "prompt rows between two evictions", 1, MOST_ROWS, NULL},
    [KV_REUSE] = {"reuse", "decode steps that use one selected set", 1, 1024, NULL},
    [KV_ASYNC] = {"async", "1: sets are chosen ahead, their rounds hidden behind other work", 0, 1, NULL},
    [KV_SHARE] = {"share", "adjacent layers that share one selected set", 1, 8, NULL},
    [KV_SCORE] = {"score", "what ranks units", KV_SCORE_MEAN, KV_SCORE_ALPHA, scores},
    [KV_BEFORE] = {"before", "rows before a unit whose score counts for it, too", 0, 64, NULL},
    [KV_STATIC] = {"static", "percent of the prompt's rows that are kept to select from", 1, 100, NULL},
    [KV_ALPHA] = {"alpha", "weight of the largest keys of a unit, in sixteenths", 0, 16, NULL},
    [KV_PROBE] = {"probe", "rows of a probe; 0: a step that scores attends to all rows", 0, 64, NULL},
    [KV_LEVELS] = {"levels", "2: pairs of units are chosen first", 1, 2, NULL},
    [KV_FULL] = {"full", "percent of the KV heads that see everything", 1, 100, NULL},
};

const struct kv_key_entry *kv_key_entry(enum kv_key key)
{
    return &keys[key];
}

static void list_keys(const struct kv_policy *policy, char *ret, size_t size)
{
    ret[0] = '\0';
    for (size_t i = 0; i < policy->options_count; i++) {
        strncat(ret, i == 0 ? "" : ", ", size - strlen(ret) - 1);
        strncat(ret, keys[policy->options[i].key].name, size - strlen(ret) - 1);
    }
}

static enum base_status read_name(const struct kv_policy *policy, const struct kv_key_entry *key,
                                  const char *value, uint32_t *ret, struct base_error *error)
{
    char known[128] = "";
    for (uint32_t v = key->low; v <= key->high; v++) {
        if (strcmp(key->names[v], value) == 0) {
            *ret = v;
            return BASE_OK;
        }
        strncat(known, v == key->low ? "" : ", ", sizeof known - strlen(known) - 1);
        strncat(known, key->names[v], sizeof known - strlen(known) - 1);
    }
    return base_fail(error, BASE_ERR_ARGUMENT, "policy %s: %s is \"%.20s\": must be one of %s (%s)",
                     policy->name, key->name, value, known, key->help);
}

static enum base_status read_number(const struct kv_policy *policy, const struct kv_key_entry *key,
                                    const char *value, uint32_t *ret, struct base_error *error)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || number < key->low || number > key->high)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "policy %s: %s is \"%.20s\": must be a whole number of %u to %u (%s)", policy->name,
                         key->name, value, key->low, key->high, key->help);
    *ret = (uint32_t)number;
    return BASE_OK;
}

static enum base_status set(const struct kv_policy *policy, const char *name, const char *value,
                            struct kv_config *ret, struct base_error *error)
{
    char known[256];
    for (size_t i = 0; i < policy->options_count; i++) {
        enum kv_key key = policy->options[i].key;
        if (strcmp(keys[key].name, name) == 0)
            return (keys[key].names != NULL ? read_name : read_number)(policy, &keys[key], value,
                                                                       &ret->value[key], error);
    }
    list_keys(policy, known, sizeof known);
    return base_fail(error, BASE_ERR_ARGUMENT, "policy %s has no \"%.20s\": it takes %s", policy->name, name,
                     policy->options_count == 0 ? "nothing" : known);
}

enum base_status kv_config_parse(const char *text, uint32_t budget, const struct kv_policy **ret_policy,
                                 struct kv_config *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[KV_CONFIG_TEXT], *next, *part;
    struct kv_config config = {{0}};
    const struct kv_policy *policy;
    TRY_THAT(strlen(text) < sizeof copy, error, BASE_ERR_ARGUMENT,
             "a cache policy of more than %d characters", KV_CONFIG_TEXT - 1);
    (void)snprintf(copy, sizeof copy, "%s", text);
    part = strtok_r(copy, ":", &next);
    TRY(kv_policy_find(part == NULL ? "" : part, &policy, error));
    for (size_t i = 0; i < policy->options_count; i++)
        config.value[policy->options[i].key] = policy->options[i].standard;
    while ((part = strtok_r(NULL, ":", &next)) != NULL) {
        char *equals = strchr(part, '=');
        TRY_THAT(equals != NULL, error, BASE_ERR_ARGUMENT, "policy %s: \"%.40s\" must be KEY=VALUE",
                 policy->name, part);
        *equals = '\0';
        TRY(set(policy, part, equals + 1, &config, error));
    }
    if (budget != 0 && kv_policy_takes(policy, KV_BUDGET))
        config.value[KV_BUDGET] = budget;
    TRY_THAT(budget <= 100, error, BASE_ERR_ARGUMENT, "a budget of %u %%: must be 1 to 100", budget);
    *ret_policy = policy;
    *ret = config;
out:
    return status;
}

void kv_config_print(const struct kv_policy *policy, const struct kv_config *config, char ret[KV_CONFIG_TEXT])
{
    size_t at = (size_t)snprintf(ret, KV_CONFIG_TEXT, "%s", policy->name);
    for (size_t i = 0; i < policy->options_count && at < KV_CONFIG_TEXT; i++) {
        const struct kv_option *option = &policy->options[i];
        const struct kv_key_entry *key = &keys[option->key];
        uint32_t value = config->value[option->key];
        if (value == option->standard)
            continue;
        at += (size_t)(key->names != NULL
                           ? snprintf(ret + at, KV_CONFIG_TEXT - at, ":%s=%s", key->name, key->names[value])
                           : snprintf(ret + at, KV_CONFIG_TEXT - at, ":%s=%u", key->name, value));
    }
}
