/* Slots over several threads: a range of rows or words for each. Slots themselves know no threads. */
#ifndef CACHET_KERNELS_THREADS_H
#define CACHET_KERNELS_THREADS_H

#include "kernels/kern.h"

/* Threads of this process's calls, 1 at first. Without OpenMP at build time it stays 1. */
void kern_set_threads(int count);
int kern_threads(void);

/* Cores that this process may use. */
int kern_cores(void);

/* Calls run over ranges that together are [0, count), at the same time, each of at least `least` items (public numbers). run must not depend on
 * how the ranges fall. */
typedef void (*kern_range_fn)(void *context, size_t first, size_t end);
void kern_over_threads(size_t count, size_t least, kern_range_fn run, void *context);

/* kern_table.gemm with the rows of w dealt to threads, which is worth it from some ten thousand words on. */
void kern_gemm_over_threads(const struct kern_table *table, enum kern_word word, uint64_t *y, size_t y_stride, const void *a, size_t a_stride,
                            size_t rows, const void *w, size_t w_stride, size_t outs, size_t inner);

#endif
