/* Whole models between two parties alone: every wire of prefill and decode steps against the twin on equal inputs, declared against counted cost,
 * transcripts of both phases; ahead of time runs to its end before any input exists. Products each way: all encrypted, with K and V of a text and the weights;
 * all by Gilboa, which is the oracle; each in the cheaper way. */
#include "tests/engine/decoder/request_support.h"
#include "tests/support/two_parties.h"

static struct model_options two(void)
{
    return (struct model_options){.general_attention = true, .general_activation = true, .fold = true, .pair = true};
}

/* Whether t is extended before q and k. */
static bool waits_for_t(const struct model *m)
{
    return eng_plan_norm_fraction(&m->plan, 0, ENG_NORM_ATTENTION) + eng_plan_key_ring(&m->plan, 0) > m->plan.ring;
}

/* Rounds of a step: three for embedding and head, two more where the logits have a bias; per layer 17, one for o and 1/S, and one
 * for p where the MLP has a gate. */
static size_t rounds_of(const struct model *m, const struct request *r)
{
    const struct eng_model_shape *shape = m->source.shape;
    size_t layer = 17 + 1 + (shape->activation != ENG_ACTIVATION_GELU) + waits_for_t(m);
    return r->steps * (3 + 2 * shape->layer_norm + m->plan.layers * layer);
}

/* The largest logit of each step. */
static void best_tokens(const struct trio *trio, size_t steps, size_t vocab, size_t *ret)
{
    int64_t *logits = must_alloc(vocab, sizeof *logits);
    for (size_t s = 0; s < steps; s++) {
        check_value(trio, s, logits, "logits");
        ret[s] = 0;
        for (size_t i = 1; i < vocab; i++)
            ret[s] = logits[i] > logits[ret[s]] ? i : ret[s];
    }
    free(logits);
}

/* The same request with P0, on a plan of the same calibration: the same tokens. */
static void check_tokens(const char *path, struct model_options options, struct request r, const struct trio *two)
{
    struct model model;
    struct trio three = {0};
    size_t of_two[REQUEST_STEPS], of_three[REQUEST_STEPS];
    options.pair = false;
    r.ahead = NULL;
    assert_true(model_open(&model, path, options));
    r.model = &model;
    request_run(&r, 5, &three, "with P0");
    best_tokens(two, r.steps, model.source.shape->vocab, of_two);
    best_tokens(&three, r.steps, model.source.shape->vocab, of_three);
    assert_memory_equal(of_two, of_three, r.steps * sizeof *of_two);
    trio_finish(&three);
    model_close(&model);
}

/* `twice`: with other tokens, too, over the same transcript. */
static void check_runs(const char *path, struct model_options options, struct request r, bool twice)
{
    struct model model;
    struct trio a = {0}, b = {0};
    struct base_error error = {0};
    options.context = r.context;
    r.ahead = &two_parties;
    if (!model_open(&model, path, options))
        skip();
    r.model = &model;
    request_run(&r, 5, &a, path);
    assert_int_equal(a.measured[0].rounds, rounds_of(&model, &r));
    check_tokens(path, options, r, &a);
    if (twice) {
        request_run(&r, 6, &b, path);
        check_ok(two_parties_same_transcript(&a, &b, &error), &error, "transcripts");
    }
    trio_finish(&a);
    trio_finish(&b);
    model_close(&model);
}

static void check_model(const char *path, struct model_options options, struct request r)
{
    check_runs(path, options, r, true);
}

static const struct request plain_request = {.policy = &kv_policy_full, .rows = {4, 1, 1}, .steps = 3, .context = 24, .chunk = 4};

static void test_odd_extents(void **state)
{
    struct model_options o = two();
    (void)state;
    o.shape = &model_odd_shape;
    check_model("odd", o, plain_request);
}

