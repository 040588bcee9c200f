/* Stored numbers: every half and bfloat16, blocks at their extremes, row sizes; RoPE frequencies against
 * libm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/tiny.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_halves(void **state)
{
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        uint8_t stored[2];
        float want, found = eng_half_to_float((uint16_t)bits);
        base_store_u16(stored, (uint16_t)bits);
        if ((bits & 0x7c00) == 0x7c00) {
            assert_true((bits & 0x3ff) != 0 ? isnan(found) != 0 : isinf(found) != 0);
            assert_int_equal(signbit(found) != 0, bits >> 15);
            continue;
        }
        reference_row(ENG_DTYPE_F16, stored, 1, &want);
        assert_true(same_bits(found, want));
    }
}

static void test_bfloats(void **state)
{
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        uint8_t stored[2];
        float want, found;
        base_store_u16(stored, (uint16_t)bits);
        eng_dequant_row(ENG_DTYPE_BF16, stored, 1, &found);
        if ((bits & 0x7f80) == 0x7f80) {
            assert_false(isfinite(found));
            continue;
        }
        reference_row(ENG_DTYPE_BF16, stored, 1, &want);
        assert_true(same_bits(found, want));
    }
}

/* Every finite scale times every code: 32 numbers of a block take the codes in turn. */
static void test_blocks(void **state)
{
    static const enum eng_dtype types[] = {ENG_DTYPE_Q8_0, ENG_DTYPE_Q4_0, ENG_DTYPE_Q4_1};
    for (size_t t = 0; t < 3; t++) {
        for (uint32_t bits = 0; bits <= 0xffff; bits += 3) {
            uint8_t stored[34];
            float want[32], found[32];
            if ((bits & 0x7c00) == 0x7c00)
                continue;
            for (size_t i = 0; i < sizeof stored; i++)
                stored[i] = (uint8_t)(bits * 7 + 29 * i);
            base_store_u16(stored, (uint16_t)bits);
            if (types[t] == ENG_DTYPE_Q4_1)
                base_store_u16(stored + 2, (uint16_t)((bits * 11) & 0xbbff));
            eng_dequant_row(types[t], stored, 32, found);
            reference_row(types[t], stored, 32, want);
            for (size_t i = 0; i < 32; i++)
                assert_true(found[i] == want[i]);
        }
    }
}

static void test_row_bytes(void **state)
{
    for (enum eng_dtype dtype = 0; dtype < ENG_DTYPE_COUNT; dtype++) {
        assert_int_equal(eng_dtype_row_bytes(dtype, 96), reference_row_bytes(dtype, 96));
        if (reference_row_bytes(dtype, 32) > 32)
            assert_int_equal(eng_dtype_row_bytes(dtype, SIZE_MAX / 32 * 32), 0);
        assert_int_equal(eng_dtype_row_bytes(dtype, 33) == 0, dtype >= ENG_DTYPE_Q8_0);
    }
}

static void test_rope_turns(void **state)
{
    const double pi = 3.14159265358979323846;
    struct eng_model_shape shape = tiny_shape();
    uint64_t turns[8];
    eng_model_rope_turns(&shape, turns);
    for (size_t i = 0; i < 8; i++) {
        double radians = (double)turns[i] * 0x1p-64 * 2 * pi, want = pow(10000, -2.0 * (double)i / 16);
        assert_true(fabs(radians - want) < 1e-12 * want);
    }
    shape.rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LINEAR, .factor = 4};
    uint64_t scaled[8];
    eng_model_rope_turns(&shape, scaled);
    for (size_t i = 0; i < 8; i++)
        assert_true(fabs((double)scaled[i] * 4 / (double)turns[i] - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),    cmocka_unit_test(test_bfloats),    cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_row_bytes), cmocka_unit_test(test_rope_turns),
    };
    return cmocka_run_group_tests_name("formats_numbers", tests, NULL, NULL);
}
