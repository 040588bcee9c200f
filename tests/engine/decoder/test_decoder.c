/* Whole models on three roles: every wire of prefill chunks and decode steps against the twin on equal
 * inputs, declared against counted cost, schedules, and transcripts. */
#include "tests/engine/decoder/request_support.h"

enum { PROMPT = 24 };

/* From x to x + W_o o. */
static int attention_rounds(const struct model *m, size_t layer, bool deferred)
{
    if (m->plan.layer[layer].attention == ENG_ATTENTION_CEILINGS)
        return eng_plan_maximum_range(&m->plan, layer) < 0 ? 9 : 11;
    return (deferred ? 10 : 11) + (m->plan.ring_sv != 0);
}

/* Rounds of a step: three for embedding and head, two more where the logits have biases, and the layers'. */
static size_t rounds_of(const struct model *m, const struct request *r)
{
    size_t total = 0;
    for (size_t s = 0; s < r->steps; s++) {
        bool deferred = r->rows[s] == 1 && !m->plan.fold;
        total += m->source.shape->layer_norm ? 5 : 3;
        for (size_t l = 0; l < m->plan.layers; l++)
            total += (size_t)(attention_rounds(m, l, deferred) + 6 + (m->plan.layer[l].wave != ENG_WAVE_NONE));
    }
    return total;
}

static void check_model(const char *path, struct model_options options, struct request r)
{
    struct model model;
    struct trio trio = {0};
    options.context = r.context;
    if (!model_open(&model, path, options))
        skip();
    r.model = &model;
    request_run(&r, 5, &trio, path);
    assert_int_equal(trio.measured[0].rounds, rounds_of(&model, &r));
    trio_finish(&trio);
    model_close(&model);
}

static const struct request plain_request = {
    .policy = &kv_policy_full, .rows = {PROMPT, 9, 1, 1, 1}, .steps = 5, .context = 64, .chunk = PROMPT};

static void test_keeper(void **state)
{
    (void)state;
    check_model("models/keeper", (struct model_options){0}, plain_request);
}

static struct model_options general(void)
{
    return (struct model_options){.general_attention = true, .general_activation = true};
}

static void test_keeper_general(void **state)
{
    struct model_options o = general();
    (void)state;
    check_model("models/keeper", o, plain_request);
    o.fold = true;
    check_model("models/keeper", o, plain_request);
    o.fold = false;
    o.thin = true;
    check_model("models/keeper", o, plain_request);
}

/* Cheap and general gates side by side. */
static void test_mixtures(void **state)
{
    struct model_options waves = {.general_attention = true}, ceilings = {.general_activation = true};
    (void)state;
    check_model("models/keeper", waves, plain_request);
    waves.thin = true;
    check_model("../shared/models/stories260K/stories260K.bin", waves, plain_request);
    check_model("models/keeper", ceilings, plain_request);
    struct eng_model_shape shape = model_odd_shape;
    shape.activation = ENG_ACTIVATION_GELU;
    waves.shape = ceilings.shape = &shape;
    check_model("odd, GELU", waves, plain_request);
    check_model("odd, GELU", ceilings, plain_request);
}

static void test_first_token_alone(void **state)
{
    struct request r = {.policy = &kv_policy_full, .rows = {1, 1, 1}, .steps = 3, .context = 8, .chunk = 1};
    (void)state;
    struct model_options o = general();
    check_model("models/keeper", (struct model_options){0}, r);
    check_model("models/keeper", o, r);
    o.thin = true;
    check_model("models/keeper", o, r);
}

/* The ring of slots turns during the prompt and again while decoding. */
static void test_window(void **state)
{
    struct request r = {.rows = {6, 6, 6, 6, 1, 1, 1, 1},
                        .steps = 8,
                        .context = 64,
                        .chunk = 6};
    struct base_error error = {0};
    (void)state;
    assert_int_equal(kv_config_parse("window:sinks=2:window=7", 0, &r.policy, &r.config, &error), BASE_OK);
    struct model_options o = general();
    check_model("models/keeper", (struct model_options){0}, r);
    check_model("models/keeper", o, r);
    o.thin = o.fold = true;
    check_model("models/keeper", o, r);
}

