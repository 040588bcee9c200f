/* Selection: masks are honoured, scalar is always there, every slot is filled. */
#include "tests/kernels/support.h"

static void test_masks(void **state)
{
    (void)state;
    assert_int_equal(kern_table_select(0)->level, KERN_LEVEL_SCALAR);
    enum kern_level best = kern_table_select(~0u)->level;
    for (unsigned mask = 0; mask < 1u << KERN_LEVEL_COUNT; mask++) {
        enum kern_level level = kern_table_select(mask)->level;
        assert_true(level <= best);
        assert_true(level == KERN_LEVEL_SCALAR || mask >> level & 1);
        for (int higher = (int)level + 1; higher <= (int)best; higher++)
            assert_false(mask >> higher & 1);
        assert_ptr_equal(kern_table_select(mask), kern_table_select(mask));
    }
}

static void test_every_slot_is_filled(void **state)
{
    (void)state;
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t count = all_tables(tables);
    for (size_t i = 0; i < count; i++) {
        const struct kern_table *t = tables[i];
        assert_true(t->gemm[KERN_WORD_64] && t->gemm[KERN_WORD_48] && t->gemm[KERN_WORD_32] && t->combine32 && t->dot && t->turn_add && t->power_words && t->prg_fill && t->prg_words && t->hash_tweaked && t->dpf_generate && t->dpf_full);
        assert_true(t->dpf_point && t->bit_generate && t->bit_less && t->dcf_generate && t->dcf_eval);
        assert_true(t->pack_bits && t->unpack_bits && t->unpack_add && t->round_shift && t->grid_dot && t->segment_dot);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(kern_level_name(KERN_LEVEL_SCALAR), "scalar");
    assert_string_equal(kern_level_name(KERN_LEVEL_AVX2), "avx2");
    assert_string_equal(kern_level_name(KERN_LEVEL_AVX512), "avx512");
    assert_string_equal(kern_level_name(KERN_LEVEL_CUDA), "cuda");
    assert_string_equal(kern_level_name(KERN_LEVEL_COUNT), "unknown");
}

static void test_masks_by_name(void **state)
{
    (void)state;
    for (unsigned level = 0; level < KERN_LEVEL_COUNT; level++) {
        if (level == KERN_LEVEL_CUDA) {
            assert_int_equal(kern_mask_up_to("cuda"), 0);
            continue;
        }
        unsigned mask = kern_mask_up_to(kern_level_name((enum kern_level)level));
        assert_int_equal(mask, (2u << level) - 1);
        assert_true(kern_table_select(mask)->level <= level);
    }
    assert_int_equal(kern_mask_up_to("sse9"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_by_name),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_every_slot_is_filled),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