/* The widest layer takes 19 rounds, of any plan that leaves room for t; else 20, and every wire is right all the same. */
static void test_rounds(void **state)
{
    const struct request few = {.policy = &kv_policy_full, .rows = {2, 1}, .steps = 2, .context = 24, .chunk = 4};
    struct model_options o = two();
    struct model model;
    (void)state;
    o.shape = &model_odd_shape;
    o.context = few.context;
    assert_true(model_open(&model, "odd", o));
    struct request r = few;
    r.model = &model;
    assert_false(waits_for_t(&model));
    assert_int_equal(rounds_of(&model, &r), r.steps * (3 + model.plan.layers * 19));
    assert_true(model.gates.layer[0].norm[ENG_NORM_ATTENTION].grid.error[0] < 0x1p-11);
    model_close(&model);
    o.roomy = true;
    assert_true(model_open(&model, "odd, roomy", o));
    assert_true(waits_for_t(&model));
    model_close(&model);
    check_model("odd, roomy", o, few);
}

/* Plans of long contexts: 1/S in windows of 2^14 cells at most, in as many rounds; a step runs, and gives the tokens that it gives with P0. */
static void test_long_contexts(void **state)
{
    struct model_options o = two();
    struct model model;
    (void)state;
    o.shape = &model_odd_shape;
    for (size_t context = 512; context <= 2048; context *= 2) {
        o.context = context;
        assert_true(model_open(&model, "odd, long", o));
        assert_true(model.gates.windows.low.h <= 14 && model.gates.windows.high.h <= 14 && model.gates.windows.error < 0x1p-13);
        model_close(&model);
        check_runs("odd, long", o, (struct request){.policy = &kv_policy_full, .rows = {3, 1}, .steps = 2, .context = context, .chunk = 4}, false);
    }
}

/* GELU and biases of Q, K and V. */
static void test_mlp_without_gate(void **state)
{
    struct model_options o = two();
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    shape.activation = ENG_ACTIVATION_GELU;
    shape.qkv_bias = true;
    o.shape = &shape;
    check_model("odd, GELU", o, plain_request);
}

/* LayerNorm, learned positions, biases everywhere: two rounds more for the rms that the logits' biases are multiplied by. */
static void test_gpt2(void **state)
{
    const struct eng_model_shape shape = {.layers = 2, .width = 24, .heads = 4, .kv_heads = 4, .head_dim = 6, .ffn = 50, .vocab = 97, .context = 64,
                                          .norm_eps = 1e-5, .tied = true, .qkv_bias = true, .linear_bias = true, .layer_norm = true, .positions = true,
                                          .activation = ENG_ACTIVATION_GELU, .bos = -1, .model_type = "gpt2"};
    struct model_options o = two();
    (void)state;
    o.shape = &shape;
    check_model("GPT-2", o, plain_request);
}

/* Slots turn while decoding. */
static void test_window(void **state)
{
    struct request r = {.rows = {4, 4, 1, 1}, .steps = 4, .context = 24, .chunk = 4};
    struct model_options o = two();
    struct base_error error = {0};
    (void)state;
    assert_int_equal(kv_config_parse("window:sinks=1:window=4", 0, &r.policy, &r.config, &error), BASE_OK);
    o.shape = &model_odd_shape;
    check_model("odd, window", o, r);
}

/* What two parties cannot make is refused by the count role already: at plan time. */
static void check_refused(struct model_options options, const char *text)
{
    struct model model;
    struct trio trio = {0};
    struct base_error error = {0};
    struct request r = plain_request;
    options.context = r.context;
    options.shape = &model_odd_shape;
    assert_true(model_open(&model, "odd", options));
    r.model = &model;
    r.ahead = &two_parties;
    assert_int_equal(request_try(&r, 5, &trio, &error), BASE_ERR_SUPPORT);
    assert_non_null(strstr(error.text, text));
    trio_finish(&trio);
    model_close(&model);
}

static void test_dealt_gates_are_refused(void **state)
{
    struct model_options waves = two();
    (void)state;
    waves.pair = false;
    check_refused(waves, "two parties do not make");
    check_refused((struct model_options){0}, "two parties");
}

/* Encrypted throughout: extents of a few words in coefficients and columns, groups of heads that do not come out even, GQA. */
static void test_odd_extents_encrypted(void **state)
{
    struct model_options o = two();
    struct request r = plain_request;
    (void)state;
    o.shape = &model_odd_shape;
    r.linear = TRIO_ENCRYPTED;
    check_model("odd, encrypted", o, r);
    r.linear = TRIO_GILBOA;
    check_model("odd, by Gilboa", o, r);
}

