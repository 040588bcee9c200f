/* Timing on a device, for cuda_check*.cu: kernels between two events, the best of some tries. */
#ifndef CACHET_BENCH_CUDA_LAB_CUH
#define CACHET_BENCH_CUDA_LAB_CUH

#include "kernels/cuda/library.cuh"
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/slots.cuh"

namespace bench_cuda {

using namespace KERN_CUDA_NAMESPACE;

struct lab {
    struct call call;
    cudaEvent_t start, end;
};

bool lab_open(struct lab *lab, struct device *device, struct base_error *error);
void lab_close(struct lab *lab);

/* Best of five runs after one to warm up, in seconds; the lab's call says whether something failed. */
template <typename F> double lab_seconds(struct lab *lab, F run)
{
    double best = 1e30;
    for (int i = 0; i < 6; i++) {
        float ms = 0;
        CUDA(&lab->call, cudaEventRecord(lab->start, lab->call.queue->stream));
        run();
        CUDA(&lab->call, cudaEventRecord(lab->end, lab->call.queue->stream));
        CUDA(&lab->call, cudaEventSynchronize(lab->end));
        CUDA(&lab->call, cudaEventElapsedTime(&ms, lab->start, lab->end));
        best = i > 0 && ms * 1e-3 < best ? ms * 1e-3 : best;
    }
    return best;
}

/* One line: what was measured, and the plan for an H200 if there is one (0: none), marked where it is missed by more than a quarter. */
void lab_print(const struct lab *lab, const char *what, double value, const char *unit, double plan);

/* Random bytes of a stream. */
void lab_fill(struct lab *lab, void *memory, size_t bytes);

/* The parts of the list. */
void check_instructions(struct lab *lab);
void check_memory(struct lab *lab);
void check_products(struct lab *lab);
void check_keys(struct lab *lab);
void check_latency(struct lab *lab);

}

#endif
