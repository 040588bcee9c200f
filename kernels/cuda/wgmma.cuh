/* Instructions of compute capability 9.0 by four warps together, as functions. The emulated device has its own. */
#ifndef CACHET_KERNELS_CUDA_WGMMA_CUH
#define CACHET_KERNELS_CUDA_WGMMA_CUH

#include "kernels/cuda/target.cuh"

#ifndef KERN_CUDA_EMULATED
namespace KERN_CUDA_NAMESPACE {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* A tile in shared memory, 1024-byte aligned, rows of 128 bytes whose 16-byte chunks lie at chunk ^ (row mod 8), from byte `at` of each row on:
 * address / 16, distance of groups of eight rows / 16, and the kind of layout. */
static __device__ inline uint64_t tile_descriptor(const uint8_t *tile, int at)
{
    uint64_t address = (uint64_t)__cvta_generic_to_shared(tile) + (uint64_t)at;
    return (address & 0x3ffff) >> 4 | UINT64_C(1) << 16 | (UINT64_C(1024) >> 4) << 32 | UINT64_C(1) << 62;
}

/* Written tiles are visible to the products that follow. */
static __device__ inline void tiles_fence()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

static __device__ inline void products_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/* Waits for the products that add to c. They write it behind the compiler's back, which the last line tells it. */
static __device__ inline void products_end(int32_t c[64])
{
    asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
    for (int i = 0; i < 64; i++)
        asm volatile("" : "+r"(c[i])::"memory");
}

#define REGISTERS8(c, i) "+r"(c[i]), "+r"(c[i + 1]), "+r"(c[i + 2]), "+r"(c[i + 3]), "+r"(c[i + 4]), "+r"(c[i + 5]), "+r"(c[i + 6]), "+r"(c[i + 7])

/* c [64][128] += a [64][32] b [128][32]^T, from byte `at` of the tiles' rows on. Element i of c in lane l of warp w of four: row 16 w + l / 4 + 8
 * (i / 2 mod 2), column 8 (i / 4) + 2 (l mod 4) + i mod 2. Sums wrap. */
static __device__ inline void wgmma_m64n128k32(int32_t c[64], const uint8_t *a, const uint8_t *b, int at)
{
    uint64_t left = tile_descriptor(a, at), right = tile_descriptor(b, at);
    asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 1, 1;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,"
                 "%62,%63}, %64, %65, add;\n}"
                 : REGISTERS8(c, 0), REGISTERS8(c, 8), REGISTERS8(c, 16), REGISTERS8(c, 24), REGISTERS8(c, 32), REGISTERS8(c, 40),
                   REGISTERS8(c, 48), REGISTERS8(c, 56)
                 : "l"(left), "l"(right));
}

#else /* compiled for other devices, and never launched there */

static __device__ inline void tiles_fence()
{
}
static __device__ inline void products_begin()
{
}
static __device__ inline void products_end(int32_t *)
{
}
static __device__ inline void wgmma_m64n128k32(int32_t *, const uint8_t *, const uint8_t *, int)
{
    __trap();
}

#endif

}
#endif

#endif
