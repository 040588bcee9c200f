/* Comparison functions: reconstruction, agreement of the levels, and the attack on badly derived value words. */
#include "tests/kernels/support.h"
#include "kernels/fss/core.h"

/* x [n][points] at every level: shares add up to beta [x < alpha] and equal those of the scalar level. */
static void check_points(const struct dcf_case *keys, const uint64_t *x, size_t points)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    const struct kern_dpf_shape *shape = &keys->keys.shape;
    size_t levels = all_tables(tables), n = keys->keys.count, words = n * (size_t)shape->groups * points;
    uint64_t *expected[2] = {must_alloc(words, 8), must_alloc(words, 8)};
    for (int side = 0; side < 2; side++)
        tables[0]->dcf_eval(&keys->keys, side, keys->root[side], x, points, expected[side]);
    for (size_t i = 0; i < words; i++) {
        size_t key = i / points % n, g = i / points / n;
        uint64_t mask = kern_ring_mask(shape->rings[g]);
        uint64_t value = x[i % (n * points)] < keys->alpha[key] ? keys->beta[g * n + key] : 0;
        assert_int_equal((expected[0][i] + expected[1][i]) & mask, value & mask);
        assert_int_equal(expected[0][i] & ~mask, 0);
    }
    for (size_t t = 1; t < levels; t++)
        for (int side = 0; side < 2; side++) {
            uint64_t *out = guard_alloc(words * 8, 8);
            tables[t]->dcf_eval(&keys->keys, side, keys->root[side], x, points, out);
            assert_memory_equal(out, expected[side], words * 8);
            guard_free(out, words * 8, 8);
        }
    free(expected[0]);
    free(expected[1]);
}

static void check_shape(struct rng *rng, const struct kern_dpf_shape *shape, size_t n, size_t points, bool whole)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    uint64_t mask = kern_ring_mask(shape->domain_bits);
    struct dcf_case keys;
    dcf_case_init(&keys, rng, shape, n);
    dcf_case_generate(&keys, tables[rng_below(rng, levels)]);
    uint64_t *x = must_alloc(n * points, 8);
    for (size_t i = 0; i < n * points; i++) {
        uint64_t near = keys.alpha[i / points] + rng_below(rng, 40) - 20;
        x[i] = (whole ? i % points : rng_below(rng, 3) ? near : rng_next(rng)) & mask;
    }
    check_points(&keys, x, points);
    free(x);
    dcf_case_finish(&keys);
}

static void test_whole_domains(void **state)
{
    (void)state;
    struct rng rng = {11};
    for (int k = 1; k <= 8; k++)
        for (int groups = 1; groups <= KERN_MAX_GROUPS; groups += 2) {
            struct kern_dpf_shape shape = random_shape(&rng, k, 0, groups);
            check_shape(&rng, &shape, 5, (size_t)1 << k, true);
        }
}

static void test_large_domains(void **state)
{
    (void)state;
    struct rng rng = {12};
    static const size_t points[] = {1, 2, 3, 7, 15, 16, 17, 33, 250};
    for (int k = 9; k <= 64; k += k < 32 ? 3 : 8)
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
            struct kern_dpf_shape shape = random_shape(&rng, k, 0, 1 + (int)rng_below(&rng, 3));
            check_shape(&rng, &shape, points[i] < 16 ? 9 : 2, points[i], false);
        }
}

/* More points than one batch holds; clustered points; all points equal. */
static void test_many_points(void **state)
{
    (void)state;
    struct rng rng = {13};
    struct kern_dpf_shape shape = {30, 0, 2, {64, 40}};
    check_shape(&rng, &shape, 1, 1100, false);
    struct dcf_case keys;
    dcf_case_init(&keys, &rng, &shape, 2);
    dcf_case_generate(&keys, kern_table_select(~0u));
    uint64_t x[2 * 700];
    for (int spread = 0; spread <= 30; spread += 3) {
        for (size_t i = 0; i < 1400; i++)
            x[i] = (keys.alpha[i / 700] + (rng_next(&rng) & kern_ring_mask(spread))) & kern_ring_mask(30);
        check_points(&keys, x, 700);
    }
    dcf_case_finish(&keys);
}

