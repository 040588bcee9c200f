/* Boxes of keys: the largest and the smallest value per channel of every group of rows, exact.
 *
 * A box bounds every score of its group, q . k <= sum_i max(q_i high_i, q_i low_i) = q+ . high + q- . low
 * (protocols/split.h): the bound of Quest. MPCache scores a group by q . (alpha high + (1 - alpha) low). Both
 * are one product per group once boxes are there.
 *
 * A tournament. With s = min(a - b, 0), made of one masked bit [a - b < 0] and one selection:
 *   max(a, b) = a - s      min(a, b) = b + s
 * At the first level a row is its own largest and smallest: both halves come from ONE comparison. Then two of
 * the largest and two of the smallest meet side by side, in the same two rounds. Comparisons per row and
 * channel: 3/2 - 2/unit, 1.375 for groups of 16.
 *
 * Shapes: x [groups][unit][channels] -> high, low [groups][channels].
 * Units: those of x, ring, fraction and bound; nothing is rounded. |a - b| < 2^(k-1) for any two values of a
 * channel of a group: k = bound + 2 bits do, unless values reach both ends of the closed bound.
 * Cost: two rounds per level, log2(unit) levels; a group closes once in `unit` tokens, off the critical path.
 * Per comparison 2 (1 + R) bits online, two bit keys of k - 1 bits and 2 R bits offline, R the ring of x.
 * Reveals: nothing (compare.h).
 * Errors: BASE_ERR_RANGE for a form that does not fit x. Larger differences wrap silently; the twin counts
 * them.
 * Source: MPCache, arXiv 2501.06807; Quest, arXiv 2406.10774; specification, kv.py (box, make_boxes). */
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
 * rounds. `form` is the one that `box` has (its unit is not looked at), with an even number of groups; high
 * and low lie in one ring. Errors: as above. */
BASE_MUST_USE enum base_status sec_box_join(struct mpc_party *p, const struct sec_box_form *form,
                                            struct sec_box box, struct sec_box *ret);
/* Rounds included. ring: of the box. */
struct mpc_cost sec_box_join_cost(const struct sec_box_form *form, int ring);

/* Neighbouring boxes of 16 rows and two channels, and what they join to. */
extern const struct sec_gate sec_gate_box;

#endif
