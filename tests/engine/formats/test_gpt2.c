/* GPT-2 as Hugging Face writes it: Conv1D matrices turned, Q, K and V in one, names with and without their
 * prefix; and files that are damaged, lie, or ask for what cachet does not compute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME = 128 };
static const char *const names[ENG_TENSORS] = {
    [ENG_TENSOR_EMBEDDING] = "wte.weight",          [ENG_TENSOR_POSITION] = "wpe.weight",
    [ENG_TENSOR_FINAL_NORM] = "ln_f.weight",        [ENG_TENSOR_FINAL_NORM_BIAS] = "ln_f.bias",
    [ENG_TENSOR_HEAD] = "lm_head.weight",           [ENG_TENSOR_ATTENTION_NORM] = "ln_1.weight",
    [ENG_TENSOR_ATTENTION_NORM_BIAS] = "ln_1.bias", [ENG_TENSOR_Q] = "attn.c_attn.weight",
    [ENG_TENSOR_Q_BIAS] = "attn.c_attn.bias",       [ENG_TENSOR_O] = "attn.c_proj.weight",
    [ENG_TENSOR_O_BIAS] = "attn.c_proj.bias",       [ENG_TENSOR_MLP_NORM] = "ln_2.weight",
    [ENG_TENSOR_MLP_NORM_BIAS] = "ln_2.bias",       [ENG_TENSOR_UP] = "mlp.c_fc.weight",
    [ENG_TENSOR_UP_BIAS] = "mlp.c_fc.bias",         [ENG_TENSOR_DOWN] = "mlp.c_proj.weight",
    [ENG_TENSOR_DOWN_BIAS] = "mlp.c_proj.bias",
};

static struct eng_model_shape gpt2_shape(void)
{
    struct eng_model_shape shape = tiny_shape();
    shape.kv_heads = shape.heads;
    shape.rope_theta = 0;
    shape.activation = ENG_ACTIVATION_GELU;
    shape.tied = shape.qkv_bias = shape.linear_bias = shape.layer_norm = shape.positions = true;
    (void)strcpy(shape.model_type, "gpt2");
    return shape;
}

static json_t *gpt2_config(const struct eng_model_shape *s)
{
    json_t *ret = json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:b, s:s, s:i, s:[i, i]}",
                            "architectures", "GPT2LMHeadModel", "model_type", "gpt2", "n_embd", (int)s->width,
                            "n_layer", (int)s->layers, "n_head", (int)s->heads, "n_inner", (int)s->ffn,
                            "vocab_size", (int)s->vocab, "n_positions", (int)s->context, "layer_norm_epsilon",
                            s->norm_eps, "tie_word_embeddings", s->tied, "activation_function", "gelu_new",
                            "bos_token_id", (int)s->bos, "eos_token_id", (int)s->eos[0], (int)s->eos[1]);
    assert_non_null(ret);
    return ret;
}

/* How a file calls and holds the tensors. */
struct gpt2_file {
    bool bare;           /* no "transformer." */
    bool masks;          /* the causal mask of old files */
    const char *missing; /* a tensor under another name */
    const char *turned;  /* a matrix whose entry has its extents the other way round */
    bool narrow;         /* the bias of Q, K and V holds that of Q alone */
};

static size_t number_bytes(const struct tiny_tensor *t)
{
    return t->row_bytes / t->cols;
}

/* The tensors that one stored tensor holds: their outputs one after the other. Matrices input by input. */
static void put_parts(struct buffer *data, const struct tiny_tensor *const *part, size_t parts)
{
    size_t number = number_bytes(part[0]);
    if (part[0]->vector) {
        for (size_t i = 0; i < parts; i++)
            buffer_put(data, part[i]->stored, part[i]->row_bytes);
        return;
    }
    for (size_t c = 0; c < part[0]->cols; c++)
        for (size_t i = 0; i < parts; i++)
            for (size_t r = 0; r < part[i]->rows; r++)
                buffer_put(data, part[i]->stored + r * part[i]->row_bytes + c * number, number);
}

static void put_entry(json_t *header, const char *name, const char *dtype, json_t *shape, size_t begin,
                      size_t end)
{
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets",
                              (json_int_t)begin, (json_int_t)end);
    assert_non_null(entry);
    json_object_set_new(header, name, entry);
}

