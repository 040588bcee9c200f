#include "engine/formats/hf_config.h"

#include "engine/formats/limits.h"

#include <stdio.h>
#include <string.h>

struct family {
    const char *model_type;
    const char *architecture;
    bool qkv_bias;
    bool needs_kv_heads; /* its default is not "as many as heads" */
};

static const char gpt2[] = "gpt2";

static const struct family *find_family(const char *model_type)
{
    static const struct family families[] = {
        {"llama", "LlamaForCausalLM", false, false},
        {"mistral", "MistralForCausalLM", false, true},
        {"qwen2", "Qwen2ForCausalLM", true, true},
        {gpt2, "GPT2LMHeadModel", true, false},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

static enum base_status parse_family(const json_t *config, const struct family **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *model_type = NULL;
    TRY(eng_json_string(config, "model_type", NULL, &model_type, error));
    const struct family *family = model_type == NULL ? NULL : find_family(model_type);
    TRY_THAT(family != NULL, error, BASE_ERR_SUPPORT,
             "model_type is %s; cachet supports llama, mistral, qwen2, gpt2",
             eng_json_show(json_object_get(config, "model_type")).text);
    const json_t *architecture = json_array_get(json_object_get(config, "architectures"), 0);
    TRY_THAT(architecture == NULL || (json_is_string(architecture) &&
                                      strcmp(json_string_value(architecture), family->architecture) == 0),
             error, BASE_ERR_SUPPORT, "architectures[0] is %s; a %s model must be \"%s\"",
             eng_json_show(architecture).text, family->model_type, family->architecture);
    *ret = family;
out:
    return status;
}

/* A size that every config.json of its family has. */
struct size_field {
    const char *field;
    size_t *ret;
    size_t limit;
};

static enum base_status parse_fields(const json_t *config, const struct size_field *sizes, size_t count,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < count; i++)
        TRY(eng_json_size(config, sizes[i].field, (struct eng_size_range){1, sizes[i].limit, SIZE_MAX}, sizes[i].ret,
                          error));
out:
    return status;
}

static enum base_status parse_sizes(const json_t *config, const struct family *family, struct eng_model_shape *shape,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct size_field sizes[] = {
        {"hidden_size", &shape->width, ENG_LIMIT_WIDTH},
        {"num_hidden_layers", &shape->layers, ENG_LIMIT_LAYERS},
        {"num_attention_heads", &shape->heads, ENG_LIMIT_HEADS},
        {"intermediate_size", &shape->ffn, ENG_LIMIT_FFN},
        {"vocab_size", &shape->vocab, ENG_LIMIT_VOCAB},
        {"max_position_embeddings", &shape->context, ENG_LIMIT_CONTEXT},
    };
    TRY(parse_fields(config, sizes, sizeof sizes / sizeof sizes[0], error));
    TRY(eng_json_size(config, "num_key_value_heads",
                      (struct eng_size_range){1, ENG_LIMIT_HEADS, family->needs_kv_heads ? SIZE_MAX : shape->heads},
                      &shape->kv_heads, error));
    TRY(eng_json_size(config, "head_dim", (struct eng_size_range){1, ENG_LIMIT_HEAD_DIM, 0}, &shape->head_dim, error));
    if (shape->head_dim == 0) {
        TRY_THAT(shape->width % shape->heads == 0, error, BASE_ERR_FORMAT,
                 "hidden_size %zu is no multiple of num_attention_heads %zu, and head_dim is missing", shape->width,
                 shape->heads);
        shape->head_dim = shape->width / shape->heads;
    }
    TRY(eng_json_positive(config, "rms_norm_eps", 1e-6, &shape->norm_eps, error));
    TRY(eng_json_bool(config, "tie_word_embeddings", false, &shape->tied, error));
    shape->qkv_bias = family->qkv_bias;
out:
    return status;
}

/* GPT-2's own names; its attention has one K and V per head. */
static enum base_status parse_gpt2_sizes(const json_t *config, struct eng_model_shape *shape,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct size_field sizes[] = {{"n_embd", &shape->width, ENG_LIMIT_WIDTH},
                 {"n_layer", &shape->layers, ENG_LIMIT_LAYERS},
                 {"n_head", &shape->heads, ENG_LIMIT_HEADS},
                 {"vocab_size", &shape->vocab, ENG_LIMIT_VOCAB},
                 {"n_positions", &shape->context, ENG_LIMIT_CONTEXT}};
    TRY(parse_fields(config, sizes, sizeof sizes / sizeof sizes[0], error));
    TRY(eng_json_size(config, "n_inner", (struct eng_size_range){1, ENG_LIMIT_FFN, 4 * shape->width},
                      &shape->ffn, error));
    TRY_THAT(shape->width % shape->heads == 0, error, BASE_ERR_FORMAT,
             "n_embd %zu is no multiple of n_head %zu", shape->width, shape->heads);
    shape->kv_heads = shape->heads;
    shape->head_dim = shape->width / shape->heads;
    TRY(eng_json_positive(config, "layer_norm_epsilon", 1e-5, &shape->norm_eps, error));
    TRY(eng_json_bool(config, "tie_word_embeddings", true, &shape->tied, error));
    shape->activation = ENG_ACTIVATION_GELU;
    shape->qkv_bias = shape->linear_bias = shape->layer_norm = shape->positions = true;
out:
    return status;
}

/* rope_theta at the top or, in newer files, inside rope_parameters; scaling in rope_scaling or rope_parameters. */
static enum base_status parse_rope(const json_t *config, struct eng_model_shape *shape, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_rope_scaling *rope = &shape->rope_scaling;
    const char *type = NULL, *field = "rope_scaling";
    const json_t *scaling = NULL;
    TRY(eng_json_positive(config, "rope_theta", 10000.0, &shape->rope_theta, error));
    scaling = json_object_get(config, field);
    if (scaling == NULL || json_is_null(scaling)) {
        field = "rope_parameters";
        scaling = json_object_get(config, field);
    }
    if (scaling == NULL || json_is_null(scaling))
        goto out;
    TRY_THAT(json_is_object(scaling), error, BASE_ERR_FORMAT, "%s is %s; it must be an object or null", field,
             eng_json_show(scaling).text);
    TRY(eng_json_positive(scaling, "rope_theta", shape->rope_theta, &shape->rope_theta, error));
    TRY(eng_json_string(scaling, "type", "default", &type, error));
    TRY(eng_json_string(scaling, "rope_type", type, &type, error));
    if (strcmp(type, "default") == 0)
        goto out;
    if (strcmp(type, "linear") == 0) {
        rope->kind = ENG_ROPE_LINEAR;
        TRY(eng_json_positive(scaling, "factor", 0, &rope->factor, error));
    } else if (strcmp(type, "llama3") == 0) {
        rope->kind = ENG_ROPE_LLAMA3;
        TRY(eng_json_positive(scaling, "factor", 0, &rope->factor, error));
        TRY(eng_json_positive(scaling, "low_freq_factor", 0, &rope->low_freq_factor, error));
        TRY(eng_json_positive(scaling, "high_freq_factor", 0, &rope->high_freq_factor, error));
        TRY(eng_json_positive(scaling, "original_max_position_embeddings", 0, &rope->original_context, error));
    } else {
        status = base_fail(error, BASE_ERR_SUPPORT, "%s.rope_type is \"%s\"; cachet supports default, linear, llama3",
                           field, eng_printable_string(type).text);
    }
out:
    if (status == BASE_ERR_FORMAT && json_is_object(scaling))
        base_error_prefix(error, "%s", field);
    return status;
}

/* Sliding windows are fine where they never bite: switched off, or at least as long as the context. */
static enum base_status refuse_window(const json_t *config, const struct family *family,
                                      const struct eng_model_shape *shape, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool used = true;
    size_t window = 0;
    TRY(eng_json_bool(config, "use_sliding_window", strcmp(family->model_type, "mistral") == 0, &used, error));
    TRY(eng_json_size(config, "sliding_window", (struct eng_size_range){0, SIZE_MAX - 1, 0}, &window, error));
    TRY_THAT(!used || window == 0 || window >= shape->context, error, BASE_ERR_SUPPORT,
             "sliding_window is %zu, shorter than max_position_embeddings %zu; cachet attends to everything: set "
             "max_position_embeddings to %zu to use the model up to there",
             window, shape->context, window);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(config, "layer_types"), i, item)
    {
        TRY_THAT(json_is_string(item) && strcmp(json_string_value(item), "full_attention") == 0, error,
                 BASE_ERR_SUPPORT, "layer_types[%zu] is %s; cachet supports \"full_attention\"", i,
                 eng_json_show(item).text);
    }
out:
    return status;
}

