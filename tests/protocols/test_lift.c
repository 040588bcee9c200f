/* Small rings: extension and lifting products are exact for every value within the bound, whatever the masks. */
#include "tests/protocols/check.h"

#include "mpc/lift.h"

#include <math.h>

enum { MANY = 60000 };

static const struct {
    enum tap_mode mode;
    uint64_t fill;
} masks[] = {{TAP_REAL, 0}, {TAP_FILL, 0}, {TAP_FILL, ~UINT64_C(0)}, {TAP_FILL, UINT64_C(0x5555555555555555)}};
enum { MASKS = sizeof masks / sizeof *masks };

/* --- extension ------------------------------------------------------------------------------------------------------------------------ */

static enum base_status extend_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire y = mpc_extend(p, trio_input(p, job, 0), *(const int *)job->context, "extend");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_extend(void **state)
{
    static const int cases[][3] = {{20, 18, 64}, {12, 10, 40}, {24, 12, 32}, {32, 30, 48}, {20, 18, 21}, {46, 44, 64}, {62, 60, 64}, {2, 0, 64}};
    int64_t *x = must_alloc(2 * MANY, sizeof *x), *y = x + MANY;
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (size_t m = 0; m < MASKS; m++) {
            size_t n = m == 0 ? MANY : 500;
            int k = cases[c][0], bound = cases[c][1], ring = cases[c][2];
            struct tap tap = {.mode = masks[m].mode, .fill = masks[m].fill};
            struct trio trio = {0};
            fill_edges(x, n, -(INT64_C(1) << bound), INT64_C(1) << bound, c);
            struct trio_input input = {x, n, k, 3, bound};
            check_run(&(struct trio_job){.program = extend_program, .context = &ring, .inputs = &input, .input_count = 1, .tap = &tap}, &trio,
                      "extend");
            check_value(&trio, 0, y, "extend");
            assert_memory_equal(x, y, n * sizeof *x);
            struct mpc_cost cost = mpc_extend_cost(n, k, ring);
            cost.rounds = 1;
            check_cost(&trio, cost);
            trio_finish(&trio);
            tap_finish(&tap);
        }
    free(x);
}

/* At bound = ring - 1 the formula of the wrap is wrong for half of the values; a gate-only wire has no dealt mask; an extension does not
 * shrink. Every role must refuse, the twin and the count role too, so that a plan fails before any party runs. */
static void refuse(struct mpc_party *p, int what, struct mpc_wire x)
{
    struct mpc_wire tight = x, only = mpc_as_gate_only(p, x);
    tight.bound = x.ring - 1;
    if (what == 0)
        (void)mpc_extend(p, tight, 64, "extend");
    else if (what == 1)
        (void)mpc_share_mul(p, tight, x, 1, 64);
    else if (what == 2)
        (void)mpc_share_mul(p, x, tight, 1, 64);
    else if (what == 3)
        (void)mpc_extend(p, only, 64, "extend");
    else if (what == 4)
        (void)mpc_share_mul(p, x, only, 1, 16);
    else if (what == 5)
        (void)mpc_extend(p, x, 19, "extend");
    else
        (void)mpc_share_mul(p, x, x, 2, 64);
}

static void test_refusals(void **state)
{
    static const enum mpc_role roles[] = {MPC_HELPER, MPC_LEFT, MPC_RIGHT, MPC_CLEAR, MPC_COUNT};
    static const int64_t x[] = {5, -5};
    (void)state;
    for (int what = 0; what <= 6; what++)
        for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
            struct mpc_party p;
            struct base_error error = {0};
            check_ok(mpc_party_init(&p, roles[r], kern_table_select(~0u), 1 << 20, &error), &error, "party");
            refuse(&p, what, mpc_public(&p, x, 2, 20, 3, 10));
            assert_int_equal(p.status, what < 3 ? BASE_ERR_RANGE : BASE_ERR_INTERNAL);
            mpc_party_finish(&p);
        }
}

/* --- lifting products --------------------------------------------------------------------------------------------------------------------- */

struct mul_case {
    int kx, bx, ky, by, ring, f;
    size_t group;
};

static enum base_status mul_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct mul_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    struct mpc_wire z = mpc_cut(p, mpc_share_mul(p, x, y, c->group, c->ring), c->ring, c->f, c->bx + c->by - c->f, false, "product");
    enum base_status status = mpc_round(p);
    trio_output(p, z);
    return status;
}

static void check_mul(const struct mul_case *c, size_t n, size_t m)
{
    int64_t *x = must_alloc(3 * n, sizeof *x), *y = x + n, *z = y + n;
    size_t ny = n / c->group;
    struct tap tap = {.mode = masks[m].mode, .fill = masks[m].fill};
    struct trio trio = {0};
    fill_edges(x, n, -(INT64_C(1) << c->bx), INT64_C(1) << c->bx, 1);
    fill_edges(y, ny, -(INT64_C(1) << c->by), INT64_C(1) << c->by, 2);
    for (size_t i = 0; i < 49 && c->group == 1 && n > 49; i++) {
        x[i] = i % 7 == 0 ? x[i / 7] : x[i - 1];
        y[i] = y[i % 7];
    }
    struct trio_input inputs[] = {{x, n, c->kx, 3, c->bx}, {y, ny, c->ky, 5, c->by}};
    check_run(&(struct trio_job){.program = mul_program, .context = c, .inputs = inputs, .input_count = 2, .tap = &tap}, &trio, "share_mul");
    check_value(&trio, 0, z, "share_mul");
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(cut_error(z[i], x[i] * y[i / c->group], c->f)) <= (c->f == 0 ? 0 : 1.5));
    struct mpc_cost cost = mpc_cost_add(mpc_share_mul_cost(n, c->group, c->kx, c->ky, c->ring), mpc_cut_cost(n, c->ring, c->f, false));
    cost.rounds = 1;
    check_cost(&trio, cost);
    trio_finish(&trio);
    tap_finish(&tap);
    free(x);
}

