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

/* Activations are native words at any address, weights little-endian ones. */
static inline void gemm_wide(int bits, KERN_GEMM_PARAMETERS)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++) {
            const uint64_t *x = (const uint64_t *)a + r * a_stride;
            const uint8_t *line = (const uint8_t *)w + o * w_stride;
            uint64_t sum = 0;
            for (size_t i = 0; i < inner; i++)
                sum += word_at(x, i) * (bits == 64 ? kern_load64(line + 8 * i) : kern_load48(line + 6 * i));
            y[r * y_stride + o] = sum & kern_ring_mask(bits);
        }
}

void kern_scalar_gemm64(KERN_GEMM_PARAMETERS)
{
    gemm_wide(64, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

void kern_scalar_gemm48(KERN_GEMM_PARAMETERS)
{
    gemm_wide(48, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

void kern_scalar_gemm32(KERN_GEMM_PARAMETERS)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *x = (const uint8_t *)((const uint32_t *)a + r * a_stride), *line = (const uint8_t *)w + o * w_stride;
            uint32_t sum = 0, factor;
            for (size_t i = 0; i < inner; i++) {
                memcpy(&factor, x + 4 * i, sizeof factor);
                sum += factor * kern_load32(line + 4 * i);
            }
            y[r * y_stride + o] = sum;
        }
}

void kern_scalar_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count)
{
    for (size_t v = 0; v < count; v++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < width; c++)
                y[r * width + c] += a[r * a_stride + v] * w[v * width + c];
}