static enum base_status refuse_foreign(const json_t *config, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const char *const foreign[] = {"quantization_config", "num_experts", "num_local_experts",
                                          "attn_logit_softcapping", "final_logit_softcapping", "logit_scale",
                                          "embedding_multiplier", "residual_multiplier", "attention_multiplier"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        const json_t *value = json_object_get(config, foreign[i]);
        TRY_THAT(value == NULL || json_is_null(value), error, BASE_ERR_SUPPORT,
                 "%s is %s; cachet supports models without it", foreign[i], eng_json_show(value).text);
    }
out:
    return status;
}

static enum base_status refuse_gpt2_variants(const json_t *config, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const struct {
        const char *field;
        bool usual; /* what is computed, and what a missing field means */
    } fields[] = {{"scale_attn_weights", true},
                  {"scale_attn_by_inverse_layer_idx", false},
                  {"reorder_and_upcast_attn", false},
                  {"add_cross_attention", false}};
    const char *activation = NULL;
    bool value = false;
    TRY(eng_json_string(config, "activation_function", "gelu_new", &activation, error));
    TRY_THAT(strcmp(activation, "gelu_new") == 0 || strcmp(activation, "gelu_pytorch_tanh") == 0, error,
             BASE_ERR_SUPPORT,
             "activation_function is \"%s\"; cachet supports GELU in its tanh form: \"gelu_new\", "
             "\"gelu_pytorch_tanh\"",
             eng_printable_string(activation).text);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        TRY(eng_json_bool(config, fields[i].field, fields[i].usual, &value, error));
        TRY_THAT(value == fields[i].usual, error, BASE_ERR_SUPPORT, "%s is %s; cachet supports %s",
                 fields[i].field, value ? "true" : "false", value ? "false" : "true");
    }
    TRY(refuse_foreign(config, error));
