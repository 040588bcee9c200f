#include "kvcache/eviction.h"

#include "base/bits.h"

#include <string.h>

enum { RANK, START, CHOOSE, MOVE, EXTEND, STORE, DONE };
/* Sums over `pool` neighbours: [sets][units]. */
static struct mpc_wire ranked(struct mpc_party *p, const struct kv_eviction *e)
{
    size_t n = e->sizes.units, pool = e->plan->pool;
    return kv_scores_pool(
        p, e->scores,
        (struct kv_score_windows){.n = n, .stride = 1, .before = pool / 2, .length = pool, .units = n});
}

bool kv_eviction_start(struct kv_eviction *ret, const struct kv_eviction_plan *plan, struct kv_store *store,
                       struct kv_scores *scores, struct mpc_party *p)
{
    *ret = (struct kv_eviction){.plan = plan, .store = store, .scores = scores};
    if (!kv_eviction_sizes(plan, store->used, &ret->sizes))
        return false;
    ret->ranked = ranked(p, ret);
    return true;
}

static void start_choice(struct kv_eviction *e)
{
    const struct kv_form *rows = &e->store->form;
    struct sec_choice_form form = {.rows = e->scores->sets,
                                   .n = e->sizes.units,
                                   .k = e->sizes.kept,
                                   .bits = e->scores->bits,
                                   .way = SEC_CHOICE_TWO_DIGITS,
                                   .ring = rows->ring_k > rows->moved_v ? rows->ring_k : rows->moved_v,
                                   .lost = e->plan->means,
                                   .ordered = true};
    sec_choice_start(&e->choice, form, e->ranked);
}

static struct kv_gather gather_of(const struct kv_eviction *e, bool lost)
{
    const struct kv_eviction_sizes *z = &e->sizes;
    return (struct kv_gather){.store = e->store,
                              .units = {.first = e->plan->first, .count = z->units, .rows = e->plan->unit},
                              .heads = e->store->form.kv_heads,
                              .sets = e->scores->sets,
                              .stride = e->plan->means ? z->units : z->kept,
                              .first = lost ? z->kept : 0,
                              .count = lost ? z->units - z->kept : z->kept,
                              .sum = lost};
}

/* Scores that go on being added to move with their units: [sets][kept]. */
static struct mpc_wire move_scores(struct mpc_party *p, const struct kv_eviction *e)
{
    size_t n = e->sizes.units, k = e->sizes.kept, sets = e->scores->sets;
    int ring = kv_score_ring(e->scores), bound = kv_score_sum_bits(e->scores);
    struct mpc_share out = mpc_share_make(p, sets * k, ring, 0);
    for (size_t s = 0; s < sets && !mpc_failed(p); s++) {
        struct mpc_matrix row = {
            .ring = ring, .bound = bound, .outs = 1, .inner = n, .stride = mpc_matrix_stride(p->role, ring, n)};
        row.data = p->role == MPC_COUNT ? NULL : mpc_bytes(p, row.stride);
        if (row.data != NULL)
            memset(row.data, 0, row.stride);
        mpc_matrix_put(p, &row, 0, 0, false, mpc_slice(e->scores->sum, s * e->scores->units, n));
        mpc_share_matmul_at(p, mpc_slice(e->choice.result, s * k * n, k * n), k, &row, &out, s * k, 1);
    }
    return mpc_cut(p, out, ring, 0, bound, false, "moved scores");
}

/* Kept units' scores, then those of the rows behind them, in their new places. */
static void put_scores(struct kv_eviction *e)
{
    struct kv_scores *scores = e->scores;
    uint64_t *to[] = {scores->sum.m, scores->sum.l1, scores->sum.l2, scores->sum.x},
             *moved[] = {e->moved_scores.m, e->moved_scores.l1, e->moved_scores.l2, e->moved_scores.x};
    size_t n = e->sizes.units, k = e->sizes.kept;
    for (int a = 0; a < 4; a++)
        for (size_t s = 0; to[a] != NULL && s < scores->sets; s++) {
            uint64_t *line = to[a] + s * scores->units;
            for (size_t u = 0; u < k; u++)
                line[u] = moved[a] == NULL ? 0 : moved[a][s * k + u];
            for (size_t u = n; u < scores->units; u++)
                line[k + u - n] = line[u];
            for (size_t u = k + scores->units - n; u < scores->units; u++)
                line[u] = 0;
        }
}

static void store_rows(struct mpc_party *p, struct kv_eviction *e)
{
    size_t first = e->plan->first, unit = e->plan->unit, kept = e->sizes.kept * unit,
           old = first + e->sizes.units * unit;
    size_t means = e->plan->means ? e->sizes.units - e->sizes.kept : 0, most = kept > means ? kept : means;
    uint32_t *slots = mpc_bytes(p, (most + 1) * sizeof *slots);
    if (mpc_failed(p))
        return;
    for (size_t i = 0; i < kept; i++)
        slots[i] = (uint32_t)(first + i);
    kv_store_append(e->store, p, e->kept.k, e->kept.v, KV_KEPT, slots, kept);
    for (size_t i = 0; i < e->sizes.tail; i++)
        kv_store_copy(e->store, first + kept + i, e->store, old + i);
    kv_store_set_used(e->store, first + kept + e->sizes.tail);
    for (size_t i = 0; i < means; i++)
        slots[i] = (uint32_t)(e->store->used + i);
    if (means > 0)
        kv_store_append(e->store, p, e->means.k, e->means.v, KV_KEPT, slots, means);
    for (size_t i = 0; i < means && !mpc_failed(p); i++)
        e->store->weight[slots[i]] = (uint8_t)unit;
    if (e->plan->queries == KV_QUERIES_ALL)
        put_scores(e);
    else
        kv_scores_clear(e->scores);
}

static void move(struct mpc_party *p, struct kv_eviction *e)
{
    struct kv_gather kept = gather_of(e, false), lost = gather_of(e, true);
    e->kept = kv_gather_queue(p, &kept, e->choice.result);
    if (e->plan->means)
        e->means = kv_gather_queue(p, &lost, e->choice.result);
    if (e->plan->queries == KV_QUERIES_ALL)
        e->moved_scores = move_scores(p, e);
}

static bool extend(struct mpc_party *p, struct kv_eviction *e)
{
    bool kept = kv_gather_extend(p, &e->store->form, 0, &e->kept);
    return (e->plan->means &&
            kv_gather_extend(p, &e->store->form, base_log_ceil(e->plan->unit), &e->means)) ||
           kept;
}

bool kv_eviction_queue(struct mpc_party *p, struct kv_eviction *e)
{
    while (!mpc_failed(p) && e->stage != DONE)
        switch (e->stage++) {
        case RANK:
            e->ranked = kv_scores_rank(p, e->scores, e->ranked);
            return true;
        case START:
            start_choice(e);
            break;
        case CHOOSE:
            if (sec_choice_queue(p, &e->choice)) {
                e->stage = CHOOSE;
                return true;
            }
            break;
        case MOVE:
            move(p, e);
            return true;
        case EXTEND:
            if (extend(p, e))
                return true;
            break;
        case STORE:
            store_rows(p, e);
            break;
        }
    return false;
}
