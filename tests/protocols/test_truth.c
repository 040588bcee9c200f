/* Gates against the true answer, not against the twin: what conformance cannot see when both are wrong together. */
#include "tests/protocols/check.h"

#include "base/realmath.h"
#include "protocols/argmax.h"
#include "protocols/coarse_max.h"
#include "protocols/compare.h"
#include "protocols/exp.h"
#include "protocols/reciprocal_two.h"
#include "protocols/segments.h"
#include "protocols/shuffle.h"
#include "protocols/spline.h"
#include "protocols/table.h"
#include "protocols/top_k.h"

#include <math.h>

/* Runs a program on one input, checks it like conformance does, and returns the run. */
static struct trio run(trio_program_fn program, const void *context, struct trio_input input, uint64_t seed)
{
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_job job = {.program = program, .context = context, .inputs = &input, .input_count = 1, .seed = seed};
    check_ok(trio_run(&job, &trio, &error), &error, "run");
    check_ok(trio_check(&trio, &error), &error, "check");
    return trio;
}

static void values(const struct trio *trio, size_t which, int64_t *ret)
{
    struct base_error error = {0};
    check_ok(trio_value(trio, which, ret, &error), &error, "value");
}

/* --- ranking --------------------------------------------------------------------------------------------------------------------- */

enum { BOUND = 18, MOST = 700 };

struct ranking {
    size_t k; /* 0: argmax */
};

static enum base_status rank_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct ranking *ranking = job->context;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_max_step step = sec_max_step_for(BOUND, x.count);
    struct sec_ranked best = {{0}, {0}};
    enum base_status status = ranking->k == 0 ? sec_argmax_eval(p, &step, x, &best) : sec_top_k_eval(p, &step, ranking->k, x, &best);
    trio_output(p, best.value);
    trio_output(p, best.id);
    return status;
}

static void test_argmax_keeps_the_lowest_index(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 5, 6, 7, 64, 101};
    int64_t x[MOST], value, id;
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            size_t n = sizes[s], want = 0;
            uint64_t random = seed;
            for (size_t i = 0; i < n; i++) /* few distinct values: many ties; or the extremes of the range */
                x[i] = seed % 3 == 0 ? (int64_t)(trio_random(&random) % 4) : seed % 3 == 1 ? 5
                     : (trio_random(&random) & 1 ? 1 : -1) * ((1 << BOUND) - 1 - (int64_t)(trio_random(&random) % 3));
            for (size_t i = 1; i < n; i++)
                want = x[i] > x[want] ? i : want;
            struct trio trio = run(rank_program, &(struct ranking){0}, (struct trio_input){x, n, 40, 0, BOUND}, seed);
            values(&trio, 0, &value);
            values(&trio, 1, &id);
            assert_int_equal(id, want);
            assert_int_equal(value, x[want]);
            trio_finish(&trio);
        }
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void test_top_k(void **state)
{
    static const size_t cases[][2] = {{1, 1}, {9, 1}, {2, 2}, {3, 3}, {5, 4}, {17, 3}, {64, 8}, {100, 7}, {300, 64}, {65, 64}, {64, 64}};
    int64_t x[MOST], sorted[MOST], value[SEC_TOP_K_MAX], id[SEC_TOP_K_MAX];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            size_t n = cases[c][0], k = cases[c][1];
            bool seen[MOST] = {false};
            fill_edges(x, n, -(1 << BOUND) + 1, (1 << BOUND) - 1, seed);
            for (size_t i = 0; seed == 1 && i < n; i++)
                x[i] = x[i] < 0 ? -(1 << BOUND) + 1 : 3; /* the lowest allowed value stands against the filling */
            memcpy(sorted, x, n * sizeof *x);
            qsort(sorted, n, sizeof *sorted, descending);
            struct trio trio = run(rank_program, &(struct ranking){k}, (struct trio_input){x, n, 40, 0, BOUND}, seed);
            values(&trio, 0, value);
            values(&trio, 1, id);
            for (size_t i = 0; i < k; i++) {
                assert_int_equal(value[i], sorted[i]);
                assert_true(id[i] >= 0 && (size_t)id[i] < n && !seen[id[i]]);
                assert_int_equal(x[id[i]], value[i]);
                seen[id[i]] = true;
            }
            trio_finish(&trio);
        }
}

