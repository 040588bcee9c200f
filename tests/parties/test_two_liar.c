/* A peer that lies where there are two parties and no third: the messages by which they meet, encrypt weights and make each step's material, those of
 * the step itself, and the client's. It has the right keys, and its messages hold what they like (liar_support.h). No reader leaves its arrays (sanitizers look:
 * `./run liar`), every end stops with a named error within its deadlines, and parties that meet anew answer as the twin does.
 *
 * usage: parties_two_liar [LIES [SEED]]      the same SEED tells the same lies */
#include "tests/engine/decoder/liar_support.h"
#include "tests/parties/two_stage.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIES = 8, SEED = 11, HONEST_EVERY = 8, MEETING = 16 };

static const char *const policies[] = {"full", "h2o:keep=5:window=2:every=1", "snapkv:keep=5:window=2"};
enum { POLICIES = sizeof policies / sizeof *policies };

static size_t asked_lies = LIES;
static uint64_t asked_seed = SEED;

/* As new processes: a party that was lied to keeps nothing of it. */
static bool meet(struct two_stage *s)
{
    two_leave(s);
    for (int id = 1; id <= 2; id++)
        two_open_seat(s, id, NULL);
    two_try_to_meet(s);
    bool met = true;
    for (int id = 1; id <= 2; id++) {
        liar_judge(s->seat[id].status, &s->seat[id].error, id == 1 ? "P1 meets" : "P2 meets");
        met = met && s->seat[id].status == BASE_OK;
    }
    return met;
}

/* One request. Whoever lies, it ends. Returns whether there is an answer. */
static bool ask(struct two_stage *s, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct counter counter = {0};
    struct eng_request request = two_sample_request;
    bool answered = false;
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
    liar_own_role = LIAR_CLIENT;
    enum base_status status = eng_remote_begin(&remote, &form, &request, false, &error);
    if (status == BASE_OK) {
        struct eng_backend backend = eng_remote_backend(&remote);
        struct eng_generation g = {.backend = &backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &s->sampler, .prompt = s->prompt,
                                   .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .ignore_eos = true, .token = count_token, .context = &counter};
        status = eng_generate(&g, ret, &error);
        answered = status == BASE_OK;
        if (answered)
            status = eng_remote_end(&remote, s->usage, &error);
    }
    liar_own_role = -1;
    liar_judge(status, &error, "client");
    for (int id = 1; status != BASE_OK && id <= 2; id++)
        net_link_abort(s->client[id], &error);
    two_end(s);
    for (int id = 1; id <= 2; id++)
        liar_judge(s->seat[id].status, &s->seat[id].error, id == 1 ? "P1" : "P2");
    eng_remote_finish(&remote);
    return answered;
}

static void honest(struct two_stage *s, const struct eng_generated *want)
{
    struct eng_generated answer;
    liar.role = -1;
    memset(liar_said_by, 0, sizeof liar_said_by);
    assert_true(meet(s));
    assert_true(ask(s, &answer));
    assert_int_equal(answer.count, want->count);
    assert_memory_equal(answer.tokens, want->tokens, want->count * sizeof *want->tokens);
    eng_generated_finish(&answer);
}

static void test_lies(void **state)
{
    struct two_stage *s = NULL;
    size_t answers = 0, meetings = 0;
    int64_t longest = 0;
    (void)state;
    liar.random = asked_seed;
    for (size_t n = 0; n < asked_lies; n++) {
        struct eng_generated want, answer;
        if (n % HONEST_EVERY == 0) {
            if (s != NULL)
                (void)two_close_stage((void **)&s);
            assert_int_equal(two_open_with((void **)&s, policies[n / HONEST_EVERY % POLICIES]), 0);
            two_twin_answer(s, &want);
            honest(s, &want);
            eng_generated_finish(&want);
        }
        int role = 1 + (int)liar_below(LIAR_ROLES - 1);
        liar_choose(role);
        /* Few messages are said in a meeting, and some of the lies are told there. */
        if (role != LIAR_CLIENT && liar_below(3) == 0)
            liar.from = liar_below(MEETING);
        int64_t started = base_clock_ms();
        alarm(LIAR_LIFE_SECONDS); /* the program's end: a hang */
            liar.role = role;
        bool met = meet(s);
        meetings += met;
        if (met && ask(s, &answer)) {
            answers++;
            eng_generated_finish(&answer);
        }
        liar.role = -1;
        alarm(0);
        int64_t took = base_clock_ms() - started;
        longest = took > longest ? took : longest;
    }
    struct eng_generated want;
    two_twin_answer(s, &want);
    honest(s, &want);
    eng_generated_finish(&want);
    (void)two_close_stage((void **)&s);
    liar_finish();
    /* Two waits may follow each other, of the peer and of the client. */
    assert_true(longest < 4 * LIAR_DEADLINE_MS);
    print_message("%zu lies told; %zu meetings held, %zu runs ended with an answer, the others with named errors; the longest took %.1f s; 0 hangs\n", asked_lies,
                  meetings, answers, (double)longest / 1e3);
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lies)};
    liar_arguments(count, words, &asked_lies, &asked_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
