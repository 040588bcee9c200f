/* Good files: one tiny model in every format must come out with the same shape and the same numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include <math.h>
#include <string.h>

static void check_hf(const char *directory, const struct eng_model_shape *shape, enum eng_dtype dtype,
                     size_t parts)
{
    struct tiny tiny;
    tiny_create(&tiny, shape, dtype);
    write_hf(directory, &tiny, parts);
    check_same_model(directory, &tiny);
    tiny_destroy(&tiny);
}

static void check_gguf(const char *directory, const struct eng_model_shape *shape, enum eng_dtype dtype,
                       const struct gguf_options *options)
{
    char path[TEST_PATH_BYTES];
    struct tiny tiny;
    struct buffer file = {0};
    make_path(path, directory, "model.gguf");
    tiny_create(&tiny, shape, dtype);
    put_gguf(&file, &tiny, options, NULL);
    write_file(path, file.data, file.size);
    check_same_model(path, &tiny);
    buffer_finish(&file);
    tiny_destroy(&tiny);
}

static void check_llama2c(const char *directory, const struct eng_model_shape *shape, uint32_t version)
{
    char path[TEST_PATH_BYTES];
    struct tiny tiny;
    struct buffer file = {0};
    make_path(path, directory, "model.bin");
    tiny_create(&tiny, shape, ENG_DTYPE_F32);
    put_llama2c(&file, &tiny, version);
    write_file(path, file.data, file.size);
    check_same_model(path, &tiny);
    buffer_finish(&file);
    tiny_destroy(&tiny);
}

static struct eng_model_shape qwen2_shape(void)
{
    struct eng_model_shape shape = tiny_shape();
    shape.qkv_bias = true;
    (void)strcpy(shape.model_type, "qwen2");
    return shape;
}

static void test_hf(void **state)
{
    struct eng_model_shape shape = tiny_shape(), qwen2 = qwen2_shape();
    for (enum eng_dtype dtype = ENG_DTYPE_F32; dtype <= ENG_DTYPE_BF16; dtype++)
        check_hf(*state, &shape, dtype, 1);
    check_hf(*state, &qwen2, ENG_DTYPE_BF16, 1);
    shape.tied = true;
    shape.head_dim = 8;
    shape.rope_scaling = (struct eng_rope_scaling){ENG_ROPE_LLAMA3, 32, 1, 4, 8192};
    check_hf(*state, &shape, ENG_DTYPE_F32, 1);
    (void)strcpy(shape.model_type, "mistral");
    shape.rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LINEAR, .factor = 2};
    shape.bos = -1;
    shape.eos_count = 0;
    check_hf(*state, &shape, ENG_DTYPE_F32, 1);
}

/* An FFN of one number makes matrices of one row and of one column, which are no vectors. */
static void test_narrow(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    shape.ffn = 1;
    check_hf(*state, &shape, ENG_DTYPE_F16, 1);
    check_gguf(*state, &shape, ENG_DTYPE_BF16, &(struct gguf_options){0});
    check_llama2c(*state, &shape, 0);
    check_llama2c(*state, &shape, 1);
}

static void test_hf_sharded(void **state)
{
    struct eng_model_shape shape = tiny_shape(), qwen2 = qwen2_shape();
    check_hf(*state, &shape, ENG_DTYPE_F16, 2);
    check_hf(*state, &qwen2, ENG_DTYPE_F32, 5);
}

/* generation_config.json has the last word on bos and eos. */
static void test_hf_generation_config(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_hf(*state, &tiny, 1);
    write_text(*state, "generation_config.json",
               "{\"bos_token_id\": 3, \"eos_token_id\": 0, \"top_p\": 0.9}");
    tiny.shape.bos = 3;
    tiny.shape.eos[0] = 0;
    tiny.shape.eos_count = 1;
    check_same_model(*state, &tiny);
    tiny_destroy(&tiny);
}

/* A tied model may store its table under the head's name, or under both names. */
static void test_hf_tied_names(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    struct buffer data = {0};
    shape.tied = true;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_hf(*state, &tiny, 1);
    json_t *header = hf_header(&tiny, 0, 1, &data);
    json_t *entry = json_object_get(header, "model.embed_tokens.weight");
    json_object_set(header, "lm_head.weight", entry);
    json_object_del(header, "model.embed_tokens.weight");
    write_shard(*state, "model.safetensors", header, &data);
    check_same_model(*state, &tiny);
    const struct tiny_tensor *embedding = tiny_find(&tiny, ENG_TENSOR_EMBEDDING, 0);
    json_t *both = json_pack("{s:s, s:[I, I], s:[I, I]}", "dtype", "F32", "shape", (json_int_t)shape.vocab,
                             (json_int_t)shape.width, "data_offsets", (json_int_t)data.size,
                             (json_int_t)(data.size + embedding->rows * embedding->row_bytes));
    json_object_set_new(header, "model.embed_tokens.weight", both);
    tiny_put(&data, &tiny, embedding, false);
    write_shard(*state, "model.safetensors", header, &data);
    check_same_model(*state, &tiny);
    data.data[data.size - 1] ^= 1;
    write_shard(*state, "model.safetensors", header, &data);
    check_refused(*state, BASE_ERR_FORMAT, "lm_head.weight differs from model.embed_tokens.weight");
    json_decref(header);
    buffer_finish(&data);
    tiny_destroy(&tiny);
}

