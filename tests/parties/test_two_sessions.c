/* Two parties without P0 as sessions over links in memory, with a client that has no third link: requests one after the other, with the twin's tokens;
 * ends in the middle, refusals; material made ahead of use. */
#include "tests/engine/decoder/model_support.h"

#include "base/clock.h"
#include "base/random.h"
#include "engine/generate.h"
#include "engine/remote.h"
#include "engine/share_files.h"
#include "engine/twin.h"
#include "net/memory_link.h"
#include "parties/two.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONTEXT = 24, CHUNK = 4, PROMPT = 6, NEW_TOKENS = 4, LINK_LIMIT = 64 << 20 };

struct seat {
    struct party_two two;
    struct eng_session session;
    struct net_link *peer, *client; /* own ends */
    struct eng_served served;
    bool joining;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

struct stage {
    struct model model;
    const int32_t *prompt;
    uint32_t new_tokens;
    enum eng_text_source source; /* of the last request, as its client heard it */
    struct eng_usage usage[3];
    const struct kv_policy *policy;
    struct kv_config config;
    struct seat seat[3];
    struct net_link *client[3]; /* the client's ends */
    struct eng_sampler sampler;
};

static void *run_seat(void *argument)
{
    struct seat *s = argument;
    struct eng_session_links links = {{NULL, NULL, NULL}};
    links.to[3 - (int)s->session.party.role] = s->peer;
    s->status = s->joining ? eng_session_join(&s->session, &links, &s->error) : eng_session_serve(&s->session, s->client, &s->served, &s->error);
    return NULL;
}

static void start(struct stage *s, bool joining)
{
    for (int id = 1; id <= 2; id++) {
        s->seat[id].joining = joining;
        s->seat[id].error = (struct base_error){0};
        assert_int_equal(pthread_create(&s->seat[id].thread, NULL, run_seat, &s->seat[id]), 0);
    }
}

static void end(struct stage *s)
{
    for (int id = 1; id <= 2; id++)
        (void)pthread_join(s->seat[id].thread, NULL);
}

static struct eng_decoder_form form_of(const struct stage *s, enum mpc_role role)
{
    const struct model *m = &s->model;
    return (struct eng_decoder_form){.shape = m->source.shape, .plan = &m->plan, .weights = &m->weights[role], .gates = &m->gates,
                                     .policy = s->policy, .config = s->config, .context = CONTEXT, .chunk = CHUNK};
}

/* directory: of encrypted weights; NULL: they are not kept. */
static void open_seat(struct stage *s, int id, const char *directory)
{
    struct seat *seat = &s->seat[id];
    struct base_error error = {0};
    static const uint8_t digest[PAIR_STORE_DIGEST] = {5};
    check_ok(party_two_init(&seat->two, kern_table_select(~0u), &error), &error, "pair");
    if (directory != NULL)
        check_ok(party_two_keep(&seat->two, id, directory, digest, &error), &error, "keep");
    check_ok(eng_session_init(&seat->session, (enum mpc_role)id, form_of(s, (enum mpc_role)id), 1, kern_table_select(~0u), &error), &error, "session");
    check_ok(eng_session_set_maker(&seat->session, &seat->two.of_session, &error), &error, "maker");
}

/* Over fresh links. */
static void meet(struct stage *s)
{
    struct base_error error = {0};
    for (int id = 1; id <= 2; id++)
        net_link_destroy(&s->seat[id].peer);
    check_ok(net_memory_pair_create(&s->seat[1].peer, &s->seat[2].peer, "P1", "P2", 1, LINK_LIMIT, &error), &error, "links");
    start(s, true);
    end(s);
    for (int id = 1; id <= 2; id++)
        check_ok(s->seat[id].status, &s->seat[id].error, "join");
}

static int open_with(void **state, const char *policy)
{
    struct base_error error = {0};
    struct stage *s = must_alloc(1, sizeof *s);
    *state = s;
    check_ok(kv_config_parse(policy, 0, &s->policy, &s->config, &error), &error, policy);
    struct model_options o = {.general_attention = true, .general_activation = true, .fold = true, .pair = true, .context = CONTEXT, .shape = &model_odd_shape};
    assert_true(model_open(&s->model, "odd", o));
    s->prompt = s->model.samples[2];
    s->new_tokens = NEW_TOKENS;
    for (int id = 1; id <= 2; id++)
        open_seat(s, id, NULL);
    meet(s);
    check_ok(eng_sampler_init(&s->sampler, (struct eng_sampling){0}, s->model.source.shape->vocab, &error), &error, "sampler");
    return 0;
}

static int open_stage(void **state)
{
    return open_with(state, "full");
}

/* Rows go by secret scores, after the prompt and while decoding. */
static int open_choosing_stage(void **state)
{
    return open_with(state, "h2o:keep=5:window=2:every=1");
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    for (int id = 1; id <= 2; id++) {
        eng_session_finish(&s->seat[id].session);
        party_two_finish(&s->seat[id].two);
        net_link_destroy(&s->seat[id].peer);
        net_link_destroy(&s->seat[id].client);
        net_link_destroy(&s->client[id]);
    }
    eng_sampler_finish(&s->sampler);
    model_close(&s->model);
    free(s);
    return 0;
}

static void generate(struct stage *s, const struct eng_backend *backend, size_t stop_after, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct counter counter = {.stop_after = stop_after};
    struct eng_generation g = {.backend = backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &s->sampler,
                               .prompt = s->prompt, .prompt_tokens = PROMPT, .new_tokens = s->new_tokens, .ignore_eos = true,
                               .token = count_token, .context = &counter};
    check_ok(eng_generate(&g, ret, &error), &error, "generate");
}

static void open_links(struct stage *s)
{
    struct base_error error = {0};
    for (int id = 1; id <= 2; id++) {
        net_link_destroy(&s->seat[id].client);
        net_link_destroy(&s->client[id]);
        check_ok(net_memory_pair_create(&s->client[id], &s->seat[id].client, "client", id == 1 ? "P1" : "P2", (uint16_t)(10 + id), LINK_LIMIT, &error), &error,
                 "links");
    }
    start(s, false);
}

static struct eng_remote_form remote_form(const struct stage *s)
{
    return (struct eng_remote_form){.shape = s->model.source.shape, .plan = &s->model.plan, .link = {NULL, s->client[1], s->client[2]},
                                    .kern = kern_table_select(~0u)};
}

static const struct eng_request sample_request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = CHUNK, .mode = ENG_REQUEST_SAMPLE};

