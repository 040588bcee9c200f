/* GGUF files that are cut, lie about lengths and places, or ask for what cachet does not compute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include "base/memory.h"

#include <string.h>

static void put_smallest(struct buffer *ret, const struct gguf_options *options, size_t *ret_header)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    put_gguf(ret, &tiny, options, ret_header);
    tiny_destroy(&tiny);
}

static void check_options(const char *directory, const struct gguf_options *options, enum base_status want,
                          const char *says)
{
    struct buffer file = {0};
    put_smallest(&file, options, NULL);
    check_bytes_refused(directory, &file, want, says);
    buffer_finish(&file);
}

static void test_cuts(void **state)
{
    char path[TEST_PATH_BYTES];
    struct buffer file = {0};
    size_t header = 0;
    put_smallest(&file, &(struct gguf_options){0}, &header);
    make_path(path, *state, "model.gguf");
    write_file(path, file.data, file.size);
    assert_true(header < file.size);
    check_cuts_refused(path, file.size);
    for (size_t i = 0; i < 32; i++)
        buffer_put(&file, "", 1);
    check_bytes_refused(*state, &file, BASE_ERR_FORMAT, "bytes follow the last tensor");
    buffer_finish(&file);
}

/* Padding up to the alignment may follow the last tensor, and may be left out. */
static void test_padding(void **state)
{
    char path[TEST_PATH_BYTES];
    struct eng_model_shape shape = smallest_shape();
    struct gguf_options options = {.alignment = 256};
    struct buffer file = {0};
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    put_gguf(&file, &tiny, &options, NULL);
    buffer_align(&file, 256);
    make_path(path, *state, "model.gguf");
    write_file(path, file.data, file.size);
    check_same_model(path, &tiny);
    buffer_put(&file, "", 1);
    check_bytes_refused(*state, &file, BASE_ERR_FORMAT, "bytes follow the last tensor");
    buffer_finish(&file);
    tiny_destroy(&tiny);
}

/* The 24 bytes in front: magic, version, number of tensors, number of keys. */
static void test_front(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
        size_t size;
        enum base_status want;
        const char *says;
    } cases[] = {
        {0, 'g', 1, BASE_ERR_FORMAT, "is no model file that cachet knows"},
        {4, 0, 4, BASE_ERR_SUPPORT, "version is 0"},
        {4, 1, 4, BASE_ERR_SUPPORT, "version is 1"},
        {4, 4, 4, BASE_ERR_SUPPORT, "version is 4"},
        {4, 0x03000000, 4, BASE_ERR_SUPPORT, "a big-endian file"},
        {8, UINT64_MAX, 8, BASE_ERR_FORMAT, "18446744073709551615 tensors"},
        {8, 65536, 8, BASE_ERR_FORMAT, "more than its"},
        {8, 1, 8, BASE_ERR_FORMAT, ""},
        {8, 0, 8, BASE_ERR_FORMAT, "bytes follow the last tensor"},
        {8, 13, 8, BASE_ERR_FORMAT, ""},
        {16, UINT64_MAX, 8, BASE_ERR_FORMAT, "18446744073709551615 keys"},
        {16, 1ull << 63, 8, BASE_ERR_FORMAT, "9223372036854775808 keys"},
        {16, 65536, 8, BASE_ERR_FORMAT, "more than its"},
        {16, 0, 8, BASE_ERR_SUPPORT, "is stored as an unknown type"},
        {24, UINT64_MAX, 8, BASE_ERR_FORMAT, "a key says 18446744073709551615 bytes"},
        {24, 513, 8, BASE_ERR_FORMAT, "a key says 513 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer file = {0};
        put_smallest(&file, &(struct gguf_options){0}, NULL);
        for (size_t b = 0; b < cases[i].size; b++)
            file.data[cases[i].at + b] = (uint8_t)(cases[i].value >> 8 * b);
        check_bytes_refused(*state, &file, cases[i].want, cases[i].says);
        buffer_finish(&file);
    }
}

struct key_case {
    struct gguf_key key;
    enum base_status want;
    const char *says; /* NULL: the key */
};

