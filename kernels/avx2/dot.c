/* Sums of products mod 2^64: inner products, and the three weights of a segment. */
#include "kernels/avx2/multiply.h"
#include "kernels/avx2/slots.h"

enum { WIDTH = KERN_AVX2_WIDTH };

uint64_t kern_avx2_dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    struct kern_avx2_sums s;
    for (int i = 0; i < KERN_AVX2_PAIRS; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + WIDTH * KERN_AVX2_PAIRS <= count; i += WIDTH * KERN_AVX2_PAIRS)
#pragma GCC unroll 4
        for (int j = 0; j < KERN_AVX2_PAIRS; j++) {
            __m256i x = kern_avx2_load(a + i + WIDTH * j);
            kern_avx2_multiply(&s, j, x, kern_avx2_swap_halves(x), kern_avx2_load(b + i + WIDTH * j));
        }
    for (; i < count; i += WIDTH) {
        __m256i lanes = kern_avx2_lanes_below(count - i), x = kern_avx2_load_first(a + i, lanes);
        kern_avx2_multiply(&s, 0, x, kern_avx2_swap_halves(x), kern_avx2_load_first(b + i, lanes));
    }
    uint64_t sum = 0;
    for (int j = 0; j < KERN_AVX2_PAIRS; j++)
        sum += kern_avx2_total(&s, j);
    return sum;
}

/* x y mod 2^64. */
KERN_AVX2_INLINE __m256i product(__m256i x, __m256i swapped, __m256i y)
{
    __m256i cross = _mm256_mullo_epi32(swapped, y);
    cross = _mm256_add_epi32(cross, _mm256_slli_epi64(cross, 32));
    __m256i high = _mm256_set1_epi64x((long long)UINT64_C(0xffffffff00000000));
    return _mm256_add_epi64(_mm256_mul_epu32(x, y), _mm256_and_si256(cross, high));
}

/* The weights of a segment, made once for all triples. */
KERN_AVX2_INLINE void segment_sums(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                              int triples)
{
    const uint64_t *c0 = c[0], *c1 = c[1], *c2 = c[2];
    __m256i at = _mm256_set1_epi64x((long long)j), swapped = kern_avx2_swap_halves(at);
    struct kern_avx2_sums s;
    for (int t = 0; t < triples; t++)
        s.low[t] = s.cross[t] = _mm256_setzero_si256();
    for (size_t i = 0; i < cells; i += WIDTH) {
        __m256i square = kern_avx2_load(c2 + i), step = product(at, swapped, square);
        __m256i slope = _mm256_add_epi64(kern_avx2_load(c1 + i), step);
        __m256i value = _mm256_add_epi64(kern_avx2_load(c0 + i), product(at, swapped, slope));
        slope = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_add_epi64(slope, step));
        __m256i value_swapped = kern_avx2_swap_halves(value), slope_swapped = kern_avx2_swap_halves(slope);
        __m256i square_swapped = kern_avx2_swap_halves(square);
#pragma GCC unroll 3
        for (int t = 0; t < triples; t++) {
            const uint64_t *row = hot + 3 * (size_t)t * cells + i;
            kern_avx2_multiply(&s, t, value, value_swapped, kern_avx2_load(row));
            kern_avx2_multiply(&s, t, slope, slope_swapped, kern_avx2_load(row + cells));
            kern_avx2_multiply(&s, t, square, square_swapped, kern_avx2_load(row + 2 * cells));
        }
    }
    for (int t = 0; t < triples; t++)
        ret[t] = kern_avx2_total(&s, t);
}

void kern_avx2_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                           int triples)
{
    if (cells % WIDTH != 0)
        kern_scalar_segment_dot(ret, hot, c, j, cells, triples);
    else if (triples == 3)
        segment_sums(ret, hot, c, j, cells, 3);
    else
        for (int t = 0; t < triples; t++)
            segment_sums(ret + t, hot + 3 * (size_t)t * cells, c, j, cells, 1);
}
