#include "bench/attention_state.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/realmath.h"
#include "mpc/lift.h"

#include <math.h>

enum {
    HEADS = BENCH_HEADS,
    CHANNELS = BENCH_CHANNELS,
    ELEMENTS = BENCH_ELEMENTS,
    MOST_ROWS = BENCH_ROWS + BENCH_MOST_STEPS
};
static const double CHOSEN_NATS = 3; /* by which chosen units' scores lie above the others' */

/* --- numbers made up --- */

size_t bench_chosen_unit(size_t head, size_t which)
{
    size_t unit[BENCH_CHOSEN];
    for (size_t i = 0; i < BENCH_CHOSEN; i++) {
        size_t at = i;
        for (size_t next = (5 * head + 11 * i) % BENCH_UNITS; at > 0 && unit[at - 1] > next; at--)
            unit[at] = unit[at - 1];
        unit[at] = (5 * head + 11 * i) % BENCH_UNITS;
    }
    return unit[which];
}

static bool is_chosen(size_t head, size_t row)
{
    for (size_t i = 0; i < BENCH_CHOSEN; i++)
        if (bench_chosen_unit(head, i) == row / BENCH_CLUSTER)
            return true;
    return false;
}

/* In [-1, 1). */
static double uniform(enum bench_number kind, size_t head, size_t row, size_t channel)
{
    uint64_t state = (((uint64_t)kind * HEADS + head) * MOST_ROWS + row) * CHANNELS + channel;
    return 2 * base_random_fraction(&state) - 1;
}

static double query(size_t head, size_t channel)
{
    return uniform(BENCH_QUERY, head, 0, channel) * 2 / sqrt(CHANNELS);
}

/* Of chosen units along the query, so that every score grows by the same. */
static double key(size_t head, size_t row, size_t channel)
{
    double x = 2 * uniform(BENCH_KEY, head, row, channel), square = 0;
    if (!is_chosen(head, row))
        return x;
    for (size_t c = 0; c < CHANNELS; c++)
        square += query(head, c) * query(head, c);
    return x + CHOSEN_NATS * query(head, channel) / square;
}

int64_t *bench_numbers(const struct bench_attention_setting *s, enum bench_number kind, size_t first,
                       size_t rows, struct base_error *error)
{
    const double unit = base_power_of_two(kind == BENCH_VALUE ? s->w.v_frac : s->plan.fu);
    int64_t *x = NULL;
    if (base_alloc(&x, ELEMENTS * rows, sizeof *x, error) != BASE_OK)
        return NULL;
    for (size_t h = 0, at = 0; h < HEADS; h++)
        for (size_t r = first; r < first + rows; r++)
            for (size_t c = 0; c < CHANNELS; c++) {
                double value = kind == BENCH_QUERY ? query(h, c) * s->query_scale
                               : kind == BENCH_KEY ? key(h, r, c)
                                                   : 4 * uniform(kind, h, r, c);
                x[at++] = (int64_t)nearbyint(value * unit);
            }
    return x;
}

struct mpc_wire bench_wire_of(struct mpc_party *p, const struct bench_attention_setting *s,
                              enum bench_number kind, size_t first, size_t rows, int ring,
                              struct base_error *error)
{
    const struct eng_layer_plan *l = &s->plan.layer[0];
    int frac = kind == BENCH_VALUE ? s->w.v_frac : s->plan.fu;
    int bits = l->bits[kind == BENCH_QUERY ? ENG_Q : kind == BENCH_KEY ? ENG_K : ENG_V];
    int64_t *x = bench_numbers(s, kind, first, rows, error);
    struct mpc_wire w = {0};
    if (x != NULL)
        w = bench_known_wire(p, x, ELEMENTS * rows, ring, frac, frac + bits);
    base_free(&x);
    return w;
}

struct kv_form bench_store_form(const struct bench_attention_setting *s, size_t capacity, int ring_k)
{
    struct kv_form form = {.kv_heads = HEADS,
                           .head_dim = CHANNELS,
                           .capacity = capacity,
                           .ring_k = ring_k,
                           .frac_k = s->plan.fu,
                           .bound_k = s->plan.fu + s->plan.layer[0].bits[ENG_K],
                           .ring_v = s->w.e_ring,
                           .frac_v = s->w.v_frac,
                           .bound_v = s->w.v_frac + s->plan.layer[0].bits[ENG_V]};
    form.moved_v = form.bound_v + 2 < form.ring_v ? form.bound_v + 2 : form.ring_v;
    return form;
}

