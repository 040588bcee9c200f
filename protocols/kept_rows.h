/* Secret flags of a public number to secret one-hot rows IN ORDER: row s names the s-th kept element.
 *
 * P_i = flag_0 + .. + flag_i is local. From shares of [P_i = v] (one_hot.h) sums give shares of [P_i >= s],
 * and row s at i is [P_i >= s + 1] - [P_(i-1) >= s + 1]. The lost elements follow for nothing: their count is
 * P'_i = i + 1 - P_i, so [P'_i >= s] is [P_i <= i + 1 - s], another sum of the same shares. Kept row s can be
 * 1 at elements s to s + n - k only, as s others are kept before it and k - 1 - s after it, and lost row j at
 * j to j + k: the rest is 0 and is not opened.
 *
 * Shapes: flags [rows][n] -> [rows][k][n], or [rows][n][n] with the n - k lost ones after the kept ones.
 * Units: flags 0 or 1, exactly k of each row, in a ring of sec_kept_bits(k) at least; the result is exact in
 * Z_2^ring: the left factor of a product (mpc_share_matmul).
 * Cost: 1 round; 2 ring bits online per element that is opened, k (n - k + 1) of each row, with the lost ones
 * 2 k (n - k) + n; offline sec_one_hot_cost of rows n elements of sec_kept_bits(k) bits.
 * Reveals: nothing. Errors: another number of flags gives other rows and is not noticed.
 * Source: specification, kv.py (keep_index); the prefix sums are read in as many bits as k needs, where it
 * takes those of n. */
#ifndef CACHET_PROTOCOLS_KEPT_ROWS_H
#define CACHET_PROTOCOLS_KEPT_ROWS_H

#include "base/bits.h"
#include "protocols/one_hot.h"

struct sec_kept_form {
    size_t rows, n, k;
    int ring; /* of the result */
    bool lost;
};

/* Bits of a count of 0 .. k. */
static inline int sec_kept_bits(size_t k)
{
    return base_bits_of(k);
}
/* Queues the opening of what may be 1 of the rows. */
struct mpc_wire sec_kept_queue(struct mpc_party *p, struct sec_kept_form form, struct mpc_wire flags,
                               const char *label);
/* After the round: the rows. Local. */
struct mpc_wire sec_kept_rows(struct mpc_party *p, struct sec_kept_form form, struct mpc_wire opened);
struct mpc_cost sec_kept_rows_cost(struct sec_kept_form form);

extern const struct sec_gate sec_gate_kept_rows;

#endif
