/* Products of masked bits as additive shares, without a round.
 *
 * A masked bit is delta + (1 - 2 delta) rho with delta known to P1 and P2 and rho to P0. A product of bits is
 * therefore a sum, over the subsets of its factors, of a public coefficient times the product of the subset's
 * rhos; P0 deals those products, one word each. A word that was dealt serves every later product and every
 * smaller ring: so terms are kept and grow. Shapes: bits [n] each, a product [n]. Cost: n ring bits offline
 * for each subset that is dealt (two parties make it: pair/bits.h). Reveals: nothing (dealt halves; what is opened later is opened under fresh
 * masks). Source: specification, rank.py (bit_terms). */
#ifndef CACHET_PROTOCOLS_BIT_TERMS_H
#define CACHET_PROTOCOLS_BIT_TERMS_H

#include "protocols/compare.h"

enum { SEC_TERM_BITS = 5, SEC_TERM_SUBSETS = 1 << SEC_TERM_BITS };

/* A product and a subset are sets of bits: 1 << i for bit[i]. */
struct sec_bit_terms {
    int ring;
    size_t count; /* elements of each bit */
    struct sec_masked_bit bit[SEC_TERM_BITS];
    uint32_t dealt;                  /* the subsets that were dealt: bit s of it for subset s */
    uint64_t *rho[SEC_TERM_SUBSETS]; /* P1, P2: their halves */
};

/* The subsets that a product needs, in the form of `dealt`. */
uint32_t sec_term_subsets(unsigned product);
/* Cost of `subsets` for bits of n elements. */
struct mpc_cost sec_terms_cost(uint32_t subsets, size_t n, int ring);

/* Deals what is still missing for these subsets; their bits are set. */
void sec_terms_deal(struct mpc_party *p, struct sec_bit_terms *terms, uint32_t subsets);
/* Adds factor * the product to sum[n], mod 2^64 of which the low `ring` bits count: shares at P1 and P2,
 * values at the twin; elsewhere nothing. Errors: BASE_ERR_INTERNAL if its subsets were not dealt. */
void sec_term_add(struct mpc_party *p, const struct sec_bit_terms *terms, unsigned product, uint64_t factor,
                  uint64_t *sum);

/* 1 - bit. Local. */
struct sec_masked_bit sec_masked_bit_not(struct mpc_party *p, struct sec_masked_bit bit);

#endif
