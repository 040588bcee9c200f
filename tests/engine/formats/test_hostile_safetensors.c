/* safetensors files that are cut, lie about sizes and places, or hold what a model of their config.json has
 * no use for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* The smallest model, in a directory, with its header and data at hand. */
struct fixture {
    const char *directory;
    struct tiny tiny;
    json_t *header;
    struct buffer data;
};

static void fixture_init(struct fixture *f, const char *directory, enum eng_dtype dtype)
{
    struct eng_model_shape shape = smallest_shape();
    *f = (struct fixture){.directory = directory};
    tiny_create(&f->tiny, &shape, dtype);
    write_hf(directory, &f->tiny, 1);
    f->header = hf_header(&f->tiny, 0, 1, &f->data);
}

static void fixture_finish(struct fixture *f)
{
    json_decref(f->header);
    buffer_finish(&f->data);
    tiny_destroy(&f->tiny);
}

static json_t *entry_of(const struct fixture *f, const char *name)
{
    json_t *entry = json_object_get(f->header, name);
    assert_non_null(entry);
    return entry;
}

static void check_header(const struct fixture *f, enum base_status want, const char *says)
{
    write_shard(f->directory, "model.safetensors", f->header, &f->data);
    check_refused(f->directory, want, "model.safetensors");
    check_refused(f->directory, want, says);
}

/* With field `field` of a tensor's entry set to a JSON text, then restored. */
static void check_entry(struct fixture *f, const char *name, const char *field, const char *json,
                        enum base_status want, const char *says)
{
    json_t *kept = json_deep_copy(f->header);
    if (json == NULL)
        json_object_del(entry_of(f, name), field);
    else
        json_object_set_new(entry_of(f, name), field, json_loads(json, JSON_DECODE_ANY, NULL));
    check_header(f, want, says);
    json_decref(f->header);
    f->header = kept;
}

static void test_cuts(void **state)
{
    struct fixture f;
    char path[TEST_PATH_BYTES];
    fixture_init(&f, *state, ENG_DTYPE_F32);
    struct buffer file = {0};
    hf_shard(&file, f.header, &f.data);
    make_path(path, *state, "model.safetensors");
    for (size_t size = file.size; size-- > 0;) {
        if (size > 8 + (file.size - f.data.size) && size % 64 != 0)
            continue; /* within the data every 64th place is enough */
        cut_file(path, size);
        check_refused(*state, size == 0 ? BASE_ERR_IO : BASE_ERR_FORMAT, "model.safetensors");
    }
    buffer_finish(&file);
    fixture_finish(&f);
}

