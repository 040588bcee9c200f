/* An accelerator over the emulated device, for checks: it takes every call, and leaves nothing behind. */
#ifndef CACHET_TESTS_KERNELS_EMULATED_DEVICE_H
#define CACHET_TESTS_KERNELS_EMULATED_DEVICE_H

#include "tests/kernels/support.h"
#include "kernels/device.h"
#include "tests/kernels/cuda_emulator/control.h"

static const struct kern_crossover always;

static inline struct kern_device *open_device(size_t work_bytes)
{
    struct kern_device *device = NULL;
    struct kern_device_options options = {.work_bytes = work_bytes, .crossover = &always};
    struct base_error error = {0};
    assert_int_equal(kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, &error), BASE_OK);
    return device;
}

static inline void close_device(struct kern_device **device, bool all_on_device)
{
    struct base_error error = {0};
    assert_int_equal(kern_device_failure(*device, &error), BASE_OK);
    assert_true(!all_on_device || kern_device_counts(*device).on_cpu == 0);
    kern_device_close(device);
    assert_null(*device);
    assert_int_equal(kern_emulator_alive(), 0);
}

#endif