static void ask(struct stage *s, size_t stop_after, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_usage *usage = s->usage;
    struct eng_request request = sample_request;
    request.new_tokens = s->new_tokens;
    open_links(s);
    struct eng_remote_form form = remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &request, false, &error), &error, "begin");
    struct eng_backend backend = eng_remote_backend(&remote);
    generate(s, &backend, stop_after, ret);
    check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    end(s);
    s->source = remote.text_source;
    eng_remote_finish(&remote);
    for (int id = 1; id <= 2; id++) {
        check_ok(s->seat[id].status, &s->seat[id].error, "serve");
        assert_true(s->seat[id].served.joined);
        /* Per token one row of logits, one sum and one guard word leave the shares, and nothing else. */
        assert_int_equal(usage[id].opened, ret->count * (s->model.source.shape->vocab + 2) + 1); /* a guard word for the first chunk, too */
        uint64_t rounds = (ret->count - 1) * (3 + 19 * s->model.source.shape->layers);
        assert_true(s->policy == &kv_policy_full ? usage[id].decode.rounds == rounds : usage[id].decode.rounds >= rounds);
    }
}

static void twin_answer(struct stage *s, struct eng_generated *ret)
{
    struct eng_twin twin;
    struct base_error error = {0};
    check_ok(eng_twin_init(&twin, form_of(s, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error), &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    generate(s, &backend, 0, ret);
    eng_twin_finish(&twin);
}

/* The twin's tokens, each time: streams, caches, COTs and what was made for a step that was cut short leave nothing behind. */
static void test_one_after_the_other(void **state)
{
    struct stage *s = *state;
    struct eng_generated clear, answer;
    twin_answer(s, &clear);
    for (size_t stop_after = 0; stop_after <= 2; stop_after++) {
        size_t want = stop_after == 0 ? NEW_TOKENS : stop_after;
        ask(s, stop_after, &answer);
        assert_int_equal(answer.count, want);
        assert_memory_equal(answer.tokens, clear.tokens, want * sizeof *clear.tokens);
        eng_generated_finish(&answer);
    }
    eng_generated_finish(&clear);
}

/* Refused with a reason; the next request is answered. */
static void test_refusals(void **state)
{
    struct stage *s = *state;
    struct eng_generated answer;
    struct eng_request inside = sample_request;
    struct eng_remote remote;
    struct base_error error = {0};
    inside.mode = ENG_REQUEST_ARGMAX;
    open_links(s);
    struct eng_remote_form form = remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &inside, false, &error), &error, "begin");
    end(s);
    for (int id = 1; id <= 2; id++) {
        assert_int_equal(s->seat[id].status, BASE_ERR_SUPPORT);
        assert_non_null(strstr(s->seat[id].error.text, "let the client choose"));
        assert_true(s->seat[id].served.joined);
    }
    eng_remote_finish(&remote);
    ask(s, 1, &answer);
    eng_generated_finish(&answer);
}

