/* The client library over three real processes: requests alone and together, cancelled at any time, more than may wait, and a party that dies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "parties/cachet.h"
#include "parties/command.h"
#include "parties/deployment.h"
#include "parties/library/stop_text.h"
#include "parties/policy_flags.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { CONTEXT = 96, SLOTS = 8, NEW_TOKENS = 24, CANCELS = 200, FEW = 8 };

struct stage {
    struct model model;
    struct eng_plan plan;
    struct deployment deployment;
    struct cachet *client;
    struct deployment_files files;
};

static void say(void *context, int level, const char *request, const char *text)
{
    (void)context;
    if (level < 2)
        (void)fprintf(stderr, "# library: [%s] %s\n", request == NULL ? "" : request, text);
}

static void check(enum cachet_code code, const struct cachet_error *error, const char *what)
{
    if (code != CACHET_OK)
        fail_msg("%s: %s", what, error->text);
}

static void open_client(struct stage *s)
{
    struct cachet_error error = {0};
    struct cachet_options options = {.config = s->files.config, .key = s->files.key, .shares = s->files.shares, .most_waiting = 2, .log = say};
    check(cachet_open(&s->client, &options, &error), &error, "open");
    check(cachet_wait_ready(s->client, 60000, &error), &error, "ready");
}

static int open_stage(void **state)
{
    static struct stage stage;
    struct base_error error = {0};
    struct stage *s = &stage;
    *state = s;
    struct model_plan_options options = {.context = CONTEXT};
    struct deployment_form form = {.model = &s->model, .plan = &s->plan, .limits = deployment_limits(CONTEXT)};
    form.limits.slots = SLOTS;
    struct policy_flags flags = POLICY_FLAGS_STANDARD;
    if (policy_flags_read(&flags, &form.policy, &form.policy_config, &error) != BASE_OK ||
        model_open(&s->model, (struct model_input){.path = CACHET_SOURCE_DIR "/models/keeper"}, &error) != BASE_OK ||
        model_plan(&s->model, &options, &s->plan, NULL, &error) != BASE_OK ||
        deployment_init(&s->deployment, &form, &error) != BASE_OK || deployment_start(&s->deployment, &error) != BASE_OK ||
        deployment_client_files(&s->deployment, &s->files, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    open_client(s);
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    cachet_close(&s->client);
    deployment_finish(&s->deployment);
    eng_plan_finish(&s->plan);
    model_close(&s->model);
    return 0;
}

/* A request and what came of it. */
struct answer {
    struct cachet_job *job;
    int32_t *prompt;
    size_t prompt_tokens, count, shared, progress, ahead, most_ahead;
    int32_t tokens[NEW_TOKENS];
    char text[1024];
    size_t size;
    uint64_t rounds; /* of the last step */
    size_t stop_after; /* 0: never */
    bool ended;
    struct cachet_result result;
};

static bool take(void *context, const struct cachet_token *token)
{
    struct answer *a = context;
    assert_false(a->ended);
    memcpy(a->text + a->size, token->text, token->size);
    a->size += token->size;
    if (token->id < 0)
        return true;
    assert_int_equal(token->index, a->count);
    a->tokens[a->count++] = token->id;
    a->shared = token->shared_with > a->shared ? token->shared_with : a->shared;
    a->rounds = token->rounds;
    return a->count != a->stop_after;
}

static void note_progress(void *context, const struct cachet_progress *progress)
{
    struct answer *a = context;
    assert_true(progress->rows_done <= progress->rows && progress->layer <= progress->layers);
    a->progress++;
    a->ahead = progress->ahead;
    a->most_ahead = progress->ahead > a->most_ahead ? progress->ahead : a->most_ahead;
}

static void note_end(void *context)
{
    struct answer *a = context;
    a->ended = true;
}

static const char *const texts[] = {"Once upon a time there was a little keeper", "The sea was calm and", "Lily had a red ball. She",
                                    "The pass key is 4711. Remember it. One day", "A dog and a cat", "Tom went to the park with his mother and",
                                    "It was raining. The bird", "Sara saw a big tree in the"};

static struct cachet_request request_of(struct stage *s, struct answer *a, size_t i)
{
    struct cachet_error error = {0};
    struct cachet_part part = {texts[i % SLOTS], strlen(texts[i % SLOTS]), false};
    *a = (struct answer){.stop_after = a->stop_after};
    check(cachet_tokenize(s->client, &part, 1, true, &a->prompt, &a->prompt_tokens, &error), &error, "tokenize");
    return (struct cachet_request){.tokens = a->prompt,
                                   .token_count = a->prompt_tokens,
                                   .max_tokens = NEW_TOKENS,
                                   .top_p = 1,
                                   .ignore_eos = true,
                                   .token = take,
                                   .progress = note_progress,
                                   .ended = note_end,
                                   .context = a};
}

