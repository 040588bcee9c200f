#include "engine/attention.h"

#include "base/bits.h"

struct mpc_wire eng_swap_axes(const struct eng_step *step, struct mpc_wire w, size_t first, size_t second)
{
    size_t dim = step->decoder->form.shape->head_dim, at = 0;
    uint32_t *index = mpc_bytes(step->p, w.count * sizeof *index);
    for (size_t j = 0; index != NULL && j < second; j++)
        for (size_t i = 0; i < first; i++)
            for (size_t c = 0; c < dim; c++)
                index[at++] = (uint32_t)((i * second + j) * dim + c);
    return index == NULL ? (struct mpc_wire){0} : mpc_gather(step->p, w, index, w.count);
}

/* RoPE (rotate-half) on an untruncated share [n][heads * head_dim]: a public linear map. */
static void rotate(const struct eng_step *step, struct mpc_share *share, size_t heads)
{
    size_t dim = step->decoder->form.shape->head_dim, half = dim / 2;
    share->frac += step->decoder->form.plan->fc;
    for (size_t r = 0; share->z != NULL && !mpc_failed(step->p) && r < step->n * heads; r++) {
        uint64_t *z = share->z + r * dim;
        const int64_t *cos = step->cos + r / heads * half, *sin = step->sin + r / heads * half;
        for (size_t i = 0; i < half; i++) {
            uint64_t a = z[i], b = z[i + half], c = (uint64_t)cos[i], s = (uint64_t)sin[i];
            z[i] = a * c - b * s;
            z[i + half] = b * c + a * s;
        }
    }
}

/* Round 1. */
static enum base_status project(const struct eng_step *step, struct mpc_wire x, struct eng_projections *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_weights *w = &step->decoder->form.weights->layer[step->layer];
    const int *b = plan->layer[step->layer].bits;
    int linear = eng_plan_linear_cut(plan), turned = linear + plan->fc;
    (void)eng_account(step, ENG_CLASS_LINEAR);
    const struct mpc_matrix *all[] = {&w->q, &w->k, &w->v};
    struct mpc_share u[3];
    mpc_share_matmul_stacked(p, x, step->n, all, 3, u);
    struct mpc_share q = u[0], k = u[1], v = u[2];
    rotate(step, &q, step->decoder->form.shape->heads);
    rotate(step, &k, step->decoder->form.shape->kv_heads);
    ret->q = mpc_cut(p, q, q.ring, turned, eng_bound(plan->fu, b[ENG_UQ]), false, "u_q");
    ret->k = mpc_cut(p, k, k.ring, turned, eng_bound(plan->fu, b[ENG_UK]), false, "u_k");
    ret->v = mpc_cut(p, v, v.ring, linear, eng_bound(plan->fu, b[ENG_UV]), false, "u_v");
    ret->squares = eng_sum_squares(step, x, ENG_NORM_ATTENTION);
    return mpc_round(p);
}

size_t eng_targets(const struct eng_step *step)
{
    const struct eng_decoder *d = step->decoder;
    return 1 + (step->first < d->request.dims.prompt ? d->follower_count : 0);
}

struct eng_step eng_target(const struct eng_step *step, size_t target)
{
    struct eng_step own = *step;
    if (target > 0)
        own.decoder = step->decoder->followers[target - 1];
    return own;
}

void eng_append(const struct eng_step *step, struct mpc_wire k, struct mpc_wire v)
{
    for (size_t i = 0; i < eng_targets(step); i++) {
        struct kv_cache *cache = &eng_target(step, i).decoder->cache[step->layer];
        /* The twin's integers are the same in any ring that holds them. */
        if (i > 0 && step->p->role == MPC_CLEAR)
            k.ring = cache->all.form.ring_k;
        kv_cache_append(cache, step->p, k, v, step->n);
    }
}

enum base_status eng_choose_rows(const struct eng_step *step, struct mpc_wire q)
{
    struct eng_decoder *d = step->decoder;
    struct kv_cache *cache = &d->cache[step->layer];
    enum base_status status = BASE_OK;
    (void)eng_account(step, ENG_CLASS_SELECTION);
    for (size_t i = 1; i < eng_targets(step); i++)
        kv_cache_keep_query(&eng_target(step, i).decoder->cache[step->layer], step->p, q, step->n);
    if (step->first >= d->request.dims.prompt)
        TRY(kv_cache_select(d->cache, step->layer, step->p, q));
    else
        kv_cache_keep_query(cache, step->p, q, step->n);
    kv_cache_slots(cache, step->n, step->slots);
out:
    return status;
}