/* A client that goes in the middle of a step, or of its making: both leave the run at one place, what was made for the rest is dropped, and the next
 * request is answered. */
static void test_client_goes(void **state)
{
    struct stage *s = *state;
    const struct eng_order step = {.kind = ENG_ORDER_STEP, .slots = 1};
    size_t vocab = s->model.source.shape->vocab;
    for (int64_t after = 0; after <= 120; after += 40) {
        struct eng_generated answer;
        struct eng_remote remote;
        struct base_error error = {0};
        int64_t *hot = must_alloc(CHUNK * vocab, sizeof *hot);
        for (size_t i = 0; i < CHUNK; i++)
            hot[i * vocab + i] = 1;
        open_links(s);
        struct eng_remote_form form = remote_form(s);
        check_ok(eng_remote_begin(&remote, &form, &sample_request, false, &error), &error, "begin");
        for (int id = 1; id <= 2; id++)
            check_ok(eng_order_send(s->client[id], 0, &step, &error), &error, "order");
        check_ok(mpc_client_give(&remote.client, hot, CHUNK * vocab, SEC_ROW_RING, &error), &error, "rows");
        base_sleep_ms(after);
        for (int id = 1; id <= 2; id++)
            net_link_destroy(&s->client[id]);
        end(s);
        for (int id = 1; id <= 2; id++) {
            assert_true(s->seat[id].served.joined);
            assert_int_not_equal(s->seat[id].status, BASE_OK);
        }
        eng_remote_finish(&remote);
        free(hot);
        ask(s, 2, &answer);
        assert_int_equal(answer.count, 2);
        eng_generated_finish(&answer);
    }
}

/* Of both parties: whether they encrypted weights since they met last. */
static bool encrypted_weights(const struct stage *s)
{
    const struct pair_cost *once[3] = {NULL, &s->seat[1].two.maker.once, &s->seat[2].two.maker.once};
    assert_memory_equal(once[1], once[2], sizeof *once[1]);
    for (int id = 1; id <= 2; id++)
        assert_true(s->seat[id].two.weights.complete);
    assert_memory_equal(s->seat[1].two.weights.id, s->seat[2].two.weights.id, PAIR_SESSION);
    return once[1]->exchanges > 0;
}

static void check_answer(struct stage *s, const struct eng_generated *clear)
{
    struct eng_generated answer;
    ask(s, 0, &answer);
    assert_int_equal(answer.count, clear->count);
    assert_memory_equal(answer.tokens, clear->tokens, clear->count * sizeof *clear->tokens);
    eng_generated_finish(&answer);
}

static void start_again(struct stage *s, const char *const directory[3])
{
    for (int id = 1; id <= 2; id++) {
        eng_session_finish(&s->seat[id].session);
        party_two_finish(&s->seat[id].two);
        open_seat(s, id, directory[id]);
    }
}

