/* Products and truncation: the stated error for every value up to the whole ring, no bias, gate-only wires, refusals. */
#include "tests/protocols/check.h"

#include "mpc/product.h"

#include <math.h>

enum { MANY = 60000 };

struct product_case {
    int ring, f, bound; /* of the operands' product before the cut */
    bool gate_only;
};

/* Chosen masks beside random ones: all zero, all ones, only the top bit. */
static const struct tap_choice {
    enum tap_mode mode;
    uint64_t fill;
} masks[] = {{TAP_REAL, 0}, {TAP_FILL, 0}, {TAP_FILL, ~UINT64_C(0)}, {TAP_FILL, UINT64_C(0xaaaaaaaaaaaaaaaa)}};

static struct trio run(trio_program_fn program, const void *context, const struct trio_input *inputs, size_t count, struct tap *tap)
{
    struct trio trio = {0};
    struct trio_job job = {.program = program, .context = context, .inputs = inputs, .input_count = count, .seed = 5, .tap = tap};
    check_run(&job, &trio, "product");
    return trio;
}

/* --- elementwise products -------------------------------------------------------------------------------------------------------- */

static enum base_status product_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct product_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    struct mpc_wire z = mpc_cut(p, mpc_share_dot(p, x, y, 1), c->ring, c->f, c->bound, c->gate_only, "product");
    enum base_status status = mpc_round(p);
    trio_output(p, z);
    return status;
}

static void check_products(const struct product_case *c, size_t n, const struct tap_choice *choice)
{
    int half = (c->bound + c->f - 1) / 2;
    int64_t *x = must_alloc(3 * n, sizeof *x), *y = x + n, *z = y + n;
    double sum = 0;
    fill_edges(x, n, -(INT64_C(1) << half), (INT64_C(1) << half) - 1, 1);
    fill_edges(y, n, -(INT64_C(1) << half), (INT64_C(1) << half) - 1, 2);
    for (size_t i = 0; i < 7 && n > 49; i++) /* every edge against every edge */
        for (size_t j = 0; j < 7; j++) {
            x[7 * i + j] = x[7 * i];
            y[7 * i + j] = y[j];
        }
    struct trio_input inputs[] = {{x, n, c->ring, 4, half}, {y, n, c->ring, 4, half}};
    struct tap tap = {.mode = choice->mode, .fill = choice->fill};
    struct trio trio = run(product_program, c, inputs, 2, &tap);
    check_value(&trio, 0, z, "product");
    for (size_t i = 0; i < n; i++) {
        double error = cut_error(z[i], x[i] * y[i], c->f);
        assert_true(fabs(error) <= (c->f == 0 ? 0 : 1.5));
        sum += error;
    }
    if (choice->mode == TAP_REAL)
        assert_true(fabs(sum / (double)n) < 6e-3 * sqrt(200000.0 / (double)n) + 4 * pow(2, -c->f));
    struct mpc_cost cost = mpc_cut_cost(n, c->ring, c->f, c->gate_only);
    cost.rounds = 1;
    check_cost(&trio, cost);
    assert_true(trio.output[TRIO_P1][0].gate_only == c->gate_only);
    if (c->gate_only)
        assert_true(trio.output[TRIO_P1][0].l1 == NULL && trio.output[TRIO_P2][0].l2 == NULL && trio.output[TRIO_P0][0].l2 == NULL);
    trio_finish(&trio);
    tap_finish(&tap);
    free(x);
}

static void test_cut_products(void **state)
{
    static const int cases[][3] = {{64, 18, 45}, {64, 30, 33}, {31, 14, 16}, {20, 6, 13}, {64, 0, 62}, {24, 1, 22}, {64, 1, 62}, {64, 40, 23}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gate_only = 0; gate_only <= 1; gate_only++)
            for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
                struct product_case c = {cases[i][0], cases[i][1], cases[i][2], gate_only};
                check_products(&c, m == 0 ? MANY : 200, &masks[m]);
            }
}

/* --- matrices, dots, gathers, smaller rings ------------------------------------------------------------------------------------------ */

enum { ROWS = 5, INNER = 11, OUTS = 7 };

static enum base_status matrix_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct product_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0), w = trio_input(p, job, 1);
    struct mpc_matrix matrix = {.ring = w.ring, .frac = w.frac, .bound = w.bound, .outs = OUTS, .inner = INNER,
                                .stride = mpc_matrix_stride(p->role, w.ring, INNER)};
    matrix.data = mpc_bytes(p, OUTS * matrix.stride);
    for (size_t o = 0; o < OUTS; o++) /* odd rows by columns, as a cache grows */
        for (size_t i = 0; i < (o % 2 == 0 ? 1 : INNER); i++)
            mpc_matrix_put(p, &matrix, o, i, o % 2 == 1, mpc_slice(w, o * INNER + i, o % 2 == 0 ? INNER : 1));
    struct mpc_wire y = mpc_cut(p, mpc_share_matmul(p, x, ROWS, &matrix), c->ring, c->f, c->bound, false, "matmul");
    const uint32_t order[] = {34, 0, 7, 7};
    struct mpc_share picked = mpc_share_gather(p, mpc_share_matmul(p, x, ROWS, &matrix), order, 4);
    struct mpc_wire z = mpc_cut(p, picked, c->ring, c->f, c->bound, false, "gathered");
    struct mpc_wire norm = mpc_cut(p, mpc_share_dot(p, x, x, INNER), c->ring, c->f, c->bound, true, "squares");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    trio_output(p, z);
    trio_output(p, norm);
    return status;
}

