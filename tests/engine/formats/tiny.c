#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/tiny.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct eng_model_shape tiny_shape(void)
{
    return (struct eng_model_shape){.layers = 2,
                                    .width = 64,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .head_dim = 16,
                                    .ffn = 96,
                                    .vocab = 10,
                                    .context = 8,
                                    .rope_theta = 10000,
                                    .norm_eps = 1e-5,
                                    .bos = 1,
                                    .eos = {1, 2},
                                    .eos_count = 2,
                                    .model_type = "llama"};
}

struct eng_model_shape smallest_shape(void)
{
    struct eng_model_shape shape = tiny_shape();
    shape.layers = 1;
    shape.width = 8;
    shape.heads = 2;
    shape.kv_heads = 1;
    shape.head_dim = 4;
    shape.ffn = 6;
    shape.vocab = 4;
    shape.context = 4;
    return shape;
}

size_t reference_row_bytes(enum eng_dtype dtype, size_t cols)
{
    switch (dtype) {
    case ENG_DTYPE_F32:
        return 4 * cols;
    case ENG_DTYPE_F16:
    case ENG_DTYPE_BF16:
        return 2 * cols;
    case ENG_DTYPE_Q8_0:
        return cols / 32 * 34;
    case ENG_DTYPE_Q4_0:
        return cols / 32 * 18;
    default:
        return cols / 32 * 20;
    }
}

/* sign, exponent and fraction fields of a finite binary number with a bias. */
static double from_fields(uint32_t bits, int exponent_bits, int fraction_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const uint32_t fraction = bits & ((1u << fraction_bits) - 1);
    const int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    const double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp((double)fraction + ldexp(1, fraction_bits), exponent - bias - fraction_bits);
}

static double from_half(const uint8_t *bytes)
{
    return from_fields(base_load_u16(bytes), 5, 10);
}

static double reference_value(enum eng_dtype dtype, const uint8_t *stored, size_t i)
{
    const uint8_t *block = stored + reference_row_bytes(dtype, i / 32 * 32);
    const size_t k = i % 32;
    switch (dtype) {
    case ENG_DTYPE_F32:
        return from_fields(base_load_u32(stored + 4 * i), 8, 23);
    case ENG_DTYPE_F16:
        return from_half(stored + 2 * i);
    case ENG_DTYPE_BF16:
        return from_fields(base_load_u16(stored + 2 * i), 8, 7);
    case ENG_DTYPE_Q8_0:
        return from_half(block) * (block[2 + k] < 128 ? block[2 + k] : block[2 + k] - 256);
    case ENG_DTYPE_Q4_0:
        return from_half(block) * ((block[2 + k % 16] >> (k < 16 ? 0 : 4) & 15) - 8);
    default:
        return from_half(block) * (block[4 + k % 16] >> (k < 16 ? 0 : 4) & 15) + from_half(block + 2);
    }
}

void reference_row(enum eng_dtype dtype, const uint8_t *stored, size_t cols, float *ret)
{
    for (size_t i = 0; i < cols; i++)
        ret[i] = (float)reference_value(dtype, stored, i);
}

