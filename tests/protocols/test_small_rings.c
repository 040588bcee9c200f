/* Gates of few bits, so that every reading m and every mask comes up together: the edges of intervals, cells and wraps that random
 * values of full size meet once in 2^k. */
#include "tests/protocols/check.h"

#include "protocols/coarse_max.h"
#include "protocols/compare.h"
#include "protocols/exp.h"
#include "protocols/max_step.h"
#include "protocols/reciprocal_two.h"
#include "protocols/segments.h"
#include "protocols/spline.h"

#include <math.h>

enum { N = 6000 };

static struct trio run(trio_program_fn program, const void *context, const int64_t *x, int ring, int bound)
{
    struct trio trio = {0};
    struct trio_input input = {x, N, ring, 0, bound};
    check_run(&(struct trio_job){.program = program, .context = context, .inputs = &input, .input_count = 1, .seed = 17}, &trio, "small");
    return trio;
}

/* --- compare-exchange and comparison -------------------------------------------------------------------------------------------------- */

static enum base_status step_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_max_step step = {.k = x.bound + 2, .ri = 15};
    struct sec_ranked all = sec_ranked_start(p, &step, x, N), high = {{0}, {0}}, low = {{0}, {0}};
    struct sec_ranked a = {mpc_slice(all.value, 0, N / 2), mpc_slice(all.id, 0, N / 2)};
    struct sec_ranked b = {mpc_slice(all.value, N / 2, N / 2), mpc_slice(all.id, N / 2, N / 2)};
    TRY(sec_max_step_eval(p, &step, a, b, &high, &low));
    trio_output(p, high.value);
    trio_output(p, high.id);
    trio_output(p, low.value);
    trio_output(p, low.id);
out:
    return status;
}

static void test_max_step(void **state)
{
    int64_t x[N], high[N / 2], high_id[N / 2], low[N / 2], low_id[N / 2];
    (void)state;
    for (int bound = 1; bound <= 5; bound++) {
        fill_edges(x, N, 1 - (1 << bound), (1 << bound) - 1, (uint64_t)bound);
        struct trio trio = run(step_program, NULL, x, 20, bound);
        check_value(&trio, 0, high, "high");
        check_value(&trio, 1, high_id, "high id");
        check_value(&trio, 2, low, "low");
        check_value(&trio, 3, low_id, "low id");
        for (int64_t i = 0, j = N / 2; i < N / 2; i++, j++) {
            bool first = x[i] >= x[j];
            assert_int_equal(high[i], first ? x[i] : x[j]);
            assert_int_equal(high_id[i], first ? i : j);
            assert_int_equal(low[i], first ? x[j] : x[i]);
            assert_int_equal(low_id[i], first ? j : i);
        }
        trio_finish(&trio);
    }
}

static enum base_status compare_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), y = {0};
    struct sec_masked_bit bit = sec_compare(p, x, x.bound + 1, "compare");
    TRY(mpc_round(p));
    y = sec_select(p, bit, x, 1, "select");
    TRY(mpc_round(p));
    trio_output(p, y);
out:
    return status;
}

static void test_compare(void **state)
{
    int64_t x[N], y[N];
    (void)state;
    for (int bound = 1; bound <= 9; bound++) {
        fill_edges(x, N, -(1 << bound), (1 << bound) - 1, (uint64_t)bound);
        struct trio trio = run(compare_program, NULL, x, bound + 2, bound);
        check_value(&trio, 0, y, "select");
        for (size_t i = 0; i < N; i++)
            assert_int_equal(y[i], x[i] < 0 ? x[i] : 0);
        trio_finish(&trio);
    }
}

/* --- functions over a grid or over knots --------------------------------------------------------------------------------------------------- */

static enum base_status spline_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y[SEC_SPLINE_FUNCTIONS] = {{0}};
    sec_spline_eval(p, job->context, trio_input(p, job, 0), y, "spline");
    enum base_status status = mpc_round(p);
    trio_output(p, y[0]);
    return status;
}

