#include "bench/selection_operators.h"

#include "base/memory.h"
#include "bench/selection_state.h"
#include "protocols/box.h"
#include "protocols/digits.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADS = BENCH_HEADS,
    CHANNELS = BENCH_CHANNELS,
    ELEMENTS = BENCH_ELEMENTS,
    ROWS = BENCH_ROWS,
    UNITS = BENCH_UNITS,
    UNIT = BENCH_CLUSTER,
    CHOSEN = BENCH_CHOSEN,
    KEPT = BENCH_KEPT,
    PARTS = BENCH_HIGH_PARTS + BENCH_LOW_PARTS
};

/* --- scores of units --- */

static enum base_status unit_scores(struct mpc_party *p, const struct bench_operator *what, void *context,
                                    struct mpc_wire *ret)
{
    const struct bench_selection *state = context;
    struct kv_selection selection = bench_selection_of(state);
    enum base_status status = BASE_OK;
    TRY(kv_selection_by_query(&selection, p, bench_units, state->q));
    for (int round = 0; round < 2; round++) {
        (void)kv_selection_queue(p, &selection);
        TRY(mpc_round(p));
    }
    *ret = selection.scores;
out:
    return status;
}

/* As unit_scores.c scores sums of keys: the same cut and the same exact rounding. */
static enum base_status box_scores(struct mpc_party *p, const struct bench_operator *what, void *context,
                                   struct mpc_wire *ret)
{
    const struct bench_selection *state = context;
    enum base_status status = BASE_OK;
    int ring = kv_scorer_ring(&state->score, &state->plan, HEADS), cut = bench_score_cut(what->setting);
    struct mpc_share share = bench_scores(p, state->box, mpc_reduce(p, state->q, ring), UNITS);
    share.frac = cut;
    struct mpc_wire score = mpc_cut(p, share, ring, cut, BENCH_FINE_BITS, false, "box score");
    TRY(mpc_round(p));
    score = mpc_add_const(p, score, 1 << (BENCH_FINE_BITS - 1));
    *ret = sec_high_digit(p, score, BENCH_FINE_BITS, KV_UNIT_FINE, "rounded box score");
    TRY(mpc_round(p));
out:
    return status;
}

/* representative [heads][units][channels]. */
static enum base_status check_scores(const struct bench_operator *what, const int64_t *representative,
                                     const int64_t *result, size_t count, struct base_error *error)
{
    const struct bench_attention_setting *s = what->setting;
    enum base_status status = BASE_OK;
    int cut = bench_score_cut(s);
    int64_t *q = bench_numbers(s, BENCH_QUERY, 0, 1, error);
    TRY(error->code);
    for (size_t i = 0; i < count; i++) {
        int64_t want = 0;
        for (size_t c = 0; c < CHANNELS; c++)
            want += q[i / UNITS * CHANNELS + c] * representative[i * CHANNELS + c];
        want = ((want >> cut) + (1 << (BENCH_FINE_BITS - 1))) >> KV_UNIT_FINE;
        TRY_THAT(count == HEADS * UNITS && llabs(result[i] - want) <= 1, error, BASE_ERR_MISMATCH,
                 "%s: unit %zu scores %lld, not %lld", what->name, i, (long long)result[i], (long long)want);
    }
out:
    base_free(&q);
    return status;
}

static enum base_status check_unit_scores(const struct bench_operator *what, const int64_t *result,
                                          size_t count, int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *k = bench_numbers(what->setting, BENCH_KEY, 0, ROWS, error), *sum = NULL;
    TRY(error->code);
    TRY(base_alloc(&sum, ELEMENTS * UNITS, sizeof *sum, error));
    for (size_t i = 0; i < ELEMENTS * ROWS; i++)
        sum[i / (UNIT * CHANNELS) * CHANNELS + i % CHANNELS] += k[i];
    status = check_scores(what, sum, result, count, error);
out:
    base_free(&k);
    base_free(&sum);
    return status;
}

static enum base_status check_box_scores(const struct bench_operator *what, const int64_t *result,
                                         size_t count, int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *box = bench_clear_boxes(what->setting, error);
    TRY(error->code);
    status = check_scores(what, box, result, count, error);
out:
    base_free(&box);
    return status;
}

/* --- the choice, and the move --- */

