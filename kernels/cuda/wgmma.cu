/* Products over limbs with wgmma m64n128k32, for compute capability 9.0: two groups of four warps make 128 x 128 elements of y, each 64 x 128.
 * Diagonals and folding as in mma.cu; per thread 64 sums of 32 bits and 64 of 64. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace KERN_CUDA_NAMESPACE {

enum {
    WIDE = 128, /* rows, outs and bytes of a step */
    WIDE_BYTES = WIDE * WIDE,
    WIDE_THREADS = 256,
    WIDE_STAGES = 4,
    WIDE_SHARED = WIDE_STAGES * 2 * WIDE_BYTES,
};

/* Chunks lie where tile_descriptor expects them. */
static __device__ inline void load_wide(uint8_t *tile, const int8_t *from, size_t first, size_t rows, size_t line, size_t at)
{
    for (int i = (int)threadIdx.x; i < WIDE_BYTES / 16; i += WIDE_THREADS) {
        size_t row = (size_t)i / (WIDE / 16), chunk = (size_t)i % (WIDE / 16);
        bool there = first + row < rows;
        copy16(tile + row * WIDE + 16 * (chunk ^ (row % 8)), from + (there ? first + row : 0) * line + at + 16 * chunk, there);
    }
}

static __global__ void __launch_bounds__(WIDE_THREADS, 1) wgmma_kernel(struct limb_product p)
{
    KERN_CUDA_SHARED(shared);
    size_t group = threadIdx.x / 128, first_row = (size_t)blockIdx.y * WIDE, first_out = (size_t)blockIdx.x * WIDE;
    size_t line = (size_t)p.limbs * p.plane, at = 0, ahead_at = 0;
    int diagonal = 0, ahead = 0;
    int32_t sum[64] = {};
    uint64_t total[64] = {};
    auto load = [&](int stage) {
        if (ahead < p.limbs) {
            uint8_t *tiles = shared + stage * 2 * WIDE_BYTES;
            load_wide(tiles, p.a, first_row, p.rows, line, ahead_at);
            load_wide(tiles + WIDE_BYTES, p.w, first_out, p.outs, line, (size_t)(p.limbs - 1 - ahead) * p.plane + ahead_at);
            ahead_at += WIDE;
            if (ahead_at == (size_t)(ahead + 1) * p.plane) {
                ahead++;
                ahead_at = 0;
            }
        }
        copies_end();
    };
    for (int stage = 0; stage < WIDE_STAGES - 1; stage++)
        load(stage);
    for (int stage = 0; diagonal < p.limbs; stage = (stage + 1) % WIDE_STAGES) {
        const uint8_t *tiles = shared + stage * 2 * WIDE_BYTES;
        copies_wait<WIDE_STAGES - 2>();
        tiles_fence();
        __syncthreads(); /* the step's tiles are there, and the products of the step before have been waited for */
        load((stage + WIDE_STAGES - 1) % WIDE_STAGES);
        products_begin();
        for (int k = 0; k < WIDE; k += 32)
            wgmma_m64n128k32(sum, tiles + group * 64 * WIDE, tiles + WIDE_BYTES, k);
        products_end(sum);
        at += WIDE;
        bool last = at == (size_t)(diagonal + 1) * p.plane;
        if (last || at % FOLD_BYTES == 0)
            for (int i = 0; i < 64; i++) {
                total[i] += (uint64_t)(int64_t)sum[i] << 8 * diagonal;
                sum[i] = 0;
            }
        diagonal += last;
        at = last ? 0 : at;
    }
    size_t warp = threadIdx.x % 128 / 32, lane = threadIdx.x % 32;
    for (size_t i = 0; i < 64; i++) {
        size_t r = first_row + 64 * group + 16 * warp + lane / 4 + 8 * (i / 2 % 2), o = first_out + 8 * (i / 4) + 2 * (lane % 4) + i % 2;
        if (r < p.rows && o < p.outs)
            p.y[r * p.y_stride + o] = total[i] & p.mask;
    }
}

void wgmma_product(struct call *call, const struct limb_product *p)
{
    dim3 grid((unsigned)((p->outs + WIDE - 1) / WIDE), (unsigned)((p->rows + WIDE - 1) / WIDE), 1);
    CUDA(call, cudaFuncSetAttribute(wgmma_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, WIDE_SHARED));
    LAUNCH(call, wgmma_kernel, grid, WIDE_THREADS, WIDE_SHARED, *p);
}

}
