/* Query-time selection: the units of rows that decode steps attend to, chosen by a secret score, gathered, and used for several steps.
 *
 * A unit is scored by the query against the sum of its keys, one opening per unit, quantised to KV_UNIT_BITS bits. KV_UNIT_FINE more bits
 * take the rounding and are dropped exactly, so that the plaintext twin and the parties choose the same units but for scores at an
 * edge. The best units become one-hot rows (protocols/choice.h), and their K and V are gathered into a small store of their own. Rows before the units and behind
 * them are public and always attended to. The run is resumable: its rounds may be hidden behind other work.
 * Cost: 2 rounds for the scores, those of the choice (3, 8 or 13), 1 to gather, 1 to extend V. Reveals: nothing; sizes are public.
 * Source: specification, kv.py (unit_scores, gather_units, GatherCache) and README 9.2 to 9.4; MPCache, arXiv 2501.06807. */
#ifndef CACHET_KVCACHE_SELECTION_H
#define CACHET_KVCACHE_SELECTION_H

#include "kvcache/gather.h"
#include "protocols/choice.h"

enum { KV_UNIT_BITS = 8, KV_UNIT_FINE = 6, KV_CHOICE_ROUNDS = 8 };

/* How q . k counts: |q . k| <= 2^product_bits in units of the product for every score within the plan's bound. */
struct kv_score_form {
    size_t heads;
    int product_bits;
};
/* Ring that keys need to be scored by units. */
int kv_unit_score_ring(const struct kv_score_form *score, const struct kv_selection_plan *plan, size_t kv_heads);

struct kv_selection {
    const struct kv_selection_plan *plan;
    const struct kv_store *all;
    struct kv_score_form score;
    struct kv_units units; /* of the set under way, or in use */
    size_t sets;
    int hot_ring;          /* of the one-hot rows: what every layer that shares them reads */
    int stage;
    size_t age;            /* steps since it came into use */
    bool running, complete; /* the set under way */
    struct mpc_wire query, kept_query; /* kept_query: of the last prompt row */
    struct mpc_wire unit_scores, hot;
    struct sec_choice choice;
    struct kv_rows rows;
};

/* The units that can be chosen from now, as whole units behind `first` and before the last `last` rows; false: no more than are
 * selected, so that everything is attended to. */
bool kv_selection_units(const struct kv_selection_plan *plan, size_t used, struct kv_units *ret);

/* Starts a choice by q [heads][head_dim], or, given one-hot rows of another layer over the same units, only gathers. What it needs is
 * taken from p->arena. */
void kv_selection_start(struct kv_selection *s, struct mpc_party *p, struct kv_units units, struct mpc_wire q, const struct mpc_wire *hot);
/* Takes what the last round opened and queues the next openings; false when the rows are there (complete). */
bool kv_selection_queue(struct mpc_party *p, struct kv_selection *s);
/* Fills `active` with the rows before the units, the gathered ones, and the rows behind them. */
void kv_selection_install(struct kv_selection *s, struct mpc_party *p, struct kv_store *active);

#endif