/* --- comparison, selection, tables -------------------------------------------------------------------------------------------------- */

static enum base_status compare_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    int k = *(const int *)job->context;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_masked_bit bit = sec_compare(p, x, k, "compare");
    TRY(mpc_round(p));
    struct mpc_wire wire = sec_bit_to_wire(p, bit, 30, "bit"), chosen = sec_select(p, bit, x, 1, "select");
    TRY(mpc_round(p));
    trio_output(p, wire);
    trio_output(p, chosen);
out:
    return status;
}

static void test_compare(void **state)
{
    static const int bits[] = {2, 5, 8, 9, 12, 20, 39, 63};
    enum { N = 500 };
    int64_t x[N], bit[N], chosen[N];
    (void)state;
    for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
        int64_t half = INT64_C(1) << (bits[b] - 1);
        fill_edges(x, N, -half, half - 1, b);
        struct trio trio = run(compare_program, &bits[b], (struct trio_input){x, N, bits[b] < 40 ? 40 : 64, 0, bits[b] - 1}, b);
        values(&trio, 0, bit);
        values(&trio, 1, chosen);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(bit[i], x[i] < 0);
            assert_int_equal(chosen[i], x[i] < 0 ? x[i] : 0);
        }
        trio_finish(&trio);
    }
}

static enum base_status table_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y = sec_table_eval(p, job->context, trio_input(p, job, 0), "table");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_table(void **state)
{
    static const int bits[] = {1, 3, 5, 6, 9, 12};
    enum { N = 64 };
    uint64_t entries[1 << SEC_TABLE_MAX_BITS], random = 3;
    int64_t x[N], y[N];
    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        entries[i] = (uint64_t)((int64_t)(trio_random(&random) % 2000) - 1000);
    for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
        struct sec_table table = {.k = bits[b], .ring = 24, .bound = 10, .values = entries};
        fill_edges(x, N, 0, (1 << bits[b]) - 1, b);
        struct trio trio = run(table_program, &table, (struct trio_input){x, N, 30, 0, bits[b]}, b);
        values(&trio, 0, y);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(y[i], (int64_t)entries[x[i]]);
        trio_finish(&trio);
    }
}

/* --- the coarse maximum, real functions ------------------------------------------------------------------------------------------------ */

static const uint32_t row_starts[] = {0, 1, 3, 6, 40, 300};
enum { ROWS = 5, SCORES = 300 };

static enum base_status coarse_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire c = {0};
    enum base_status status = sec_coarse_max_eval(p, job->context, trio_input(p, job, 0), row_starts, ROWS, &c);
    if (status == BASE_OK)
        trio_output(p, c);
    return status;
}

static void test_coarse_max_slack(void **state)
{
    static const struct sec_coarse_max gates[] = {{18, 4, 19}, {18, 5, 19}, {17, 4, 18}, {17, 7, 20}};
    int64_t x[SCORES], c[ROWS];
    (void)state;
    for (size_t g = 0; g < sizeof gates / sizeof *gates; g++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            int64_t bin = INT64_C(1) << (gates[g].k - gates[g].h), limit = (INT64_C(1) << (gates[g].k - 1)) - bin - 1;
            fill_edges(x, SCORES, -limit, limit, seed);
            for (size_t i = 40; seed % 2 == 1 && i < SCORES; i++)
                x[i] = -limit + (int64_t)i % bin;
            struct trio trio = run(coarse_program, &gates[g], (struct trio_input){x, SCORES, 24, 11, gates[g].k - 1}, seed);
            values(&trio, 0, c);
            for (size_t r = 0; r < ROWS; r++) {
                int64_t top = x[row_starts[r]], slack;
                for (size_t i = row_starts[r]; i < row_starts[r + 1]; i++)
                    top = x[i] > top ? x[i] : top;
                slack = (c[r] - top) & ((INT64_C(1) << gates[g].ko) - 1);
                assert_true(slack > 0 && slack < 2 * bin);
            }
            trio_finish(&trio);
        }
}

static enum base_status exp_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire e = sec_exp_eval(p, job->context, trio_input(p, job, 0), "exp");
    enum base_status status = mpc_round(p);
    trio_output(p, e);
    return status;
}