static void test_header_size(void **state)
{
    struct fixture f;
    struct buffer file = {0};
    char path[TEST_PATH_BYTES];
    fixture_init(&f, *state, ENG_DTYPE_F32);
    hf_shard(&file, f.header, &f.data);
    make_path(path, *state, "model.safetensors");
    const uint64_t true_size = base_load_u64(file.data);
    const struct {
        uint64_t size;
        const char *says;
    } cases[] = {
        {0, "does not begin with {"},          {1, "is not valid JSON"},
        {true_size - 1, "is not valid JSON"},  {true_size + 1, "is not valid JSON"},
        {file.size - 8, "is not valid JSON"},  {file.size - 7, "the file is truncated"},
        {file.size, "the file is truncated"},  {100u << 20, "the file is truncated"},
        {(100u << 20) + 1, "above the limit"}, {1ull << 32, "above the limit"},
        {1ull << 63, "above the limit"},       {UINT64_MAX - 7, "above the limit"},
        {UINT64_MAX, "above the limit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        base_store_u64(file.data, cases[i].size);
        write_file(path, file.data, file.size);
        check_refused(*state, BASE_ERR_FORMAT, "model.safetensors");
        check_refused(*state, BASE_ERR_FORMAT, cases[i].says);
    }
    buffer_finish(&file);
    fixture_finish(&f);
}

static void test_offsets(void **state)
{
    static const char norm[] = "model.norm.weight", embedding[] = "model.embed_tokens.weight";
    struct fixture f;
    fixture_init(&f, *state, ENG_DTYPE_F32);
    static const struct {
        const char *offsets;
        const char *says;
    } cases[] = {
        {"[0, 9223372036854775807]", "leave the"},
        {"[128, 0]", "leave the"},
        {"[9223372036854775680, 9223372036854775807]", "leave the"},
        {"[-1, 127]", "data_offsets is not a pair"},
        {"[0.0, 128.0]", "data_offsets is not a pair"},
        {"[0]", "data_offsets is not a pair"},
        {"[0, 128, 128]", "data_offsets is not a pair"},
        {"null", "data_offsets is not a pair"},
        {"[0, 127]", "span 127 bytes, but dtype and shape need 128"},
        {"[0, 132]", "span 132 bytes"},
        {"[128, 256]", "begins at data byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_entry(&f, embedding, "data_offsets", cases[i].offsets, BASE_ERR_FORMAT, cases[i].says);
    check_entry(&f, norm, "data_offsets", "[0, 32]", BASE_ERR_FORMAT, "overlap");
    check_entry(&f, norm, "data_offsets", NULL, BASE_ERR_FORMAT,
                "must be an object of dtype, shape and data_offsets");
    buffer_put(&f.data, "more", 4);
    check_header(&f, BASE_ERR_FORMAT, "4 bytes follow the last tensor");
    json_object_set_new(f.header, "gap.weight",
                        json_pack("{s:s, s:[i], s:[I, I]}", "dtype", "U8", "shape", 2, "data_offsets",
                                  (json_int_t)f.data.size - 2, (json_int_t)f.data.size));
    check_header(&f, BASE_ERR_FORMAT, "gap");
    fixture_finish(&f);
}

static void test_shapes_and_types(void **state)
{
    static const char norm[] = "model.norm.weight", down[] = "model.layers.0.mlp.down_proj.weight";
    struct fixture f;
    fixture_init(&f, *state, ENG_DTYPE_F32);
    static const char *const malformed[] = {"[4294967296, 4294967296]",
                                            "[9223372036854775807, 3, 2]",
                                            "[-8]",
                                            "[8.0]",
                                            "[\"8\"]",
                                            "8",
                                            "null",
                                            "[1, 1, 1, 1, 8]",
                                            "[9]",
                                            "[7]",
                                            "[0]"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        check_entry(&f, norm, "shape", malformed[i], BASE_ERR_FORMAT, "tensor model.norm.weight: ");
    check_entry(&f, norm, "shape", "[4294967296, 4294967296]", BASE_ERR_FORMAT, "shape overflows");
    check_entry(&f, norm, "shape", "[4611686018427387912]", BASE_ERR_FORMAT, "shape overflows");
    check_entry(&f, norm, "shape", "[8, 1]", BASE_ERR_FORMAT, "model.norm.weight: its shape is 8 x 1, but");
    check_entry(&f, down, "shape", "[8, 6, 1]", BASE_ERR_FORMAT,
                "down_proj.weight: its shape is 8 x 6 x 1, but");
    check_entry(&f, norm, "shape", "[1, 8]", BASE_ERR_FORMAT, "model.norm.weight: its shape is 1 x 8, but");
    check_entry(&f, norm, "shape", "[2, 4]", BASE_ERR_FORMAT, "model.norm.weight: its shape is 2 x 4, but");
    check_entry(&f, down, "shape", "[6, 8]", BASE_ERR_FORMAT,
                "its shape is 6 x 8, but the model's shape asks for 8 x 6");
    check_entry(&f, down, "shape", "[48]", BASE_ERR_FORMAT, "down_proj.weight: its shape is 48, but");
    check_entry(&f, norm, "dtype", "\"I32\"", BASE_ERR_SUPPORT, "model.norm.weight: is stored as I32");
    check_entry(&f, norm, "dtype", "\"F16\"", BASE_ERR_FORMAT, "model.norm.weight");
    check_entry(&f, norm, "dtype", "\"F31\"", BASE_ERR_FORMAT, "model.norm.weight: dtype is \"F31\"");
    check_entry(&f, norm, "dtype", "32", BASE_ERR_FORMAT, "model.norm.weight: dtype is 32");
    check_entry(&f, norm, "dtype", NULL, BASE_ERR_FORMAT, "model.norm.weight");
    check_entry(&f, norm, "quantized", "true", BASE_ERR_FORMAT, "model.norm.weight: its entry must be");
    fixture_finish(&f);
}

static void test_names(void **state)
{
    struct fixture f;
    char long_name[600];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const strange[] = {"", long_name};
    fixture_init(&f, *state, ENG_DTYPE_F32);
    json_t *norm = json_incref(entry_of(&f, "model.norm.weight"));
    json_object_del(f.header, "model.norm.weight");
    for (size_t i = 0; i < 2; i++) {
        json_object_set(f.header, strange[i], norm);
        check_header(&f, BASE_ERR_FORMAT, "a tensor name has");
        json_object_del(f.header, strange[i]);
    }
    json_object_set(f.header, "norm.weight", norm);
    check_header(&f, BASE_ERR_FORMAT, "tensor model.norm.weight is missing");
    json_object_del(f.header, "norm.weight");
    json_object_set(f.header, "model.norm.weight", norm);
    json_object_set_new(f.header, "model.layers.0.self_attn.q_proj.bias",
                        json_pack("{s:s, s:[i], s:[I, I]}", "dtype", "F32", "shape", 0, "data_offsets",
                                  (json_int_t)f.data.size, (json_int_t)f.data.size));
    check_header(&f, BASE_ERR_SUPPORT, "tensor model.layers.0.self_attn.q_proj.bias has no place");
    json_object_del(f.header, "model.layers.0.self_attn.q_proj.bias");
    json_object_set_new(f.header, "model.norm.weight", json_string("here"));
    check_header(&f, BASE_ERR_FORMAT, "tensor model.norm.weight: its entry must be");
    json_object_set(f.header, "model.norm.weight", norm);
    json_object_set_new(f.header, "__metadata__", json_pack("{s:i}", "format", 3));
    check_header(&f, BASE_ERR_FORMAT, "__metadata__.format is not a string");
    json_object_set_new(f.header, "__metadata__", json_array());
    check_header(&f, BASE_ERR_FORMAT, "__metadata__ is not an object");
    json_decref(norm);
    fixture_finish(&f);
}

/* Headers as text, where a JSON library would not write them. */
static void test_header_text(void **state)
{
    static const char *const texts[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,32]},\"a\":{}}",
        "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,32]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,99999999999999999999]}}",
        "[{}]",
        "\"{\"",
        " {}",
        "{}{}",
        "{\"\xff\":{}}",
        "{\"a\":{",
        "{",
    };
    struct fixture f;
    fixture_init(&f, *state, ENG_DTYPE_F32);
    char path[TEST_PATH_BYTES];
    make_path(path, *state, "model.safetensors");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buffer file = {0};
        buffer_put_u64(&file, strlen(texts[i]));
        buffer_put(&file, texts[i], strlen(texts[i]));
        buffer_put(&file, f.data.data, 64);
        write_file(path, file.data, file.size);
        check_refused(*state, BASE_ERR_FORMAT, "model.safetensors");
        buffer_finish(&file);
    }
    write_text(*state, "model.safetensors", "GGUF and nothing else");
    check_refused(*state, BASE_ERR_FORMAT, "header size");
    fixture_finish(&f);
}

static void test_weights(void **state)
{
    static const uint32_t bits[][3] = {
        {0x7fc00000, 0x7f800000, 0xff800000}, {0x7e00, 0x7c00, 0xfc00}, {0x7fc0, 0x7f80, 0xff80}};
    for (enum eng_dtype dtype = ENG_DTYPE_F32; dtype <= ENG_DTYPE_BF16; dtype++) {
        for (size_t i = 0; i < 3; i++) {
            struct fixture f;
            uint8_t bad[4];
            fixture_init(&f, *state, dtype);
            struct tiny_tensor *down = tiny_find(&f.tiny, ENG_TENSOR_DOWN, 0);
            base_store_u32(bad, bits[dtype][i]);
            memcpy(down->stored + 3 * down->row_bytes + 2 * down->row_bytes / down->cols, bad,
                   down->row_bytes / down->cols);
            memcpy(tiny_find(&f.tiny, ENG_TENSOR_FINAL_NORM, 0)->stored + 20, "\0\0\x80\x7f", 4);
            write_hf(*state, &f.tiny, 1);
            check_unreadable(*state, ENG_TENSOR_DOWN, 0,
                             "model.layers.0.mlp.down_proj.weight: weight [3][2] is not a");
            check_unreadable(*state, ENG_TENSOR_FINAL_NORM, 0, "model.norm.weight: weight [0][5] is not a");
            fixture_finish(&f);
        }
    }
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_cuts),    IN_DIRECTORY(test_header_size),
        IN_DIRECTORY(test_offsets), IN_DIRECTORY(test_shapes_and_types),
        IN_DIRECTORY(test_names),   IN_DIRECTORY(test_header_text),
        IN_DIRECTORY(test_weights),
    };
    return cmocka_run_group_tests_name("formats_hostile_safetensors", tests, NULL, NULL);
}
