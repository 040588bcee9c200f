/* Sessions over memory links: requests one after the other, early ends, refusals, tokens chosen inside, void
 * answers. */
#include "tests/engine/decoder/model_support.h"

#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/twin.h"
#include "tests/support/recorder.h"

enum { CONTEXT = 64, PROMPT = 20, NEW_TOKENS = 12, SMALL_CHUNK = 8 };

struct stage {
    struct model model;
    const struct kern_table *kern; /* records draws */
    struct eng_local *local;
    size_t chunk; /* rows of a step of its prompts */
    struct eng_sampler sampler;
};

static struct eng_decoder_form form_of(const struct model *m, enum mpc_role role)
{
    return (struct eng_decoder_form){.shape = m->source.shape,
                                     .plan = &m->plan,
                                     .weights = &m->weights[role],
                                     .gates = &m->gates,
                                     .policy = &kv_policy_full,
                                     .context = CONTEXT,
                                     .chunk = 0};
}

static struct eng_local *make_parties(const struct model *model, size_t chunk, const struct kern_table *kern)
{
    struct eng_local *local = NULL;
    struct base_error error = {0};
    struct eng_local_form form = {.form = form_of(model, MPC_HELPER), .kern = kern};
    form.form.chunk = chunk;
    for (int i = 0; i < 3; i++)
        form.weights[i] = &model->weights[i];
    check_ok(eng_local_create(&local, &form, &error), &error, "parties");
    return local;
}

static int open_stage(void **state)
{
    struct base_error error = {0};
    struct stage *s = must_alloc(1, sizeof *s);
    *state = s;
    s->kern = recorder_start(kern_table_select(~0u));
    if (!model_open(&s->model, "models/keeper", (struct model_options){.context = CONTEXT}))
        return 1;
    s->chunk = eng_decoder_choose_chunk(s->model.source.shape, CONTEXT);
    s->local = make_parties(&s->model, s->chunk, s->kern);
    check_ok(eng_sampler_init(&s->sampler, (struct eng_sampling){0}, s->model.source.shape->vocab, &error),
             &error, "sampler");
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    eng_local_destroy(&s->local);
    eng_sampler_finish(&s->sampler);
    model_close(&s->model);
    free(s);
    return 0;
}

static struct eng_generation generation_of(const struct stage *s, const struct eng_backend *backend,
                                           struct counter *counter)
{
    return (struct eng_generation){.backend = backend,
                                   .shape = s->model.source.shape,
                                   .plan = &s->model.plan,
                                   .sampler = (struct eng_sampler *)&s->sampler,
                                   .prompt = s->model.samples[2],
                                   .prompt_tokens = PROMPT,
                                   .new_tokens = NEW_TOKENS,
                                   .ignore_eos = true,
                                   .token = count_token,
                                   .context = counter};
}

static struct eng_request request_of(const struct stage *s, enum eng_request_mode mode)
{
    return (struct eng_request){
        .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = (uint32_t)s->chunk, .mode = mode};
}

static struct eng_remote_form remote_form(const struct stage *s, struct net_link *const links[3])
{
    return (struct eng_remote_form){.shape = s->model.source.shape,
                                    .plan = &s->model.plan,
                                    .link = {links[0], links[1], links[2]},
                                    .kern = s->kern};
}

/* Sends a request and generates until its end; the request stays to be ended. */
static enum base_status begin_and_generate(struct stage *s, enum eng_request_mode mode, struct counter *counter,
                                           struct eng_remote *ret_remote, struct eng_generated *ret,
                                           struct base_error *ret_error)
{
    struct base_error error = {0};
    struct net_link *links[3];
    struct eng_request request = request_of(s, mode);
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    struct eng_remote_form form = remote_form(s, links);
    check_ok(eng_remote_begin(ret_remote, &form, &request, false, &error), &error, "begin");
    struct eng_backend backend = eng_remote_backend(ret_remote);
    struct eng_generation g = generation_of(s, &backend, counter);
    return eng_generate(&g, ret, ret_error);
}

