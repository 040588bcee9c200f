/* Rows of a table added up in Z_2^32: four table rows at a time, so that a sum is loaded and stored once for four products. */
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/slots.h"

enum { WIDTH = 16, TOGETHER = 4 };

KERN_AVX512_INLINE void add_rows(uint32_t *y, const uint32_t *a, const uint32_t *w, size_t width, int rows)
{
    __m512i factor[TOGETHER];
    for (int v = 0; v < rows; v++)
        factor[v] = _mm512_set1_epi32((int)a[v]);
    for (size_t c = 0; c < width; c += WIDTH) {
        __mmask16 lanes = width - c < WIDTH ? (__mmask16)((1u << (width - c)) - 1) : (__mmask16)0xffff;
        __m512i sum = _mm512_maskz_loadu_epi32(lanes, y + c);
        for (int v = 0; v < rows; v++) /* the rows after these: a harmless address past the table's end */
            __builtin_prefetch((const void *)((uintptr_t)w + 4 * ((size_t)(rows + v) * width + c)), 0, 3);
        for (int v = 0; v < rows; v++)
            sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(factor[v], _mm512_maskz_loadu_epi32(lanes, w + (size_t)v * width + c)));
        _mm512_mask_storeu_epi32(y + c, lanes, sum);
    }
}

void kern_avx512_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count)
{
    size_t v = 0;
    for (; v + TOGETHER <= count; v += TOGETHER)
        for (size_t r = 0; r < rows; r++)
            add_rows(y + r * width, a + r * a_stride + v, w + v * width, width, TOGETHER);
    for (; v < count; v++)
        for (size_t r = 0; r < rows; r++)
            add_rows(y + r * width, a + r * a_stride + v, w + v * width, width, 1);
}
