#include "kvcache/selection.h"

#include "base/bits.h"

enum { SCORE, SQUARES, LEVEL, PAIRS_FIRST, PAIRS, RANK, CHOOSE_FIRST, CHOOSE, GATHER, EXTEND, DONE };

static const struct kv_selection_plan *plan_of(const struct kv_selection *s)
{
    return s->scorer.plan;
}

bool kv_selection_units(const struct kv_selection_plan *plan, size_t used, struct kv_units *ret)
{
    size_t whole = plan->pairs > 0 ? 2 * plan->unit : plan->unit;
    if (plan->units == 0 || used < plan->first + plan->last)
        return false;
    *ret = (struct kv_units){.first = plan->first,
                             .count = (used - plan->first - plan->last) / whole * (whole / plan->unit),
                             .rows = plan->unit};
    return ret->count > plan->units && (plan->pairs == 0 || ret->count / 2 > plan->pairs);
}

/* --- start --- */

static void start(struct kv_selection *s, struct kv_units units, int stage)
{
    s->units = units;
    s->sets = kv_scorer_sets(&s->scorer);
    s->running = true;
    s->complete = false;
    s->stage = stage;
}

enum base_status kv_selection_by_query(struct kv_selection *s, struct mpc_party *p, struct kv_units units,
                                       struct mpc_wire q)
{
    start(s, units, SCORE);
    return kv_scorer_query(&s->scorer, p, q, &s->query);
}

void kv_selection_by_attention(struct kv_selection *s, struct mpc_party *p, struct kv_units units)
{
    const struct kv_selection_plan *plan = plan_of(s);
    size_t stride = plan->unit / plan->probe, before = plan->before / plan->probe;
    start(s, units, RANK);
    s->scores = kv_scores_pool(p, &s->attention,
                               (struct kv_score_windows){.n = units.count,
                                                         .stride = stride,
                                                         .before = before,
                                                         .length = before + stride,
                                                         .units = units.count * stride});
}

void kv_selection_by_rows(struct kv_selection *s, struct kv_units units, struct mpc_wire hot)
{
    start(s, units, GATHER);
    s->hot = hot;
}

/* --- rounds --- */

static bool by_attention(const struct kv_selection *s)
{
    return plan_of(s)->score == KV_SCORE_ATTENTION;
}

/* A unit of a pair that was chosen lies above all others. */
static int score_bits(const struct kv_selection *s, bool pairs)
{
    return by_attention(s) ? s->attention.bits
                           : kv_scorer_bits(plan_of(s)) + (!pairs && plan_of(s)->pairs > 0);
}

static struct sec_choice_form choice_form(const struct mpc_party *p, const struct kv_selection *s, bool pairs)
{
    const struct kv_selection_plan *plan = plan_of(s);
    struct sec_choice_form choice = {.rows = s->sets,
                                     .n = pairs ? s->units.count / 2 : s->units.count,
                                     .k = pairs ? plan->pairs : plan->units,
                                     .bits = score_bits(s, pairs),
                                     .ring = pairs ? kv_scorer_bits(plan) + KV_UNIT_FINE + 3 : s->hot_ring,
                                     .flags_only = pairs,
                                     .pair = p->maker != NULL};
    choice.way = sec_choice_cheapest(choice, kv_scorer_bits(plan) == KV_UNIT_BITS_FRESH ? KV_CHOICE_ROUNDS
                                                                                        : UINT64_MAX);
    return choice;
}

/* Scores of units, higher than all others' where their pair was chosen. */
static struct mpc_wire raise(struct mpc_party *p, const struct kv_selection *s)
{
    size_t n = s->scores.count;
    uint32_t *index = mpc_bytes(p, n * sizeof *index);
    for (size_t i = 0; index != NULL && i < n; i++)
        index[i] = (uint32_t)(i / 2);
    if (mpc_failed(p))
        return s->scores;
    struct mpc_wire flags = s->choice.result;
    flags.frac = 0;
    int bits = kv_scorer_bits(plan_of(s)) + KV_UNIT_FINE;
    flags = mpc_times(p, mpc_gather(p, flags, index, n), 1 << bits, bits);
    return mpc_add(p, s->scores, flags, 1, bits + 1);
}

