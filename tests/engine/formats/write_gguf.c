#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static const char *const names[ENG_TENSORS] = {
    [ENG_TENSOR_EMBEDDING] = "token_embd.weight",
    [ENG_TENSOR_ATTENTION_NORM] = "attn_norm.weight",
    [ENG_TENSOR_Q] = "attn_q.weight",
    [ENG_TENSOR_K] = "attn_k.weight",
    [ENG_TENSOR_V] = "attn_v.weight",
    [ENG_TENSOR_O] = "attn_output.weight",
    [ENG_TENSOR_Q_BIAS] = "attn_q.bias",
    [ENG_TENSOR_K_BIAS] = "attn_k.bias",
    [ENG_TENSOR_V_BIAS] = "attn_v.bias",
    [ENG_TENSOR_MLP_NORM] = "ffn_norm.weight",
    [ENG_TENSOR_GATE] = "ffn_gate.weight",
    [ENG_TENSOR_UP] = "ffn_up.weight",
    [ENG_TENSOR_DOWN] = "ffn_down.weight",
    [ENG_TENSOR_FINAL_NORM] = "output_norm.weight",
    [ENG_TENSOR_HEAD] = "output.weight",
};

/* The numbers of the stored types in GGUF. */
static const uint32_t type_numbers[ENG_DTYPE_COUNT] = {
    [ENG_DTYPE_F32] = 0,  [ENG_DTYPE_F16] = 1,  [ENG_DTYPE_Q4_0] = 2,
    [ENG_DTYPE_Q4_1] = 3, [ENG_DTYPE_Q8_0] = 8, [ENG_DTYPE_BF16] = 30};

static void put_string(struct buffer *b, const char *text)
{
    buffer_put_u64(b, strlen(text));
    buffer_put(b, text, strlen(text));
}

static void put_number(struct buffer *b, const struct gguf_key *key)
{
    static const size_t sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4,
        [GGUF_I32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8};
    uint8_t bytes[8];
    base_store_u64(bytes, (uint64_t)(int64_t)key->number);
    if (key->type == GGUF_F32)
        buffer_put_f32(b, (float)key->number);
    else if (key->type == GGUF_F64)
        buffer_put(b, &key->number, 8);
    else
        buffer_put(b, bytes, sizes[key->type]);
}

static void put_key(struct buffer *b, const struct gguf_key *key)
{
    put_string(b, key->key);
    buffer_put_u32(b, (uint32_t)key->type);
    if (key->type == GGUF_STRING) {
        put_string(b, key->text);
    } else if (key->type == GGUF_ARRAY) {
        buffer_put_u32(b, (uint32_t)key->number);
        buffer_put_u64(b, 0);
    } else {
        put_number(b, key);
    }
}

/* The options' word on a key, or NULL. */
static const struct gguf_key *find_edit(const struct gguf_options *options, const char *key)
{
    for (size_t i = 0; i < GGUF_KEYS; i++)
        if (options->keys[i].key != NULL && strcmp(options->keys[i].key, key) == 0)
            return &options->keys[i];
    return NULL;
}

static size_t put_plain_keys(struct buffer *b, const struct eng_model_shape *s,
                             const struct gguf_options *options)
{
    const struct {
        const char *field;
        int type;
        double number;
    } fields[] = {
        {"block_count", GGUF_U32, (double)s->layers},
        {"embedding_length", GGUF_U32, (double)s->width},
        {"feed_forward_length", GGUF_U32, (double)s->ffn},
        {"context_length", GGUF_U32, (double)s->context},
        {"attention.head_count", GGUF_U32, (double)s->heads},
        {"attention.head_count_kv", GGUF_U32, (double)s->kv_heads},
        {"attention.key_length", s->heads * s->head_dim == s->width ? GGUF_REMOVED : GGUF_U32,
         (double)s->head_dim},
        {"attention.layer_norm_rms_epsilon", GGUF_F32, s->norm_eps},
        {"rope.freq_base", GGUF_F32, s->rope_theta},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s.%s", s->model_type, fields[i].field);
        if (fields[i].type == GGUF_REMOVED || find_edit(options, name) != NULL)
            continue;
        put_key(b, &(struct gguf_key){name, fields[i].type, fields[i].number, NULL});
        count++;
    }
    return count;
}