static void name_of(char ret[NAME], const struct gpt2_file *file, const struct tiny_tensor *t)
{
    const char *prefix = file->bare || t->tensor == ENG_TENSOR_HEAD ? "" : "transformer.";
    if (eng_tensor_has_layer(t->tensor))
        (void)snprintf(ret, NAME, "%sh.%zu.%s", prefix, t->layer, names[t->tensor]);
    else
        (void)snprintf(ret, NAME, "%s%s", prefix, names[t->tensor]);
    if (file->missing != NULL && strcmp(ret, file->missing) == 0)
        (void)snprintf(ret, NAME, "%s.bias_of_another_name", prefix);
}

static void put_tensor(json_t *header, struct buffer *data, const struct tiny *tiny,
                       const struct tiny_tensor *t, const struct gpt2_file *file)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    const struct tiny_tensor *part[3] = {t};
    size_t parts = 1, begin = data->size, outs = 0;
    char name[NAME];
    if (names[t->tensor] == NULL) /* K and V: with Q */
        return;
    if (t->tensor == ENG_TENSOR_Q || (t->tensor == ENG_TENSOR_Q_BIAS && !file->narrow)) {
        bool matrix = t->tensor == ENG_TENSOR_Q;
        part[1] = tiny_find(tiny, matrix ? ENG_TENSOR_K : ENG_TENSOR_K_BIAS, t->layer);
        part[2] = tiny_find(tiny, matrix ? ENG_TENSOR_V : ENG_TENSOR_V_BIAS, t->layer);
        parts = 3;
    }
    name_of(name, file, t);
    if (eng_tensor_has_layer(t->tensor))
        put_parts(data, part, parts);
    else
        buffer_put(data, t->stored, t->rows * t->row_bytes);
    for (size_t i = 0; i < parts; i++)
        outs += t->vector ? part[i]->cols : part[i]->rows;
    size_t first = eng_tensor_has_layer(t->tensor) ? t->cols : t->rows,
           second = eng_tensor_has_layer(t->tensor) ? outs : t->cols;
    bool turned = file->turned != NULL && strcmp(name, file->turned) == 0;
    json_t *shape = t->vector ? json_pack("[I]", (json_int_t)outs)
                    : turned  ? json_pack("[I, I]", (json_int_t)second, (json_int_t)first)
                              : json_pack("[I, I]", (json_int_t)first, (json_int_t)second);
    put_entry(header, name, dtypes[t->dtype], shape, begin, data->size);
}

static void write_gpt2(const char *directory, const struct tiny *tiny, struct gpt2_file file)
{
    struct buffer data = {0};
    json_t *header = json_object(), *config = gpt2_config(&tiny->shape);
    for (size_t i = 0; i < tiny->count; i++)
        put_tensor(header, &data, tiny, &tiny->tensors[i], &file);
    for (size_t l = 0; l < tiny->shape.layers && file.masks; l++) {
        const char zeros[16] = {0};
        char name[NAME];
        (void)snprintf(name, sizeof name, "h.%zu.attn.bias", l);
        buffer_put(&data, zeros, 16);
        put_entry(header, name, "U8", json_pack("[i, i, i, i]", 1, 1, 4, 4), data.size - 16, data.size);
        (void)snprintf(name, sizeof name, "h.%zu.attn.masked_bias", l);
        buffer_put(&data, zeros, 4);
        put_entry(header, name, "F32", json_array(), data.size - 4, data.size);
    }
    write_json(directory, "config.json", config);
    write_shard(directory, "model.safetensors", header, &data);
    json_decref(header);
    json_decref(config);
    buffer_finish(&data);
}

static void test_names_and_numbers(void **state)
{
    struct eng_model_shape shape = gpt2_shape();
    for (enum eng_dtype dtype = ENG_DTYPE_F32; dtype <= ENG_DTYPE_BF16; dtype++) {
        struct tiny tiny;
        shape.tied = dtype != ENG_DTYPE_F16;
        tiny_create(&tiny, &shape, dtype);
        write_gpt2(*state, &tiny,
                   (struct gpt2_file){.bare = dtype == ENG_DTYPE_F32, .masks = dtype == ENG_DTYPE_F32});
        check_same_model(*state, &tiny);
        write_gpt2(*state, &tiny, (struct gpt2_file){.bare = dtype != ENG_DTYPE_F32});
        check_same_model(*state, &tiny);
        tiny_destroy(&tiny);
    }
}

