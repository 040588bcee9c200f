/* A secret number of `bits` bits as two exact digits: x = 2^low high + rest.
 *
 * With m = 2^low m_high + m_low and the same for lambda, high = m_high - lambda_high - [m_low < lambda_low].
 * P0 deals the last two terms as a one-time table over m_low; the rest is local. (A truncation would add its
 * random carry, and then the pair (high, rest) does not have the order of x.) Two parties make a point key of
 * low + 1 levels at the sum of the low parts of both masks; what m_low borrows, 0 to 2, is a sum of its cells, and
 * the high parts are each party's own. Shapes: x [n] -> [n] each.
 * Units: 0 <= x < 2^bits, x in a ring of bits + 1 at least; the digits are exact, in rings one bit larger
 * than they need, so that a difference of two fits. Cost: 1 round, 2 n (high + 1) bits online, n 2^low (high
 * + 1) bits offline, high = bits - low; the low digit is free. Reveals: nothing (dealt halves; opened under a
 * fresh mask). Errors: x outside the range wraps; the twin counts it. Source: specification, rank.py
 * (high_digit). */
#ifndef CACHET_PROTOCOLS_DIGITS_H
#define CACHET_PROTOCOLS_DIGITS_H

#include "protocols/gate.h"

enum { SEC_DIGITS_MAX_LOW = 10 };

/* Queues the opening of the high digit in Z_2^(bits - low + 1), 1 <= low <= SEC_DIGITS_MAX_LOW and low <
 * bits. */
struct mpc_wire sec_high_digit(struct mpc_party *p, struct mpc_wire x, int bits, int low, const char *label);
struct mpc_cost sec_high_digit_cost(size_t n, int bits, int low);
/* x - 2^low high in Z_2^(low + 1). Local. */
struct mpc_wire sec_low_digit(struct mpc_party *p, struct mpc_wire x, struct mpc_wire high, int low);

extern const struct sec_gate sec_gate_digits;

#endif
