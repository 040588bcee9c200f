/* What gates do with dealt words, eight at a time: products with public turns and powers. Indices follow from public words alone. */
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/slots.h"

enum { WIDTH = KERN_AVX512_WIDTH };

/* kern_turn_at of eight turns. */
KERN_AVX512_INLINE __m512i factors(const struct kern_turn *turn, __m512i turns, __mmask8 lanes)
{
    const long long half = 1LL << (turn->log_period - 1);
    __m512i beyond = _mm512_sub_epi64(_mm512_and_si512(turns, _mm512_set1_epi64(half - 1)), _mm512_set1_epi64(half / 2));
    __m512i index = _mm512_sub_epi64(_mm512_set1_epi64(half / 2), _mm512_abs_epi64(beyond));
    __mmask8 minus = (__mmask8)(_mm512_cmpgt_epi64_mask(beyond, _mm512_setzero_si512()) ^ _mm512_test_epi64_mask(turns, _mm512_set1_epi64(half)));
    __m512i value = _mm512_cvtepi32_epi64(_mm512_mask_i64gather_epi32(_mm256_setzero_si256(), lanes, index, turn->quarter, 4));
    return _mm512_mask_sub_epi64(value, minus, _mm512_setzero_si512(), value);
}

void kern_avx512_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn)
{
    __m512i multiple = _mm512_set1_epi64((long long)turn->multiple), offset = _mm512_set1_epi64((long long)turn->offset);
    __m512i half = _mm512_set1_epi64(turn->down == 0 ? 0 : 1LL << (turn->down - 1));
    __m128i down = _mm_cvtsi32_si128(turn->down), up = _mm_cvtsi32_si128(turn->up);
    for (size_t i = 0; i < n; i += WIDTH) {
        __mmask8 lanes = kern_avx512_lanes_below(n - i);
        __m512i turns = _mm512_sub_epi64(_mm512_mullo_epi64(_mm512_maskz_loadu_epi64(lanes, m + i), multiple), offset);
        __m512i factor = _mm512_sra_epi64(_mm512_add_epi64(factors(turn, turns, lanes), half), down);
        __m512i value = _mm512_sll_epi64(_mm512_mullo_epi64(_mm512_maskz_loadu_epi64(lanes, word + i), factor), up);
        _mm512_mask_storeu_epi64(share + i, lanes, _mm512_add_epi64(_mm512_maskz_loadu_epi64(lanes, share + i), value));
    }
}

/* words[2 i + high_i] of eight neighbouring pairs. */
KERN_AVX512_INLINE __m512i pick(const uint64_t *words, __mmask8 high)
{
    const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    __m512i a = kern_avx512_load(words), b = kern_avx512_load(words + WIDTH);
    return _mm512_mask_blend_epi64(high, _mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b));
}

/* One limb times a mantissa below 2^32, and what the limb below carried: the product's low 64 bits; *carry becomes the rest. */
KERN_AVX512_INLINE __m512i multiply(__m512i limb, __m512i mantissa, __m512i *carry)
{
    const __m512i low = _mm512_set1_epi64(0xffffffff);
    __m512i first = _mm512_add_epi64(_mm512_mul_epu32(limb, mantissa), *carry);
    __m512i second = _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(limb, 32), mantissa), _mm512_srli_epi64(first, 32));
    *carry = _mm512_srli_epi64(second, 32);
    return _mm512_or_si512(_mm512_and_si512(first, low), _mm512_slli_epi64(second, 32));
}

enum { FAST_LIMBS = 4 };

/* Lane shifts by 64 and more give zero. */
KERN_AVX512_INLINE __m512i scale(const uint64_t *words, size_t stride, int limbs, __mmask8 high, __m512i factor)
{
    __m512i mantissa = _mm512_and_si512(factor, _mm512_set1_epi64(0xffffffff)), shift = _mm512_srli_epi64(factor, 32);
    __m512i below = _mm512_sub_epi64(shift, _mm512_set1_epi64(1)), six = _mm512_set1_epi64(63), carry = _mm512_setzero_si512();
    __m512i by = _mm512_and_si512(shift, six), back = _mm512_sub_epi64(_mm512_set1_epi64(64), by);
    __m512i from = _mm512_srli_epi64(shift, 6), last = _mm512_srli_epi64(below, 6), product[FAST_LIMBS + 2];
#pragma GCC unroll 4
    for (int l = 0; l < limbs; l++)
        product[l] = multiply(pick(words + (size_t)l * stride, high), mantissa, &carry);
    product[limbs] = carry;
    product[limbs + 1] = _mm512_setzero_si512();
    __m512i first = product[0], next = product[1], half = product[0];
#pragma GCC unroll 4
    for (int l = 1; l <= limbs; l++) {
        __m512i limb = _mm512_set1_epi64(l);
        first = _mm512_mask_blend_epi64(_mm512_cmpeq_epi64_mask(from, limb), first, product[l]);
        next = _mm512_mask_blend_epi64(_mm512_cmpeq_epi64_mask(from, limb), next, product[l + 1]);
        half = _mm512_mask_blend_epi64(_mm512_cmpeq_epi64_mask(last, limb), half, product[l]);
    }
    __m512i kept = _mm512_or_si512(_mm512_srlv_epi64(first, by), _mm512_sllv_epi64(next, back));
    __m512i up = _mm512_and_si512(_mm512_srlv_epi64(half, _mm512_and_si512(below, six)), _mm512_set1_epi64(1));
    return _mm512_add_epi64(kept, up);
}

/* Whole vectors of words of `limbs` limbs; returns how many words that was. */
KERN_AVX512_INLINE size_t scale_all(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                                    const struct base_exact_power *factor, int s)
{
    const __m512i low = _mm512_set1_epi64((long long)kern_ring_mask(s)), high = _mm512_set1_epi64(1LL << s);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        __m512i public = kern_avx512_load(m + i);
        __m512i chosen = _mm512_i64gather_epi64(_mm512_and_si512(public, low), factor, 8);
        __m512i word = scale(words + 2 * i, stride, limbs, _mm512_test_epi64_mask(public, high), chosen);
        _mm512_storeu_si512((void *)(out + i), word);
    }
    return i;
}

void kern_avx512_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s)
{
    size_t done = limbs == 1   ? scale_all(out, words, stride, 1, m, n, factor, s)
                  : limbs == 2 ? scale_all(out, words, stride, 2, m, n, factor, s)
                  : limbs == 3 ? scale_all(out, words, stride, 3, m, n, factor, s)
                  : limbs == 4 ? scale_all(out, words, stride, 4, m, n, factor, s)
                               : 0;
    kern_scalar_power_words(out + done, words + 2 * done, stride, limbs, m + done, n - done, factor, s);
}
