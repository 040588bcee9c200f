/* Payloads of point keys from the low parts b1 and b2 of two private masks: what quadratic pieces and the exponential are read with.
 *
 * The mask of a wire is l1 + l2 with l_i = 2^s a_i + b_i at P_i. For public m = 2^s i + j,
 *     x = 2^s (i - a1 - a2) + (j - b1 - b2),    j - b1 - b2 in (-2^(s+1), 2^s):
 * no carry is computed. The cell at a1 + a2 (pair/point.h) is the true one or one of the next two, so pieces fit THREE widths and two top
 * cells are unusable. Both payloads come from local values and one product.
 *
 * Beside a point job these jobs stand BEFORE it, and end in time if h is at least their exchanges.
 * Reveals: nothing. Source: pair.md section 4, pair_gates.py. */
#ifndef CACHET_PAIR_PAYLOAD_H
#define CACHET_PAIR_PAYLOAD_H

#include "pair/gilboa.h"
#include "pair/grow.h"

/* (1, b, b^2) of b = b1 + b2, b_i of `bits` bits; with `times` also D (1, b, b^2) of D = d1 + d2, whole words: the mask of a second wire.
 * Cost: 2 exchanges. A Gilboa product of b1 by P2's words b2, or b2, d2, b2 d2; with `times` also b2 by d1, b1 d1, and b_i^2 by the other's d. */
struct pair_powers_form {
    size_t count;
    int bits, ring;
    bool times;
};

enum { PAIR_POWERS_PARTS = 4, PAIR_POWERS_MOST_BITS = 32 };

struct pair_powers {
    struct pair_job job;
    struct pair_powers_form form;
    const uint64_t *own; /* own b_i [count], and with `times` d_i [count]; borrowed */
    uint64_t *beta;      /* [3 or 6][count], complete after the job */
    uint64_t *square;    /* own b_i^2 */
    uint64_t *words[PAIR_POWERS_PARTS], *product[PAIR_POWERS_PARTS];
    struct pair_gilboa part[PAIR_POWERS_PARTS];
};

/* Errors: BASE_ERR_INTERNAL (form), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_powers_init(struct pair_powers *ret, const struct pair_party *p, struct pair_powers_form form,
                                                const uint64_t *own, uint64_t *beta, struct base_error *error);
struct pair_cost pair_powers_cost(struct pair_powers_form form);

/* f1 f2 / 2^frac in Z_2^ring, f_i of `bits` bits at P_i with `frac` fraction bits: exp(u b) = exp(u b1) exp(u b2). Off by less than a unit
 * (pair/grow.h). Cost: 3 exchanges, a Gilboa product of `bits` bits in a ring of 2 bits + 2, and a growth. */
struct pair_factors_form {
    size_t count;
    int bits, frac, ring;
};

struct pair_factors {
    struct pair_job job;
    struct pair_factors_form form;
    uint64_t *product;
    struct pair_gilboa gilboa;
    struct pair_grow grow;
};

/* own [count], beta [count]. */
BASE_MUST_USE enum base_status pair_factors_init(struct pair_factors *ret, const struct pair_party *p, struct pair_factors_form form,
                                                 const uint64_t *own, uint64_t *beta, struct base_error *error);
struct pair_cost pair_factors_cost(struct pair_factors_form form);

#endif
