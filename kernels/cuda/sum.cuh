/* Sums over a block's threads. */
#ifndef CACHET_KERNELS_CUDA_SUM_CUH
#define CACHET_KERNELS_CUDA_SUM_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { SUM_THREADS = 128, LANES = 32 };

static inline __device__ uint64_t warp_sum(uint64_t part)
{
    for (int step = LANES / 2; step > 0; step /= 2)
        part += __shfl_xor_sync(0xffffffffu, (unsigned long long)part, step);
    return part;
}

/* The sum over SUM_THREADS threads, in thread 0; every thread calls it. */
static inline __device__ uint64_t block_sum(uint64_t part)
{
    __shared__ uint64_t parts[SUM_THREADS / LANES];
    part = warp_sum(part);
    __syncthreads(); /* an earlier sum has been read */
    if (threadIdx.x % LANES == 0)
        parts[threadIdx.x / LANES] = part;
    __syncthreads();
    for (int i = 1; threadIdx.x == 0 && i < SUM_THREADS / LANES; i++)
        part += parts[i];
    return part;
}

}

#endif
