#include "bench/attention_operators.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/realmath.h"
#include "kvcache/store.h"
#include "mpc/lift.h"
#include "protocols/box.h"
#include "protocols/split.h"

#include <math.h>

enum {
    HEADS = BENCH_HEADS,
    CHANNELS = BENCH_CHANNELS,
    ROWS = BENCH_ROWS,
    CLUSTER = BENCH_CLUSTER,
    KEPT = 3 * CLUSTER,
    ELEMENTS = HEADS * CHANNELS,
    RANGE = 64,
    HEADROOM = 24,
    SCORE_BITS = 5,
    SIMILARITY_BITS = 11
};

/* --- numbers made up --- */

enum kind { QUERY, KEY, VALUE };

/* In [-1, 1), the same at every role. */
static double made_up(enum kind kind, size_t head, size_t row, size_t channel)
{
    uint64_t state = (((uint64_t)kind * HEADS + head) * ROWS + row) * CHANNELS + channel;
    return 2 * base_random_fraction(&state) - 1;
}

/* [HEADS][rows][CHANNELS] from row `first` on: scores within some 6 nats, values within 4. */
static int64_t *numbers(const struct bench_attention_setting *s, enum kind kind, size_t first, size_t rows,
                        struct base_error *error)
{
    const double scale[] = {[QUERY] = 2 / sqrt(CHANNELS) * s->query_scale * base_power_of_two(s->plan.fu),
                            [KEY] = 2 * base_power_of_two(s->plan.fu),
                            [VALUE] = 4 * base_power_of_two(s->w.v_frac)};
    int64_t *x = NULL;
    if (base_alloc(&x, ELEMENTS * rows, sizeof *x, error) != BASE_OK)
        return NULL;
    for (size_t h = 0, at = 0; h < HEADS; h++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < CHANNELS; c++)
                x[at++] = (int64_t)nearbyint(made_up(kind, h, first + r, c) * scale[kind]);
    return x;
}

static struct mpc_wire wire_of(struct mpc_party *p, const struct bench_attention_setting *s, enum kind kind,
                               size_t first, size_t rows, int ring, struct base_error *error)
{
    const struct eng_layer_plan *l = &s->plan.layer[0];
    int frac = kind == VALUE ? s->w.v_frac : s->plan.fu;
    int bits = l->bits[kind == QUERY ? ENG_Q : kind == KEY ? ENG_K : ENG_V];
    int64_t *x = numbers(s, kind, first, rows, error);
    struct mpc_wire w = {0};
    if (x != NULL)
        w = bench_known_wire(p, x, ELEMENTS * rows, ring, frac, frac + bits);
    base_free(&x);
    return w;
}

/* --- state of a role: a cache, a query, the newest row --- */

struct state {
    struct kv_store store;
    struct mpc_wire q, v, keys; /* v: of the newest row, not yet extended; keys: a cluster */
};

static enum base_status prepare(struct mpc_party *p, const struct bench_operator *what, void **ret_state,
                                struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    uint32_t slots[ROWS];
    struct state *state = NULL;
    struct kv_form form = {.kv_heads = HEADS,
                           .head_dim = CHANNELS,
                           .capacity = what->rows,
                           .ring_k = s->ring_qk,
                           .frac_k = s->plan.fu,
                           .bound_k = s->plan.fu + s->plan.layer[0].bits[ENG_K],
                           .ring_v = s->w.e_ring,
                           .frac_v = s->w.v_frac,
                           .bound_v = s->w.v_frac + s->plan.layer[0].bits[ENG_V]};
    TRY(base_alloc(&state, 1, sizeof *state, error));
    TRY(kv_store_init(&state->store, p->role, form, error));
    for (uint32_t i = 0; i < what->rows; i++)
        slots[i] = i;
    struct mpc_wire k = wire_of(p, s, KEY, 0, what->rows, form.ring_k, error),
                    v = wire_of(p, s, VALUE, 0, what->rows, form.ring_v, error);
    kv_store_append(&state->store, p, k, v, 0, slots, what->rows);
    state->q = wire_of(p, s, QUERY, 0, 1, s->ring_qk, error);
    state->v = wire_of(p, s, VALUE, what->rows - 1, 1, s->w.v_ring, error);
    state->keys = wire_of(p, s, KEY, 0, CLUSTER, s->ring_qk, error);
    status = error->code != BASE_OK ? error->code : p->status;
    TRY_THAT(status == BASE_OK, error, status, "%s", p->error.text);
    *ret_state = state;
    return BASE_OK;
out:
    if (state != NULL)
        kv_store_finish(&state->store);
    base_free(&state);
    return status;
}

