/* Several requests in one run: each gets the tokens that it gets alone, together they take the rounds of one, they come and go while others go
 * on, and a run ends in the middle of a step. */
#include "tests/engine/decoder/model_support.h"

#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/twin.h"

enum { CONTEXT = 64, SLOTS = 4, NEW_TOKENS = 8, CHUNK = 8 };

struct stage {
    struct model model;
    struct eng_local *local;
    struct net_link *links[3];
    struct eng_remote remote;
    struct eng_usage usage[3];
};

/* One request and what it got. */
struct lane {
    const int32_t *prompt;
    size_t prompt_tokens, fed, count;
    int32_t tokens[NEW_TOKENS];
};

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

static void open_parties(struct stage *s, const char *policy)
{
    struct base_error error = {0};
    struct eng_local_form form = {.form = form_of(&s->model, MPC_HELPER, policy), .slots = SLOTS, .kern = kern_table_select(~0u)};
    for (int i = 0; i < 3; i++)
        form.weights[i] = &s->model.weights[i];
    check_ok(eng_local_create(&s->local, &form, &error), &error, "parties");
}

static int open_stage(void **state)
{
    struct stage *s = must_alloc(1, sizeof *s);
    *state = s;
    return model_open(&s->model, "models/keeper", (struct model_options){.context = CONTEXT}) ? 0 : 1;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    model_close(&s->model);
    free(s);
    return 0;
}

static struct lane lane_of(const struct stage *s, size_t i)
{
    /* The last one fills its context. */
    return (struct lane){.prompt = s->model.samples[i % 3], .prompt_tokens = i == SLOTS - 1 ? CONTEXT - NEW_TOKENS : 9 + 5 * i};
}

static void begin(struct stage *s, const struct lane *first)
{
    struct base_error error = {0};
    struct eng_request request = {.prompt_tokens = (uint32_t)first->prompt_tokens, .new_tokens = NEW_TOKENS, .chunk = CHUNK};
    check_ok(eng_local_start(s->local, s->links, &error), &error, "start");
    struct eng_remote_form form = {.shape = s->model.source.shape,
                                   .plan = &s->model.plan,
                                   .link = {s->links[0], s->links[1], s->links[2]},
                                   .kern = kern_table_select(~0u)};
    check_ok(eng_remote_begin(&s->remote, &form, &request, false, &error), &error, "begin");
}

static void end(struct stage *s)
{
    struct base_error error = {0};
    struct eng_usage served[3];
    check_ok(eng_remote_end(&s->remote, s->usage, &error), &error, "end");
    check_ok(eng_local_wait(s->local, served, &error), &error, "wait");
    eng_remote_finish(&s->remote);
}

static void order(struct stage *s, enum eng_order_kind kind, uint32_t slots, const struct lane *lane)
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

/* The likeliest token of each row of an answer. */
static void pick(const struct stage *s, const struct eng_answer *answer, struct lane *const *lanes, size_t count)
{
    size_t vocab = s->model.source.shape->vocab;
    for (size_t i = 0; i < count; i++) {
        size_t best = 0;
        for (size_t v = 1; v < vocab; v++)
            best = answer->logits[i * vocab + v] > answer->logits[i * vocab + best] ? v : best;
        lanes[i]->tokens[lanes[i]->count++] = (int32_t)best;
    }
}

/* One step of the slots: lanes[i] lies in the i-th of them. */
static struct eng_step_report step(struct stage *s, uint32_t slots, struct lane *const *lanes, size_t count)
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
        struct lane *lane = lanes[i % count];
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

static void read_prompt(struct stage *s, uint32_t slot, struct lane *lane)
{
    while (lane->count == 0)
        (void)step(s, slot, &lane, 1);
}

static void alone(struct stage *s, struct lane *lane)
{
    begin(s, lane);
    read_prompt(s, 1, lane);
    while (lane->count < NEW_TOKENS)
        (void)step(s, 1, &lane, 1);
    end(s);
}

/* The same policies as a deployment would run: one without choices, one whose heads differ, one that chooses rows in secret in each step. */
static void test_together(void **state)
{
    static const char *const policies[] = {"full", "razor:budget=80:sinks=1", "select:keep=12:unit=2:window=4:sinks=2:reuse=2",
                                           "tova:keep=12:every=2"};
    struct stage *s = *state;
    for (size_t policy = 0; policy < sizeof policies / sizeof *policies; policy++) {
        struct lane want[SLOTS], got[SLOTS], *all[SLOTS];
        uint64_t rounds = 0;
        open_parties(s, policies[policy]);
        for (size_t i = 0; i < SLOTS; i++) {
            want[i] = got[i] = lane_of(s, i);
            all[i] = &got[i];
            alone(s, &want[i]);
            rounds = s->usage[1].decode.rounds > rounds ? s->usage[1].decode.rounds : rounds;
        }
        begin(s, &got[0]);
        for (size_t i = 0; i < SLOTS; i++) {
            if (i > 0)
                order(s, ENG_ORDER_OPEN, UINT32_C(1) << i, &got[i]);
            read_prompt(s, UINT32_C(1) << i, &got[i]);
        }
        for (size_t t = 1; t < NEW_TOKENS; t++)
            (void)step(s, (1 << SLOTS) - 1, all, SLOTS);
        end(s);
        for (size_t i = 0; i < SLOTS; i++)
            assert_memory_equal(got[i].tokens, want[i].tokens, sizeof want[i].tokens);
        assert_int_equal(s->usage[1].decode.tokens, SLOTS * (NEW_TOKENS - 1));
        /* Those that choose in turns do not choose in the same steps. */
        if (policy < 2)
            assert_int_equal(s->usage[1].decode.rounds, rounds);
        else
            assert_true(s->usage[1].decode.rounds < 2 * rounds);
        eng_local_destroy(&s->local);
    }
}

