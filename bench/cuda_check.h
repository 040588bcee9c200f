/* What a GPU does with the operations that kernels/cuda/ is built on, beside what was planned for an H200. */
#ifndef CACHET_BENCH_CUDA_CHECK_H
#define CACHET_BENCH_CUDA_CHECK_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Prints one line per measurement. Errors: those of the device. */
BASE_MUST_USE enum base_status bench_cuda_check(int index, struct base_error *error);
#ifdef __cplusplus
}
#endif

#endif
