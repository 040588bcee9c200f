/* Sums that the gates of fss.cu take over what a full evaluation left on the device. */
#ifndef CACHET_KERNELS_CUDA_GATES_CUH
#define CACHET_KERNELS_CUDA_GATES_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

/* out [keys][groups], hot [keys][groups][2^h], m [keys]. */
void grid_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *table, const uint64_t *m, int h, int s, size_t keys,
               size_t groups);
/* out [keys][triples], hot [keys][3 triples][cells], c [3][cells], j [keys]. */
void segment_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *c, const uint64_t *j, size_t cells, size_t keys,
                  size_t triples);
/* The three arrays of coefficients on the device, one after the other. */
uint64_t *segment_table(struct call *call, const uint64_t *const c[3], size_t cells);

}

#endif
