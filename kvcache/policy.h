/* One interface for all cache policies: one constant per file in kvcache/policies/, each with its declared
 * leakage.
 *
 * A policy is a function from public numbers to a plan (plan.h): what rows may attend to, what is evicted,
 * what a decode step selects, and by which score. The mechanisms and the engine's attention are shared by all
 * policies. Source: design of KV caches under MPC, section 3. */
#ifndef CACHET_KVCACHE_POLICY_H
#define CACHET_KVCACHE_POLICY_H

#include "kvcache/config.h"
#include "kvcache/plan.h"

/* A key that the policy takes, and its value when none is given. */
struct kv_option {
    enum kv_key key;
    uint32_t standard;
};

struct kv_policy {
    const char *name;
    const char *summary;
    const char *source;
    const char *leakage; /* what P1, P2 or the client learn beyond the request's public sizes */
    bool reads_profile;  /* plans only where the profile of the model's heads is there (profile.h) */
    const struct kv_option *options;
    size_t options_count;
    /* Fills the layers of a plan whose spans see everything and which evicts and selects nothing. Errors: a
     * config that this request or model does not allow. */
    enum base_status (*plan)(const struct kv_config *config, struct kv_plan *plan, struct base_error *error);
};
/* The model itself: what programs take that have no policy to choose. */
extern const struct kv_policy kv_policy_full;

#define KV_OPTIONS(list) .options = (list), .options_count = sizeof(list) / sizeof *(list)

/* The policy of that name. Errors: BASE_ERR_ARGUMENT with the names that exist. */
BASE_MUST_USE enum base_status kv_policy_find(const char *name, const struct kv_policy **ret,
                                              struct base_error *error);
/* All policies, NULL-terminated. */
const struct kv_policy *const *kv_policy_list(void);

/* Whether the policy takes that key. */
bool kv_policy_takes(const struct kv_policy *policy, enum kv_key key);

/* For policies: what they say of sizes that are all they reveal. */
#define KV_LEAKAGE_OF_EVICTION                                                                               \
    "sizes only: the budget, sinks, window and unit are public; which rows are kept is opened to nobody"

#define KV_LEAKAGE_OF_PROFILE                                                                                \
    "nothing beyond the length of the context: what is kept depends on positions and on the plan's profile only"

/* Rows that a budget allows: `keep` where it is given, else the budget's share of the prompt, rounded. */
size_t kv_budget_rows(const struct kv_config *config, size_t prompt);

/* `percent` of `rows`, rounded up. */
size_t kv_percent_of(size_t rows, uint32_t percent);
/* That a budget of `rows` holds the `least` that sinks, window and unit need. */
BASE_MUST_USE enum base_status kv_check_budget(const char *name, size_t rows, size_t prompt, size_t least,
                                               struct base_error *error);
/* The eviction that the keys say: budget, sinks, window, unit, pool, heads, means, chunk, every; its score is
 * that of the last 0 rows. A key that the policy does not take is 0, the pool 1. Errors: BASE_ERR_ARGUMENT
 * when there is no budget. */
BASE_MUST_USE enum base_status kv_eviction_of(const struct kv_config *config, const char *name, size_t prompt,
                                              struct kv_eviction_plan *ret, struct base_error *error);
/* The selection that the keys say: budget, sinks, window, unit, reuse, score, before, alpha, levels, probe, heads; of every layer for
 * itself. Errors: BASE_ERR_ARGUMENT when the budget is smaller than sinks, window and a unit. */
BASE_MUST_USE enum base_status kv_selection_of(const struct kv_config *config, const char *name, size_t prompt,
                                               struct kv_selection_plan *ret, struct base_error *error);
/* The same selection in every layer; from the third one on, `share` adjacent layers use one set. */
void kv_select_in_all_layers(struct kv_plan *plan, const struct kv_selection_plan *select, size_t share);
#define KV_LEAKAGE_OF_SELECTION                                                                              \
    "sizes only: units, their number and how long a set is used are public; which ones are chosen is "       \
    "opened to nobody"
/* After the prompt each layer keeps `static` percent of its rows in units of `unit`, by the attention of the last `queries` percent of
 * the prompt; 100: nothing is evicted. */
BASE_MUST_USE enum base_status kv_evict_statically(const struct kv_config *config, const char *name, struct kv_plan *plan, size_t unit,
                                                   struct base_error *error);
/* The same eviction in every layer. */
void kv_evict_in_all_layers(struct kv_plan *plan, const struct kv_eviction_plan *evict);

#endif
