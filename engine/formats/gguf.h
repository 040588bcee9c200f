/* The GGUF container, versions 2 and 3, little-endian: key-value pairs, tensor list, aligned data.
 * Source: the GGUF specification, github.com/ggml-org/ggml, docs/gguf.md. */
#ifndef CACHET_ENGINE_FORMATS_GGUF_H
#define CACHET_ENGINE_FORMATS_GGUF_H

#include "engine/formats/tensor_table.h"

/* Value types as the file numbers them. */
enum eng_gguf_type {
    ENG_GGUF_U8,
    ENG_GGUF_I8,
    ENG_GGUF_U16,
    ENG_GGUF_I16,
    ENG_GGUF_U32,
    ENG_GGUF_I32,
    ENG_GGUF_F32,
    ENG_GGUF_BOOL,
    ENG_GGUF_STRING,
    ENG_GGUF_ARRAY,
    ENG_GGUF_U64,
    ENG_GGUF_I64,
    ENG_GGUF_F64,
    ENG_GGUF_TYPES
};

struct eng_gguf_value {
    struct eng_bytes key;
    enum eng_gguf_type type;
    enum eng_gguf_type item_type; /* of an array; never an array */
    size_t count;                 /* items of an array, else 1 */
    struct eng_bytes bytes;       /* the items; a string carries its 8 bytes of length */
};

/* Zero-initialise. Everything borrows from the file. */
struct eng_gguf {
    struct eng_gguf_value *values; /* sorted by key */
    size_t value_count;
    struct eng_named_tensor *tensors;
    size_t tensor_count;
};

bool eng_gguf_matches(struct eng_bytes file);

/* Parses one file held in memory. Errors: BASE_ERR_FORMAT with offset (truncated, lying lengths, duplicate
 * keys or tensors, gaps, overlaps, misaligned or trailing data), BASE_ERR_SUPPORT (version, stored type). */
BASE_MUST_USE enum base_status eng_gguf_parse(struct eng_gguf *ret, struct eng_bytes file,
                                              struct base_error *error);
void eng_gguf_finish(struct eng_gguf *gguf);

/* NULL when absent. */
const struct eng_gguf_value *eng_gguf_find(const struct eng_gguf *gguf, const char *key);

/* The value under a key as a whole number in a range (fallback SIZE_MAX: required), a finite number above 0
 * (fallback
 * <= 0: required), a flag or a string; absent keys give the fallback, an absent string no bytes.
 * Errors: BASE_ERR_FORMAT naming key and type or value. */
BASE_MUST_USE enum base_status eng_gguf_size(const struct eng_gguf *gguf, const char *key,
                                             struct eng_size_range range, size_t *ret,
                                             struct base_error *error);
BASE_MUST_USE enum base_status eng_gguf_positive(const struct eng_gguf *gguf, const char *key,
                                                 double fallback, double *ret, struct base_error *error);
BASE_MUST_USE enum base_status eng_gguf_bool(const struct eng_gguf *gguf, const char *key, bool fallback,
                                             bool *ret, struct base_error *error);
BASE_MUST_USE enum base_status eng_gguf_string(const struct eng_gguf *gguf, const char *key,
                                               struct eng_bytes *ret, struct base_error *error);

/* The array under a key; the key must hold one of this item type. *ret is NULL when absent. */
BASE_MUST_USE enum base_status eng_gguf_array(const struct eng_gguf *gguf, const char *key,
                                              enum eng_gguf_type item_type, const struct eng_gguf_value **ret,
                                              struct base_error *error);

/* Takes the next string from the bytes of a string array; the parser has checked that there are `count`. */
struct eng_bytes eng_gguf_next_string(struct eng_bytes *rest);

#endif
