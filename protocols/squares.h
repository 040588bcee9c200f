/* Sums of squares over runs of a wire, as one short wire: the second moment of the scores of a unit of rows
 * and a group of heads, which ranks units by the size of their scores.
 *
 * Nothing but a product with itself that is cut before its masks go on (mpc_share_dot, mpc_cut), so no gate.
 * The price lies before it: every score must be a wire of the wide ring, 2 b + log2(run) + 2 bits.
 *
 * Shapes: x [runs][run] -> [runs]; a run lies in one piece (mpc_gather puts it so).
 * Units: x in Z_2^R, bound b, R >= sec_squares_ring(b, run). Result in Z_2^(R - cut), fraction 2 frac - cut,
 * bound 2 b + log2(run) - cut, the logarithm rounded up. Within 1.5 units of the twin: a sum near 0 may come
 * out as -1, so a gate that reads it unsigned adds a public constant first.
 * Cost: one opening in the next round, R - cut bits per run, twice online and once offline.
 * Reveals: nothing (mpc_cut).
 * Errors: BASE_ERR_RANGE for a form that does not fit; BASE_ERR_INTERNAL for a gate-only wire.
 * Source: specification, kv.py (second_moment, moment_ring). */
#ifndef CACHET_PROTOCOLS_SQUARES_H
#define CACHET_PROTOCOLS_SQUARES_H

#include "protocols/gate.h"

struct mpc_wire sec_squares(struct mpc_party *p, struct mpc_wire x, size_t run, int cut, const char *label);
/* The smallest ring of values of |x| <= 2^bound whose squares are summed over runs of `run`. */
int sec_squares_ring(int bound, size_t run);
/* Of `runs` sums from a wire of Z_2^ring; no round. */
struct mpc_cost sec_squares_cost(size_t runs, int ring, int cut);

#endif
