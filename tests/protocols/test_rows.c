/* A row of a masked table by a secret one-hot: the table is masked once, as a model's embedding is. */
#include "tests/protocols/check.h"

#include "protocols/row_lookup.h"

enum { ROWS = 37, WIDTH = 13, N = 4 };

struct rows_case {
    const int64_t *table;
    const uint32_t *l1, *l2;
};

static struct sec_row_table make_table(struct mpc_party *p, const struct rows_case *c)
{
    struct sec_row_table table = {.rows = ROWS, .width = WIDTH, .stride = sec_row_table_stride(p->role, WIDTH), .frac = 16, .bound = 24};
    table.data = mpc_bytes(p, ROWS * table.stride * sizeof *table.data + 1);
    for (size_t i = 0; p->role != MPC_COUNT && i < ROWS * WIDTH; i++) {
        uint32_t *at = table.data + i / WIDTH * table.stride + i % WIDTH, x = (uint32_t)c->table[i], m = x + c->l1[i] + c->l2[i];
        at[0] = p->role == MPC_CLEAR ? x : p->role == MPC_HELPER ? c->l1[i] + c->l2[i] : m;
        if (mpc_computes(p))
            at[WIDTH] = p->role == MPC_LEFT ? c->l1[i] : m - c->l2[i];
    }
    return table;
}

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire hot = trio_input(p, job, 0);
    struct sec_row_table table = make_table(p, job->context);
    struct mpc_wire y = sec_row_lookup(p, hot, N, &table, "row");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static void test_rows(void **state)
{
    int64_t table[ROWS * WIDTH], hot[N * ROWS] = {0}, y[N * WIDTH];
    uint32_t l1[ROWS * WIDTH], l2[ROWS * WIDTH];
    uint64_t random = 9;
    const size_t picked[N] = {0, ROWS - 1, 17, 17};
    (void)state;
    fill_edges(table, ROWS * WIDTH, -(1 << 24), 1 << 24, 1);
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
        l1[i] = (uint32_t)trio_random(&random);
        l2[i] = (uint32_t)trio_random(&random);
    }
    for (size_t r = 0; r < N; r++)
        hot[r * ROWS + picked[r]] = 1;
    for (int ring = 32; ring <= 64; ring += 16) {
        struct trio trio = {0};
        struct trio_input input = {hot, N * ROWS, ring, 0, 1};
        check_run(&(struct trio_job){.program = program, .context = &(struct rows_case){table, l1, l2}, .inputs = &input, .input_count = 1},
                  &trio, "rows");
        check_value(&trio, 0, y, "rows");
        for (size_t r = 0; r < N; r++)
            assert_memory_equal(y + r * WIDTH, table + picked[r] * WIDTH, WIDTH * sizeof *y);
        struct mpc_cost cost = sec_row_lookup_cost(N, WIDTH);
        cost.rounds = 1;
        check_cost(&trio, cost);
        trio_finish(&trio);
    }
}

/* The rows that everyone knows to be these join those of the client's choice. */
enum { FIRST = 31 };
static enum base_status joined_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire hot = trio_input(p, job, 0);
    struct sec_row_table table = make_table(p, job->context);
    struct mpc_share rows = sec_row_lookup_share(p, hot, N, &table, "row");
    mpc_share_add(p, &rows, sec_row_table_share(p, &table, FIRST, N));
    struct mpc_wire y = mpc_cut(p, rows, SEC_ROW_RING, 0, table.bound + 1, false, "row");
    enum base_status status = mpc_round(p);
    trio_output(p, y);
    return status;
}

static enum base_status beyond_program(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_row_table table = make_table(p, job->context);
    (void)sec_row_table_share(p, &table, ROWS - N + 1, N);
    return mpc_round(p);
}

static void test_public_rows(void **state)
{
    int64_t table[ROWS * WIDTH], hot[N * ROWS] = {0}, y[N * WIDTH];
    uint32_t l1[ROWS * WIDTH], l2[ROWS * WIDTH];
    uint64_t random = 10;
    struct trio trio = {0}, refused = {0};
    struct base_error error = {0};
    struct trio_input input = {hot, N * ROWS, SEC_ROW_RING, 0, 1};
    struct trio_job job = {.program = joined_program, .context = &(struct rows_case){table, l1, l2}, .inputs = &input, .input_count = 1};
    (void)state;
    fill_edges(table, ROWS * WIDTH, -(1 << 24), 1 << 24, 2);
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
        l1[i] = (uint32_t)trio_random(&random);
        l2[i] = (uint32_t)trio_random(&random);
    }
    for (size_t r = 0; r < N; r++)
        hot[r * ROWS + 9 * r] = 1;
    check_run(&job, &trio, "joined rows");
    check_value(&trio, 0, y, "joined rows");
    for (size_t i = 0; i < N * WIDTH; i++)
        assert_int_equal(y[i], table[i / WIDTH * 9 * WIDTH + i % WIDTH] + table[FIRST * WIDTH + i]);
    struct mpc_cost cost = sec_row_lookup_cost(N, WIDTH);
    cost.rounds = 1;
    check_cost(&trio, cost);
    trio_finish(&trio);
    job.program = beyond_program;
    assert_int_equal(trio_run(&job, &refused, &error), BASE_ERR_INTERNAL);
    trio_finish(&refused);
}

static void test_a_small_ring_is_refused(void **state)
{
    int64_t table[ROWS * WIDTH] = {0}, hot[N * ROWS] = {0};
    uint32_t zero[ROWS * WIDTH] = {0};
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_input input = {hot, N * ROWS, 31, 0, 1};
    struct trio_job job = {.program = program, .context = &(struct rows_case){table, zero, zero}, .inputs = &input, .input_count = 1};
    (void)state;
    assert_int_equal(trio_run(&job, &trio, &error), BASE_ERR_INTERNAL);
    trio_finish(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_public_rows), cmocka_unit_test(test_a_small_ring_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
