/* Sums of products mod 2^64 with vpmullq: inner products, and the three weights of a segment. */
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/slots.h"

enum { WIDTH = KERN_AVX512_WIDTH };

uint64_t kern_avx512_dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    __m512i sums[4];
    for (int j = 0; j < 4; j++)
        sums[j] = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 4 * WIDTH <= count; i += 4 * WIDTH)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            sums[j] = _mm512_add_epi64(sums[j], _mm512_mullo_epi64(kern_avx512_load(a + i + WIDTH * j), kern_avx512_load(b + i + WIDTH * j)));
    for (; i < count; i += WIDTH) {
        __mmask8 lanes = kern_avx512_lanes_below(count - i);
        __m512i product = _mm512_mullo_epi64(_mm512_maskz_loadu_epi64(lanes, a + i), _mm512_maskz_loadu_epi64(lanes, b + i));
        sums[0] = _mm512_add_epi64(sums[0], product);
    }
    sums[0] = _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
    return kern_avx512_sum(sums[0]);
}

/* The three weights of a segment, made once for all triples. */
KERN_AVX512_INLINE void segment_sums(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                              int triples)
{
    const uint64_t *c0 = c[0], *c1 = c[1], *c2 = c[2];
    __m512i plus[KERN_MAX_GROUPS / 3], minus[KERN_MAX_GROUPS / 3], at = _mm512_set1_epi64((long long)j);
    for (int t = 0; t < triples; t++)
        plus[t] = minus[t] = _mm512_setzero_si512();
    for (size_t i = 0; i < cells; i += WIDTH) {
        __m512i square = kern_avx512_load(c2 + i), step = _mm512_mullo_epi64(at, square);
        __m512i slope = _mm512_add_epi64(kern_avx512_load(c1 + i), step);
        __m512i value = _mm512_add_epi64(kern_avx512_load(c0 + i), _mm512_mullo_epi64(at, slope));
        slope = _mm512_add_epi64(slope, step);
#pragma GCC unroll 3
        for (int t = 0; t < triples; t++) {
            const uint64_t *row = hot + 3 * (size_t)t * cells + i;
            plus[t] = _mm512_add_epi64(plus[t], _mm512_mullo_epi64(kern_avx512_load(row), value));
            minus[t] = _mm512_add_epi64(minus[t], _mm512_mullo_epi64(kern_avx512_load(row + cells), slope));
            plus[t] = _mm512_add_epi64(plus[t], _mm512_mullo_epi64(kern_avx512_load(row + 2 * cells), square));
        }
    }
    for (int t = 0; t < triples; t++)
        ret[t] = kern_avx512_sum(_mm512_sub_epi64(plus[t], minus[t]));
}

void kern_avx512_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
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
