#include "engine/formats/model_file.h"

#include "base/realmath.h"
#include "engine/formats/limits.h"

#include <math.h>
#include <string.h>

static const double TURNS_PER_RADIAN = 0x1.45f306dc9c883p-3;

bool eng_tensor_has_layer(enum eng_tensor tensor)
{
    return (tensor >= ENG_TENSOR_ATTENTION_NORM && tensor <= ENG_TENSOR_DOWN) ||
           (tensor >= ENG_TENSOR_ATTENTION_NORM_BIAS && tensor <= ENG_TENSOR_DOWN_BIAS);
}

bool eng_tensor_is_vector(enum eng_tensor tensor)
{
    switch (tensor) {
    case ENG_TENSOR_EMBEDDING:
    case ENG_TENSOR_POSITION:
    case ENG_TENSOR_Q:
    case ENG_TENSOR_K:
    case ENG_TENSOR_V:
    case ENG_TENSOR_O:
    case ENG_TENSOR_GATE:
    case ENG_TENSOR_UP:
    case ENG_TENSOR_DOWN:
    case ENG_TENSOR_HEAD:
        return false;
    default:
        return true;
    }
}

void eng_tensor_extent(const struct eng_model_shape *s, enum eng_tensor tensor, size_t *ret_rows, size_t *ret_columns)
{
    const size_t d = s->width, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const size_t bias = s->qkv_bias ? 1 : 0, gate = s->activation == ENG_ACTIVATION_SILU_GATED ? 1 : 0;
    const size_t linear = s->linear_bias ? 1 : 0, norm = s->layer_norm ? 1 : 0,
                 position = s->positions ? 1 : 0;
    const size_t extents[ENG_TENSORS][2] = {
        [ENG_TENSOR_EMBEDDING] = {s->vocab, d},
        [ENG_TENSOR_ATTENTION_NORM] = {1, d},
        [ENG_TENSOR_Q] = {q, d},
        [ENG_TENSOR_K] = {kv, d},
        [ENG_TENSOR_V] = {kv, d},
        [ENG_TENSOR_O] = {d, q},
        [ENG_TENSOR_Q_BIAS] = {bias, q * bias},
        [ENG_TENSOR_K_BIAS] = {bias, kv * bias},
        [ENG_TENSOR_V_BIAS] = {bias, kv * bias},
        [ENG_TENSOR_MLP_NORM] = {1, d},
        [ENG_TENSOR_GATE] = {s->ffn * gate, d * gate},
        [ENG_TENSOR_UP] = {s->ffn, d},
        [ENG_TENSOR_DOWN] = {d, s->ffn},
        [ENG_TENSOR_FINAL_NORM] = {1, d},
        [ENG_TENSOR_HEAD] = {s->vocab, d},
        [ENG_TENSOR_POSITION] = {s->context * position, d * position},
        [ENG_TENSOR_O_BIAS] = {linear, d * linear},
        [ENG_TENSOR_UP_BIAS] = {linear, s->ffn * linear},
        [ENG_TENSOR_DOWN_BIAS] = {linear, d * linear},
        [ENG_TENSOR_FINAL_NORM_BIAS] = {norm, d * norm},
        [ENG_TENSOR_ATTENTION_NORM_BIAS] = {norm, d * norm},
        [ENG_TENSOR_MLP_NORM_BIAS] = {norm, d * norm},
    };
    *ret_rows = extents[tensor][0];
    *ret_columns = extents[tensor][1];
}

static enum base_status check_rope(const struct eng_model_shape *s, struct base_error *error)
{
    const struct eng_rope_scaling *r = &s->rope_scaling;
    if (s->positions)
        return r->kind == ENG_ROPE_PLAIN
                   ? BASE_OK
                   : base_fail(error, BASE_ERR_SUPPORT,
                               "learned positions come with a RoPE scaling: cachet supports one of them");
    if (!(s->rope_theta >= 1 && s->rope_theta <= ENG_LIMIT_ROPE_THETA))
        return base_fail(error, BASE_ERR_SUPPORT, "rope_theta is %g: cachet supports 1 to %g", s->rope_theta,
                         ENG_LIMIT_ROPE_THETA);
    if (r->kind != ENG_ROPE_PLAIN && !(r->factor >= 1 && r->factor <= ENG_LIMIT_ROPE_FACTOR))
        return base_fail(error, BASE_ERR_SUPPORT, "the rope scaling factor is %g: cachet supports 1 to %g", r->factor,
                         ENG_LIMIT_ROPE_FACTOR);
    if (r->kind == ENG_ROPE_LLAMA3 &&
        !(r->low_freq_factor > 0 && r->high_freq_factor > r->low_freq_factor && isfinite(r->high_freq_factor) &&
          r->original_context >= 1 && r->original_context <= ENG_LIMIT_CONTEXT))
        return base_fail(error, BASE_ERR_SUPPORT,
                         "llama3 rope scaling has low_freq_factor %g, high_freq_factor %g and original context %g: all "
                         "must be positive, and low below high",
                         r->low_freq_factor, r->high_freq_factor, r->original_context);
    return BASE_OK;
}

