/* Writes a tiny model as the files that users have, from the definitions of the formats. */
#ifndef CACHET_TESTS_ENGINE_FORMATS_WRITE_H
#define CACHET_TESTS_ENGINE_FORMATS_WRITE_H

#include "tests/engine/formats/tiny.h"

#include <jansson.h>

/* config.json of the shape; owned by the caller. */
json_t *hf_config(const struct eng_model_shape *shape);

/* The tensors i with i % parts == part: their header entries (owned by the caller), and their bytes appended.
 */
json_t *hf_header(const struct tiny *tiny, size_t part, size_t parts, struct buffer *ret_data);

/* Size, header and data. */
void hf_shard(struct buffer *ret, const json_t *header, const struct buffer *data);

/* Sets a field to a JSON text; NULL: removes it. */
void json_edit(json_t *object, const char *field, const char *json);
void write_json(const char *directory, const char *name, const json_t *value);
void write_shard(const char *directory, const char *name, const json_t *header, const struct buffer *data);

/* A whole model directory: model.safetensors, or an index and `parts` > 1 shards called part-0.safetensors
 * and so on. */
void write_hf(const char *directory, const struct tiny *tiny, size_t parts);

/* A llama2.c file, legacy (0) or version 1, of an F32 model. */
void put_llama2c(struct buffer *ret, const struct tiny *tiny, uint32_t version);

/* Value types as GGUF numbers them. */
enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_REMOVED = -1
};

/* A key to add, replace or leave out. An array is empty, and its items have type `number`. */
struct gguf_key {
    const char *key;
    int type;
    double number;
    const char *text;
};

/* One tensor's entry made different; zero fields keep what is right. */
struct gguf_tensor_edit {
    const char *name;
    const char *rename;
    bool drop;
    uint32_t type;
    uint32_t rank;
    uint64_t extents[4]; /* fastest first */
    int64_t offset_shift;
};

enum { GGUF_KEYS = 6 };
struct gguf_options {
    uint32_t version;          /* 0: 3 */
    size_t alignment;          /* 0: 32, without a key */
    const float *rope_factors; /* [head_dim / 2], or NULL */
    struct gguf_key keys[GGUF_KEYS];
    struct gguf_tensor_edit edit;
};

/* *ret_header, unless NULL, becomes the size of all that comes before the data. */
void put_gguf(struct buffer *ret, const struct tiny *tiny, const struct gguf_options *options,
              size_t *ret_header);

#endif