/* Weights are encrypted once: for all meetings of two processes, and for their next start where both have their files; if one has lost its own, anew. */
static void test_weights_are_kept(void **state)
{
    struct stage *s = *state;
    struct eng_generated clear;
    char first[] = "/tmp/cachet-two-XXXXXX", second[] = "/tmp/cachet-two-XXXXXX", path[3][64];
    const char *directory[3] = {NULL, mkdtemp(first), mkdtemp(second)};
    uint8_t id[PAIR_SESSION];
    twin_answer(s, &clear);
    meet(s);
    assert_false(encrypted_weights(s));
    check_answer(s, &clear);
    for (int party = 1; party <= 2; party++)
        (void)snprintf(path[party], sizeof path[party], "%s/encrypted-weights", directory[party]);
    start_again(s, directory);
    meet(s);
    assert_true(encrypted_weights(s));
    memcpy(id, s->seat[1].two.weights.id, sizeof id);
    start_again(s, directory);
    meet(s);
    assert_false(encrypted_weights(s));
    assert_memory_equal(id, s->seat[1].two.weights.id, sizeof id);
    check_answer(s, &clear);
    assert_int_equal(unlink(path[2]), 0);
    start_again(s, directory);
    meet(s);
    assert_true(encrypted_weights(s));
    assert_memory_not_equal(id, s->seat[1].two.weights.id, sizeof id);
    check_answer(s, &clear);
    for (int party = 1; party <= 2; party++) {
        assert_int_equal(unlink(path[party]), 0);
        assert_int_equal(rmdir(directory[party]), 0);
    }
    eng_generated_finish(&clear);
}

/* --- made ahead of use ------------------------------------------------------------------------------------------------------------------- */

struct folder {
    char path[3][64];
    struct net_key key[3];
};

/* Both have spools from here on, and have met anew. */
static void open_spools(struct stage *s, struct folder *f)
{
    struct base_error error = {0};
    static const struct net_hello_field field = {.name = "model", .text = "odd"};
    for (int id = 1; id <= 2; id++) {
        (void)snprintf(f->path[id], sizeof f->path[id], "/tmp/cachet-two-XXXXXX");
        assert_non_null(mkdtemp(f->path[id]));
        check_ok(net_key_generate(&f->key[id], &error), &error, "key");
        const struct party_two_spool form = {.directory = f->path[id], .party = id, .key = &f->key[id], .fields = &field, .field_count = 1, .most = 4};
        check_ok(party_two_open_spool(&s->seat[id].two, &form, &error), &error, "spool");
    }
}

static void join_again(struct stage *s)
{
    start(s, true);
    end(s);
    for (int id = 1; id <= 2; id++)
        check_ok(s->seat[id].status, &s->seat[id].error, "join");
}

static void close_spools(struct stage *s, struct folder *f)
{
    for (int id = 1; id <= 2; id++) {
        pair_spool_close(&s->seat[id].two.spool);
        net_key_finish(&f->key[id]);
        eng_remove_tree(f->path[id]);
    }
    join_again(s);
}

/* Texts of sample_request; `steps` > 0: the client goes after so many steps. */
static void prepare(struct stage *s, size_t texts, size_t steps)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_usage usage[3] = {{{0}, {0}, 0, 0}};
    struct eng_request request = sample_request;
    struct eng_remote_step done;
    const struct eng_order step = {.kind = ENG_ORDER_STEP, .slots = 1}, close = {.kind = ENG_ORDER_CLOSE, .slots = 1},
                           open = {.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS};
    size_t all = 0;
    request.prepare = true;
    open_links(s);
    struct eng_remote_form form = remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &request, false, &error), &error, "begin");
    for (size_t text = 0; text < texts && (steps == 0 || all < steps); text++) {
        for (int i = 0; text > 0 && i < 2; i++) {
            check_ok(eng_remote_plan(&remote, i == 0 ? &close : &open, &error), &error, "plan");
            check_ok(eng_remote_run(&remote, NULL, NULL, &done, &error), &error, "slot");
        }
        while (remote.slot[0].fed < PROMPT + NEW_TOKENS - 1 && (steps == 0 || all < steps)) {
            check_ok(eng_remote_plan(&remote, &step, &error), &error, "plan");
            check_ok(eng_remote_run(&remote, NULL, NULL, &done, &error), &error, "step");
            assert_true(done.report[1].dealt > 0);
            all++;
        }
    }
    if (steps == 0)
        check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    for (int id = 1; id <= 2 && steps > 0; id++)
        net_link_destroy(&s->client[id]);
    end(s);
    eng_remote_finish(&remote);
    for (int id = 1; id <= 2; id++) {
        assert_true(s->seat[id].served.joined);
        assert_true((s->seat[id].status == BASE_OK) == (steps == 0));
        assert_int_equal(usage[id].opened, 0);
    }
}

