/* Small rings: what a wire of Z_2^k lacks in a larger ring is one wrap, and nobody may learn it.
 *
 * x + 2^b = m'' - lambda + 2^k W as integers, m'' = m + 2^b mod 2^k, and W = A B exactly when b <= k - 2, with
 * A = [m'' < 2^(b+1)] known to P1 and P2 and B = [lambda >= 2^k - 2^(b+1)] known to P0.
 * Forbidden: treating the wrap as negligible, sending P1 or P2 the carry of l1 + l2 (a comparison), or reusing h1 or h2 in the dealt
 * halves of h. Source: PROTOCOL section 4; specification, linear.py (wrap_bits, lift, mul_lift, extend) and dealt.py (cut_lift). */
#ifndef CACHET_MPC_LIFT_H
#define CACHET_MPC_LIFT_H

#include "mpc/product.h"

/* x = M - D + 2^k A B in Z_2^ring. */
struct mpc_lifted {
    int k;
    int ring;
    size_t count;
    uint64_t *M; /* P1, P2 */
    uint64_t *D; /* P0: the mask as an integer; P1, P2: own share of it */
    uint64_t *A; /* P1, P2; NULL if k >= ring */
    uint64_t *B; /* P0: the bit; P1, P2: own share mod 2^(ring - k); NULL if k >= ring */
};

/* Whether w can be lifted to a larger ring: bound <= ring - 2 and not gate-only; else a recorded error. Any role: the twin and the
 * count role refuse what the parties would refuse. */
bool mpc_wrap_fits(struct mpc_party *p, const struct mpc_wire *w);

/* P0: B of a wire (bit per element); P1, P2: m'' in *ret_m and A. bound <= ring - 2, else a recorded range error. */
uint64_t *mpc_wrap_mask_bit(struct mpc_party *p, const struct mpc_wire *w);
uint64_t *mpc_wrap_open_bit(struct mpc_party *p, const struct mpc_wire *w, uint64_t **ret_m);

/* Prepares a small-ring wire for an elementwise product in Z_2^ring. Cost: 0 rounds, 2 n (ring - k) bits offline. */
struct mpc_lifted mpc_lift(struct mpc_party *p, struct mpc_wire w, int ring);

/* x[i] * y[i / group] as a share in Z_2^ring although x and y live in smaller rings. Local but for dealt words. Two parties without P0
 * cannot lift: there x and y are made ready before (mpc_ready).
 * Shapes: x [n], y [n / group]. Cost: mpc_share_mul_cost offline. */
struct mpc_share mpc_share_mul(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group, int ring);
/* Several wires times the same y: what mpc_share_mul gives of each, in ret [count]. Two parties make what they need for all of them together. */
struct mpc_factor {
    struct mpc_wire x;
    size_t group;
    int ring;
};
void mpc_share_mul_all(struct mpc_party *p, const struct mpc_factor *factor, size_t count, struct mpc_wire y, struct mpc_share *ret);
struct mpc_cost mpc_share_mul_cost(size_t n, size_t group, int ring_x, int ring_y, int ring);

/* Z_2^k -> Z_2^ring, the same value, exact for bound <= k - 2. One round: opens A B + h in Z_2^(ring - k), h = h1 + h2 + carry.
 * Cost: 2 n (ring - k) bits online, 2 n (ring - k) bits offline. Reveals: nothing (uniform by the peer's h).
 *
 * Two parties without P0 open V + h1 + h2 with V how often m'' - l1 - l2 wraps: ceil((a1 + a2 - M) / 4), M and a_i the two highest bits of
 * m'' and of l_i. Exact: with e and e' the low parts of l1 + l2 and of m'', in units u of 2^(k-2), (a1 + a2 - M) u + e - e' lies in
 * (2^k V - 2^(k-1), 2^k V] and e - e' in (-u, 2 u), so a1 + a2 - M is one of 4 V - 3 .. 4 V. M is public: shares of V are made for each of its four
 * values ahead of time, and the online phase stays as it is. */
struct mpc_wire mpc_extend(struct mpc_party *p, struct mpc_wire w, int ring, const char *label);
/* A factor of mpc_share_mul in Z_2^ring: with P0 the wire itself, which the product lifts; two parties extend it in the next round. */
struct mpc_wire mpc_ready(struct mpc_party *p, struct mpc_wire w, int ring, const char *label);
struct mpc_cost mpc_extend_cost(size_t count, int k, int ring);

#endif
