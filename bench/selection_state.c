#include "bench/selection_state.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

enum {
    HEADS = BENCH_HEADS,
    CHANNELS = BENCH_CHANNELS,
    ELEMENTS = BENCH_ELEMENTS,
    ROWS = BENCH_ROWS,
    UNITS = BENCH_UNITS,
    UNIT = BENCH_CLUSTER,
    CHOSEN = BENCH_CHOSEN,
    KEPT = BENCH_KEPT
};

static struct kv_score_form score_form(const struct bench_attention_setting *s)
{
    return (struct kv_score_form){.heads = HEADS,
                                  .product_bits = 2 * s->plan.fu + s->plan.layer[0].bits[ENG_SCORE] +
                                                  (int)ceil(log2(s->query_scale))};
}

static int score_ring(const struct bench_attention_setting *s)
{
    struct kv_score_form score = score_form(s);
    return kv_scorer_ring(&score, &(struct kv_selection_plan){.unit = UNIT}, HEADS);
}

/* What kv_scorer_ring adds to it. */
int bench_score_cut(const struct bench_attention_setting *s)
{
    return score_ring(s) - BENCH_FINE_BITS - 3;
}

int64_t *bench_clear_boxes(const struct bench_attention_setting *s, struct base_error *error)
{
    int64_t *k = bench_numbers(s, BENCH_KEY, 0, ROWS, error), *box = NULL;
    if (k == NULL || base_alloc(&box, ELEMENTS * UNITS, sizeof *box, error) != BASE_OK)
        goto out;
    for (size_t i = 0; i < ELEMENTS * UNITS; i++) {
        const int64_t *at = k + i / CHANNELS * UNIT * CHANNELS + i % CHANNELS;
        int64_t high = at[0], low = at[0];
        for (size_t r = 1; r < UNIT; r++) {
            high = at[r * CHANNELS] > high ? at[r * CHANNELS] : high;
            low = at[r * CHANNELS] < low ? at[r * CHANNELS] : low;
        }
        box[i] = BENCH_HIGH_PARTS * high + BENCH_LOW_PARTS * low;
    }
out:
    base_free(&k);
    return box;
}

static void prepare_boxes(struct mpc_party *p, const struct bench_attention_setting *s,
                          struct bench_selection *state, struct base_error *error)
{
    int64_t *box = bench_clear_boxes(s, error);
    size_t stride = mpc_matrix_stride(p->role, state->all.form.ring_k, CHANNELS);
    for (size_t h = 0; box != NULL && h < HEADS; h++) {
        const struct kv_form *form = &state->all.form;
        struct mpc_wire w = bench_known_wire(p, box + h * UNITS * CHANNELS, UNITS * CHANNELS, form->ring_k,
                                             form->frac_k, form->bound_k + BENCH_PARTS_BITS);
        state->box[h] = (struct mpc_matrix){.ring = form->ring_k,
                                            .frac = w.frac,
                                            .bound = w.bound,
                                            .outs = UNITS,
                                            .inner = CHANNELS,
                                            .stride = stride,
                                            .data = mpc_bytes(p, UNITS * stride)};
        for (size_t u = 0; !mpc_failed(p) && u < UNITS; u++)
            mpc_matrix_put(p, &state->box[h], u, 0, false, mpc_slice(w, u * CHANNELS, CHANNELS));
    }
    base_free(&box);
}

int64_t bench_known_score(size_t head, size_t unit)
{
    return (int64_t)((37 * unit + 11 * head) % 251);
}

static void prepare_choices(struct mpc_party *p, struct bench_selection *state)
{
    int64_t scores[HEADS * UNITS], hot[HEADS * CHOSEN * UNITS] = {0};
    for (size_t i = 0; i < HEADS * UNITS; i++)
        scores[i] = bench_known_score(i / UNITS, i % UNITS);
    for (size_t i = 0; i < HEADS * CHOSEN; i++)
        hot[i * UNITS + bench_chosen_unit(i / CHOSEN, i % CHOSEN)] = 1;
    state->scores = bench_known_wire(p, scores, HEADS * UNITS, KV_UNIT_BITS_FRESH + 1, 0, KV_UNIT_BITS_FRESH);
    state->hot = bench_known_wire(p, hot, HEADS * CHOSEN * UNITS, state->hot_ring, 0, 0);
}