static void release(void **ret_state)
{
    struct state *state = *ret_state;
    kv_store_finish(&state->store);
    base_free(ret_state);
}

/* q . K of every head: [HEADS][rows]. */
static struct mpc_share score_share(struct mpc_party *p, const struct state *state, size_t rows)
{
    struct mpc_share share =
        mpc_share_make(p, HEADS * rows, state->q.ring, state->q.frac + state->store.form.frac_k);
    for (size_t h = 0; h < HEADS; h++)
        mpc_share_matmul_at(p, mpc_slice(state->q, h * CHANNELS, CHANNELS), 1, &state->store.k[h], &share,
                            h * rows, rows);
    return share;
}

/* --- attention: 4 rounds --- */

static struct mpc_wire below_ceiling(struct mpc_party *p, const struct bench_attention_setting *s,
                                     struct mpc_wire score)
{
    int64_t *ceiling = mpc_bytes(p, score.count * sizeof *ceiling);
    double nats = (double)eng_plan_heads(&s->plan, 0)->ceiling / ENG_CEILING_UNITS;
    for (size_t i = 0; ceiling != NULL && i < score.count; i++)
        ceiling[i] = base_nearest(nats * s->query_scale * base_power_of_two(ENG_CEILING_SCORE));
    struct mpc_wire top = mpc_public(p, ceiling, score.count, score.ring, score.frac, score.ring - 1);
    return mpc_add(p, top, score, -1, score.ring);
}

/* e of every score, and the newest row of V extended and stored. */
static enum base_status exponentiate(struct mpc_party *p, const struct bench_attention_setting *s,
                                     struct state *state, size_t rows, struct mpc_wire *ret)
{
    const struct eng_layer_gates *gates = &s->gates.layer[0];
    enum base_status status = BASE_OK;
    int k = eng_range_units(&s->plan.layer[0].range[0]) + 1;
    uint32_t slot = (uint32_t)rows - 1;
    struct mpc_wire y =
        mpc_cut(p, score_share(p, state, rows), s->w.score_cut + k, s->w.score_cut, k - 1, true, "score");
    TRY(mpc_round(p));
    y = below_ceiling(p, s, y);
    sec_guard_eval(p, &gates->guard[0], y, 0, "score");
    *ret = sec_exp_two_eval(p, &s->gates.exp_two[gates->exp_two[0]], y, "exp");
    struct mpc_wire v = mpc_extend(p, state->v, s->w.e_ring, "extend v");
    TRY(mpc_round(p));
    ret->bound = s->w.e_frac - s->w.empty;
    for (size_t h = 0; h < HEADS; h++)
        mpc_matrix_put(p, &state->store.v[h], 0, slot, true, mpc_slice(v, h * CHANNELS, CHANNELS));
    status = p->status;
out:
    return status;
}

static enum base_status divide(struct mpc_party *p, const struct bench_attention_setting *s,
                               const struct state *state, struct mpc_wire e, size_t rows,
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
        mpc_share_matmul_at(p, mpc_slice(e, h * rows, rows), 1, &state->store.v[h], &share, h * CHANNELS,
                            CHANNELS);
    struct mpc_wire o = mpc_cut(p, share, w->e_ring, share.frac - w->sum_frac,
                                w->sum_frac + w->sum + b[ENG_V], false, "sum e v");
    TRY(mpc_round(p));
    share = sec_reciprocal_two_divide(p, gate, S, inverse, o, w->read_frac + b[ENG_V] + 1, w->o_ring + lost);
    *ret = mpc_cut(p, share, w->o_ring + lost, lost, s->plan.fu + b[ENG_O], false, "o");
    TRY(mpc_round(p));
out:
    return status;
}

