/* The twin against the float model on shapes that no model file of the tests has: what both compute is the
 * same function. */
#include "tests/engine/decoder/model_support.h"

#include "base/memory.h"
#include "engine/backend.h"
#include "engine/twin.h"

#include <math.h>

enum { ROWS = MODEL_SAMPLE_LENGTH };
static const double LARGEST_DIFFERENCE = 0.02;

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

static void compare(const char *what, const struct eng_model_shape *shape, struct model_options options)
{
    struct model m;
    struct eng_twin twin;
    struct eng_reference *reference = NULL;
    struct base_error error = {0};
    size_t vocab = shape->vocab;
    options.context = ROWS;
    options.shape = shape;
    assert_true(model_open(&m, what, options));
    struct eng_decoder_form form = {.shape = shape,
                                    .plan = &m.plan,
                                    .weights = &m.weights[MPC_CLEAR],
                                    .gates = &m.gates,
                                    .policy = &kv_policy_full,
                                    .context = ROWS};
    check_ok(eng_twin_init(&twin, form, kern_table_select(~0u), ENG_REQUEST_SCORE, &error), &error, what);
    check_ok(eng_reference_create(&reference, &m.source, ROWS, &error), &error, what);
    int64_t *logits = must_alloc(ROWS * vocab, sizeof *logits), squares[ROWS];
    double *got = must_alloc(ROWS * vocab, sizeof *got), worst = 0, largest = 0;
    float *want = must_alloc(ROWS * vocab, sizeof *want);
    struct eng_backend backend = eng_twin_backend(&twin);
    /* Half as rows, half as single steps. */
    for (size_t at = 0; at < ROWS;) {
        size_t n = at == 0 ? ROWS / 2 : 1;
        struct eng_answer answer = {.logits = logits + at * vocab, .squares = squares + at};
        check_ok(backend.step(backend.context, m.samples[1] + at, n, n, &answer, &error), &error, what);
        at += n;
    }
    check_ok(eng_reference_forward(reference, m.samples[1], ROWS, want, &error), &error, what);
    eng_normalise_logits(shape, &m.plan, &(struct eng_answer){.logits = logits, .squares = squares}, ROWS,
                         got);
    for (size_t i = 0; i < ROWS * vocab; i++) {
        worst = fmax(worst, fabs(got[i] - (double)want[i]));
        largest = fmax(largest, fabs((double)want[i]));
    }
    print_message("%s: logits up to %.2f, largest difference %.5f\n", what, largest, worst);
    assert_true(worst <= LARGEST_DIFFERENCE && largest > 100 * worst);
    assert_int_equal(twin.party.violations, 0);
    free(logits);
    free(got);
    free(want);
    eng_twin_finish(&twin);
    eng_reference_destroy(&reference);
    model_close(&m);
}

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_rope)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
