/* Model files: one interface for every format that users have.
 *
 * eng_model_file_open recognises a Hugging Face directory (config.json with model.safetensors or its sharded index),
 * a GGUF file (versions 2 and 3) and a llama2.c file (legacy or version 1), checks every length and shape before any
 * weight is used, and then answers in one language: a shape, and tensors as float32 in row-major [out][in] order,
 * the rows of Q and K always in rotate-half RoPE order (feature i pairs with feature i + head_dim / 2 of its head),
 * whatever order the file keeps: GPT-2's Conv1D matrices are turned, and Q, K and V taken out of the one that holds them.
 *
 * Errors everywhere: BASE_ERR_IO (unreadable), BASE_ERR_FORMAT (malformed, truncated, lying), BASE_ERR_SUPPORT
 * (well-formed but outside what cachet computes), BASE_ERR_MEMORY. Texts start with the file and name the field and its
 * value. The files stay mapped while the object lives: do not truncate them meanwhile. */
#ifndef CACHET_ENGINE_FORMATS_MODEL_FILE_H
#define CACHET_ENGINE_FORMATS_MODEL_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENG_EOS_MAX = 8, ENG_MODEL_TYPE_MAX = 32, ENG_DIGEST_BYTES = 32 };

enum eng_activation {
    ENG_ACTIVATION_SILU_GATED, /* down(silu(gate x) * up x): the LLaMA-like */
    ENG_ACTIVATION_GELU,       /* down(gelu(up x)), GELU in its tanh form, no gate: gpt2 */
};

enum eng_rope_kind {
    ENG_ROPE_PLAIN,
    ENG_ROPE_LINEAR, /* every frequency divided by factor */
    ENG_ROPE_LLAMA3, /* low frequencies divided by factor, high ones kept, a ramp between (Llama 3.1) */
};

struct eng_rope_scaling {
    enum eng_rope_kind kind;
    double factor;           /* linear and llama3 */
    double low_freq_factor;  /* llama3 only, as the next two */
    double high_freq_factor;
    double original_context; /* tokens */
};

/* The public shape of a decoder. Dimensions count floats, heads, layers, rows or tokens. */
struct eng_model_shape {
    size_t layers;
    size_t width;    /* d, of the residual */
    size_t heads;    /* query heads; a multiple of kv_heads */
    size_t kv_heads;
    size_t head_dim; /* even; heads * head_dim may differ from width */
    size_t ffn;
    size_t vocab;    /* rows of the embedding; a tokenizer may know fewer */
    size_t context;  /* largest trained position count */
    double rope_theta;
    struct eng_rope_scaling rope_scaling;
    double norm_eps;
    bool tied;     /* the head is the embedding table */
    bool qkv_bias;    /* Q, K and V have biases (qwen2, gpt2) */
    bool linear_bias; /* O, UP and DOWN have them, too (gpt2) */
    bool layer_norm;  /* norms are LayerNorms with biases (gpt2), else RMSNorms */
    bool positions;   /* a learned vector per position joins the embedding (gpt2), and nothing is rotated */
    bool one_layer;   /* every layer has the weights of the first: shapes that are timed where memory is short */
    enum eng_activation activation;
    int32_t bos; /* token id, -1: none */
    int32_t eos[ENG_EOS_MAX];
    size_t eos_count; /* 0: none */
    char model_type[ENG_MODEL_TYPE_MAX];
};

