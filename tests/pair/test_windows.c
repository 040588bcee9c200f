/* Long contexts between two parties alone: a bit that chooses between small rings, exact for every value and mask; 1/S by windows, over whole ranges of sums
 * and on both sides of every border; and the guard that a maximum's own keys are. */
#include "tests/protocols/check.h"
#include "tests/support/two_parties.h"

#include "mpc/choose.h"
#include "protocols/coarse_max.h"
#include "protocols/windows.h"

#include <math.h>

/* --- choices ------------------------------------------------------------------------------------------------------------------------- */

static enum base_status choose(struct mpc_party *p, const struct trio_job *job)
{
    const int *ring = job->context;
    struct mpc_wire bit = trio_input(p, job, 0), a = trio_input(p, job, 1), b = trio_input(p, job, 2);
    struct mpc_share share = mpc_share_choose(p, bit, a, b, *ring);
    struct mpc_wire y = mpc_cut(p, share, *ring, 0, *ring - 1, false, "chosen");
    enum base_status status = mpc_round(p);
    if (status == BASE_OK)
        trio_output(p, y);
    return status;
}

static void run_choices(int a_ring, int b_ring, int ring, size_t count, uint64_t seed, struct trio *ret)
{
    int64_t most_a = INT64_C(1) << (a_ring - 2), most_b = INT64_C(1) << (b_ring - 2);
    int64_t *bit = must_alloc(count, sizeof *bit), *a = must_alloc(count, sizeof *a), *b = must_alloc(count, sizeof *b), *got = must_alloc(count, sizeof *got);
    fill_edges(a, count, -most_a, most_a - 1, seed);
    fill_edges(b, count, -most_b, most_b - 1, seed + 1);
    for (size_t i = 0; i < count; i++)
        bit[i] = (int64_t)(i / 3 & 1);
    const struct trio_input inputs[] = {{bit, count, 1, 0, 1}, {a, count, a_ring, 7, a_ring - 2}, {b, count, b_ring, 7, b_ring - 2}};
    check_run(&(struct trio_job){.program = choose, .context = &ring, .inputs = inputs, .input_count = 3, .seed = seed, .ahead = &two_parties}, ret, "choice");
    check_value(ret, 0, got, "choice");
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], bit[i] * a[i] + b[i]);
    free(bit);
    free(a);
    free(b);
    free(got);
}

static void test_choices(void **state)
{
    struct trio first = {0}, second = {0};
    struct base_error error = {0};
    (void)state;
    run_choices(34, 34, 64, 3000, 1, &first);
    run_choices(34, 34, 64, 3000, 2, &second);
    check_ok(two_parties_same_transcript(&first, &second, &error), &error, "transcripts");
    trio_finish(&first);
    trio_finish(&second);
    for (int ring = 2; ring <= 6; ring++) {
        run_choices(ring, 8 - ring, 33, 2000, (uint64_t)ring, &first);
        trio_finish(&first);
    }
    run_choices(63, 20, 64, 2000, 9, &first);
    trio_finish(&first);
}

static enum base_status choose_badly(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    (void)mpc_share_choose(p, x, x, x, 40);
    return p->status;
}

static void test_choices_are_refused(void **state)
{
    int64_t x[4] = {0, 1, 1, 0};
    const struct trio_input input = {x, 4, 30, 0, 20};
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_job job = {.program = choose_badly, .inputs = &input, .input_count = 1, .seed = 1};
    (void)state;
    assert_int_equal(trio_run(&job, &trio, &error), BASE_ERR_SUPPORT);
    trio_finish(&trio);
    job.ahead = &two_parties;
    assert_int_equal(trio_run(&job, &trio, &error), BASE_ERR_INTERNAL);
    trio_finish(&trio);
}

/* --- 1/S ----------------------------------------------------------------------------------------------------------------------------- */

enum { FRACTION = 18, SUMS = 700 };

static double inverse(const void *context, int e, double x)
{
    (void)context;
    (void)e;
    return 0x1p18 / x;
}

static enum base_status divide(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_windows *gate = job->context;
    struct sec_windows_reading reading = sec_windows_eval(p, gate, trio_input(p, job, 0), "1/S");
    enum base_status status;
    struct mpc_wire y;
    TRY(mpc_round(p));
    y = sec_windows_choose(p, gate, &reading, 64, "1/S chosen");
    TRY(mpc_round(p));
    trio_output(p, y);
out:
    return status;
}

static struct sec_grid_form form_of(int log_context)
{
    return (struct sec_grid_form){.k = FRACTION + log_context + 1, .low = (int64_t)(0x1p18 * exp(-3.0)), .high = INT64_C(1) << (FRACTION + log_context), .F = 48,
                                  .ring = 64, .functions = 1, .fo = {FRACTION}, .bound = {FRACTION + 5}, .value = inverse};
}

/* Both ends, both sides of the border and of the narrow cells' range, and values of every size. */
static void fill_sums(const struct sec_windows *gate, const struct sec_grid_form *form, int64_t *x, uint64_t seed)
{
    int64_t cell = INT64_C(1) << (form->k - gate->high.h), border = gate->border * cell;
    const int64_t edges[] = {form->low, form->low + 1, form->high - 1, form->high, border - 1, border, border + 1, border - cell, border - 2 * cell, border + cell,
                             INT64_C(1) << FRACTION};
    for (size_t i = 0; i < SUMS; i++) {
        int64_t any = (int64_t)(trio_random(&seed) & (uint64_t)(form->high - 1)) >> i % 20;
        x[i] = i < sizeof edges / sizeof *edges ? edges[i] : i % 3 == 0 ? border - 3 * cell + any % (6 * cell) : any < form->low ? form->low + any : any;
    }
}