static void check_keys(const char *directory, const struct key_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_options(directory, &(struct gguf_options){.keys = {cases[i].key}}, cases[i].want,
                      cases[i].says == NULL ? cases[i].key.key : cases[i].says);
}

static void test_sizes(void **state)
{
    static const char *const keys[] = {"llama.block_count",          "llama.embedding_length",
                                       "llama.feed_forward_length",  "llama.context_length",
                                       "llama.attention.head_count", "llama.attention.head_count_kv",
                                       "llama.attention.key_length"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct key_case cases[] = {
            {{keys[i], GGUF_U32, 0, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_I32, -1, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_F32, 8, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_BOOL, 1, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_STRING, 0, "8"}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_ARRAY, GGUF_U32, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_U32, 4294967295.0, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_U64, 9007199254740992.0, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_I64, -9007199254740992.0, NULL}, BASE_ERR_FORMAT, NULL},
            {{keys[i], GGUF_REMOVED, 0, NULL}, BASE_ERR_FORMAT, "is missing"},
        };
        check_keys(*state, cases, sizeof cases / sizeof *cases - (i < 5 ? 0 : 1));
    }
}

static void test_general_keys(void **state)
{
    static const struct key_case cases[] = {
        {{"general.architecture", GGUF_REMOVED, 0, NULL},
         BASE_ERR_FORMAT,
         "key general.architecture is missing"},
        {{"general.architecture", GGUF_STRING, 0, "mamba"},
         BASE_ERR_SUPPORT,
         "general.architecture is \"mamba\""},
        {{"general.architecture", GGUF_STRING, 0, "qwen2"},
         BASE_ERR_FORMAT,
         "key qwen2.block_count is missing"},
        {{"general.architecture", GGUF_U32, 1, NULL}, BASE_ERR_FORMAT, NULL},
        {{"general.type", GGUF_STRING, 0, "adapter"}, BASE_ERR_SUPPORT, "general.type is \"adapter\""},
        {{"split.count", GGUF_U16, 2, NULL}, BASE_ERR_SUPPORT, "split.count is 2"},
        {{"general.alignment", GGUF_U32, 0, NULL}, BASE_ERR_FORMAT, NULL},
        {{"general.alignment", GGUF_U32, 12, NULL}, BASE_ERR_FORMAT, "general.alignment is 12"},
        {{"general.alignment", GGUF_U32, 1 << 21, NULL}, BASE_ERR_FORMAT, "general.alignment is 2097152"},
        {{"general.alignment", GGUF_STRING, 0, "32"}, BASE_ERR_FORMAT, NULL},
        {{"general.alignment", GGUF_U32, 64, NULL}, BASE_ERR_FORMAT, "is no multiple of 64"},
        {{"tokenizer.ggml.bos_token_id", GGUF_U32, 4, NULL}, BASE_ERR_SUPPORT, "bos token id is 4"},
        {{"tokenizer.ggml.eos_token_id", GGUF_U32, 9, NULL}, BASE_ERR_SUPPORT, "eos token id is 9"},
        {{"tokenizer.ggml.eom_token_id", GGUF_U32, 2097152, NULL}, BASE_ERR_FORMAT, NULL},
        {{"tokenizer.ggml.tokens", GGUF_ARRAY, GGUF_ARRAY, NULL}, BASE_ERR_SUPPORT, "array of arrays"},
        {{"tokenizer.ggml.tokens", GGUF_ARRAY, 13, NULL}, BASE_ERR_FORMAT, "an item type is 13"},
    };
    check_keys(*state, cases, sizeof cases / sizeof *cases);
}