static void submit(struct stage *s, struct answer *a, const struct cachet_request *request)
{
    struct cachet_error error = {0};
    check(cachet_submit(s->client, request, &a->job, &error), &error, "submit");
}

static void end(struct answer *a)
{
    struct cachet_error error = {0};
    check(cachet_wait(a->job, &a->result, &error), &error, "wait");
    assert_true(a->ended);
    cachet_release(&a->job);
    cachet_free_tokens(&a->prompt, a->prompt_tokens);
}

static void ask(struct stage *s, struct answer *a, size_t i)
{
    struct cachet_request request = request_of(s, a, i);
    submit(s, a, &request);
    end(a);
}

/* Eight requests take the rounds of one, and each gets what it gets alone. */
static void test_together(void **state)
{
    struct stage *s = *state;
    static struct answer alone[SLOTS], together[SLOTS];
    double start = base_clock_seconds(), middle;
    for (size_t i = 0; i < SLOTS; i++) {
        ask(s, &alone[i], i);
        assert_int_equal(alone[i].result.finish, CACHET_FINISH_LENGTH);
        assert_int_equal(alone[i].shared, 0);
        assert_true(alone[i].progress > 0);
    }
    middle = base_clock_seconds();
    for (size_t i = 0; i < SLOTS; i++) {
        struct cachet_request request = request_of(s, &together[i], i);
        submit(s, &together[i], &request);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        end(&together[i]);
        assert_memory_equal(together[i].tokens, alone[i].tokens, sizeof alone[i].tokens);
        assert_int_equal(together[i].size, alone[i].size);
        assert_memory_equal(together[i].text, alone[i].text, alone[i].size);
        assert_int_equal(together[i].rounds, alone[i].rounds);
    }
    assert_int_equal(together[0].shared, SLOTS - 1);
    (void)printf("# one after the other %.2f s, together %.2f s\n", middle - start, base_clock_seconds() - middle);
}

/* Cancelled at 200 random times, from before it begins to its last token; each time the parties report and are free for the next one. */
static void test_cancel(void **state)
{
    struct stage *s = *state;
    static struct answer whole, a;
    double longest = 0;
    size_t by_callback = 0;
    struct cachet_state before, after;
    ask(s, &whole, 0);
    double length = whole.result.prompt_seconds + whole.result.decode_seconds;
    cachet_get_state(s->client, &before);
    for (size_t i = 0; i < CANCELS; i++) {
        a.stop_after = i % 4 == 3 ? 1 + i % (FEW - 1) : 0;
        struct cachet_request request = request_of(s, &a, 0);
        request.max_tokens = FEW;
        submit(s, &a, &request);
        if (a.stop_after == 0)
            base_sleep_ms((int)(1e3 * length * (double)(base_random_mix(i) % 1000) / 1000 * FEW / NEW_TOKENS));
        double start = base_clock_seconds();
        if (a.stop_after == 0)
            cachet_cancel(a.job);
        end(&a);
        if (a.stop_after == 0 && base_clock_seconds() - start > longest)
            longest = base_clock_seconds() - start;
        by_callback += a.stop_after != 0;
        assert_true(a.result.finish == CACHET_FINISH_CANCELLED || a.count == FEW);
        assert_memory_equal(a.tokens, whole.tokens, a.count * sizeof *a.tokens);
    }
    cachet_get_state(s->client, &after);
    assert_int_equal(after.connections, before.connections);
    assert_int_equal(after.requests_failed, before.requests_failed);
    assert_true(after.requests_cancelled - before.requests_cancelled >= by_callback);
    (void)printf("# %d of %d cancelled; from the word to the parties' reports %.0f ms at most, a whole answer takes %.0f\n",
                 (int)(after.requests_cancelled - before.requests_cancelled), CANCELS, longest * 1e3, length * 1e3);
    a.stop_after = 0;
    ask(s, &a, 0);
    assert_memory_equal(a.tokens, whole.tokens, sizeof a.tokens);
}

