/* What a masked bit chooses from a small ring, in a larger one: parts of rho x for a wire x = M - l1 - l2 + 2^k V(M) in Z_2^k (mpc/choose.h), rho = rho1 xor rho2.
 *
 * V(a1, a2, M) = ceil((a1 + a2 - M) / 4), a_i the two highest bits of l_i, for each of the four values of M (mpc/lift.h). By P2's thermometer bits,
 *     V = V(a1, 0) + sum over j = 1 .. 3 of [a2 >= j] D_j,    D_j = V(a1, j) - V(a1, j - 1),
 *     rho V = rho1 V + rho2 (1 - 2 rho1) V:   three bits of P2 choose among D_j and rho1 D_j, and four, rho2 and rho2 [a2 >= j], among the words times 1 - 2 rho1;
 *     rho (l1 + l2) = rho1 l1 + rho2 l2 + rho2 (1 - 2 rho1) l1 + rho1 (1 - 2 rho2) l2;    rho = rho1 + rho2 (1 - 2 rho1).
 *
 * Cost, n words: 2 exchanges; 8 n COTs with P1 as sender, n with P2; P2 sends 8 n bits and n R, P1 n bits, 40 n (R - k) and 2 n R (pair_choose_cost).
 * Reveals: nothing (pair/ot.h). Statistical distance: none. Source: pair/gilboa.h. */
#ifndef CACHET_PAIR_CHOOSE_H
#define CACHET_PAIR_CHOOSE_H

#include "mpc/maker.h"
#include "pair/gilboa.h"

enum { PAIR_CHOOSE_PARTS = 4 };

/* ceil((s - M) / 4) for 0 <= s <= 6. No branch: the comparisons are of small numbers that are secret. */
static inline uint64_t pair_wraps_of(uint64_t s, uint64_t M)
{
    return (s + 3 - M) >> 2;
}

struct pair_choose {
    struct pair_job job;
    struct mpc_chosen_form form;
    uint64_t *wraps; /* [8][count]: V for each M, then rho V, mod 2^(R - k); complete after the job, as is */
    uint64_t *rest;  /* [2][count]: rho (l1 + l2), rho, mod 2^R */
    uint64_t *own[PAIR_CHOOSE_PARTS], *product[PAIR_CHOOSE_PARTS];
    struct pair_gilboa part[PAIR_CHOOSE_PARTS];
};

/* rho [count]: own bits; l [count]: own masks of k bits; both copied. wraps and rest are the caller's. Errors: BASE_ERR_INTERNAL (form), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_choose_init(struct pair_choose *ret, const struct pair_party *p, struct mpc_chosen_form form, const uint64_t *rho,
                                                const uint64_t *l, uint64_t *wraps, uint64_t *rest, struct base_error *error);
struct pair_cost pair_choose_cost(struct mpc_chosen_form form);

#endif
