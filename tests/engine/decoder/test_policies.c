/* Cache policies on three roles: every wire against the twin on equal inputs, declared against counted cost,
 * transcripts; rounds of choices; and a prompt that is read once for several policies. */
#include "tests/engine/decoder/request_support.h"

#include "engine/twin.h"

enum { PROMPT = 84, CHUNK = 28, DECODED = 9, CONTEXT = 96 };

/* Three chunks and some decode steps. */
static struct request make_request(const char *policy)
{
    struct base_error error = {0};
    struct request r = {.rows = {CHUNK, CHUNK, CHUNK},
                        .steps = 3 + DECODED,
                        .context = CONTEXT,
                        .chunk = CHUNK,
                        .prompt = PROMPT};
    for (size_t s = 3; s < r.steps; s++)
        r.rows[s] = 1;
    check_ok(kv_config_parse(policy, 0, &r.policy, &r.config, &error), &error, policy);
    return r;
}

/* Two prompts of equal length: also what is kept, chosen and moved differs, and no frame does. */
static uint64_t check_policy(const struct model *model, const char *policy)
{
    struct trio a = {0}, b = {0};
    struct base_error error = {0};
    struct request r = make_request(policy);
    r.model = model;
    request_run(&r, 1, &a, policy);
    request_run(&r, 2, &b, policy);
    check_ok(trio_same_transcript(&a, &b, &error), &error, policy);
    uint64_t rounds = a.measured[0].rounds;
    trio_finish(&a);
    trio_finish(&b);
    return rounds;
}

static const char *const policies[] = {
    "window:sinks=2:window=30",
    "a-shape:sinks=2:window=30",
    "mpcache:budget=50",
    "mpcache:budget=50:unit=4",
    "snapkv:budget=50:window=8",
    "pyramidkv:budget=50:window=4",
    "h2o:budget=40:window=8:every=4",
    "h2o:budget=40:window=8:every=4:unit=4:heads=0",
    "tova:budget=40:every=3",
    "blocks:budget=50:window=8:unit=8",
    "blocks:budget=50:window=8:unit=8:means=1",
    "blocks:budget=50:window=8:unit=8:pool=3:heads=1",
    "bounded:keep=48:window=8:unit=4:chunk=28",
    "select:keep=32:window=8:unit=4:reuse=1",
    "select:keep=32:window=8:unit=4:reuse=4",
    "select:keep=32:window=8:unit=4:reuse=4:async=1",
    "select:keep=32:window=8:unit=4:reuse=2:share=2",
    "select:keep=32:window=8:unit=4:reuse=2:before=4",
    "select:keep=24:window=8:unit=4:reuse=2:static=60",
    "select:keep=32:window=8:unit=4:reuse=2:score=squares",
    "select:keep=32:window=8:unit=4:reuse=2:score=box",
    "select:keep=32:window=8:unit=4:reuse=2:score=alpha:share=2",
    "refresh:keep=32:window=8:unit=4:before=4:reuse=3",
    "refresh:keep=32:window=8:unit=4:before=4:reuse=1:probe=2",
    "refresh:keep=24:window=8:unit=8:before=4:reuse=3:probe=4",
    "mpcache:keep=24:unit=4:static=100:share=1:levels=1:heads=0",
    "mpcache:keep=24:unit=4:static=70",
    "razor:full=20:sinks=2:window=12",
    "duo:full=20:sinks=2:window=12",
    "prefixkv:budget=50",
};

static void check_all(struct model_options options)
{
    struct model model;
    options.context = CONTEXT;
    if (!model_open(&model, "models/keeper", options))
        skip();
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        (void)check_policy(&model, policies[i]);
    model_close(&model);
}

static void test_policies(void **state)
{
    (void)state;
    check_all((struct model_options){0});
}

static void test_policies_general(void **state)
{
    (void)state;
    check_all((struct model_options){.general_attention = true});
}