static void test_matmul(void **state)
{
    static const struct product_case cases[] = {{64, 0, 40, 0}, {64, 24, 36, 0}, {48, 12, 32, 0}, {32, 13, 17, 0}, {20, 6, 12, 0}};
    int64_t x[ROWS * INNER], w[OUTS * INNER], y[ROWS * OUTS], z[4], norm[ROWS];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t limit = INT64_C(1) << ((cases[i].bound + cases[i].f - 4) / 2);
        int bound = (cases[i].bound + cases[i].f - 4) / 2;
        fill_edges(x, ROWS * INNER, -limit, limit, i);
        fill_edges(w, OUTS * INNER, -limit, limit, i + 9);
        struct trio_input inputs[] = {{x, ROWS * INNER, cases[i].ring, 4, bound}, {w, OUTS * INNER, cases[i].ring, 5, bound}};
        struct trio trio = run(matrix_program, &cases[i], inputs, 2, NULL);
        check_value(&trio, 0, y, "matmul");
        check_value(&trio, 1, z, "gathered");
        check_value(&trio, 2, norm, "squares");
        for (size_t r = 0; r < ROWS; r++) {
            int64_t squares = 0;
            for (size_t j = 0; j < INNER; j++)
                squares += x[r * INNER + j] * x[r * INNER + j];
            assert_true(fabs(cut_error(norm[r], squares, cases[i].f)) <= (cases[i].f == 0 ? 0 : 1.5));
            for (size_t o = 0; o < OUTS; o++) {
                int64_t sum = 0;
                for (size_t j = 0; j < INNER; j++)
                    sum += x[r * INNER + j] * w[o * INNER + j];
                assert_true(fabs(cut_error(y[r * OUTS + o], sum, cases[i].f)) <= (cases[i].f == 0 ? 0 : 1.5));
            }
        }
        assert_true(llabs(z[0] - y[34]) <= 3 && llabs(z[1] - y[0]) <= 3 && llabs(z[2] - y[7]) <= 3);
        assert_int_equal(trio.output[TRIO_P1][0].frac, 9 - cases[i].f);
        trio_finish(&trio);
    }
}

static enum base_status low_bits_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    struct mpc_wire z = mpc_cut(p, mpc_share_dot(p, x, x, 1), 31, 14, 16, true, "low bits");
    enum base_status status = mpc_round(p);
    trio_output(p, z);
    return status;
}

/* Only the low bits of a 64-bit share are opened when the result fits them. */
static void test_cut_in_a_smaller_ring(void **state)
{
    enum { N = 3000 };
    int64_t x[N], z[N];
    (void)state;
    fill_edges(x, N, -23000, 23000, 4);
    struct trio_input input = {x, N, 64, 7, 15};
    struct trio trio = run(low_bits_program, NULL, &input, 1, NULL);
    check_value(&trio, 0, z, "low bits");
    for (size_t i = 0; i < N; i++)
        assert_true(fabs(cut_error(z[i], x[i] * x[i], 14)) <= 1.5);
    check_cost(&trio, (struct mpc_cost){1, 2 * mpc_bits(N, 17), 0});
    trio_finish(&trio);
}

/* --- local truncation ----------------------------------------------------------------------------------------------------------------- */

static enum base_status truncate_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct product_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0);
    trio_output(p, mpc_truncate(p, c->gate_only ? mpc_as_gate_only(p, x) : x, c->f, c->bound - c->f, "truncate"));
    return p->status;
}

