/* A peer that lies: it has the right keys, frames and order, and its messages hold what they like. Each role in turn, the client among them, against the
 * other ones live over links in memory, one lie or a stream of lies in each run; the text of the program that lies is the real one, so each lie sits where a
 * protocol's message is due. It may cost the answer, and nothing else: no reader leaves its arrays (sanitizers look: `./run liar`), every end stops
 * with a named error within its deadlines, and honest requests after it are the twin's.
 *
 * usage: engine_test_liar [LIES [SEED]]      the same SEED tells the same lies */
#include "tests/engine/decoder/liar_support.h"

#include "base/clock.h"
#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/twin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 64, CHUNK = 26, PROMPT = 52, NEW_TOKENS = 4, LIES = 16, SEED = 5, HONEST_EVERY = 10 };

static const char *const policies[] = {"full", "select:keep=32:window=8:unit=4:reuse=1", "mpcache:keep=24:unit=4:static=70", "h2o:budget=50:window=8:every=4",
                                       "tova:budget=50:every=3", "blocks:budget=50:window=8:unit=4", "refresh:keep=32:window=8:unit=4:before=4:reuse=1"};
enum { POLICIES = sizeof policies / sizeof *policies };

/* --- the liar's victims -------------------------------------------------------------------------------------------------------------- */

struct stage {
    struct model model;
    struct eng_sampler sampler;
    struct eng_local *local; /* NULL: they have parted */
    const char *policy;
};

static struct eng_decoder_form form_of(const struct stage *s, enum mpc_role role)
{
    struct base_error error = {0};
    struct eng_decoder_form form = {.shape = s->model.source.shape, .plan = &s->model.plan, .weights = &s->model.weights[role], .gates = &s->model.gates,
                                    .context = CONTEXT, .chunk = CHUNK};
    check_ok(kv_config_parse(s->policy, 0, &form.policy, &form.config, &error), &error, s->policy);
    return form;
}

static void meet(struct stage *s)
{
    struct base_error error = {0};
    struct eng_local_form form = {.form = form_of(s, MPC_HELPER), .idle_ms = LIAR_DEADLINE_MS, .kern = kern_table_select(~0u)};
    for (int i = 0; i < 3; i++)
        form.weights[i] = &s->model.weights[i];
    enum base_status status = eng_local_create(&s->local, &form, &error);
    if (liar.role < 0)
        check_ok(status, &error, "join");
    liar_judge(status, &error, "join");
}

static enum base_status generate(struct stage *s, const struct eng_backend *backend, struct eng_generated *ret, struct base_error *error)
{
    struct counter counter = {0};
    struct eng_generation g = {.backend = backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &s->sampler,
                               .prompt = s->model.samples[1], .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .ignore_eos = true,
                               .token = count_token, .context = &counter};
    return eng_generate(&g, ret, error);
}

/* One request. Whoever lies, it ends. Returns whether there is an answer. */
static bool ask(struct stage *s, bool inside, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct net_link *links[3];
    struct eng_remote remote;
    struct eng_usage usage[3];
    struct eng_request request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = CHUNK, .mode = inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE};
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    struct eng_remote_form form = {.shape = s->model.source.shape, .plan = &s->model.plan, .link = {links[0], links[1], links[2]}, .kern = kern_table_select(~0u)};
    liar_own_role = LIAR_CLIENT;
    enum base_status status = eng_remote_begin(&remote, &form, &request, false, &error);
    bool answered = false;
    if (status == BASE_OK) {
        struct eng_backend backend = eng_remote_backend(&remote);
        status = generate(s, &backend, ret, &error);
        answered = status == BASE_OK;
        if (answered)
            status = eng_remote_end(&remote, usage, &error);
    }
    liar_own_role = -1;
    liar_judge(status, &error, "client");
    if (status != BASE_OK)
        for (int i = 0; i < 3; i++)
            net_link_abort(links[i], &error);
    enum base_status first = status;
    struct base_error parties = {0};
    status = eng_local_wait(s->local, usage, &parties);
    if (liar.role < 0) {
        check_ok(first, &error, "honest client");
        check_ok(status, &parties, "honest parties");
    }
    liar_judge(status, &parties, "parties");
    eng_remote_finish(&remote);
    if (first != BASE_OK || status != BASE_OK)
        eng_local_destroy(&s->local);
    return answered;
}

static void twin_answer(struct stage *s, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_twin twin;
    check_ok(eng_twin_init(&twin, form_of(s, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error), &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    check_ok(generate(s, &backend, ret, &error), &error, "twin's answer");
    eng_twin_finish(&twin);
}

static void honest(struct stage *s, const struct eng_generated *want, bool inside)
{
    struct eng_generated answer;
    liar.role = -1;
    memset(liar_said_by, 0, sizeof liar_said_by);
    if (s->local == NULL)
        meet(s);
    assert_true(ask(s, inside, &answer));
    assert_int_equal(answer.count, want->count);
    assert_memory_equal(answer.tokens, want->tokens, want->count * sizeof *want->tokens);
    eng_generated_finish(&answer);
}

/* --- runs ---------------------------------------------------------------------------------------------------------------------------- */

static size_t asked_lies = LIES;
static uint64_t asked_seed = SEED;

static void test_lies(void **state)
{
    struct stage s = {.policy = policies[0]};
    struct base_error error = {0};
    struct eng_generated want, answer;
    size_t answers = 0;
    int64_t longest = 0;
    (void)state;
    if (!model_open(&s.model, "models/keeper", (struct model_options){.context = CONTEXT}))
        skip();
    check_ok(eng_sampler_init(&s.sampler, (struct eng_sampling){0}, s.model.source.shape->vocab, &error), &error, "sampler");
    liar.random = asked_seed;
    for (size_t n = 0; n < asked_lies; n++) {
        bool inside = n / HONEST_EVERY % 2 == 1;
        if (n % HONEST_EVERY == 0) {
            if (n > 0) {
                honest(&s, &want, !inside);
                eng_generated_finish(&want);
            }
            eng_local_destroy(&s.local);
            s.policy = policies[n / HONEST_EVERY % POLICIES];
            twin_answer(&s, &want);
            honest(&s, &want, inside);
        }
        int role = (int)liar_below(LIAR_ROLES);
        liar_choose(role);
        int64_t started = base_clock_ms();
        alarm(LIAR_LIFE_SECONDS); /* the program's end: a hang */
        /* Few messages are said before the first request, and some of the lies are told there. */
        bool early = role != LIAR_CLIENT && liar_below(8) == 0;
        if (early) {
            eng_local_destroy(&s.local);
            liar.from = liar_below(3);
        }
        liar.role = early || s.local != NULL ? role : -1;
        if (s.local == NULL)
            meet(&s);
        liar.role = role;
        if (s.local != NULL && ask(&s, inside, &answer)) {
            answers++;
            eng_generated_finish(&answer);
        }
        liar.role = -1;
        alarm(0);
        int64_t took = base_clock_ms() - started;
        longest = took > longest ? took : longest;
    }
    honest(&s, &want, false);
    eng_generated_finish(&want);
    print_message("%zu lies told; %zu runs ended with an answer, the others with named errors; the longest took %.1f s; 0 hangs\n", asked_lies, answers,
                  (double)longest / 1e3);
    assert_true(longest < 4 * LIAR_DEADLINE_MS);
    eng_local_destroy(&s.local);
    eng_sampler_finish(&s.sampler);
    model_close(&s.model);
    liar_finish();
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lies)};
    liar_arguments(count, words, &asked_lies, &asked_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