static void ask(struct stage *s, enum eng_request_mode mode, size_t stop_after, struct eng_generated *ret,
                struct eng_usage usage[3])
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_usage served[3];
    struct counter counter = {.stop_after = stop_after};
    check_ok(begin_and_generate(s, mode, &counter, &remote, ret, &error), &error, "generate");
    check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    check_ok(eng_local_wait(s->local, served, &error), &error, "wait");
    eng_remote_finish(&remote);
}

static void ask_twin(struct stage *s, enum eng_request_mode mode, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_twin twin;
    struct counter counter = {0};
    check_ok(eng_twin_init(&twin, form_of(&s->model, MPC_CLEAR), kern_table_select(~0u), mode, &error),
             &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    struct eng_generation g = generation_of(s, &backend, &counter);
    check_ok(eng_generate(&g, ret, &error), &error, "twin");
    assert_int_equal(twin.party.violations, 0);
    eng_twin_finish(&twin);
}

/* Of one decode step: two more in each layer whose heads find a maximum. */
static size_t rounds_of(const struct model *m)
{
    size_t rounds = 3;
    for (size_t l = 0; l < m->plan.layers; l++)
        rounds += eng_plan_maximum_range(&m->plan, l) < 0 ? 16 : 18;
    return rounds;
}

/* The parties' streams and caches start afresh: the second answer is the first one, also after a request that
 * ended early and left dealt material behind. */
static void test_one_after_the_other(void **state)
{
    struct stage *s = *state;
    struct eng_generated clear, answer;
    struct eng_usage usage[3];
    ask_twin(s, ENG_REQUEST_SAMPLE, &clear);
    for (size_t stop_after = 0; stop_after <= 3; stop_after++) {
        size_t want = stop_after == 0 ? NEW_TOKENS : stop_after;
        ask(s, ENG_REQUEST_SAMPLE, stop_after, &answer, usage);
        assert_int_equal(answer.count, want);
        assert_memory_equal(answer.tokens, clear.tokens, want * sizeof *clear.tokens);
        assert_int_equal(usage[1].decode.tokens, want - 1);
        assert_int_equal(usage[1].decode.rounds, (want - 1) * rounds_of(&s->model));
        assert_true(usage[0].decode.tokens >= want - 1);
        /* One row of logits, one sum and one guard word per token, and nothing else, leaves the shares. */
        assert_int_equal(usage[1].opened, want * (s->model.source.shape->vocab + 2));
        assert_int_equal(usage[2].opened, usage[1].opened);
        eng_generated_finish(&answer);
    }
    eng_generated_finish(&clear);
}

static void test_chosen_inside(void **state)
{
    struct stage *s = *state;
    struct eng_generated clear, inside;
    struct eng_usage usage[3];
    ask_twin(s, ENG_REQUEST_SAMPLE, &clear);
    ask(s, ENG_REQUEST_ARGMAX, 0, &inside, usage);
    assert_memory_equal(inside.tokens, clear.tokens, NEW_TOKENS * sizeof *clear.tokens);
    assert_int_equal(usage[1].opened, 2 * NEW_TOKENS);
    eng_generated_finish(&inside);
    ask_twin(s, ENG_REQUEST_ARGMAX, &inside);
    assert_memory_equal(inside.tokens, clear.tokens, NEW_TOKENS * sizeof *clear.tokens);
    eng_generated_finish(&inside);
    eng_generated_finish(&clear);
}

/* Refused by every party with the same words; the next request is answered. */
static void test_refusals(void **state)
{
    struct stage *s = *state;
    const struct {
        const char *says;
        uint32_t prompt, new_tokens, chunk, made_up;
    } cases[] = {{"both must be 1 or more", 0, 4, 0, 0},
                 {"both must be 1 or more", 4, 0, 0, 0},
                 {"more than the context of 64", 60, 5, 0, 0},
                 {"more than the context of 64", UINT32_MAX, UINT32_MAX, 0, 0},
                 {"in chunks of 7 rows", 4, 4, 7, 0},
                 {"3 made-up cached rows of 4", 4, 4, 0, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct base_error error = {0};
        struct net_link *links[3];
        struct eng_usage usage[3];
        uint8_t bytes[ENG_REQUEST_BYTES], word[8];
        struct eng_request request = request_of(s, ENG_REQUEST_SAMPLE);
        request.prompt_tokens = cases[i].prompt;
        request.new_tokens = cases[i].new_tokens;
        request.made_up = cases[i].made_up;
        request.chunk = cases[i].chunk != 0 ? cases[i].chunk : request.chunk;
        check_ok(eng_local_start(s->local, links, &error), &error, "start");
        eng_request_encode(&request, bytes);
        for (int party = 0; party < 3; party++)
            check_ok(net_link_send_blob(links[party], 0, bytes, sizeof bytes, &error), &error, "send");
        assert_int_equal(eng_local_wait(s->local, usage, &error), BASE_ERR_ARGUMENT);
        assert_non_null(strstr(error.text, cases[i].says));
        for (int party = 0; party < 3; party++) {
            struct base_error told = {0};
            assert_int_equal(net_link_receive(links[party], 0, word, sizeof word, &told), BASE_ERR_CLOSED);
            assert_non_null(strstr(told.text, cases[i].says));
        }
    }
    struct eng_generated answer;
    struct eng_usage usage[3];
    ask(s, ENG_REQUEST_SAMPLE, 0, &answer, usage);
    eng_generated_finish(&answer);
}

static void test_not_a_request(void **state)
{
    struct stage *s = *state;
    struct base_error error = {0};
    struct net_link *links[3];
    struct eng_usage usage[3];
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    for (int party = 0; party < 3; party++)
        check_ok(net_link_send_blob(links[party], 0, "good morning", 12, &error), &error, "send");
    assert_int_equal(eng_local_wait(s->local, usage, &error), BASE_ERR_PEER);
    assert_non_null(strstr(error.text, "12 bytes is not one of this version"));
}

static void test_pings(void **state)
{
    struct stage *s = *state;
    struct base_error error = {0};
    struct net_link *links[3];
    struct eng_usage usage[3];
    double seconds;
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    for (int party = 0; party < 3; party++) {
        check_ok(eng_ping(links[party], 8, &seconds, &error), &error, "ping");
        check_ok(eng_ping(links[party], 1 << 20, &seconds, &error), &error, "ping");
        struct base_error bye = {.code = BASE_ERR_CLOSED, .text = "done"};
        net_link_abort(links[party], &bye);
    }
    check_ok(eng_local_wait(s->local, usage, &error), &error, "wait");
    assert_int_equal(usage[0].prefill.tokens, 0);
}

/* A client that goes in the middle of its answer: every party ends with an error and says so to the others.
 */
static void test_client_gone(void **state)
{
    struct stage *s = *state;
    struct base_error error = {0}, bye = {.code = BASE_ERR_CLOSED, .text = "the client was closed"};
    struct net_link *links[3];
    struct eng_usage usage[3];
    struct eng_remote remote;
    struct eng_request request = request_of(s, ENG_REQUEST_SAMPLE);
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    struct eng_remote_form form = remote_form(s, links);
    check_ok(eng_remote_begin(&remote, &form, &request, false, &error), &error, "begin");
    for (int party = 0; party < 3; party++)
        net_link_abort(links[party], &bye);
    assert_int_equal(eng_local_wait(s->local, usage, &error), BASE_ERR_CLOSED);
    assert_non_null(strstr(error.text, "the client was closed"));
    eng_remote_finish(&remote);
}

/* A client that gives one party another request than the others, or another mask key than its holder: all
 * three refuse before anything is dealt. */
static void test_differing_requests(void **state)
{
    struct stage *s = *state;
    for (int kind = 0; kind < 6; kind++) {
        struct base_error error = {0};
        struct net_link *links[3];
        struct eng_usage usage[3];
        struct eng_local *local = make_parties(&s->model, s->chunk, s->kern);
        check_ok(eng_local_start(local, links, &error), &error, "start");
        for (int party = 0; party < 3; party++) {
            uint8_t bytes[ENG_REQUEST_BYTES];
            struct eng_request request = request_of(s, ENG_REQUEST_SAMPLE);
            request.new_tokens += kind < 3 && party == kind;
            request.nonce[0] = kind == 3 && party == 1;
            request.key1[0] = kind == 4 && party == 1;
            request.key2[0] = kind == 5 && party == 2;
            eng_request_encode(&request, bytes);
            check_ok(net_link_send_blob(links[party], 0, bytes, sizeof bytes, &error), &error, "send");
        }
        assert_int_equal(eng_local_wait(local, usage, &error), BASE_ERR_PEER);
        assert_non_null(strstr(error.text, "another request than this party"));
        assert_int_equal(usage[0].prefill.offline, 0);
        eng_local_destroy(&local);
    }
}

/* --- void answers: real sessions, with a guard word that one role turns before it opens it ------------ */

/* The linker sends calls of mpc_open_guard to __wrap_mpc_open_guard, and calls of __real_mpc_open_guard to
 * mpc_open_guard. */
enum base_status __real_mpc_open_guard(struct mpc_party *p);
enum base_status __wrap_mpc_open_guard(struct mpc_party *p);

static struct {
    bool by[MPC_COUNT]; /* roles that turn their word */
    size_t at;          /* in the step of this number */
    size_t steps[MPC_COUNT];
} plant;

enum base_status __wrap_mpc_open_guard(struct mpc_party *p)
{
    if (plant.steps[p->role]++ == plant.at && plant.by[p->role])
        p->guard ^= UINT64_C(1) << 40;
    return __real_mpc_open_guard(p);
}

static void plant_at(size_t at, enum mpc_role role)
{
    memset(&plant, 0, sizeof plant);
    plant.at = at;
    plant.by[role] = true;
}

/* A request that fails: returns the tokens that came before. */
static size_t ask_void(struct stage *s, enum eng_request_mode mode, struct eng_usage usage[3],
                       struct base_error *ret_error)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_generated answer;
    struct counter counter = {0};
    assert_int_equal(begin_and_generate(s, mode, &counter, &remote, &answer, ret_error), BASE_ERR_RANGE);
    assert_true(remote.ended);
    check_ok(eng_local_wait(s->local, usage, &error), &error, "wait");
    eng_remote_finish(&remote);
    return counter.tokens;
}

static void check_same_phase(const struct eng_phase_usage *a, const struct eng_phase_usage *b)
{
    assert_int_equal(a->tokens, b->tokens);
    assert_int_equal(a->rounds, b->rounds);
    assert_int_equal(a->online, b->online);
    assert_int_equal(a->offline, b->offline);
}

/* The client hears of it, in whichever step of whichever party it was, and of a prompt at its end. To the
 * parties it is a request that ended early, and they serve the next one. */
static void test_void(void **state)
{
    enum { PROMPT_STEPS = (PROMPT + SMALL_CHUNK - 1) / SMALL_CHUNK, LAST = PROMPT_STEPS + NEW_TOKENS - 2 };
    static const size_t steps[] = {0, 1, PROMPT_STEPS - 1, PROMPT_STEPS, PROMPT_STEPS + 3, LAST};
    static const enum eng_request_mode modes[] = {ENG_REQUEST_SAMPLE, ENG_REQUEST_ARGMAX};
    struct stage *whole = *state, stage = *whole, *s = &stage;
    struct eng_generated clear, answer;
    struct eng_usage usage[3], usual[3];
    ask_twin(s, ENG_REQUEST_SAMPLE, &clear);
    s->chunk = SMALL_CHUNK;
    s->local = make_parties(&s->model, s->chunk, s->kern);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t before = steps[i] < PROMPT_STEPS ? 0 : steps[i] + 1 - PROMPT_STEPS;
        enum eng_request_mode mode = modes[i % 2];
        struct base_error error = {0};
        plant_at(steps[i], i % 3 == 0 ? MPC_LEFT : MPC_RIGHT);
        assert_int_equal(ask_void(s, mode, usage, &error), before);
        assert_non_null(strstr(error.text, "left the range"));
        assert_non_null(strstr(error.text, "`cachet plan --text`"));
        plant_at(0, MPC_HELPER);
        ask(s, mode, before + 1, &answer, usual);
        assert_memory_equal(answer.tokens, clear.tokens, (before + 1) * sizeof *clear.tokens);
        eng_generated_finish(&answer);
        for (int party = 0; party < 3; party++) {
            check_same_phase(&usage[party].prefill, &usual[party].prefill);
            if (party > 0)
                check_same_phase(&usage[party].decode, &usual[party].decode);
            assert_true(party == 0 || usage[party].opened == usual[party].opened);
        }
    }
    /* Words that are turned alike are equal: it is their difference that counts. */
    plant_at(1, MPC_LEFT);
    plant.by[MPC_RIGHT] = true;
    ask(s, ENG_REQUEST_SAMPLE, 0, &answer, usage);
    assert_memory_equal(answer.tokens, clear.tokens, NEW_TOKENS * sizeof *clear.tokens);
    assert_int_equal(usage[1].opened,
                     NEW_TOKENS * (s->model.source.shape->vocab + 1) + PROMPT_STEPS + NEW_TOKENS - 1);
    eng_generated_finish(&answer);
    eng_generated_finish(&clear);
    eng_local_destroy(&s->local);
}

