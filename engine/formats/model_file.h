/* Model files: one interface for every format that users have.
 *
 * Tensors are read as float32, row-major [out][in], always in rotate-half RoPE order, whatever the file stores.
 * Formats: a Hugging Face directory (config.json with model.safetensors, or shards by model.safetensors.index.json; F32, F16, BF16).
 * Errors everywhere: BASE_ERR_IO (unreadable), BASE_ERR_FORMAT (malformed, truncated, lying), BASE_ERR_SUPPORT (well-formed but
 * not supported), each naming the file, the field and both values. */
#ifndef CACHET_ENGINE_FORMATS_MODEL_FILE_H
#define CACHET_ENGINE_FORMATS_MODEL_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eng_model_shape {
    size_t layers;
    size_t width; /* of the residual */
    size_t heads;
    size_t kv_heads;
    size_t head_dim;
    size_t ffn;
    size_t vocab;
    size_t context;
    double rope_theta;
    double norm_eps;
    bool tied; /* the head is the embedding table */
    int32_t bos, eos; /* -1: none */
};

enum eng_tensor {
    ENG_TENSOR_EMBEDDING, /* [vocab][width] */
    ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_Q, ENG_TENSOR_K, ENG_TENSOR_V, ENG_TENSOR_O,
    ENG_TENSOR_MLP_NORM, ENG_TENSOR_GATE, ENG_TENSOR_UP, ENG_TENSOR_DOWN,
    ENG_TENSOR_FINAL_NORM,
    ENG_TENSOR_HEAD, /* [vocab][width]; the embedding when tied */
    ENG_TENSORS,
};

/* Elements of a tensor: rows [out] and columns [in] (a vector has one row). */
void eng_tensor_extent(const struct eng_model_shape *shape, enum eng_tensor tensor, size_t *ret_rows, size_t *ret_columns);

struct eng_model_file;

BASE_MUST_USE enum base_status eng_model_file_open(struct eng_model_file **ret, const char *path, struct base_error *error);
void eng_model_file_close(struct eng_model_file **file);
const struct eng_model_shape *eng_model_file_shape(const struct eng_model_file *file);

/* The tensor (of a layer where it has one) as float32. ret: rows * columns values. Errors: a value that is not finite. */
BASE_MUST_USE enum base_status eng_model_file_read(struct eng_model_file *file, enum eng_tensor tensor, size_t layer, float *ret,
                                                   struct base_error *error);

/* SHA-256 over the shape and every tensor as float32. */
BASE_MUST_USE enum base_status eng_model_file_digest(struct eng_model_file *file, uint8_t ret[32], struct base_error *error);

/* Conditions on a shape that no part of the engine could serve otherwise, each named. */
BASE_MUST_USE enum base_status eng_model_shape_check(const struct eng_model_shape *shape, struct base_error *error);

/* RoPE frequencies in 2^-64 turns per position, [head_dim / 2]: the same bits on every machine. */
void eng_model_rope_turns(const struct eng_model_shape *shape, uint64_t *ret_turns);

#endif
