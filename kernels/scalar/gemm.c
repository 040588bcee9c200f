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
void kern_scalar_gemm64(KERN_GEMM_PARAMETERS)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++) {
            const uint64_t *x = (const uint64_t *)a + r * a_stride;
            const uint8_t *line = (const uint8_t *)w + o * w_stride;
            uint64_t sum = 0;
            for (size_t i = 0; i < inner; i++)
                sum += word_at(x, i) * kern_load64(line + 8 * i);
            y[r * y_stride + o] = sum;
        }
}

void kern_scalar_gemm48(KERN_GEMM_PARAMETERS)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rows; r++) {
            const uint64_t *x = (const uint64_t *)a + r * a_stride;
            const uint8_t *line = (const uint8_t *)w + o * w_stride;
            uint64_t sum = 0;
            for (size_t i = 0; i < inner; i++)
                sum += word_at(x, i) * kern_load48(line + 6 * i);
            y[r * y_stride + o] = sum & kern_ring_mask(48);
        }
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

/* sum_i hot[i] * entry[-i step], `count` terms in two sums, so that they do not wait for each other. */
static uint64_t dot_downwards(const uint64_t *hot, const uint64_t *entry, size_t count, size_t step)
{
    uint64_t even = 0, odd = 0;
    size_t i = 0;
    for (; i + 2 <= count; i += 2) {
        even += hot[i] * *(entry - i * step);
        odd += hot[i + 1] * *(entry - (i + 1) * step);
    }
    return i < count ? even + odd + hot[i] * *(entry - i * step) : even + odd;
}

/* From m down to the start of the table and then from its end: m is public, and entries far apart are loaded one by one
 * faster than they are gathered. */
uint64_t kern_scalar_grid_dot(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s)
{
    size_t cells = (size_t)1 << h, step = (size_t)1 << s, from = m & kern_ring_mask(h + s), first = (from >> s) + 1;
    uint64_t sum = dot_downwards(hot, table + from, first, step);
    return sum + dot_downwards(hot + first, table + from + (cells - first) * step, cells - first, step);
}

void kern_scalar_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples)
{
    for (int t = 0; t < triples; t++, hot += 3 * cells) {
        ret[t] = 0;
        for (size_t i = 0; i < cells; i++) {
            uint64_t slope = c[1][i] + j * c[2][i];
            ret[t] += hot[i] * (c[0][i] + j * slope) - hot[cells + i] * (slope + j * c[2][i]);
            ret[t] += hot[2 * cells + i] * c[2][i];
        }
    }
}
