/* Products of bits that are shared as XORs: what products of masked bits are made of (protocols/bit_terms.h).
 *
 * Each bit is rho = rho1 xor rho2 with rho_i at P_i alone. The product of s of them is 1 exactly where P2's bits are the complement of P1's. With i and j the numbers
 * that these bits make at P1 and P2, and f(i, j) = [j = 2^s - 1 - i],
 *
 *     product = f(i, 0) + sum over v = 1 .. 2^s - 1 of [j = v] (f(i, v) - f(i, 0)),
 *
 * so 2^s - 1 bits of P2 choose among words of P1. s = 1 is rho itself.
 *
 * Cost, n products: 2 exchanges, n (2^s - 1) COTs with P1 as sender; P2 sends n (2^s - 1) bits, P1 n (2^s - 1) R bits. Reveals: nothing (pair/ot.h).
 * Statistical distance: none. Source: pair/gilboa.h; specification, rank.py (bit_terms). */
#ifndef CACHET_PAIR_BITS_H
#define CACHET_PAIR_BITS_H

#include "pair/gilboa.h"

enum { PAIR_BITS_MOST = 5 };

struct pair_bits_form {
    size_t count;
    int bits; /* s, 1 to PAIR_BITS_MOST */
    int ring; /* R */
};

struct pair_bits {
    struct pair_job job;
    struct pair_bits_form form;
    uint64_t *share; /* [count], complete after the job */
    uint64_t *base;  /* P1: f(i, 0) [count] */
    uint64_t *own, *product; /* [2^s - 1][count] each */
    struct pair_gilboa gilboa;
};

/* own [count]: the bits of each product at this party, bit b of them for factor b; copied. share [count].
 * Errors: BASE_ERR_INTERNAL (form), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_bits_init(struct pair_bits *ret, const struct pair_party *p, struct pair_bits_form form, const uint64_t *own,
                                              uint64_t *share, struct base_error *error);
struct pair_cost pair_bits_cost(struct pair_bits_form form);

#endif
