/* What the sources of this folder are compiled for: CUDA, or an emulated device of the tests (KERN_CUDA_EMULATED is the header that
 * provides it). Everything else of this folder is in one namespace, so that a program may hold both. */
#ifndef CACHET_KERNELS_CUDA_TARGET_CUH
#define CACHET_KERNELS_CUDA_TARGET_CUH

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef KERN_CUDA_EMULATED
#include KERN_CUDA_EMULATED
#define KERN_CUDA_NAMESPACE kern_cuda_emulated
#else
#include <cuda_runtime.h>
#define KERN_CUDA_NAMESPACE kern_cuda
#define KERN_CUDA_GO(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define KERN_CUDA_PRAGMA(text) _Pragma(#text)
#define KERN_CUDA_SHARED(name) extern __shared__ __align__(1024) uint8_t name[]
#endif

#define _Alignas alignas
extern "C" {
#include "kernels/device/backend.h"
#include "kernels/internal.h"
#include "kernels/fss/core.h"
#include "kernels/limb/limb.h"
#include "base/memory.h"
}
#undef _Alignas

#endif
