/* Query-time selection: the units of rows that decode steps attend to, chosen by a secret score, gathered, and
 * used for several steps.
 *
 * Units are scored by a query (unit_scores.h) or by the attention of an earlier row (scores.h). The best
 * become one-hot rows (protocols/choice.h), and their K and V are gathered into a small store of their own.
 * Rows before the units and behind them are public and always attended to. The run is resumable: its rounds
 * may be hidden behind other work.
 * Cost: 2 rounds for scores by a query (squares: 3), 1 for those by attention; those of the choice (3, 8 or
 * 13, and of pairs before it); 1 to gather, 1 to extend V. Reveals: nothing; sizes are public.
 * Source: specification, kv.py (unit_scores, gather_units, GatherCache, mpcache_flags) and README 9.2 to 9.4;
 * MPCache, arXiv 2501.06807. */
#ifndef CACHET_KVCACHE_SELECTION_H
#define CACHET_KVCACHE_SELECTION_H

#include "kvcache/gather.h"
#include "kvcache/scores.h"
#include "kvcache/unit_scores.h"
#include "protocols/choice.h"

/* Bits of a score by attention as it is ranked, and the most rounds of a choice that a step waits for. */
enum { KV_ATTENTION_BITS = 14, KV_CHOICE_ROUNDS = 8 };

struct kv_selection {
    struct kv_scorer scorer;
    struct kv_scores attention; /* where units are scored by it */
    struct kv_units units;      /* of the set under way, or in use */
    size_t sets;
    int hot_ring; /* of the one-hot rows: what every layer that shares them reads */
    int stage;
    size_t age;             /* steps since it came into use */
    bool running, complete; /* the set under way */
    bool scoring;           /* the attention of the step under way scores units */
    struct mpc_wire query, kept_query; /* kept_query: of the last prompt row */
    struct mpc_wire scores, pair_scores, hot;
    struct sec_choice choice;
    struct kv_rows rows;
};

/* The units that can be chosen from now, as whole units behind `first` and before the last `last` rows; false:
 * no more than are selected, so that everything is attended to. */
bool kv_selection_units(const struct kv_selection_plan *plan, size_t used, struct kv_units *ret);

/* Start a choice. What it needs is taken from p->arena. By q [heads][head_dim]: rounds only where the scorer
 * needs some. */
BASE_MUST_USE enum base_status kv_selection_by_query(struct kv_selection *s, struct mpc_party *p,
                                                     struct kv_units units, struct mpc_wire q);
void kv_selection_by_attention(struct kv_selection *s, struct mpc_party *p, struct kv_units units);
/* Only gathers: one-hot rows of another layer over the same units. */
void kv_selection_by_rows(struct kv_selection *s, struct kv_units units, struct mpc_wire hot);

/* Takes what the last round opened and queues the next openings; false when the rows are there (complete). */
bool kv_selection_queue(struct mpc_party *p, struct kv_selection *s);
/* Fills `active` with the rows before the units, the gathered ones, and the rows behind them. */
void kv_selection_install(struct kv_selection *s, struct mpc_party *p, struct kv_store *active);

#endif
