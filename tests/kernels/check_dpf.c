/* Point functions: both sides add up to the point function, at every level, and the levels agree bit for bit. */
#include "tests/kernels/support.h"
#include "kernels/fss/core.h"

static void full(const struct kern_table *table, const struct dpf_case *keys, int side, size_t first, size_t count,
                 uint64_t *out)
{
    size_t bytes = kern_dpf_scratch(&keys->keys.shape);
    void *scratch = guard_alloc(bytes, 0);
    table->dpf_full(&keys->keys, side, keys->root[side], first, count, out, scratch);
    guard_free(scratch, bytes, 0);
}

/* Runs keys of one shape through generation, full evaluation of a sub-range and point evaluation. */
static void check_shape(struct rng *rng, const struct kern_dpf_shape *shape, size_t n)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables), domain = (size_t)1 << shape->domain_bits, groups = (size_t)shape->groups;
    size_t first = n / 3, count = n - first, words = count * groups * domain;
    struct dpf_case keys;
    dpf_case_init(&keys, rng, shape, n);
    dpf_case_generate(&keys, tables[0]);
    uint64_t *expected[2] = {must_alloc(words, 8), must_alloc(words, 8)};
    for (int side = 0; side < 2; side++)
        full(tables[0], &keys, side, first, count, expected[side]);
    for (size_t i = 0; i < words; i++) {
        size_t key = first + i / domain / groups, g = i / domain % groups;
        uint64_t value = i % domain == keys.alpha[key] ? keys.beta[g * n + key] : 0;
        uint64_t mask = kern_ring_mask(shape->rings[g]);
        assert_int_equal((expected[0][i] + expected[1][i]) & mask, value & mask);
        assert_int_equal(expected[0][i] & ~mask, 0);
    }
    uint64_t *x = must_alloc(n, 8);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_below(rng, 2) ? keys.alpha[i] : rng_below(rng, domain);
    for (size_t t = 0; t < levels; t++)
        for (int side = 0; side < 2; side++) {
            uint64_t *out = guard_alloc(words * 8, 8), *at = guard_alloc(n * groups * 8, 8);
            full(tables[t], &keys, side, first, count, out);
            assert_memory_equal(out, expected[side], words * 8);
            tables[t]->dpf_point(&keys.keys, side, keys.root[side], x, at);
            for (size_t i = first * groups; i < n * groups; i++) {
                size_t key = i / groups, g = i % groups;
                assert_int_equal(at[g * n + key],
                                 expected[side][((key - first) * groups + g) * domain + x[key]]);
            }
            guard_free(out, words * 8, 8);
            guard_free(at, n * groups * 8, 8);
        }
    free(x);
    free(expected[0]);
    free(expected[1]);
    dpf_case_finish(&keys);
}

static void test_hot_shapes(void **state)
{
    (void)state;
    struct rng rng = {3};
    struct kern_dpf_shape rows = {8, 0, 9, {64, 64, 64, 64, 64, 64, 16, 16, 16}};
    check_shape(&rng, &rows, 7);
    for (int bits = 2; bits <= 9; bits++) {
        struct kern_dpf_shape one = {bits, 2, 1, {64}};
        check_shape(&rng, &one, 70);
    }
    struct kern_dpf_shape wide = {11, 2, 1, {37}};
    check_shape(&rng, &wide, 3);
}

/* Trees so small that one vector holds leaves of several keys, in numbers that fill vectors and in others. */
static void test_tiny_trees(void **state)
{
    (void)state;
    struct rng rng = {9};
    for (int bits = 1; bits <= 5; bits++)
        for (int nu = 0; nu <= bits; nu++)
            for (size_t count = 1; count <= 26; count++) {
                struct kern_dpf_shape one = random_shape(&rng, bits, nu, 1), two = random_shape(&rng, bits, nu, 2);
                check_shape(&rng, &one, count);
                check_shape(&rng, &two, count);
            }
}

static void test_random_shapes(void **state)
{
    (void)state;
    struct rng rng = {4};
    for (int round = 0; round < 120; round++) {
        int bits = 1 + (int)rng_below(&rng, 7), groups = 1 + (int)rng_below(&rng, KERN_MAX_GROUPS);
        int nu = (int)rng_below(&rng, (size_t)(bits < 4 ? bits : 4) + 1);
        struct kern_dpf_shape shape = random_shape(&rng, bits, nu, groups);
        check_shape(&rng, &shape, 1 + rng_below(&rng, 40));
    }
}

/* Shapes that the rule for nu makes, the widest leaves among them. */
static void test_chosen_nu(void **state)
{
    (void)state;
    struct rng rng = {5};
    for (int ring = 1; ring <= 64; ring += ring < 9 ? 1 : 5)
        for (int bits = 1; bits <= 9; bits += 2) {
            struct kern_dpf_shape shape = {bits, kern_dpf_choose_nu(bits, ring), 1, {ring}};
            assert_true(shape.nu <= bits && shape.groups << shape.nu <= KERN_MAX_CONVERT_WORDS);
            check_shape(&rng, &shape, 5);
        }
    assert_int_equal(kern_dpf_choose_nu(8, 64), 2);
    assert_int_equal(kern_dpf_choose_nu(8, 130), 1);
    assert_int_equal(kern_dpf_choose_nu(8, 131), 0);
    assert_int_equal(kern_dpf_choose_nu(1, 16), 1);
}