/* The twin says the same, and goes on with the next request. */
static void test_void_twin(void **state)
{
    struct stage *s = *state;
    struct base_error error = {0}, said = {0};
    struct eng_twin twin;
    struct counter counter = {0};
    struct eng_generated answer;
    struct eng_answer none = {0};
    check_ok(eng_twin_init(&twin, form_of(&s->model, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE,
                           &error),
             &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    struct eng_generation g = generation_of(s, &backend, &counter);
    twin.party.guard = 1;
    assert_int_equal(backend.step(backend.context, s->model.samples[2], 2, 0, &none, &said), BASE_ERR_RANGE);
    assert_int_equal(eng_fail_void(&error), BASE_ERR_RANGE);
    assert_string_equal(said.text, error.text);
    eng_twin_reset(&twin);
    error = (struct base_error){0};
    check_ok(eng_generate(&g, &answer, &error), &error, "twin");
    eng_generated_finish(&answer);
    eng_twin_finish(&twin);
}

/* Of the key of P1 and P2 P0 keeps nothing. */
static void test_keys_go_to_their_holders(void **state)
{
    static const uint8_t keys[3][ENG_SESSION_KEY] = {{1}, {2}, {3}}, none[ENG_SESSION_KEY];
    (void)state;
    for (int role = 0; role < 3; role++) {
        struct eng_session_keys kept = {0};
        struct eng_session s = {.party.role = (enum mpc_role)role, .keys = &kept};
        eng_session_set_keys(&s, keys[0], keys[1], keys[2]);
        assert_memory_equal(kept.key1, role == 2 ? none : keys[0], ENG_SESSION_KEY);
        assert_memory_equal(kept.key2, role == 1 ? none : keys[1], ENG_SESSION_KEY);
        assert_memory_equal(kept.key12, role == 0 ? none : keys[2], ENG_SESSION_KEY);
    }
}

/* Of all sessions of the tests before it. */
static void test_no_draw_repeats(void **state)
{
    (void)state;
    assert_int_equal(recorder_says(), 0);
}

int main(void)
{
    /* The last one but one ends the links between the parties. */
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_after_the_other),
                                       cmocka_unit_test(test_chosen_inside),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_not_a_request),
                                       cmocka_unit_test(test_pings),
                                       cmocka_unit_test(test_void),
                                       cmocka_unit_test(test_void_twin),
                                       cmocka_unit_test(test_keys_go_to_their_holders),
                                       cmocka_unit_test(test_differing_requests),
                                       cmocka_unit_test(test_client_gone),
                                       cmocka_unit_test(test_no_draw_repeats)};
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
