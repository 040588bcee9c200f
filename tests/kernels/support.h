/* What the kernel checks share: repeatable random words, outputs between canaries at chosen alignments, and the levels
 * that this CPU offers. */
#ifndef CACHET_TESTS_KERNELS_SUPPORT_H
#define CACHET_TESTS_KERNELS_SUPPORT_H

#include "base/random.h"
#include "kernels/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    return base_random_next(&rng->state);
}

static inline size_t rng_below(struct rng *rng, size_t bound)
{
    return (size_t)(rng_next(rng) % bound);
}

static inline void rng_words(struct rng *rng, uint64_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = rng_next(rng);
}

static inline void rng_bytes(struct rng *rng, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)rng_next(rng);
}

enum { CANARY = 192, CANARY_BYTE = 0xc5 };

/* An array of exactly `bytes`, at address 64 n + offset, with canaries on both sides and canary bytes inside. */
static inline void *guard_alloc(size_t bytes, size_t offset)
{
    size_t total = (bytes + offset + 2 * CANARY + 63) / 64 * 64;
    uint8_t *block = aligned_alloc(64, total);
    assert_non_null(block);
    memset(block, CANARY_BYTE, total);
    return block + CANARY + offset;
}

static inline void guard_free(void *array, size_t bytes, size_t offset)
{
    uint8_t *inside = array, *block = inside - CANARY - offset;
    for (size_t i = 0; i < CANARY + offset; i++)
        assert_int_equal(block[i], CANARY_BYTE);
    for (size_t i = 0; i < CANARY - 64; i++)
        assert_int_equal(inside[bytes + i], CANARY_BYTE);
    free(block);
}

static inline void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    assert_non_null(memory);
    return memory;
}

/* The table of an accelerator that a check is linked with (accelerator.c), or NULL. */
const struct kern_table *accelerator_table(void);

/* The distinct tables of this CPU, scalar first, and an accelerator's last; returns how many. */
static inline size_t all_tables(const struct kern_table *ret[KERN_LEVEL_COUNT])
{
    size_t count = 0;
    for (int level = 0; level < KERN_LEVEL_COUNT; level++) {
        const struct kern_table *table = kern_table_select(1u << level);
        if ((int)table->level == level)
            ret[count++] = table;
    }
    if (accelerator_table() != NULL)
        ret[count++] = accelerator_table();
    return count;
}

/* One batch of keys and everything that goes with it. */
struct dpf_case {
    struct kern_dpf_keys keys;
    uint64_t *alpha;  /* [n] */
    uint64_t *beta;   /* [groups][n] */
    uint8_t *root[2]; /* [n][16] */
};

struct dcf_case {
    struct kern_dcf_keys keys;
    uint64_t *alpha;
    uint64_t *beta;
    uint8_t *root[2];
};

/* Random points, payloads and roots; correction words allocated and zero. */
void dpf_case_init(struct dpf_case *ret, struct rng *rng, const struct kern_dpf_shape *shape, size_t count);
void dpf_case_finish(struct dpf_case *keys);
void dpf_case_generate(struct dpf_case *keys, const struct kern_table *table);
void dcf_case_init(struct dcf_case *ret, struct rng *rng, const struct kern_dpf_shape *shape, size_t count);
void dcf_case_finish(struct dcf_case *keys);
void dcf_case_generate(struct dcf_case *keys, const struct kern_table *table);

/* `groups` random rings, nu as given. */
struct kern_dpf_shape random_shape(struct rng *rng, int domain_bits, int nu, int groups);

#endif
