/* Rows of a table added up in Z_2^32: four table rows at a time, so that a sum is loaded and stored once for four products. */
#include "kernels/avx2/multiply.h"
#include "kernels/avx2/slots.h"

enum { WIDTH = 8, TOGETHER = 4 };

KERN_AVX2_INLINE void add_rows(uint32_t *y, const uint32_t *a, const uint32_t *w, size_t width, int rows)
{
    __m256i factor[TOGETHER];
    for (int v = 0; v < rows; v++)
        factor[v] = _mm256_set1_epi32((int)a[v]);
    size_t c = 0;
    for (; c + WIDTH <= width; c += WIDTH) {
        __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(y + c));
        for (int v = 0; v < rows; v++) /* the rows after these: a harmless address past the table's end */
            __builtin_prefetch((const void *)((uintptr_t)w + 4 * ((size_t)(rows + v) * width + c)), 0, 3);
        for (int v = 0; v < rows; v++)
            sum = _mm256_add_epi32(
                sum, _mm256_mullo_epi32(factor[v], _mm256_loadu_si256((const __m256i *)(const void *)(w + (size_t)v * width + c))));
        _mm256_storeu_si256((__m256i *)(void *)(y + c), sum);
    }
    for (; c < width; c++)
        for (int v = 0; v < rows; v++)
            y[c] += a[v] * w[(size_t)v * width + c];
}

void kern_avx2_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count)
{
    size_t v = 0;
    for (; v + TOGETHER <= count; v += TOGETHER)
        for (size_t r = 0; r < rows; r++)
            add_rows(y + r * width, a + r * a_stride + v, w + v * width, width, TOGETHER);
    for (; v < count; v++)
        for (size_t r = 0; r < rows; r++)
            add_rows(y + r * width, a + r * a_stride + v, w + v * width, width, 1);
}