/* Extents: d = width, q = heads * head_dim, kv = kv_heads * head_dim. */
enum eng_tensor {
    ENG_TENSOR_EMBEDDING,      /* [vocab][d] */
    ENG_TENSOR_ATTENTION_NORM, /* [1][d]; from here to DOWN one per layer, and from ATTENTION_NORM_BIAS on */
    ENG_TENSOR_Q,              /* [q][d], rotate-half order */
    ENG_TENSOR_K,              /* [kv][d], rotate-half order */
    ENG_TENSOR_V,              /* [kv][d] */
    ENG_TENSOR_O,              /* [d][q] */
    ENG_TENSOR_Q_BIAS,         /* [1][q], rotate-half order; only when qkv_bias, as the next two */
    ENG_TENSOR_K_BIAS,         /* [1][kv], rotate-half order */
    ENG_TENSOR_V_BIAS,         /* [1][kv] */
    ENG_TENSOR_MLP_NORM,       /* [1][d] */
    ENG_TENSOR_GATE,           /* [ffn][d]; not with ENG_ACTIVATION_GELU */
    ENG_TENSOR_UP,             /* [ffn][d] */
    ENG_TENSOR_DOWN,           /* [d][ffn] */
    ENG_TENSOR_FINAL_NORM,     /* [1][d] */
    ENG_TENSOR_HEAD,           /* [vocab][d]; the embedding's values when tied */
    ENG_TENSOR_POSITION,       /* [context][d]; only with positions */
    ENG_TENSOR_FINAL_NORM_BIAS,     /* [1][d]; only with layer_norm, as the next two */
    ENG_TENSOR_ATTENTION_NORM_BIAS, /* [1][d] */
    ENG_TENSOR_MLP_NORM_BIAS,       /* [1][d] */
    ENG_TENSOR_O_BIAS,              /* [1][d]; only with linear_bias, as the next two */
    ENG_TENSOR_UP_BIAS,             /* [1][ffn] */
    ENG_TENSOR_DOWN_BIAS,           /* [1][d] */
    ENG_TENSORS,
};

/* Elements of a tensor: rows [out] and columns [in]; a vector has one row. Both 0 when a model of this shape has no
 * such tensor. */
void eng_tensor_extent(const struct eng_model_shape *shape, enum eng_tensor tensor, size_t *ret_rows,
                       size_t *ret_columns);

/* True for the tensors that exist once per layer. */
bool eng_tensor_has_layer(enum eng_tensor tensor);
/* True for gains and biases. */
bool eng_tensor_is_vector(enum eng_tensor tensor);

struct eng_model_file;

/* Opens and checks a model: headers, names, shapes and sizes; no weight is read yet. */
BASE_MUST_USE enum base_status eng_model_file_open(struct eng_model_file **ret, const char *path,
                                                   struct base_error *error);

/* Accepts a pointer to NULL; sets *file to NULL. */
void eng_model_file_close(struct eng_model_file **file);

/* Borrowed; lives as long as the file. */
const struct eng_model_shape *eng_model_file_shape(const struct eng_model_file *file);

/* The tensor (of a layer where it has one) as float32; ret holds rows * columns of eng_tensor_extent.
 * Errors: BASE_ERR_ARGUMENT (no such layer or tensor), BASE_ERR_FORMAT (a weight that is not finite; the text names
 * tensor and index, and ret holds part of the tensor). */
BASE_MUST_USE enum base_status eng_model_file_read(const struct eng_model_file *file, enum eng_tensor tensor,
                                                   size_t layer, float *ret, struct base_error *error);

/* The same for `rows` rows from `first_row` on, for readers that never hold a whole matrix. */
struct eng_row_range {
    size_t first_row;
    size_t rows;
};
BASE_MUST_USE enum base_status eng_model_file_read_rows(const struct eng_model_file *file, enum eng_tensor tensor,
                                                        size_t layer, struct eng_row_range range, float *ret,
                                                        struct base_error *error);

/* SHA-256 over the shape and the stored bytes of all tensors in a fixed order: it does not depend on shards, names or
 * unused metadata, but does on the stored precision.
 * Cost: reads every weight once. Errors: BASE_ERR_INTERNAL (the hash cannot start). */
BASE_MUST_USE enum base_status eng_model_file_digest(const struct eng_model_file *file, uint8_t ret[ENG_DIGEST_BYTES],
                                                     struct base_error *error);

/* Conditions on a shape that no part of the engine could serve otherwise, each named: the limits of limits.h, heads,
 * RoPE, epsilon, which biases come together, and token ids. Errors: BASE_ERR_SUPPORT. */
BASE_MUST_USE enum base_status eng_model_shape_check(const struct eng_model_shape *shape, struct base_error *error);

/* RoPE frequencies in 2^-64 turns per position, [head_dim / 2]: the same bits on every machine; 0 with learned positions.
 * Source: theta^(-2 i / head_dim); scaling "llama3" as in Llama 3.1 (Meta, llama-models, apply_scaling). */
void eng_model_rope_turns(const struct eng_model_shape *shape, uint64_t *ret_turns);

#endif
