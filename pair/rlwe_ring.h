/* The ring of pair/rlwe.h: polynomials of 8192 coefficients mod X^8192 + 1 and a power of two.
 *
 * A polynomial is [PAIR_RLWE_N] coefficients of `limbs` limbs each, least first. A product by a ternary polynomial is made modulo small primes
 * (pair/rlwe_transform.c). */
#ifndef CACHET_PAIR_RLWE_RING_H
#define CACHET_PAIR_RLWE_RING_H

#include "pair/party.h"

#include <gmp.h>

enum { PAIR_RLWE_N = 8192, PAIR_RLWE_MOST_LIMBS = 3 };

_Static_assert(GMP_LIMB_BITS == 64 && GMP_NAIL_BITS == 0, "limbs are words");

/* A ternary polynomial: -1, 0, 1, uniform but for 2^-62 each. Secret. */
void pair_ring_draw_small(struct mpc_stream *stream, int8_t ret[PAIR_RLWE_N], uint64_t scratch[PAIR_RLWE_N]);
/* Centred binomial noise: 42 coins, standard deviation 3.24. Secret. */
void pair_ring_draw_noise(struct mpc_stream *stream, int64_t *ret, size_t count);

/* ret = c s mod X^N + 1 and 2^(64 limbs); c: coefficients below 2^bits, bits <= 64 limbs. ret may be c. With bits < 64 limbs the result is
 * right mod 2^bits and its higher bits are those of a signed number. Constant time: three transforms of 8192 points. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_ring_times_small(uint64_t *ret, const uint64_t *c, int limbs, int bits, const int8_t s[PAIR_RLWE_N],
                                                     struct base_error *error);

/* Coefficients [at, at + count) of the same product alone, into ret [count], which is not c: one pass over c for each. Constant time. */
void pair_ring_times_small_at(uint64_t *ret, const uint64_t *c, int limbs, const int8_t s[PAIR_RLWE_N], size_t at, size_t count);

/* sum += c v, one coefficient of three limbs. */
static inline void pair_ring_add_multiple(uint64_t sum[3], const uint64_t c[3], uint64_t v)
{
    unsigned __int128 low = (unsigned __int128)c[0] * v + sum[0], middle = (unsigned __int128)c[1] * v + sum[1] + (uint64_t)(low >> 64);
    sum[0] = (uint64_t)low;
    sum[1] = (uint64_t)middle;
    sum[2] += c[2] * v + (uint64_t)(middle >> 64);
}

/* sum += c v, coefficient by coefficient: the loop in which answers spend their time. (mpn_addmul_1 over the whole array would do the same
 * in more time: it makes the carry out of every coefficient, which is dropped here and would be noise in the next one, seven bits above that
 * of the products.) `count` coefficients of 2 or 3 limbs. */
void pair_ring_add_times(uint64_t *sum, const uint64_t *c, size_t count, int limbs, uint64_t v);

/* c += value 2^shift mod 2^(64 limbs), shift a multiple of 64 plus any; value signed. */
void pair_ring_add(uint64_t *c, int limbs, int64_t value, int shift);

#endif
