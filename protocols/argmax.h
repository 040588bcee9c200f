/* The index of the largest of n values (and the value), nothing opened: a tournament of compare-exchange steps.
 *
 * Neighbours play, so that the left one always holds the lower indices: equal values keep the lowest index.
 * Shapes: x [n], n >= 1 -> id [1], value [1]. Units: |x| < 2^(k-2); id in Z_2^ri.
 * Cost: ceil(log2 n) rounds, n - 1 steps (sec_argmax_cost). Reveals: nothing.
 * Source: specification, compare.py (Argmax, which pairs halves and so keeps no order among equals). */
#ifndef CACHET_PROTOCOLS_ARGMAX_H
#define CACHET_PROTOCOLS_ARGMAX_H

#include "protocols/max_step.h"

/* Runs all its rounds; whatever else is queued goes with the first. */
BASE_MUST_USE enum base_status sec_argmax_eval(struct mpc_party *p, const struct sec_max_step *step, struct mpc_wire x,
                                               struct sec_ranked *ret);
/* Rounds included. */
struct mpc_cost sec_argmax_cost(const struct sec_max_step *step, size_t n);

extern const struct sec_gate sec_gate_argmax;

#endif
