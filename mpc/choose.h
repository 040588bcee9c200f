/* Between two parties without P0: c a + b with a secret bit c, and larger words at once.
 *
 * c is a wire of one bit: its m is c xor rho, rho = rho1 xor rho2, and public. With X = a as mpc_extend has it, M - l1 - l2 + 2^k V(M), V one of four shares that
 * were made,
 *     c a = C X + (1 - 2 C) rho X,    rho X = M rho - rho (l1 + l2) + 2^k rho V(M),    C = m of c,
 * so shares of V, rho V, rho (l1 + l2) and rho are all that it takes, made ahead of time (mpc_chosen_form). b is extended in the same way. A gate that reads one of
 * two tables thus ends in a round that extends what it read anyhow. */
#ifndef CACHET_MPC_CHOOSE_H
#define CACHET_MPC_CHOOSE_H

#include "mpc/product.h"

/* Shapes: bit [n] of ring 1, a [n] and b [n] of one fraction in rings below `ring` -> [n] in Z_2^ring. Local, and exact: what the twin's values give.
 * Cost: nothing online; ahead of time a mpc_chosen_form and a mpc_wraps_form. Reveals: nothing, as products of shared words.
 * Errors: BASE_ERR_SUPPORT where P0 deals, BASE_ERR_RANGE for a bound that leaves no two bits, BASE_ERR_INTERNAL (shapes). */
struct mpc_share mpc_share_choose(struct mpc_party *p, struct mpc_wire bit, struct mpc_wire a, struct mpc_wire b, int ring);

#endif
