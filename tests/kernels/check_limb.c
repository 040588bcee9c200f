/* Products by limbs against kern_scalar_gemm: sizes around widths, operands whose limbs are extreme, the longest exact rows. */
#include "tests/kernels/support.h"
#include "kernels/limb/limb.h"

typedef void (*gemm_fn)(KERN_GEMM_PARAMETERS);
static const gemm_fn scalar[KERN_WORDS] = {kern_scalar_gemm64, kern_scalar_gemm48, kern_scalar_gemm32};

enum { EXTREMES = 7 };

/* Words whose limbs are all 0, -128, 127, -1 or 1, and the least and the largest number. */
static uint64_t extreme(size_t which, enum kern_word word)
{
    int bits = 8 * kern_limb_count(word);
    const uint64_t offset = kern_limb_offset(word);
    const uint64_t values[EXTREMES] = {0,          UINT64_C(0) - offset, UINT64_C(0x7f7f7f7f7f7f7f7f),
                                       UINT64_MAX, UINT64_C(0x0101010101010101), UINT64_C(1) << (bits - 1),
                                       (UINT64_C(1) << (bits - 1)) - 1};
    return values[which] & kern_ring_mask(bits);
}

static void test_split(void **state)
{
    (void)state;
    struct rng rng = {51};
    for (int word = 0; word < KERN_WORDS; word++)
        for (size_t i = 0; i < 20000; i++) {
            int limbs = kern_limb_count((enum kern_word)word);
            uint64_t x = i < EXTREMES ? extreme(i, (enum kern_word)word) : rng_next(&rng), sum = 0;
            uint8_t bytes[8];
            int8_t up[8], down[8];
            kern_store64(bytes, x);
            kern_limb_planes((enum kern_word)word, up, 1, false, bytes, 8, 1);
            kern_limb_planes((enum kern_word)word, down, 1, true, bytes, 8, 1);
            for (int j = 0; j < limbs; j++) {
                sum += (uint64_t)(int64_t)up[j] << 8 * j;
                assert_int_equal(up[j], down[limbs - 1 - j]);
            }
            assert_int_equal((sum ^ x) & kern_ring_mask(8 * limbs), 0);
        }
    uint64_t all_least = extreme(1, KERN_WORD_64); /* every limb -128 */
    int8_t limb[8];
    kern_limb_planes(KERN_WORD_64, limb, 1, false, &all_least, 8, 1);
    for (int j = 0; j < 8; j++)
        assert_int_equal(limb[j], -128);
}

static void check(enum kern_word word, size_t rows, size_t outs, size_t inner, const uint64_t *value, struct rng *rng)
{
    size_t a_size = word == KERN_WORD_32 ? 4 : 8, a_stride = inner + rng_below(rng, 3), w_size = kern_word_bytes(word);
    size_t w_stride = inner * w_size + rng_below(rng, 9), y_stride = outs + rng_below(rng, 3), y_words = (rows - 1) * y_stride + outs;
    size_t a_bytes = a_size * ((rows - 1) * a_stride + inner), w_bytes = (outs - 1) * w_stride + inner * w_size;
    uint8_t *a = guard_alloc(a_bytes, 8), *w = guard_alloc(w_bytes, rng_below(rng, 7)), bytes[2][8];
    size_t w_offset = (uintptr_t)w % 64;
    rng_bytes(rng, a, a_bytes);
    rng_bytes(rng, w, w_bytes);
    for (size_t i = 0; value != NULL && i < 2; i++)
        kern_store64(bytes[i], value[i]);
    for (size_t i = 0; value != NULL && i < a_bytes; i++)
        a[i] = bytes[0][i % a_size];
    for (size_t o = 0; value != NULL && o < outs; o++)
        for (size_t i = 0; i < inner * w_size; i++)
            w[o * w_stride + i] = bytes[1][i % w_size];
    uint64_t *y = guard_alloc(8 * y_words, 8), *expected = must_alloc(y_words, 8);
    memset(expected, CANARY_BYTE, 8 * y_words);
    scalar[word](expected, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
    assert_int_equal(kern_limb_gemm(word, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner, NULL), BASE_OK);
    assert_memory_equal(y, expected, 8 * y_words);
    guard_free(y, 8 * y_words, 8);
    guard_free(a, a_bytes, 8);
    guard_free(w, w_bytes, w_offset);
    free(expected);
}

static void test_sizes(void **state)
{
    (void)state;
    struct rng rng = {52};
    static const size_t inners[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000};
    for (int word = 0; word < KERN_WORDS; word++)
        for (size_t i = 0; i < sizeof inners / sizeof *inners; i++)
            for (size_t rows = 1; rows <= 5; rows++)
                check((enum kern_word)word, rows, 1 + rng_below(&rng, 9), inners[i], NULL, &rng);
}

static void test_extremes(void **state)
{
    (void)state;
    struct rng rng = {53};
    for (int word = 0; word < KERN_WORDS; word++)
        for (size_t i = 0; i < EXTREMES * EXTREMES; i++) {
            uint64_t values[2] = {extreme(i / EXTREMES, (enum kern_word)word), extreme(i % EXTREMES, (enum kern_word)word)};
            check((enum kern_word)word, 2, 3, 257, values, &rng);
            check((enum kern_word)word, 1, 1, 32767, values, &rng);
        }
}

/* With all limbs -128 the longest sum is 2^31 less one row of products: one element more, and it would not fit. */
static void test_limits(void **state)
{
    (void)state;
    struct rng rng = {54};
    assert_int_equal(kern_limb_max_inner(KERN_WORD_64), 32767);
    assert_int_equal(kern_limb_max_inner(KERN_WORD_48), 65535);
    assert_true(kern_limb_max_inner(KERN_WORD_32) == SIZE_MAX);
    for (int word = 0; word < KERN_WORDS; word++) {
        uint64_t least[2] = {extreme(1, (enum kern_word)word), extreme(1, (enum kern_word)word)};
        size_t most = kern_limb_max_inner((enum kern_word)word);
        check((enum kern_word)word, 1, 1, most == SIZE_MAX ? 150000 : most, least, &rng);
        if (most == SIZE_MAX)
            continue;
        struct base_error error = {0};
        uint64_t y = 77;
        uint8_t *zeros = must_alloc(most + 1, 8);
        assert_int_equal(kern_limb_gemm((enum kern_word)word, &y, 1, zeros, most + 1, 1, zeros, 8 * (most + 1), 1, most + 1, &error), BASE_ERR_RANGE);
        assert_non_null(strstr(error.text, most == 32767 ? "32768" : "65536"));
        assert_int_equal(y, 77);
        free(zeros);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
