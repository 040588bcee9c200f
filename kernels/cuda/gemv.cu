/* Products of one to four rows: bound by reading w once, 16 bytes to a load.
 *
 * A warp multiplies OUTS rows of w with all rows of a; lanes take units of one to three loads in turn, and blockIdx.y takes its part of them,
 * so that few outs fill the device, too. Products mod 2^64 go into two sums that do not wait for each other: low times low in 64 bits, the
 * two mixed products, of which 32 bits count, in 32. */
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/sum.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { OUTS = 2, WARPS = 4, BLOCKS_PER_PROCESSOR = 4, FEWEST_UNITS = 4 * LANES };

struct alignas(16) load16 {
    uint32_t part[4];
};

/* Words of one unit, from its loads. */
template <int WORD> struct unit;

template <> struct unit<KERN_WORD_64> {
    static const int LOADS = 1, WORDS = 2;
    static __device__ uint64_t word(const struct load16 *from, int i)
    {
        return from->part[2 * i] | (uint64_t)from->part[2 * i + 1] << 32;
    }
};

template <> struct unit<KERN_WORD_48> {
    static const int LOADS = 3, WORDS = 8;
    static __device__ uint64_t word(const struct load16 *from, int i)
    {
        int at = 6 * i / 4; /* words of 32 bits; odd i starts in the middle of one */
        uint32_t low = from[at / 4].part[at % 4], high = from[(at + 1) / 4].part[(at + 1) % 4];
        uint64_t both = low | (uint64_t)high << 32;
        return i % 2 == 0 ? both & UINT64_C(0xffffffffffff) : both >> 16;
    }
};

template <> struct unit<KERN_WORD_32> {
    static const int LOADS = 1, WORDS = 4;
    static __device__ uint64_t word(const struct load16 *from, int i)
    {
        return from->part[i];
    }
};

struct split_sum {
    uint64_t low;
    uint32_t mixed;
};

template <int WORD> static __device__ void multiply_add(struct split_sum *sum, uint64_t a, uint64_t w)
{
    if (WORD == KERN_WORD_32) {
        sum->mixed += (uint32_t)a * (uint32_t)w;
        return;
    }
    sum->low += (uint64_t)(uint32_t)a * (uint32_t)w;
    sum->mixed += (uint32_t)a * (uint32_t)(w >> 32);
    sum->mixed += (uint32_t)(a >> 32) * (uint32_t)w;
}

template <int WORD> static __device__ uint64_t sum_of(struct split_sum sum)
{
    return WORD == KERN_WORD_32 ? sum.mixed : sum.low + ((uint64_t)sum.mixed << 32);
}

template <int WORD> static __device__ uint64_t activation(const void *a, size_t at)
{
    return WORD == KERN_WORD_32 ? ((const uint32_t *)a)[at] : ((const uint64_t *)a)[at];
}

template <int WORD, int ROWS>
static __global__ void __launch_bounds__(WARPS *LANES)
    few_rows_kernel(unsigned long long *y, size_t y_stride, const void *a, size_t a_words, const uint8_t *w, size_t w_stride, size_t outs,
                    size_t units)
{
    const int LOADS = unit<WORD>::LOADS, WORDS = unit<WORD>::WORDS;
    size_t first = OUTS * ((size_t)blockIdx.x * WARPS + threadIdx.x / LANES), lane = threadIdx.x % LANES;
    size_t from = units * blockIdx.y / gridDim.y, to = units * (blockIdx.y + 1) / gridDim.y;
    struct split_sum sum[OUTS][ROWS] = {};
    KERN_CUDA_PRAGMA(unroll 4)
    for (size_t u = from + lane; u < to && first < outs; u += LANES) {
        struct load16 loads[OUTS][LOADS];
        for (int o = 0; o < OUTS; o++)
            for (int i = 0; i < LOADS; i++) { /* a row that is not there is the last one again */
                size_t row = first + (size_t)o < outs ? first + (size_t)o : outs - 1;
                loads[o][i] = ((const struct load16 *)(w + row * w_stride))[u * LOADS + (size_t)i];
            }
        for (int i = 0; i < WORDS; i++)
            for (int r = 0; r < ROWS; r++) {
                uint64_t factor = activation<WORD>(a, (size_t)r * a_words + u * WORDS + (size_t)i);
                for (int o = 0; o < OUTS; o++)
                    multiply_add<WORD>(&sum[o][r], factor, unit<WORD>::word(loads[o], i));
            }
    }
    for (int o = 0; o < OUTS; o++)
        for (int r = 0; r < ROWS; r++) {
            uint64_t part = warp_sum(sum_of<WORD>(sum[o][r]));
            if (lane == 0 && first + (size_t)o < outs)
                atomicAdd(&y[(size_t)r * y_stride + first + (size_t)o], (unsigned long long)part);
        }
}

template <int WORD>
static void launch(struct call *call, uint64_t *y, size_t y_stride, const void *a, size_t a_words, size_t rows, const uint8_t *w, size_t w_stride,
                   size_t outs, size_t inner)
{
    size_t units = row_words(inner) / unit<WORD>::WORDS;
    dim3 grid = cover(outs, OUTS * WARPS);
    size_t parts = (size_t)BLOCKS_PER_PROCESSOR * (size_t)call->device->processors / grid.x, most = units / FEWEST_UNITS;
    parts = parts > most ? most : parts;
    grid.y = parts == 0 ? 1 : (unsigned)parts;
    auto *kernel = rows == 1 ? few_rows_kernel<WORD, 1> : rows == 2 ? few_rows_kernel<WORD, 2> : rows == 3 ? few_rows_kernel<WORD, 3> : few_rows_kernel<WORD, 4>;
    LAUNCH(call, kernel, grid, WARPS * LANES, 0, (unsigned long long *)y, y_stride, a, a_words, w, w_stride, outs, units);
}

void few_rows(struct call *call, enum kern_word word, uint64_t *y, size_t y_stride, const void *a, size_t a_words, size_t rows,
              const uint8_t *w, size_t w_stride, size_t outs, size_t inner)
{
    CUDA(call, cudaMemsetAsync(y, 0, 8 * ((rows - 1) * y_stride + outs), call->queue->stream));
    switch (word) {
    case KERN_WORD_64:
        launch<KERN_WORD_64>(call, y, y_stride, a, a_words, rows, w, w_stride, outs, inner);
        break;
    case KERN_WORD_48:
        launch<KERN_WORD_48>(call, y, y_stride, a, a_words, rows, w, w_stride, outs, inner);
        break;
    default:
        launch<KERN_WORD_32>(call, y, y_stride, a, a_words, rows, w, w_stride, outs, inner);
    }
}

}
