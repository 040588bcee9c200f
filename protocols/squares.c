#include "protocols/squares.h"

#include "base/bits.h"

/* Beside the 2 b + log2(run) bits of the largest sum: one as bounds are closed, one for the sign. */
int sec_squares_ring(int bound, size_t run)
{
    return 2 * bound + base_log_ceil(run) + 2;
}

struct mpc_cost sec_squares_cost(size_t runs, int ring, int cut)
{
    return mpc_cut_cost(runs, ring, cut, false);
}

struct mpc_wire sec_squares(struct mpc_party *p, struct mpc_wire x, size_t run, int cut, const char *label)
{
    size_t runs = run == 0 ? 0 : x.count / run;
    int bound = 2 * x.bound + base_log_ceil(run) - cut;
    if (!mpc_failed(p) && (runs == 0 || runs * run != x.count))
        mpc_fail(p, BASE_ERR_RANGE, "%s: %zu elements are not runs of %zu", label, x.count, run);
    if (!mpc_failed(p) && (cut < 0 || bound < 1))
        mpc_fail(p, BASE_ERR_RANGE, "%s: sums of %d bits cut by %d", label, bound + cut, cut);
    if (!mpc_failed(p) && x.ring < sec_squares_ring(x.bound, run))
        mpc_fail(p, BASE_ERR_RANGE, "%s: %zu squares of bound 2^%d in a ring of %d", label, run, x.bound,
                 x.ring);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    return mpc_cut(p, mpc_share_squares(p, x, run), x.ring, cut, bound, false, label);
}
