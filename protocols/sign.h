/* The masked bit of [x < 0] in a small ring, and with it the one of [x = 0] from the same dealt table.
 *
 * x = m - lambda in Z_2^k. As in compare.h, [x < 0] is msb(m) xor msb(lambda) xor [m_low < lambda_low]. P0
 * deals the last term as a one-time truth table T[a] = [a < lambda_low] of 2^(k-1) bits, which P1 and P2 read
 * at the public m_low: for k <= 11 that is smaller than two bit keys (k = 5: 2 bytes, 9: 32, 11: 128); a
 * larger k is sec_compare's. T[m_low] xor T[m_low - 1] = [m_low = lambda_low] (T[-1] = 1): whether x is a
 * multiple of 2^(k-1), so 0 where |x| < 2^(k-1). The table is read twice, so that bit costs no dealt byte.
 * Two parties make a point key of k levels over all of Z_2^k: both bits are sums of its cells mod 2; a larger k is
 * refused.
 * Reveals: nothing. The table's halves are dealt (one party's is a draw, the other's uniform by it); delta is
 * uniform by the peer's fresh rho, and every bit has its own. Errors: x outside the range wraps; the twin
 * counts it. Source: specification, rank.py (Sign) and README 9.1. */
#ifndef CACHET_PROTOCOLS_SIGN_H
#define CACHET_PROTOCOLS_SIGN_H

#include "protocols/compare.h"

enum { SEC_SIGN_TABLE_BITS = 11 };

/* Queues the opening of the masked bits of [x < 0], x read in Z_2^k, 2 <= k <= 63. Shapes: x [n] -> bits [n].
 * Cost: 1 round, 2 n bits online, n 2^(k-1) bits offline (k > SEC_SIGN_TABLE_BITS: sec_compare_cost). */
struct sec_masked_bit sec_sign(struct mpc_party *p, struct mpc_wire x, int k, const char *label);
struct mpc_cost sec_sign_cost(size_t n, int k);

/* The masked bits of [x < 0] and those of [x = 0]. Shapes: x [n] -> bits [n] each. Units: |x| < 2^(k-1), 2 <=
 * k <= SEC_SIGN_TABLE_BITS. Cost: 1 round, 4 n bits online, n 2^(k-1) bits offline. */
void sec_sign_zero(struct mpc_party *p, struct mpc_wire x, int k, struct sec_masked_bit *ret_negative,
                   struct sec_masked_bit *ret_zero, const char *label);
struct mpc_cost sec_sign_zero_cost(size_t n, int k);

extern const struct sec_gate sec_gate_sign, sec_gate_sign_zero;

#endif