static void test_truncate(void **state)
{
    static const struct product_case cases[] = {{20, 5, 14, 0}, {24, 8, 23, 0}, {32, 12, 31, 0}, {32, 20, 28, 0}, {64, 20, 63, 0}, {64, 1, 62, 0},
                                                {24, 8, 23, 1}, {64, 20, 63, 1}};
    int64_t *x = must_alloc(2 * MANY, sizeof *x), *y = x + MANY;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
            int f = cases[i].f;
            int64_t limit = (int64_t)((UINT64_C(1) << cases[i].bound) - (UINT64_C(2) << f) - 1);
            double sum = 0;
            size_t n = m == 0 ? MANY : 100;
            fill_edges(x, n, -limit, limit, i);
            struct trio_input input = {x, n, cases[i].ring, 20, cases[i].bound};
            struct tap tap = {.mode = masks[m].mode, .fill = masks[m].fill};
            struct trio trio = run(truncate_program, &cases[i], &input, 1, &tap);
            check_value(&trio, 0, y, "truncate");
            for (size_t j = 0; j < n; j++) {
                double error = cut_error(y[j], x[j], f);
                assert_true(fabs(error) <= (cases[i].gate_only ? 1 : 1.5));
                sum += error;
            }
            if (m == 0)
                assert_true(fabs(sum / (double)n) < 0.02 + pow(2, -f - 1));
            check_cost(&trio, (struct mpc_cost){0});
            trio_finish(&trio);
            tap_finish(&tap);
        }
    free(x);
}

/* --- refusals: a condition that does not hold is an error on every role before anything is sent -------------------------------------------- */

enum refusal { CUT_BOUND, CUT_RING, DOT_GATE_ONLY, OPEN_GATE_ONLY, ADD_FRACTIONS, WIRE_BOUND, SHARE_BOUND, QUEUE_FULL, REFUSALS };

static void refuse(struct mpc_party *p, enum refusal what, struct mpc_wire x)
{
    switch (what) {
    case CUT_BOUND:
        (void)mpc_cut(p, mpc_share_dot(p, x, x, 1), 24, 4, 20, false, "cut");
        break;
    case CUT_RING:
        (void)mpc_cut(p, mpc_share_dot(p, x, x, 1), 25, 4, 10, false, "cut");
        break;
    case DOT_GATE_ONLY:
        (void)mpc_share_dot(p, mpc_as_gate_only(p, x), x, 1);
        break;
    case OPEN_GATE_ONLY:
        assert_int_not_equal(mpc_open_to_client(p, mpc_as_gate_only(p, x), MPC_OPEN_TEST), BASE_OK);
        break;
    case ADD_FRACTIONS: {
        struct mpc_wire y = x;
        y.frac++;
        (void)mpc_add(p, x, y, 1, 20);
        break;
    }
    case WIRE_BOUND:
        (void)mpc_wire_make(p, 1, 20, 0, 21);
        break;
    case SHARE_BOUND:
        (void)mpc_open_share(p, NULL, 1, (struct mpc_opening_form){.ring = 20, .f = 4, .bound = 17, .label = "share"});
        break;
    case QUEUE_FULL:
        for (int i = 0; i <= MPC_MAX_PENDING; i++)
            (void)mpc_cut(p, mpc_share_dot(p, x, x, 1), 24, 4, 10, true, "cut");
        break;
    case REFUSALS:
        break;
    }
}

static void test_refusals(void **state)
{
    static const enum mpc_role roles[] = {MPC_HELPER, MPC_LEFT, MPC_RIGHT, MPC_CLEAR, MPC_COUNT};
    static const uint8_t key[16] = {1};
    static const int64_t one = 1;
    (void)state;
    for (int what = 0; what < REFUSALS; what++)
        for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
            struct mpc_party p;
            struct base_error error = {0};
            check_ok(mpc_party_init(&p, roles[r], kern_table_select(~0u), 1 << 20, &error), &error, "party");
            if (r <= 1)
                mpc_stream_init(&p.s1, p.kern, key);
            if (r == 0 || r == 2)
                mpc_stream_init(&p.s2, p.kern, key);
            refuse(&p, (enum refusal)what, mpc_public(&p, &one, 1, 24, 3, 10));
            assert_true(mpc_failed(&p));
            assert_true(p.error.text[0] != '\0');
            assert_int_equal(mpc_round(&p), p.status); /* and the party stays failed: it would have no link to send on */
            mpc_party_finish(&p);
        }
}

static enum base_status out_of_bound_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    (void)mpc_cut(p, mpc_share_dot(p, x, x, 1), 24, 4, 10, false, "too large");
    return mpc_round(p);
}

/* A value outside its declared bound is counted by the twin, by name. */
static void test_twin_counts_violations(void **state)
{
    static const int64_t x[] = {3, 128, 129, -4000};
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_input input = {x, 4, 24, 3, 12};
    struct trio_job job = {.program = out_of_bound_program, .inputs = &input, .input_count = 1, .free_twin = true};
    (void)state;
    check_ok(trio_run(&job, &trio, &error), &error, "violations");
    assert_int_equal(trio.party[TRIO_TWIN].violations, 2);
    assert_string_equal(trio.party[TRIO_TWIN].violation, "too large");
    assert_int_equal(trio_check(&trio, &error), BASE_ERR_RANGE);
    trio_finish(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_products), cmocka_unit_test(test_matmul), cmocka_unit_test(test_cut_in_a_smaller_ring),
        cmocka_unit_test(test_truncate), cmocka_unit_test(test_refusals), cmocka_unit_test(test_twin_counts_violations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