static void test_exp_error(void **state)
{
    enum { N = 4000 };
    struct sec_exp gate = {0};
    struct base_error error = {0};
    int64_t x[N], y[N];
    (void)state;
    check_ok(sec_exp_init(&gate, (struct sec_exp_form){.k = 18, .h = 6, .frac = 11, .fb = 12, .fe = 22, .fo = 18, .ring = 64}, &error),
             &error, "exp");
    fill_edges(x, N, 0, (1 << 18) - (1 << 12) - 1, 1);
    struct trio trio = run(exp_program, &gate, (struct trio_input){x, N, 18, 11, 18}, 1);
    values(&trio, 0, y);
    for (size_t i = 0; i < N; i++) {
        double want = exp(-(double)x[i] / 2048), cell = exp(2.0);
        assert_true(fabs((double)y[i] / 0x1p18 - want) <= want * 0x1p-13 + 0x1p-23 * cell + 1.5 * 0x1p-18);
    }
    trio_finish(&trio);
    sec_exp_finish(&gate);
}

struct curve_case {
    struct sec_segments gate;
    bool times;
};

static enum base_status curve_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct curve_case *c = job->context;
    struct mpc_wire both = trio_input(p, job, 0), g = mpc_slice(both, 0, both.count / 2);
    struct mpc_wire u = mpc_slice(both, both.count / 2, both.count / 2);
    u.frac = 12;
    struct mpc_wire y = sec_segments_eval(p, &c->gate, g, c->times ? &u : NULL, c->times ? 26 : 14, 19, "curve");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_curve_error(void **state)
{
    enum { N = 1500 };
    static const int rings[] = {20, 46, 64};
    int64_t x[2 * N], y[N];
    (void)state;
    for (int curve = SEC_CURVE_SILU; curve <= SEC_CURVE_GELU; curve++)
        for (int c = 0; c < 6; c++) {
            struct curve_case job = {.times = c >= 3};
            struct base_error error = {0};
            int k = curve == SEC_CURVE_SILU ? 15 : 14, half = 1 << (k - 1);
            check_ok(sec_segments_init(&job.gate, (struct sec_segments_form){(enum sec_curve)curve, k, 8, 9, 26, 64, false}, &error), &error, "curve");
            fill_edges(x, N, -half, half - (1 << (k - 8)) - 1, 5);
            fill_edges(x + N, N, -(1 << 14), 1 << 14, 6);
            struct trio trio = run(curve_program, &job, (struct trio_input){x, 2 * N, rings[c % 3], 9, 14}, 2);
            values(&trio, 0, y);
            for (size_t i = 0; i < N; i++) {
                double u = job.times ? (double)x[N + i] / 4096 : 1, want = sec_curve_value((enum sec_curve)curve, (double)x[i] / 512) * u;
                assert_true(fabs((double)y[i] / 4096 - want) <= job.gate.error * fabs(u) + 1.5 / 4096);
            }
            assert_true(job.gate.error < (curve == SEC_CURVE_SILU ? 0x1p-11 : 0x1p-12));
            trio_finish(&trio);
            sec_segments_finish(&job.gate);
        }
}

static enum base_status spline_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y[SEC_SPLINE_FUNCTIONS] = {{0}};
    sec_spline_eval(p, job->context, trio_input(p, job, 0), y, "spline");
    enum base_status status = mpc_round(p);
    trio_output(p, y[0]);
    trio_output(p, y[1]);
    return status;
}

/* Both functions of a gate at its edges and at values of every size between them; the gate is the caller's to finish. */
enum { SPLINE_VALUES = 400 };
static void run_spline(struct sec_spline_form form, struct sec_spline *ret_gate, int64_t *x, int64_t *first, int64_t *second)
{
    struct base_error error = {0};
    check_ok(sec_spline_init(ret_gate, form, &error), &error, "spline");
    fill_edges(x, SPLINE_VALUES, form.low, form.high - 1, 3);
    for (size_t i = 7; i < SPLINE_VALUES; i++)
        x[i] = form.low + (x[i] >> (i % 15));
    struct trio trio = run(spline_program, ret_gate, (struct trio_input){x, SPLINE_VALUES, 50, 0, 28}, 3);
    values(&trio, 0, first);
    values(&trio, 1, second);
    trio_finish(&trio);
}

