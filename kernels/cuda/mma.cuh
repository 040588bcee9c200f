/* Instructions of tensor cores and of asynchronous copies, as functions. The emulated device has its own. */
#ifndef CACHET_KERNELS_CUDA_MMA_CUH
#define CACHET_KERNELS_CUDA_MMA_CUH

#include "kernels/cuda/target.cuh"

#ifndef KERN_CUDA_EMULATED
namespace KERN_CUDA_NAMESPACE {

/* c [16][8] += a [16][32] b [32][8] by a warp. With group = lane / 4 and at = lane % 4: a holds bytes 4 at.. of rows group and group + 8, then
 * the same 16 bytes on; b bytes 4 at.. of column group, then 16 on; c columns 2 at and 2 at + 1 of row group, then of row group + 8. Sums
 * wrap. */
static __device__ inline void mma_m16n8k32(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* 16 bytes to shared memory, or 16 zeros. */
static __device__ inline void copy16(void *to, const void *from, bool there)
{
    unsigned shared = (unsigned)__cvta_generic_to_shared(to);
    int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(bytes) : "memory");
}

/* Ends a group of copies; waits until all but the last `pending` groups of this thread are there. */
static __device__ inline void copies_end()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int PENDING> static __device__ inline void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

}
#endif

#endif