static struct kv_gather gather_of(const struct kv_selection *s)
{
    size_t count = plan_of(s)->units;
    return (struct kv_gather){.store = s->scorer.all,
                              .units = s->units,
                              .heads = s->sets,
                              .sets = s->sets,
                              .stride = count,
                              .count = count};
}

/* Queues the openings of one stage, if it has any. */
static bool queue_stage(struct mpc_party *p, struct kv_selection *s, int stage)
{
    const struct kv_scorer *scorer = &s->scorer;
    struct kv_gather gather;
    switch (stage) {
    case SCORE:
        s->scores = kv_scorer_queue(scorer, p, s->units, s->query, false);
        if (plan_of(s)->pairs > 0)
            s->pair_scores = kv_scorer_queue(scorer, p, s->units, s->query, true);
        return true;
    case SQUARES:
        if (scorer->plan->score != KV_SCORE_SQUARES)
            return false;
        s->scores = kv_scorer_squares(scorer, p, s->units, s->scores);
        return true;
    case LEVEL:
        s->scores = kv_scorer_level(&s->scorer, p, s->scores);
        if (plan_of(s)->pairs == 0)
            return false;
        s->pair_scores =
            kv_scorer_rank(p, kv_scorer_level(&s->scorer, p, s->pair_scores), kv_scorer_bits(plan_of(s)));
        return true;
    case PAIRS_FIRST:
        if (plan_of(s)->pairs > 0)
            sec_choice_start(&s->choice, choice_form(p, s, true), s->pair_scores);
        return false;
    case PAIRS:
        if (plan_of(s)->pairs == 0)
            return false;
        if (sec_choice_queue(p, &s->choice)) {
            s->stage = PAIRS;
            return true;
        }
        s->scores = raise(p, s);
        return false;
    case RANK:
        s->scores = by_attention(s) ? kv_scores_rank(p, &s->attention, s->scores)
                                    : kv_scorer_rank(p, s->scores, score_bits(s, false));
        return true;
    case CHOOSE_FIRST:
        sec_choice_start(&s->choice, choice_form(p, s, false), s->scores);
        return false;
    case CHOOSE:
        if (sec_choice_queue(p, &s->choice)) {
            s->stage = CHOOSE;
            return true;
        }
        s->hot = s->choice.result;
        return false;
    case GATHER:
        gather = gather_of(s);
        s->rows = kv_gather_queue(p, &gather, s->hot);
        return true;
    default:
        return kv_gather_extend(p, &scorer->all->form, 0, &s->rows);
    }
}

bool kv_selection_queue(struct mpc_party *p, struct kv_selection *s)
{
    while (!mpc_failed(p) && s->stage != DONE)
        if (queue_stage(p, s, s->stage++))
            return true;
    s->running = false;
    s->complete = true;
    return false;
}

void kv_selection_install(struct kv_selection *s, struct mpc_party *p, struct kv_store *active)
{
    const struct kv_store *all = s->scorer.all;
    size_t first = s->units.first, rows = plan_of(s)->units * s->units.rows,
           behind = first + s->units.count * s->units.rows;
    uint32_t *slots = mpc_bytes(p, rows * sizeof *slots);
    if (mpc_failed(p))
        return;
    kv_store_set_used(active, 0);
    for (size_t i = 0; i < first; i++)
        kv_store_copy(active, i, all, i);
    for (size_t i = 0; i < rows; i++)
        slots[i] = (uint32_t)(first + i);
    kv_store_append(active, p, s->rows.k, s->rows.v, KV_KEPT, slots, rows);
    for (size_t slot = behind; slot < all->used; slot++)
        kv_store_copy(active, first + rows + slot - behind, all, slot);
    s->age = 0;
    s->complete = false;
}
