#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ENG_TENSORS] = {
    [ENG_TENSOR_EMBEDDING] = "model.embed_tokens.weight",
    [ENG_TENSOR_ATTENTION_NORM] = "input_layernorm.weight",
    [ENG_TENSOR_Q] = "self_attn.q_proj.weight",
    [ENG_TENSOR_K] = "self_attn.k_proj.weight",
    [ENG_TENSOR_V] = "self_attn.v_proj.weight",
    [ENG_TENSOR_O] = "self_attn.o_proj.weight",
    [ENG_TENSOR_Q_BIAS] = "self_attn.q_proj.bias",
    [ENG_TENSOR_K_BIAS] = "self_attn.k_proj.bias",
    [ENG_TENSOR_V_BIAS] = "self_attn.v_proj.bias",
    [ENG_TENSOR_MLP_NORM] = "post_attention_layernorm.weight",
    [ENG_TENSOR_GATE] = "mlp.gate_proj.weight",
    [ENG_TENSOR_UP] = "mlp.up_proj.weight",
    [ENG_TENSOR_DOWN] = "mlp.down_proj.weight",
    [ENG_TENSOR_FINAL_NORM] = "model.norm.weight",
    [ENG_TENSOR_HEAD] = "lm_head.weight",
};

static void name_tensor(char ret[128], const struct tiny_tensor *tensor)
{
    if (eng_tensor_has_layer(tensor->tensor))
        (void)snprintf(ret, 128, "model.layers.%zu.%s", tensor->layer, names[tensor->tensor]);
    else
        (void)snprintf(ret, 128, "%s", names[tensor->tensor]);
}

static const char *architecture_of(const char *model_type)
{
    if (strcmp(model_type, "qwen2") == 0)
        return "Qwen2ForCausalLM";
    return strcmp(model_type, "mistral") == 0 ? "MistralForCausalLM" : "LlamaForCausalLM";
}

static json_t *hf_scaling(const struct eng_rope_scaling *rope)
{
    if (rope->kind == ENG_ROPE_PLAIN)
        return json_null();
    if (rope->kind == ENG_ROPE_LINEAR)
        return json_pack("{s:s, s:f}", "type", "linear", "factor", rope->factor);
    return json_pack("{s:s, s:f, s:f, s:f, s:f}", "rope_type", "llama3", "factor", rope->factor,
                     "low_freq_factor", rope->low_freq_factor, "high_freq_factor", rope->high_freq_factor,
                     "original_max_position_embeddings", rope->original_context);
}

json_t *hf_config(const struct eng_model_shape *s)
{
    json_t *ret =
        json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:s}", "architectures",
                  architecture_of(s->model_type), "model_type", s->model_type, "hidden_size", (int)s->width,
                  "num_hidden_layers", (int)s->layers, "num_attention_heads", (int)s->heads,
                  "num_key_value_heads", (int)s->kv_heads, "intermediate_size", (int)s->ffn, "vocab_size",
                  (int)s->vocab, "max_position_embeddings", (int)s->context, "rope_theta", s->rope_theta,
                  "rms_norm_eps", s->norm_eps, "tie_word_embeddings", s->tied, "hidden_act", "silu");
    assert_non_null(ret);
    json_object_set_new(ret, "rope_scaling", hf_scaling(&s->rope_scaling));
    if (s->heads * s->head_dim != s->width)
        json_object_set_new(ret, "head_dim", json_integer((json_int_t)s->head_dim));
    if (s->bos >= 0)
        json_object_set_new(ret, "bos_token_id", json_integer(s->bos));
    json_t *eos = json_array();
    for (size_t i = 0; i < s->eos_count; i++)
        json_array_append_new(eos, json_integer(s->eos[i]));
    json_object_set_new(ret, "eos_token_id", eos);
    return ret;
}

json_t *hf_header(const struct tiny *tiny, size_t part, size_t parts, struct buffer *ret_data)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    assert_non_null(header);
    for (size_t i = part; i < tiny->count; i += parts) {
        const struct tiny_tensor *tensor = &tiny->tensors[i];
        const char *const dtype = tensor->dtype == ENG_DTYPE_F32   ? "F32"
                                  : tensor->dtype == ENG_DTYPE_F16 ? "F16"
                                                                   : "BF16";
        char name[128];
        const json_int_t begin = (json_int_t)ret_data->size;
        tiny_put(ret_data, tiny, tensor, false);
        json_t *shape = tensor->vector
                            ? json_pack("[I]", (json_int_t)tensor->cols)
                            : json_pack("[I, I]", (json_int_t)tensor->rows, (json_int_t)tensor->cols);
        name_tensor(name, tensor);
        json_object_set_new(header, name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets",
                                      begin, (json_int_t)ret_data->size));
    }
    return header;
}

void hf_shard(struct buffer *ret, const json_t *header, const struct buffer *data)
{
    char *text = json_dumps(header, JSON_COMPACT);
    assert_non_null(text);
    buffer_put_u64(ret, strlen(text));
    buffer_put(ret, text, strlen(text));
    buffer_put(ret, data->data, data->size);
    free(text);
}

void json_edit(json_t *object, const char *field, const char *json)
{
    if (json == NULL) {
        (void)json_object_del(object, field);
        return;
    }
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    assert_int_equal(json_object_set_new(object, field, value), 0);
}

void write_json(const char *directory, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    assert_non_null(text);
    write_text(directory, name, text);
    free(text);
}

void write_shard(const char *directory, const char *name, const json_t *header, const struct buffer *data)
{
    char path[TEST_PATH_BYTES];
    struct buffer file = {0};
    make_path(path, directory, name);
    hf_shard(&file, header, data);
    write_file(path, file.data, file.size);
    buffer_finish(&file);
}

void write_hf(const char *directory, const struct tiny *tiny, size_t parts)
{
    json_t *config = hf_config(&tiny->shape), *map = json_object();
    write_json(directory, "config.json", config);
    for (size_t part = 0; part < parts; part++) {
        struct buffer data = {0};
        json_t *header = hf_header(tiny, part, parts, &data);
        const char *key;
        json_t *value;
        char name[64] = "model.safetensors";
        if (parts > 1)
            (void)snprintf(name, sizeof name, "part-%zu.safetensors", part);
        json_object_foreach(header, key, value)
        {
            if (strcmp(key, "__metadata__") != 0)
                json_object_set_new(map, key, json_string(name));
        }
        write_shard(directory, name, header, &data);
        buffer_finish(&data);
        json_decref(header);
    }
    json_t *index = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 0, "weight_map", map);
    assert_non_null(index);
    if (parts > 1)
        write_json(directory, "model.safetensors.index.json", index);
    json_decref(index);
    json_decref(config);
}
