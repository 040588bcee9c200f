/* cachet-emulated, a program for tests: its --device cuda:0 is the emulated device, whose every call runs there (kern_device_open is replaced by the
 * linker). EMULATED_FAULT=N: call N of CUDA's after the device was opened fails. EMULATED_MIB=N: so large is its memory. */
#include "kernels/cuda/faults.h"
#include "tests/kernels/cuda_emulator/control.h"

#include <stdlib.h>
#include <string.h>

enum { WORK_BYTES = 64 << 20 };

enum base_status __wrap_kern_device_open(struct kern_device **ret, const char *name, const struct kern_device_options *options,
                                         struct base_error *error);
enum base_status __real_kern_device_open(struct kern_device **ret, const char *name, const struct kern_device_options *options,
                                         struct base_error *error);

enum base_status __wrap_kern_device_open(struct kern_device **ret, const char *name, const struct kern_device_options *options,
                                         struct base_error *error)
{
    static const struct kern_crossover always;
    struct kern_device_options emulated = *options;
    const char *memory = getenv("EMULATED_MIB"), *fault = getenv("EMULATED_FAULT");
    if (strcmp(name, "cuda:0") != 0)
        return __real_kern_device_open(ret, name, options, error);
    emulated.work_bytes = WORK_BYTES;
    emulated.crossover = &always;
    if (memory != NULL)
        kern_emulator_limit((size_t)atol(memory) << 20);
    enum base_status status = kern_device_open_backend(ret, kern_emulated_backend(), 0, &emulated, error);
    kern_cuda_fault_at(status == BASE_OK && fault != NULL ? atol(fault) : -1);
    return status;
}