static void test_tinystories(void **state)
{
    (void)state;
    check_model("../shared/models/tinystories-656k", (struct model_options){0}, plain_request);
}

static void test_stories260k(void **state)
{
    (void)state;
    check_model("../shared/models/stories260K/stories260K.bin", (struct model_options){0}, plain_request);
}

static void test_odd_extents(void **state)
{
    (void)state;
    check_model("odd", (struct model_options){.shape = &model_odd_shape}, plain_request);
}

/* A layer that writes nothing: V, or what the MLP gives, is zero in every bit. */
static void test_silent_layers(void **state)
{
    static const enum eng_tensor tensors[] = {ENG_TENSOR_V, ENG_TENSOR_O, ENG_TENSOR_UP, ENG_TENSOR_DOWN};
    (void)state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        struct model_gain gain = {.tensor = tensors[i], .layer = 1, .rows = 64, .factor = 0};
        check_model("odd, a silent layer", (struct model_options){.shape = &model_odd_shape, .gain = gain}, plain_request);
    }
}

static void test_mlp_without_gate(void **state)
{
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    shape.activation = ENG_ACTIVATION_GELU;
    check_model("odd, GELU", (struct model_options){.shape = &shape}, plain_request);
}

static void test_biases(void **state)
{
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    shape.qkv_bias = true;
    check_model("odd, biases", (struct model_options){.shape = &shape}, plain_request);
}

/* The same with an odd number of heads and one K and V for all of them. */
static void test_gpt2(void **state)
{
    struct eng_model_shape shape = model_odd_shape;
    struct request r = plain_request;
    struct model_options o = general();
    (void)state;
    shape.activation = ENG_ACTIVATION_GELU;
    shape.qkv_bias = shape.linear_bias = shape.layer_norm = shape.positions = true;
    check_model("odd, GPT-2", (struct model_options){.shape = &shape}, r);
    o.shape = &shape;
    check_model("odd, GPT-2, general", o, r);
    o.thin = true;
    check_model("odd, GPT-2, thin", o, r);
    /* The head of every row. */
    r.all_logits = true;
    check_model("odd, GPT-2, all logits", (struct model_options){.shape = &shape}, r);
}

/* Models as transformers writes them. */
static void test_transformers(void **state)
{
    struct model_options waves = {.general_attention = true};
    (void)state;
    check_model("tests/support/transformers/gpt2", (struct model_options){0}, plain_request);
    check_model("tests/support/transformers/gpt2", waves, plain_request);
    check_model("tests/support/transformers/gpt2", general(), plain_request);
    check_model("tests/support/transformers/qwen2", (struct model_options){0}, plain_request);
    check_model("tests/support/transformers/qwen2", general(), plain_request);
}

/* Prompts of equal length: number, order, direction, step and size of every frame on every link are the same.
 */
static void test_equal_transcripts(void **state)
{
    struct model model;
    struct trio a = {0}, b = {0};
    struct base_error error = {0};
    (void)state;
    assert_true(model_open(&model, "models/keeper", (struct model_options){.context = 64}));
    struct request r = plain_request;
    r.model = &model;
    request_run(&r, 5, &a, "one prompt");
    request_run(&r, 6, &b, "another prompt");
    check_ok(trio_same_transcript(&a, &b, &error), &error, "transcripts");
    trio_finish(&a);
    trio_finish(&b);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper),        cmocka_unit_test(test_keeper_general),
        cmocka_unit_test(test_mixtures),      cmocka_unit_test(test_first_token_alone),
        cmocka_unit_test(test_window),        cmocka_unit_test(test_tinystories),
        cmocka_unit_test(test_stories260k),   cmocka_unit_test(test_odd_extents),
        cmocka_unit_test(test_silent_layers), cmocka_unit_test(test_mlp_without_gate),
        cmocka_unit_test(test_biases),        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_transformers),  cmocka_unit_test(test_equal_transcripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