static void test_points_of_large_domains(void **state)
{
    (void)state;
    struct rng rng = {6};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int bits = 10; bits <= 62; bits += 4) {
        struct kern_dpf_shape shape = random_shape(&rng, bits, bits % 3, 1 + bits % 4);
        size_t n = 131, words = n * (size_t)shape.groups;
        struct dpf_case keys;
        dpf_case_init(&keys, &rng, &shape, n);
        dpf_case_generate(&keys, tables[bits % levels]);
        uint64_t *x = must_alloc(n, 8), *out[2] = {must_alloc(words, 8), must_alloc(words, 8)};
        for (size_t i = 0; i < n; i++)
            x[i] = keys.alpha[i] ^ (rng_below(&rng, 2) ? UINT64_C(1) << rng_below(&rng, (size_t)bits) : 0);
        for (size_t t = 0; t < levels; t++) {
            for (int side = 0; side < 2; side++)
                tables[t]->dpf_point(&keys.keys, side, keys.root[side], x, out[side]);
            for (size_t i = 0; i < words; i++) {
                uint64_t value = x[i % n] == keys.alpha[i % n] ? keys.beta[i] : 0;
                uint64_t mask = kern_ring_mask(shape.rings[i / n]);
                assert_int_equal((out[0][i] + out[1][i]) & mask, value & mask);
            }
        }
        free(x);
        free(out[0]);
        free(out[1]);
        dpf_case_finish(&keys);
    }
}

static void test_generation_is_the_same_at_every_level(void **state)
{
    (void)state;
    struct rng rng = {7};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int round = 0; round < 40; round++) {
        int bits = 1 + (int)rng_below(&rng, 30), nu = (int)rng_below(&rng, bits < 3 ? 2 : 4);
        struct kern_dpf_shape shape = random_shape(&rng, bits, nu, 1 + (int)rng_below(&rng, KERN_MAX_GROUPS));
        size_t n = 1 + rng_below(&rng, 150), seeds = n * (size_t)(bits - nu) * 16;
        size_t bit_bytes = n * kern_bit_words_size(bits - nu), finals = (n * (size_t)shape.groups * 8) << nu;
        struct dpf_case keys;
        dpf_case_init(&keys, &rng, &shape, n);
        dpf_case_generate(&keys, tables[0]);
        struct kern_dpf_keys first = keys.keys;
        for (size_t t = 1; t < levels; t++) {
            keys.keys.seed_words = guard_alloc(seeds, 1);
            keys.keys.bit_words = guard_alloc(bit_bytes, 3);
            keys.keys.final_words = guard_alloc(finals, 8);
            dpf_case_generate(&keys, tables[t]);
            assert_memory_equal(keys.keys.seed_words, first.seed_words, seeds);
            assert_memory_equal(keys.keys.bit_words, first.bit_words, bit_bytes);
            assert_memory_equal(keys.keys.final_words, first.final_words, finals);
            guard_free(keys.keys.seed_words, seeds, 1);
            guard_free(keys.keys.bit_words, bit_bytes, 3);
            guard_free(keys.keys.final_words, finals, 8);
        }
        keys.keys = first;
        dpf_case_finish(&keys);
    }
}

/* Chi-square of the bytes of one array against uniform: 255 degrees of freedom, mean 255, deviation 22.6. */
static void assert_uniform(const uint8_t *bytes, size_t count)
{
    double sum = 0, expected = (double)count / 256;
    size_t seen[256] = {0};
    for (size_t i = 0; i < count; i++)
        seen[bytes[i]]++;
    for (int i = 0; i < 256; i++)
        sum += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
    assert_true(sum > 150 && sum < 380);
}

/* With point and payload fixed the words of keys from random roots look random. */
static void test_key_words_are_uniform(void **state)
{
    (void)state;
    struct rng rng = {8};
    struct kern_dpf_shape shape = {5, 1, 2, {64, 64}};
    size_t n = 4000, levels = 4;
    struct dpf_case keys;
    dpf_case_init(&keys, &rng, &shape, n);
    for (size_t i = 0; i < n; i++) {
        keys.alpha[i] = 19;
        keys.beta[i] = keys.beta[n + i] = 1;
    }
    dpf_case_generate(&keys, kern_table_select(~0u));
    uint8_t *column = must_alloc(n, 16);
    for (size_t level = 0; level < levels; level++) {
        for (size_t i = 0; i < n; i++) /* byte 0 has a cleared bit */
            memcpy(column + 15 * i, keys.keys.seed_words + 16 * (i * levels + level) + 1, 15);
        assert_uniform(column, 15 * n);
    }
    assert_uniform(keys.keys.bit_words, n);
    for (size_t c = 0; c < 4; c++) {
        for (size_t i = 0; i < n; i++)
            kern_store64(column + 8 * i, keys.keys.final_words[(c / 2 * n + i) * 2 + c % 2]);
        assert_uniform(column, 8 * n);
    }
    free(column);
    dpf_case_finish(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hot_shapes),
        cmocka_unit_test(test_tiny_trees),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_chosen_nu),
        cmocka_unit_test(test_points_of_large_domains),
        cmocka_unit_test(test_generation_is_the_same_at_every_level),
        cmocka_unit_test(test_key_words_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
