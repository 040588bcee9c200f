/* Bit keys: the XOR of both sides is [alpha < x]; levels agree. */
#include "tests/kernels/support.h"

struct bit_keys {
    int k;
    size_t n;
    uint64_t *alpha;
    uint8_t *root[2];
    uint8_t *seeds, *bits, *blocks;
};

static size_t tree_levels(int k)
{
    return k > 7 ? (size_t)k - 7 : 0;
}

static void make_keys(struct bit_keys *ret, struct rng *rng, int k, size_t n)
{
    size_t levels = tree_levels(k);
    *ret = (struct bit_keys){.k = k, .n = n};
    ret->alpha = must_alloc(n, 8);
    for (size_t i = 0; i < n; i++)
        ret->alpha[i] = rng_next(rng) & kern_ring_mask(k);
    for (int side = 0; side < 2; side++) {
        ret->root[side] = must_alloc(n, 16);
        rng_bytes(rng, ret->root[side], 16 * n);
    }
    ret->seeds = must_alloc(n * levels, 16);
    ret->bits = must_alloc(n, kern_bit_words_size((int)levels));
    ret->blocks = must_alloc(n, 16);
    kern_table_select(0)->bit_generate(k, n, ret->alpha, ret->root[0], ret->root[1], ret->seeds, ret->bits, ret->blocks);
}

static void free_keys(struct bit_keys *keys)
{
    free(keys->alpha);
    free(keys->root[0]);
    free(keys->root[1]);
    free(keys->seeds);
    free(keys->bits);
    free(keys->blocks);
}

static void check_generation(const struct bit_keys *keys)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables), seeds = 16 * keys->n * tree_levels(keys->k);
    size_t bits = keys->n * kern_bit_words_size((int)tree_levels(keys->k)), blocks = 16 * keys->n;
    for (size_t t = 1; t < levels; t++) {
        uint8_t *s = guard_alloc(seeds, 5), *b = guard_alloc(bits, 1), *w = guard_alloc(blocks, 9);
        tables[t]->bit_generate(keys->k, keys->n, keys->alpha, keys->root[0], keys->root[1], s, b, w);
        assert_memory_equal(s, keys->seeds, seeds);
        assert_memory_equal(b, keys->bits, bits);
        assert_memory_equal(w, keys->blocks, blocks);
        guard_free(s, seeds, 5);
        guard_free(b, bits, 1);
        guard_free(w, blocks, 9);
    }
}

static void check_points(const struct bit_keys *keys, const uint64_t *x)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables), n = keys->n;
    uint8_t *expected[2] = {must_alloc(n, 1), must_alloc(n, 1)};
    for (size_t t = 0; t < levels; t++)
        for (int side = 0; side < 2; side++) {
            uint8_t *out = guard_alloc(n, 3);
            tables[t]->bit_less(keys->k, n, side, keys->root[side], keys->seeds, keys->bits, keys->blocks, x, out);
            if (t == 0)
                memcpy(expected[side], out, n);
            assert_memory_equal(out, expected[side], n);
            guard_free(out, n, 3);
        }
    for (size_t i = 0; i < n; i++) {
        assert_true(expected[0][i] <= 1 && expected[1][i] <= 1);
        assert_int_equal(expected[0][i] ^ expected[1][i], keys->alpha[i] < x[i]);
    }
    free(expected[0]);
    free(expected[1]);
}

static void test_whole_domains(void **state)
{
    (void)state;
    struct rng rng = {21};
    for (int k = 1; k <= 9; k++) {
        struct bit_keys keys;
        make_keys(&keys, &rng, k, 13);
        uint64_t x[13];
        for (uint64_t point = 0; point < UINT64_C(1) << k; point++) {
            for (size_t i = 0; i < 13; i++)
                x[i] = point;
            check_points(&keys, x);
        }
        free_keys(&keys);
    }
}

static void test_large_domains(void **state)
{
    (void)state;
    struct rng rng = {22};
    for (int k = 8; k <= 64; k += k < 34 ? 1 : 6)
        for (size_t n = 1; n < 300; n = 2 * n + 1 + (size_t)k % 3) {
            struct bit_keys keys;
            uint64_t *x = must_alloc(n, 8);
            make_keys(&keys, &rng, k, n);
            check_generation(&keys);
            for (size_t i = 0; i < n; i++)
                x[i] = (rng_below(&rng, 2) ? keys.alpha[i] + rng_below(&rng, 5) - 2 : rng_next(&rng)) &
                       kern_ring_mask(k);
            check_points(&keys, x);
            free(x);
            free_keys(&keys);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_domains),
        cmocka_unit_test(test_large_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
