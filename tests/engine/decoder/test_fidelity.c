/* The twin against the float model, on shapes that no model file of the tests has and on models that
 * transformers wrote: what both compute is the same function. And the float model against the logits of
 * transformers. */
#include "tests/engine/decoder/model_support.h"

#include "base/memory.h"
#include "engine/backend.h"
#include "engine/twin.h"

#include <jansson.h>
#include <math.h>

enum { ROWS = MODEL_SAMPLE_LENGTH };
/* Of one logit, and in mean of a row; and of one logit between two orders of adding up in float32. */
static const double LARGEST_DIFFERENCE = 0.02, LARGEST_KL = 2e-5, LARGEST_ROUNDING = 1e-4;

static const struct eng_model_shape base_shape = {.layers = 3,
                                                  .width = 48,
                                                  .heads = 6,
                                                  .kv_heads = 2,
                                                  .head_dim = 8,
                                                  .ffn = 100,
                                                  .vocab = 211,
                                                  .context = 256,
                                                  .rope_theta = 10000,
                                                  .norm_eps = 1e-5,
                                                  .bos = -1,
                                                  .model_type = "synthetic"};

static double log_sum(const double *logits, size_t count)
{
    double top = logits[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        top = fmax(top, logits[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp(logits[i] - top);
    return top + log(sum);
}

/* Mean of KL(want, got) over rows. */
static double divergence(const float *want, const double *got, size_t rows, size_t vocab)
{
    double *row = must_alloc(vocab, sizeof *row), sum = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vocab; v++)
            row[v] = (double)want[r * vocab + v];
        double own = log_sum(row, vocab), other = log_sum(got + r * vocab, vocab);
        for (size_t v = 0; v < vocab; v++)
            sum += exp(row[v] - own) * ((row[v] - own) - (got[r * vocab + v] - other));
    }
    free(row);
    return sum / (double)rows;
}

/* shape NULL: `what` is the path of a model. */
static void compare(const char *what, const struct eng_model_shape *shape, struct model_options options)
{
    struct model m;
    struct eng_twin twin;
    struct eng_reference *reference = NULL;
    struct base_error error = {0};
    options.context = shape == NULL ? 64 : ROWS;
    options.shape = shape;
    assert_true(model_open(&m, what, options));
    shape = m.source.shape;
    size_t vocab = shape->vocab, rows = options.context;
    struct eng_decoder_form form = {.shape = shape,
                                    .plan = &m.plan,
                                    .weights = &m.weights[MPC_CLEAR],
                                    .gates = &m.gates,
                                    .policy = &kv_policy_full,
                                    .context = rows};
    check_ok(eng_twin_init(&twin, form, kern_table_select(~0u), ENG_REQUEST_SCORE, &error), &error, what);
    check_ok(eng_reference_create(&reference, &m.source, rows, &error), &error, what);
    int64_t *logits = must_alloc(rows * vocab, sizeof *logits), squares[ROWS];
    double *got = must_alloc(rows * vocab, sizeof *got), worst = 0, largest = 0;
    float *want = must_alloc(rows * vocab, sizeof *want);
    struct eng_backend backend = eng_twin_backend(&twin);
    /* Half as rows, half as single steps. */
    for (size_t at = 0; at < rows;) {
        size_t n = at == 0 ? rows / 2 : 1;
        struct eng_answer answer = {.logits = logits + at * vocab, .squares = squares + at};
        check_ok(backend.step(backend.context, m.samples[1] + at, n, n, &answer, &error), &error, what);
        at += n;
    }
    check_ok(eng_reference_forward(reference, m.samples[1], rows, want, &error), &error, what);
    eng_normalise_logits(shape, &m.plan, &(struct eng_answer){.logits = logits, .squares = squares}, rows,
                         got);
    for (size_t i = 0; i < rows * vocab; i++) {
        worst = fmax(worst, fabs(got[i] - (double)want[i]));
        largest = fmax(largest, fabs((double)want[i]));
    }
    double kl = divergence(want, got, rows, vocab);
    print_message("%s: logits up to %.2f, largest difference %.5f, mean KL %.1e\n", what, largest, worst, kl);
    assert_true(worst <= LARGEST_DIFFERENCE && largest > 100 * worst);
    assert_true(kl >= -1e-9 && kl <= LARGEST_KL);
    assert_int_equal(twin.party.violations, 0);
    free(logits);
    free(got);
    free(want);
    eng_twin_finish(&twin);
    eng_reference_destroy(&reference);
    model_close(&m);
}

static const char *const transformers[] = {"tests/support/transformers/gpt2",
                                           "tests/support/transformers/qwen2"};

static struct model_options general(void)
{
    return (struct model_options){.general_attention = true, .general_activation = true};
}

static void test_shapes(void **state)
{
    struct eng_model_shape shape = base_shape;
    (void)state;
    compare("separate head", &shape, (struct model_options){0});
    shape.tied = true;
    compare("tied head", &shape, (struct model_options){0});
    compare("general", &shape, general());
    compare("folded", &shape, (struct model_options){.general_attention = true, .fold = true});
    compare("thin", &shape, (struct model_options){.general_attention = true, .thin = true});
    shape.qkv_bias = true;
    compare("biases", &shape, (struct model_options){0});
    compare("biases, general", &shape, general());
    shape.qkv_bias = false;
    shape.activation = ENG_ACTIVATION_GELU;
    compare("MLP without a gate", &shape, (struct model_options){0});
    compare("MLP without a gate, general", &shape, general());
}

/* Everything that GPT-2 has and LLaMA has not, with an odd number of heads and one K and V for several. */
static void test_gpt2(void **state)
{
    struct eng_model_shape shape = base_shape;
    (void)state;
    shape.activation = ENG_ACTIVATION_GELU;
    shape.qkv_bias = shape.linear_bias = true;
    compare("biases everywhere", &shape, (struct model_options){0});
    shape.layer_norm = true;
    compare("LayerNorm", &shape, (struct model_options){0});
    shape.positions = shape.tied = true;
    compare("GPT-2", &shape, (struct model_options){0});
    compare("GPT-2, general", &shape, general());
    compare("GPT-2, thin", &shape, (struct model_options){.general_attention = true, .thin = true});
}

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof transformers / sizeof *transformers; i++) {
        compare(transformers[i], NULL, (struct model_options){0});
        compare(transformers[i], NULL, general());
    }
}

