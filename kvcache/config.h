/* What a user chose for a cache policy: its numbers by name, and the budget.
 *
 * Written as "NAME[:KEY=VALUE[:KEY=VALUE ...]]", for example "select:budget=25:reuse=16". One table (config.c)
 * holds every key with its meaning; a policy says which of them it takes, and their values when none is given
 * (policy.h). All of it is public and the same for all parties. */
#ifndef CACHET_KVCACHE_CONFIG_H
#define CACHET_KVCACHE_CONFIG_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kv_key {
    KV_BUDGET,   /* percent of the prompt's rows that are kept, or attended to by a decode step */
    KV_KEEP,     /* the same as a number of rows; 0: by the budget */
    KV_SINKS,    /* first rows that always stay */
    KV_WINDOW,   /* last rows that always stay */
    KV_UNIT,     /* rows that are kept, or selected, together */
    KV_QUERIES,  /* percent of the prompt's rows, its last ones, whose attention counts */
    KV_POOL,     /* units whose scores are averaged, an odd number */
    KV_EVERY,    /* new rows between two evictions while decoding; 0: none */
    KV_MEANS,    /* 1: lost units stay as their mean row */
    KV_HEADS,    /* 1: one set per KV head; 0: one per layer */
    KV_CHUNK,    /* prompt rows between two evictions; 0: one eviction, after the prompt */
    KV_REUSE,    /* decode steps that use one selected set */
    KV_ASYNC,    /* 1: a set is chosen from the queries of an earlier step, its rounds hidden behind other work */
    KV_SHARE,    /* adjacent layers that share one selected set, from the third layer on */
    KV_SCORE,    /* what ranks units: an enum kv_unit_score by name */
    KV_BEFORE,   /* rows before a unit whose score counts for it, too */
    KV_STATIC,   /* percent of the prompt's rows that an eviction leaves to select from; 100: all */
    KV_ALPHA,    /* weight of the largest keys of a unit, in sixteenths */
    KV_PROBE,    /* rows of a probe, the mean of their keys; 0: a scoring step attends to all rows */
    KV_LEVELS,   /* 2: pairs of units are chosen first; 1: units alone */
    KV_FULL,     /* percent of the KV heads that see everything; 0: as the policy or the budget says */
    KV_KEYS,
};

/* A value for every key; those that a policy does not take are 0. */
struct kv_config {
    uint32_t value[KV_KEYS];
};

struct kv_key_entry {
    const char *name;
    const char *help;
    uint32_t low, high;
    const char *const *names; /* of the values from low to high; NULL: they are numbers */
};
const struct kv_key_entry *kv_key_entry(enum kv_key key);

struct kv_policy;
/* Reads a specification. `budget` in percent replaces the key where it is not 0. Errors: BASE_ERR_ARGUMENT naming policy, key, value
 * and what is allowed. */
BASE_MUST_USE enum base_status kv_config_parse(const char *text, uint32_t budget, const struct kv_policy **ret_policy,
                                               struct kv_config *ret, struct base_error *error);
enum { KV_CONFIG_TEXT = 320 };
/* The specification that reads back as the same config: keys whose values are not the policy's own. */
void kv_config_print(const struct kv_policy *policy, const struct kv_config *config, char ret[KV_CONFIG_TEXT]);

#endif
