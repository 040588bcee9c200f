/* The cache of one layer under a policy: what it stores, what a row attends to, and the secret choices under way.
 *
 * The engine asks, in this order, for every step of n rows:
 *   kv_cache_select    (a decode step, when q is known) may choose and gather rows
 *   kv_cache_append    K and V of the new rows, before they are scored; again when V has been extended
 *   kv_cache_store     the rows that are attended to
 *   kv_cache_scored    how many of the step's last rows' attention counts for a choice, and what it is added to
 *   kv_cache_rank      when it has been added
 * and after the last layer kv_caches_close: evictions, and the first choice of policies that choose ahead, all layers in the same rounds.
 * Control flow depends on public numbers alone, so that all roles take the same way. */
#ifndef CACHET_KVCACHE_CACHE_H
#define CACHET_KVCACHE_CACHE_H

#include "kvcache/eviction.h"
#include "kvcache/selection.h"

struct kv_cache {
    const struct kv_plan *plan;
    size_t layer;
    struct kv_store all;    /* every row that is kept */
    struct kv_store active; /* what decode steps attend to, where the policy selects */
    struct kv_scores scores;
    struct kv_selection selection;
    struct base_arena arena; /* what outlives a step: scores, and a selection under way */
    size_t mark;             /* of the arena: what a request keeps lies below */
    size_t position;         /* rows so far */
    size_t next, next_active; /* first slots of the step under way */
    bool uses_active;        /* the step under way attends to `active` */
    bool hidden;             /* the selection under way takes part in others' rounds */
};

/* form.capacity is set here. The plan is borrowed and may be replaced by one of no larger capacity (kv_cache_begin). */
BASE_MUST_USE enum base_status kv_cache_init(struct kv_cache *ret, enum mpc_role role, struct kv_form form, struct kv_score_form score,
                                             const struct kv_plan *plan, size_t layer, struct base_error *error);
void kv_cache_finish(struct kv_cache *cache);
size_t kv_cache_size(const struct kv_cache *cache, enum mpc_role role);
/* Its rows on an accelerator, as kv_store_place. */
BASE_MUST_USE enum base_status kv_cache_place(struct kv_cache *cache, struct kern_device *device, struct base_error *error);
void kv_cache_unplace(struct kv_cache *cache);
size_t kv_cache_placed_bytes(const struct kv_cache *cache, const struct kern_device *device);
/* Forgets everything and wipes it. */
void kv_cache_clear(struct kv_cache *cache);
/* After kv_cache_clear: the next request follows `plan`. */
void kv_cache_begin(struct kv_cache *cache, const struct kv_plan *plan, struct mpc_party *p);

/* One decode row's q [heads][head_dim]; `caches` are those of all layers, as layers may share a set. Rounds: none where a set is reused
 * or was chosen ahead, else those of the choice and 2 more. */
BASE_MUST_USE enum base_status kv_cache_select(struct kv_cache *caches, size_t layer, struct mpc_party *p, struct mpc_wire q);
/* Keeps the q of the last prompt row, where the first set is chosen from it. q [heads][n][head_dim]. */
void kv_cache_keep_query(struct kv_cache *cache, struct mpc_party *p, struct mpc_wire q, size_t n);

struct kv_store *kv_cache_store(struct kv_cache *cache);
/* Rows of `all` whose mean keys the step attends to beside its rows, to score them (kv_cache_scored); count 0: none. */
struct kv_units kv_cache_probes(const struct kv_cache *cache);
/* Slots of the next n rows in kv_cache_store; they stay those of the step until kv_cache_advance. */
void kv_cache_slots(const struct kv_cache *cache, size_t n, uint32_t *ret_slots);
void kv_cache_append(struct kv_cache *cache, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v, size_t n);
struct kv_span kv_cache_span(const struct kv_cache *cache, size_t kv_head, size_t query);

/* Scores that the attention of the last *ret_rows rows of a step of n rows is added to; NULL: none counts. */
struct kv_scores *kv_cache_scored(struct kv_cache *cache, size_t n, size_t *ret_rows);
/* The attention of a decode step has been added: where it ranks units, their choice begins, hidden in later rounds. */
void kv_cache_rank(struct kv_cache *caches, size_t layer, struct mpc_party *p);
/* The step is done: n more rows. */
void kv_cache_advance(struct kv_cache *cache, size_t n);

/* After a step: evicts where it is due. Runs its own rounds, those of all layers together. */
BASE_MUST_USE enum base_status kv_caches_close(struct kv_cache *caches, size_t layers, struct mpc_party *p);
/* Lets the choices that run ahead take part in a round. */
void kv_caches_before_round(struct kv_cache *caches, size_t layers, struct mpc_party *p);

#endif
