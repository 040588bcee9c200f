/* Products of ring elements from products of 8-bit integers: what tensor cores offer, here in plain C, as the oracle of the
 * kernels in kernels/cuda/.
 *
 * An element of 64, 48 or 32 bits is a sum of 8, 6 or 4 balanced limbs, x = sum_j limb_j 256^j with limb_j in [-128, 127]: byte j
 * of (x + 0x8080..80) xor 0x8080..80, without a carry chain. Of the products of limbs those with i + j below the number of limbs
 * count. A row of activations holds its limbs plane by plane upwards, a row of weights downwards, so that all products of
 * diagonal d = i + j are one plain product over (d + 1) inner elements:
 *
 *   y[r][o] = sum_d 256^d sum_k a[r][k] w[o][(limbs - 1 - d) inner + k],   k < (d + 1) inner
 *
 * Sums of a diagonal have 32 bits. Where d * 8 + 32 reaches the word's size, they may wrap: the bits beyond do not count. Below,
 * they must be exact, which bounds `inner` (kern_limb_max_inner). */
#ifndef CACHET_KERNELS_LIMB_LIMB_H
#define CACHET_KERNELS_LIMB_LIMB_H

#include "base/status.h"
#include "kernels/kern.h"

#include <stdbool.h>

KERN_INLINE int kern_limb_count(enum kern_word word)
{
    return (int)kern_word_bytes(word);
}

/* 0x80 in each byte of a word. */
KERN_INLINE uint64_t kern_limb_offset(enum kern_word word)
{
    return UINT64_C(0x8080808080808080) & kern_ring_mask(8 * kern_limb_count(word));
}

/* The limbs of x: limb j is byte j, as a signed number. */
KERN_INLINE uint64_t kern_limb_split(enum kern_word word, uint64_t x)
{
    return (x + kern_limb_offset(word)) ^ kern_limb_offset(word);
}

/* The longest inner dimension of which every sum that must be exact is: 2^14 (d + 1) inner < 2^31 for the last such diagonal d. */
static inline size_t kern_limb_max_inner(enum kern_word word)
{
    int exact = 8 * kern_limb_count(word) - 32; /* diagonals below exact / 8 */
    return exact <= 0 ? SIZE_MAX : ((size_t)1 << 17) / ((size_t)exact / 8) - 1;
}

/* Limbs of `count` elements: limb j of element i at out[place * plane + i], place being j, or limbs - 1 - j if `down`. Elements are
 * words of that kind, little-endian, `bytes` apart, at least as many as the word has. */
void kern_limb_planes(enum kern_word word, int8_t *out, size_t plane, bool down, const void *in, size_t bytes, size_t count);

/* kern_table.gemm of that word. Errors: BASE_ERR_RANGE where `inner` is larger than kern_limb_max_inner, and BASE_ERR_MEMORY; y is
 * untouched then. */
BASE_MUST_USE enum base_status kern_limb_gemm(enum kern_word word, uint64_t *y, size_t y_stride, const void *a, size_t a_stride, size_t rows,
                                              const void *w, size_t w_stride, size_t outs, size_t inner, struct base_error *error);

#endif
