/* Shares of a small positive value, cut and carried into a larger ring, ahead of time.
 *
 * From shares mod 2^k of v, 0 <= v < 2^(k-2) - 2^f (f = 0: 2^(k-2)): shares mod 2^R of v / 2^f, k - f < R. The cut is local: with
 * T1 = (s1 >> f) + 1 (f = 0: s1) and T2 = s2 >> f, T1 + T2 is floor(v / 2^f) or one more, by the parties' own low bits, unbiased. In
 * Z_2^(k-f) the top bit of T1 + T2 + 2^(k-f-2) is 0, so what wraps is msb(T1) or msb(T2): ONE AND of two bits that each party has.
 *
 * Cost, n values: 2 exchanges, n COTs; P1 sends n (R - k + f) bits more than P2 (the AND's), each sends n bits. The shares are read in
 * stage 1. Reveals: nothing: a bit travels under a rho that is used once. Statistical distance: none. Source: pair.md section 3. */
#ifndef CACHET_PAIR_GROW_H
#define CACHET_PAIR_GROW_H

#include "pair/and.h"

struct pair_grow_form {
    size_t count;
    int from; /* k */
    int cut;  /* f */
    int ring; /* R */
};

struct pair_grow {
    struct pair_job job;
    struct pair_grow_form form;
    const uint64_t *from; /* own shares [count], borrowed */
    uint64_t *share;      /* [count], complete after the job */
    uint64_t *rho, *both; /* own rho; own share of rho1 rho2 */
    uint64_t *bit[2];     /* what travels, own and the peer's */
    struct pair_and and;
};

BASE_MUST_USE enum base_status pair_grow_init(struct pair_grow *ret, const struct pair_party *p, struct pair_grow_form form, const uint64_t *from,
                                              uint64_t *share, struct base_error *error);
struct pair_cost pair_grow_cost(struct pair_grow_form form);

#endif