/* Biases that are folded into others need those. */
static enum base_status check_biases(const struct eng_model_shape *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(!s->layer_norm || (s->qkv_bias && s->linear_bias), error, BASE_ERR_SUPPORT,
             "the norms are LayerNorms without biases on q, k, v, o, up and down beside them: cachet "
             "supports them together");
    TRY_THAT(!s->linear_bias || s->activation == ENG_ACTIVATION_GELU, error, BASE_ERR_SUPPORT,
             "a gated FFN has biases: cachet supports FFN biases without a gate");
out:
    return status;
}

static enum base_status check_ids(const struct eng_model_shape *s, struct base_error *error)
{
    if (s->bos < -1 || (s->bos >= 0 && (size_t)s->bos >= s->vocab))
        return base_fail(error, BASE_ERR_SUPPORT, "the bos token id is %d, outside the vocabulary of %zu", (int)s->bos,
                         s->vocab);
    for (size_t i = 0; i < s->eos_count; i++)
        if (s->eos[i] < 0 || (size_t)s->eos[i] >= s->vocab)
            return base_fail(error, BASE_ERR_SUPPORT, "an eos token id is %d, outside the vocabulary of %zu",
                             (int)s->eos[i], s->vocab);
    return BASE_OK;
}

enum base_status eng_model_shape_check(const struct eng_model_shape *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct {
        const char *name;
        size_t value, limit;
    } sizes[] = {{"number of layers", s->layers, ENG_LIMIT_LAYERS},  {"width", s->width, ENG_LIMIT_WIDTH},
                 {"number of heads", s->heads, ENG_LIMIT_HEADS},     {"number of KV heads", s->kv_heads, ENG_LIMIT_HEADS},
                 {"head size", s->head_dim, ENG_LIMIT_HEAD_DIM},     {"FFN width", s->ffn, ENG_LIMIT_FFN},
                 {"vocabulary size", s->vocab, ENG_LIMIT_VOCAB},     {"context length", s->context, ENG_LIMIT_CONTEXT}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        TRY_THAT(sizes[i].value >= 1 && sizes[i].value <= sizes[i].limit, error, BASE_ERR_SUPPORT,
                 "the %s is %zu: cachet supports 1 to %zu", sizes[i].name, sizes[i].value, sizes[i].limit);
    TRY_THAT(s->heads % s->kv_heads == 0, error, BASE_ERR_SUPPORT, "%zu heads are not a multiple of %zu KV heads",
             s->heads, s->kv_heads);
    TRY_THAT(s->head_dim % 2 == 0, error, BASE_ERR_SUPPORT,
             "the head size is %zu: cachet supports even numbers", s->head_dim);
    TRY_THAT(s->norm_eps > 0 && s->norm_eps < 0.1, error, BASE_ERR_SUPPORT,
             "the norm's epsilon is %g: cachet supports values above 0 and below 0.1", s->norm_eps);
    TRY(check_biases(s, error));
    TRY(check_rope(s, error));
    TRY(check_ids(s, error));
out:
    return status;
}

static double scale_frequency(const struct eng_rope_scaling *r, double radians)
{
    if (r->kind == ENG_ROPE_PLAIN)
        return radians;
    if (r->kind == ENG_ROPE_LINEAR)
        return radians / r->factor;
    /* Turns within the original context decide: many turns, keep; few, divide; a linear ramp between. */
    double turns = r->original_context * radians * TURNS_PER_RADIAN;
    if (turns > r->high_freq_factor)
        return radians;
    if (turns < r->low_freq_factor)
        return radians / r->factor;
    double keep = (turns - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - keep) * radians / r->factor + keep * radians;
}

void eng_model_rope_turns(const struct eng_model_shape *shape, uint64_t *ret_turns)
{
    memset(ret_turns, 0, shape->head_dim / 2 * sizeof *ret_turns);
    if (shape->positions)
        return;
    double log_theta = base_log(shape->rope_theta);
    for (size_t i = 0; i < shape->head_dim / 2; i++) {
        double radians = base_exp(-log_theta * (double)(2 * i) / (double)shape->head_dim);
        ret_turns[i] = (uint64_t)(scale_frequency(&shape->rope_scaling, radians) * TURNS_PER_RADIAN * 0x1p64);
    }
}