/* The logits that transformers wrote beside a model, for one sequence in one step and token by token. */
static void check_logits_of(const char *directory, size_t step)
{
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    struct eng_reference *reference = NULL;
    char path[1024];
    double worst = 0;
    (void)snprintf(path, sizeof path, "%s/%s", CACHET_SOURCE_DIR, directory);
    check_ok(eng_model_file_open(&file, path, &error), &error, path);
    size_t vocab = eng_model_file_shape(file)->vocab;
    (void)snprintf(path, sizeof path, "%s/%s/expected.json", CACHET_SOURCE_DIR, directory);
    json_t *expected = json_load_file(path, 0, NULL), *tokens = json_object_get(expected, "tokens"),
           *logits = json_object_get(expected, "logits");
    size_t count = json_array_size(tokens);
    assert_true(count > 1 && json_array_size(logits) == count);
    struct eng_weight_source source = eng_weights_of_file(file);
    check_ok(eng_reference_create(&reference, &source, count, &error), &error, path);
    float *got = must_alloc(step * vocab, sizeof *got);
    for (size_t at = 0; at < count; at += step) {
        int32_t ids[64];
        assert_true(step <= 64 && count % step == 0);
        for (size_t i = 0; i < step; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(tokens, at + i));
        check_ok(eng_reference_forward(reference, ids, step, got, &error), &error, path);
        for (size_t i = 0; i < step * vocab; i++) {
            const json_t *row = json_array_get(logits, at + i / vocab);
            assert_int_equal(json_array_size(row), vocab);
            worst = fmax(worst, fabs((double)got[i] - json_real_value(json_array_get(row, i % vocab))));
        }
    }
    print_message("%s: %zu rows of transformers, largest difference %.1e\n", directory, count, worst);
    assert_true(worst <= LARGEST_ROUNDING);
    free(got);
    json_decref(expected);
    eng_reference_destroy(&reference);
    eng_model_file_close(&file);
}

static void test_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof transformers / sizeof *transformers; i++) {
        check_logits_of(transformers[i], 20);
        check_logits_of(transformers[i], 1);
    }
}

static void test_rope(void **state)
{
    struct eng_model_shape shape = base_shape;
    (void)state;
    shape.rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LINEAR, .factor = 4};
    compare("RoPE, linear scaling", &shape, (struct model_options){0});
    shape.rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LLAMA3,
                                                   .factor = 8,
                                                   .low_freq_factor = 1,
                                                   .high_freq_factor = 4,
                                                   .original_context = 64};
    compare("RoPE, llama3 scaling", &shape, (struct model_options){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_gpt2),
                                       cmocka_unit_test(test_files), cmocka_unit_test(test_expected),
                                       cmocka_unit_test(test_rope)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