static uint32_t random_bits(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* A finite half whose exponent field is 8 to 15, so that no product is large. */
static void random_half(uint8_t *ret, uint64_t *state)
{
    uint32_t bits = random_bits(state);
    base_store_u16(ret, (uint16_t)((bits & 0x83ff) | (8 + (bits >> 16) % 8) << 10));
}

static void random_row(struct tiny_tensor *tensor, size_t row, uint64_t *state)
{
    uint8_t *bytes = tensor->stored + row * tensor->row_bytes;
    const enum eng_dtype dtype = tensor->dtype;
    for (size_t i = 0; i < tensor->row_bytes; i++)
        bytes[i] = (uint8_t)random_bits(state);
    for (size_t i = 0; i < tensor->cols; i++) {
        if (dtype == ENG_DTYPE_F32)
            base_store_u32(bytes + 4 * i, (random_bits(state) & 0x80ffffff) | 0x3e000000);
        else if (dtype == ENG_DTYPE_BF16)
            base_store_u16(bytes + 2 * i, (uint16_t)((random_bits(state) & 0x80ff) | 0x3e00));
        else if (dtype == ENG_DTYPE_F16)
            random_half(bytes + 2 * i, state);
        else if (i % 32 == 0)
            random_half(bytes + reference_row_bytes(dtype, i), state);
        if (dtype == ENG_DTYPE_Q4_1 && i % 32 == 0)
            random_half(bytes + reference_row_bytes(dtype, i) + 2, state);
    }
    reference_row(dtype, bytes, tensor->cols, tensor->values + row * tensor->cols);
}

static bool is_vector(enum eng_tensor id)
{
    switch (id) {
    case ENG_TENSOR_ATTENTION_NORM:
    case ENG_TENSOR_MLP_NORM:
    case ENG_TENSOR_FINAL_NORM:
    case ENG_TENSOR_Q_BIAS:
    case ENG_TENSOR_K_BIAS:
    case ENG_TENSOR_V_BIAS:
    case ENG_TENSOR_FINAL_NORM_BIAS:
    case ENG_TENSOR_ATTENTION_NORM_BIAS:
    case ENG_TENSOR_MLP_NORM_BIAS:
    case ENG_TENSOR_O_BIAS:
    case ENG_TENSOR_UP_BIAS:
    case ENG_TENSOR_DOWN_BIAS:
        return true;
    default:
        return false;
    }
}

static void add_tensor(struct tiny *tiny, enum eng_tensor id, size_t layer, enum eng_dtype matrices,
                       uint64_t *state)
{
    struct tiny_tensor tensor = {.tensor = id, .layer = layer, .vector = is_vector(id)};
    eng_tensor_extent(&tiny->shape, id, &tensor.rows, &tensor.cols);
    if (tensor.rows == 0 || (id == ENG_TENSOR_HEAD && tiny->shape.tied))
        return;
    tensor.dtype = tensor.vector ? ENG_DTYPE_F32 : matrices;
    tensor.row_bytes = reference_row_bytes(tensor.dtype, tensor.cols);
    tensor.stored = calloc(tensor.rows, tensor.row_bytes);
    tensor.values = calloc(tensor.rows * tensor.cols, sizeof *tensor.values);
    assert_true(tensor.stored != NULL && tensor.values != NULL);
    for (size_t row = 0; row < tensor.rows; row++)
        random_row(&tensor, row, state);
    tiny->tensors[tiny->count++] = tensor;
}

void tiny_create(struct tiny *ret, const struct eng_model_shape *shape, enum eng_dtype matrices)
{
    uint64_t state = 20240607;
    *ret =
        (struct tiny){.shape = *shape, .tensors = calloc(shape->layers * ENG_TENSORS, sizeof *ret->tensors)};
    assert_non_null(ret->tensors);
    for (enum eng_tensor id = 0; id < ENG_TENSORS; id++)
        for (size_t layer = 0; layer < (eng_tensor_has_layer(id) ? shape->layers : 1); layer++)
            add_tensor(ret, id, layer, matrices, &state);
}

void tiny_destroy(struct tiny *tiny)
{
    for (size_t i = 0; i < tiny->count; i++) {
        free(tiny->tensors[i].stored);
        free(tiny->tensors[i].values);
    }
    free(tiny->tensors);
    *tiny = (struct tiny){0};
}

struct tiny_tensor *tiny_find(const struct tiny *tiny, enum eng_tensor tensor, size_t layer)
{
    for (size_t i = 0; i < tiny->count; i++)
        if (tiny->tensors[i].tensor == tensor && tiny->tensors[i].layer == layer)
            return &tiny->tensors[i];
    return NULL;
}

static bool is_rotated(enum eng_tensor tensor)
{
    return tensor == ENG_TENSOR_Q || tensor == ENG_TENSOR_K || tensor == ENG_TENSOR_Q_BIAS ||
           tensor == ENG_TENSOR_K_BIAS;
}

void tiny_put(struct buffer *buffer, const struct tiny *tiny, const struct tiny_tensor *tensor, bool pairs)
{
    const size_t half = tiny->shape.head_dim / 2;
    const size_t total = tensor->rows * tensor->row_bytes;
    const size_t unit = tensor->vector ? total / tensor->cols : tensor->row_bytes;
    if (!pairs || !is_rotated(tensor->tensor)) {
        buffer_put(buffer, tensor->stored, total);
        return;
    }
    for (size_t head = 0; head < total / unit / (2 * half); head++) {
        const uint8_t *first = tensor->stored + head * 2 * half * unit;
        for (size_t i = 0; i < half; i++) {
            buffer_put(buffer, first + i * unit, unit);
            buffer_put(buffer, first + (half + i) * unit, unit);
        }
    }
}

static void check_near(double found, double want)
{
    assert_true(fabs(found - want) <= 1e-6 * fabs(want));
}

static void check_shape(const struct eng_model_shape *found, const struct eng_model_shape *want)
{
    assert_int_equal(found->layers, want->layers);
    assert_int_equal(found->width, want->width);
    assert_int_equal(found->heads, want->heads);
    assert_int_equal(found->kv_heads, want->kv_heads);
    assert_int_equal(found->head_dim, want->head_dim);
    assert_int_equal(found->ffn, want->ffn);
    assert_int_equal(found->vocab, want->vocab);
    assert_int_equal(found->context, want->context);
    check_near(found->rope_theta, want->rope_theta);
    check_near(found->norm_eps, want->norm_eps);
    assert_int_equal(found->rope_scaling.kind, want->rope_scaling.kind);
    check_near(found->rope_scaling.factor, want->rope_scaling.factor);
    check_near(found->rope_scaling.low_freq_factor, want->rope_scaling.low_freq_factor);
    check_near(found->rope_scaling.high_freq_factor, want->rope_scaling.high_freq_factor);
    check_near(found->rope_scaling.original_context, want->rope_scaling.original_context);
    assert_int_equal(found->tied, want->tied);
    assert_int_equal(found->qkv_bias, want->qkv_bias);
    assert_int_equal(found->linear_bias, want->linear_bias);
    assert_int_equal(found->layer_norm, want->layer_norm);
    assert_int_equal(found->positions, want->positions);
    assert_int_equal(found->activation, want->activation);
    assert_int_equal(found->bos, want->bos);
    assert_int_equal(found->eos_count, want->eos_count);
    assert_memory_equal(found->eos, want->eos, want->eos_count * sizeof *want->eos);
    assert_string_equal(found->model_type, want->model_type);
}

static void check_tensor(const struct eng_model_file *file, enum eng_tensor id,
                         const struct tiny_tensor *want)
{
    struct base_error error = {0};
    const size_t count = want->rows * want->cols;
    float *found = calloc(count, sizeof *found);
    assert_non_null(found);
    check_ok(eng_model_file_read(file, id, want->layer, found, &error), &error);
    for (size_t i = 0; i < count; i++)
        if (found[i] != want->values[i])
            fail_msg("tensor %d layer %zu: number %zu is %.9g, not %.9g", (int)id, want->layer, i,
                     (double)found[i], (double)want->values[i]);
    memset(found, 0, count * sizeof *found);
    const size_t first = want->rows / 3;
    struct eng_row_range range = {first, want->rows - first};
    check_ok(eng_model_file_read_rows(file, id, want->layer, range, found, &error), &error);
    for (size_t i = 0; i < range.rows * want->cols; i++)
        assert_true(found[i] == want->values[first * want->cols + i]);
    free(found);
}

void check_same_model(const char *path, const struct tiny *tiny)
{
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    check_ok(eng_model_file_open(&file, path, &error), &error);
    check_shape(eng_model_file_shape(file), &tiny->shape);
    for (size_t i = 0; i < tiny->count; i++)
        check_tensor(file, tiny->tensors[i].tensor, &tiny->tensors[i]);
    if (tiny->shape.tied)
        check_tensor(file, ENG_TENSOR_HEAD, tiny_find(tiny, ENG_TENSOR_EMBEDDING, 0));
    eng_model_file_close(&file);
    assert_null(file);
}
