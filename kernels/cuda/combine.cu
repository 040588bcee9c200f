/* Products over limbs as one plain int8 product of a library for each diagonal, and their sum. */
#include "kernels/cuda/library.cuh"
#include "kernels/cuda/products.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { COMBINE_THREADS = 128 };

/* sums: [limbs][padded rows][padded outs]. blockIdx.y: a row. */
static __global__ void combine_diagonals_kernel(struct limb_product p, const int32_t *sums, size_t row, size_t whole)
{
    size_t o = thread_number(), r = blockIdx.y;
    uint64_t total = 0;
    if (o >= p.outs)
        return;
    for (int d = 0; d < p.limbs; d++)
        total += (uint64_t)(int64_t)sums[(size_t)d * whole + r * row + o] << 8 * d;
    p.y[r * p.y_stride + o] = total & p.mask;
}

void library_limb_product(struct call *call, const struct limb_product *p, int32_t *sums)
{
    size_t rows = round_up(p->rows, LIMB_ROWS), outs = round_up(p->outs, LIMB_ROWS), line = (size_t)p->limbs * p->plane;
    for (int d = 0; d < p->limbs; d++)
        library_product(call, sums + (size_t)d * rows * outs, p->a, line, rows, p->w + (size_t)(p->limbs - 1 - d) * p->plane, line, outs,
                        (size_t)(d + 1) * p->plane);
    dim3 grid = cover(p->outs, COMBINE_THREADS);
    grid.y = (unsigned)p->rows;
    LAUNCH(call, combine_diagonals_kernel, grid, COMBINE_THREADS, 0, *p, sums, outs, rows * outs);
}

}