/* Fields that may be missing mean what transformers means by it. */
static void test_defaults(void **state)
{
    static const char *const optional[] = {"n_inner", "layer_norm_epsilon", "tie_word_embeddings",
                                           "activation_function", "architectures"};
    struct eng_model_shape shape = gpt2_shape();
    struct tiny tiny;
    shape.ffn = 4 * shape.width;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_gpt2(*state, &tiny, (struct gpt2_file){0});
    json_t *config = gpt2_config(&shape);
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        assert_int_equal(json_object_del(config, optional[i]), 0);
    json_object_set_new(config, "n_inner", json_null());
    write_json(*state, "config.json", config);
    json_decref(config);
    check_same_model(*state, &tiny);
    tiny_destroy(&tiny);
}

static void test_digest(void **state)
{
    uint8_t digests[4][ENG_DIGEST_BYTES];
    struct eng_model_shape shape = gpt2_shape();
    for (size_t i = 0; i < 4; i++) {
        struct base_error error = {0};
        struct eng_model_file *file = NULL;
        struct tiny tiny;
        tiny_create(&tiny, &shape, ENG_DTYPE_F32);
        if (i >= 2)
            tiny_find(&tiny, i == 2 ? ENG_TENSOR_V : ENG_TENSOR_DOWN_BIAS, 1)->stored[5] ^= 1;
        write_gpt2(*state, &tiny, (struct gpt2_file){.bare = i == 1});
        check_ok(eng_model_file_open(&file, *state, &error), &error);
        check_ok(eng_model_file_digest(file, digests[i], &error), &error);
        eng_model_file_close(&file);
        tiny_destroy(&tiny);
    }
    assert_memory_equal(digests[0], digests[1], ENG_DIGEST_BYTES);
    assert_memory_not_equal(digests[0], digests[2], ENG_DIGEST_BYTES);
    assert_memory_not_equal(digests[0], digests[3], ENG_DIGEST_BYTES);
}