void bench_selection_release(void **ret_state)
{
    struct bench_selection *state = *ret_state;
    kv_store_finish(&state->all);
    kv_store_finish(&state->active);
    base_free(ret_state);
}

enum base_status bench_selection_prepare(struct mpc_party *p, const struct bench_operator *what,
                                         void **ret_state, struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    struct bench_selection *state = NULL;
    TRY(base_alloc(&state, 1, sizeof *state, error));
    int ring = score_ring(s) > s->ring_qk ? score_ring(s) : s->ring_qk;
    state->score = score_form(s);
    state->plan = (struct kv_selection_plan){.units = CHOSEN, .unit = UNIT, .reuse = what->steps};
    struct kv_form form = bench_store_form(s, ROWS + BENCH_MOST_STEPS, ring);
    state->hot_ring = form.ring_k > form.moved_v ? form.ring_k : form.moved_v;
    TRY(bench_store_open(&state->all, p, s, form, ROWS, error));
    form.capacity = BENCH_KEPT + BENCH_MOST_STEPS;
    TRY(kv_store_init(&state->active, p->role, form, error));
    state->q = bench_wire_of(p, s, BENCH_QUERY, 0, 1, ring, error);
    state->keys = bench_wire_of(p, s, BENCH_KEY, ROWS - UNIT, UNIT, ring, error);
    for (size_t i = 0; i < BENCH_MOST_STEPS; i++)
        state->arrived[i] =
            (struct bench_row){.k = bench_wire_of(p, s, BENCH_KEY, ROWS + i, 1, form.ring_k, error),
                               .v = bench_wire_of(p, s, BENCH_VALUE, ROWS + i, 1, s->w.v_ring, error),
                               .full_v = bench_wire_of(p, s, BENCH_VALUE, ROWS + i, 1, form.ring_v, error)};
    prepare_boxes(p, s, state, error);
    prepare_choices(p, state);
    TRY(bench_prepared(p, error));
    *ret_state = state;
    return BASE_OK;
out:
    if (state != NULL)
        bench_selection_release((void **)&state);
    return status;
}

const struct kv_units bench_units = {.count = UNITS, .rows = UNIT};

struct kv_selection bench_selection_of(const struct bench_selection *state)
{
    return (struct kv_selection){.scorer = {.plan = &state->plan, .all = &state->all, .form = state->score},
                                 .hot_ring = state->hot_ring};
}

struct sec_choice_form bench_choice_form(int ring)
{
    struct sec_choice_form form = {.rows = HEADS,
                                   .n = UNITS,
                                   .k = CHOSEN,
                                   .bits = KV_UNIT_BITS_FRESH,
                                   .ring = ring,
                                   .flags_only = ring == 1};
    form.way = sec_choice_cheapest(form, KV_CHOICE_ROUNDS);
    return form;
}

/* --- what came of a step --- */

int64_t *bench_chosen_rows(const struct bench_operator *what, enum bench_number kind, size_t more,
                           struct base_error *error)
{
    size_t rows = KEPT + more, all = ROWS + more;
    int64_t *x = bench_numbers(what->setting, kind, 0, all, error), *ret = NULL;
    if (x == NULL || base_alloc(&ret, ELEMENTS * rows, sizeof *ret, error) != BASE_OK)
        goto out;
    for (size_t h = 0; h < HEADS; h++)
        for (size_t r = 0; r < rows; r++) {
            size_t from = r < KEPT ? bench_chosen_unit(h, r / UNIT) * UNIT + r % UNIT : ROWS + r - KEPT;
            memcpy(ret + (h * rows + r) * CHANNELS, x + (h * all + from) * CHANNELS, CHANNELS * sizeof *x);
        }
out:
    base_free(&x);
    return ret;
}

enum base_status bench_check_steps(const struct bench_operator *what, const int64_t *result, size_t count,
                                   int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *k = bench_chosen_rows(what, BENCH_KEY, what->steps, error),
            *v = bench_chosen_rows(what, BENCH_VALUE, what->steps, error);
    TRY(error->code);
    status = bench_check_attention(what, k, v, KEPT + what->steps, result, count, frac, error);
out:
    base_free(&k);
    base_free(&v);
    return status;
}
