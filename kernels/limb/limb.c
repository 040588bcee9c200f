#include "kernels/limb/limb.h"

#include "base/memory.h"
#include "kernels/internal.h"

static uint64_t load_word(enum kern_word word, const uint8_t *at)
{
    return word == KERN_WORD_64 ? kern_load64(at) : word == KERN_WORD_48 ? kern_load48(at) : kern_load32(at);
}

void kern_limb_planes(enum kern_word word, int8_t *out, size_t plane, bool down, const void *in, size_t bytes, size_t count)
{
    int limbs = kern_limb_count(word);
    for (size_t i = 0; i < count; i++) {
        uint64_t parts = kern_limb_split(word, load_word(word, (const uint8_t *)in + i * bytes));
        for (int j = 0; j < limbs; j++)
            out[(size_t)(down ? limbs - 1 - j : j) * plane + i] = (int8_t)(uint8_t)(parts >> 8 * j);
    }
}

/* A sum of 32 bits that wraps, as in the accumulators of a tensor core. */
static int32_t product(const int8_t *a, const int8_t *w, size_t count)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += (uint32_t)(a[k] * w[k]);
    return (int32_t)sum;
}

enum base_status kern_limb_gemm(enum kern_word word, uint64_t *y, size_t y_stride, const void *a, size_t a_stride, size_t rows,
                                const void *w, size_t w_stride, size_t outs, size_t inner, struct base_error *error)
{
    enum base_status status;
    int8_t *a_planes = NULL, *w_planes = NULL;
    int limbs = kern_limb_count(word);
    size_t line = (size_t)limbs * inner, a_bytes = word == KERN_WORD_32 ? 4 : 8;
    TRY_THAT(inner <= kern_limb_max_inner(word), error, BASE_ERR_RANGE,
             "product of %d-bit words by limbs: %zu elements in a row, but sums in 32 bits are exact up to %zu: cut the rows into parts", 8 * limbs,
             inner, kern_limb_max_inner(word));
    TRY(base_alloc(&a_planes, rows, line, error));
    TRY(base_alloc(&w_planes, outs, line, error));
    for (size_t r = 0; r < rows; r++)
        kern_limb_planes(word, a_planes + r * line, inner, false, (const uint8_t *)a + r * a_stride * a_bytes, a_bytes, inner);
    for (size_t o = 0; o < outs; o++)
        kern_limb_planes(word, w_planes + o * line, inner, true, (const uint8_t *)w + o * w_stride, kern_word_bytes(word), inner);
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < outs; o++) {
            uint64_t sum = 0;
            for (int d = 0; d < limbs; d++) {
                const int8_t *from = w_planes + o * line + (size_t)(limbs - 1 - d) * inner;
                sum += (uint64_t)(int64_t)product(a_planes + r * line, from, (size_t)(d + 1) * inner) << 8 * d;
            }
            y[r * y_stride + o] = sum & kern_ring_mask(8 * limbs);
        }
    status = BASE_OK;
out:
    base_free_secret(&a_planes);
    base_free_secret(&w_planes);
    return status;
}
