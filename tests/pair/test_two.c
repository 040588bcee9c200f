/* Products, cuts and extensions of two parties alone: every wire against the twin, declared against counted cost, transcripts of both phases. */
#include "tests/protocols/check.h"
#include "tests/support/two_parties.h"

#include "mpc/lift.h"
#include "pair/tape.h"

enum { N = 60 };

struct linear {
    int ring, f;
    bool gate_only;
    size_t rows, inner, outs;
};

/* x [rows][inner] times a matrix whose rows are the next inputs, and x y elementwise, summed, scaled; cut, extended, truncated. */
static enum base_status linear(struct mpc_party *p, const struct trio_job *job)
{
    const struct linear *c = job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1), t = trio_input(p, job, 2);
    size_t stride = mpc_matrix_stride(p->role, c->ring, c->inner);
    struct mpc_matrix w = {.ring = c->ring, .frac = 10, .bound = 14, .outs = c->outs, .inner = c->inner, .stride = stride, .data = mpc_bytes(p, c->outs * stride + 1)};
    if (mpc_failed(p))
        return p->status;
    memset(w.data, 0, c->outs * stride + 1);
    for (size_t o = 0; o < c->outs; o++)
        mpc_matrix_put(p, &w, o, 0, false, mpc_slice(y, o * c->inner, c->inner));
    struct mpc_share product = mpc_share_matmul(p, x, c->rows, &w);
    struct mpc_wire z = mpc_cut(p, product, c->ring, c->f, 30, c->gate_only, "matmul");
    struct mpc_wire dots = mpc_cut(p, mpc_share_dot(p, x, mpc_slice(y, 0, x.count), c->inner), c->ring, c->f, 30, false, "dot");
    struct mpc_share row = mpc_share_of_row(p, &w, c->rows);
    mpc_share_add(p, &row, mpc_share_of_row(p, &w, c->rows));
    struct mpc_wire twice = mpc_cut(p, row, c->ring, 0, 16, false, "row");
    TRY(mpc_round(p));
    struct mpc_wire small = mpc_reduce(p, dots, 32 + c->f % 3);
    small.bound = 30;
    struct mpc_wire wide = mpc_extend(p, small, 60, "extend"), ready = mpc_ready(p, t, 60, "ready");
    struct mpc_wire cut = mpc_truncate(p, z, 3, 28, "truncate");
    TRY(mpc_round(p));
    struct mpc_share scaled = mpc_share_mul(p, ready, wide, c->inner, 60);
    struct mpc_wire s = mpc_cut(p, scaled, 60, 12, 40, false, "scaled");
    TRY(mpc_round(p));
    trio_output(p, s);
    trio_output(p, cut);
    trio_output(p, twice);
out:
    return status;
}

static void run_linear(struct linear c, uint64_t seed, uint64_t batch, struct trio *ret)
{
    size_t xs = c.rows * c.inner, ys = (c.outs > c.rows ? c.outs : c.rows) * c.inner;
    int64_t *x = must_alloc(xs, sizeof *x), *y = must_alloc(ys, sizeof *y), *t = must_alloc(xs, sizeof *t);
    fill_edges(x, xs, -(1 << 12), 1 << 12, seed);
    fill_edges(y, ys, -(1 << 12), 1 << 12, seed + 1);
    fill_edges(t, xs, -(1 << 16), 1 << 16, seed + 2);
    const struct trio_input inputs[] = {{x, xs, c.ring, 10, 14}, {y, ys, c.ring, 10, 14}, {t, xs, 30, 10, 28}};
    check_run(&(struct trio_job){.program = linear, .context = &c, .inputs = inputs, .input_count = 3, .seed = seed, .ahead = &two_parties, .batch = batch}, ret, "linear");
    free(x);
    free(y);
    free(t);
}

static void test_linear(void **state)
{
    static const struct linear cases[] = {{64, 14, false, 3, 8, 5}, {48, 9, true, 1, 17, 4}, {40, 4, false, 2, 1, 1}, {57, 0, false, 4, 9, 12}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trio trio = {0};
        run_linear(cases[i], 5 + i, 0, &trio);
        assert_true(trio.worst > 0);
        trio_finish(&trio);
    }
}

static void test_transcripts(void **state)
{
    struct trio a = {0}, b = {0};
    struct base_error error = {0};
    struct linear c = {64, 14, false, 3, 8, 5};
    (void)state;
    run_linear(c, 5, 0, &a);
    run_linear(c, 50, 0, &b);
    check_ok(two_parties_same_transcript(&a, &b, &error), &error, "transcripts");
    trio_finish(&a);
    trio_finish(&b);
}

