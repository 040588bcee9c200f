/* What a policy will do in one request: public sizes per layer, from the configuration and the request's lengths.
 *
 * A policy combines mechanisms, each in its own file:
 *   spans      which positions a row may attend to, per KV head (store.h)
 *   eviction   rows that leave the cache by a secret score (eviction.h)
 *   selection  rows that a decode step attends to, by a secret score (selection.h)
 * No size depends on what a prompt says. */
#ifndef CACHET_KVCACHE_PLAN_H
#define CACHET_KVCACHE_PLAN_H

#include "kvcache/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The request and the model, as far as a plan depends on them. */
struct kv_dims {
    size_t layers, heads, kv_heads;
    size_t prompt;  /* rows */
    size_t context; /* prompt plus new rows, at most */
    size_t chunk;   /* rows of one prefill step at most */
    bool pair; /* two parties without P0, who cannot make every choice */
    const struct kv_profile *profile; /* borrowed while a plan is made; NULL: the model has none */
};

/* A row sees the first `sinks` positions and the last `window` ones, itself included; window 0: all. */
struct kv_span {
    uint32_t sinks, window;
};

/* Whose attention an eviction's score adds up. */
enum kv_queries {
    KV_QUERIES_LAST, /* of the last rows of the prompt, or of a chunk */
    KV_QUERIES_ALL,  /* of all rows so far */
    KV_QUERIES_NEWEST /* of the newest row */
};

struct kv_eviction_plan {
    size_t keep;         /* rows that stay, `first` and the last ones included; 0: nothing is evicted */
    size_t first, last;  /* rows that stay whatever their score */
    size_t unit;         /* rows that go together: a power of two, 1 to 64 */
    enum kv_queries queries;
    size_t query_rows;   /* KV_QUERIES_LAST: how many */
    size_t pool;         /* units whose scores are averaged; 1: none */
    bool per_head;       /* one set per KV head, not per layer */
    bool means;          /* lost units stay as their mean row, which counts `unit` times */
    size_t chunk;        /* prompt rows between evictions; 0: once, after the prompt */
    size_t every;        /* new rows between evictions while decoding; 0: none */
};

/* How units are scored (unit_scores.h), or by the attention that an earlier row gave to them (scores.h). */
enum kv_unit_score {
    KV_SCORE_MEAN,
    KV_SCORE_SQUARES,
    KV_SCORE_BOX,
    KV_SCORE_ALPHA,
    KV_SCORE_ATTENTION
};

struct kv_selection_plan {
    size_t units;        /* that are selected; 0: no selection */
    size_t unit;         /* rows of one: a power of two */
    size_t first, last;  /* rows that are always attended to; `last` at least, as units are whole */
    size_t reuse;        /* steps that use one set */
    enum kv_unit_score score;
    size_t before;       /* mean, attention: rows before a unit that count for it, too */
    size_t alpha;        /* alpha: the share of the largest keys, in sixteenths */
    size_t pairs;        /* of neighbouring units that are chosen first, so that only theirs are chosen from; 0: one choice of all */
    size_t probe;        /* attention: rows of a sum, which divide unit and before */
    bool dense;          /* attention: a step that scores attends to every row, not to its set and to probes */
    bool ahead;          /* chosen from an earlier step, the rounds hidden behind other work */
    bool per_query_head; /* one set per query head, not per KV head */
    size_t set_of;       /* the layer whose set is used; its own number: it chooses for itself */
};

/* Boxes are made once, when the prompt has been read: then rows of the answer are attended to as they come. */
static inline bool kv_reads_boxes(const struct kv_selection_plan *s)
{
    return s->score == KV_SCORE_BOX || s->score == KV_SCORE_ALPHA;
}

struct kv_layer_plan {
    struct kv_span *prompt, *decode; /* [kv_heads] */
    struct kv_eviction_plan evict;
    struct kv_selection_plan select;
    /* Filled in by kv_plan_make: */
    size_t capacity; /* slots */
    bool rolls;      /* rows leave by their position alone: their slots are used again */
};

struct kv_plan {
    struct kv_dims dims;
    struct kv_layer_plan *layer;
    struct kv_span *spans;
    size_t chunk; /* rows of a prefill step; divides every evict.chunk */
};

struct kv_policy;
struct kv_config;
/* Asks the policy and checks what it says. Errors: BASE_ERR_ARGUMENT naming the policy, the size and what to do. Free with
 * kv_plan_finish, which accepts a zeroed plan. */
BASE_MUST_USE enum base_status kv_plan_make(struct kv_plan *ret, const struct kv_policy *policy, const struct kv_config *config,
                                            struct kv_dims dims, struct base_error *error);
void kv_plan_finish(struct kv_plan *plan);

/* Rows that an eviction finds and leaves when `used` rows are there: units of each set that are ranked, and that stay. False: too
 * few rows to evict. */
struct kv_eviction_sizes {
    size_t units, kept;
    size_t tail; /* rows after the units: at least `last`, as units are whole */
};
bool kv_eviction_sizes(const struct kv_eviction_plan *plan, size_t used, struct kv_eviction_sizes *ret);

#endif
