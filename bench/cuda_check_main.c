/* build/bench/cuda-check [cuda:N]: opens a GPU as a party would, which compares its products with the CPU's, prints where calls cross over to
 * it, and times what kernels/cuda/ is built on. Without a GPU, or in a build without CUDA, it says so and ends with 77. */
#include "bench/cuda_check.h"
#include "kernels/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTHING_TO_CHECK = 77 };

static void print_size(const char *what, size_t size, const char *unit)
{
    if (size == SIZE_MAX)
        (void)printf("  %-28s never\n", what);
    else
        (void)printf("  %-28s from %zu %s on\n", what, size, unit);
}

static void print_crossover(const struct kern_crossover *c)
{
    static const char *const words[KERN_WORDS] = {[KERN_WORD_64] = "64", [KERN_WORD_48] = "48", [KERN_WORD_32] = "32"};
    static const char *const families[KERN_DEVICE_FAMILIES][2] = {
        {"streams", "bytes"}, {"keys", "AES blocks"}, {"packing and shifting", "elements"}, {"gates", "terms"}};
    char what[64];
    (void)puts("calls that the GPU takes, against the best table of this CPU on one thread:");
    for (int w = 0; w < KERN_WORDS; w++) {
        (void)snprintf(what, sizeof what, "%s-bit words, few rows", words[w]);
        print_size(what, c->gemm[w][0], "multiplications");
        (void)snprintf(what, sizeof what, "%s-bit words, more rows", words[w]);
        print_size(what, c->gemm[w][1], "multiplications");
        (void)snprintf(what, sizeof what, "%s-bit words, not placed", words[w]);
        print_size(what, c->moved[w], "rows");
    }
    for (int f = 0; f < KERN_DEVICE_FAMILIES; f++)
        print_size(families[f][0], c->family[f], families[f][1]);
}

static void report(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "cuda:0";
    struct base_error error = {0};
    struct kern_device *device = NULL;
    struct kern_device_options options = {.report = report};
    enum base_status status = kern_device_open(&device, name, &options, &error);
    if (status != BASE_OK) {
        (void)fprintf(stderr, "nothing to check: %s\n", error.text);
        return status == BASE_ERR_SUPPORT ? NOTHING_TO_CHECK : base_status_exit_code(status);
    }
    (void)printf("%s\n", kern_device_text(device));
    print_crossover(kern_device_crossover(device));
    kern_device_close(&device);
#ifdef KERN_CUDA
    status = bench_cuda_check(atoi(strchr(name, ':') + 1), &error);
#endif
    if (status != BASE_OK)
        (void)fprintf(stderr, "%s\n", error.text);
    return base_status_exit_code(status);
}