static void test_share_mul(void **state)
{
    static const struct mul_case cases[] = {{20, 18, 64, 30, 64, 12, 1}, {20, 18, 22, 20, 60, 10, 1}, {64, 20, 24, 22, 64, 0, 1},
        {40, 30, 44, 24, 64, 20, 1}, {16, 14, 12, 10, 36, 5, 1}, {64, 30, 64, 30, 64, 12, 1}, {20, 18, 22, 20, 60, 10, 10},
        {64, 20, 24, 22, 64, 0, 10}, {46, 14, 44, 16, 64, 12, 10}, {16, 14, 64, 20, 40, 5, 25}, {2, 0, 2, 0, 64, 0, 1}, {62, 30, 62, 30, 64, 30, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t m = 0; m < MASKS; m++)
            check_mul(&cases[i], m == 0 ? MANY / 4 : 500, m);
}

/* Every combination of rings below, at and above the ring of the product, at the largest bounds that fit. */
static void test_share_mul_ring_combinations(void **state)
{
    static const int rings[] = {3, 9, 23, 32, 33, 47, 64};
    enum { COUNT = sizeof rings / sizeof *rings };
    (void)state;
    for (size_t r = 2; r < COUNT; r++)
        for (size_t a = 0; a < COUNT; a++)
            for (size_t b = 0; b < COUNT; b++) {
                struct mul_case c = {.kx = rings[a], .ky = rings[b], .ring = rings[r], .group = 1 + (a + b) % 2};
                int room = c.ring - 2;
                c.bx = rings[a] - 2 < room / 2 ? rings[a] - 2 : room / 2;
                c.by = rings[b] - 2 < room - c.bx ? rings[b] - 2 : room - c.bx;
                c.f = c.bx + c.by > 8 ? 5 : 0;
                check_mul(&c, 300, 0);
                check_mul(&c, 60, 2);
            }
}

/* --- chains: the output of each operation is the input of the next ---------------------------------------------------------------------------- */

static enum base_status chain_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    struct mpc_wire a = mpc_cut(p, mpc_share_mul(p, x, y, 1, 64), 64, 20, 19, false, "a");        /* 44 bits */
    TRY(mpc_round(p));
    struct mpc_wire b = mpc_cut(p, mpc_share_mul(p, a, x, 1, 60), 60, 12, 21, false, "b");        /* 48 bits */
    struct mpc_wire wide = mpc_extend(p, a, 64, "wide a");
    TRY(mpc_round(p));
    struct mpc_wire c = mpc_truncate(p, wide, 3, 16, "c");
    struct mpc_wire d = mpc_extend(p, mpc_reduce(p, b, 30), 61, "wide b");
    TRY(mpc_round(p));
    d.frac = c.frac;
    struct mpc_wire sum = mpc_add(p, c, d, -1, 22);
    struct mpc_wire e = mpc_cut(p, mpc_share_dot(p, sum, sum, 1), 61, 10, 35, true, "e");
    TRY(mpc_round(p));
    trio_output(p, sum);
    trio_output(p, e);
out:
    return status;
}

static void test_chain(void **state)
{
    enum { N = 5000 };
    int64_t x[N], y[N], sum[N], e[N];
    struct trio trio[2] = {{0}, {0}};
    struct base_error error = {0};
    (void)state;
    for (int run = 0; run < 2; run++) {
        fill_edges(x, N, -(1 << 14), 1 << 14, 1 + (uint64_t)run);
        fill_edges(y, N, -(1 << 24), 1 << 24, 2);
        struct trio_input inputs[] = {{x, N, 20, 10, 14}, {y, N, 30, 20, 24}};
        check_run(&(struct trio_job){.program = chain_program, .inputs = inputs, .input_count = 2, .seed = (uint64_t)run, .beside = true},
                  &trio[run], "chain");
        check_value(&trio[run], 0, sum, "sum");
        check_value(&trio[run], 1, e, "squares");
        for (size_t i = 0; i < N; i++) {
            double a = (double)(x[i] * y[i]) / 0x1p20, b = a * (double)x[i] / 0x1p12, want = a / 8 - b;
            assert_true(fabs((double)sum[i] - want) <= 1.5 / 8 + 1.5 + 1.5 * fabs((double)x[i]) / 0x1p12 + 1.5);
            assert_true(fabs((double)e[i] - (double)(sum[i] * sum[i]) / 1024) <= 1.5);
        }
    }
    check_ok(trio_same_transcript(&trio[0], &trio[1], &error), &error, "chain");
    trio_finish(&trio[0]);
    trio_finish(&trio[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend), cmocka_unit_test(test_refusals), cmocka_unit_test(test_share_mul),
        cmocka_unit_test(test_share_mul_ring_combinations), cmocka_unit_test(test_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
