#include "kvcache/unit_scores.h"

#include "base/bits.h"
#include "protocols/box.h"
#include "protocols/digits.h"
#include "protocols/split.h"
#include "protocols/squares.h"

#include <string.h>

enum { SIXTEENTHS = 16, ROW_BITS = 10 };

size_t kv_scorer_sets(const struct kv_scorer *s)
{
    return s->plan->per_query_head ? s->form.heads : s->all->form.kv_heads;
}

int kv_scorer_bits(const struct kv_selection_plan *plan)
{
    return plan->score == KV_SCORE_MEAN && !plan->ahead ? KV_UNIT_BITS_FRESH : KV_UNIT_BITS;
}

static int sum_bits(const struct kv_selection_plan *plan)
{
    return kv_scorer_bits(plan) + KV_UNIT_FINE;
}

static size_t group_of(const struct kv_score_form *form, const struct kv_selection_plan *plan,
                       size_t kv_heads)
{
    return plan->per_query_head ? 1 : form->heads / kv_heads;
}

/* How often a key counts in what a query is multiplied by; a box may lie beyond any of its keys. */
static size_t weight_of(const struct kv_selection_plan *plan)
{
    enum { BEYOND = 4 };
    switch (plan->score) {
    case KV_SCORE_BOX:
        return BEYOND;
    case KV_SCORE_ALPHA:
        return SIXTEENTHS * BEYOND;
    default:
        return plan->unit + plan->before;
    }
}

/* Bits that a product loses. */
static int cut_of(const struct kv_score_form *form, const struct kv_selection_plan *plan, size_t kv_heads)
{
    if (plan->score == KV_SCORE_SQUARES)
        return form->product_bits - (ROW_BITS - 1);
    return form->product_bits + base_log_ceil(weight_of(plan)) +
           base_log_ceil(group_of(form, plan, kv_heads)) - (sum_bits(plan) - 1);
}

int kv_scorer_ring(const struct kv_score_form *form, const struct kv_selection_plan *plan, size_t kv_heads)
{
    int kept = sum_bits(plan) + 3;
    if (plan->score == KV_SCORE_ATTENTION)
        return plan->dense ? 0 : form->ring + base_log_ceil(plan->probe);
    if (plan->score == KV_SCORE_SQUARES)
        kept = sec_squares_ring(ROW_BITS - 1, plan->unit * group_of(form, plan, kv_heads));
    return cut_of(form, plan, kv_heads) + kept;
}

/* --- boxes --- */

/* Keys of the units as a wire under fresh masks: [kv_heads][units][unit][head_dim]. */
static struct mpc_wire open_keys(const struct kv_scorer *s, struct mpc_party *p, struct kv_units units)
{
    const struct kv_form *form = &s->all->form;
    size_t per_head = units.count * units.rows;
    struct mpc_share share =
        mpc_share_make(p, form->kv_heads * per_head * form->head_dim, form->ring_k, form->frac_k);
    for (size_t i = 0; i < form->kv_heads * per_head && !mpc_failed(p) && share.z != NULL; i++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_matrix row = s->all->k[i / per_head];
        row.data += (units.first + i % per_head) * row.stride;
        struct mpc_share one = mpc_share_of_row(p, &row, 1);
        if (!mpc_failed(p))
            memcpy(share.z + i * form->head_dim, one.z, form->head_dim * sizeof *share.z);
        base_arena_release(&p->arena, mark);
    }
    return mpc_cut(p, share, form->ring_k, 0, form->bound_k, false, "keys of boxes");
}

/* Runs of `dim` elements of a, each followed by one of b. */
static struct mpc_wire side_by_side(struct mpc_party *p, struct mpc_wire a, struct mpc_wire b, size_t dim)
{
    size_t n = a.count, at = 0;
    uint32_t *index = mpc_bytes(p, 2 * n * sizeof *index);
    for (size_t run = 0; index != NULL && run < n; run += dim)
        for (size_t c = 0; c < 2 * dim; c++)
            index[at++] = (uint32_t)(c < dim ? run + c : n + run + c - dim);
    return index == NULL ? a : mpc_gather(p, mpc_concat(p, a, b), index, at);
}