static void check_sums(int log_context, uint64_t seed)
{
    struct sec_windows gate = {0};
    struct sec_grid_form form = form_of(log_context);
    struct base_error error = {0};
    struct trio trio = {0};
    int64_t x[SUMS], y[SUMS];
    size_t low = 0;
    check_ok(sec_windows_init(&gate, form, &error), &error, "windows");
    fill_sums(&gate, &form, x, seed);
    const struct trio_input input = {x, SUMS, 48, FRACTION, FRACTION + log_context + 1};
    check_run(&(struct trio_job){.program = divide, .context = &gate, .inputs = &input, .input_count = 1, .seed = seed, .ahead = &two_parties}, &trio, "1/S");
    check_value(&trio, 0, y, "1/S");
    for (size_t i = 0; i < SUMS; i++) {
        double exact = 0x1p36 / (double)x[i];
        low += x[i] < gate.border << (form.k - gate.high.h);
        assert_true(fabs((double)y[i] - exact) <= gate.error * exact + 2.5 + 6 * exact / (double)x[i] * (double)(INT64_C(1) << gate.high.cut) * (y[i] < 0x1p17));
    }
    print_message("2^%d rows: 2^%d and 2^%d cells, relative error 2^%.1f, %.1f units against the twin (worst %.2f of it), %zu of %d sums below the border\n",
                  log_context, gate.low.h, gate.high.h, log2(gate.error), gate.ulp, trio.worst, low, SUMS);
    assert_true(gate.error < 0x1p-12 && gate.low.h <= 14 && gate.high.h <= 14 && low > SUMS / 8 && low < SUMS - SUMS / 8);
    trio_finish(&trio);
    sec_windows_finish(&gate);
}

static void test_sums(void **state)
{
    (void)state;
    check_sums(5, 1);
    check_sums(9, 2);
    check_sums(10, 3);
    check_sums(11, 4);
    check_sums(12, 5);
}

static void test_sums_are_refused(void **state)
{
    struct sec_windows gate = {0};
    struct base_error error = {0};
    struct sec_grid_form form = form_of(9);
    (void)state;
    form.low = 8;
    assert_int_equal(sec_windows_init(&gate, form, &error), BASE_ERR_RANGE);
    form = form_of(9);
    form.high = INT64_C(1) << form.k;
    assert_int_equal(sec_windows_init(&gate, form, &error), BASE_ERR_RANGE);
}

/* --- the guard of scores ----------------------------------------------------------------------------------------------------------------- */

enum { ROW = 12, BITS = 14 };
static const struct sec_coarse_max maximum = {.k = BITS, .h = 4, .ko = BITS + 1};

static enum base_status find_maximum(struct mpc_party *p, const struct trio_job *job)
{
    static const uint32_t starts[] = {0, ROW};
    struct mpc_wire c;
    return sec_coarse_max_eval(p, &maximum, trio_input(p, job, 0), starts, 1, &c);
}

/* Whether the two guard words differ when one score of a row is x; the twin's count in *ret_twin. */
static bool reports(int64_t x, uint64_t seed, uint64_t *ret_twin)
{
    int64_t score[ROW] = {0, -700, 1000, -2, 5};
    struct trio trio = {0};
    struct base_error error = {0};
    score[seed % ROW] = x;
    const struct trio_input input = {score, ROW, BITS + 3, 8, BITS};
    check_ok(trio_run(&(struct trio_job){.program = find_maximum, .inputs = &input, .input_count = 1, .seed = seed, .ahead = &two_parties}, &trio, &error), &error,
             "coarse max");
    bool differ = trio.party[TRIO_P1].guard != trio.party[TRIO_P2].guard;
    *ret_twin = trio.party[TRIO_TWIN].guard;
    trio_finish(&trio);
    return differ;
}

/* Cells of 2^10 from -2^13 on: always, never, and as masks fall. */
static void test_maximum_guards(void **state)
{
    const int64_t cell = 1 << (BITS - 4), half = 1 << (BITS - 1);
    const int64_t bad[] = {-half - 1, -half - 3 * cell, -half - 14 * cell, half, half + 5, half + 9 * cell, half + 15 * cell},
                  good[] = {-half + 2 * cell, -half + 2 * cell + 1, 0, 77, half - 2 * cell - 1}, either[] = {-half, -half + 2 * cell - 1};
    uint64_t twin, seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int times = 0; times < 3; times++) {
            assert_true(reports(bad[i], seed++, &twin));
            assert_int_equal(twin, 1);
        }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (int times = 0; times < 3; times++) {
            assert_false(reports(good[i], seed++, &twin));
            assert_int_equal(twin, 0);
        }
    for (size_t i = 0; i < sizeof either / sizeof *either; i++) {
        (void)reports(either[i], seed++, &twin);
        assert_int_equal(twin, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choices), cmocka_unit_test(test_choices_are_refused), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_sums_are_refused), cmocka_unit_test(test_maximum_guards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
