/* One interface for all cache policies: one constant per file in kvcache/policies/, each with its declared leakage.
 *
 * A policy is asked, in this order:
 *   plan          once per request: public sizes, from the configuration and the request's length
 *   slot          which slot a new position takes
 *   visible       public mask: may the row at `query` attend to the row at `key`? (prefill and decode)
 *   on_prefill    after the last prompt row of a layer: score, rank, compact, merge (secret-score policies; NULL otherwise)
 *   on_append     after each new row of a layer: slide windows, close blocks, evict (NULL otherwise)
 *   select        what a decode step attends to: a PUBLIC list of slots, or rows GATHERED or SHUFFLED by secret choice
 * The engine's attention is shared by all policies. Sizes that a policy reveals are public constants of its configuration, never
 * functions of the prompt. Source: design of KV caches under MPC, section 3. */
#ifndef CACHET_KVCACHE_POLICY_H
#define CACHET_KVCACHE_POLICY_H

#include "kvcache/store.h"

#include <stdbool.h>

/* What the user chose; unused fields are 0. */
struct kv_config {
    size_t sinks;  /* first rows that are always kept */
    size_t window; /* last rows that are kept */
};

/* What a policy will need for one request. */
struct kv_plan {
    size_t capacity; /* slots per layer */
    size_t rows;     /* longest list that a query attends to */
};

enum kv_active_kind { KV_ACTIVE_PUBLIC };

/* What a query attends to. */
struct kv_active {
    enum kv_active_kind kind;
    uint32_t *slots;
    size_t count;
};

struct kv_policy {
    const char *name;
    const char *leakage; /* what P1, P2 or the client learn beyond the request's public sizes */
    /* context: prompt plus new tokens; chunk: rows of one prefill step. Errors: a config the policy cannot run. */
    enum base_status (*plan)(const struct kv_config *config, size_t context, size_t chunk, struct kv_plan *ret,
                             struct base_error *error);
    size_t (*slot)(const struct kv_config *config, const struct kv_plan *plan, size_t position);
    bool (*visible)(const struct kv_config *config, size_t query, size_t key);
    enum base_status (*on_prefill)(const struct kv_config *config, struct kv_store *store, struct mpc_party *p);
    enum base_status (*on_append)(const struct kv_config *config, struct kv_store *store, struct mpc_party *p);
    /* NULL: the public list of visible slots. */
    enum base_status (*select)(const struct kv_config *config, struct kv_store *store, struct mpc_party *p, struct mpc_wire q,
                               struct kv_active *ret);
};

extern const struct kv_policy kv_policy_full, kv_policy_window;

/* The policy of that name. Errors: BASE_ERR_ARGUMENT with the names that exist. */
BASE_MUST_USE enum base_status kv_policy_find(const char *name, const struct kv_policy **ret, struct base_error *error);
/* All policies, NULL-terminated. */
const struct kv_policy *const *kv_policy_list(void);

/* The slots whose rows the row at `query` sees, in slot order, into active->slots (room for store->used). */
void kv_visible_slots(const struct kv_policy *policy, const struct kv_config *config, const struct kv_store *store, size_t query,
                      struct kv_active *active);

#endif