static enum base_status choose(struct mpc_party *p, const struct bench_selection *state,
                               struct mpc_wire scores, struct mpc_wire *ret)
{
    return sec_choice_eval(p, bench_choice_form(state->hot_ring), scores, ret);
}

static enum base_status choice(struct mpc_party *p, const struct bench_operator *what, void *context,
                               struct mpc_wire *ret)
{
    const struct bench_selection *state = context;
    return choose(p, state, state->scores, ret);
}

/* One-hot rows, in any order, of the units that fewer than three others beat. */
static enum base_status check_choice(const struct bench_operator *what, const int64_t *result, size_t count,
                                     int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < HEADS * UNITS; i++) {
        size_t head = i / UNITS, unit = i % UNITS, better = 0;
        int64_t sum = 0;
        for (size_t u = 0; u < UNITS; u++)
            better += bench_known_score(head, u) > bench_known_score(head, unit);
        for (size_t k = 0; k < CHOSEN; k++)
            sum += result[(head * CHOSEN + k) * UNITS + unit];
        TRY_THAT(count == HEADS * CHOSEN * UNITS && sum == (better < CHOSEN), error, BASE_ERR_MISMATCH,
                 "%s: unit %zu of head %zu is wrong", what->name, unit, head);
    }
out:
    return status;
}

static enum base_status run_selection(struct mpc_party *p, struct kv_selection *selection)
{
    enum base_status status = BASE_OK;
    while (kv_selection_queue(p, selection))
        TRY(mpc_round(p));
    status = p->status;
out:
    return status;
}

/* K and V as one wire, whatever their fractions. */
static enum base_status gather(struct mpc_party *p, const struct bench_operator *what, void *context,
                               struct mpc_wire *ret)
{
    const struct bench_selection *state = context;
    struct kv_selection selection = bench_selection_of(state);
    enum base_status status = BASE_OK;
    kv_selection_by_rows(&selection, bench_units, state->hot);
    TRY(run_selection(p, &selection));
    struct mpc_wire k = selection.rows.k, v = selection.rows.v;
    int ring = k.ring < v.ring ? k.ring : v.ring;
    k.frac = v.frac;
    *ret = mpc_concat(p, mpc_reduce(p, k, ring), mpc_reduce(p, v, ring));
out:
    return status;
}

static enum base_status check_gather(const struct bench_operator *what, const int64_t *result, size_t count,
                                     int frac, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t *k = bench_chosen_rows(what, BENCH_KEY, 0, error),
            *v = bench_chosen_rows(what, BENCH_VALUE, 0, error);
    size_t half = ELEMENTS * KEPT;
    TRY(error->code);
    TRY_THAT(count == 2 * half && memcmp(result, k, half * sizeof *k) == 0 &&
                 memcmp(result + half, v, half * sizeof *v) == 0,
             error, BASE_ERR_MISMATCH, "%s: a moved row is wrong", what->name);
out:
    base_free(&k);
    base_free(&v);
    return status;
}

/* --- whole steps --- */

/* Rows [first, end) of those that arrive after the units, behind the set in use. */
static void arrive(struct mpc_party *p, struct bench_selection *state, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        kv_store_append(&state->active, p, state->arrived[i].k, state->arrived[i].full_v, ROWS + i,
                        (uint32_t[]){KEPT + i}, 1);
}

/* One set for all steps: each attends to it and to what has arrived since, the newest row included. */
static enum base_status steps_of_one_set(struct mpc_party *p, const struct bench_operator *what,
                                         void *context, struct mpc_wire *ret)
{
    struct bench_selection *state = context;
    struct kv_selection selection = bench_selection_of(state);
    enum base_status status = BASE_OK;
    TRY(kv_selection_by_query(&selection, p, bench_units, state->q));
    TRY(run_selection(p, &selection));
    kv_selection_install(&selection, p, &state->active);
    for (uint32_t i = 0; i < what->steps; i++) {
        arrive(p, state, i, i + 1);
        TRY(bench_attend(p, what->setting, &state->active, state->q, state->arrived[i].v, KEPT + i + 1, ret));
    }
out:
    return status;
}

