#include "kvcache/selection.h"

#include "base/bits.h"
#include "protocols/digits.h"

enum { SCORE, ROUND, CHOOSE_FIRST, CHOOSE, GATHER, EXTEND, DONE };

enum { FINE_BITS = KV_UNIT_BITS + KV_UNIT_FINE };

/* Bits that the product of a sum of queries and a sum of keys loses. */
static int unit_cut(const struct kv_score_form *score, const struct kv_selection_plan *plan, size_t kv_heads)
{
    size_t group = plan->per_query_head ? 1 : score->heads / kv_heads;
    return score->product_bits + base_log_ceil(plan->unit) + base_log_ceil(group) - (FINE_BITS - 1);
}

int kv_unit_score_ring(const struct kv_score_form *score, const struct kv_selection_plan *plan,
                       size_t kv_heads)
{
    return unit_cut(score, plan, kv_heads) + FINE_BITS + 3;
}

bool kv_selection_units(const struct kv_selection_plan *plan, size_t used, struct kv_units *ret)
{
    if (plan->units == 0 || used < plan->first + plan->last)
        return false;
    *ret = (struct kv_units){
        .first = plan->first, .count = (used - plan->first - plan->last) / plan->unit, .rows = plan->unit};
    return ret->count > plan->units;
}

/* Sums of the queries of each set: [sets][head_dim]. */
static struct mpc_wire sum_group(struct mpc_party *p, const struct kv_selection *s, struct mpc_wire q)
{
    size_t dim = s->all->form.head_dim, group = s->score.heads / s->sets, at = 0;
    uint32_t *index = mpc_bytes(p, q.count * sizeof *index),
             *starts = mpc_bytes(p, (s->sets * dim + 1) * sizeof *starts);
    for (size_t set = 0; !mpc_failed(p) && set < s->sets; set++)
        for (size_t c = 0; c < dim; c++) {
            starts[set * dim + c] = (uint32_t)at;
            for (size_t g = 0; g < group; g++)
                index[at++] = (uint32_t)((set * group + g) * dim + c);
        }
    if (mpc_failed(p))
        return q;
    starts[s->sets * dim] = (uint32_t)at;
    return mpc_sum_runs(p, mpc_gather(p, q, index, at), starts, s->sets * dim,
                        q.bound + base_log_ceil(group));
}

/* The sums of every unit's keys against the query of each set: [sets][units], |x| < 2^(FINE_BITS - 1). */
static struct mpc_wire score_units(struct mpc_party *p, const struct kv_selection *s)
{
    const struct kv_form *form = &s->all->form;
    size_t n = s->units.count, dim = form->head_dim;
    int cut = unit_cut(&s->score, s->plan, form->kv_heads), ring = cut + FINE_BITS + 3;
    struct mpc_wire q = sum_group(p, s, s->query);
    struct mpc_share out = mpc_share_make(p, s->sets * n, ring, cut);
    for (size_t set = 0; set < s->sets && !mpc_failed(p); set++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_matrix keys = kv_store_key_sums(s->all, p, set * form->kv_heads / s->sets, s->units, ring);
        mpc_share_matmul_at(p, mpc_slice(q, set * dim, dim), 1, &keys, &out, set * n, n);
        base_arena_release(&p->arena, mark);
    }
    return mpc_cut(p, out, ring, cut, FINE_BITS, false, "unit score");
}

static struct sec_choice_form choice_form(const struct kv_selection *s)
{
    struct sec_choice_form choice = {
        .rows = s->sets, .n = s->units.count, .k = s->plan->units, .bits = KV_UNIT_BITS, .ring = s->hot_ring};
    choice.way = sec_choice_cheapest(choice, KV_CHOICE_ROUNDS);
    return choice;
}

void kv_selection_start(struct kv_selection *s, struct mpc_party *p, struct kv_units units, struct mpc_wire q,
                        const struct mpc_wire *hot)
{
    s->units = units;
    s->sets = s->plan->per_query_head ? s->score.heads : s->all->form.kv_heads;
    s->running = true;
    s->complete = false;
    s->stage = hot != NULL ? GATHER : SCORE;
    if (hot != NULL) {
        s->hot = *hot;
        return;
    }
    /* The caller's wire may not live as long as this run. */
    uint32_t *index = mpc_bytes(p, q.count * sizeof *index);
    for (size_t i = 0; index != NULL && i < q.count; i++)
        index[i] = (uint32_t)i;
    s->query = mpc_gather(p, q, index, q.count);
}

static struct kv_gather gather_of(const struct kv_selection *s)
{
    return (struct kv_gather){.store = s->all,
                              .units = s->units,
                              .heads = s->sets,
                              .sets = s->sets,
                              .stride = s->plan->units,
                              .count = s->plan->units};
}

bool kv_selection_queue(struct mpc_party *p, struct kv_selection *s)
{
    struct kv_gather gather;
    while (!mpc_failed(p) && s->stage != DONE)
        switch (s->stage++) {
        case SCORE:
            s->unit_scores = score_units(p, s);
            return true;
        case ROUND:
            s->unit_scores.frac = 0;
            s->unit_scores = mpc_add_const(p, s->unit_scores, 1 << (FINE_BITS - 1));
            s->unit_scores = sec_high_digit(p, s->unit_scores, FINE_BITS, KV_UNIT_FINE, "rounded unit score");
            return true;
        case CHOOSE_FIRST:
            sec_choice_start(&s->choice, choice_form(s), s->unit_scores);
            break;
        case CHOOSE:
            if (sec_choice_queue(p, &s->choice)) {
                s->stage = CHOOSE;
                return true;
            }
            s->hot = s->choice.result;
            break;
        case GATHER:
            gather = gather_of(s);
            s->rows = kv_gather_queue(p, &gather, s->hot);
            return true;
        case EXTEND:
            if (kv_gather_extend(p, &s->all->form, 0, &s->rows))
                return true;
            break;
        }
    s->running = false;
    s->complete = true;
    return false;
}

void kv_selection_install(struct kv_selection *s, struct mpc_party *p, struct kv_store *active)
{
    size_t first = s->units.first, rows = s->plan->units * s->units.rows,
           behind = first + s->units.count * s->units.rows;
    uint32_t *slots = mpc_bytes(p, rows * sizeof *slots);
    if (mpc_failed(p))
        return;
    kv_store_set_used(active, 0);
    for (size_t i = 0; i < first; i++)
        kv_store_copy(active, i, s->all, i);
    for (size_t i = 0; i < rows; i++)
        slots[i] = (uint32_t)(first + i);
    kv_store_append(active, p, s->rows.k, s->rows.v, KV_KEPT, slots, rows);
    for (size_t slot = behind; slot < s->all->used; slot++)
        kv_store_copy(active, first + rows + slot - behind, s->all, slot);
    s->age = 0;
    s->complete = false;
}
