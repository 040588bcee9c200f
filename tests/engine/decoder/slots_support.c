#include "tests/engine/decoder/slots_support.h"

static struct eng_decoder_form form_of(const struct model *m, enum mpc_role role, const char *policy)
{
    struct base_error error = {0};
    struct eng_decoder_form form = {.shape = m->source.shape,
                                    .plan = &m->plan,
                                    .weights = &m->weights[role],
                                    .gates = &m->gates,
                                    .context = CONTEXT,
                                    .chunk = CHUNK};
    check_ok(kv_config_parse(policy, 0, &form.policy, &form.config, &error), &error, policy);
    return form;
}

/* idle_ms: how long parties wait for a client's order; 0: 30 s. */
void slots_open_patient_parties(struct slots_stage *s, const char *policy, int64_t idle_ms)
{
    struct base_error error = {0};
    struct eng_local_form form = {
        .form = form_of(&s->model, MPC_HELPER, policy), .slots = SLOTS, .idle_ms = idle_ms, .kern = s->kern};
    for (int i = 0; i < 3; i++)
        form.weights[i] = &s->model.weights[i];
    check_ok(eng_local_create(&s->local, &form, &error), &error, "parties");
}

void slots_open_parties(struct slots_stage *s, const char *policy)
{
    slots_open_patient_parties(s, policy, 0);
}

int slots_open_stage(void **state)
{
    struct slots_stage *s = must_alloc(1, sizeof *s);
    *state = s;
    s->kern = recorder_start(kern_table_select(~0u));
    return model_open(&s->model, "models/keeper", (struct model_options){.context = CONTEXT}) ? 0 : 1;
}

void slots_test_draws(void **state)
{
    (void)state;
    assert_int_equal(recorder_says(), 0);
}

int slots_close_stage(void **state)
{
    struct slots_stage *s = *state;
    model_close(&s->model);
    free(s);
    return 0;
}

struct slots_lane slots_lane(const struct slots_stage *s, size_t i)
{
    /* The last one fills its context. */
    return (struct slots_lane){.prompt = s->model.samples[i % 3],
                               .prompt_tokens = i == SLOTS - 1 ? CONTEXT - NEW_TOKENS : 9 + 5 * i};
}

void slots_begin(struct slots_stage *s, const struct slots_lane *first)
{
    struct base_error error = {0};
    struct eng_request request = {.prompt_tokens = (uint32_t)first->prompt_tokens, .new_tokens = NEW_TOKENS, .chunk = CHUNK};
    check_ok(eng_local_start(s->local, s->links, &error), &error, "start");
    struct eng_remote_form form = {.shape = s->model.source.shape,
                                   .plan = &s->model.plan,
                                   .link = {s->links[0], s->links[1], s->links[2]},
                                   .kern = s->kern};
    check_ok(eng_remote_begin(&s->remote, &form, &request, false, &error), &error, "begin");
}

void slots_end(struct slots_stage *s)
{
    struct base_error error = {0};
    struct eng_usage served[3];
    check_ok(eng_remote_end(&s->remote, s->usage, &error), &error, "end");
    check_ok(eng_local_wait(s->local, served, &error), &error, "wait");
    eng_remote_finish(&s->remote);
}

void slots_order(struct slots_stage *s, enum eng_order_kind kind, uint32_t slots, const struct slots_lane *lane)
{
    struct base_error error = {0};
    struct eng_remote_step step = {0};
    struct eng_order o = {.kind = kind, .slots = slots};
    if (lane != NULL) {
        o.prompt_tokens = (uint32_t)lane->prompt_tokens;
        o.new_tokens = NEW_TOKENS;
    }
    check_ok(eng_remote_plan(&s->remote, &o, &error), &error, "plan");
    check_ok(eng_remote_run(&s->remote, NULL, NULL, &step, &error), &error, "run");
}

/* The likeliest token of each row of an answer. Rounding follows the masks, which differ from run to run by some 20 units of a logit: where two
 * tokens are as good as each other, the one that is expected is taken. */
static void pick(const struct slots_stage *s, const struct eng_answer *answer, struct slots_lane *const *lanes, size_t count)
{
    size_t vocab = s->model.source.shape->vocab;
    for (size_t i = 0; i < count; i++) {
        size_t best = 0;
        for (size_t v = 1; v < vocab; v++)
            best = answer->logits[i * vocab + v] > answer->logits[i * vocab + best] ? v : best;
        const int64_t *row = answer->logits + i * vocab;
        const int32_t *expected = lanes[i]->expected == NULL ? NULL : &lanes[i]->expected[lanes[i]->count];
        if (expected != NULL && row[best] - row[*expected] < TIE)
            best = (size_t)*expected;
        lanes[i]->tokens[lanes[i]->count++] = (int32_t)best;
    }
}

/* One step of the slots: lanes[i] lies in the i-th of them. */
struct eng_step_report slots_step(struct slots_stage *s, uint32_t slots, struct slots_lane *const *lanes, size_t count)
{
    struct base_error error = {0};
    int64_t squares[SLOTS];
    int32_t tokens[CHUNK];
    size_t rows, answers;
    struct eng_answer answer = {.squares = squares, .logits = must_alloc(SLOTS * s->model.source.shape->vocab, sizeof(int64_t))};
    struct eng_remote_step done = {.answer = &answer};
    struct eng_order o = {.kind = ENG_ORDER_STEP, .slots = slots};
    eng_remote_step_size(&s->remote, slots, &rows, &answers);
    for (size_t i = 0; i < rows; i++) {
        struct slots_lane *lane = lanes[i % count];
        tokens[i] = lane->fed < lane->prompt_tokens ? lane->prompt[lane->fed++] : lane->tokens[lane->count - 1];
    }
    check_ok(eng_remote_plan(&s->remote, &o, &error), &error, "plan");
    check_ok(eng_remote_run(&s->remote, tokens, NULL, &done, &error), &error, "run");
    assert_false(done.is_void);
    pick(s, &answer, lanes, answers);
    free(answer.logits);
    assert_int_equal(done.report[1].rounds, done.report[2].rounds);
    assert_int_equal(done.report[1].dealt, done.report[0].online);
    return done.report[1];
}

void slots_read_prompt(struct slots_stage *s, uint32_t slot, struct slots_lane *lane)
{
    while (lane->count == 0)
        (void)slots_step(s, slot, &lane, 1);
}

void slots_alone(struct slots_stage *s, struct slots_lane *lane)
{
    slots_begin(s, lane);
    slots_read_prompt(s, 1, lane);
    while (lane->count < NEW_TOKENS)
        (void)slots_step(s, 1, &lane, 1);
    slots_end(s);
}