/* The last unit closes: its box, and 3 high + 2 low of it, by sums alone. */
static enum base_status close_unit(struct mpc_party *p, struct bench_selection *state)
{
    enum base_status status = BASE_OK;
    const struct kv_form *kv = &state->all.form;
    struct sec_box_form form = {.groups = HEADS, .unit = UNIT, .channels = CHANNELS, .k = kv->bound_k + 2};
    struct sec_box box;
    TRY(sec_box_eval(p, &form, state->keys, &box));
    uint32_t *index = mpc_bytes(p, ELEMENTS * PARTS * sizeof *index),
             *starts = mpc_bytes(p, (ELEMENTS + 1) * sizeof *starts);
    for (uint32_t i = 0; !mpc_failed(p) && i < ELEMENTS * PARTS; i++) {
        index[i] = i / PARTS + (i % PARTS < BENCH_HIGH_PARTS ? 0 : ELEMENTS);
        starts[i / PARTS] = i / PARTS * PARTS;
    }
    TRY(p->status);
    starts[ELEMENTS] = ELEMENTS * PARTS;
    struct mpc_wire both = mpc_gather(p, mpc_concat(p, box.high, box.low), index, ELEMENTS * PARTS),
                    sum = mpc_sum_runs(p, both, starts, ELEMENTS, kv->bound_k + BENCH_PARTS_BITS);
    for (size_t h = 0; h < HEADS; h++)
        mpc_matrix_put(p, &state->box[h], UNITS - 1, 0, false, mpc_slice(sum, h * CHANNELS, CHANNELS));
    status = p->status;
out:
    return status;
}

/* MPCache's: one unit closes, and every step chooses. */
static enum base_status steps_of_mpcache(struct mpc_party *p, const struct bench_operator *what,
                                         void *context, struct mpc_wire *ret)
{
    struct bench_selection *state = context;
    enum base_status status = BASE_OK;
    struct mpc_wire scores, hot;
    TRY(close_unit(p, state));
    for (uint32_t i = 0; i < what->steps; i++) {
        struct kv_selection selection = bench_selection_of(state);
        TRY(box_scores(p, what, state, &scores));
        TRY(choose(p, state, scores, &hot));
        kv_selection_by_rows(&selection, bench_units, hot);
        TRY(run_selection(p, &selection));
        kv_selection_install(&selection, p, &state->active);
        arrive(p, state, 0, i + 1);
        TRY(bench_attend(p, what->setting, &state->active, state->q, state->arrived[i].v, KEPT + i + 1, ret));
    }
out:
    return status;
}

#define OPERATOR .prepare = bench_selection_prepare, .release = bench_selection_release
const struct bench_operator bench_selection_operators[] = {
    {.name = "unit-scores",
     .what = "q against the sum of each unit's 16 keys, 32 units a head, rounded to 9 bits",
     .run = unit_scores,
     .check = check_unit_scores,
     OPERATOR},
    {.name = "box-scores",
     .what = "MPCache's: q against 0.6 high + 0.4 low of each unit's box, rounded to 9 bits",
     .run = box_scores,
     .check = check_box_scores,
     OPERATOR},
    {.name = "choice",
     .what = "3 of 32 units for each of 32 heads, as one-hot rows; nothing is opened",
     .run = choice,
     .check = check_choice,
     OPERATOR},
    {.name = "gather",
     .what = "K and V of 3 units per head by one-hot rows, V extended",
     .run = gather,
     .check = check_gather,
     OPERATOR},
    {.name = "select-1",
     .what = "a step: unit-scores, choice, gather, attention to 48 rows and to what arrived since",
     .run = steps_of_one_set,
     .check = bench_check_steps,
     .steps = 1,
     .whole = true,
     OPERATOR},
    {.name = "select-4",
     .what = "the same, one set for 4 steps, per step",
     .run = steps_of_one_set,
     .check = bench_check_steps,
     .steps = 4,
     .whole = true,
     OPERATOR},
    {.name = "select-16",
     .what = "the same, one set for 16 steps, per step",
     .run = steps_of_one_set,
     .check = bench_check_steps,
     .steps = 16,
     .whole = true,
     OPERATOR},
    {.name = "mpcache",
     .what = "box-scores, choice and gather in each of 16 steps, and one box that closes, per step",
     .run = steps_of_mpcache,
     .check = bench_check_steps,
     .steps = 16,
     .whole = true,
     OPERATOR},
};
const size_t bench_selection_operator_count =
    sizeof bench_selection_operators / sizeof *bench_selection_operators;
