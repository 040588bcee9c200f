/* What gates do with dealt words, four at a time: products with public turns and powers. Indices follow from public words alone. */
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

/* words[2 i + high_i] of four neighbouring pairs; high: all ones for the second of a pair. */
KERN_AVX2_INLINE __m256i pick(const uint64_t *words, __m256i high)
{
    __m256i a = kern_avx2_load(words), b = kern_avx2_load(words + WIDTH); /* 0 1 2 3, 4 5 6 7 */
    __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b); /* 0 4 2 6, 1 5 3 7 */
    return _mm256_blendv_epi8(_mm256_permute4x64_epi64(even, 0xd8), _mm256_permute4x64_epi64(odd, 0xd8), high);
}

/* One limb times a mantissa below 2^32, and what the limb below carried: the product's low 64 bits; *carry becomes the rest. */
KERN_AVX2_INLINE __m256i multiply(__m256i limb, __m256i mantissa, __m256i *carry)
{
    __m256i first = _mm256_add_epi64(_mm256_mul_epu32(limb, mantissa), *carry);
    __m256i second = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(limb, 32), mantissa), _mm256_srli_epi64(first, 32));
    *carry = _mm256_srli_epi64(second, 32);
    return _mm256_blend_epi32(first, _mm256_slli_epi64(second, 32), 0xaa);
}

enum { FAST_LIMBS = 4 };

/* Lane shifts by 64 and more give zero. */
KERN_AVX2_INLINE __m256i scale(const uint64_t *words, size_t stride, int limbs, __m256i high, __m256i factor)
{
    __m256i mantissa = _mm256_and_si256(factor, _mm256_set1_epi64x(0xffffffff)), shift = _mm256_srli_epi64(factor, 32);
    __m256i below = _mm256_sub_epi64(shift, _mm256_set1_epi64x(1)), six = _mm256_set1_epi64x(63), carry = _mm256_setzero_si256();
    __m256i by = _mm256_and_si256(shift, six), back = _mm256_sub_epi64(_mm256_set1_epi64x(64), by);
    __m256i from = _mm256_srli_epi64(shift, 6), last = _mm256_srli_epi64(below, 6), product[FAST_LIMBS + 2];
#pragma GCC unroll 4
    for (int l = 0; l < limbs; l++)
        product[l] = multiply(pick(words + (size_t)l * stride, high), mantissa, &carry);
    product[limbs] = carry;
    product[limbs + 1] = _mm256_setzero_si256();
    __m256i first = product[0], next = product[1], half = product[0];
#pragma GCC unroll 4
    for (int l = 1; l <= limbs; l++) {
        __m256i limb = _mm256_set1_epi64x(l), here = _mm256_cmpeq_epi64(from, limb);
        first = _mm256_blendv_epi8(first, product[l], here);
        next = _mm256_blendv_epi8(next, product[l + 1], here);
        half = _mm256_blendv_epi8(half, product[l], _mm256_cmpeq_epi64(last, limb));
    }
    __m256i kept = _mm256_or_si256(_mm256_srlv_epi64(first, by), _mm256_sllv_epi64(next, back));
    __m256i up = _mm256_and_si256(_mm256_srlv_epi64(half, _mm256_and_si256(below, six)), _mm256_set1_epi64x(1));
    return _mm256_add_epi64(kept, up);
}

/* Whole vectors of words of `limbs` limbs; returns how many words that was. */
KERN_AVX2_INLINE size_t scale_all(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                                  const struct base_exact_power *factor, int s)
{
    const __m256i low = _mm256_set1_epi64x((long long)kern_ring_mask(s)), high = _mm256_set1_epi64x(1LL << s);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        __m256i public = kern_avx2_load(m + i);
        __m256i chosen = _mm256_i64gather_epi64((const long long *)(const void *)factor, _mm256_and_si256(public, low), 8);
        __m256i second = _mm256_cmpeq_epi64(_mm256_and_si256(public, high), high);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), scale(words + 2 * i, stride, limbs, second, chosen));
    }
    return i;
}

void kern_avx2_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                           const struct base_exact_power *factor, int s)
{
    size_t done = limbs == 1   ? scale_all(out, words, stride, 1, m, n, factor, s)
                  : limbs == 2 ? scale_all(out, words, stride, 2, m, n, factor, s)
                  : limbs == 3 ? scale_all(out, words, stride, 3, m, n, factor, s)
                  : limbs == 4 ? scale_all(out, words, stride, 4, m, n, factor, s)
                               : 0;
    kern_scalar_power_words(out + done, words + 2 * done, stride, limbs, m + done, n - done, factor, s);
}