static void ask_well(struct stage *s, size_t stop_after, enum eng_text_source source)
{
    struct eng_generated clear, answer;
    twin_answer(s, &clear);
    ask(s, stop_after, &answer);
    assert_int_equal(answer.count, stop_after == 0 ? s->new_tokens : stop_after);
    assert_memory_equal(answer.tokens, clear.tokens, answer.count * sizeof *answer.tokens);
    assert_int_equal(s->source, source);
    for (int id = 1; id <= 2; id++)
        assert_true((s->usage[id].prefill.offline == 0) == (source == ENG_TEXT_SPOOLED));
    eng_generated_finish(&clear);
    eng_generated_finish(&answer);
}

static size_t waiting(const struct stage *s)
{
    assert_int_equal(s->seat[1].two.spool.count, s->seat[2].two.spool.count);
    return s->seat[1].two.spool.count;
}

/* What P1's link to P2 carried: sizes, steps and order. */
struct transcript {
    uint64_t digest, sent;
};

static void trace(void *context, int sent, uint32_t step, size_t payload_bytes)
{
    struct transcript *t = context;
    t->digest = base_random_mix(t->digest ^ ((uint64_t)payload_bytes << 33 | (uint64_t)step << 1 | (uint64_t)sent));
    t->sent += sent ? payload_bytes : 0;
}

/* Making a text and using it look alike, whatever the text says; use sends nothing of what was made, and the tokens are the twin's. */
static void test_made_ahead(void **state)
{
    enum { PROMPTS = 2, CONFIRM = 32, TAKE = 20, PART = 8 };
    struct stage *s = *state;
    struct folder folder;
    struct transcript made[PROMPTS] = {{0}}, used[PROMPTS] = {{0}};
    open_spools(s, &folder);
    for (int i = 0; i < PROMPTS; i++) {
        s->prompt = s->model.samples[i];
        join_again(s);
        net_link_set_trace(s->seat[1].peer, trace, &made[i]);
        prepare(s, 1, 0);
        assert_int_equal(waiting(s), 1);
        net_link_set_trace(s->seat[1].peer, trace, &used[i]);
        ask_well(s, 0, ENG_TEXT_SPOOLED);
        net_link_set_trace(s->seat[1].peer, NULL, NULL);
        assert_int_equal(waiting(s), 0);
        assert_int_equal(used[i].sent, s->usage[1].prefill.online + s->usage[1].decode.online + CONFIRM + TAKE + PART);
        assert_memory_equal(&made[i], &made[0], sizeof made[0]);
        assert_memory_equal(&used[i], &used[0], sizeof used[0]);
    }
    assert_true(made[0].sent > 10 * used[0].sent);
    close_spools(s, &folder);
}