static void test_llama2c(void **state)
{
    struct eng_model_shape shape = tiny_shape();
    for (uint32_t version = 0; version <= 1; version++) {
        shape.tied = false;
        check_llama2c(*state, &shape, version);
        shape.tied = true;
        check_llama2c(*state, &shape, version);
    }
}

/* 123 layers put a { where safetensors has one: the number before it tells the formats apart. */
static void test_llama2c_with_a_brace(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    shape.layers = '{';
    check_llama2c(*state, &shape, 0);
}

static void test_gguf_types(void **state)
{
    struct eng_model_shape shape = tiny_shape();
    for (enum eng_dtype dtype = ENG_DTYPE_F32; dtype < ENG_DTYPE_COUNT; dtype++) {
        for (uint32_t version = 2; version <= 3; version++) {
            shape.tied = version == 2;
            check_gguf(*state, &shape, dtype, &(struct gguf_options){.version = version});
        }
    }
}

static void test_gguf_shapes(void **state)
{
    struct eng_model_shape shape = qwen2_shape();
    check_gguf(*state, &shape, ENG_DTYPE_Q8_0, &(struct gguf_options){.alignment = 8});
    (void)strcpy(shape.model_type, "llama"); /* biases in pairs, as the rows that they belong to */
    check_gguf(*state, &shape, ENG_DTYPE_F32, &(struct gguf_options){.alignment = 4096});
    shape = tiny_shape();
    shape.head_dim = 8;
    shape.bos = -1;
    shape.eos_count = 0;
    check_gguf(*state, &shape, ENG_DTYPE_Q4_0, &(struct gguf_options){0});
    const struct gguf_options harmless = {
        .keys = {{"llama.vocab_size", GGUF_U32, 10, NULL},
                 {"llama.rope.dimension_count", GGUF_U64, 8, NULL},
                 {"general.name", GGUF_STRING, 0, "tiny"},
                 {"general.type", GGUF_STRING, 0, "model"},
                 {"tokenizer.ggml.tokens", GGUF_ARRAY, GGUF_STRING, NULL},
                 {"llama.attention.sliding_window", GGUF_U32, 8, NULL}},
    };
    check_gguf(*state, &shape, ENG_DTYPE_F32, &harmless);
}

static void test_gguf_linear_rope(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    const struct gguf_options off = {.keys = {{"llama.rope.scaling.type", GGUF_STRING, 0, "none"},
                                              {"llama.rope.scaling.factor", GGUF_F32, 4, NULL}}};
    check_gguf(*state, &shape, ENG_DTYPE_F32, &off);
    shape.rope_theta = 500000;
    shape.rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LINEAR, .factor = 4};
    const struct gguf_options typed = {.keys = {{"llama.rope.scaling.type", GGUF_STRING, 0, "linear"},
                                                {"llama.rope.scaling.factor", GGUF_F32, 4, NULL}}};
    const struct gguf_options bare = {.keys = {{"llama.rope.scaling.factor", GGUF_F64, 4, NULL}}};
    const struct gguf_options old = {.keys = {{"llama.rope.scale_linear", GGUF_F32, 4, NULL}}};
    check_gguf(*state, &shape, ENG_DTYPE_F32, &typed);
    check_gguf(*state, &shape, ENG_DTYPE_F32, &bare);
    check_gguf(*state, &shape, ENG_DTYPE_F32, &old);
}

