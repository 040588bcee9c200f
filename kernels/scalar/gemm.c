/* Products mod 2^64, one multiplication per step. */
#include "kernels/internal.h"

/* Operands may be unaligned. */
static inline uint64_t word_at(const uint64_t *words, size_t i)
{
    uint64_t word;
    memcpy(&word, (const uint8_t *)words + 8 * i, sizeof word);
    return word;
}

uint64_t kern_scalar_dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += word_at(a, i) * word_at(b, i);
    return sum;
}

void kern_scalar_gemm(uint64_t *y, size_t y_stride, const uint64_t *a, size_t a_stride, size_t rows, const uint64_t *w,
                      size_t w_stride, size_t outs, size_t inner)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++)
            y[r * y_stride + o] = kern_scalar_dot(a + r * a_stride, w + o * w_stride, inner);
}

static uint64_t dot_interleaved(const uint64_t *a, const uint64_t *b, const uint64_t *w, size_t inner)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < inner; i += KERN_BLOCK) {
        size_t n = inner - i < KERN_BLOCK ? inner - i : KERN_BLOCK;
        for (size_t j = 0; j < n; j++)
            sum += word_at(a, i + j) * word_at(w, 2 * i + j) + word_at(b, i + j) * word_at(w, 2 * i + KERN_BLOCK + j);
    }
    return sum;
}

void kern_scalar_gemm2(uint64_t *y, size_t y_stride, const uint64_t *a, const uint64_t *b, size_t a_stride, size_t rows,
                       const uint64_t *w, size_t w_stride, size_t outs, size_t inner)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++)
            y[r * y_stride + o] = dot_interleaved(a + r * a_stride, b + r * a_stride, w + o * w_stride, inner);
}

uint64_t kern_scalar_grid_dot(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s)
{
    uint64_t sum = 0, wrap = kern_ring_mask(h + s);
    for (uint64_t i = 0; i < UINT64_C(1) << h; i++)
        sum += hot[i] * table[(m - (i << s)) & wrap];
    return sum;
}