/* A text is used once, whole or in its beginning, also after the parties have met anew; then the next one, then none: made, or refused. */
static void test_used_once(void **state)
{
    struct stage *s = *state;
    struct folder folder;
    open_spools(s, &folder);
    join_again(s);
    prepare(s, 3, 0);
    assert_int_equal(waiting(s), 3);
    ask_well(s, 2, ENG_TEXT_SPOOLED); /* the client leaves early: what is left of the text is lost */
    assert_int_equal(waiting(s), 2);
    join_again(s); /* another Delta */
    assert_int_equal(waiting(s), 2);
    s->new_tokens = NEW_TOKENS - 1; /* fewer than it was made for */
    ask_well(s, 0, ENG_TEXT_SPOOLED);
    s->new_tokens = NEW_TOKENS + 1; /* more */
    ask_well(s, 1, ENG_TEXT_DRY);
    s->new_tokens = NEW_TOKENS;
    assert_int_equal(waiting(s), 1);
    ask_well(s, 0, ENG_TEXT_SPOOLED);
    ask_well(s, 1, ENG_TEXT_DRY);
    prepare(s, 1, 0);
    ask_well(s, 0, ENG_TEXT_SPOOLED); /* made under the new Delta */
    for (int id = 1; id <= 2; id++)
        s->seat[id].two.refuses = true;
    struct eng_remote remote;
    struct base_error error = {0};
    open_links(s);
    struct eng_remote_form form = remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &sample_request, false, &error), &error, "begin");
    end(s);
    eng_remote_finish(&remote);
    for (int id = 1; id <= 2; id++) {
        assert_true(s->seat[id].served.joined);
        assert_int_equal(s->seat[id].status, BASE_ERR_ARGUMENT);
        assert_non_null(strstr(s->seat[id].error.text, "cachet prepare --prompt-tokens 6 --tokens 4"));
        s->seat[id].two.refuses = false;
    }
    close_spools(s, &folder);
}

/* Texts one after the other in one run, as a gateway asks: each takes its own material. */
static void test_one_run(void **state)
{
    struct stage *s = *state;
    struct folder folder;
    struct eng_remote remote;
    struct eng_usage usage[3];
    struct eng_remote_step done;
    struct base_error error = {0};
    struct eng_generated clear, answer;
    static const enum eng_text_source sources[] = {ENG_TEXT_SPOOLED, ENG_TEXT_SPOOLED, ENG_TEXT_DRY};
    const struct eng_order close = {.kind = ENG_ORDER_CLOSE, .slots = 1},
                           open = {.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS};
    open_spools(s, &folder);
    join_again(s);
    prepare(s, 2, 0);
    open_links(s);
    struct eng_remote_form form = remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &sample_request, false, &error), &error, "begin");
    for (int text = 0; text < 3; text++) {
        s->prompt = s->model.samples[text];
        for (int i = 0; text > 0 && i < 2; i++) {
            check_ok(eng_remote_plan(&remote, i == 0 ? &close : &open, &error), &error, "plan");
            check_ok(eng_remote_run(&remote, NULL, NULL, &done, &error), &error, "slot");
        }
        struct eng_backend backend = eng_remote_backend(&remote);
        twin_answer(s, &clear);
        generate(s, &backend, 0, &answer);
        assert_int_equal(remote.text_source, sources[text]);
        assert_int_equal(remote.texts_left, text == 0);
        assert_int_equal(answer.count, clear.count);
        assert_memory_equal(answer.tokens, clear.tokens, clear.count * sizeof *clear.tokens);
        eng_generated_finish(&clear);
        eng_generated_finish(&answer);
    }
    check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    end(s);
    eng_remote_finish(&remote);
    close_spools(s, &folder);
}

/* A client that goes while material is made: what is complete stays, the rest leaves nothing. */
static void test_prepare_left(void **state)
{
    enum { TEXT_STEPS = 2 + NEW_TOKENS - 1 };
    struct stage *s = *state;
    struct folder folder;
    open_spools(s, &folder);
    join_again(s);
    prepare(s, 2, 1);
    assert_int_equal(waiting(s), 0);
    prepare(s, 2, TEXT_STEPS + 1);
    assert_int_equal(waiting(s), 1);
    ask_well(s, 0, ENG_TEXT_SPOOLED);
    prepare(s, 1, 0);
    assert_int_equal(waiting(s), 1);
    close_spools(s, &folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_after_the_other), cmocka_unit_test(test_refusals), cmocka_unit_test(test_client_goes), cmocka_unit_test(test_weights_are_kept),
                                       cmocka_unit_test(test_made_ahead), cmocka_unit_test(test_used_once), cmocka_unit_test(test_one_run), cmocka_unit_test(test_prepare_left)};
    const struct CMUnitTest choosing[] = {cmocka_unit_test(test_one_after_the_other)};
    int failed = cmocka_run_group_tests(tests, open_stage, close_stage);
    return failed + cmocka_run_group_tests(choosing, open_choosing_stage, close_stage);
}