static enum base_status attention(struct mpc_party *p, const struct bench_operator *what, void *state,
                                  struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire e;
    TRY(exponentiate(p, what->setting, state, what->rows, &e));
    TRY(divide(p, what->setting, state, e, what->rows, ret));
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

static enum base_status check_attention(const struct bench_operator *what, const int64_t *result,
                                        size_t count, int frac, struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    const double allowed = 0x1p-8;
    size_t head = what->rows * CHANNELS;
    double worst = 0;
    int64_t *q = numbers(s, QUERY, 0, 1, error), *k = numbers(s, KEY, 0, what->rows, error),
            *v = numbers(s, VALUE, 0, what->rows, error);
    TRY(error->code);
    for (size_t h = 0; h < HEADS; h++)
        worst = fmax(worst, attention_error(s, q + h * CHANNELS, k + h * head, v + h * head, what->rows,
                                            result + h * CHANNELS));
    TRY_THAT(count == ELEMENTS && frac == s->plan.fu && worst < allowed, error, BASE_ERR_MISMATCH,
             "%s: off by %.2g, %.2g are allowed", what->name, worst, allowed);
out:
    base_free(&q);
    base_free(&k);
    base_free(&v);
    return status;
}

/* --- what clusters cost before anything is chosen among them --- */

/* The score of every cluster, one representative row each, as a wire that a choice can read. */
static enum base_status similarity(struct mpc_party *p, const struct bench_operator *what, void *state,
                                   struct mpc_wire *ret)
{
    int ring = ((const struct bench_attention_setting *)what->setting)->ring_qk;
    *ret = mpc_cut(p, score_share(p, state, what->rows), ring, ring - SIMILARITY_BITS, SIMILARITY_BITS - 1,
                   false, "similarity");
    return mpc_round(p);
}

static enum base_status check_similarity(const struct bench_operator *what, const int64_t *result,
                                         size_t count, int frac, struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    int64_t *q = numbers(s, QUERY, 0, 1, error), *k = numbers(s, KEY, 0, what->rows, error);
    TRY(error->code);
    for (size_t i = 0; i < count; i++) {
        double want = 0;
        for (size_t c = 0; c < CHANNELS; c++)
            want += (double)q[i / what->rows * CHANNELS + c] * (double)k[i * CHANNELS + c];
        want *= base_power_of_two(frac - 2 * s->plan.fu);
        TRY_THAT(fabs((double)result[i] - want) <= 1.5, error, BASE_ERR_MISMATCH, "%s: %.2f, not %lld",
                 what->name, want, (long long)result[i]);
    }
out:
    base_free(&q);
    base_free(&k);
    return status;
}

static struct sec_box_form box_form(const struct bench_attention_setting *s)
{
    return (struct sec_box_form){.groups = HEADS,
                                 .unit = CLUSTER,
                                 .channels = CHANNELS,
                                 .k = s->plan.fu + s->plan.layer[0].bits[ENG_K] + 2};
}

static enum base_status boxes(struct mpc_party *p, const struct bench_operator *what, void *state,
                              struct mpc_wire *ret)
{
    struct sec_box_form form = box_form(what->setting);
    enum base_status status = BASE_OK;
    struct sec_box box;
    TRY(sec_box_eval(p, &form, ((struct state *)state)->keys, &box));
    *ret = mpc_concat(p, box.high, box.low);
out:
    return status;
}

static enum base_status check_boxes(const struct bench_operator *what, const int64_t *result, size_t count,
                                    int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *k = numbers(what->setting, KEY, 0, CLUSTER, error);
    TRY(error->code);
    for (size_t i = 0; i < ELEMENTS; i++) {
        int64_t high = INT64_MIN, low = INT64_MAX;
        for (size_t r = 0; r < CLUSTER; r++) {
            int64_t x = k[(i / CHANNELS * CLUSTER + r) * CHANNELS + i % CHANNELS];
            high = x > high ? x : high;
            low = x < low ? x : low;
        }
        TRY_THAT(result[i] == high && result[ELEMENTS + i] == low, error, BASE_ERR_MISMATCH,
                 "%s: channel %zu is wrong", what->name, i);
    }
out:
    base_free(&k);
    return status;
}

static enum base_status signs(struct mpc_party *p, const struct bench_operator *what, void *state,
                              struct mpc_wire *ret)
{
    struct mpc_wire q = ((struct state *)state)->q, positive, negative;
    enum base_status status = BASE_OK;
    TRY(sec_split_eval(p, q, q.bound + 1, &positive, &negative));
    *ret = mpc_concat(p, positive, negative);
out:
    return status;
}

static enum base_status check_signs(const struct bench_operator *what, const int64_t *result, size_t count,
                                    int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *q = numbers(what->setting, QUERY, 0, 1, error);
    TRY(error->code);
    for (size_t i = 0; i < ELEMENTS; i++)
        TRY_THAT(result[i] == (q[i] > 0 ? q[i] : 0) && result[ELEMENTS + i] == (q[i] < 0 ? q[i] : 0), error,
                 BASE_ERR_MISMATCH, "%s: element %zu is wrong", what->name, i);
out:
    base_free(&q);
    return status;
}

/* To add an operator (a choice among clusters, a gather): its run and check above, a line here.
 * SPU's figures are sums of its operators where ours is one: full = 2 x 0.92 (q . K and e . V) + 56.13
 * (softmax) MB, 2 x 0.15 + 0.73 s; kept = 2 x 0.14 + 5.39 MB, 2 x 0.08 + 0.23 s. */
static const struct bench_operator operators[] = {
    {.name = "attention",
     .what = "every cached row, 32 heads of 32: scores, softmax, weighted sum",
     .run = attention,
     .check = check_attention,
     .rows = ROWS,
     .peer_megabytes = 57.97,
     .peer_seconds = 1.03},
    {.name = "attention-kept",
     .what = "the same over the 48 rows of three kept clusters",
     .run = attention,
     .check = check_attention,
     .rows = KEPT,
     .peer_megabytes = 5.67,
     .peer_seconds = 0.39},
    {.name = "similarity",
     .what = "q against one row for each of 32 clusters, cut to 11 bits",
     .run = similarity,
     .check = check_similarity,
     .rows = ROWS / CLUSTER,
     .peer_megabytes = 0.12,
     .peer_seconds = 0.08},
    {.name = "boxes",
     .what = "largest and smallest key of a cluster that closes, all heads: once in 16 tokens",
     .run = boxes,
     .check = check_boxes,
     .rows = CLUSTER},
    {.name = "split-query",
     .what = "q+ and q- of Quest's bound",
     .run = signs,
     .check = check_signs,
     .rows = 1},
};
const size_t bench_attention_operator_count = sizeof operators / sizeof *operators;

struct bench_operator bench_attention_operator(const struct bench_attention_setting *setting, size_t which)
{
    struct bench_operator what = operators[which];
    what.setting = setting;
    what.prepare = prepare;
    what.release = release;
    return what;
}

/* --- the plan --- */

enum base_status bench_attention_init(struct bench_attention_setting *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    s->shape = (struct eng_model_shape){.layers = 1,
                                        .width = ELEMENTS,
                                        .heads = HEADS,
                                        .kv_heads = HEADS,
                                        .head_dim = CHANNELS,
                                        .ffn = 4 * ELEMENTS,
                                        .vocab = 1024,
                                        .context = ROWS,
                                        .rope_theta = 10000,
                                        .norm_eps = 1e-5};
    TRY(eng_plan_init(&s->plan, 1, HEADS, ROWS, error));
    eng_plan_set_typical(&s->plan, s->shape.width, s->shape.norm_eps, SCORE_BITS);
    eng_plan_set_cheap(&s->plan, RANGE, HEADROOM);
    TRY(eng_plan_check(&s->plan, error));
    TRY(eng_gates_init(&s->gates, &s->shape, &s->plan, error));
    s->w = eng_plan_ceiling_widths(&s->plan, 0);
    s->ring_qk = s->w.score_cut + s->w.score;
    s->query_scale = eng_plan_query_scale(&s->plan, 0, 0);
out:
    return status;
}

void bench_attention_finish(struct bench_attention_setting *setting)
{
    eng_gates_finish(&setting->gates);
    eng_plan_finish(&setting->plan);
}
