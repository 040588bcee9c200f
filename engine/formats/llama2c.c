#include "engine/formats/llama2c.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADER_INTS = 7,
    LEGACY_HEADER = 4 * HEADER_INTS,
    V1_HEADER = 256,
    V1_FIELDS = 8 + 4 * HEADER_INTS + 1, /* magic, version, sizes, shared flag; then zeros */
    FLOAT = 4,
};
static const uint32_t V1_MAGIC = 0x616b3432; /* "ak42" as a number */

/* Names as in llama2.c's model.py. */
static const struct eng_naming naming = {
    .layer_prefix = "layers.",
    .names = {[ENG_TENSOR_EMBEDDING] = "tok_embeddings.weight",
              [ENG_TENSOR_FINAL_NORM] = "norm.weight",
              [ENG_TENSOR_HEAD] = "output.weight",
              [ENG_TENSOR_ATTENTION_NORM] = ".attention_norm.weight",
              [ENG_TENSOR_Q] = ".attention.wq.weight",
              [ENG_TENSOR_K] = ".attention.wk.weight",
              [ENG_TENSOR_V] = ".attention.wv.weight",
              [ENG_TENSOR_O] = ".attention.wo.weight",
              [ENG_TENSOR_MLP_NORM] = ".ffn_norm.weight",
              [ENG_TENSOR_GATE] = ".feed_forward.w1.weight",
              [ENG_TENSOR_DOWN] = ".feed_forward.w2.weight",
              [ENG_TENSOR_UP] = ".feed_forward.w3.weight"},
    .ignored_suffixes = {NULL},
};

/* One stretch of the file: a tensor, for every layer in turn where it has layers; or the legacy RoPE tables. */
enum { ROPE_TABLES = ENG_TENSORS, END };
static const int legacy_order[] = {ENG_TENSOR_EMBEDDING, ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_Q, ENG_TENSOR_K,
                                   ENG_TENSOR_V,         ENG_TENSOR_O,              ENG_TENSOR_MLP_NORM,
                                   ENG_TENSOR_GATE,      ENG_TENSOR_DOWN,           ENG_TENSOR_UP,
                                   ENG_TENSOR_FINAL_NORM, ROPE_TABLES,              ENG_TENSOR_HEAD, END};
static const int v1_order[] = {ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_MLP_NORM, ENG_TENSOR_FINAL_NORM,
                               ENG_TENSOR_EMBEDDING,      ENG_TENSOR_Q,        ENG_TENSOR_K, ENG_TENSOR_V,
                               ENG_TENSOR_O,              ENG_TENSOR_GATE,     ENG_TENSOR_DOWN, ENG_TENSOR_UP,
                               ENG_TENSOR_HEAD,           END};

static int32_t load_int(const uint8_t *bytes)
{
    return (int32_t)base_load_u32(bytes);
}

static bool has_magic(struct eng_bytes file)
{
    return file.size >= 8 && base_load_u32(file.data) == V1_MAGIC;
}

bool eng_llama2c_matches(struct eng_bytes file)
{
    if (has_magic(file))
        return true;
    if (file.size < LEGACY_HEADER)
        return false;
    for (size_t i = 0; i < HEADER_INTS; i++) {
        int32_t value = load_int(file.data + 4 * i);
        if (value == 0 || value > 1 << 24 || value < -(1 << 24))
            return false;
    }
    return true;
}

/* Seven int32: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len. */
static enum base_status parse_sizes(struct eng_model_shape *shape, const uint8_t *header, bool legacy,
                                    struct base_error *error)
{
    static const char *const names[HEADER_INTS] = {"dim",        "hidden_dim", "n_layers",   "n_heads",
                                                   "n_kv_heads", "vocab_size", "max_seq_len"};
    size_t *const targets[HEADER_INTS] = {&shape->width,    &shape->ffn,   &shape->layers, &shape->heads,
                                          &shape->kv_heads, &shape->vocab, &shape->context};
    for (size_t i = 0; i < HEADER_INTS; i++) {
        int64_t value = load_int(header + 4 * i);
        if (legacy && targets[i] == &shape->vocab) {
            shape->tied = value > 0;
            value = value < 0 ? -value : value;
        }
        if (value <= 0)
            return base_fail(error, BASE_ERR_FORMAT, "header: %s is %lld: this is no llama2.c checkpoint", names[i],
                             (long long)value);
        *targets[i] = (size_t)value;
    }
    if (shape->width % shape->heads != 0)
        return base_fail(error, BASE_ERR_FORMAT, "header: dim %zu is no multiple of n_heads %zu", shape->width,
                         shape->heads);
    shape->head_dim = shape->width / shape->heads;
    return BASE_OK;
}