enum base_status bench_prepared(const struct mpc_party *p, struct base_error *error)
{
    if (error->code != BASE_OK)
        return error->code;
    return p->status == BASE_OK ? BASE_OK : base_fail(error, p->status, "%s", p->error.text);
}

enum base_status bench_store_open(struct kv_store *ret, struct mpc_party *p,
                                  const struct bench_attention_setting *s, struct kv_form form, size_t rows,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint32_t slots[MOST_ROWS];
    TRY(kv_store_init(ret, p->role, form, error));
    for (uint32_t i = 0; i < rows; i++)
        slots[i] = i;
    kv_store_append(ret, p, bench_wire_of(p, s, BENCH_KEY, 0, rows, form.ring_k, error),
                    bench_wire_of(p, s, BENCH_VALUE, 0, rows, form.ring_v, error), 0, slots, rows);
    status = bench_prepared(p, error);
out:
    return status;
}

/* --- attention --- */

struct mpc_share bench_scores(struct mpc_party *p, const struct mpc_matrix *k, struct mpc_wire q, size_t rows)
{
    struct mpc_share share = mpc_share_make(p, HEADS * rows, q.ring, q.frac + k->frac);
    for (size_t h = 0; h < HEADS; h++)
        mpc_share_matmul_at(p, mpc_slice(q, h * CHANNELS, CHANNELS), 1, &k[h], &share, h * rows, rows);
    return share;
}

struct mpc_wire bench_cut_scores(struct mpc_party *p, const struct bench_attention_setting *s,
                                 struct mpc_share scores)
{
    int k = eng_range_units(&s->plan.layer[0].range[0]) + 1;
    return mpc_cut(p, scores, s->w.score_cut + k, s->w.score_cut, k - 1, true, "score");
}

struct mpc_wire bench_below_ceiling(struct mpc_party *p, const struct bench_attention_setting *s,
                                    struct mpc_wire score)
{
    int64_t *ceiling = mpc_bytes(p, score.count * sizeof *ceiling);
    double nats = (double)eng_plan_heads(&s->plan, 0)->ceiling / ENG_CEILING_UNITS;
    for (size_t i = 0; ceiling != NULL && i < score.count; i++)
        ceiling[i] = base_nearest(nats * s->query_scale * base_power_of_two(ENG_CEILING_SCORE));
    struct mpc_wire top = mpc_public(p, ceiling, score.count, score.ring, score.frac, score.ring - 1);
    score = mpc_add(p, top, score, -1, score.ring);
    sec_guard_eval(p, &s->gates.layer[0].guard[0], score, 0, "score");
    return score;
}

const struct sec_exp_two *bench_exp(const struct bench_attention_setting *s)
{
    return &s->gates.exp_two[s->gates.layer[0].exp_two[0]];
}

void bench_store_value(struct mpc_party *p, struct kv_store *store, struct mpc_wire v, size_t slot)
{
    for (size_t h = 0; h < HEADS; h++)
        mpc_matrix_put(p, &store->v[h], 0, slot, true, mpc_slice(v, h * CHANNELS, CHANNELS));
}

/* e of every score, and the newest row of V extended and stored. */
static enum base_status exponentiate(struct mpc_party *p, const struct bench_attention_setting *s,
                                     struct kv_store *store, struct mpc_wire q, struct mpc_wire v,
                                     size_t rows, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire y = bench_cut_scores(p, s, bench_scores(p, store->k, q, rows));
    TRY(mpc_round(p));
    *ret = sec_exp_two_eval(p, bench_exp(s), bench_below_ceiling(p, s, y), "exp");
    v = mpc_extend(p, v, s->w.e_ring, "extend v");
    TRY(mpc_round(p));
    ret->bound = s->w.e_frac - s->w.empty;
    bench_store_value(p, store, v, rows - 1);
    status = p->status;
out:
    return status;
}