static void test_inverse_root_error(void **state)
{
    struct sec_spline gate = {0};
    struct sec_spline_form form = {.k = 28, .low = 1 << 12, .high = 1 << 27, .per_octave = 32, .F = 44, .ring = 64, .functions = 2,
        .function = {{SEC_POWER_INVERSE_ROOT, 1.0, 0x1p-20, 0, 18, 26}, {SEC_POWER_INVERSE, 1.0, 0x1p-20, 0, 16, 30}}};
    int64_t x[SPLINE_VALUES], y[SPLINE_VALUES], square[SPLINE_VALUES];
    (void)state;
    run_spline(form, &gate, x, y, square);
    for (size_t i = 0; i < SPLINE_VALUES; i++) {
        double v = (double)x[i] * 0x1p-20, root = 1 / sqrt(v);
        assert_true(fabs((double)y[i] * 0x1p-18 - root) <= gate.error[0] * root + 1.5 * 0x1p-18);
        assert_true(fabs((double)square[i] * 0x1p-16 - 1 / v) <= gate.error[1] / v + 1.5 * 0x1p-16);
    }
    assert_true(gate.error[0] < 1e-4);
    sec_spline_finish(&gate);
}

static void test_root_error(void **state)
{
    struct sec_spline gate = {0};
    struct sec_spline_form form = {.k = 28, .low = 1 << 12, .high = 1 << 27, .per_octave = 32, .F = 38, .ring = 64, .functions = 2,
        .function = {{SEC_POWER_ROOT, 1.0, 0x1p-20, 0x1p-10, 14, 18}, {SEC_POWER_ROOT, 3.0, 0x1p-20, 0, 20, 26}}};
    int64_t x[SPLINE_VALUES], y[SPLINE_VALUES], other[SPLINE_VALUES];
    (void)state;
    run_spline(form, &gate, x, y, other);
    for (size_t i = 0; i < SPLINE_VALUES; i++) {
        double v = (double)x[i] * 0x1p-20, root = sqrt(v + 0x1p-10);
        assert_true(fabs((double)y[i] * 0x1p-14 - root) <= gate.error[0] * root + 1.5 * 0x1p-14);
        assert_true(fabs((double)other[i] * 0x1p-20 - 3 * sqrt(v)) <= gate.error[1] * 3 * sqrt(v) + 1.5 * 0x1p-20);
    }
    assert_true(gate.error[0] < 1e-4 && gate.error[1] < 1e-4);
    sec_spline_finish(&gate);
}

static enum base_status two_windows_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y[SEC_WINDOWS] = {{0}};
    sec_reciprocal_two_eval(p, job->context, trio_input(p, job, 0), y, "1/S");
    enum base_status status = mpc_round(p);
    trio_output(p, y[SEC_WINDOW_HIGH]);
    trio_output(p, y[SEC_WINDOW_LOW]);
    return status;
}

static void test_reciprocal_two_error(void **state)
{
    enum { N = 600 };
    struct sec_reciprocal_two gate = {0};
    struct base_error error = {0};
    struct sec_reciprocal_two_form form = {.k = 44, .frac = 37, .tau = 12, .G = 26, .high = INT64_C(100) << 37, .z = 13, .per_octave = 64,
                                           .F = 44, .fy = 18, .ring = 64};
    const int64_t low = INT64_C(1) << 11, cut = INT64_C(1) << 25;
    const int64_t edges[] = {low, low + 1, cut - 2, cut - 1, cut, cut + 1, form.high - 1, INT64_C(1) << 37};
    uint64_t random = 4;
    int64_t x[N], high_value[N], low_value[N];
    (void)state;
    check_ok(sec_reciprocal_two_init(&gate, form, &error), &error, "1/S");
    for (size_t i = 0; i < N; i++) {
        x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)(trio_random(&random) >> 20 >> i % 34) | low;
        x[i] = x[i] < form.high ? x[i] : x[i] >> 1;
    }
    struct trio trio = run(two_windows_program, &gate, (struct trio_input){x, N, 60, 37, 44}, 4);
    values(&trio, 0, high_value);
    values(&trio, 1, low_value);
    for (size_t i = 0; i < N; i++) {
        double inverse = 0x1p55 / (double)x[i];
        if (x[i] >= cut)
            assert_true(fabs((double)high_value[i] - inverse) <= gate.error[SEC_WINDOW_HIGH] * inverse + 1.5 && llabs(low_value[i]) <= 1);
        else
            assert_true(fabs((double)low_value[i] - inverse / 4096) <= gate.error[SEC_WINDOW_LOW] * inverse / 4096 + 1.5 &&
                        llabs(high_value[i]) <= 1);
    }
    assert_true(gate.error[SEC_WINDOW_HIGH] < 4e-4 && gate.error[SEC_WINDOW_LOW] < 4e-5);
    trio_finish(&trio);
    sec_reciprocal_two_finish(&gate);
}