/* What a query is multiplied by: [box][high, then low] or, in sixteenths, alpha high + (1 - alpha) low. */
static struct mpc_wire read_box(const struct kv_scorer *s, struct mpc_party *p, struct sec_box box)
{
    int64_t alpha = (int64_t)s->plan->alpha;
    if (s->plan->score == KV_SCORE_ALPHA)
        return mpc_add(p, mpc_times(p, box.high, alpha, box.high.bound + 4),
                       mpc_times(p, box.low, SIXTEENTHS - alpha, box.low.bound + 4), 1, box.high.bound + 4);
    return side_by_side(p, box.high, box.low, s->all->form.head_dim);
}

enum base_status kv_scorer_box(struct kv_scorer *s, struct mpc_party *p, struct kv_units units)
{
    enum base_status status = BASE_OK;
    const struct kv_form *form = &s->all->form;
    struct sec_box box, pairs;
    struct mpc_wire keys = open_keys(s, p, units);
    TRY(mpc_round(p));
    struct sec_box_form boxes = {.groups = form->kv_heads * units.count,
                                 .unit = units.rows,
                                 .channels = form->head_dim,
                                 .k = form->bound_k + 2};
    TRY(sec_box_eval(p, &boxes, keys, &box));
    s->boxes[0] = read_box(s, p, box);
    s->boxed[0] = units.count;
    if (s->plan->pairs > 0) {
        TRY(sec_box_join(p, &boxes, box, &pairs));
        s->boxes[1] = read_box(s, p, pairs);
        s->boxed[1] = units.count / 2;
    }
    status = p->status;
out:
    return status;
}

void kv_scorer_keep(struct kv_scorer *s, struct mpc_party *p)
{
    for (int pairs = 0; pairs < 2; pairs++)
        s->boxes[pairs] = mpc_copy(p, s->boxes[pairs]);
}

/* --- queries --- */

/* Sums over the heads of each set: [sets][head_dim]. */
static struct mpc_wire sum_group(const struct kv_scorer *s, struct mpc_party *p, struct mpc_wire q)
{
    size_t dim = s->all->form.head_dim, sets = kv_scorer_sets(s), group = s->form.heads / sets, at = 0;
    uint32_t *index = mpc_bytes(p, q.count * sizeof *index),
             *starts = mpc_bytes(p, (sets * dim + 1) * sizeof *starts);
    for (size_t set = 0; !mpc_failed(p) && set < sets; set++)
        for (size_t c = 0; c < dim; c++) {
            starts[set * dim + c] = (uint32_t)at;
            for (size_t g = 0; g < group; g++)
                index[at++] = (uint32_t)((set * group + g) * dim + c);
        }
    if (mpc_failed(p))
        return q;
    starts[sets * dim] = (uint32_t)at;
    return mpc_sum_runs(p, mpc_gather(p, q, index, at), starts, sets * dim, q.bound + base_log_ceil(group));
}

enum base_status kv_scorer_query(const struct kv_scorer *s, struct mpc_party *p, struct mpc_wire q,
                                 struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire positive, negative;
    if (s->plan->score == KV_SCORE_BOX) {
        TRY(sec_split_eval(p, q, q.bound + 2, &positive, &negative));
        *ret = side_by_side(p, sum_group(s, p, positive), sum_group(s, p, negative), s->all->form.head_dim);
    } else if (s->plan->score == KV_SCORE_SQUARES) {
        /* The caller's wire may not live as long as the choice. */
        *ret = mpc_copy(p, q);
    } else
        *ret = sum_group(s, p, q);
    status = p->status;
out:
    return status;
}

/* --- scores --- */

