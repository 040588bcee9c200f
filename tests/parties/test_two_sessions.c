/* Two parties without P0 as sessions over links in memory, with a client that has no third link: requests one after the other, with the twin's tokens;
 * ends in the middle, refusals; weights that stay encrypted. */
#include "tests/parties/two_stage.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

/* Rows go by secret scores, after the prompt and while decoding. */
static int open_choosing_stage(void **state)
{
    return two_open_with(state, "h2o:keep=5:window=2:every=1");
}

/* The twin's tokens, each time: streams, caches, COTs and what was made for a step that was cut short leave nothing behind. */
static void test_one_after_the_other(void **state)
{
    struct two_stage *s = *state;
    struct eng_generated clear, answer;
    two_twin_answer(s, &clear);
    for (size_t stop_after = 0; stop_after <= 2; stop_after++) {
        size_t want = stop_after == 0 ? NEW_TOKENS : stop_after;
        two_ask(s, stop_after, &answer);
        assert_int_equal(answer.count, want);
        assert_memory_equal(answer.tokens, clear.tokens, want * sizeof *clear.tokens);
        eng_generated_finish(&answer);
    }
    eng_generated_finish(&clear);
}

/* Refused with a reason; the next request is answered. */
static void test_refusals(void **state)
{
    struct two_stage *s = *state;
    struct eng_generated answer;
    struct eng_request inside = two_sample_request;
    struct eng_remote remote;
    struct base_error error = {0};
    inside.mode = ENG_REQUEST_ARGMAX;
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &inside, false, &error), &error, "begin");
    two_end(s);
    for (int id = 1; id <= 2; id++) {
        assert_int_equal(s->seat[id].status, BASE_ERR_SUPPORT);
        assert_non_null(strstr(s->seat[id].error.text, "let the client choose"));
        assert_true(s->seat[id].served.joined);
    }
    eng_remote_finish(&remote);
    two_ask(s, 1, &answer);
    eng_generated_finish(&answer);
}

/* A client that goes in the middle of a step, or of its making: both leave the run at one place, what was made for the rest is dropped, and the next
 * request is answered. */
static void test_client_goes(void **state)
{
    struct two_stage *s = *state;
    const struct eng_order step = {.kind = ENG_ORDER_STEP, .slots = 1};
    size_t vocab = s->model.source.shape->vocab;
    for (int64_t after = 0; after <= 120; after += 40) {
        struct eng_generated answer;
        struct eng_remote remote;
        struct base_error error = {0};
        int64_t *hot = must_alloc(CHUNK * vocab, sizeof *hot);
        for (size_t i = 0; i < CHUNK; i++)
            hot[i * vocab + i] = 1;
        two_open_links(s);
        struct eng_remote_form form = two_remote_form(s);
        check_ok(eng_remote_begin(&remote, &form, &two_sample_request, false, &error), &error, "begin");
        for (int id = 1; id <= 2; id++)
            check_ok(eng_order_send(s->client[id], 0, &step, &error), &error, "order");
        check_ok(mpc_client_give(&remote.client, hot, CHUNK * vocab, SEC_ROW_RING, &error), &error, "rows");
        base_sleep_ms(after);
        for (int id = 1; id <= 2; id++)
            net_link_destroy(&s->client[id]);
        two_end(s);
        for (int id = 1; id <= 2; id++) {
            assert_true(s->seat[id].served.joined);
            assert_int_not_equal(s->seat[id].status, BASE_OK);
        }
        eng_remote_finish(&remote);
        free(hot);
        two_ask(s, 2, &answer);
        assert_int_equal(answer.count, 2);
        eng_generated_finish(&answer);
    }
}

/* Of both parties: whether they encrypted weights since they met last. */
static bool encrypted_weights(const struct two_stage *s)
{
    const struct pair_cost *once[3] = {NULL, &s->seat[1].two.maker.once, &s->seat[2].two.maker.once};
    assert_memory_equal(once[1], once[2], sizeof *once[1]);
    for (int id = 1; id <= 2; id++)
        assert_true(s->seat[id].two.weights.complete);
    assert_memory_equal(s->seat[1].two.weights.id, s->seat[2].two.weights.id, PAIR_SESSION);
    return once[1]->exchanges > 0;
}

static void check_answer(struct two_stage *s, const struct eng_generated *clear)
{
    struct eng_generated answer;
    two_ask(s, 0, &answer);
    assert_int_equal(answer.count, clear->count);
    assert_memory_equal(answer.tokens, clear->tokens, clear->count * sizeof *clear->tokens);
    eng_generated_finish(&answer);
}

static void start_again(struct two_stage *s, const char *const directory[3])
{
    for (int id = 1; id <= 2; id++) {
        eng_session_finish(&s->seat[id].session);
        party_two_finish(&s->seat[id].two);
        two_open_seat(s, id, directory[id]);
    }
}

/* Weights are encrypted once: for all meetings of two processes, and for their next start where both have their files; if one has lost its own, anew. */
static void test_weights_are_kept(void **state)
{
    struct two_stage *s = *state;
    struct eng_generated clear;
    char first[] = "/tmp/cachet-two-XXXXXX", second[] = "/tmp/cachet-two-XXXXXX", path[3][64];
    const char *directory[3] = {NULL, mkdtemp(first), mkdtemp(second)};
    uint8_t id[PAIR_SESSION];
    two_twin_answer(s, &clear);
    two_meet(s);
    assert_false(encrypted_weights(s));
    check_answer(s, &clear);
    for (int party = 1; party <= 2; party++)
        (void)snprintf(path[party], sizeof path[party], "%s/encrypted-weights", directory[party]);
    start_again(s, directory);
    two_meet(s);
    assert_true(encrypted_weights(s));
    memcpy(id, s->seat[1].two.weights.id, sizeof id);
    start_again(s, directory);
    two_meet(s);
    assert_false(encrypted_weights(s));
    assert_memory_equal(id, s->seat[1].two.weights.id, sizeof id);
    check_answer(s, &clear);
    assert_int_equal(unlink(path[2]), 0);
    start_again(s, directory);
    two_meet(s);
    assert_true(encrypted_weights(s));
    assert_memory_not_equal(id, s->seat[1].two.weights.id, sizeof id);
    check_answer(s, &clear);
    for (int party = 1; party <= 2; party++) {
        assert_int_equal(unlink(path[party]), 0);
        assert_int_equal(rmdir(directory[party]), 0);
    }
    eng_generated_finish(&clear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_after_the_other), cmocka_unit_test(test_refusals), cmocka_unit_test(test_client_goes), cmocka_unit_test(test_weights_are_kept)};
    const struct CMUnitTest choosing[] = {cmocka_unit_test(test_one_after_the_other)};
    int failed = cmocka_run_group_tests(tests, two_open_stage, two_close_stage);
    return failed + cmocka_run_group_tests(choosing, open_choosing_stage, two_close_stage);
}