static void test_reciprocal_two_refuses(void **state)
{
    const struct sec_reciprocal_two_form well = {.k = 44, .frac = 37, .tau = 12, .G = 26, .high = INT64_C(100) << 37, .z = 13,
                                                 .per_octave = 4, .F = 44, .fy = 18, .ring = 64};
    struct sec_reciprocal_two_form bad[8];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        bad[i] = well;
    bad[0].G = 12;
    bad[1].G = 38;
    bad[2].F = 51;
    bad[3].z = 25;
    bad[4].per_octave = 3;
    bad[5].high = INT64_C(1) << 25;
    bad[6].high = (INT64_C(1) << 44) + 1;
    bad[7].fy = 45;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sec_reciprocal_two gate = {0};
        struct base_error error = {0};
        assert_int_equal(sec_reciprocal_two_init(&gate, bad[i], &error), BASE_ERR_RANGE);
    }
}

/* --- shuffle ---------------------------------------------------------------------------------------------------------------------------- */

static enum base_status shuffle_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0), y = {0};
    enum base_status status = sec_shuffle(p, x, x.count / 3, &y);
    trio_output(p, y);
    return status;
}

static void test_shuffle_keeps_rows(void **state)
{
    enum { ROWS3 = 50, N = 3 * ROWS3 };
    int64_t x[N], y[N], moved = 0;
    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = (int64_t)(i * i) - 1000;
    for (uint64_t seed = 0; seed < 5; seed++) {
        bool seen[ROWS3] = {false};
        struct trio trio = run(shuffle_program, NULL, (struct trio_input){x, N, 37, 0, 20}, seed);
        values(&trio, 0, y);
        for (size_t r = 0; r < ROWS3; r++) {
            size_t from = 0;
            while (from < ROWS3 && x[3 * from] != y[3 * r])
                from++;
            assert_true(from < ROWS3 && !seen[from]);
            seen[from] = true;
            moved += from != r;
            assert_memory_equal(&x[3 * from], &y[3 * r], 3 * sizeof *x);
        }
        trio_finish(&trio);
    }
    assert_true(moved > 200);
}

static void test_printed_costs(void **state)
{
    static const size_t sizes[] = {1024, 32000, 49152, 151936};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k <= 64; k = k == 0 ? 1 : 4 * k) {
            struct sec_max_step step = sec_max_step_for(22, sizes[i]);
            struct mpc_cost cost = k == 0 ? sec_argmax_cost(&step, sizes[i]) : sec_top_k_cost(&step, k, sizes[i]);
            (void)printf("%s %2zu of %6zu, %d + %d bits: %3llu rounds, %9.3f MB online, %9.3f MB dealt\n", k == 0 ? "argmax" : "top", k,
                         sizes[i], step.k, step.ri, (unsigned long long)cost.rounds, (double)cost.online / 1e6, (double)cost.offline / 1e6);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argmax_keeps_the_lowest_index), cmocka_unit_test(test_top_k), cmocka_unit_test(test_compare),
        cmocka_unit_test(test_table), cmocka_unit_test(test_coarse_max_slack), cmocka_unit_test(test_exp_error),
        cmocka_unit_test(test_curve_error), cmocka_unit_test(test_inverse_root_error), cmocka_unit_test(test_root_error), cmocka_unit_test(test_shuffle_keeps_rows),
        cmocka_unit_test(test_reciprocal_two_error), cmocka_unit_test(test_reciprocal_two_refuses),
        cmocka_unit_test(test_printed_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