/* Every head's q against its probes, behind the scores of its rows. */
static void score_probes(const struct eng_step *step, struct mpc_wire q, struct kv_units probes,
                         struct mpc_share *out, size_t at)
{
    struct mpc_party *p = step->p;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    const struct kv_store *all = &step->decoder->cache[step->layer].all;
    size_t group = shape->heads / shape->kv_heads, dim = shape->head_dim;
    for (size_t h = 0; h < shape->kv_heads && !mpc_failed(p); h++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_matrix keys = kv_store_key_sums(all, p, h, probes, 0, all->form.ring_k);
        mpc_share_matmul_at(p, mpc_slice(q, h * group * dim, group * dim), group, &keys, out,
                            at + h * group * probes.count, probes.count);
        base_arena_release(&p->arena, mark);
    }
}

struct mpc_share eng_score_share(const struct eng_step *step, struct mpc_wire q, bool later, int *ret_log)
{
    const struct eng_model_shape *shape = step->decoder->form.shape;
    struct kv_cache *cache = &step->decoder->cache[step->layer];
    struct kv_store *store = kv_cache_store(cache);
    struct kv_units probes = kv_cache_probes(cache);
    size_t group = shape->heads / store->form.kv_heads, rows = group * step->n,
           scores = shape->heads * step->n * store->used;
    int ring = q.ring < store->form.ring_k ? q.ring : store->form.ring_k;
    struct mpc_share out =
        mpc_share_make(step->p, scores + shape->heads * probes.count, ring, q.frac + store->form.frac_k);
    *ret_log = probes.count == 0 ? 0 : base_log_ceil(probes.rows);
    struct mpc_heads_form form = {store->form.kv_heads, rows, kv_store_identity(store, MPC_KEYS, group), later && probes.count == 0};
    mpc_share_matmul_heads(step->p, q, store->k, form, &out, 0);
    /* A probe is a sum of keys: what attention reads are means. */
    for (size_t i = 0; *ret_log > 0 && out.z != NULL && !mpc_failed(step->p) && i < scores; i++)
        out.z[i] <<= *ret_log;
    out.frac += *ret_log;
    if (probes.count > 0)
        score_probes(step, q, probes, &out, scores);
    return out;
}

/* Slots that the step's rows see in one KV head: of row i counts[i], from slots[i * room]. Returns their
 * number. */
static size_t list_slots(const struct eng_step *step, size_t kv_head, size_t room, uint32_t *slots,
                         uint32_t *counts)
{
    struct kv_cache *cache = &step->decoder->cache[step->layer];
    size_t total = 0;
    for (size_t i = 0; i < step->n; i++) {
        struct kv_span span = kv_cache_span(cache, kv_head, step->first + i);
        counts[i] =
            (uint32_t)kv_store_visible(kv_cache_store(cache), span, step->first + i, slots + i * room);
        total += counts[i];
    }
    return total;
}

/* The pairs of one row, from `at` on; returns where the next one begins. */
static size_t list_row(struct eng_pairs *pairs, size_t r, const uint32_t *slots, size_t count, bool own,
                       size_t at)
{
    bool probes = r >= pairs->answered;
    size_t line = probes ? r - pairs->answered : r;
    pairs->starts[r] = (uint32_t)at;
    for (size_t j = 0; j < count + (size_t)own; j++, at++) {
        pairs->row[at] = (uint32_t)r;
        pairs->source[at] = j < count ? (uint32_t)(line * pairs->used + slots[j]) : UINT32_MAX;
    }
    for (size_t j = 0; probes && j < pairs->probes; j++, at++) {
        pairs->row[at] = (uint32_t)r;
        pairs->source[at] = (uint32_t)(pairs->answered * pairs->used + line * pairs->probes + j);
    }
    return at;
}

