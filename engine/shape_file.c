#include "engine/shape_file.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum kind { SIZE, REAL, FLAG, ID };
struct field {
    const char *name;
    size_t offset;
    enum kind kind;
};
#define FIELD(name, kind)                                                                                    \
    {                                                                                                        \
#name, offsetof(struct eng_model_shape, name), kind                                                  \
    }
#define ROPE(name, kind)                                                                                     \
    {                                                                                                        \
        "rope_" #name, offsetof(struct eng_model_shape, rope_scaling.name), kind                             \
    }
static const struct field fields[] = {
    FIELD(layers, SIZE),
    FIELD(width, SIZE),
    FIELD(heads, SIZE),
    FIELD(kv_heads, SIZE),
    FIELD(head_dim, SIZE),
    FIELD(ffn, SIZE),
    FIELD(vocab, SIZE),
    FIELD(context, SIZE),
    FIELD(rope_theta, REAL),
    FIELD(norm_eps, REAL),
    FIELD(tied, FLAG),
    FIELD(qkv_bias, FLAG),
    FIELD(linear_bias, FLAG),
    FIELD(layer_norm, FLAG),
    FIELD(positions, FLAG),
    FIELD(one_layer, FLAG),
    FIELD(bos, ID),
    ROPE(factor, REAL),
    ROPE(low_freq_factor, REAL),
    ROPE(high_freq_factor, REAL),
    ROPE(original_context, REAL),
};
enum { FIELDS = sizeof fields / sizeof *fields, OTHER_FIELDS = 4 };

static json_t *field_to_json(const struct eng_model_shape *shape, const struct field *field)
{
    const char *at = (const char *)shape + field->offset;
    switch (field->kind) {
    case SIZE:
        return json_integer((json_int_t) * (const size_t *)at);
    case REAL:
        return json_real(*(const double *)at);
    case FLAG:
        return json_boolean(*(const bool *)at);
    case ID:
        break;
    }
    return json_integer(*(const int32_t *)at);
}

json_t *eng_shape_to_json(const struct eng_model_shape *shape)
{
    json_t *object = json_object(), *eos = json_array();
    for (int f = 0; f < FIELDS; f++)
        (void)json_object_set_new(object, fields[f].name, field_to_json(shape, &fields[f]));
    for (size_t i = 0; i < shape->eos_count; i++)
        (void)json_array_append_new(eos, json_integer(shape->eos[i]));
    (void)json_object_set_new(object, "eos", eos);
    (void)json_object_set_new(object, "rope_kind", json_integer((json_int_t)shape->rope_scaling.kind));
    (void)json_object_set_new(object, "activation", json_integer((json_int_t)shape->activation));
    (void)json_object_set_new(object, "model_type", json_string(shape->model_type));
    return object;
}

static enum base_status read_field(const json_t *object, const struct field *field,
                                   struct eng_model_shape *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *value = json_object_get(object, field->name);
    char *at = (char *)ret + field->offset;
    if (field->kind == FLAG) {
        TRY_THAT(json_is_boolean(value), error, BASE_ERR_FORMAT, "field \"shape.%s\" must be true or false",
                 field->name);
        *(bool *)at = json_is_true(value);
    } else if (field->kind == REAL) {
        TRY_THAT(json_is_number(value), error, BASE_ERR_FORMAT, "field \"shape.%s\" must be a number",
                 field->name);
        *(double *)at = json_number_value(value);
    } else {
        json_int_t low = field->kind == SIZE ? 0 : -1, number = json_integer_value(value);
        TRY_THAT(json_is_integer(value) && number >= low && number <= INT32_MAX, error, BASE_ERR_FORMAT,
                 "field \"shape.%s\" must be an integer of %d to %d", field->name, (int)low, INT32_MAX);
        if (field->kind == SIZE)
            *(size_t *)at = (size_t)number;
        else
            *(int32_t *)at = (int32_t)number;
    }
out:
    return status;
}