/* As in Llama 3.1: wavelengths beyond the original context are divided, short ones kept, a ramp between. */
static void llama3_factors(const struct eng_model_shape *shape, float *ret)
{
    const double pi = 3.14159265358979323846, context = 8192, low = 1, high = 4, factor = 8;
    for (size_t i = 0; i < shape->head_dim / 2; i++) {
        const double wavelength = 2 * pi * pow(shape->rope_theta, 2.0 * (double)i / (double)shape->head_dim);
        const double smooth = (context / wavelength - low) / (high - low);
        if (wavelength < context / high)
            ret[i] = 1;
        else if (wavelength > context / low)
            ret[i] = (float)factor;
        else
            ret[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
}

static void test_gguf_llama3_rope(void **state)
{
    char path[TEST_PATH_BYTES];
    float factors[16];
    struct eng_model_shape shape = tiny_shape();
    shape.heads = 2;
    shape.kv_heads = 1;
    shape.head_dim = 32;
    shape.rope_theta = 500000;
    llama3_factors(&shape, factors);
    assert_true(factors[0] == 1 && factors[15] == 8 && factors[8] > 1 && factors[8] < 8);
    shape.rope_scaling = (struct eng_rope_scaling){ENG_ROPE_LLAMA3, 8, 1, 4, 8192};
    check_gguf(*state, &shape, ENG_DTYPE_F32, &(struct gguf_options){.rope_factors = factors});
    make_path(path, *state, "model.gguf");
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    for (size_t i = 0; i < 16; i++) {
        const float right = factors[i], wrong[] = {right * 1.01f, NAN, INFINITY};
        struct buffer file = {0};
        factors[i] = wrong[i % 3];
        put_gguf(&file, &tiny, &(struct gguf_options){.rope_factors = factors}, NULL);
        write_file(path, file.data, file.size);
        check_refused(path, BASE_ERR_SUPPORT, i % 3 == 2 ? "rope scaling factor" : "rope_freqs.weight");
        buffer_finish(&file);
        factors[i] = right;
    }
    tiny_destroy(&tiny);
}

/* The same stored bytes give the same digest, however they are split; another model, another one. */
static void test_digest(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    uint8_t digests[3][ENG_DIGEST_BYTES];
    for (size_t i = 0; i < 3; i++) {
        struct base_error error = {0};
        struct eng_model_file *file = NULL;
        struct tiny tiny;
        tiny_create(&tiny, &shape, ENG_DTYPE_F32);
        if (i == 2)
            tiny_find(&tiny, ENG_TENSOR_DOWN, 0)->stored[5] ^= 1;
        char path[TEST_PATH_BYTES];
        make_path(path, *state, "model.safetensors");
        (void)remove(path);
        write_hf(*state, &tiny, i == 0 ? 2 : 1);
        check_ok(eng_model_file_open(&file, *state, &error), &error);
        check_ok(eng_model_file_digest(file, digests[i], &error), &error);
        eng_model_file_close(&file);
        tiny_destroy(&tiny);
    }
    assert_memory_equal(digests[0], digests[1], ENG_DIGEST_BYTES);
    assert_memory_not_equal(digests[0], digests[2], ENG_DIGEST_BYTES);
}

static void test_wrong_requests(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    struct tiny tiny;
    float value = 7;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_hf(*state, &tiny, 1);
    tiny_destroy(&tiny);
    check_ok(eng_model_file_open(&file, *state, &error), &error);
    assert_int_equal(eng_model_file_read(file, ENG_TENSOR_Q, 1, &value, NULL), BASE_ERR_ARGUMENT);
    assert_int_equal(eng_model_file_read(file, ENG_TENSORS, 0, &value, NULL), BASE_ERR_ARGUMENT);
    assert_int_equal(eng_model_file_read(file, ENG_TENSOR_Q_BIAS, 0, &value, NULL), BASE_ERR_ARGUMENT);
    const struct eng_row_range ranges[] = {{0, 9}, {9, 0}, {8, 1}, {1, SIZE_MAX}, {SIZE_MAX, 2}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        assert_int_equal(eng_model_file_read_rows(file, ENG_TENSOR_Q, 0, ranges[i], &value, NULL),
                         BASE_ERR_ARGUMENT);
    const struct eng_row_range nothing = {8, 0};
    assert_int_equal(eng_model_file_read_rows(file, ENG_TENSOR_Q, 0, nothing, &value, NULL), BASE_OK);
    assert_true(value == 7);
    eng_model_file_close(&file);
    eng_model_file_close(&file);
}

static void test_keeper(void **state)
{
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    float row[192];
    check_ok(eng_model_file_open(&file, CACHET_SOURCE_DIR "/models/keeper", &error), &error);
    const struct eng_model_shape *shape = eng_model_file_shape(file);
    assert_int_equal(shape->layers, 6);
    assert_int_equal(shape->width, 192);
    assert_int_equal(shape->kv_heads, 2);
    assert_int_equal(shape->vocab, 1024);
    assert_true(shape->tied);
    for (size_t r = 0; r < shape->vocab; r++)
        check_ok(
            eng_model_file_read_rows(file, ENG_TENSOR_HEAD, 0, (struct eng_row_range){r, 1}, row, &error),
            &error);
    check_ok(eng_model_file_read(file, ENG_TENSOR_ATTENTION_NORM, 5, row, &error), &error);
    eng_model_file_close(&file);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_hf),
        IN_DIRECTORY(test_narrow),
        IN_DIRECTORY(test_hf_sharded),
        IN_DIRECTORY(test_hf_generation_config),
        IN_DIRECTORY(test_hf_tied_names),
        IN_DIRECTORY(test_llama2c),
        IN_DIRECTORY(test_llama2c_with_a_brace),
        IN_DIRECTORY(test_gguf_types),
        IN_DIRECTORY(test_gguf_shapes),
        IN_DIRECTORY(test_gguf_linear_rope),
        IN_DIRECTORY(test_gguf_llama3_rope),
        IN_DIRECTORY(test_digest),
        IN_DIRECTORY(test_wrong_requests),
        cmocka_unit_test(test_keeper),
    };
    return cmocka_run_group_tests_name("formats_readers", tests, NULL, NULL);
}