/* Keys of many payloads, read as keys of their leading ones. */
static void test_leading_payloads(void **state)
{
    (void)state;
    struct rng rng = {16};
    static const size_t points[] = {3, 40};
    for (int groups = 2; groups <= KERN_MAX_GROUPS; groups++)
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
            struct kern_dpf_shape shape = random_shape(&rng, 20, 0, groups);
            struct dcf_case keys;
            uint64_t x[5 * 40];
            dcf_case_init(&keys, &rng, &shape, 5);
            dcf_case_generate(&keys, kern_table_select(~0u));
            for (size_t j = 0; j < 5 * points[i]; j++)
                x[j] = (keys.alpha[j / points[i]] + rng_below(&rng, 40) - 20) & kern_ring_mask(20);
            for (keys.keys.shape.groups = groups - 1; keys.keys.shape.groups > 0; keys.keys.shape.groups--)
                check_points(&keys, x, points[i]);
            keys.keys.shape = shape;
            dcf_case_finish(&keys);
        }
}

static void test_generation_is_the_same_at_every_level(void **state)
{
    (void)state;
    struct rng rng = {14};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int round = 0; round < 20; round++) {
        int k = 1 + (int)rng_below(&rng, 30);
        struct kern_dpf_shape shape = random_shape(&rng, k, 0, 1 + (int)rng_below(&rng, KERN_MAX_GROUPS));
        size_t n = 1 + rng_below(&rng, 100), seeds = n * (size_t)k * 16, bits = n * kern_bit_words_size(k);
        size_t values = n * (size_t)shape.groups * (size_t)(k + 1) * 8;
        struct dcf_case keys;
        dcf_case_init(&keys, &rng, &shape, n);
        dcf_case_generate(&keys, tables[0]);
        struct kern_dcf_keys first = keys.keys;
        for (size_t t = 1; t < levels; t++) {
            keys.keys.seed_words = guard_alloc(seeds, 1);
            keys.keys.bit_words = guard_alloc(bits, 2);
            keys.keys.value_words = guard_alloc(values, 8);
            dcf_case_generate(&keys, tables[t]);
            assert_memory_equal(keys.keys.seed_words, first.seed_words, seeds);
            assert_memory_equal(keys.keys.bit_words, first.bit_words, bits);
            assert_memory_equal(keys.keys.value_words, first.value_words, values);
            guard_free(keys.keys.seed_words, seeds, 1);
            guard_free(keys.keys.bit_words, bits, 2);
            guard_free(keys.keys.value_words, values, 8);
        }
        keys.keys = first;
        dcf_case_finish(&keys);
    }
}

static uint64_t converted(enum kern_fss_key key, struct kern_block seed)
{
    struct kern_block out = kern_fss_counted(kern_fss_seed(seed), 1);
    kern_scalar_fss.hash(key, &out, &out, 1);
    return out.word[0];
}

/* The holder of root 0 computes, from the first seed word, the lost seed of the other side under both hypotheses on the
 * first bit of alpha and tries to explain the first value word. It must never succeed; it always would if values were
 * derived from child seeds. */
static void test_dcf_value_words_do_not_leak(void **state)
{
    (void)state;
    struct rng rng = {15};
    struct kern_dpf_shape shape = {12, 0, 1, {64}};
    struct dcf_case keys;
    size_t n = 200, hits = 0;
    dcf_case_init(&keys, &rng, &shape, n);
    for (size_t i = 0; i < n; i++)
        keys.beta[i] = 1;
    dcf_case_generate(&keys, kern_table_select(~0u));
    for (size_t i = 0; i < n; i++)
        for (int lose = 0; lose < 2; lose++) {
            struct kern_block mine = kern_fss_root(keys.root[0] + 16 * i, 0), theirs;
            kern_scalar_fss.hash((enum kern_fss_key)lose, &mine, &mine, 1);
            mine = kern_fss_seed(mine);
            theirs = kern_load_block(keys.keys.seed_words + 16 * 12 * i);
            theirs.word[0] ^= mine.word[0];
            theirs.word[1] ^= mine.word[1];
            for (int key = KERN_FSS_LEAF; key < KERN_FSS_KEYS; key++) {
                uint64_t d = converted((enum kern_fss_key)key, theirs) - converted((enum kern_fss_key)key, mine);
                uint64_t guesses[6] = {d, d + 1, d - 1, ~d + 1, 1 - d, ~d};
                for (int j = 0; j < 6; j++)
                    hits += guesses[j] == keys.keys.value_words[13 * i];
            }
        }
    assert_int_equal(hits, 0);
    dcf_case_finish(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_domains),
        cmocka_unit_test(test_large_domains),
        cmocka_unit_test(test_many_points),
        cmocka_unit_test(test_leading_payloads),
        cmocka_unit_test(test_generation_is_the_same_at_every_level),
        cmocka_unit_test(test_dcf_value_words_do_not_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
