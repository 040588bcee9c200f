/* A CUDA device in C++, for tests on machines without one: the sources of kernels/cuda/ are compiled against this header instead of CUDA's.
 *
 * Blocks run one after another. The threads of a block are fibers that run until they meet at a barrier, a shuffle or a warp's product; each
 * time they go on in another order, so that code which relies on an order fails here. Memory is the host's, filled with a pattern that is
 * no zero, with canaries behind each piece, and counted. Copies and launches wait in their stream until it, or an event behind them, is waited for, as
 * late as a GPU may make them: a result that is read, or pinned memory that is written, before the wait shows, mapped memory among it. Streams are
 * ordered by events alone: what no event orders runs as late as it may, or, by choice, before all others (kern_emulator_order). So the emulation shows
 * wrong indices, lost carries, missing barriers of blocks, missing waits and missing events, but no times. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>

namespace kern_emulator {

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

/* ---- the runtime's functions that kernels/cuda/ calls ---- */

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInsufficientDriver, cudaErrorNoDevice, cudaErrorInvalidValue, cudaErrorUnknown };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaDeviceAttr {
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrClockRate,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum { cudaStreamNonBlocking = 1, cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2, cudaEventDisableTiming = 2 };
struct stream;
typedef struct stream *cudaStream_t;
struct event;
typedef struct event *cudaEvent_t;
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
};

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaHostGetDevicePointer(void **ret, void *memory, unsigned flags);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaGetLastError();
template <typename F> cudaError_t cudaFuncSetAttribute(F *, cudaFuncAttribute, int)
{
    return cudaSuccess;
}

/* ---- a kernel's surroundings ---- */

struct place {
    dim3 thread, block, threads, blocks;
};
extern struct place here;

void launch(dim3 blocks, dim3 threads, size_t shared, const std::function<void()> &kernel);
/* Ends the program: code on the device did what a device does not allow. */
[[noreturn]] void stop(const char *text);
/* One thing more, or fewer, that must be given back. */
void count_other(int by);
void wait_in(cudaStream_t stream, const std::function<void()> &work);
/* A launch with the arguments that it has now. */
template <typename F, typename... A> void queue(cudaStream_t stream, dim3 blocks, dim3 threads, size_t shared, F kernel, A... arguments)
{
    wait_in(stream, [=] { launch(blocks, threads, shared, [&] { kernel(arguments...); }); });
}
uint8_t *dynamic_shared();
void block_barrier();
unsigned long long shuffle_xor(unsigned long long value, int mask);
template <typename T> T atomicAdd(T *at, T value)
{
    T before = *at;
    *at += value;
    return before;
}

}

using namespace kern_emulator;

#define __global__
#define __device__
#define __host__
#define __noinline__
#define __forceinline__ inline
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define threadIdx kern_emulator::here.thread
#define blockIdx kern_emulator::here.block
#define blockDim kern_emulator::here.threads
#define gridDim kern_emulator::here.blocks
#define __syncthreads() kern_emulator::block_barrier()
#define __shfl_xor_sync(lanes, value, mask) kern_emulator::shuffle_xor((value), (mask))
#define KERN_CUDA_GO(kernel, grid, block, shared, stream, ...) kern_emulator::queue((stream), (grid), (block), (shared), (kernel), __VA_ARGS__)
#define KERN_CUDA_PRAGMA(text)
#define KERN_CUDA_SHARED(name) uint8_t *name = kern_emulator::dynamic_shared()

/* ---- instructions that kernels/cuda/ has as functions ---- */

namespace kern_cuda_emulated {

void mma_m16n8k32(int32_t c[4], const uint32_t a[4], const uint32_t b[2]);
void wgmma_m64n128k32(int32_t c[64], const uint8_t *a, const uint8_t *b, int at);

static inline void copy16(void *to, const void *from, bool there)
{
    if (there)
        memcpy(to, from, 16);
    else
        memset(to, 0, 16);
}

static inline void copies_end() {}
template <int PENDING> static inline void copies_wait() {}
static inline void tiles_fence() {}
static inline void products_begin() {}
static inline void products_end(int32_t *) {}

}
