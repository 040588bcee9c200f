/* The emulated device, for tests. */
#ifndef CACHET_TESTS_KERNELS_CUDA_EMULATOR_CONTROL_H
#define CACHET_TESTS_KERNELS_CUDA_EMULATOR_CONTROL_H

#include "kernels/device/backend.h"

const struct kern_backend *kern_emulated_backend(void);
/* Pieces of memory, streams and libraries that were not given back; aborts where something was written behind a piece. */
long kern_emulator_alive(void);
/* Bytes of the device's memory. */
void kern_emulator_limit(size_t bytes);
/* Whether the pattern lies anywhere in memory that the device uses, pinned memory included. */
int kern_emulator_holds(const void *pattern, size_t bytes);
/* Memory that is given back with this pattern in it ends the program; `bytes` 0: no pattern. */
void kern_emulator_forbid(const void *pattern, size_t bytes);

#endif
