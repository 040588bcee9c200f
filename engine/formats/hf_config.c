#include "engine/formats/hf_config.h"

#include <jansson.h>
#include <string.h>

struct reader {
    json_t *root;
    const char *path;
    struct base_error *error;
    enum base_status status;
};

static void refuse(struct reader *r, const char *key, const char *why)
{
    json_t *value = json_object_get(r->root, key);
    char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (r->status == BASE_OK)
        r->status = base_fail(r->error, BASE_ERR_SUPPORT, "%s: \"%s\" is %.60s: %s", r->path, key, text == NULL ? "missing" : text, why);
    free(text);
}

static size_t read_size(struct reader *r, const char *key, long long fallback)
{
    json_t *value = json_object_get(r->root, key);
    if ((value == NULL || json_is_null(value)) && fallback >= 0)
        return (size_t)fallback;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 1 << 28)
        refuse(r, key, "must be a positive integer");
    return value == NULL ? 0 : (size_t)json_integer_value(value);
}

static double read_real(struct reader *r, const char *key, double fallback)
{
    json_t *value = json_object_get(r->root, key);
    if (value == NULL || json_is_null(value))
        return fallback;
    if (!json_is_number(value))
        refuse(r, key, "must be a number");
    return json_number_value(value);
}

static void require_off(struct reader *r, const char *key)
{
    json_t *value = json_object_get(r->root, key);
    if (value != NULL && !json_is_null(value) && !json_is_false(value))
        refuse(r, key, "cachet does not support it: use a model without");
}

static int32_t read_token(struct reader *r, const char *key)
{
    json_t *value = json_object_get(r->root, key);
    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (value == NULL || json_is_null(value))
        return -1;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 1 << 28)
        refuse(r, key, "must be a token id");
    return (int32_t)json_integer_value(value);
}

static void read_shape(struct reader *r, struct eng_model_shape *s)
{
    const char *type = json_string_value(json_object_get(r->root, "model_type"));
    if (type == NULL || (strcmp(type, "llama") != 0 && strcmp(type, "mistral") != 0))
        refuse(r, "model_type", "cachet supports \"llama\" and \"mistral\"");
    const char *activation = json_string_value(json_object_get(r->root, "hidden_act"));
    if (activation != NULL && strcmp(activation, "silu") != 0)
        refuse(r, "hidden_act", "cachet supports \"silu\"");
    const char *off[] = {"attention_bias", "mlp_bias", "rope_scaling", "quantization_config", "sliding_window"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        require_off(r, off[i]);
    s->layers = read_size(r, "num_hidden_layers", -1);
    s->width = read_size(r, "hidden_size", -1);
    s->heads = read_size(r, "num_attention_heads", -1);
    s->kv_heads = read_size(r, "num_key_value_heads", (long long)s->heads);
    s->ffn = read_size(r, "intermediate_size", -1);
    s->vocab = read_size(r, "vocab_size", -1);
    s->context = read_size(r, "max_position_embeddings", 2048);
    if (r->status == BASE_OK && s->heads == 0)
        refuse(r, "num_attention_heads", "must be at least 1");
    s->head_dim = r->status == BASE_OK ? read_size(r, "head_dim", (long long)(s->width / s->heads)) : 0;
    s->rope_theta = read_real(r, "rope_theta", 10000.0);
    s->norm_eps = read_real(r, "rms_norm_eps", 1e-6);
    s->tied = json_is_true(json_object_get(r->root, "tie_word_embeddings"));
    s->bos = read_token(r, "bos_token_id");
    s->eos = read_token(r, "eos_token_id");
}

enum base_status eng_hf_config_parse(const char *text, size_t size, const char *path, struct eng_model_shape *ret,
                                     struct base_error *error)
{
    json_error_t where;
    struct eng_model_shape shape = {0};
    struct reader r = {.root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where), .path = path, .error = error};
    if (!json_is_object(r.root)) {
        json_decref(r.root);
        return base_fail(error, BASE_ERR_FORMAT, "%s: line %d: %s", path, where.line, r.root == NULL ? where.text : "not an object");
    }
    read_shape(&r, &shape);
    if (r.status == BASE_OK) {
        r.status = eng_model_shape_check(&shape, error);
        if (r.status != BASE_OK)
            base_error_prefix(error, "%s", path);
    }
    json_decref(r.root);
    if (r.status == BASE_OK)
        *ret = shape;
    return r.status;
}