enum base_status bench_divide(struct mpc_party *p, const struct bench_attention_setting *s,
                              const struct kv_store *store, struct mpc_wire e, size_t rows,
                              struct mpc_wire *ret)
{
    const struct eng_ceiling_widths *w = &s->w;
    const struct sec_reciprocal_two *gate = &s->gates.reciprocal_two[s->gates.layer[0].reciprocal_two];
    enum base_status status = BASE_OK;
    const int *b = s->plan.layer[0].bits;
    int lost = w->read_frac + w->inverse_frac - s->plan.fu;
    uint32_t starts[HEADS + 1];
    for (size_t h = 0; h <= HEADS; h++)
        starts[h] = (uint32_t)(h * rows);
    struct mpc_wire inverse[SEC_WINDOWS],
        S = mpc_sum_runs(p, e, starts, HEADS, e.bound + eng_plan_log_context(&s->plan));
    sec_reciprocal_two_eval(p, gate, S, inverse, "1/S");
    struct mpc_share share = mpc_share_make(p, ELEMENTS, e.ring, e.frac + w->v_frac);
    for (size_t h = 0; h < HEADS; h++)
        mpc_share_matmul_at(p, mpc_slice(e, h * rows, rows), 1, &store->v[h], &share, h * CHANNELS, CHANNELS);
    struct mpc_wire o = mpc_cut(p, share, w->e_ring, share.frac - w->sum_frac,
                                w->sum_frac + w->sum + b[ENG_V], false, "sum e v");
    TRY(mpc_round(p));
    share = sec_reciprocal_two_divide(p, gate, S, inverse, o, w->read_frac + b[ENG_V] + 1, w->o_ring + lost);
    *ret = mpc_cut(p, share, w->o_ring + lost, lost, s->plan.fu + b[ENG_O], false, "o");
    TRY(mpc_round(p));
out:
    return status;
}

enum base_status bench_attend(struct mpc_party *p, const struct bench_attention_setting *s,
                              struct kv_store *store, struct mpc_wire q, struct mpc_wire v, size_t rows,
                              struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire e;
    TRY(exponentiate(p, s, store, q, v, rows, &e));
    TRY(bench_divide(p, s, store, e, rows, ret));
out:
    return status;
}

/* One head: softmax in double precision on the same rounded inputs. */
static double attention_error(const struct bench_attention_setting *s, const int64_t *q, const int64_t *k,
                              const int64_t *v, size_t rows, const int64_t *o)
{
    double sum = 0, weighted[CHANNELS] = {0}, worst = 0,
           unit = base_power_of_two(-2 * s->plan.fu) / s->query_scale;
    for (size_t r = 0; r < rows; r++) {
        double score = 0;
        for (size_t c = 0; c < CHANNELS; c++)
            score += (double)q[c] * (double)k[r * CHANNELS + c] * unit;
        sum += exp(score);
        for (size_t c = 0; c < CHANNELS; c++)
            weighted[c] += exp(score) * (double)v[r * CHANNELS + c] * base_power_of_two(-s->w.v_frac);
    }
    for (size_t c = 0; c < CHANNELS; c++)
        worst = fmax(worst, fabs(weighted[c] / sum - (double)o[c] * base_power_of_two(-s->plan.fu)));
    return worst;
}

enum base_status bench_check_attention(const struct bench_operator *what, const int64_t *k, const int64_t *v,
                                       size_t rows, const int64_t *result, size_t count, int frac,
                                       struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    const double allowed = 0x1p-8;
    size_t head = rows * CHANNELS;
    double worst = 0;
    int64_t *q = bench_numbers(s, BENCH_QUERY, 0, 1, error);
    TRY(error->code);
    for (size_t h = 0; h < HEADS; h++)
        worst = fmax(worst, attention_error(s, q + h * CHANNELS, k + h * head, v + h * head, rows,
                                            result + h * CHANNELS));
    TRY_THAT(count == ELEMENTS && frac == s->plan.fu && worst < allowed, error, BASE_ERR_MISMATCH,
             "%s: off by %.2g, %.2g are allowed", what->name, worst, allowed);
out:
    base_free(&q);
    return status;
}