bool eng_list_pairs(const struct eng_step *step, bool own, struct eng_pairs *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    const struct kv_store *store = kv_cache_store(&step->decoder->cache[step->layer]);
    size_t heads = shape->heads, kv_heads = shape->kv_heads, group = heads / kv_heads, n = step->n,
           used = store->used, room = used + 1, rows = heads * n, total = 0, at = 0,
           probes = kv_cache_probes(&step->decoder->cache[step->layer]).count;
    uint32_t *slots = mpc_bytes(p, kv_heads * n * room * sizeof *slots),
             *counts = mpc_bytes(p, kv_heads * n * sizeof *counts);
    if (mpc_failed(p))
        return false;
    for (size_t h = 0; h < kv_heads; h++)
        total += group * (list_slots(step, h, room, slots + h * n * room, counts + h * n) + own * n);
    /* A step that probes has one row per head, and its pairs once more. */
    if (probes > 0)
        total += total + heads * probes;
    *ret = (struct eng_pairs){.rows = probes > 0 ? rows + heads : rows,
                              .answered = rows,
                              .probes = probes,
                              .used = used,
                              .starts = mpc_bytes(p, (rows + heads + 1) * sizeof *ret->starts),
                              .row = mpc_bytes(p, total * sizeof *ret->row),
                              .source = mpc_bytes(p, total * sizeof *ret->source)};
    if (mpc_failed(p))
        return false;
    for (size_t r = 0; r < ret->rows; r++) {
        size_t head = eng_row_head(step, ret, r), line = head / group * n + r % n;
        at = list_row(ret, r, slots + line * room, counts[line], own, at);
    }
    ret->starts[ret->rows] = (uint32_t)at;
    return true;
}

size_t eng_row_head(const struct eng_step *step, const struct eng_pairs *pairs, size_t r)
{
    return (r < pairs->answered ? r : r - pairs->answered) / step->n;
}

/* A bias of Q, K or V, where the model has them: public linear maps of masked rows, 0 bytes. It joins t u; `turned`: the heads of Q or K. */
static void add_bias(const struct eng_step *step, const struct mpc_matrix *row, size_t turned, struct mpc_share *share)
{
    if (!step->decoder->form.shape->qkv_bias)
        return;
    struct mpc_share bias = mpc_share_of_row(step->p, row, step->n);
    if (turned > 0)
        rotate(step, &bias, turned);
    mpc_share_add(step->p, share, bias);
}

/* v = t u_v, whose share is given. Queues one opening. */
static void queue_values(const struct eng_step *step, struct eng_projections *u, struct mpc_share v, struct eng_normal_form form)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    int lost = l->ft[ENG_NORM_ATTENTION] + plan->fu - form.v_frac;
    add_bias(step, &step->decoder->form.weights->layer[step->layer].v_bias, 0, &v);
    u->v = mpc_cut(p, v, v.ring, lost, eng_bound(form.v_frac, l->bits[ENG_V]), false, "v");
}

bool eng_values_wait(const struct eng_projections *u)
{
    return u->t.count > 0;
}

void eng_queue_values(const struct eng_step *step, struct eng_projections *u, struct eng_normal_form form)
{
    if (!eng_values_wait(u))
        return;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    const struct eng_plan *plan = step->decoder->form.plan;
    int lost = plan->layer[step->layer].ft[ENG_NORM_ATTENTION] + plan->fu - form.v_frac;
    struct mpc_cost *before = eng_account(step, ENG_CLASS_NORM);
    queue_values(step, u, mpc_share_mul(step->p, u->v, u->t, shape->kv_heads * shape->head_dim, form.v + lost), form);
    step->p->account = before;
}

void eng_swap_values(const struct eng_step *step, struct eng_projections *u)
{
    if (eng_values_wait(u))
        u->v = eng_swap_axes(step, u->v, step->n, step->decoder->form.shape->kv_heads);
    u->t = (struct mpc_wire){0};
}

