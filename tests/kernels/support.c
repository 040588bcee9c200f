#include "tests/kernels/support.h"

__attribute__((weak)) const struct kern_table *accelerator_table(void)
{
    return NULL;
}

static uint64_t domain_mask(int bits)
{
    return kern_ring_mask(bits);
}

struct kern_dpf_shape random_shape(struct rng *rng, int domain_bits, int nu, int groups)
{
    struct kern_dpf_shape shape = {.domain_bits = domain_bits, .nu = nu, .groups = groups};
    for (int g = 0; g < groups; g++)
        shape.rings[g] = 1 + (int)rng_below(rng, 64);
    return shape;
}

static void random_inputs(struct rng *rng, const struct kern_dpf_shape *shape, size_t count, uint64_t **alpha,
                          uint64_t **beta, uint8_t *root[2])
{
    *alpha = must_alloc(count, sizeof(uint64_t));
    *beta = must_alloc(count * (size_t)shape->groups, sizeof(uint64_t));
    for (size_t i = 0; i < count; i++)
        (*alpha)[i] = rng_next(rng) & domain_mask(shape->domain_bits);
    rng_words(rng, *beta, count * (size_t)shape->groups);
    for (int side = 0; side < 2; side++) {
        root[side] = must_alloc(count, 16);
        rng_bytes(rng, root[side], count * 16);
    }
}

void dpf_case_init(struct dpf_case *ret, struct rng *rng, const struct kern_dpf_shape *shape, size_t count)
{
    size_t levels = (size_t)(shape->domain_bits - shape->nu);
    *ret = (struct dpf_case){.keys = {.shape = *shape, .count = count}};
    ret->keys.seed_words = must_alloc(count * levels, 16);
    ret->keys.bit_words = must_alloc(count, kern_bit_words_size((int)levels));
    ret->keys.final_words = must_alloc((count * (size_t)shape->groups) << shape->nu, sizeof(uint64_t));
    random_inputs(rng, shape, count, &ret->alpha, &ret->beta, ret->root);
}

void dpf_case_finish(struct dpf_case *keys)
{
    free(keys->keys.seed_words);
    free(keys->keys.bit_words);
    free(keys->keys.final_words);
    free(keys->alpha);
    free(keys->beta);
    free(keys->root[0]);
    free(keys->root[1]);
}

void dpf_case_generate(struct dpf_case *keys, const struct kern_table *table)
{
    table->dpf_generate(&keys->keys, keys->alpha, keys->beta, keys->root[0], keys->root[1]);
}

void dcf_case_init(struct dcf_case *ret, struct rng *rng, const struct kern_dpf_shape *shape, size_t count)
{
    size_t k = (size_t)shape->domain_bits;
    *ret = (struct dcf_case){.keys = {.shape = *shape, .count = count}};
    ret->keys.seed_words = must_alloc(count * k, 16);
    ret->keys.bit_words = must_alloc(count, kern_bit_words_size((int)k));
    ret->keys.value_words = must_alloc(count * (size_t)shape->groups * (k + 1), sizeof(uint64_t));
    random_inputs(rng, shape, count, &ret->alpha, &ret->beta, ret->root);
}

void dcf_case_finish(struct dcf_case *keys)
{
    free(keys->keys.seed_words);
    free(keys->keys.bit_words);
    free(keys->keys.value_words);
    free(keys->alpha);
    free(keys->beta);
    free(keys->root[0]);
    free(keys->root[1]);
}

void dcf_case_generate(struct dcf_case *keys, const struct kern_table *table)
{
    table->dcf_generate(&keys->keys, keys->alpha, keys->beta, keys->root[0], keys->root[1]);
}
