#include "engine/formats/model_file.h"

#include "base/realmath.h"

void eng_tensor_extent(const struct eng_model_shape *s, enum eng_tensor tensor, size_t *ret_rows, size_t *ret_columns)
{
    size_t wide = s->heads * s->head_dim, narrow = s->kv_heads * s->head_dim;
    const size_t extent[ENG_TENSORS][2] = {
        [ENG_TENSOR_EMBEDDING] = {s->vocab, s->width}, [ENG_TENSOR_ATTENTION_NORM] = {1, s->width},
        [ENG_TENSOR_Q] = {wide, s->width},             [ENG_TENSOR_K] = {narrow, s->width},
        [ENG_TENSOR_V] = {narrow, s->width},           [ENG_TENSOR_O] = {s->width, wide},
        [ENG_TENSOR_MLP_NORM] = {1, s->width},         [ENG_TENSOR_GATE] = {s->ffn, s->width},
        [ENG_TENSOR_UP] = {s->ffn, s->width},          [ENG_TENSOR_DOWN] = {s->width, s->ffn},
        [ENG_TENSOR_FINAL_NORM] = {1, s->width},       [ENG_TENSOR_HEAD] = {s->vocab, s->width},
    };
    *ret_rows = extent[tensor][0];
    *ret_columns = extent[tensor][1];
}

enum base_status eng_model_shape_check(const struct eng_model_shape *s, struct base_error *error)
{
    const struct {
        const char *name;
        size_t value, low, high;
    } limits[] = {{"layers", s->layers, 1, 512},     {"width", s->width, 8, 65536},      {"heads", s->heads, 1, 1024},
                  {"kv_heads", s->kv_heads, 1, 1024}, {"head_dim", s->head_dim, 2, 1024}, {"ffn", s->ffn, 8, 262144},
                  {"vocab", s->vocab, 2, 1 << 20},   {"context", s->context, 1, 1 << 20}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value < limits[i].low || limits[i].value > limits[i].high)
            return base_fail(error, BASE_ERR_SUPPORT, "%s is %zu: cachet supports %zu to %zu", limits[i].name, limits[i].value,
                             limits[i].low, limits[i].high);
    if (s->heads % s->kv_heads != 0)
        return base_fail(error, BASE_ERR_SUPPORT, "%zu heads are not a multiple of %zu kv_heads", s->heads, s->kv_heads);
    if (s->head_dim % 2 != 0)
        return base_fail(error, BASE_ERR_SUPPORT, "head_dim is %zu: RoPE needs an even number", s->head_dim);
    if (!(s->norm_eps > 0 && s->norm_eps < 0.1))
        return base_fail(error, BASE_ERR_SUPPORT, "norm_eps is %g: cachet supports values above 0 and below 0.1", s->norm_eps);
    if (!(s->rope_theta >= 1 && s->rope_theta <= 1e9))
        return base_fail(error, BASE_ERR_SUPPORT, "rope_theta is %g: cachet supports 1 to 1e9", s->rope_theta);
    return BASE_OK;
}

void eng_model_rope_turns(const struct eng_model_shape *shape, uint64_t *ret_turns)
{
    double log_theta = base_log(shape->rope_theta);
    for (size_t i = 0; i < shape->head_dim / 2; i++) {
        double radians = base_exp(-log_theta * (double)(2 * i) / (double)shape->head_dim);
        ret_turns[i] = (uint64_t)(radians * 0x1.45f306dc9c883p-3 * 0x1p64);
    }
}