/* Slot 1 comes while slot 0 answers, takes over its place when it goes, and is alone at the end. */
static void test_come_and_go(void **state)
{
    struct stage *s = *state;
    struct lane want[3], got[3];
    open_parties(s, "full");
    for (size_t i = 0; i < 3; i++) {
        want[i] = got[i] = lane_of(s, i);
        alone(s, &want[i]);
    }
    struct lane *first[2] = {&got[0], &got[1]}, *last[2] = {&got[2], &got[1]};
    begin(s, &got[0]);
    read_prompt(s, 1, &got[0]);
    (void)step(s, 1, first, 1);
    order(s, ENG_ORDER_OPEN, 2, &got[1]);
    (void)step(s, 2, first + 1, 1); /* in the middle of its prompt */
    (void)step(s, 1, first, 1);
    read_prompt(s, 2, &got[1]);
    (void)step(s, 3, first, 2);
    (void)step(s, 3, first, 2);
    order(s, ENG_ORDER_CLOSE, 1, NULL);
    (void)step(s, 2, first + 1, 1);
    order(s, ENG_ORDER_OPEN, 1, &got[2]);
    read_prompt(s, 1, &got[2]);
    while (got[1].count < NEW_TOKENS)
        (void)step(s, 3, last, 2);
    while (got[2].count < NEW_TOKENS)
        (void)step(s, 1, last, 1);
    end(s);
    assert_int_equal(got[0].count, 5);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(got[i].tokens, want[i].tokens, got[i].count * sizeof *got[i].tokens);
    eng_local_destroy(&s->local);
}

/* What does not go together costs the client its link, and the parties stay joined. */
static void test_bad_orders(void **state)
{
    struct stage *s = *state;
    const struct {
        struct eng_order order;
        const char *says;
    } cases[] = {{{.kind = ENG_ORDER_STEP}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = 2}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = 3}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = UINT32_C(1) << 31}, "slots that are not open"},
                 {{.kind = ENG_ORDER_CLOSE, .slots = 1 << SLOTS}, "does not have"},
                 {{.kind = ENG_ORDER_CLOSE, .slots = 3}, "does not have"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = 4, .new_tokens = 4}, "a slot that is open"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 2, .prompt_tokens = 0, .new_tokens = 4}, "both must be 1 or more"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 2, .prompt_tokens = CONTEXT, .new_tokens = 1}, "more than the context"}};
    struct lane lane = lane_of(s, 0), again = lane;
    open_parties(s, "full");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct base_error error = {0};
        struct eng_usage served[3];
        begin(s, &lane);
        for (int party = 0; party < 3; party++)
            check_ok(eng_order_send(s->links[party], 0, &cases[i].order, &error), &error, "order");
        assert_int_not_equal(eng_local_wait(s->local, served, &error), BASE_OK);
        if (strstr(error.text, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, error.text);
        eng_remote_finish(&s->remote);
    }
    alone(s, &again);
    assert_int_equal(again.count, NEW_TOKENS);
    eng_local_destroy(&s->local);
}

struct patience {
    int left;
    size_t layers;
};

static bool still_wanted(void *context)
{
    struct patience *p = context;
    return p->left-- > 0;
}

static void count_layer(void *context, size_t layer)
{
    struct patience *p = context;
    assert_int_equal(layer, ++p->layers);
}

/* The client leaves a step while it is computed: the parties end between two rounds, and the next run is as good as any. */
static void test_left_in_the_middle(void **state)
{
    struct stage *s = *state;
    struct lane want = lane_of(s, 3);
    uint64_t whole;
    open_parties(s, "full");
    alone(s, &want);
    whole = s->usage[1].prefill.rounds;
    for (int i = 0; i < 12; i++) {
        struct base_error error = {0};
        struct lane lane = lane_of(s, 3);
        struct patience patience = {.left = i / 4};
        struct eng_remote_step done = {0};
        struct eng_order o = {.kind = ENG_ORDER_STEP, .slots = 1};
        begin(s, &lane);
        for (int ahead = 0; ahead <= i % 3; ahead++)
            check_ok(eng_remote_plan(&s->remote, &o, &error), &error, "plan");
        struct eng_remote_watch watch = {.wanted = still_wanted, .layer = count_layer, .context = &patience};
        enum base_status status = eng_remote_run(&s->remote, lane.prompt, &watch, &done, &error);
        assert_true(status == BASE_OK || status == BASE_ERR_CLOSED);
        end(s);
        assert_true(s->usage[1].prefill.rounds < whole);
        assert_int_equal(s->usage[1].prefill.rounds, s->usage[2].prefill.rounds);
    }
    struct lane again = lane_of(s, 3);
    alone(s, &again);
    assert_memory_equal(again.tokens, want.tokens, sizeof want.tokens);
    eng_local_destroy(&s->local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_together), cmocka_unit_test(test_come_and_go),
                                       cmocka_unit_test(test_bad_orders), cmocka_unit_test(test_left_in_the_middle)};
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