enum base_status eng_shape_from_json(const json_t *object, struct eng_model_shape *ret,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_shape shape = {0};
    TRY_THAT(json_is_object(object) && json_object_size(object) == FIELDS + OTHER_FIELDS, error,
             BASE_ERR_FORMAT, "field \"shape\" must be an object of %d fields", FIELDS + OTHER_FIELDS);
    for (int f = 0; f < FIELDS; f++)
        TRY(read_field(object, &fields[f], &shape, error));
    const json_t *eos = json_object_get(object, "eos"), *rope = json_object_get(object, "rope_kind"),
                 *activation = json_object_get(object, "activation");
    const char *type = json_string_value(json_object_get(object, "model_type"));
    TRY_THAT(json_is_array(eos) && json_array_size(eos) <= ENG_EOS_MAX, error, BASE_ERR_FORMAT,
             "field \"shape.eos\" must hold at most %d ids", ENG_EOS_MAX);
    TRY_THAT(json_is_integer(rope) && json_integer_value(rope) >= 0 &&
                 json_integer_value(rope) <= ENG_ROPE_LLAMA3,
             error, BASE_ERR_FORMAT, "field \"shape.rope_kind\" must be 0 to %d", ENG_ROPE_LLAMA3);
    TRY_THAT(json_is_integer(activation) && json_integer_value(activation) >= 0 &&
                 json_integer_value(activation) <= ENG_ACTIVATION_GELU,
             error, BASE_ERR_FORMAT, "field \"shape.activation\" must be 0 or 1");
    TRY_THAT(type != NULL && strlen(type) < ENG_MODEL_TYPE_MAX, error, BASE_ERR_FORMAT,
             "field \"shape.model_type\" must be a short text");
    shape.eos_count = json_array_size(eos);
    for (size_t i = 0; i < shape.eos_count; i++) {
        json_int_t id = json_integer_value(json_array_get(eos, i));
        TRY_THAT(id >= 0 && id <= INT32_MAX, error, BASE_ERR_FORMAT,
                 "field \"shape.eos\" holds an id that is no token");
        shape.eos[i] = (int32_t)id;
    }
    shape.rope_scaling.kind = (enum eng_rope_kind)json_integer_value(rope);
    shape.activation = (enum eng_activation)json_integer_value(activation);
    (void)snprintf(shape.model_type, sizeof shape.model_type, "%s", type);
    TRY(eng_model_shape_check(&shape, error));
    *ret = shape;
out:
    return status;
}

/* --- named shapes -------------------------------------------------------------------------------------- */

struct named_shape {
    const char *name;
    struct eng_model_shape shape;
};
#define SHAPE(l, d, h, kv, dim, f, v, c, theta, eps, is_tied, bias)                                          \
    {                                                                                                        \
        .layers = l, .width = d, .heads = h, .kv_heads = kv, .head_dim = dim, .ffn = f, .vocab = v,          \
        .context = c, .rope_theta = theta, .norm_eps = eps, .tied = is_tied, .qkv_bias = bias,               \
        .activation = ENG_ACTIVATION_SILU_GATED, .bos = -1                                                   \
    }
#define GPT2_SHAPE(l, d, h)                                                                                  \
    {                                                                                                        \
        .layers = l, .width = d, .heads = h, .kv_heads = h, .head_dim = (d) / (h), .ffn = 4 * (d),           \
        .vocab = 50257, .context = 1024, .norm_eps = 1e-5, .tied = true, .qkv_bias = true,                   \
        .linear_bias = true, .layer_norm = true, .positions = true, .activation = ENG_ACTIVATION_GELU,       \
        .bos = -1                                                                                            \
    }
static const struct named_shape named[] = {
    {"gpt2", GPT2_SHAPE(12, 768, 12)},
    {"gpt2-medium", GPT2_SHAPE(24, 1024, 16)},
    {"smollm2-135m", SHAPE(30, 576, 9, 3, 64, 1536, 49152, 8192, 100000, 1e-5, true, false)},
    {"qwen2.5-0.5b", SHAPE(24, 896, 14, 2, 64, 4864, 151936, 32768, 1000000, 1e-6, true, true)},
    {"tinyllama-1.1b", SHAPE(22, 2048, 32, 4, 64, 5632, 32000, 2048, 10000, 1e-5, false, false)},
    {"llama-7b", SHAPE(32, 4096, 32, 32, 128, 11008, 32000, 4096, 10000, 1e-5, false, false)},
};
enum { NAMED = sizeof named / sizeof *named };

enum base_status eng_shape_named(const char *name, struct eng_model_shape *ret, struct base_error *error)
{
    for (int i = 0; i < NAMED; i++)
        if (strcmp(named[i].name, name) == 0) {
            *ret = named[i].shape;
            (void)snprintf(ret->model_type, sizeof ret->model_type, "%s", name);
            return BASE_OK;
        }
    char known[256];
    size_t at = 0;
    for (int i = 0; i < NAMED; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i == 0 ? "" : ", ", named[i].name);
    return base_fail(error, BASE_ERR_ARGUMENT, "no shape is called \"%s\": known are %s", name, known);
}