static void test_llama_keys(void **state)
{
    static const struct key_case cases[] = {
        {{"llama.attention.layer_norm_rms_epsilon", GGUF_REMOVED, 0, NULL}, BASE_ERR_FORMAT, "is missing"},
        {{"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0, NULL}, BASE_ERR_FORMAT, NULL},
        {{"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0.5, NULL}, BASE_ERR_SUPPORT, "epsilon is 0.5"},
        {{"llama.attention.layer_norm_rms_epsilon", GGUF_U32, 1, NULL}, BASE_ERR_FORMAT, NULL},
        {{"llama.attention.head_count", GGUF_U32, 3, NULL},
         BASE_ERR_FORMAT,
         "no multiple of attention.head_count 3"},
        {{"llama.attention.head_count_kv", GGUF_U32, 3, NULL}, BASE_ERR_SUPPORT, "multiple of 3 KV heads"},
        {{"llama.attention.key_length", GGUF_U32, 3, NULL}, BASE_ERR_SUPPORT, "head size is 3"},
        {{"llama.attention.value_length", GGUF_U32, 8, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.rope.dimension_count", GGUF_U32, 2, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.attention.sliding_window", GGUF_U32, 2, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.attention.causal", GGUF_BOOL, 0, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.attention.causal", GGUF_BOOL, 2, NULL}, BASE_ERR_FORMAT, NULL},
        {{"llama.expert_count", GGUF_U32, 8, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.expert_count", GGUF_I32, -1, NULL}, BASE_ERR_FORMAT, "llama.expert_count has value type 5"},
        {{"llama.logit_scale", GGUF_F32, 1, NULL}, BASE_ERR_SUPPORT, NULL},
        {{"llama.vocab_size", GGUF_U32, 5, NULL}, BASE_ERR_FORMAT, "llama.vocab_size is 5"},
    };
    check_keys(*state, cases, sizeof cases / sizeof *cases);
}

static void test_rope_keys(void **state)
{
    static const struct key_case cases[] = {
        {{"llama.rope.freq_base", GGUF_F32, 0, NULL}, BASE_ERR_FORMAT, "llama.rope.freq_base is 0"},
        {{"llama.rope.freq_base", GGUF_F32, -5, NULL}, BASE_ERR_FORMAT, "llama.rope.freq_base is -5"},
        {{"llama.rope.freq_base", GGUF_F64, 1e300, NULL}, BASE_ERR_SUPPORT, "rope_theta is 1e+300"},
        {{"llama.rope.freq_base", GGUF_F32, 1e300, NULL}, BASE_ERR_FORMAT, "llama.rope.freq_base is inf"},
        {{"llama.rope.scaling.type", GGUF_STRING, 0, "yarn"},
         BASE_ERR_SUPPORT,
         "llama.rope.scaling.type is \"yarn\""},
        {{"llama.rope.scaling.type", GGUF_U32, 1, NULL}, BASE_ERR_FORMAT, NULL},
        {{"llama.rope.scaling.factor", GGUF_F32, -2, NULL},
         BASE_ERR_FORMAT,
         "llama.rope.scaling.factor is -2"},
        {{"llama.rope.scaling.factor", GGUF_F32, 0.5, NULL}, BASE_ERR_SUPPORT, "scaling factor is 0.5"},
        {{"llama.rope.scaling.attn_factor", GGUF_F32, 2, NULL}, BASE_ERR_SUPPORT, NULL},
    };
    const float factors[2] = {1, 1}, longer[2] = {1, 8};
    check_keys(*state, cases, sizeof cases / sizeof *cases);
    const struct gguf_options both = {.rope_factors = factors,
                                      .keys = {{"llama.rope.scaling.factor", GGUF_F32, 2, NULL}}};
    check_options(*state, &both, BASE_ERR_SUPPORT, "comes with another RoPE scaling");
    check_options(*state, &(struct gguf_options){.rope_factors = longer}, BASE_ERR_SUPPORT,
                  "rope_freqs.weight: number 1 is 8");
}

/* The eight bytes of a length behind a key and `between` bytes of types: of a string value, or of an array.
 */
static void check_length(const char *directory, const struct gguf_key *key, size_t between, uint64_t length,
                         const char *says)
{
    struct buffer file = {0};
    put_smallest(&file, &(struct gguf_options){.keys = {*key}}, NULL);
    uint8_t *at = memmem(file.data, file.size, key->key, strlen(key->key));
    assert_non_null(at);
    base_store_u64(at + strlen(key->key) + between, length);
    check_bytes_refused(directory, &file, BASE_ERR_FORMAT, says);
    buffer_finish(&file);
}

static void test_lengths(void **state)
{
    static const uint64_t lengths[] = {1ull << 40, 1ull << 61, 1ull << 63, UINT64_MAX - 7, UINT64_MAX};
    const struct gguf_key name = {"general.name", GGUF_STRING, 0, "abc"};
    for (int item = GGUF_U8; item <= GGUF_F64; item++) {
        const struct gguf_key array = {"tokenizer.ggml.scores", GGUF_ARRAY, item, NULL};
        for (size_t i = 0; item != GGUF_ARRAY && i < sizeof lengths / sizeof *lengths; i++)
            check_length(*state, &array, 8, lengths[i], "tokenizer.ggml.scores has");
        if (item != GGUF_ARRAY)
            check_length(*state, &array, 8, 1 << 26, "offset");
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_length(*state, &name, 4, lengths[i], "a string value says");
}

static void test_repeated_key(void **state)
{
    const struct gguf_options twice = {
        .keys = {{"general.name", GGUF_STRING, 0, "a"}, {"general.name", GGUF_STRING, 0, "a"}}};
    check_options(*state, &twice, BASE_ERR_FORMAT, "key general.name is given twice");
}

static void test_tensors(void **state)
{
    const char *const norm = "output_norm.weight", *const up = "blk.0.ffn_up.weight";
    const struct {
        struct gguf_tensor_edit edit;
        enum base_status want;
        const char *says;
    } cases[] = {
        {{norm, .drop = true}, BASE_ERR_FORMAT, "tensor output_norm.weight is missing"},
        {{"token_embd.weight", .drop = true}, BASE_ERR_FORMAT, "tensor token_embd.weight is missing"},
        {{norm, .rename = "rope_freqs.weight"}, BASE_ERR_FORMAT, "rope_freqs.weight: must hold 2 numbers"},
        {{norm, .rename = "blk.0.attn_norm.weight"},
         BASE_ERR_FORMAT,
         "tensor blk.0.attn_norm.weight is listed twice"},
        {{up, .rename = "blk.1.ffn_up.weight"}, BASE_ERR_FORMAT, "tensor blk.0.ffn_up.weight is missing"},
        {{"output.weight", .rename = "extra.weight"}, BASE_ERR_SUPPORT, "tensor extra.weight has no place"},
        {{norm, .type = 14}, BASE_ERR_SUPPORT, "tensor output_norm.weight: is stored as Q6_K"},
        {{norm, .type = 26}, BASE_ERR_SUPPORT, "tensor output_norm.weight: is stored as I32"},
        {{norm, .type = UINT32_MAX}, BASE_ERR_SUPPORT, "an unknown type (type 4294967295)"},
        {{up, .type = 8}, BASE_ERR_FORMAT, "blk.0.ffn_up.weight: its shape fills no whole Q8_0 blocks"},
        {{up, .type = 1}, BASE_ERR_FORMAT, "instead of"},
        {{norm, .rank = 5}, BASE_ERR_FORMAT, "output_norm.weight: has 5 dimensions"},
        {{norm, .rank = UINT32_MAX >> 12}, BASE_ERR_FORMAT, "output_norm.weight: has 1048575 dimensions"},
        {{up, .rank = 3}, BASE_ERR_FORMAT, "blk.0.ffn_up.weight: its shape is 1 x 6 x 8, but"},
        {{up, .extents = {6, 8}},
         BASE_ERR_FORMAT,
         "its shape is 8 x 6, but the model's shape asks for 6 x 8"},
        {{up, .extents = {9}}, BASE_ERR_FORMAT, "instead of"},
        {{up, .extents = {UINT64_MAX}},
         BASE_ERR_FORMAT,
         "blk.0.ffn_up.weight: an extent is 18446744073709551615"},
        {{up, .extents = {1ull << 62}}, BASE_ERR_FORMAT, "or overflows"},
        {{up, .extents = {1ull << 33, 1ull << 33}}, BASE_ERR_FORMAT, "or overflows"},
        {{"output.weight", .extents = {8, 1 << 20}}, BASE_ERR_FORMAT, "the file is truncated"},
        {{up, .offset_shift = 32}, BASE_ERR_FORMAT, "instead of"},
        {{up, .offset_shift = -32}, BASE_ERR_FORMAT, "blk.0.ffn_"},
        {{up, .offset_shift = 4}, BASE_ERR_FORMAT, "is no multiple of 32"},
        {{"output.weight", .offset_shift = INT64_MIN}, BASE_ERR_FORMAT, "tensor output.weight: begins at"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_options(*state, &(struct gguf_options){.edit = cases[i].edit}, cases[i].want, cases[i].says);
}

/* A vector in blocks, and a bias that only some of the layers and projections have. */
static void test_vectors_and_biases(void **state)
{
    struct eng_model_shape shape = tiny_shape();
    struct tiny tiny;
    for (size_t i = 0; i < 3; i++) {
        struct buffer file = {0};
        struct gguf_options options = {0};
        shape.qkv_bias = i > 0;
        tiny_create(&tiny, &shape, ENG_DTYPE_F32);
        struct tiny_tensor *norm = tiny_find(&tiny, ENG_TENSOR_FINAL_NORM, 0);
        if (i == 0) {
            norm->dtype = ENG_DTYPE_Q8_0;
            norm->row_bytes = 68;
        }
        options.edit = (struct gguf_tensor_edit){i == 0   ? NULL
                                                 : i == 1 ? "blk.1.attn_v.bias"
                                                          : "blk.0.attn_q.bias",
                                                 .drop = true};
        put_gguf(&file, &tiny, &options, NULL);
        check_bytes_refused(*state, &file, i == 1 ? BASE_ERR_FORMAT : BASE_ERR_SUPPORT,
                            i == 0   ? "output_norm.weight: is stored as Q8_0"
                            : i == 1 ? "tensor blk.1.attn_v.bias is missing"
                                     : "has no place");
        buffer_finish(&file);
        tiny_destroy(&tiny);
    }
    (void)strcpy(shape.model_type, "qwen2");
    shape.qkv_bias = false;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    struct buffer file = {0};
    put_gguf(&file, &tiny, &(struct gguf_options){0}, NULL);
    check_bytes_refused(*state, &file, BASE_ERR_FORMAT, "tensor blk.0.attn_q.bias is missing");
    buffer_finish(&file);
    tiny_destroy(&tiny);
}

/* A scale that is no number spoils its block. */
static void test_weights(void **state)
{
    char path[TEST_PATH_BYTES];
    struct eng_model_shape shape = tiny_shape();
    make_path(path, *state, "model.gguf");
    for (enum eng_dtype dtype = ENG_DTYPE_Q8_0; dtype <= ENG_DTYPE_Q4_1; dtype++) {
        struct tiny tiny;
        struct buffer file = {0};
        tiny_create(&tiny, &shape, dtype);
        struct tiny_tensor *k = tiny_find(&tiny, ENG_TENSOR_K, 1);
        base_store_u16(k->stored + 21 * k->row_bytes + reference_row_bytes(dtype, 32), 0x7e00);
        put_gguf(&file, &tiny, &(struct gguf_options){0}, NULL);
        write_file(path, file.data, file.size);
        check_unreadable(path, ENG_TENSOR_K, 1,
                         "blk.1.attn_k.weight: weight [21][32] is not a finite number");
        buffer_finish(&file);
        tiny_destroy(&tiny);
    }
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_cuts),
        IN_DIRECTORY(test_padding),
        IN_DIRECTORY(test_front),
        IN_DIRECTORY(test_sizes),
        IN_DIRECTORY(test_general_keys),
        IN_DIRECTORY(test_llama_keys),
        IN_DIRECTORY(test_rope_keys),
        IN_DIRECTORY(test_lengths),
        IN_DIRECTORY(test_repeated_key),
        IN_DIRECTORY(test_tensors),
        IN_DIRECTORY(test_vectors_and_biases),
        IN_DIRECTORY(test_weights),
    };
    return cmocka_run_group_tests_name("formats_hostile_gguf", tests, NULL, NULL);
}