out:
    return status;
}

static enum base_status refuse_variants(const json_t *config, const struct family *family,
                                        const struct eng_model_shape *shape, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *activation = NULL;
    bool attention_bias = false, mlp_bias = false;
    double rotary = 1;
    TRY(eng_json_string(config, "hidden_act", "silu", &activation, error));
    TRY_THAT(strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0, error, BASE_ERR_SUPPORT,
             "hidden_act is \"%s\"; cachet supports \"silu\"", eng_printable_string(activation).text);
    TRY(eng_json_bool(config, "attention_bias", false, &attention_bias, error));
    TRY_THAT(!attention_bias || family->qkv_bias, error, BASE_ERR_SUPPORT,
             "attention_bias is true; cachet supports biases on q, k, v of qwen2 only, none on o_proj");
    TRY(eng_json_bool(config, "mlp_bias", false, &mlp_bias, error));
    TRY_THAT(!mlp_bias, error, BASE_ERR_SUPPORT, "mlp_bias is true; cachet supports FFN layers without biases");
    TRY(eng_json_positive(config, "partial_rotary_factor", 1, &rotary, error));
    TRY_THAT(rotary == 1, error, BASE_ERR_SUPPORT, "partial_rotary_factor is %g; cachet rotates whole heads", rotary);
    TRY(refuse_foreign(config, error));
    TRY(refuse_window(config, family, shape, error));
out:
    return status;
}

static enum base_status parse_id(const json_t *value, const char *field, int32_t *ret, struct base_error *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= ENG_LIMIT_VOCAB)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s; it must be a token id", field, eng_json_show(value).text);
    *ret = (int32_t)json_integer_value(value);
    return BASE_OK;
}

/* bos_token_id: an id; eos_token_id: an id or a list; null and missing leave what is there. */
static enum base_status parse_ids(const json_t *config, struct eng_model_shape *shape, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *bos = json_object_get(config, "bos_token_id"), *eos = json_object_get(config, "eos_token_id");
    if (bos != NULL && !json_is_null(bos))
        TRY(parse_id(bos, "bos_token_id", &shape->bos, error));
    if (eos == NULL || json_is_null(eos))
        goto out;
    if (!json_is_array(eos)) {
        TRY(parse_id(eos, "eos_token_id", &shape->eos[0], error));
        shape->eos_count = 1;
        goto out;
    }
    size_t count = json_array_size(eos);
    TRY_THAT(count <= ENG_EOS_MAX, error, BASE_ERR_SUPPORT, "eos_token_id lists %zu ids; cachet supports %d", count,
             (int)ENG_EOS_MAX);
    for (size_t i = 0; i < count; i++)
        TRY(parse_id(json_array_get(eos, i), "eos_token_id", &shape->eos[i], error));
    shape->eos_count = count;
out:
    return status;
}

enum base_status eng_hf_config_parse(struct eng_model_shape *ret, struct eng_bytes text, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *config = NULL;
    const struct family *family = NULL;
    struct eng_model_shape shape = {.activation = ENG_ACTIVATION_SILU_GATED, .bos = -1};
    TRY(eng_json_parse(&config, text, error));
    TRY_THAT(json_is_object(config), error, BASE_ERR_FORMAT, "the document is not an object");
    TRY(parse_family(config, &family, error));
    if (strcmp(family->model_type, gpt2) == 0) {
        TRY(parse_gpt2_sizes(config, &shape, error));
        TRY(refuse_gpt2_variants(config, error));
    } else {
        TRY(parse_sizes(config, family, &shape, error));
        TRY(parse_rope(config, &shape, error));
        TRY(refuse_variants(config, family, &shape, error));
    }
    TRY(parse_ids(config, &shape, error));
    (void)snprintf(shape.model_type, sizeof shape.model_type, "%s", family->model_type);
    *ret = shape;
out:
    json_decref(config);
    return status;
}

enum base_status eng_hf_generation_parse(struct eng_model_shape *shape, struct eng_bytes text,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *config = NULL;
    struct eng_model_shape changed = *shape;
    TRY(eng_json_parse(&config, text, error));
    TRY_THAT(json_is_object(config), error, BASE_ERR_FORMAT, "the document is not an object");
    TRY(parse_ids(config, &changed, error));
    *shape = changed;
out:
    json_decref(config);
    return status;
}
