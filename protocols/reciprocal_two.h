/* 1/S over many octaves in two windows, one round, from ONE DCF key.
 *
 * S = x 2^-frac, 0 <= x < 2^k:
 *   inv_hi = 1/S       for S >= 2^-tau, else 0
 *   inv_lo = 2^-tau/S  for S < 2^-tau, else 0; constant below 2^-G
 * piecewise linear with per_octave pieces per octave on [2^(frac-G), high), constant from high on. Payload
 * (1, D >> z, D), D = mask of x. The high window reads x >> z, so that its small slopes keep their bits: on
 * shares (m >> z) - (D >> z), which is x >> z or, where the low bits borrow, one more. Windows are exact
 * (pieces.h): in the other one an output is 0 up to the rounding of the cut.
 *
 * Shapes: x [n] -> inv_hi [n], inv_lo [n].
 * Units: outputs have fy fraction bits in Z_2^(ring - F + fy); inv_hi <= 2^tau, inv_lo <= 2^(G - tau).
 * Share against twin: ulp[e] + 1 units (inv_hi: 0.5 and the steepest slope, for the borrow; inv_lo: 0.5).
 * Both against the true function: relative error[e] in the window, borrow or not, and 1.5 units.
 * Both figures are measured when the table is made.
 * Cost: 1 round, 4 n (ring - F + fy) bits online; two DCF keys of three words, and two words, per element
 * offline.
 * Reveals: nothing (gate.h).
 * Errors: init refuses a form that does not fit. x outside [0, 2^k) aliases silently on shares; the twin
 * counts x outside [2^(frac-G), high).
 * Source: specification, dealt.py (RecipTwo). */
#ifndef CACHET_PROTOCOLS_RECIPROCAL_TWO_H
#define CACHET_PROTOCOLS_RECIPROCAL_TWO_H

#include "protocols/gate.h"

enum { SEC_WINDOW_HIGH, SEC_WINDOW_LOW, SEC_WINDOWS };
enum { SEC_RECIPROCAL_TWO_MOST_BITS = 56 };

struct sec_reciprocal_two_form {
    int k;          /* bits of x */
    int frac;       /* fraction bits of S */
    int tau, G;     /* the windows part at 2^-tau, the low one starts at 2^-G: 0 < tau < G <= frac */
    int64_t high;   /* S < high 2^-frac */
    int z;          /* low bits that the high window does not read: z < frac - tau */
    int per_octave; /* a power of two */
    int F;          /* fraction bits before the cut */
    int fy;         /* fraction bits of the outputs */
    int ring;
};

struct sec_reciprocal_two {
    struct sec_reciprocal_two_form form;
    size_t pieces;
    size_t first_high; /* the first piece of the high window */
    int64_t *knot;     /* first x of each piece; knot[0] = 0, knot[1] = 2^(frac-G) */
    int64_t *value; /* y = value + slope x, or value + slope (x >> z) in the high window; F fraction bits */
    int64_t *slope;
    double error[SEC_WINDOWS];
    double ulp[SEC_WINDOWS];
};

BASE_MUST_USE enum base_status sec_reciprocal_two_init(struct sec_reciprocal_two *ret,
                                                       struct sec_reciprocal_two_form form,
                                                       struct base_error *error);
void sec_reciprocal_two_finish(struct sec_reciprocal_two *gate);
bool sec_reciprocal_two_same(const struct sec_reciprocal_two_form *a, const struct sec_reciprocal_two_form *b);

/* ret[SEC_WINDOWS] wires. Queues one opening for each. */
void sec_reciprocal_two_eval(struct mpc_party *p, const struct sec_reciprocal_two *gate, struct mpc_wire x,
                             struct mpc_wire *ret, const char *label);

/* o / S, not yet cut: o [n * group] is read once per window, (o >> tau) inv_hi + (o 2^tau) inv_lo.
 * S [n], inv as sec_reciprocal_two_eval gave them. |o| <= 2^bound in the low window, in units of o; what lies
 * above there is dropped, and in the other window it meets inv_lo = 0, or one unit of it: `slack` says how
 * much that is. Fraction of the result: o.frac - tau + fy.
 * Cost: two mpc_share_mul offline. */
struct mpc_share sec_reciprocal_two_divide(struct mpc_party *p, const struct sec_reciprocal_two *gate,
                                           struct mpc_wire S, const struct mpc_wire inv[SEC_WINDOWS],
                                           struct mpc_wire o, int bound, int ring);
struct mpc_cost sec_reciprocal_two_cost(const struct sec_reciprocal_two *gate, size_t n);

extern const struct sec_gate sec_gate_reciprocal_two;

#endif
