/* The emulated device, for tests. */
#ifndef CACHET_TESTS_KERNELS_CUDA_EMULATOR_CONTROL_H
#define CACHET_TESTS_KERNELS_CUDA_EMULATOR_CONTROL_H

#include "kernels/device/backend.h"

const struct kern_backend *kern_emulated_backend(void);
/* Pieces of memory, streams and libraries that were not given back; aborts where something was written behind a piece. */
long kern_emulator_alive(void);
/* Bytes of the device's memory. */
/* Streams that nothing orders: the one that is waited for runs alone (0), or all others run before it as far as they may (1). */
void kern_emulator_order(int others_first);
/* For a test of tests: the host's waits for events (1), or streams' waits for them (2), are left out, and 0: none. */
void kern_emulator_leave_out(int waits);
void kern_emulator_limit(size_t bytes);
/* Whether the pattern lies anywhere in memory that the device uses, pinned memory included, once it has done all that it was given. */
int kern_emulator_holds(const void *pattern, size_t bytes);
/* Memory that is given back with this pattern in it ends the program; `bytes` 0: no pattern. */
void kern_emulator_forbid(const void *pattern, size_t bytes);

#endif