/* A ring of slots: K's coefficients run on into new sets, V's columns are replaced; what a slot held before is never answered for. */
static void test_window_encrypted(void **state)
{
    struct request r = {.rows = {4, 4, 1, 1, 1, 1, 1, 1}, .steps = 8, .context = 24, .chunk = 4, .linear = TRIO_ENCRYPTED};
    struct model_options o = two();
    struct base_error error = {0};
    (void)state;
    assert_int_equal(kv_config_parse("window:sinks=1:window=4", 0, &r.policy, &r.config, &error), BASE_OK);
    o.shape = &model_odd_shape;
    check_runs("odd, window, encrypted", o, r, false);
}

static void test_stories260k(void **state)
{
    (void)state;
    struct request r = plain_request;
    r.linear = TRIO_GILBOA;
    check_model("../shared/models/stories260K/stories260K.bin", two(), r);
}

/* Rows that go, or are chosen, by secret scores. Products by Gilboa, which is fast where there is little of them. */
static struct request chosen(const char *policy, struct model *ret)
{
    struct base_error error = {0};
    struct model_options o = two();
    struct request r = {.rows = {8, 8, 1, 1, 1}, .steps = 5, .context = 24, .chunk = 8, .prompt = 16, .ahead = &two_parties, .model = ret, .linear = TRIO_GILBOA};
    check_ok(kv_config_parse(policy, 0, &r.policy, &r.config, &error), &error, policy);
    o.shape = &model_odd_shape;
    o.context = r.context;
    assert_true(model_open(ret, "odd", o));
    return r;
}

static void check_policy(const char *policy, int linear)
{
    struct model model;
    struct trio a = {0}, b = {0};
    struct base_error error = {0};
    struct request r = chosen(policy, &model);
    r.linear = linear;
    request_run(&r, 5, &a, policy);
    request_run(&r, 6, &b, policy);
    check_ok(two_parties_same_transcript(&a, &b, &error), &error, "transcripts");
    trio_finish(&a);
    trio_finish(&b);
    model_close(&model);
}

static void test_evictions(void **state)
{
    (void)state;
    check_policy("snapkv:budget=50:window=4", TRIO_GILBOA);
    /* Rows that were kept are encrypted anew: their masks are. */
    check_policy("h2o:keep=10:window=4:every=2", TRIO_ENCRYPTED);
    check_policy("blocks:keep=12:window=4:unit=4:sinks=0:means=1", TRIO_GILBOA);
}

static void test_selections(void **state)
{
    (void)state;
    check_policy("select:keep=12:window=4:unit=4:reuse=2:async=1", TRIO_GILBOA);
    check_policy("refresh:keep=12:window=4:unit=4:before=4:reuse=1:probe=2", TRIO_GILBOA);
}

/* Boxes of keys take comparisons of whole keys. */
static void test_boxes_are_refused(void **state)
{
    struct model model;
    struct trio trio = {0};
    struct base_error error = {0};
    (void)state;
    struct request r = chosen("select:keep=12:window=4:unit=4:reuse=2:score=box", &model);
    assert_int_equal(request_try(&r, 5, &trio, &error), BASE_ERR_SUPPORT);
    assert_non_null(strstr(error.text, "boxes"));
    trio_finish(&trio);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_odd_extents), cmocka_unit_test(test_rounds), cmocka_unit_test(test_long_contexts),
                                       cmocka_unit_test(test_mlp_without_gate),
                                       cmocka_unit_test(test_gpt2), cmocka_unit_test(test_window), cmocka_unit_test(test_odd_extents_encrypted),
                                       cmocka_unit_test(test_window_encrypted), cmocka_unit_test(test_dealt_gates_are_refused),
                                       cmocka_unit_test(test_evictions), cmocka_unit_test(test_selections), cmocka_unit_test(test_boxes_are_refused),
                                       cmocka_unit_test(test_stories260k)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
