/* Vectors of eight 64-bit words: loading, masks of the first lanes, sums. */
#ifndef CACHET_KERNELS_AVX512_LANES_H
#define CACHET_KERNELS_AVX512_LANES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define KERN_AVX512_INLINE static inline __attribute__((always_inline))

enum { KERN_AVX512_WIDTH = 8 };

KERN_AVX512_INLINE __m512i kern_avx512_load(const uint64_t *from)
{
    return _mm512_loadu_si512((const void *)from);
}

KERN_AVX512_INLINE __mmask8 kern_avx512_lanes_below(size_t n)
{
    return (__mmask8)((1u << (n < KERN_AVX512_WIDTH ? n : KERN_AVX512_WIDTH)) - 1);
}

/* The compiler's own reduction adds signed words in C, where they may not overflow. */
KERN_AVX512_INLINE uint64_t kern_avx512_sum(__m512i x)
{
    __m256i four = _mm256_add_epi64(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

#endif
