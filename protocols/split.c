#include "protocols/split.h"

enum base_status sec_split_eval(struct mpc_party *p, struct mpc_wire q, int k, struct mpc_wire *ret_positive,
                                struct mpc_wire *ret_negative)
{
    enum base_status status = BASE_OK;
    struct sec_masked_bit negative = sec_compare(p, q, k, "sign");
    TRY(mpc_round(p));
    *ret_negative = sec_select(p, negative, q, 1, "negative part");
    TRY(mpc_round(p));
    *ret_positive = mpc_add(p, q, *ret_negative, -1, q.bound);
    status = p->status;
out:
    return status;
}

struct mpc_cost sec_split_cost(size_t n, int k, int ring)
{
    struct mpc_cost cost = mpc_cost_add(sec_compare_cost(n, k), sec_select_cost(n, 1, ring));
    cost.rounds = 2;
    return cost;
}

/* --- conformance: both parts, one after the other --- */

enum { STANDARD_BITS = 18, STANDARD_RING = 40 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t half = 1 << (STANDARD_BITS - 1), edges[] = {0, -1, 1, half - 1, 1 - half};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges
                       ? edges[i]
                       : (int64_t)((seed >> 33) % (uint64_t)(2 * half - 1)) + 1 - half;
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire positive, negative;
    TRY(sec_split_eval(p, x, STANDARD_BITS, &positive, &negative));
    *ret = mpc_concat(p, positive, negative);
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    return sec_split_cost(count, STANDARD_BITS, STANDARD_RING);
}

const struct sec_gate sec_gate_split = {.name = "split",
                                        .source = "specification, kv.py: split_q",
                                        .input_ring = STANDARD_RING,
                                        .input_frac = 12,
                                        .input_bound = STANDARD_BITS - 1,
                                        .unit = 1,
                                        .sample = sample,
                                        .run = run,
                                        .cost = cost};