/* Learned positions, LayerNorm and biases: nothing of them is a policy's. */
static void test_gpt2(void **state)
{
    static const char *const some[] = {"window:sinks=2:window=30",
                                       "snapkv:budget=50:window=8",
                                       "bounded:keep=48:window=8:unit=4:chunk=28",
                                       "select:keep=32:window=8:unit=4:reuse=4:async=1",
                                       "refresh:keep=32:window=8:unit=4:before=4:reuse=3",
                                       "razor:full=20:sinks=2:window=12"};
    const struct eng_model_shape shape = {.layers = 2,
                                          .width = 24,
                                          .heads = 4,
                                          .kv_heads = 4,
                                          .head_dim = 6,
                                          .ffn = 50,
                                          .vocab = 97,
                                          .context = CONTEXT,
                                          .norm_eps = 1e-5,
                                          .tied = true,
                                          .qkv_bias = true,
                                          .linear_bias = true,
                                          .layer_norm = true,
                                          .positions = true,
                                          .activation = ENG_ACTIVATION_GELU,
                                          .bos = -1,
                                          .model_type = "gpt2"};
    struct model model;
    (void)state;
    assert_true(model_open(&model, "GPT-2", (struct model_options){.context = CONTEXT, .shape = &shape}));
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        (void)check_policy(&model, some[i]);
    model_close(&model);
}

/* A fresh set costs rounds, one that is reused or was chosen ahead none. */
static void test_rounds(void **state)
{
    struct model model;
    (void)state;
    if (!model_open(&model, "models/keeper", (struct model_options){.context = CONTEXT}))
        skip();
    uint64_t full = check_policy(&model, "full"),
             each = check_policy(&model, "select:keep=32:window=8:unit=4:reuse=1"),
             third = check_policy(&model, "select:keep=32:window=8:unit=4:reuse=3"),
             ahead = check_policy(&model, "select:keep=32:window=8:unit=4:reuse=3:async=1"),
             seldom = check_policy(&model, "select:keep=32:window=8:unit=4:reuse=9:async=1"),
             refresh = check_policy(&model, "refresh:keep=32:window=8:unit=4:before=4:reuse=1:probe=2");
    enum { FIRST = 17 }; /* scores, rank, choice, move, extension */
    uint64_t fresh = (each - full) / (DECODED * model.plan.layers);
    assert_true(fresh >= 4 && fresh <= 12);
    assert_int_equal(each, full + DECODED * model.plan.layers * fresh);
    assert_int_equal(third, full + (DECODED + 2) / 3 * model.plan.layers * fresh);
    /* The first choice alone, all layers together. */
    assert_int_equal(ahead, full + FIRST);
    assert_int_equal(seldom, ahead);
    assert_int_equal(refresh, full + FIRST - 1);
    model_close(&model);
}

static struct eng_decoder_form form_of(const struct model *m, const struct request *r)
{
    return (struct eng_decoder_form){.shape = m->source.shape,
                                     .plan = &m->plan,
                                     .weights = &m->weights[MPC_CLEAR],
                                     .gates = &m->gates,
                                     .policy = r->policy,
                                     .config = r->config,
                                     .context = CONTEXT,
                                     .chunk = CHUNK};
}

static void feed(struct eng_twin *twin, const int32_t *token, size_t first, size_t end, int64_t *ret_logits)
{
    struct eng_backend backend = eng_twin_backend(twin);
    struct base_error error = {0};
    int64_t square;
    struct eng_answer answer = {.logits = ret_logits, .squares = &square};
    while (first < end) {
        size_t n = end - first < CHUNK ? end - first : CHUNK;
        if (first >= PROMPT)
            n = 1;
        check_ok(backend.step(backend.context, token + first, n, 1, &answer, &error), &error, "step");
        first += n;
    }
}

