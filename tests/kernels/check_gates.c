/* Sums over tables, segments, turns and powers against the formulas of kern.h. */
#include "tests/kernels/support.h"

#include <math.h>

static void test_grid_dot(void **state)
{
    (void)state;
    struct rng rng = {34};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int h = 0; h <= 8; h++)
        for (int s = 0; s <= 5; s++) {
            uint64_t hot[256], table[1 << 13], m = rng_next(&rng), expected = 0;
            size_t size = (size_t)1 << (h + s);
            rng_words(&rng, hot, 256);
            rng_words(&rng, table, size);
            for (uint64_t pos = 0; pos < UINT64_C(1) << h; pos++)
                expected += hot[pos] * table[(m - (pos << s)) % size];
            for (size_t t = 0; t < levels; t++)
                assert_int_equal(tables[t]->grid_dot(hot, table, m, h, s), expected);
        }
}

/* One triple's sum, term by term from the formula in kern.h. */
static uint64_t segment_reference(const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < cells; i++) {
        sum += hot[i] * (c[0][i] + c[1][i] * j + c[2][i] * j * j);
        sum -= hot[cells + i] * (c[1][i] + 2 * c[2][i] * j);
        sum += hot[2 * cells + i] * c[2][i];
    }
    return sum;
}

static void test_segment_dot(void **state)
{
    (void)state;
    struct rng rng = {35};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (size_t cells = 1; cells <= 512; cells += cells < 20 ? 1 : 4)
        for (int triples = 1; triples <= KERN_MAX_GROUPS / 3; triples++) {
            size_t bytes = 3 * (size_t)triples * cells * 8, from = rng_below(&rng, 3);
            uint64_t *hot = guard_alloc(bytes, 8 * rng_below(&rng, 8)), table[3 * 515];
            uint64_t j = rng_below(&rng, 4) ? rng_below(&rng, 1 << 12) : rng_next(&rng);
            const uint64_t *c[3] = {table + from, table + 515 + from, table + 2 * 515 + from};
            rng_words(&rng, hot, bytes / 8);
            rng_words(&rng, table, 3 * 515);
            for (size_t t = 0; t < levels; t++) {
                uint64_t *ret = guard_alloc(8 * (size_t)triples, 8);
                tables[t]->segment_dot(ret, hot, c, j, cells, triples);
                for (int i = 0; i < triples; i++)
                    assert_int_equal(ret[i], segment_reference(hot + 3 * (size_t)i * cells, c, j, cells));
                guard_free(ret, 8 * (size_t)triples, 8);
            }
            guard_free(hot, bytes, (uintptr_t)hot % 64);
        }
}

enum { LOG_PERIOD = 9, PERIOD = 1 << LOG_PERIOD };

/* The period as round() sees it; entries of a small table are nowhere near a half. */
static int64_t turn_reference(uint64_t t)
{
    return llround(cos(2 * M_PI * (double)(t % PERIOD) / PERIOD) * (1 << 30));
}

static void test_turn_add(void **state)
{
    (void)state;
    struct rng rng = {37};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    int32_t *quarter = guard_alloc(sizeof *quarter * (PERIOD / 4 + 1), 4);
    for (size_t i = 0; i <= PERIOD / 4; i++)
        quarter[i] = (int32_t)turn_reference(i);
    for (uint64_t t = 0; t < 2 * PERIOD; t++)
        assert_int_equal(kern_turn_at(quarter, LOG_PERIOD, t), turn_reference(t));
    for (size_t n = 1; n < 60; n++)
        for (int down = 0; down <= 30; down += 1 + (int)rng_below(&rng, 6)) {
            struct kern_turn turn = {quarter, LOG_PERIOD, 2 * rng_below(&rng, 20) + 1, rng_next(&rng), down, (int)rng_below(&rng, 17)};
            uint64_t word[60], m[60];
            rng_words(&rng, word, n);
            rng_words(&rng, m, n);
            for (size_t t = 0; t < levels; t++) {
                uint64_t *share = guard_alloc(8 * n, 8);
                for (size_t i = 0; i < n; i++)
                    share[i] = i * 12345;
                tables[t]->turn_add(share, word, m, n, &turn);
                for (size_t i = 0; i < n; i++) {
                    int64_t factor = turn_reference(turn.multiple * m[i] - turn.offset);
                    factor = (int64_t)floor(ldexp((double)factor, -down) + 0.5);
                    assert_int_equal(share[i], i * 12345 + (word[i] * (uint64_t)factor << turn.up));
                }
                guard_free(share, 8 * n, 8);
            }
        }
    guard_free(quarter, sizeof *quarter * (PERIOD / 4 + 1), 4);
}

enum { UNITS = 6, FACTORS = 1 << UNITS };

/* (word mantissa + 2^(shift - 1)) >> shift bit by bit. */
static uint64_t power_reference(const uint64_t *limb, int limbs, struct base_exact_power factor)
{
    uint8_t bits[64 * KERN_MAX_LIMBS + 66] = {0};
    unsigned __int128 carry = 0;
    for (int i = 0; i < 64 * limbs + 64; i++) { /* column i: all bits of the word that meet a bit of the mantissa there */
        for (int j = 0; j <= i && j < 32; j++)
            if (i - j < 64 * limbs)
                carry += (factor.mantissa >> j & 1) & (limb[(i - j) / 64] >> ((i - j) % 64) & 1);
        carry += i == (int)factor.shift - 1;
        bits[i] = (uint8_t)(carry & 1);
        carry >>= 1;
    }
    uint64_t value = 0;
    for (int i = 0; i < 64; i++)
        value |= (uint64_t)bits[factor.shift + (uint32_t)i] << i;
    return value;
}

static void test_power_words(void **state)
{
    (void)state;
    struct rng rng = {38};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int limbs = 1; limbs <= KERN_MAX_LIMBS; limbs++)
        for (size_t n = 1; n <= 21; n++) {
            struct base_exact_power factor[FACTORS];
            for (size_t j = 0; j < FACTORS; j++)
                factor[j] = (struct base_exact_power){(uint32_t)rng_next(&rng) >> rng_below(&rng, 20), 1 + (uint32_t)rng_below(&rng, 64 * (size_t)limbs)};
            size_t stride = 2 * n + rng_below(&rng, 3), words = stride * (size_t)(limbs - 1) + 2 * n;
            uint64_t *word = guard_alloc(8 * words, 8), m[21];
            rng_words(&rng, word, words);
            for (size_t i = 0; i < words && n % 3 == 0; i++)
                word[i] = UINT64_MAX;
            for (size_t i = 0; i < n; i++)
                m[i] = rng_below(&rng, 2 * FACTORS);
            for (size_t t = 0; t < levels; t++) {
                uint64_t *out = guard_alloc(8 * n, 8);
                tables[t]->power_words(out, word, stride, limbs, m, n, factor, UNITS);
                for (size_t i = 0; i < n; i++) {
                    uint64_t limb[KERN_MAX_LIMBS];
                    for (int l = 0; l < limbs; l++)
                        limb[l] = word[(size_t)l * stride + 2 * i + (m[i] >> UNITS)];
                    assert_int_equal(out[i], power_reference(limb, limbs, factor[m[i] % FACTORS]));
                }
                guard_free(out, 8 * n, 8);
            }
            guard_free(word, 8 * words, 8);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid_dot),
        cmocka_unit_test(test_segment_dot),
        cmocka_unit_test(test_turn_add),
        cmocka_unit_test(test_power_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