/* A batch for each round instead of one for all: as many bytes but for what COTs round up to, more exchanges, and records in the same order. */
static void test_batches(void **state)
{
    struct trio one = {0}, each = {0};
    struct linear c = {64, 14, false, 3, 8, 5};
    int64_t a[24], b[24];
    (void)state;
    run_linear(c, 5, 0, &one);
    run_linear(c, 5, 1, &each);
    for (size_t i = 0; i < 2; i++) {
        check_value(&one, i, a, "one batch");
        check_value(&each, i, b, "a batch for each round");
        for (size_t k = 0; k < one.output[TRIO_P0][i].count; k++)
            assert_in_range(a[k] - b[k] + 2, 0, 4); /* masks of the pair differ, and round */
    }
    assert_in_range(each.measured[0].offline, one.measured[0].offline, one.measured[0].offline + 3 * 2 * 128 * 16);
    trio_finish(&one);
    trio_finish(&each);
}

/* --- the tape ------------------------------------------------------------------------------------------------------------------------ */

static void test_tape(void **state)
{
    struct pair_tape *tape = NULL;
    struct base_error error = {0}, why = {0};
    uint8_t got[8] = {0};
    (void)state;
    check_ok(pair_tape_create(&tape, &error), &error, "tape");
    check_ok(pair_tape_put(tape, "first", 5, 3, &error), &error, "tape");
    check_ok(pair_tape_put(tape, "second", 6, 9, &error), &error, "tape");
    assert_int_equal(pair_tape_size(tape), 11);
    assert_int_equal(pair_tape_trees(tape), 9);
    check_ok(pair_tape_take(tape, got, 5, &error), &error, "tape");
    assert_memory_equal(got, "first", 5);
    assert_int_equal(pair_tape_take(tape, got, 5, &error), BASE_ERR_MISMATCH);
    assert_non_null(strstr(error.text, "a gate takes 5 bytes, and 6 were made"));
    /* Handed out once: what did not fit is gone, too. */
    (void)base_fail(&why, BASE_ERR_CLOSED, "P2: the link ended");
    pair_tape_close(tape, &why);
    error = (struct base_error){0};
    assert_int_equal(pair_tape_take(tape, got, 6, &error), BASE_ERR_CLOSED);
    assert_non_null(strstr(error.text, "no material is left: P2: the link ended"));
    pair_tape_destroy(&tape);
}

/* --- extension: exact for every value that fits, masks at all edges ------------------------------------------------------------------ */

struct widening {
    int from, to;
};

static enum base_status widen(struct mpc_party *p, const struct trio_job *job)
{
    const struct widening *c = job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire y = mpc_extend(p, trio_input(p, job, 0), c->to, "extend");
    TRY(mpc_round(p));
    trio_output(p, y);
out:
    return status;
}

static void check_widening(struct widening c, size_t count, uint64_t seed)
{
    struct trio trio = {0};
    int64_t limit = INT64_C(1) << (c.from - 2), *x = must_alloc(count, sizeof *x), *got = must_alloc(count, sizeof *got);
    fill_edges(x, count, -limit, limit - 1, seed);
    const struct trio_input input = {x, count, c.from, 0, c.from - 2};
    check_run(&(struct trio_job){.program = widen, .context = &c, .inputs = &input, .input_count = 1, .seed = seed, .ahead = &two_parties}, &trio, "extend");
    check_value(&trio, 0, got, "extend");
    assert_memory_equal(x, got, count * sizeof *x);
    trio_finish(&trio);
    free(x);
    free(got);
}

/* Small rings: all values under many masks, so every pair of high bits and every carry comes. */
static void test_extension(void **state)
{
    (void)state;
    for (int from = 2; from <= 6; from++)
        check_widening((struct widening){from, 33}, 4000, 7 + (uint64_t)from);
    check_widening((struct widening){20, 64}, 3000, 20);
    check_widening((struct widening){63, 64}, 3000, 21);
    check_widening((struct widening){26, 27}, 3000, 22);
}

/* --- refusals ------------------------------------------------------------------------------------------------------------------------ */

static enum base_status lift_small(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    (void)mpc_share_mul(p, x, x, 1, 40);
    return p->status;
}

static void test_refusals(void **state)
{
    int64_t x[4] = {1, 2, 3, 4};
    const struct trio_input input = {x, 4, 30, 0, 20};
    struct trio trio = {0};
    struct base_error error = {0};
    (void)state;
    struct trio_job job = {.program = lift_small, .inputs = &input, .input_count = 1, .seed = 1, .ahead = &two_parties};
    assert_int_equal(trio_run(&job, &trio, &error), BASE_ERR_SUPPORT);
    assert_non_null(strstr(error.text, "two parties extend them first"));
    trio_finish(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_transcripts), cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_tape), cmocka_unit_test(test_extension), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