/* One of several is cancelled: the others notice nothing. */
static void test_cancel_one_of_many(void **state)
{
    struct stage *s = *state;
    static struct answer alone[3], together[3];
    for (size_t i = 0; i < 3; i++)
        ask(s, &alone[i], i);
    for (size_t round = 0; round < 6; round++) {
        for (size_t i = 0; i < 3; i++) {
            together[i].stop_after = i == round % 3 ? 1 + round : 0;
            struct cachet_request request = request_of(s, &together[i], i);
            submit(s, &together[i], &request);
        }
        for (size_t i = 0; i < 3; i++) {
            end(&together[i]);
            assert_memory_equal(together[i].tokens, alone[i].tokens, together[i].count * sizeof alone[i].tokens[0]);
            assert_int_equal(together[i].count, i == round % 3 ? 1 + round : NEW_TOKENS);
        }
    }
}

/* More than may wait; and those that wait come to their turn, also when slots are fewer than they. */
static void test_queue(void **state)
{
    struct stage *s = *state;
    static struct answer all[SLOTS + 3], alone;
    size_t taken = 0;
    ask(s, &alone, 1);
    for (size_t i = 0; i < SLOTS + 3; i++) {
        struct cachet_error error = {0};
        struct cachet_request request = request_of(s, &all[i], 1);
        enum cachet_code code = cachet_submit(s->client, &request, &all[i].job, &error);
        taken += code == CACHET_OK;
        if (i < SLOTS + 2)
            check(code, &error, "submit");
        else if (code != CACHET_OK) {
            assert_int_equal(code, CACHET_BUSY);
            assert_non_null(strstr(error.text, "ask again later"));
            cachet_free_tokens(&all[i].prompt, all[i].prompt_tokens);
        }
    }
    assert_int_equal(taken, SLOTS + 2);
    for (size_t i = 0; i < taken; i++) {
        end(&all[i]);
        assert_memory_equal(all[i].tokens, alone.tokens, sizeof alone.tokens);
        assert_int_equal(all[i].ahead, 0);
    }
    assert_int_equal(all[SLOTS + 1].most_ahead, 2);
}

/* Who leaves the queue is gone from it at once, and not when a slot is free. */
static void test_leave_the_queue(void **state)
{
    struct stage *s = *state;
    static struct answer all[SLOTS + 2];
    struct cachet_error error = {0};
    for (size_t i = 0; i < SLOTS + 2; i++) {
        struct cachet_request request = request_of(s, &all[i], 1);
        submit(s, &all[i], &request);
    }
    cachet_cancel(all[SLOTS + 1].job);
    check(cachet_wait(all[SLOTS + 1].job, &all[SLOTS + 1].result, &error), &error, "wait");
    assert_int_equal(all[SLOTS + 1].result.finish, CACHET_FINISH_CANCELLED);
    assert_false(cachet_wait_for(all[0].job, 0));
    for (size_t i = 0; i < SLOTS + 2; i++)
        end(&all[i]);
}

static void test_chosen_inside(void **state)
{
    struct stage *s = *state;
    static struct answer alone, inside, beside;
    ask(s, &alone, 2);
    struct cachet_request request = request_of(s, &inside, 2), other = request_of(s, &beside, 2);
    request.inside = true;
    submit(s, &beside, &other);
    submit(s, &inside, &request);
    end(&beside);
    end(&inside);
    assert_memory_equal(inside.tokens, alone.tokens, sizeof alone.tokens);
    assert_memory_equal(beside.tokens, alone.tokens, sizeof alone.tokens);
}

static void test_refused(void **state)
{
    struct stage *s = *state;
    static struct answer a;
    struct cachet_request good = request_of(s, &a, 0);
    const char *const empty[] = {""};
    int32_t outside[] = {1, INT32_MAX};
    for (int i = 0; i < 8; i++) {
        struct cachet_error error = {0};
        struct cachet_job *job = NULL;
        struct cachet_request bad = good;
        const char *says[] = {"prompt is empty", "max_tokens is 0", "together at most 96", "together at most 96", "temperature", "top-p",
                              "stop text 0", "outside the model's vocabulary"};
        bad.token_count = i == 0 ? 0 : good.token_count;
        bad.max_tokens = i == 1 ? 0 : i == 2 ? CONTEXT : i == 3 ? SIZE_MAX : good.max_tokens;
        bad.temperature = i == 4 ? 101 : 0;
        bad.top_p = i == 5 ? -1 : 1;
        if (i == 6) {
            bad.stop = empty;
            bad.stop_count = 1;
        }
        if (i == 7) {
            bad.tokens = outside;
            bad.token_count = 2;
        }
        assert_int_equal(cachet_submit(s->client, &bad, &job, &error), CACHET_BAD_REQUEST);
        if (strstr(error.text, says[i]) == NULL)
            fail_msg("case %d: %s", i, error.text);
    }
    cachet_free_tokens(&a.prompt, a.prompt_tokens);
}

