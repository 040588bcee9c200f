#include "bench/attention_operators.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "bench/attention_state.h"
#include "bench/gather_free_operators.h"
#include "bench/selection_operators.h"
#include "protocols/box.h"
#include "protocols/split.h"

#include <math.h>

enum {
    HEADS = BENCH_HEADS,
    CHANNELS = BENCH_CHANNELS,
    ROWS = BENCH_ROWS,
    CLUSTER = BENCH_CLUSTER,
    ELEMENTS = BENCH_ELEMENTS,
    RANGE = 64,
    HEADROOM = 24,
    SCORE_BITS = 5,
    SIMILARITY_BITS = 11
};

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
    struct state *state = NULL;
    TRY(base_alloc(&state, 1, sizeof *state, error));
    TRY(bench_store_open(&state->store, p, s, bench_store_form(s, what->rows, s->ring_qk), what->rows,
                         error));
    state->q = bench_wire_of(p, s, BENCH_QUERY, 0, 1, s->ring_qk, error);
    state->v = bench_wire_of(p, s, BENCH_VALUE, what->rows - 1, 1, s->w.v_ring, error);
    state->keys = bench_wire_of(p, s, BENCH_KEY, 0, CLUSTER, s->ring_qk, error);
    TRY(bench_prepared(p, error));
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

/* --- attention --- */

static enum base_status attention(struct mpc_party *p, const struct bench_operator *what, void *context,
                                  struct mpc_wire *ret)
{
    struct state *state = context;
    return bench_attend(p, what->setting, &state->store, state->q, state->v, what->rows, ret);
}

static enum base_status check_attention(const struct bench_operator *what, const int64_t *result,
                                        size_t count, int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *k = bench_numbers(what->setting, BENCH_KEY, 0, what->rows, error),
            *v = bench_numbers(what->setting, BENCH_VALUE, 0, what->rows, error);
    TRY(error->code);
    status = bench_check_attention(what, k, v, what->rows, result, count, frac, error);
out:
    base_free(&k);
    base_free(&v);
    return status;
}

/* --- what clusters cost before anything is chosen among them --- */

/* The score of every cluster, one representative row each, as a wire that a choice can read. */
static enum base_status similarity(struct mpc_party *p, const struct bench_operator *what, void *context,
                                   struct mpc_wire *ret)
{
    const struct state *state = context;
    int ring = ((const struct bench_attention_setting *)what->setting)->ring_qk;
    *ret = mpc_cut(p, bench_scores(p, state->store.k, state->q, what->rows), ring, ring - SIMILARITY_BITS,
                   SIMILARITY_BITS - 1, false, "similarity");
    return mpc_round(p);
}

static enum base_status check_similarity(const struct bench_operator *what, const int64_t *result,
                                         size_t count, int frac, struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    int64_t *q = bench_numbers(s, BENCH_QUERY, 0, 1, error),
            *k = bench_numbers(s, BENCH_KEY, 0, what->rows, error);
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
    int64_t *k = bench_numbers(what->setting, BENCH_KEY, 0, CLUSTER, error);
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
    int64_t *q = bench_numbers(what->setting, BENCH_QUERY, 0, 1, error);
    TRY(error->code);
    for (size_t i = 0; i < ELEMENTS; i++)
        TRY_THAT(result[i] == (q[i] > 0 ? q[i] : 0) && result[ELEMENTS + i] == (q[i] < 0 ? q[i] : 0), error,
                 BASE_ERR_MISMATCH, "%s: element %zu is wrong", what->name, i);
out:
    base_free(&q);
    return status;
}

/* To add an operator: its run and check above or in selection_operators.c, gather_free_operators.c, a line
 * here or there. */
static const struct bench_operator operators[] = {
    {.name = "attention",
     .what = "every cached row, 32 heads of 32: scores, softmax, weighted sum",
     .run = attention,
     .check = check_attention,
     .rows = ROWS,
     .whole = true},
    {.name = "attention-kept",
     .what = "the same over the 48 rows of three kept clusters",
     .run = attention,
     .check = check_attention,
     .rows = BENCH_KEPT,
     .whole = true},
    {.name = "similarity",
     .what = "q against one row for each of 32 clusters, cut to 11 bits",
     .run = similarity,
     .check = check_similarity,
     .rows = ROWS / CLUSTER},
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
enum { OWN = sizeof operators / sizeof *operators };

size_t bench_attention_operator_count(void)
{
    return OWN + bench_selection_operator_count + bench_gather_free_operator_count;
}

struct bench_operator bench_attention_operator(const struct bench_attention_setting *setting, size_t which)
{
    const size_t gather_free = OWN + bench_selection_operator_count;
    struct bench_operator what = which < OWN           ? operators[which]
                                 : which < gather_free ? bench_selection_operators[which - OWN]
                                                       : bench_gather_free_operators[which - gather_free];
    what.setting = setting;
    if (which < OWN) {
        what.prepare = prepare;
        what.release = release;
    }
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
