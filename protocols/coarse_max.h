/* A coarse maximum of each row, two rounds: c with 0 < c - max(row) < 2 bins, from a histogram of the high h bits.
 *
 * Round 1 opens masked SUFFIX COUNTS in Z_2^rc, 2^rc > row length; round 2 opens c from one zero test per bin (an equality
 * DPF at the count's mask, payload 2^s in Z_2^ko). The bin read is the true one or the one above: c = (top bin + 1) 2^s; the top bin must
 * stay empty (it would wrap to bin 0).
 * Units: |x| < 2^(k-1) - 2^s with the fraction of the input; result in Z_2^ko, ko >= k + 1, so that c - x reads unsigned.
 * Cost: 2 rounds; per element 2^h dealt counters of rc bits, or one DPF key pair where that is smaller; per row 2^h - 1 keys.
 * Two parties without P0 read one bit more of x, in as many cells again, one key per element: cell 0 and 1 and the upper half are bad, and the same key's shares,
 * summed over them, join the guard (protocols/guard.h) for nothing. They count nowhere.
 * Reveals: nothing (counts are opened under fresh masks of their whole ring).
 * Source: specification, rowmax.py; PROTOCOL section 5. */
#ifndef CACHET_PROTOCOLS_COARSE_MAX_H
#define CACHET_PROTOCOLS_COARSE_MAX_H

#include "protocols/gate.h"

struct sec_coarse_max {
    int k;  /* bits of a score as read */
    int h;  /* log2 of the number of bins */
    int ko; /* ring of the result */
};

/* Shapes: x [starts[rows]]: row r is x[starts[r] .. starts[r + 1]) -> *ret [rows]. Runs its two rounds; whatever else
 * is queued goes with the first. */
BASE_MUST_USE enum base_status sec_coarse_max_eval(struct mpc_party *p, const struct sec_coarse_max *gate, struct mpc_wire x,
                                                   const uint32_t *starts, size_t rows, struct mpc_wire *ret);
/* elements: starts[rows]; longest: the longest row. Rounds included. */
struct mpc_cost sec_coarse_max_cost(const struct sec_coarse_max *gate, size_t elements, size_t rows, size_t longest);

extern const struct sec_gate sec_gate_coarse_max;

#endif
