#include "tests/constant_time/linear.h"

#include "mpc/lift.h"
#include "mpc/opening.h"
#include "protocols/row_lookup.h"

#include <string.h>

enum { RING = 40, FRAC = 4, BOUND = 12, UNIT = 16, INNER = 4 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t limit = (1 << BOUND) - 1, edges[] = {0, 1, -1, limit, -limit};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit;
    }
}

/* Rows of x times the first rows of x, as a matrix. */
static struct mpc_wire multiply(struct mpc_party *p, struct mpc_wire x)
{
    size_t rows = x.count / INNER, stride = mpc_matrix_stride(p->role, x.ring, INNER);
    struct mpc_matrix matrix = {.ring = x.ring, .frac = x.frac, .bound = x.bound, .outs = rows, .inner = INNER, .stride = stride,
                                .data = mpc_bytes(p, rows * stride)};
    for (size_t r = 0; !mpc_failed(p) && r < rows; r++)
        mpc_matrix_put(p, &matrix, r, 0, false, mpc_slice(x, r * INNER, INNER));
    return mpc_cut(p, mpc_share_matmul(p, x, rows, &matrix), x.ring, FRAC, 2 * BOUND - FRAC + 2, false, "matrix");
}

/* A masked table of two rows, made out of x, read at a row of x. */
static struct mpc_wire look_up(struct mpc_party *p, struct mpc_wire x)
{
    enum { ROWS = 2, WIDTH = 4 };
    struct sec_row_table table = {.rows = ROWS, .width = WIDTH, .stride = sec_row_table_stride(p->role, WIDTH), .frac = FRAC, .bound = 30};
    struct mpc_wire small = mpc_reduce(p, x, SEC_ROW_RING);
    table.data = mpc_bytes(p, (ROWS * table.stride + 1) * sizeof *table.data);
    for (size_t i = 0; !mpc_failed(p) && p->role != MPC_COUNT && i < ROWS * WIDTH; i++) {
        uint32_t *row = table.data + i / WIDTH * table.stride + i % WIDTH;
        if (p->role == MPC_HELPER)
            row[0] = (uint32_t)(small.l1[i] + small.l2[i]);
        else if (p->role == MPC_CLEAR)
            row[0] = (uint32_t)small.x[i];
        else {
            row[0] = (uint32_t)small.m[i];
            row[WIDTH] = (uint32_t)(p->role == MPC_LEFT ? small.l1[i] : small.m[i] - small.l2[i]);
        }
    }
    return sec_row_lookup(p, mpc_slice(small, 0, ROWS), 1, &table, "row");
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    size_t n = x.count / 2;
    struct mpc_wire a = mpc_slice(x, 0, n), b = mpc_slice(x, n, n);
    struct mpc_wire product = mpc_cut(p, mpc_share_mul(p, a, b, 1, 64), 64, FRAC, 2 * BOUND - FRAC, false, "product");
    struct mpc_wire grouped = mpc_cut(p, mpc_share_mul(p, a, mpc_slice(b, 0, n / 2), 2, 64), 64, FRAC, 2 * BOUND - FRAC, true, "grouped");
    struct mpc_wire wide = mpc_extend(p, a, 64, "extension"), lines = multiply(p, x), row = look_up(p, x);
    TRY(mpc_round(p));
    struct mpc_wire sum = mpc_add(p, product, mpc_add_const(p, wide, 3), 1, 2 * BOUND - FRAC + 1);
    sum = mpc_truncate(p, sum, 2, 2 * BOUND - FRAC - 1, "truncation");
    uint32_t index[UNIT / 2], starts[3] = {0, 2, UNIT / 2};
    for (uint32_t i = 0; i < UNIT / 2; i++)
        index[i] = UNIT / 2 - 1 - i;
    struct mpc_wire runs = mpc_sum_runs(p, mpc_gather(p, sum, index, UNIT / 2), starts, 2, 30);
    TRY(mpc_open_to_client(p, runs, MPC_OPEN_TEST));
    TRY(mpc_open_to_client(p, row, MPC_OPEN_TEST));
    (void)grouped;
    *ret = lines;
    status = p->status;
out:
    return status;
}

const struct sec_gate linear_gate = {.name = "linear", .source = "mpc/", .input_ring = RING, .input_frac = FRAC, .input_bound = BOUND,
                                     .unit = UNIT, .sample = sample, .run = run};
