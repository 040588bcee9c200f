/* Sums that the gates of fss.cu take over what a full evaluation left on the device. */
#ifndef CACHET_KERNELS_CUDA_GATES_CUH
#define CACHET_KERNELS_CUDA_GATES_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

/* out [keys][groups], hot [keys][groups][2^h], m [keys]. */
void grid_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *table, const uint64_t *m, int h, int s, size_t keys,
               size_t groups);
/* out [keys][triples], hot [keys][3 triples][cells], m [keys]; c: three runs of 2 cells coefficients, of which a key reads those from
 * cells - (m >> s) on, at m mod 2^s. s of 64: runs of `cells`, from their start, at m. */
void segment_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *c, const uint64_t *m, int s, size_t cells, size_t keys,
                  size_t triples);
/* A table of one row on the device, where it is placed or copied to. */
const uint64_t *row_of_words(struct call *call, const struct kern_product *table);

}

#endif
