/* int8 products of a library, cuBLASLt, which is looked for when a device is opened: programs start without it. */
#ifndef CACHET_KERNELS_CUDA_LIBRARY_CUH
#define CACHET_KERNELS_CUDA_LIBRARY_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

/* NULL where it is not installed, or fails to start: there are other ways. */
struct library *library_open(struct call *call);
void library_close(struct library *library);

/* c[r * outs + o] = sum_k a[r * a_stride + k] * w[o * w_stride + k] in 32 bits that wrap, k < inner. Addresses, strides, outs, rows
 * and inner are multiples of 16. */
void library_product(struct call *call, int32_t *c, const int8_t *a, size_t a_stride, size_t rows, const int8_t *w, size_t w_stride, size_t outs,
                     size_t inner);

}

#endif
