/* The workloads of the kernel bench: shapes that a decode step or a prefill really has. */
#ifndef CACHET_BENCH_KERNEL_CASES_H
#define CACHET_BENCH_KERNEL_CASES_H

#include "kernels/kern.h"

#include <stdbool.h>

struct bench_memory {
    uint64_t *big;   /* BENCH_BIG_BYTES */
    uint64_t *a, *b; /* BENCH_SMALL_WORDS each */
    uint64_t *y;     /* BENCH_SMALL_WORDS */
    uint8_t *seed_words, *bit_words, *roots;
    uint64_t *words; /* final or value words */
    uint64_t *alpha, *points;
    void *scratch;
    struct kern_aes_key key;
    uint64_t sink; /* keeps results alive */
};

#define BENCH_BIG_BYTES ((size_t)1 << 30)

enum {
    BENCH_SMALL_WORDS = 1 << 22,
    BENCH_KEYS = 8192,
    BENCH_SEED_BYTES = BENCH_KEYS * 30 * 16,
};

struct bench_kernel_case {
    const char *name;
    const char *unit;
    double units;      /* of one run */
    const char *bound; /* another case, whose rate limits this one's; NULL: none */
    bool once;         /* uses no table: measured once, not at each level */
    bool cpu;          /* of the processor's instructions, whatever the table */
    bool threads;      /* measured again over threads */
    /* The matrix that it reads, rows of `inner` words from the beginning of `big` on, as many as fit; 0: none. An accelerator keeps it. */
    enum kern_word word;
    size_t inner;
    void (*prepare)(struct bench_memory *memory, const struct kern_table *best);
    void (*run)(struct bench_memory *memory, const struct kern_table *table);
};

/* The cases; a bound stands before what it limits. */
const struct bench_kernel_case *bench_kernel_cases(size_t *ret_count);

enum base_status bench_memory_init(struct bench_memory *ret, struct base_error *error);
void bench_memory_finish(struct bench_memory *memory);

#endif