enum base_status eng_normalise_projections(const struct eng_step *step, struct eng_projections *u,
                                           struct eng_normal_form form)
{
    struct mpc_party *p = step->p;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_weights *w = &step->decoder->form.weights->layer[step->layer];
    const int *b = plan->layer[step->layer].bits;
    int ft = plan->layer[step->layer].ft[ENG_NORM_ATTENTION], lost = ft + plan->fu - form.v_frac;
    size_t wide = shape->heads * shape->head_dim, narrow = shape->kv_heads * shape->head_dim;
    enum base_status status = BASE_OK;
    struct mpc_wire t;
    u->t = (struct mpc_wire){0};
    (void)eng_account(step, ENG_CLASS_NORM);
    sec_spline_eval(p, &step->decoder->form.gates->layer[step->layer].norm[ENG_NORM_ATTENTION], u->squares,
                    &t, "rsqrt");
    int ring_qk = form.qk + ft, ring_v = form.v + lost;
    u->q = mpc_ready(p, u->q, ring_qk, "u_q ready");
    u->k = mpc_ready(p, u->k, ring_qk, "u_k ready");
    u->v = mpc_ready(p, u->v, ring_v, "u_v ready");
    TRY(mpc_round(p));
    bool wait = p->maker != NULL && t.ring >= ring_qk && t.ring < ring_v;
    if (wait) {
        u->t = mpc_ready(p, t, ring_v, "t ready");
    } else {
        t = mpc_ready(p, t, base_larger(ring_qk, ring_v), "t ready");
        TRY(eng_ready_round(step));
    }
    const struct mpc_factor factor[] = {{u->q, wide, ring_qk}, {u->k, narrow, ring_qk}, {u->v, narrow, ring_v}};
    struct mpc_share times_t[3];
    mpc_share_mul_all(p, factor, wait ? 2 : 3, t, times_t);
    struct mpc_share q = times_t[0], k = times_t[1];
    add_bias(step, &w->q_bias, shape->heads, &q);
    add_bias(step, &w->k_bias, shape->kv_heads, &k);
    u->q = mpc_cut(p, q, form.qk + ft, ft, eng_bound(plan->fu, b[ENG_Q]), false, "q");
    u->k = mpc_cut(p, k, form.qk + ft, ft, eng_bound(plan->fu, b[ENG_K]), false, "k");
    if (!wait)
        queue_values(step, u, times_t[2], form);
    TRY(mpc_round(p));
    u->q = eng_swap_axes(step, u->q, step->n, shape->heads);
    u->k = eng_swap_axes(step, u->k, step->n, shape->kv_heads);
    if (!wait)
        u->v = eng_swap_axes(step, u->v, step->n, shape->kv_heads);
out:
    return status;
}

struct mpc_share eng_weighted_sum(const struct eng_step *step, struct mpc_wire e,
                                  const struct eng_pairs *pairs)
{
    struct mpc_party *p = step->p;
    const struct eng_model_shape *shape = step->decoder->form.shape;
    struct kv_store *store = kv_cache_store(&step->decoder->cache[step->layer]);
    size_t used = store->used, group = shape->heads / store->form.kv_heads, rows = group * step->n, dim = shape->head_dim;
    int ring = e.ring < store->form.ring_v ? e.ring : store->form.ring_v;
    struct mpc_share out = mpc_share_make(p, pairs->answered * dim, ring, e.frac + store->form.frac_v);
    size_t all = pairs->answered * used, mark = base_arena_mark(&p->arena);
    uint32_t *index = mpc_bytes(p, all * sizeof *index);
    for (size_t i = 0; index != NULL && i < all; i++)
        index[i] = UINT32_MAX;
    for (size_t i = 0; index != NULL && i < pairs->starts[pairs->answered]; i++)
        index[pairs->source[i]] = (uint32_t)i;
    if (index != NULL)
        mpc_share_matmul_heads(p, mpc_gather(p, e, index, all), store->v,
                               (struct mpc_heads_form){store->form.kv_heads, rows, kv_store_identity(store, MPC_VALUES, group), true}, &out, 0);
    base_arena_release(&p->arena, mark);
    return out;
}

enum base_status eng_attend(const struct eng_step *step, struct eng_projections *u, struct mpc_wire *ret_o)
{
    if (step->decoder->form.plan->layer[step->layer].attention == ENG_ATTENTION_CEILINGS)
        return eng_attention_ceilings(step, u, ret_o);
    return eng_attention_maximum(step, u, ret_o);
}

enum base_status eng_attention_run(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_o)
{
    struct eng_projections u;
    enum base_status status = BASE_OK;
    TRY(project(step, x, &u));
    TRY(step->lanes != NULL ? eng_attention_lanes(step, &u, ret_o) : eng_attend(step, &u, ret_o));
out:
    return status;
}
