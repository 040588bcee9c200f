#include "bench/gather_free_operators.h"

#include "bench/selection_state.h"
#include "mpc/lift.h"
#include "protocols/hidden_set.h"

enum {
    HEADS = BENCH_HEADS,
    ROWS = BENCH_ROWS,
    UNITS = BENCH_UNITS,
    UNIT = BENCH_CLUSTER,
    CHOSEN = BENCH_CHOSEN,
    KEPT = BENCH_KEPT
};

/* One step under way. */
struct step {
    struct bench_selection *state;
    const struct bench_attention_setting *setting;
    size_t arrived;                /* rows behind the units, the newest included */
    struct sec_hidden_set *set;    /* of units */
    struct mpc_wire inside, since; /* scores of the units' rows, and of what arrived: [heads][rows] each */
};

/* Columns [first, end) of w [heads][width]. */
static struct mpc_wire columns(struct mpc_party *p, struct mpc_wire w, size_t first, size_t end)
{
    size_t width = w.count / HEADS, n = end - first;
    uint32_t *index = mpc_bytes(p, HEADS * n * sizeof *index);
    for (size_t i = 0; index != NULL && i < HEADS * n; i++)
        index[i] = (uint32_t)(i / n * width + first + i % n);
    return mpc_gather(p, w, index, HEADS * n);
}

/* x [heads][.] and y [heads][.], each head's one after the other. */
static struct mpc_wire side_by_side(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y)
{
    size_t left = x.count / HEADS, right = y.count / HEADS, width = left + right;
    uint32_t *index = mpc_bytes(p, HEADS * width * sizeof *index);
    for (size_t i = 0; index != NULL && i < HEADS * width; i++) {
        size_t h = i / width, c = i % width;
        index[i] = (uint32_t)(c < left ? h * left + c : HEADS * left + h * right + c - left);
    }
    return mpc_gather(p, mpc_concat(p, x, y), index, HEADS * width);
}

/* Queues the scores of all rows. */
static struct mpc_wire queue_scores(struct mpc_party *p, const struct step *step)
{
    const struct bench_selection *state = step->state;
    return bench_cut_scores(p, step->setting, bench_scores(p, state->all.k, state->q, ROWS + step->arrived));
}

static void split_scores(struct mpc_party *p, struct step *step, struct mpc_wire score)
{
    step->inside = columns(p, score, 0, ROWS);
    step->since = columns(p, score, ROWS, ROWS + step->arrived);
}

/* A fresh set: units' scores in the round of the rows' ones, flags, and scores and flags to the shuffled
 * order. */
static enum base_status choose(struct mpc_party *p, struct step *step, struct sec_carried *ret)
{
    struct kv_selection selection = bench_selection_of(step->state);
    enum base_status status = BASE_OK;
    struct mpc_wire flag, score = queue_scores(p, step);
    TRY(kv_selection_by_query(&selection, p, bench_units, step->state->q));
    for (int round = 0; round < 2; round++) {
        (void)kv_selection_queue(p, &selection);
        TRY(mpc_round(p));
    }
    split_scores(p, step, score);
    TRY(sec_choice_eval(p, bench_choice_form(1), selection.scores, &flag));
    sec_hidden_set_draw(p, step->set, HEADS, UNITS, CHOSEN);
    struct sec_carried flags = sec_carry(p, step->set, flag, "carried flags");
    *ret = sec_carry(p, step->set, step->inside, "carried scores");
    TRY(mpc_round(p));
    sec_hidden_set_open(p, step->set, &flags);
    TRY(mpc_round(p));
    sec_hidden_set_take(p, step->set);
out:
    return status;
}

/* The set in use: nothing new is opened. */
static enum base_status follow(struct mpc_party *p, struct step *step, struct sec_carried *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire score = queue_scores(p, step);
    TRY(mpc_round(p));
    split_scores(p, step, score);
    *ret = sec_carry(p, step->set, step->inside, "carried scores");
    TRY(mpc_round(p));
out:
    return status;
}

/* e of the rows at the set's places on its way back to all rows of the units, that of the others, and the
 * newest row of V. */
static enum base_status weigh(struct mpc_party *p, struct step *step, const struct sec_carried *carried,
                              struct mpc_wire *ret)
{
    const struct bench_attention_setting *s = step->setting;
    enum base_status status = BASE_OK;
    struct mpc_opening_form form;
    struct sec_return back;
    struct mpc_wire kept = sec_carried_kept(p, step->set, carried, "kept scores");
    TRY(mpc_round(p));
    uint64_t *share = sec_exp_two_shares(p, bench_exp(s),
                                         bench_below_ceiling(p, s, mpc_as_gate_only(p, kept)), &form, "exp");
    struct mpc_wire e = sec_exp_two_eval(p, bench_exp(s), bench_below_ceiling(p, s, step->since), "exp");
    struct mpc_wire v = mpc_extend(p, step->state->arrived[step->arrived - 1].v, s->w.e_ring, "extend v");
    sec_return_start(&back, step->set, share, UNIT, form);
    while (sec_return_queue(p, &back))
        TRY(mpc_round(p));
    bench_store_value(p, &step->state->all, v, ROWS + step->arrived - 1);
    *ret = side_by_side(p, back.wire, e);
    ret->bound = s->w.e_frac - s->w.empty;
    status = p->status;
out:
    return status;
}

/* One set for all steps, under the permutations that it was opened with. */
static enum base_status steps(struct mpc_party *p, const struct bench_operator *what, void *context,
                              struct mpc_wire *ret)
{
    struct bench_selection *state = context;
    enum base_status status = BASE_OK;
    struct sec_hidden_set set;
    struct sec_carried carried;
    struct mpc_wire e;
    kv_store_set_used(&state->all, ROWS);
    for (uint32_t i = 0; i < what->steps; i++) {
        struct step step = {.state = state, .setting = what->setting, .arrived = i + 1, .set = &set};
        kv_store_append(&state->all, p, state->arrived[i].k, state->arrived[i].full_v, ROWS + i,
                        (uint32_t[]){ROWS + i}, 1);
        TRY(i == 0 ? choose(p, &step, &carried) : follow(p, &step, &carried));
        TRY(weigh(p, &step, &carried, &e));
        TRY(bench_divide(p, step.setting, &state->all, e, ROWS + step.arrived, ret));
    }
out:
    return status;
}

#define STEPS                                                                                                \
    .run = steps, .check = bench_check_steps, .whole = true, .prepare = bench_selection_prepare,             \
    .release = bench_selection_release
const struct bench_operator bench_gather_free_operators[] = {
    {.name = "gather-free-1",
     .what = "a step: unit-scores, flags, scores of all rows move to hidden places, e moves back, sum over "
             "all of V",
     .steps = 1,
     STEPS},
    {.name = "gather-free-4", .what = "the same, one set for 4 steps, per step", .steps = 4, STEPS},
    {.name = "gather-free-16", .what = "the same, one set for 16 steps, per step", .steps = 16, STEPS},
};
const size_t bench_gather_free_operator_count =
    sizeof bench_gather_free_operators / sizeof *bench_gather_free_operators;
