/* Gates between two parties alone, as the conformance suite runs them with P0: every wire within its units of the twin, declared costs counted,
 * transcripts of both phases equal for two inputs; what two parties cannot make is refused by name. */
#include "tests/protocols/check.h"
#include "tests/support/two_parties.h"

#include "protocols/registry.h"

enum { N = 48 };

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_gate *gate = job->context;
    struct mpc_wire y = {0};
    enum base_status status = gate->run(p, trio_input(p, job, 0), &y);
    if (status == BASE_OK)
        trio_output(p, y);
    return status;
}

static void run_gate(const struct sec_gate *gate, size_t count, uint64_t seed, struct trio *ret)
{
    int64_t *x = must_alloc(count, sizeof *x);
    gate->sample(x, count, seed);
    const struct trio_input input = {x, count, gate->input_ring, gate->input_frac, gate->input_bound};
    check_run(&(struct trio_job){.program = program, .context = gate, .inputs = &input, .input_count = 1, .seed = seed, .ahead = &two_parties}, ret, gate->name);
    free(x);
}

static void check_gate(const char *name, size_t units)
{
    const struct sec_gate *gate = sec_gate_find(name);
    struct base_error error = {0};
    struct trio a = {0}, b = {0};
    assert_non_null(gate);
    run_gate(gate, units * gate->unit, 3, &a);
    run_gate(gate, units * gate->unit, 4, &b);
    print_message("%s: worst %.2f of what is allowed; %llu bytes online, %llu made\n", name, a.worst, (unsigned long long)a.measured[0].online,
                  (unsigned long long)a.measured[0].offline);
    check_ok(two_parties_same_transcript(&a, &b, &error), &error, name);
    trio_finish(&a);
    trio_finish(&b);
}

static void test_exp(void **state)
{
    (void)state;
    check_gate("exp", 3 * N);
}

static void test_segments(void **state)
{
    (void)state;
    check_gate("gelu", N);
    check_gate("silu-times", N);
}

static void test_splines(void **state)
{
    (void)state;
    check_gate("reciprocal", 24);
    check_gate("inverse-root", 24);
}

static void test_coarse_max(void **state)
{
    (void)state;
    check_gate("coarse-max", 4);
}

static void test_guard(void **state)
{
    (void)state;
    check_gate("guard", N);
}

static void test_bits(void **state)
{
    (void)state;
    check_gate("sign", N);
    check_gate("sign-zero", N);
}

static void test_digits(void **state)
{
    (void)state;
    check_gate("digits", N);
}

static void test_one_hot(void **state)
{
    (void)state;
    check_gate("one-hot-table", N);
    check_gate("one-hot-dpf", 16);
    check_gate("kept-rows", 8);
}

static void test_choices(void **state)
{
    (void)state;
    check_gate("choice-pairs", 4);
    check_gate("choice-one-digit", 4);
    check_gate("choice-two-digits", 4);
}

/* Every other gate of the registry is refused by the count role already, or runs; none of them computes something else. */
static void test_others(void **state)
{
    static const char *const able[] = {"exp", "gelu", "silu-times", "reciprocal", "inverse-root", "coarse-max", "guard",
                                       "sign", "sign-zero", "digits", "one-hot-table", "one-hot-dpf", "kept-rows", "choice-pairs", "choice-one-digit", "choice-two-digits"};
    size_t count, refused = 0;
    const struct sec_gate *const *gates = sec_gates(&count);
    (void)state;
    for (size_t g = 0; g < count; g++) {
        bool known = false;
        for (size_t i = 0; i < sizeof able / sizeof *able; i++)
            known = known || strcmp(gates[g]->name, able[i]) == 0;
        if (known)
            continue;
        struct trio trio = {0};
        struct base_error error = {0};
        size_t n = 4 * gates[g]->unit;
        int64_t *x = must_alloc(n, sizeof *x);
        gates[g]->sample(x, n, 1);
        const struct trio_input input = {x, n, gates[g]->input_ring, gates[g]->input_frac, gates[g]->input_bound};
        struct trio_job job = {.program = program, .context = gates[g], .inputs = &input, .input_count = 1, .seed = 1, .ahead = &two_parties};
        enum base_status status = trio_run(&job, &trio, &error);
        if (status == BASE_OK) {
            check_ok(trio_check(&trio, &error), &error, gates[g]->name);
        } else {
            print_message("%s: %s\n", gates[g]->name, error.text);
            assert_int_equal(status, BASE_ERR_SUPPORT);
            refused++;
        }
        trio_finish(&trio);
        free(x);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exp),        cmocka_unit_test(test_segments), cmocka_unit_test(test_splines),
                                       cmocka_unit_test(test_coarse_max), cmocka_unit_test(test_guard),    cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_digits),     cmocka_unit_test(test_one_hot),  cmocka_unit_test(test_choices),
                                       cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
