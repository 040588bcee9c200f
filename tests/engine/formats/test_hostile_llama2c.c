/* llama2.c files that are cut, grown, or whose header and RoPE tables say what cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include "base/memory.h"

static void put_smallest(struct buffer *ret, uint32_t version)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    put_llama2c(ret, &tiny, version);
    tiny_destroy(&tiny);
}

static void test_cuts(void **state)
{
    char path[TEST_PATH_BYTES];
    make_path(path, *state, "model.bin");
    for (uint32_t version = 0; version <= 1; version++) {
        struct buffer file = {0};
        put_smallest(&file, version);
        write_file(path, file.data, file.size);
        check_cuts_refused(path, file.size);
        buffer_put(&file, "", 1);
        check_bytes_refused(*state, &file, BASE_ERR_FORMAT, "1 bytes follow the last tensor");
        buffer_finish(&file);
    }
}

/* One header number replaced. */
static void check_number(const char *directory, uint32_t version, size_t index, int64_t value,
                         enum base_status want, const char *says)
{
    struct buffer file = {0};
    put_smallest(&file, version);
    base_store_u32(file.data + (version == 0 ? 0 : 8) + 4 * index, (uint32_t)value);
    check_bytes_refused(directory, &file, want, says);
    buffer_finish(&file);
}

static void test_header_numbers(void **state)
{
    static const char *const names[] = {"dim is ",        "hidden_dim is ", "n_layers is ",   "n_heads is ",
                                        "n_kv_heads is ", "vocab_size is ", "max_seq_len is "};
    static const char *const large[] = {
        "the width is",           "the FFN width is",       "the number of layers is", "no multiple of",
        "the number of KV heads", "the vocabulary size is", "the context length is"};
    for (size_t i = 0; i < 7; i++) {
        check_number(*state, 0, i, 0, BASE_ERR_FORMAT, "is no model file that cachet knows");
        check_number(*state, 0, i, INT32_MAX, BASE_ERR_FORMAT, "is no model file that cachet knows");
        check_number(*state, 0, i, INT32_MIN, BASE_ERR_FORMAT, "is no model file that cachet knows");
        check_number(*state, 1, i, 0, BASE_ERR_FORMAT, names[i]);
        check_number(*state, 1, i, INT32_MIN, BASE_ERR_FORMAT, names[i]);
        check_number(*state, 1, i, INT32_MAX - 1, i == 3 ? BASE_ERR_FORMAT : BASE_ERR_SUPPORT, large[i]);
        if (i != 5) /* a legacy vocabulary is negative when the head is its own */
            check_number(*state, 0, i, -4, BASE_ERR_FORMAT, names[i]);
    }
    check_number(*state, 1, 5, -4, BASE_ERR_FORMAT, "vocab_size is -4");
    check_number(*state, 1, 3, 3, BASE_ERR_FORMAT, "dim 8 is no multiple of n_heads 3");
    check_number(*state, 0, 4, 3, BASE_ERR_SUPPORT, "2 heads are not a multiple of 3 KV heads");
    check_number(*state, 0, 3, 8, BASE_ERR_SUPPORT, "the head size is 1");
    check_number(*state, 0, 5, 1, BASE_ERR_SUPPORT, "token id is 1");
    check_number(*state, 0, 1, 1 << 20, BASE_ERR_FORMAT, "feed_forward.w1.weight: needs 33554432 bytes");
    check_number(*state, 1, 6, (1 << 26) + 1, BASE_ERR_SUPPORT, "the context length is 67108865");
}

static void test_first_version(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum base_status want;
        const char *says;
    } cases[] = {
        {0, 0x35, BASE_ERR_FORMAT, "is no model file that cachet knows"},
        {4, 0, BASE_ERR_SUPPORT, "version is 0"},
        {4, 2, BASE_ERR_SUPPORT, "version is 2"},
        {7, 0x80, BASE_ERR_SUPPORT, "version is -2147483647"},
        {36, 2, BASE_ERR_FORMAT, "shared_classifier is 2"},
        {36, 1, BASE_ERR_FORMAT, "bytes follow the last tensor"},
        {37, 1, BASE_ERR_FORMAT, "byte 37 is not zero"},
        {255, 9, BASE_ERR_FORMAT, "byte 255 is not zero"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer file = {0};
        put_smallest(&file, 1);
        file.data[cases[i].at] = cases[i].value;
        check_bytes_refused(*state, &file, cases[i].want, cases[i].says);
        buffer_finish(&file);
    }
}

/* The tables lie before the head: cosines of 4 positions of 2 features, then sines. */
static void test_rope_tables(void **state)
{
    static const float wrong[] = {0.25f, (float)1e30, -1.0f};
    static const uint32_t not_finite[] = {0x7fc00000, 0x7f800000};
    const size_t head = 4 * 8 * 4, table = 4 * 2 * 4;
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 5; k++) {
            struct buffer file = {0}, number = {0};
            put_smallest(&file, 0);
            if (k < 3)
                buffer_put_f32(&number, wrong[k]);
            else
                buffer_put_u32(&number, not_finite[k - 3]);
            const size_t at = file.size - head - (i < 2 ? 2 : 1) * table + 8 + 4 * (i % 2);
            for (size_t b = 0; b < 4; b++)
                file.data[at + b] = number.data[b];
            check_bytes_refused(*state, &file, BASE_ERR_SUPPORT, "the RoPE table turns feature");
            buffer_finish(&number);
            buffer_finish(&file);
        }
    }
}

static void test_weights(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    char path[TEST_PATH_BYTES];
    make_path(path, *state, "model.bin");
    for (uint32_t version = 0; version <= 1; version++) {
        struct tiny tiny;
        struct buffer file = {0};
        tiny_create(&tiny, &shape, ENG_DTYPE_F32);
        struct tiny_tensor *k = tiny_find(&tiny, ENG_TENSOR_K, 0);
        base_store_u32(k->stored + 2 * k->row_bytes + 4 * 7, 0x7f800001);
        put_llama2c(&file, &tiny, version);
        write_file(path, file.data, file.size);
        check_unreadable(path, ENG_TENSOR_K, 0,
                         "layers.0.attention.wk.weight: weight [2][7] is not a finite number");
        buffer_finish(&file);
        tiny_destroy(&tiny);
    }
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_cuts),        IN_DIRECTORY(test_header_numbers), IN_DIRECTORY(test_first_version),
        IN_DIRECTORY(test_rope_tables), IN_DIRECTORY(test_weights),
    };
    return cmocka_run_group_tests_name("formats_hostile_llama2c", tests, NULL, NULL);
}
