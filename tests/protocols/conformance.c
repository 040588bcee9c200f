/* Every registered gate: shares against the twin on edge and random inputs, measured against declared cost on every role,
 * transcripts of different inputs, and what was opened. */
#include "tests/protocols/check.h"

#include "protocols/registry.h"

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_gate *gate = job->context;
    struct mpc_wire result = {0};
    enum base_status status = gate->run(p, trio_input(p, job, 0), &result);
    if (status == BASE_OK)
        trio_output(p, result);
    return status;
}

static void check_gate(const struct sec_gate *gate, size_t units)
{
    size_t count = units * gate->unit;
    int64_t *x = must_alloc(2 * count, sizeof *x);
    struct trio trio[2] = {0};
    struct base_error error = {0};
    for (int run = 0; run < 2; run++) {
        int64_t *in = x + (size_t)run * count;
        gate->sample(in, count, units + (uint64_t)run * 1000);
        struct trio_input input = {in, count, gate->input_ring, gate->input_frac, gate->input_bound};
        struct trio_job job = {.program = program, .context = gate, .inputs = &input, .input_count = 1, .seed = units + (size_t)run,
                               .beside = run == 1};
        check_ok(trio_run(&job, &trio[run], &error), &error, gate->name);
        check_ok(trio_check(&trio[run], &error), &error, gate->name);
        struct mpc_cost cost = gate->cost(count);
        assert_int_equal(cost.rounds, trio[run].measured[0].rounds);
        assert_int_equal(cost.online, trio[run].measured[0].online);
        assert_int_equal(cost.offline, trio[run].measured[0].offline);
        for (int e = 0; e < MPC_OPENING_COUNT; e++) {
            uint64_t opened = gate->opens != NULL && e == (int)gate->opens_as ? gate->opens(count) : 0;
            assert_int_equal(trio[run].party[TRIO_P1].openings[e], opened);
        }
    }
    check_ok(trio_same_transcript(&trio[0], &trio[1], &error), &error, gate->name);
    (void)printf("%-14s n %4zu: %3llu rounds, %8.2f online, %9.2f dealt bytes per input; difference %.2f of what is allowed\n", gate->name,
                 count, (unsigned long long)trio[0].measured[0].rounds, (double)trio[0].measured[0].online / (double)count,
                 (double)trio[0].measured[0].offline / (double)count, trio[0].worst);
    for (int run = 0; run < 2; run++)
        trio_finish(&trio[run]);
    free(x);
}

static void test_conformance(void **state)
{
    const struct sec_gate *gate = *state;
    static const size_t sizes[] = {1, 7, 64, 600};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_gate(gate, sizes[i]);
}

static void test_names_are_unique(void **state)
{
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(sec_gate_find(gates[i]->name), gates[i]);
    assert_null(sec_gate_find("no such gate"));
}

int main(void)
{
    enum { MAX_TESTS = 64 };
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    struct CMUnitTest tests[MAX_TESTS] = {cmocka_unit_test(test_names_are_unique)};
    if (count + 1 > MAX_TESTS)
        return 1;
    for (size_t i = 0; i < count; i++)
        tests[i + 1] = (struct CMUnitTest){gates[i]->name, test_conformance, NULL, NULL, (void *)gates[i]};
    return _cmocka_run_group_tests("conformance", tests, count + 1, NULL, NULL);
}
