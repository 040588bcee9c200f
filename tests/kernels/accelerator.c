/* Gives the checks of this folder an accelerator's table, on which every call runs: the emulated device's, or, built without KERN_TEST_EMULATED, that
 * of the GPU cuda:0. Where there is no GPU, the check is skipped. */
#include "tests/kernels/support.h"
#include "kernels/device.h"
#ifdef KERN_TEST_EMULATED
#include "tests/kernels/cuda_emulator/control.h"
#endif

enum { SKIPPED = 77 };

static struct kern_device *device;

static void finish(void)
{
    struct base_error error = {0};
    if (kern_device_failure(device, &error) != BASE_OK) {
        fprintf(stderr, "%s\n", error.text);
        _Exit(1);
    }
    struct kern_device_counts counts = kern_device_counts(device);
    if (counts.on_cpu != 0) {
        fprintf(stderr, "%zu calls ran on the device, %zu on the CPU instead\n", counts.on_device, counts.on_cpu);
        _Exit(1);
    }
    kern_device_close(&device);
#ifdef KERN_TEST_EMULATED
    if (kern_emulator_alive() != 0) {
        fprintf(stderr, "the device keeps %ld pieces\n", kern_emulator_alive());
        _Exit(1);
    }
#endif
}

const struct kern_table *accelerator_table(void)
{
    static const struct kern_crossover always;
    struct base_error error = {0};
    struct kern_device_options options = {.work_bytes = (size_t)64 << 20, .crossover = &always};
    if (device != NULL)
        return kern_device_table(device);
#ifdef KERN_TEST_EMULATED
    assert_int_equal(kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, &error), BASE_OK);
#else
    if (kern_device_open(&device, "cuda:0", &options, &error) != BASE_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(error.code == BASE_ERR_SUPPORT ? SKIPPED : 1);
    }
#endif
    atexit(finish);
    return kern_device_table(device);
}