static void test_config(void **state)
{
    static const struct {
        const char *field, *json;
        enum base_status want;
        const char *says;
    } cases[] = {
        {"n_embd", NULL, BASE_ERR_FORMAT, "n_embd"},
        {"n_embd", "0", BASE_ERR_FORMAT, "n_embd"},
        {"n_layer", "\"2\"", BASE_ERR_FORMAT, "n_layer"},
        {"n_head", "3", BASE_ERR_FORMAT, "n_embd 64 is no multiple of n_head 3"},
        {"n_head", "64", BASE_ERR_SUPPORT, "head size is 1"},
        {"n_inner", "-4", BASE_ERR_FORMAT, "n_inner"},
        {"n_positions", "1e300", BASE_ERR_FORMAT, "n_positions"},
        {"vocab_size", "99999999999", BASE_ERR_FORMAT, "vocab_size"},
        {"layer_norm_epsilon", "0", BASE_ERR_FORMAT, "layer_norm_epsilon is 0"},
        {"layer_norm_epsilon", "0.5", BASE_ERR_SUPPORT, "epsilon is 0.5"},
        {"activation_function", "\"gelu\"", BASE_ERR_SUPPORT, "activation_function is \"gelu\""},
        {"activation_function", "\"relu\"", BASE_ERR_SUPPORT, "activation_function is \"relu\""},
        {"activation_function", "7", BASE_ERR_FORMAT, "activation_function is 7"},
        {"scale_attn_weights", "false", BASE_ERR_SUPPORT, "scale_attn_weights is false"},
        {"scale_attn_by_inverse_layer_idx", "true", BASE_ERR_SUPPORT,
         "scale_attn_by_inverse_layer_idx is true"},
        {"reorder_and_upcast_attn", "true", BASE_ERR_SUPPORT, "reorder_and_upcast_attn is true"},
        {"reorder_and_upcast_attn", "1", BASE_ERR_FORMAT, "reorder_and_upcast_attn is 1"},
        {"add_cross_attention", "true", BASE_ERR_SUPPORT, "add_cross_attention is true"},
        {"quantization_config", "{}", BASE_ERR_SUPPORT, "quantization_config is {...}"},
        {"architectures", "[\"GPT2ForSequenceClassification\"]", BASE_ERR_SUPPORT, "architectures[0]"},
        {"bos_token_id", "10", BASE_ERR_SUPPORT, "bos token id is 10"},
        {"n_embd", "128", BASE_ERR_FORMAT, "transformer.wte.weight: its shape is 10 x 64, but"},
        {"n_positions", "9", BASE_ERR_FORMAT, "transformer.wpe.weight: its shape is 8 x 64"},
        {"n_inner", "97", BASE_ERR_FORMAT,
         "transformer.h.0.mlp.c_fc.weight: its shape is 64 x 96, but the model's shape asks for 64 x 97"},
        {"n_layer", "3", BASE_ERR_FORMAT, "transformer.h.2.ln_1.weight is missing"},
        {"n_layer", "1", BASE_ERR_SUPPORT, "has no place in a gpt2 model"},
        {"tie_word_embeddings", "false", BASE_ERR_FORMAT, "lm_head.weight is missing"},
    };
    struct eng_model_shape shape = gpt2_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_gpt2(*state, &tiny, (struct gpt2_file){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = gpt2_config(&shape);
        json_edit(config, cases[i].field, cases[i].json);
        write_json(*state, "config.json", config);
        json_decref(config);
        check_refused(*state, cases[i].want, cases[i].says);
    }
    tiny_destroy(&tiny);
}

/* Every tensor in turn is missing; every matrix of a layer lies the other way round. */
static void test_tensors(void **state)
{
    struct eng_model_shape shape = gpt2_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    for (size_t i = 0; i < tiny.count; i++) {
        const struct tiny_tensor *t = &tiny.tensors[i];
        char name[NAME], says[2 * NAME];
        if (names[t->tensor] == NULL)
            continue;
        name_of(name, &(struct gpt2_file){0}, t);
        (void)snprintf(says, sizeof says, "tensor %s is missing", name);
        write_gpt2(*state, &tiny, (struct gpt2_file){.missing = name});
        check_refused(*state, BASE_ERR_FORMAT, says);
        if (t->vector || !eng_tensor_has_layer(t->tensor) || t->rows == t->cols)
            continue;
        (void)snprintf(says, sizeof says, "%s: its shape is", name);
        write_gpt2(*state, &tiny, (struct gpt2_file){.turned = name});
        check_refused(*state, BASE_ERR_FORMAT, says);
    }
    write_gpt2(*state, &tiny, (struct gpt2_file){.turned = "transformer.h.1.attn.c_attn.weight"});
    check_refused(
        *state, BASE_ERR_FORMAT,
        "transformer.h.1.attn.c_attn.weight: its shape is 192 x 64, but the model's shape asks for 64 x 192");
    write_gpt2(*state, &tiny, (struct gpt2_file){.narrow = true});
    check_refused(*state, BASE_ERR_FORMAT,
                  "transformer.h.0.attn.c_attn.bias: its shape is 64, but the model's shape asks for 192");
    tiny_destroy(&tiny);
}

/* A number that is not finite is found in the part that holds it, and nowhere else. */
static void test_not_finite(void **state)
{
    struct eng_model_shape shape = gpt2_shape();
    struct tiny tiny;
    float *values = calloc(shape.width * shape.width, sizeof *values);
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    memset(tiny_find(&tiny, ENG_TENSOR_K, 1)->stored + 4 * (3 * shape.width + 5), 0xff, 4);
    write_gpt2(*state, &tiny, (struct gpt2_file){0});
    check_unreadable(*state, ENG_TENSOR_K, 1,
                     "transformer.h.1.attn.c_attn.weight: weight [3][5] is not a finite number");
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    check_ok(eng_model_file_open(&file, *state, &error), &error);
    check_ok(eng_model_file_read(file, ENG_TENSOR_Q, 1, values, &error), &error);
    check_ok(eng_model_file_read(file, ENG_TENSOR_V, 1, values, &error), &error);
    eng_model_file_close(&file);
    free(values);
    tiny_destroy(&tiny);
}

static void test_cuts(void **state)
{
    struct eng_model_shape shape = gpt2_shape();
    struct tiny tiny;
    char path[TEST_PATH_BYTES];
    shape.layers = 1;
    shape.width = shape.ffn = 4;
    shape.heads = shape.kv_heads = 1;
    shape.head_dim = 4;
    tiny_create(&tiny, &shape, ENG_DTYPE_F16);
    write_gpt2(*state, &tiny, (struct gpt2_file){0});
    check_same_model(*state, &tiny);
    make_path(path, *state, "model.safetensors");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    for (size_t size = (size_t)info.st_size; size-- > 0;) {
        cut_file(path, size);
        check_refused(*state, size == 0 ? BASE_ERR_IO : BASE_ERR_FORMAT, "model.safetensors");
    }
    tiny_destroy(&tiny);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_names_and_numbers),
        IN_DIRECTORY(test_defaults),
        IN_DIRECTORY(test_digest),
        IN_DIRECTORY(test_config),
        IN_DIRECTORY(test_tensors),
        IN_DIRECTORY(test_not_finite),
        IN_DIRECTORY(test_cuts),
    };
    return cmocka_run_group_tests_name("formats_gpt2", tests, NULL, NULL);
}