static void test_stop_texts(void **state)
{
    (void)state;
    const char *const stops[] = {"END", "\n\n", "ENorm"};
    struct base_error error = {0};
    const struct {
        const char *pieces[6];
        const char *shown;
        bool ended;
    } cases[] = {{{"abc", "E", "N", "Dxyz"}, "abc", true},
                 {{"abcE", "N", "or", "x"}, "abcENorx", false},
                 {{"a\n", "b\n", "\n", "c"}, "a\nb", true},
                 {{"ENENEND"}, "ENEN", true},
                 {{"x\n\nEND"}, "x", true},
                 {{"", "EN", "", "orm"}, "", true},
                 {{"E"}, "E", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stop_text stop = {.stop = stops, .count = 3};
        char shown[64] = "";
        bool ended = false;
        const char *text;
        size_t size;
        for (size_t j = 0; j < 6 && cases[i].pieces[j] != NULL && !ended; j++) {
            assert_int_equal(stop_text_push(&stop, cases[i].pieces[j], strlen(cases[i].pieces[j]), &text, &size, &ended, &error), BASE_OK);
            strncat(shown, text, size);
        }
        if (!ended) {
            stop_text_flush(&stop, &text, &size);
            strncat(shown, text, size);
        }
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(ended, cases[i].ended);
        stop_text_finish(&stop);
    }
}

/* A stop text in a real answer: its end is where the text first holds it. */
static void test_stopped_answer(void **state)
{
    struct stage *s = *state;
    static struct answer whole, stopped;
    ask(s, &whole, 5);
    char word[4] = {0};
    memcpy(word, whole.text + whole.size / 2, 3);
    const char *const stops[] = {word};
    struct cachet_request request = request_of(s, &stopped, 5);
    request.stop = stops;
    request.stop_count = 1;
    submit(s, &stopped, &request);
    end(&stopped);
    assert_int_equal(stopped.result.finish, CACHET_FINISH_STOP);
    assert_int_equal(stopped.size, (size_t)(strstr(whole.text, word) - whole.text));
    assert_memory_equal(stopped.text, whole.text, stopped.size);
}

/* A party is killed in the middle of answers: they fail, the library says why, and connects again once it is back. */
static void test_party_dies(void **state)
{
    struct stage *s = *state;
    static struct answer alone, a, b;
    struct cachet_error error = {0};
    struct base_error cause = {0};
    struct cachet_state seen;
    ask(s, &alone, 0);
    struct cachet_request first = request_of(s, &a, 0), second = request_of(s, &b, 1);
    submit(s, &a, &first);
    submit(s, &b, &second);
    base_sleep_ms(100);
    (void)kill(s->deployment.children.pid[2], SIGKILL);
    enum cachet_code code = cachet_wait(a.job, &a.result, &error);
    assert_int_not_equal(code, CACHET_OK);
    assert_int_equal(a.result.finish, CACHET_FINISH_FAILED);
    assert_int_not_equal(cachet_wait(b.job, &b.result, &error), CACHET_OK);
    cachet_release(&a.job);
    cachet_release(&b.job);
    cachet_get_state(s->client, &seen);
    assert_true(seen.requests_failed >= 2);
    /* The others wait for it, with the same config. */
    children_stop(&s->deployment.children);
    assert_int_equal(deployment_start(&s->deployment, &cause), BASE_OK);
    check(cachet_wait_ready(s->client, 60000, &error), &error, "ready again");
    cachet_free_tokens(&a.prompt, a.prompt_tokens);
    cachet_free_tokens(&b.prompt, b.prompt_tokens);
    ask(s, &a, 0);
    assert_memory_equal(a.tokens, alone.tokens, sizeof alone.tokens);
    cachet_get_state(s->client, &seen);
    assert_true(seen.connections >= 2 && seen.ready);
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    if (sodium_init() < 0)
        return 2;
    /* The parties are this program, too. */
    if (argc > 1 && strcmp(argv[1], "party") == 0) {
        command_catch_signals();
        enum base_status status = command_party.run(argc - 1, argv + 1, &error);
        if (status != BASE_OK)
            (void)fprintf(stderr, "party: %s\n", error.text);
        return base_status_exit_code(status);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stop_texts),     cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_refused),        cmocka_unit_test(test_queue),
                                       cmocka_unit_test(test_leave_the_queue),
                                       cmocka_unit_test(test_chosen_inside),  cmocka_unit_test(test_stopped_answer),
                                       cmocka_unit_test(test_cancel_one_of_many), cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_party_dies)};
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
