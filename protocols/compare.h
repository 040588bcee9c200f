/* Comparison with a masked result, and what a masked bit is good for: as a wire, as a selector.
 *
 * [x < 0] is the top bit of x = m - lambda in Z_2^k: msb(m) xor msb(lambda) xor [m_low < lambda_low], the last term from a bit key
 * at lambda_low read at the public m_low. Opened is delta = bit xor rho, with rho = rho1 xor rho2 xor msb(lambda) known to P0
 * alone; so the bit itself is never shown. A masked bit is a gate-only wire of Z_2.
 * Shapes: x [n] -> bits [n]. Units: |x| < 2^(k-1), read in Z_2^k. Cost: 1 round, 2 n bits online, two bit keys offline.
 * Reveals: nothing (delta is uniform by the peer's fresh rho). Errors: x outside the range wraps; the twin counts it.
 * Source: specification, compare.py (Compare, bit_to_wire, select). */
#ifndef CACHET_PROTOCOLS_COMPARE_H
#define CACHET_PROTOCOLS_COMPARE_H

#include "protocols/gate.h"

struct sec_masked_bit {
    uint64_t *delta; /* P1, P2; complete after the round */
    uint64_t *rho;   /* P0; of two parties ahead of time: their own part, rho = rho1 xor rho2 */
    uint64_t *x;     /* twin */
    size_t count;
};

/* Queues the opening of the masked bits of [x < 0], x read in Z_2^k, 2 <= k <= 63. */
struct sec_masked_bit sec_compare(struct mpc_party *p, struct mpc_wire x, int k, const char *label);
struct mpc_cost sec_compare_cost(size_t n, int k);

/* For gates that make a masked bit: queues the opening of delta, which holds each party's XOR share of bit xor rho under its fresh mask of
 * one bit. Declares nothing. Cost: 2 n bits online. */
void sec_masked_bit_queue(struct mpc_party *p, const struct sec_masked_bit *bit, const char *label);

/* The bit as 0 or 1 in Z_2^ring: bit = delta + (1 - 2 delta) rho from dealt shares of rho. Queues one opening.
 * Cost: 2 n ring bits online, n ring bits offline (two parties make the shares: pair/bits.h). Reveals: nothing. */
struct mpc_wire sec_bit_to_wire(struct mpc_party *p, struct sec_masked_bit bit, int ring, const char *label);
struct mpc_cost sec_bit_to_wire_cost(size_t n, int ring);

/* bit[i / group] * v[i], exact: bit v = delta v + (1 - 2 delta)(rho m - rho l) from dealt shares of rho and rho l. Queues one opening.
 * Shapes: bit [n / group], v [n]. Cost: 2 n R bits online, (n + n / group) R bits offline, R the ring of v. Reveals: nothing. */
struct mpc_wire sec_select(struct mpc_party *p, struct sec_masked_bit bit, struct mpc_wire v, size_t group, const char *label);
struct mpc_cost sec_select_cost(size_t n, size_t group, int ring);

/* Elements [first, first + count) as a view. */
struct sec_masked_bit sec_masked_bit_slice(struct sec_masked_bit bit, size_t first, size_t count);

extern const struct sec_gate sec_gate_compare;

#endif
