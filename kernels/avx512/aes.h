/* VAES helpers: four blocks in a register. */
#ifndef CACHET_KERNELS_AVX512_AES_H
#define CACHET_KERNELS_AVX512_AES_H

#include "kernels/fss/core.h"

#include <immintrin.h>

#define VAES_INLINE static inline __attribute__((always_inline))

/* All turns of a loop of ten or fewer: clang leaves a loop alone that has fewer than the number it is given. */
#ifdef __clang__
#define VAES_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VAES_UNROLL _Pragma("GCC unroll 10")
#endif

enum { AES_ROUNDS = 10 };

VAES_INLINE __m512i vaes_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

VAES_INLINE void vaes_store(void *to, __m512i value)
{
    _mm512_storeu_si512(to, value);
}

/* One block, or a pair of blocks, repeated. */
VAES_INLINE __m512i vaes_broadcast(const void *from)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)from));
}

VAES_INLINE __m512i vaes_broadcast_pair(const void *from)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)from));
}

/* Two blocks, each of them twice. */
VAES_INLINE __m512i vaes_load_doubled(const void *from)
{
    __m512i two = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)from));
    return _mm512_shuffle_i64x2(two, two, 0x50);
}

/* Bit 0 of byte 0 of each block. */
VAES_INLINE __m512i vaes_control_bits(void)
{
    return _mm512_set_epi64(0, 1, 0, 1, 0, 1, 0, 1);
}

VAES_INLINE __m512i vaes_seeds(__m512i nodes)
{
    return _mm512_andnot_si512(vaes_control_bits(), nodes);
}

/* Both words of the blocks whose control bit is set. */
VAES_INLINE __mmask8 vaes_controls(__m512i nodes)
{
    return _mm512_test_epi64_mask(_mm512_unpacklo_epi64(nodes, nodes), _mm512_set1_epi64(1));
}

/* x ^ y where the mask is set. */
VAES_INLINE __m512i vaes_xor_if(__m512i x, __mmask8 mask, __m512i y)
{
    return _mm512_mask_xor_epi64(x, mask, x, y);
}

#endif