static enum base_status parse_header(struct eng_model_shape *ret, struct eng_bytes file, bool legacy,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_shape shape = {
        .rope_theta = 10000, .norm_eps = 1e-5, .bos = 1, .eos = {1, 2}, .eos_count = 2, .model_type = "llama"};
    size_t header = legacy ? LEGACY_HEADER : V1_HEADER;
    TRY_THAT(file.size >= header, error, BASE_ERR_FORMAT, "has %zu bytes, too few for a llama2.c header", file.size);
    if (!legacy) {
        int32_t version = load_int(file.data + 4);
        TRY_THAT(version == 1, error, BASE_ERR_SUPPORT,
                 "header: version is %d; cachet reads legacy and version 1 files: export with --version 1", version);
        uint8_t shared = file.data[V1_FIELDS - 1];
        TRY_THAT(shared <= 1, error, BASE_ERR_FORMAT, "header: shared_classifier is %u; it must be 0 or 1", shared);
        for (size_t i = V1_FIELDS; i < V1_HEADER; i++)
            TRY_THAT(file.data[i] == 0, error, BASE_ERR_FORMAT, "header: byte %zu is not zero", i);
        shape.tied = shared == 1;
    }
    TRY(parse_sizes(&shape, file.data + (legacy ? 0 : 8), legacy, error));
    TRY(eng_model_shape_check(&shape, error));
    *ret = shape;
out:
    return status;
}

/* Legacy files hold cos and sin of every position and frequency; position 1 tells the frequencies. A reader that computes
 * its own must know that they are the same. */
static enum base_status check_rope_tables(const struct eng_model_shape *shape, const uint8_t *cosines,
                                          const uint8_t *sines, struct base_error *error)
{
    const size_t half = shape->head_dim / 2;
    for (size_t i = 0; i < half && shape->context > 1; i++) {
        float cosine, sine;
        eng_dequant_row(ENG_DTYPE_F32, cosines + (half + i) * FLOAT, 1, &cosine);
        eng_dequant_row(ENG_DTYPE_F32, sines + (half + i) * FLOAT, 1, &sine);
        double radians = base_exp(-base_log(shape->rope_theta) * (double)(2 * i) / (double)shape->head_dim);
        if (!(fabs(cosine - cos(radians)) < 1e-4 && fabs(sine - sin(radians)) < 1e-4))
            return base_fail(error, BASE_ERR_SUPPORT,
                             "the RoPE table turns feature %zu by (%g, %g) per token; cachet supports llama2.c's theta of "
                             "10000, (%g, %g): convert the model to safetensors instead",
                             i, (double)cosine, (double)sine, cos(radians), sin(radians));
    }
    return BASE_OK;
}

static enum base_status take_tensor(struct eng_tensor_table *table, enum eng_tensor tensor, size_t layer,
                                    struct eng_bytes *rest, struct base_error *error)
{
    size_t rows, columns, size = 0;
    struct eng_printable name = eng_tensor_table_name(table, tensor, layer);
    eng_tensor_extent(&table->shape, tensor, &rows, &columns);
    if (!base_size_mul(rows, columns * FLOAT, &size) || size > rest->size)
        return base_fail(error, BASE_ERR_FORMAT, "%s: needs %zu bytes, but only %zu remain: the file is truncated",
                         name.text, size, rest->size);
    struct eng_tensor_view view = {.bytes = rest->data,
                                   .dtype = ENG_DTYPE_F32,
                                   .rows = rows == 1 ? columns : rows,
                                   .cols = rows == 1 ? 1 : columns,
                                   .interleaved = tensor == ENG_TENSOR_Q || tensor == ENG_TENSOR_K};
    *rest = (struct eng_bytes){rest->data + size, rest->size - size};
    return eng_tensor_table_put(table, tensor, layer, view, size, error);
}

static enum base_status take_rope_tables(const struct eng_model_shape *shape, struct eng_bytes *rest,
                                         struct base_error *error)
{
    size_t size = shape->context * (shape->head_dim / 2) * FLOAT;
    if (2 * size > rest->size)
        return base_fail(error, BASE_ERR_FORMAT, "the RoPE tables need %zu bytes, but only %zu remain", 2 * size,
                         rest->size);
    const uint8_t *tables = rest->data;
    *rest = (struct eng_bytes){rest->data + 2 * size, rest->size - 2 * size};
    return check_rope_tables(shape, tables, tables + size, error);
}

enum base_status eng_llama2c_load(struct eng_tensor_table *ret, struct eng_bytes file, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_shape shape = {0};
    const bool legacy = !has_magic(file);
    TRY(parse_header(&shape, file, legacy, error));
    TRY(eng_tensor_table_init(ret, &shape, &naming, error));
    const size_t header = legacy ? LEGACY_HEADER : V1_HEADER;
    struct eng_bytes rest = {file.data + header, file.size - header};
    for (const int *part = legacy ? legacy_order : v1_order; *part != END; part++) {
        if (*part == ROPE_TABLES) {
            TRY(take_rope_tables(&shape, &rest, error));
            continue;
        }
        enum eng_tensor tensor = (enum eng_tensor)*part;
        if (tensor == ENG_TENSOR_HEAD && shape.tied)
            continue;
        for (size_t layer = 0; layer < (eng_tensor_has_layer(tensor) ? shape.layers : 1); layer++)
            TRY(take_tensor(ret, tensor, layer, &rest, error));
    }
    TRY_THAT(rest.size == 0, error, BASE_ERR_FORMAT, "%zu bytes follow the last tensor that the header calls for",
             rest.size);
out:
    return status;
}
