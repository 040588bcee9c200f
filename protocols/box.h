/* Boxes of keys: the largest and the smallest value per channel of every group of rows, exact.
 *
 * A box bounds every score of its group: q . k <= sum_i max(q_i high_i, q_i low_i) = q+ . high + q- . low
 * (protocols/split.h), the bound of Quest; MPCache scores a group by q . (alpha high + (1 - alpha) low). Both
 * are one product per group once boxes are there.
 *
 * A tournament. With s = min(a - b, 0), made of one masked bit [a - b < 0] and one selection:
 *   max(a, b) = a - s      min(a, b) = b + s
 * so at the first level, where a row is its own largest and smallest, both halves come from ONE comparison;
 * from then on two of the largest and two of the smallest meet side by side in the same two rounds.
 * Comparisons per row and channel: 3/2 - 2/unit, 1.375 for groups of 16.
 *
 * Shapes: x [groups][unit][channels] -> high, low [groups][channels].
 * Units: those of x: ring, fraction and bound; nothing is rounded. |a - b| < 2^(k-1) for any two values of
 * one channel of one group, so k = bound + 2 bits always hold a difference, but for the two ends of a closed
 * bound, 2^bound and -2^bound. Cost: two rounds per level, log2(unit) levels; per comparison 2 (1 + R) bits
 * online, R the ring of x, and two bit keys of k - 1 bits and 2 R bits offline (sec_box_cost). Off the
 * critical path: a group closes once in `unit` tokens. Reveals: nothing (compare.h); the same openings
 * whatever the values. Errors: BASE_ERR_RANGE for a form that does not fit x. Differences outside the range
 * wrap silently; the twin counts them. Source: MPCache, arXiv 2501.06807; Quest, arXiv 2406.10774;
 * specification, kv.py (box, make_boxes). */
#ifndef CACHET_PROTOCOLS_BOX_H
#define CACHET_PROTOCOLS_BOX_H

#include "protocols/compare.h"

enum { SEC_BOX_MOST_UNIT = 64 };

struct sec_box_form {
    size_t groups;
    size_t unit; /* rows of a group: a power of two, 2 to SEC_BOX_MOST_UNIT */
    size_t channels;
    int k; /* bits of a difference */
};

struct sec_box {
    struct mpc_wire high, low; /* [groups][channels] */
};

/* The boxes of all groups. Runs its rounds; whatever else is queued goes with the first. */
BASE_MUST_USE enum base_status sec_box_eval(struct mpc_party *p, const struct sec_box_form *form,
                                            struct mpc_wire x, struct sec_box *ret);
/* Rounds included. ring: of x. */
struct mpc_cost sec_box_cost(const struct sec_box_form *form, int ring);

/* The boxes of pairs of neighbours, groups 2 i and 2 i + 1 of `box`: those of groups twice as long, in 2
 * rounds. `form` is the one that `box` has (its unit is not looked at): an even number of groups. Errors: as
 * above. */
BASE_MUST_USE enum base_status sec_box_join(struct mpc_party *p, const struct sec_box_form *form,
                                            struct sec_box box, struct sec_box *ret);
/* Rounds included. ring: the smaller one of the box's wires. */
struct mpc_cost sec_box_join_cost(const struct sec_box_form *form, int ring);

/* Neighbouring boxes of 16 rows and two channels, and what they join to. */
extern const struct sec_gate sec_gate_box;

#endif
