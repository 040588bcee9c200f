/* build/bench/cuda-check [cuda:N]: opens a GPU as a party would, which compares its products with the CPU's, prints where calls cross over to
 * it, and times what kernels/cuda/ is built on. Without a GPU, or in a build without CUDA, it says so and ends with 77. */
#include "base/clock.h"
#include "base/memory.h"
#include "bench/cuda_check.h"
#include "kernels/device.h"
#include "kernels/gather.h"

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

enum { TOGETHER_SIDE = 4096, TOGETHER_TRIES = 6 };

/* What a round of one party may hold: a product of one row, the draws of two streams, words for the wire. */
struct round {
    const struct kern_table *t;
    uint64_t *w, *a, *y, *draws[2];
    uint8_t *wire;
    struct kern_aes_key key[2];
};

static void run_round(const struct round *r, bool together)
{
    if (together)
        kern_hold(r->t);
    r->t->gemm[KERN_WORD_64](r->y, TOGETHER_SIDE, r->a, TOGETHER_SIDE, 1, r->w, 8 * TOGETHER_SIDE, TOGETHER_SIDE, TOGETHER_SIDE);
    for (int i = 0; i < 2; i++)
        kern_words_later(r->t, &r->key[i], 1, r->draws[i], TOGETHER_SIDE, 60);
    kern_pack_later(r->t, r->wire, r->a, TOGETHER_SIDE, 60);
    if (together)
        kern_settle(r->t);
}

/* The best of some tries, each call waited for by itself, and all together in their streams. */
static enum base_status print_together(const char *name, struct base_error *error)
{
    static const struct kern_crossover always;
    enum base_status status;
    struct kern_device *device = NULL;
    struct kern_placed *placed = NULL;
    struct kern_device_options options = {.crossover = &always};
    struct round r = {0};
    TRY(kern_device_open(&device, name, &options, error));
    r.t = kern_device_table(device);
    TRY(base_alloc(&r.w, (size_t)TOGETHER_SIDE * TOGETHER_SIDE, 8, error));
    TRY(base_alloc(&r.a, 5 * TOGETHER_SIDE, 8, error));
    r.y = r.a + TOGETHER_SIDE;
    r.draws[0] = r.y + TOGETHER_SIDE;
    r.draws[1] = r.draws[0] + TOGETHER_SIDE;
    r.wire = (uint8_t *)(r.draws[1] + TOGETHER_SIDE);
    TRY(kern_device_place(device, &placed, KERN_WORD_64, r.w, 8 * TOGETHER_SIDE, TOGETHER_SIDE, TOGETHER_SIDE, KERN_PLACE_WORDS, error));
    for (int together = 0; together < 2; together++) {
        double best = 1e30;
        struct kern_device_counts before = kern_device_counts(device), after;
        for (int i = 0; i < TOGETHER_TRIES; i++) {
            double start = base_clock_seconds();
            run_round(&r, together);
            double spent = base_clock_seconds() - start;
            best = i > 0 && spent < best ? spent : best;
        }
        after = kern_device_counts(device);
        (void)printf("a product of one row, two draws and wire words, %s: %.1f us, %.1f waits, %.1f launches, %.1f copies\n",
                     together ? "under way together" : "one by one", 1e6 * best, (double)(after.waits - before.waits) / TOGETHER_TRIES,
                     (double)(after.launches - before.launches) / TOGETHER_TRIES, (double)(after.copies - before.copies) / TOGETHER_TRIES);
    }
    TRY(kern_device_failure(device, error));
out:
    if (placed != NULL)
        kern_device_forget(device, &placed);
    kern_device_close(&device);
    base_free(&r.w);
    base_free(&r.a);
    return status;
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
    status = print_together(name, &error);
#ifdef KERN_CUDA
    if (status == BASE_OK)
        status = bench_cuda_check(atoi(strchr(name, ':') + 1), &error);
#endif
    if (status != BASE_OK)
        (void)fprintf(stderr, "%s\n", error.text);
    return base_status_exit_code(status);
}
