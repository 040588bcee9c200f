/* Several requests in one run: each gets the tokens that it gets alone, together they take the rounds of one, they come and go while others go
 * on, and a run ends in the middle of a step. */
#include "tests/engine/decoder/slots_support.h"

/* The same policies as a deployment would run: one without choices, one whose heads differ, one that chooses rows in secret in each step. */
static void test_together(void **state)
{
    static const char *const policies[] = {"full", "razor:budget=80:sinks=1", "select:keep=12:unit=2:window=4:sinks=2:reuse=2",
                                           "tova:keep=12:every=2"};
    struct slots_stage *s = *state;
    for (size_t policy = 0; policy < sizeof policies / sizeof *policies; policy++) {
        struct slots_lane want[SLOTS], got[SLOTS], *all[SLOTS];
        uint64_t rounds = 0;
        slots_open_parties(s, policies[policy]);
        for (size_t i = 0; i < SLOTS; i++) {
            want[i] = got[i] = slots_lane(s, i);
            all[i] = &got[i];
            slots_alone(s, &want[i]);
            got[i].expected = want[i].tokens;
            rounds = s->usage[1].decode.rounds > rounds ? s->usage[1].decode.rounds : rounds;
        }
        slots_begin(s, &got[0]);
        for (size_t i = 0; i < SLOTS; i++) {
            if (i > 0)
                slots_order(s, ENG_ORDER_OPEN, UINT32_C(1) << i, &got[i]);
            slots_read_prompt(s, UINT32_C(1) << i, &got[i]);
        }
        for (size_t t = 1; t < NEW_TOKENS; t++)
            (void)slots_step(s, (1 << SLOTS) - 1, all, SLOTS);
        slots_end(s);
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
    struct slots_stage *s = *state;
    struct slots_lane want[3], got[3];
    slots_open_parties(s, "full");
    for (size_t i = 0; i < 3; i++) {
        want[i] = got[i] = slots_lane(s, i);
        slots_alone(s, &want[i]);
        got[i].expected = want[i].tokens;
    }
    struct slots_lane *first[2] = {&got[0], &got[1]}, *last[2] = {&got[2], &got[1]};
    slots_begin(s, &got[0]);
    slots_read_prompt(s, 1, &got[0]);
    (void)slots_step(s, 1, first, 1);
    slots_order(s, ENG_ORDER_OPEN, 2, &got[1]);
    (void)slots_step(s, 2, first + 1, 1); /* in the middle of its prompt */
    (void)slots_step(s, 1, first, 1);
    slots_read_prompt(s, 2, &got[1]);
    (void)slots_step(s, 3, first, 2);
    (void)slots_step(s, 3, first, 2);
    slots_order(s, ENG_ORDER_CLOSE, 1, NULL);
    (void)slots_step(s, 2, first + 1, 1);
    slots_order(s, ENG_ORDER_OPEN, 1, &got[2]);
    slots_read_prompt(s, 1, &got[2]);
    while (got[1].count < NEW_TOKENS)
        (void)slots_step(s, 3, last, 2);
    while (got[2].count < NEW_TOKENS)
        (void)slots_step(s, 1, last, 1);
    slots_end(s);
    assert_int_equal(got[0].count, 5);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(got[i].tokens, want[i].tokens, got[i].count * sizeof *got[i].tokens);
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
    struct slots_stage *s = *state;
    struct slots_lane want = slots_lane(s, 3);
    uint64_t whole;
    slots_open_parties(s, "full");
    slots_alone(s, &want);
    whole = s->usage[1].prefill.rounds;
    for (int i = 0; i < 12; i++) {
        struct base_error error = {0};
        struct slots_lane lane = slots_lane(s, 3);
        struct patience patience = {.left = i / 4};
        struct eng_remote_step done = {0};
        struct eng_order o = {.kind = ENG_ORDER_STEP, .slots = 1};
        slots_begin(s, &lane);
        for (int ahead = 0; ahead <= i % 3; ahead++)
            check_ok(eng_remote_plan(&s->remote, &o, &error), &error, "plan");
        struct eng_remote_watch watch = {.wanted = still_wanted, .layer = count_layer, .context = &patience};
        enum base_status status = eng_remote_run(&s->remote, lane.prompt, &watch, &done, &error);
        assert_true(status == BASE_OK || status == BASE_ERR_CLOSED);
        slots_end(s);
        assert_true(s->usage[1].prefill.rounds < whole);
        assert_int_equal(s->usage[1].prefill.rounds, s->usage[2].prefill.rounds);
    }
    struct slots_lane again = slots_lane(s, 3);
    again.expected = want.tokens;
    slots_alone(s, &again);
    assert_memory_equal(again.tokens, want.tokens, sizeof want.tokens);
    eng_local_destroy(&s->local);
}

/* Two that have the same number of rows left as the context has: the last step of both is at its end. */
static void test_at_the_end_of_the_context(void **state)
{
    struct slots_stage *s = *state;
    struct slots_lane want[2], got[2], *all[2] = {&got[0], &got[1]};
    slots_open_parties(s, "full");
    for (size_t i = 0; i < 2; i++) {
        want[i] = (struct slots_lane){.prompt = s->model.samples[i], .prompt_tokens = CONTEXT - NEW_TOKENS};
        got[i] = want[i];
        slots_alone(s, &want[i]);
        got[i].expected = want[i].tokens;
    }
    slots_begin(s, &got[0]);
    slots_read_prompt(s, 1, &got[0]);
    slots_order(s, ENG_ORDER_OPEN, 2, &got[1]);
    slots_read_prompt(s, 2, &got[1]);
    while (got[0].count < NEW_TOKENS)
        (void)slots_step(s, 3, all, 2);
    slots_end(s);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(got[i].tokens, want[i].tokens, sizeof want[i].tokens);
    eng_local_destroy(&s->local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_together), cmocka_unit_test(test_come_and_go),
                                       cmocka_unit_test(test_left_in_the_middle), cmocka_unit_test(test_at_the_end_of_the_context),
                                       cmocka_unit_test(slots_test_draws)};
    return cmocka_run_group_tests(tests, slots_open_stage, slots_close_stage);
}
