/* Whole prompts and decode steps of three roles on the emulated device, which makes whatever it is given when it is waited for and not before: every
 * wire, mask and opened value is the CPU's, bit for bit, with the same streams; also while a call of CUDA's fails. */
#include "kernels/cuda/faults.h"
#include "tests/engine/decoder/request_support.h"
#include "tests/kernels/cuda_emulator/control.h"

enum { WORK_BYTES = 64 << 20, SEED = 5 };

static bool same_words(const uint64_t *a, const uint64_t *b, size_t count)
{
    return (a == NULL) == (b == NULL) && (a == NULL || memcmp(a, b, count * sizeof *a) == 0);
}

static void expect_same(const struct trio *a, const struct trio *b)
{
    for (int role = 0; role < TRIO_PARTIES; role++) {
        assert_true(a->record[role].count > 50);
        assert_int_equal(a->record[role].count, b->record[role].count);
        for (size_t i = 0; i < a->record[role].count; i++) {
            const struct trio_seen *x = &a->record[role].seen[i], *y = &b->record[role].seen[i];
            assert_string_equal(x->label, y->label);
            assert_int_equal(x->wire.count, y->wire.count);
            if (!same_words(x->wire.m, y->wire.m, x->wire.count) || !same_words(x->wire.l1, y->wire.l1, x->wire.count) ||
                !same_words(x->wire.l2, y->wire.l2, x->wire.count))
                fail_msg("P%d, wire %zu, %s: not the CPU's", role, i, x->label);
        }
    }
    for (int role = 0; role < TRIO_ROLES; role++)
        assert_memory_equal(a->party[role].openings, b->party[role].openings, sizeof a->party[role].openings);
}

/* One request there; fault: the call of CUDA's that fails after the opening, -1: none. Returns the number of calls. */
static long run_there(struct request r, const struct trio *expected, long fault)
{
    static const struct kern_crossover always;
    struct kern_device_options options = {.work_bytes = WORK_BYTES, .crossover = &always};
    struct base_error error = {0};
    struct trio trio = {0};
    check_ok(kern_device_open_backend(&r.device, kern_emulated_backend(), 0, &options, &error), &error, "device");
    r.kern = kern_device_table(r.device);
    kern_cuda_fault_at(fault);
    request_run(&r, SEED, &trio, fault < 0 ? "on the device" : "on a device that fails");
    long calls = kern_cuda_calls();
    kern_cuda_fault_at(-1);
    expect_same(expected, &trio);
    struct kern_device_counts counts = kern_device_counts(r.device);
    assert_true(fault >= 0 || counts.on_device > 1000);
    assert_int_equal(kern_device_failure(r.device, &error), fault >= 0 && fault < calls ? BASE_ERR_IO : BASE_OK);
    assert_true(fault >= 0 || counts.on_cpu * 50 < counts.on_device);
    trio_finish(&trio);
    kern_device_close(&r.device);
    assert_int_equal(kern_emulator_alive(), 0);
    return calls;
}

static void check_there(struct model_options options, struct request r, bool faults)
{
    struct model model;
    struct trio expected = {0};
    options.context = r.context;
    assert_true(model_open(&model, "odd", options));
    r.model = &model;
    request_run(&r, SEED, &expected, "on the CPU");
    long calls = run_there(r, &expected, -1);
    kern_emulator_order(1); /* of streams that no event orders */
    for (int again = 0; again < faults; again++)
        (void)run_there(r, &expected, -1);
    kern_emulator_order(0);
    for (long fault = 3; faults && fault < calls; fault = 5 * fault + 11)
        (void)run_there(r, &expected, fault);
    trio_finish(&expected);
    model_close(&model);
}

/* Two chunks of a prompt, of which one has more rows than go by words, and two tokens. */
static const struct request plain_request = {.policy = &kv_policy_full, .rows = {6, 3, 1, 1}, .steps = 4, .context = 16, .chunk = 6};

static void test_ceilings(void **state)
{
    (void)state;
    check_there((struct model_options){.shape = &model_odd_shape}, plain_request, true);
}

static void test_general(void **state)
{
    (void)state;
    check_there((struct model_options){.shape = &model_odd_shape, .general_attention = true, .general_activation = true}, plain_request, false);
}

static void test_gpt2(void **state)
{
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    shape.activation = ENG_ACTIVATION_GELU;
    shape.qkv_bias = shape.linear_bias = shape.layer_norm = shape.positions = true;
    check_there((struct model_options){.shape = &shape, .general_activation = true}, plain_request, false);
}

/* Slots that are written again, and rows that a choice moves. */
static void test_policies(void **state)
{
    static const char *const policies[] = {"window:sinks=1:window=4", "h2o:budget=50:window=4:every=2", "select:keep=12:window=3:unit=2:reuse=2"};
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct request r = {.rows = {6, 6, 4, 1, 1, 1}, .steps = 6, .context = 24, .chunk = 6, .prompt = 16};
        struct base_error error = {0};
        check_ok(kv_config_parse(policies[i], 0, &r.policy, &r.config, &error), &error, policies[i]);
        check_there((struct model_options){.shape = &model_odd_shape}, r, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ceilings), cmocka_unit_test(test_general), cmocka_unit_test(test_gpt2),
                                       cmocka_unit_test(test_policies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
