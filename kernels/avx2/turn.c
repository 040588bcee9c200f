/* Products of dealt words and public turns, four at a time. Indices follow from public words alone. */
#include "kernels/avx2/multiply.h"
#include "kernels/avx2/slots.h"

enum { WIDTH = KERN_AVX2_WIDTH };

/* The four factors of kern_turn_at, as 32-bit numbers with their signs in 64-bit lanes; those of turns in the low halves. */
KERN_AVX2_INLINE __m256i factors(const struct kern_turn *turn, __m256i turns)
{
    const int half = 1 << (turn->log_period - 1);
    const __m256i low = _mm256_set1_epi64x(half - 1), quarter = _mm256_set1_epi64x(half / 2), zero = _mm256_setzero_si256();
    __m256i beyond = _mm256_sub_epi64(_mm256_and_si256(turns, low), quarter), past = _mm256_cmpgt_epi64(beyond, zero);
    __m256i behind = _mm256_cmpgt_epi64(zero, beyond), distance = _mm256_sub_epi64(_mm256_xor_si256(beyond, behind), behind);
    __m256i second = _mm256_sub_epi64(zero, _mm256_and_si256(_mm256_srli_epi64(turns, turn->log_period - 1), _mm256_set1_epi64x(1)));
    __m128i value = _mm256_i64gather_epi32((const int *)turn->quarter, _mm256_sub_epi64(quarter, distance), 4);
    __m256i minus = _mm256_xor_si256(past, second);
    return _mm256_sub_epi64(_mm256_xor_si256(_mm256_cvtepi32_epi64(value), minus), minus);
}

/* (factor + half) >> down for |factor| <= 2^30: in 32 bits, then widened. */
KERN_AVX2_INLINE __m256i rounded(__m256i factor, int down)
{
    __m256i half = _mm256_set1_epi32(down == 0 ? 0 : 1 << (down - 1));
    __m256i narrow = _mm256_sra_epi32(_mm256_add_epi32(factor, half), _mm_cvtsi32_si128(down));
    return _mm256_cvtepi32_epi64(_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(narrow, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0))));
}

/* x y mod 2^64. */
KERN_AVX2_INLINE __m256i product(__m256i x, __m256i y)
{
    __m256i cross = _mm256_mullo_epi32(kern_avx2_swap_halves(x), y);
    cross = _mm256_slli_epi64(_mm256_add_epi32(cross, _mm256_srli_epi64(cross, 32)), 32);
    return _mm256_add_epi64(_mm256_mul_epu32(x, y), cross);
}

void kern_avx2_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn)
{
    __m256i multiple = _mm256_set1_epi64x((long long)turn->multiple), offset = _mm256_set1_epi64x((long long)turn->offset);
    __m128i up = _mm_cvtsi32_si128(turn->up);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        __m256i turns = _mm256_sub_epi64(product(kern_avx2_load(m + i), multiple), offset);
        __m256i value = product(kern_avx2_load(word + i), rounded(factors(turn, turns), turn->down));
        __m256i sum = _mm256_add_epi64(kern_avx2_load(share + i), _mm256_sll_epi64(value, up));
        _mm256_storeu_si256((__m256i *)(void *)(share + i), sum);
    }
    kern_scalar_turn_add(share + i, word + i, m + i, n - i, turn);
}
