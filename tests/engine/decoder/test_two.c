/* Whole models between two parties alone: every wire of prefill and decode steps against the twin on equal inputs, declared against counted cost,
 * transcripts of both phases; ahead of time runs to its end before any input exists. Products each way: all encrypted, with K and V of a text and the weights;
 * all by Gilboa, which is the oracle; each in the cheaper way. */
#include "tests/engine/decoder/request_support.h"
#include "tests/support/two_parties.h"

static struct model_options two(void)
{
    return (struct model_options){.general_attention = true, .general_activation = true, .fold = true, .pair = true};
}

/* Rounds of a step: three for embedding and head, two more where the logits have a bias; per layer 17, one each for t, o and 1/S, t and
 * p; the last two where the MLP has a gate, whose products are wide. */
static size_t rounds_of(const struct model *m, const struct request *r)
{
    const struct eng_model_shape *shape = m->source.shape;
    size_t layer = 17 + 2 + 2 * (shape->activation != ENG_ACTIVATION_GELU);
    return r->steps * (3 + m->plan.layers * layer);
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

static void check_model(const char *path, struct model_options options, struct request r)
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
    request_run(&r, 6, &b, path);
    check_ok(two_parties_same_transcript(&a, &b, &error), &error, "transcripts");
    trio_finish(&a);
    trio_finish(&b);
    model_close(&model);
}

static const struct request plain_request = {.policy = &kv_policy_full, .rows = {4, 1, 1}, .steps = 3, .context = 24, .chunk = 4};

static void test_odd_extents(void **state)
{
    struct model_options o = two();
    (void)state;
    o.shape = &model_odd_shape;
    check_model("odd", o, plain_request);
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
    check_model("odd, window, encrypted", o, r);
}

static void test_stories260k(void **state)
{
    (void)state;
    check_model("../shared/models/stories260K/stories260K.bin", two(), plain_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_odd_extents), cmocka_unit_test(test_mlp_without_gate), cmocka_unit_test(test_window),
                                       cmocka_unit_test(test_odd_extents_encrypted), cmocka_unit_test(test_window_encrypted),
                                       cmocka_unit_test(test_dealt_gates_are_refused), cmocka_unit_test(test_stories260k)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