static void test_spline(void **state)
{
    static const int64_t ranges[][3] = {{8, 4, 256}, {7, 1, 128}, {6, 8, 40}, {8, 2, 256}};
    int64_t x[N], y[N];
    (void)state;
    for (size_t c = 0; c < sizeof ranges / sizeof *ranges; c++) {
        struct sec_spline gate = {0};
        struct base_error error = {0};
        struct sec_spline_form form = {.k = (int)ranges[c][0], .low = ranges[c][1], .high = ranges[c][2], .per_octave = 4, .F = 40, .ring = 64,
                                       .functions = 1, .function = {{SEC_POWER_INVERSE, 1, 1, 0, 20, 21}}};
        check_ok(sec_spline_init(&gate, form, &error), &error, "spline");
        int64_t top = (INT64_C(1) << form.k) - 1;
        fill_edges(x, N, form.low, form.high <= top ? form.high : top, c);
        struct trio trio = run(spline_program, &gate, x, form.k + (int)c % 3, form.k);
        check_value(&trio, 0, y, "spline");
        for (size_t i = 0; i < N; i++)
            if (x[i] < form.high)
                assert_true(fabs((double)y[i] / 0x1p20 * (double)x[i] - 1) <= gate.error[0] + 1.5 * 0x1p-20 * (double)x[i]);
        trio_finish(&trio);
        sec_spline_finish(&gate);
    }
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

static void test_reciprocal_two(void **state)
{
    static const int64_t forms[][6] = {{9, 6, 2, 5, 512, 0}, {9, 7, 2, 4, 300, 2}, {8, 5, 1, 5, 256, 3}, {8, 6, 1, 6, 250, 1}};
    int64_t x[N], y[SEC_WINDOWS][N];
    (void)state;
    for (size_t c = 0; c < sizeof forms / sizeof *forms; c++) {
        const int64_t *f = forms[c];
        struct sec_reciprocal_two gate = {0};
        struct base_error error = {0};
        struct sec_reciprocal_two_form form = {.k = (int)f[0], .frac = (int)f[1], .tau = (int)f[2], .G = (int)f[3], .high = f[4],
                                               .z = (int)f[5], .per_octave = 4, .F = 40, .fy = 20, .ring = 64};
        check_ok(sec_reciprocal_two_init(&gate, form, &error), &error, "1/S");
        fill_edges(x, N, INT64_C(1) << (f[1] - f[3]), f[4] - 1, c);
        struct trio trio = run(two_windows_program, &gate, x, form.k + (int)c % 3, form.k);
        check_value(&trio, 0, y[SEC_WINDOW_HIGH], "high window");
        check_value(&trio, 1, y[SEC_WINDOW_LOW], "low window");
        for (size_t i = 0; i < N; i++) {
            int window = x[i] >> (f[1] - f[2]) > 0 ? SEC_WINDOW_HIGH : SEC_WINDOW_LOW;
            double want = ldexp(1, 20 + form.frac - (window == SEC_WINDOW_HIGH ? 0 : form.tau)) / (double)x[i];
            assert_true(fabs((double)y[window][i] - want) <= gate.error[window] * want + 1.5);
            assert_true(llabs(y[1 - window][i]) <= 1);
        }
        trio_finish(&trio);
        sec_reciprocal_two_finish(&gate);
    }
}

static enum base_status exp_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y = sec_exp_eval(p, job->context, trio_input(p, job, 0), "exp");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_exp(void **state)
{
    int64_t x[N], y[N];
    (void)state;
    for (int h = 1; h <= 6; h++) {
        struct sec_exp gate = {0};
        struct base_error error = {0};
        check_ok(sec_exp_init(&gate, (struct sec_exp_form){.k = 6, .h = h, .frac = 4, .fb = 14, .fe = 26, .fo = 18, .ring = 64}, &error), &error,
                 "exp");
        fill_edges(x, N, 0, 64 - (64 >> h) - 1, (uint64_t)h);
        struct trio trio = run(exp_program, &gate, x, 6 + h, 6);
        check_value(&trio, 0, y, "exp");
        for (size_t i = 0; i < N; i++)
            assert_true(fabs((double)y[i] - exp(-(double)x[i] / 16) * 0x1p18) <= gate.ulp + 1.5);
        trio_finish(&trio);
        sec_exp_finish(&gate);
    }
}

static enum base_status curve_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    struct mpc_wire y = sec_segments_eval(p, job->context, x, &x, 20, 17, "curve");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_segments(void **state)
{
    int64_t x[N], y[N];
    (void)state;
    for (int h = 3; h <= 7; h++)
        for (int ring = 10; ring <= 64; ring += 27) {
            struct sec_segments gate = {0};
            struct base_error error = {0};
            check_ok(sec_segments_init(&gate, (struct sec_segments_form){SEC_CURVE_SILU, .k = 8, .h = h, .fg = 4, .F = 26, .ring = 64}, &error),
                     &error, "curve");
            fill_edges(x, N, -128, 127 - (256 >> h), (uint64_t)h);
            struct trio trio = run(curve_program, &gate, x, ring, 8);
            check_value(&trio, 0, y, "curve");
            for (size_t i = 0; i < N; i++) {
                double want = sec_curve_value(SEC_CURVE_SILU, (double)x[i] / 16) * (double)x[i] * 64;
                assert_true(fabs((double)y[i] - want) <= 64 * gate.error * fabs((double)x[i]) + 1.5);
            }
            trio_finish(&trio);
            sec_segments_finish(&gate);
        }
}

static enum base_status coarse_program(struct mpc_party *p, const struct trio_job *job)
{
    uint32_t *starts = mpc_bytes(p, (N / 3 + 1) * sizeof *starts);
    struct mpc_wire x = trio_input(p, job, 0), c = {0};
    for (size_t r = 0; starts != NULL && r <= N / 3; r++)
        starts[r] = (uint32_t)(3 * r);
    enum base_status status = starts == NULL ? p->status : sec_coarse_max_eval(p, job->context, x, starts, N / 3, &c);
    trio_output(p, c);
    return status;
}

static void test_coarse_max(void **state)
{
    int64_t x[N], c[N / 3];
    (void)state;
    for (int h = 2; h <= 6; h++) {
        struct sec_coarse_max gate = {6, h, 7};
        int64_t bin = 64 >> h, limit = 32 - bin - 1;
        fill_edges(x, N, -limit, limit, (uint64_t)h);
        struct trio trio = run(coarse_program, &gate, x, 8, 5);
        check_value(&trio, 0, c, "coarse maximum");
        for (size_t r = 0; r < N / 3; r++) {
            int64_t top = x[3 * r];
            for (size_t i = 1; i < 3; i++)
                top = x[3 * r + i] > top ? x[3 * r + i] : top;
            int64_t slack = (c[r] - top) & 127;
            assert_true(slack > 0 && slack < 2 * bin);
        }
        trio_finish(&trio);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_max_step), cmocka_unit_test(test_compare), cmocka_unit_test(test_spline),
        cmocka_unit_test(test_reciprocal_two),
        cmocka_unit_test(test_exp), cmocka_unit_test(test_segments), cmocka_unit_test(test_coarse_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