/* Logits of a follower are those of a twin that has read the prompt itself. */
static void test_followers(void **state)
{
    enum { FOLLOWERS = 7 };
    const char *names[FOLLOWERS] = {"blocks:budget=50:window=8:unit=8",
                                    "mpcache:budget=50",
                                    "h2o:budget=40:window=8:every=4",
                                    "select:keep=32:window=8:unit=4:reuse=2:async=1",
                                    "razor:budget=50",
                                    "prefixkv:budget=50",
                                    "full"};
    struct model model;
    struct eng_twin leader, follower[FOLLOWERS], alone;
    struct eng_decoder *decoders[FOLLOWERS];
    struct base_error error = {0};
    (void)state;
    if (!model_open(&model, "models/keeper", (struct model_options){.context = CONTEXT}))
        skip();
    size_t vocab = model.source.shape->vocab;
    int64_t *got = must_alloc(vocab, sizeof *got), *want = must_alloc(vocab, sizeof *want);
    struct request full = make_request("full");
    check_ok(
        eng_twin_init(&leader, form_of(&model, &full), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error),
        &error, "leader");
    check_ok(eng_decoder_begin(&leader.decoder, &leader.party, PROMPT, DECODED, &error), &error, "begin");
    for (size_t i = 0; i < FOLLOWERS; i++) {
        struct request r = make_request(names[i]);
        check_ok(eng_twin_init(&follower[i], form_of(&model, &r), kern_table_select(~0u), ENG_REQUEST_SAMPLE,
                               &error),
                 &error, names[i]);
        check_ok(eng_decoder_begin(&follower[i].decoder, &follower[i].party, PROMPT, DECODED, &error), &error,
                 names[i]);
        decoders[i] = &follower[i].decoder;
    }
    check_ok(eng_decoder_follow(&leader.decoder, decoders, FOLLOWERS, &error), &error, "follow");
    feed(&leader, model.samples[0], 0, PROMPT, got);
    for (size_t i = 0; i < FOLLOWERS; i++) {
        struct request r = make_request(names[i]);
        check_ok(
            eng_twin_init(&alone, form_of(&model, &r), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error),
            &error, names[i]);
        check_ok(eng_decoder_begin(&alone.decoder, &alone.party, PROMPT, DECODED, &error), &error, names[i]);
        feed(&alone, model.samples[0], 0, PROMPT + DECODED, want);
        feed(&follower[i], model.samples[0], PROMPT, PROMPT + DECODED, got);
        assert_memory_equal(got, want, vocab * sizeof *got);
        eng_twin_finish(&alone);
        eng_twin_finish(&follower[i]);
    }
    eng_twin_finish(&leader);
    free(got);
    free(want);
    model_close(&model);
}

/* A policy that reads its prompt otherwise cannot follow. */
static void test_follow_refused(void **state)
{
    struct model model;
    struct eng_twin leader, follower;
    struct eng_decoder *decoders[1] = {&follower.decoder};
    struct base_error error = {0};
    (void)state;
    if (!model_open(&model, "models/keeper", (struct model_options){.context = CONTEXT}))
        skip();
    struct request full = make_request("full"),
                   other = make_request("bounded:keep=48:window=8:unit=4:chunk=28");
    check_ok(
        eng_twin_init(&leader, form_of(&model, &full), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error),
        &error, "leader");
    check_ok(
        eng_twin_init(&follower, form_of(&model, &other), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error),
        &error, "follower");
    check_ok(eng_decoder_begin(&leader.decoder, &leader.party, PROMPT, DECODED, &error), &error, "begin");
    check_ok(eng_decoder_begin(&follower.decoder, &follower.party, PROMPT, DECODED, &error), &error, "begin");
    assert_int_equal(eng_decoder_follow(&leader.decoder, decoders, 1, &error), BASE_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "bounded"));
    eng_twin_finish(&leader);
    eng_twin_finish(&follower);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),  cmocka_unit_test(test_policies_general),
        cmocka_unit_test(test_gpt2),      cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_followers), cmocka_unit_test(test_follow_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