static struct mpc_matrix matrix_of(const struct kv_scorer *s, struct mpc_party *p, size_t kv_head,
                                   struct kv_units units, bool pairs, int ring)
{
    if (s->plan->score == KV_SCORE_SQUARES) {
        struct kv_units rows = {.first = units.first, .count = units.count * units.rows, .rows = 1};
        return kv_store_key_sums(s->all, p, kv_head, rows, 0, ring);
    }
    if (s->plan->score == KV_SCORE_MEAN)
        return kv_store_key_sums(s->all, p, kv_head, units, s->plan->before, ring);
    struct mpc_wire boxes = s->boxes[pairs];
    size_t n = s->boxed[pairs], channels = boxes.count / (n * s->all->form.kv_heads);
    struct mpc_matrix ret = kv_matrix_make(p, n, channels, ring, boxes.frac, boxes.bound);
    for (size_t u = 0; u < n && !mpc_failed(p); u++)
        mpc_matrix_put(p, &ret, u, 0, false, mpc_slice(boxes, (kv_head * n + u) * channels, channels));
    return ret;
}

struct mpc_wire kv_scorer_queue(const struct kv_scorer *s, struct mpc_party *p, struct kv_units units,
                                struct mpc_wire query, bool pairs)
{
    const struct kv_form *form = &s->all->form;
    bool rows = s->plan->score == KV_SCORE_SQUARES;
    size_t sets = rows ? s->form.heads : kv_scorer_sets(s),
           n = rows    ? units.count * units.rows
               : pairs ? units.count / 2
                       : units.count,
           channels = query.count / sets;
    int cut = cut_of(&s->form, s->plan, form->kv_heads),
        ring = kv_scorer_ring(&s->form, s->plan, form->kv_heads);
    struct mpc_share out = mpc_share_make(p, sets * n, ring, cut);
    for (size_t set = 0; set < sets && !mpc_failed(p); set++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_matrix keys = matrix_of(s, p, set * form->kv_heads / sets, units, pairs, ring);
        mpc_share_matmul_at(p, mpc_slice(query, set * channels, channels), 1, &keys, &out, set * n, n);
        base_arena_release(&p->arena, mark);
    }
    return mpc_cut(p, out, ring, cut, rows ? ROW_BITS - 1 : sum_bits(s->plan), false, "unit score");
}

/* A set's heads and a unit's rows lie apart: [heads][units][unit] -> runs of [sets][units]. */
struct mpc_wire kv_scorer_squares(const struct kv_scorer *s, struct mpc_party *p, struct kv_units units,
                                  struct mpc_wire rows)
{
    size_t sets = kv_scorer_sets(s), group = s->form.heads / sets, run = group * units.rows, at = 0;
    uint32_t *index = mpc_bytes(p, rows.count * sizeof *index);
    for (size_t set = 0; index != NULL && set < sets; set++)
        for (size_t u = 0; u < units.count; u++)
            for (size_t g = 0; g < group; g++)
                for (size_t i = 0; i < units.rows; i++)
                    index[at++] = (uint32_t)(((set * group + g) * units.count + u) * units.rows + i);
    if (mpc_failed(p))
        return rows;
    int bits = 2 * (ROW_BITS - 1) + base_log_ceil(run), cut = bits - (sum_bits(s->plan) - 1);
    return sec_squares(p, mpc_gather(p, rows, index, at), run, cut > 0 ? cut : 0, "unit score");
}

struct mpc_wire kv_scorer_level(const struct kv_scorer *s, struct mpc_party *p, struct mpc_wire scores)
{
    scores.frac = 0;
    return mpc_add_const(p, scores, 1 << (sum_bits(s->plan) - 1));
}

struct mpc_wire kv_scorer_rank(struct mpc_party *p, struct mpc_wire scores, int bits)
{
    return sec_high_digit(p, scores, bits + KV_UNIT_FINE, KV_UNIT_FINE, "rounded unit score");
}
