/* Limbs of words: four elements of one row to a thread, so that each plane is written four bytes at a time, in order. */
#include "kernels/cuda/products.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { SPLIT_THREADS = 128, AT_ONCE = 4 };

/* The first `bytes` bytes at an address that 2 divides. */
template <int BYTES> static __device__ uint64_t load_element(const uint8_t *at)
{
    if (BYTES == 8)
        return *(const uint64_t *)at;
    if (BYTES == 4)
        return *(const uint32_t *)at;
    const uint16_t *half = (const uint16_t *)at;
    return half[0] | (uint64_t)half[1] << 16 | (uint64_t)half[2] << 32;
}

/* blockIdx.y: a row; beyond `rows`, zeros. */
template <int LIMBS, int BYTES>
static __global__ void split_kernel(int8_t *limbs, bool down, const uint8_t *words, size_t stride, size_t rows, size_t inner, size_t plane)
{
    const uint64_t offset = UINT64_C(0x8080808080808080) >> (64 - 8 * LIMBS);
    size_t k = AT_ONCE * thread_number(), row = blockIdx.y;
    uint64_t parts[AT_ONCE];
    if (k >= plane)
        return;
    for (size_t i = 0; i < AT_ONCE; i++) {
        uint64_t x = row < rows && k + i < inner ? load_element<BYTES>(words + row * stride + (k + i) * BYTES) : 0;
        parts[i] = (x + offset) ^ offset;
    }
    for (int j = 0; j < LIMBS; j++) {
        uint32_t bytes = 0;
        for (int i = 0; i < AT_ONCE; i++)
            bytes |= (uint32_t)(parts[i] >> 8 * j & 255) << 8 * i;
        *(uint32_t *)(limbs + (row * LIMBS + (size_t)(down ? LIMBS - 1 - j : j)) * plane + k) = bytes;
    }
}

void split_rows(struct call *call, int8_t *limbs, enum kern_word word, bool down, const uint8_t *words, size_t stride, size_t bytes, size_t rows,
                size_t inner)
{
    enum { MOST_ROWS = 1 << 15 }; /* a dimension of a grid ends at 2^16 */
    size_t plane = plane_bytes(inner), padded = round_up(rows, LIMB_ROWS), line = (size_t)kern_limb_count(word) * plane;
    for (size_t at = 0; at < padded; at += MOST_ROWS) {
        size_t n = padded - at < MOST_ROWS ? padded - at : (size_t)MOST_ROWS, left = at < rows ? rows - at : 0;
        auto *kernel = word == KERN_WORD_64   ? split_kernel<8, 8>
                       : word == KERN_WORD_32 ? split_kernel<4, 4>
                       : bytes == 8           ? split_kernel<6, 8>
                                              : split_kernel<6, 6>;
        dim3 grid = cover(plane / AT_ONCE, SPLIT_THREADS);
        grid.y = (unsigned)n;
        LAUNCH(call, kernel, grid, SPLIT_THREADS, 0, limbs + at * line, down, words + at * stride, stride, left, inner, plane);
    }
}

}
