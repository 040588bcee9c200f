/* Two parties without P0 as sessions over links in memory: material that is made ahead of use, used once, and never again. */
#include "tests/parties/two_stage.h"

#include "base/random.h"
#include "engine/share_files.h"

#include <stdlib.h>
#include <unistd.h>

struct folder {
    char path[3][64];
    struct net_key key[3];
};

/* Both have spools from here on, and have met anew. */
static void open_spools(struct two_stage *s, struct folder *f)
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

static void join_again(struct two_stage *s)
{
    two_start(s, true);
    two_end(s);
    for (int id = 1; id <= 2; id++)
        check_ok(s->seat[id].status, &s->seat[id].error, "join");
}

static void close_spools(struct two_stage *s, struct folder *f)
{
    for (int id = 1; id <= 2; id++) {
        pair_spool_close(&s->seat[id].two.spool);
        net_key_finish(&f->key[id]);
        eng_remove_tree(f->path[id]);
    }
    join_again(s);
}

/* Texts of two_sample_request; `steps` > 0: the client goes after so many steps. */
static void prepare(struct two_stage *s, size_t texts, size_t steps)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_usage usage[3] = {{{0}, {0}, 0, 0}};
    struct eng_request request = two_sample_request;
    struct eng_remote_step done;
    const struct eng_order step = {.kind = ENG_ORDER_STEP, .slots = 1}, close = {.kind = ENG_ORDER_CLOSE, .slots = 1},
                           open = {.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS};
    size_t all = 0;
    request.prepare = true;
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
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
    two_end(s);
    eng_remote_finish(&remote);
    for (int id = 1; id <= 2; id++) {
        assert_true(s->seat[id].served.joined);
        assert_true((s->seat[id].status == BASE_OK) == (steps == 0));
        assert_int_equal(usage[id].opened, 0);
    }
}

static void ask_well(struct two_stage *s, size_t stop_after, enum eng_text_source source)
{
    struct eng_generated clear, answer;
    two_twin_answer(s, &clear);
    two_ask(s, stop_after, &answer);
    assert_int_equal(answer.count, stop_after == 0 ? s->new_tokens : stop_after);
    assert_memory_equal(answer.tokens, clear.tokens, answer.count * sizeof *answer.tokens);
    assert_int_equal(s->source, source);
    for (int id = 1; id <= 2; id++)
        assert_true((s->usage[id].prefill.offline == 0) == (source == ENG_TEXT_SPOOLED));
    eng_generated_finish(&clear);
    eng_generated_finish(&answer);
}

static size_t waiting(const struct two_stage *s)
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
    struct two_stage *s = *state;
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
    struct two_stage *s = *state;
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
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &two_sample_request, false, &error), &error, "begin");
    two_end(s);
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
    struct two_stage *s = *state;
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
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &two_sample_request, false, &error), &error, "begin");
    for (int text = 0; text < 3; text++) {
        s->prompt = s->model.samples[text];
        for (int i = 0; text > 0 && i < 2; i++) {
            check_ok(eng_remote_plan(&remote, i == 0 ? &close : &open, &error), &error, "plan");
            check_ok(eng_remote_run(&remote, NULL, NULL, &done, &error), &error, "slot");
        }
        struct eng_backend backend = eng_remote_backend(&remote);
        two_twin_answer(s, &clear);
        two_generate(s, &backend, 0, &answer);
        assert_int_equal(remote.text_source, sources[text]);
        assert_int_equal(remote.texts_left, text == 0);
        assert_int_equal(answer.count, clear.count);
        assert_memory_equal(answer.tokens, clear.tokens, clear.count * sizeof *clear.tokens);
        eng_generated_finish(&clear);
        eng_generated_finish(&answer);
    }
    check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    two_end(s);
    eng_remote_finish(&remote);
    close_spools(s, &folder);
}

/* A client that goes while material is made: what is complete stays, the rest leaves nothing. */
static void test_prepare_left(void **state)
{
    enum { TEXT_STEPS = 2 + NEW_TOKENS - 1 };
    struct two_stage *s = *state;
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_ahead), cmocka_unit_test(test_used_once), cmocka_unit_test(test_one_run), cmocka_unit_test(test_prepare_left)};
    return cmocka_run_group_tests(tests, two_open_stage, two_close_stage);
}
