/* Products mod 2^64 with 32-bit multipliers. For x = x1 2^32 + x0 and y likewise, x y = x0 y0 + (x1 y0 + x0 y1) 2^32:
 * vpmuludq gives the first term, one vpmulld with the halves of x swapped gives both cross terms mod 2^32 side by side.
 * They go to accumulators of their own and meet once, at the end: two multiplications for four products. */
#ifndef CACHET_KERNELS_AVX2_MULTIPLY_H
#define CACHET_KERNELS_AVX2_MULTIPLY_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define KERN_AVX2_INLINE static inline __attribute__((always_inline))

enum { KERN_AVX2_WIDTH = 4, KERN_AVX2_PAIRS = 4 };

struct kern_avx2_sums {
    __m256i low[KERN_AVX2_PAIRS], cross[KERN_AVX2_PAIRS];
};

KERN_AVX2_INLINE __m256i kern_avx2_load(const uint64_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

KERN_AVX2_INLINE __m256i kern_avx2_swap_halves(__m256i x)
{
    return _mm256_shuffle_epi32(x, 0xb1);
}

/* The first n of four lanes, 0 <= n. */
KERN_AVX2_INLINE __m256i kern_avx2_lanes_below(size_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_set_epi64x(3, 2, 1, 0));
}

KERN_AVX2_INLINE __m256i kern_avx2_load_first(const uint64_t *from, __m256i lanes)
{
    return _mm256_maskload_epi64((const long long *)(const void *)from, lanes);
}

KERN_AVX2_INLINE void kern_avx2_multiply(struct kern_avx2_sums *s, int at, __m256i x, __m256i swapped, __m256i y)
{
    s->low[at] = _mm256_add_epi64(s->low[at], _mm256_mul_epu32(x, y));
    s->cross[at] = _mm256_add_epi32(s->cross[at], _mm256_mullo_epi32(swapped, y));
}

KERN_AVX2_INLINE uint64_t kern_avx2_total(const struct kern_avx2_sums *s, int at)
{
    __m256i cross = _mm256_add_epi32(s->cross[at], _mm256_srli_epi64(s->cross[at], 32));
    __m256i sum = _mm256_add_epi64(s->low[at], _mm256_slli_epi64(cross, 32));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}

#endif