static size_t put_keys(struct buffer *b, const struct eng_model_shape *s, const struct gguf_options *options)
{
    const struct gguf_key fixed[] = {
        {"general.architecture", GGUF_STRING, 0, s->model_type},
        {"tokenizer.ggml.bos_token_id", s->bos >= 0 ? GGUF_U32 : GGUF_REMOVED, s->bos, NULL},
        {"tokenizer.ggml.eos_token_id", s->eos_count > 0 ? GGUF_U32 : GGUF_REMOVED, s->eos[0], NULL},
        {"tokenizer.ggml.eot_token_id", s->eos_count > 1 ? GGUF_U32 : GGUF_REMOVED, s->eos[1], NULL},
        {"general.alignment", options->alignment > 0 ? GGUF_U32 : GGUF_REMOVED, (double)options->alignment,
         NULL},
    };
    size_t count = put_plain_keys(b, s, options);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i].type == GGUF_REMOVED || find_edit(options, fixed[i].key) != NULL)
            continue;
        put_key(b, &fixed[i]);
        count++;
    }
    for (size_t i = 0; i < GGUF_KEYS; i++) {
        if (options->keys[i].key == NULL || options->keys[i].type == GGUF_REMOVED)
            continue;
        put_key(b, &options->keys[i]);
        count++;
    }
    return count;
}

static void name_tensor(char ret[128], const struct tiny_tensor *tensor)
{
    if (eng_tensor_has_layer(tensor->tensor))
        (void)snprintf(ret, 128, "blk.%zu.%s", tensor->layer, names[tensor->tensor]);
    else
        (void)snprintf(ret, 128, "%s", names[tensor->tensor]);
}

/* An entry of the tensor list before its offset. */
static void put_entry(struct buffer *b, const char *name, const struct tiny_tensor *tensor,
                      const struct gguf_tensor_edit *edit)
{
    uint64_t extents[4] = {tensor->cols, tensor->rows, 1, 1};
    uint32_t rank = tensor->vector ? 1 : 2, type = type_numbers[tensor->dtype];
    if (edit != NULL) {
        rank = edit->rank > 0 ? edit->rank : rank;
        type = edit->type > 0 ? edit->type : type;
        for (size_t i = 0; i < 4; i++)
            extents[i] = edit->extents[i] > 0 ? edit->extents[i] : extents[i];
    }
    put_string(b, edit != NULL && edit->rename != NULL ? edit->rename : name);
    buffer_put_u32(b, rank);
    for (size_t i = 0; i < rank; i++)
        buffer_put_u64(b, extents[i < 4 ? i : 0]);
    buffer_put_u32(b, type);
}

/* The tensor list into b and the bytes into data; the number of tensors. */
static size_t put_list(struct buffer *b, struct buffer *data, const struct tiny *tiny,
                       const struct gguf_options *options)
{
    const size_t alignment = options->alignment > 0 ? options->alignment : 32;
    const bool pairs = strcmp(tiny->shape.model_type, "llama") == 0;
    size_t count = 0;
    for (size_t i = 0; i < tiny->count; i++) {
        const struct tiny_tensor *tensor = &tiny->tensors[i];
        char name[128];
        name_tensor(name, tensor);
        bool edited = options->edit.name != NULL && strcmp(options->edit.name, name) == 0;
        if (edited && options->edit.drop)
            continue;
        buffer_align(data, alignment);
        put_entry(b, name, tensor, edited ? &options->edit : NULL);
        buffer_put_u64(b, data->size + (uint64_t)(edited ? options->edit.offset_shift : 0));
        tiny_put(data, tiny, tensor, pairs);
        count++;
    }
    return count;
}

static void put_rope_factors(struct buffer *b, struct buffer *data, const float *factors, size_t count,
                             size_t alignment)
{
    buffer_align(data, alignment);
    put_entry(b, "rope_freqs.weight", &(struct tiny_tensor){.rows = 1, .cols = count, .vector = true}, NULL);
    buffer_put_u64(b, data->size);
    for (size_t i = 0; i < count; i++)
        buffer_put_f32(data, factors[i]);
}

void put_gguf(struct buffer *ret, const struct tiny *tiny, const struct gguf_options *options,
              size_t *ret_header)
{
    const size_t alignment = options->alignment > 0 ? options->alignment : 32;
    struct buffer keys = {0}, list = {0}, data = {0};
    size_t key_count = put_keys(&keys, &tiny->shape, options),
           tensor_count = put_list(&list, &data, tiny, options);
    if (options->rope_factors != NULL) {
        put_rope_factors(&list, &data, options->rope_factors, tiny->shape.head_dim / 2, alignment);
        tensor_count++;
    }
    buffer_put(ret, "GGUF", 4);
    buffer_put_u32(ret, options->version > 0 ? options->version : 3);
    buffer_put_u64(ret, tensor_count);
    buffer_put_u64(ret, key_count);
    buffer_put(ret, keys.data, keys.size);
    buffer_put(ret, list.data, list.size);
    buffer_align(ret, alignment);
    if (ret_header != NULL)
        *ret_header = ret->size;
    buffer_put(ret, data.data, data.size);
    buffer_finish(&keys);
    buffer_finish(&list);
    buffer_finish(&data);
}
