/* Products over threads against the same on one, at sizes around where work is divided; and that every item runs once. */
#include "tests/kernels/support.h"

#include "kernels/threads.h"

static void mark(void *context, size_t first, size_t end)
{
    uint8_t *seen = context;
    for (size_t i = first; i < end; i++)
        seen[i]++;
}

static void test_every_item_once(void **state)
{
    (void)state;
    uint8_t seen[300];
    for (int threads = 1; threads <= 5; threads++)
        for (size_t count = 0; count <= 300; count += 1 + count / 7)
            for (size_t least = 0; least <= 70; least += 10) {
                memset(seen, 0, sizeof seen);
                kern_set_threads(threads);
                kern_over_threads(count, least, mark, seen);
                for (size_t i = 0; i < sizeof seen; i++)
                    assert_int_equal(seen[i], i < count);
            }
}

static void test_products(void **state)
{
    (void)state;
    struct rng rng = {41};
    const struct kern_table *table = kern_table_select(~0u);
    static const size_t sizes[][3] = {{1, 5, 9000}, {1, 4096, 65}, {3, 131, 517}, {17, 257, 129}, {1, 1, 40000}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int word = 0; word < KERN_WORDS; word++) {
            size_t rows = sizes[s][0], outs = sizes[s][1], inner = sizes[s][2];
            uint64_t *a = must_alloc(rows * inner, 8), *w = must_alloc(outs * inner, 8), *one = must_alloc(rows * outs, 8);
            uint64_t *many = must_alloc(rows * outs, 8);
            rng_words(&rng, a, rows * inner);
            rng_words(&rng, w, outs * inner);
            size_t stride = inner * kern_word_bytes((enum kern_word)word);
            table->gemm[word](one, outs, a, inner, rows, w, stride, outs, inner);
            for (int threads = 1; threads <= 4; threads++) {
                kern_set_threads(threads);
                memset(many, 0, rows * outs * 8);
                kern_gemm_over_threads(table, (enum kern_word)word, many, outs, a, inner, rows, w, stride, outs, inner);
                assert_memory_equal(one, many, rows * outs * 8);
            }
            free(a);
            free(w);
            free(one);
            free(many);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_item_once), cmocka_unit_test(test_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
