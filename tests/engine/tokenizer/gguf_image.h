/* Writes small GGUF files that hold nothing but a tokenizer. */
#ifndef CACHET_TESTS_ENGINE_TOKENIZER_GGUF_IMAGE_H
#define CACHET_TESTS_ENGINE_TOKENIZER_GGUF_IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum {
    GGUF_CAPACITY = 1 << 16,
    GGUF_TOKENS = 512,
    NORMAL = 1,
    UNKNOWN = 2,
    CONTROL = 3,
    USER_DEFINED = 4,
    UNUSED = 5,
    BYTE = 6
};
#define MARK "\xe2\x96\x81" /* U+2581, a space */

/* What a file says; counts of 0 and NULLs leave their keys out. */
struct gguf_content {
    const char *model;
    const char *pre;
    const char *tokens[GGUF_TOKENS];
    size_t token_count;
    int32_t types[GGUF_TOKENS];
    size_t type_count;
    float scores[GGUF_TOKENS];
    size_t score_count;
    const char *merges[GGUF_TOKENS];
    size_t merge_count;
    const char *id_key; /* one more key with a whole number */
    uint32_t id;
    int adds_bos; /* -1: not said */
};

/* A file in memory. */
struct gguf_image {
    uint8_t bytes[GGUF_CAPACITY];
    size_t size;
    uint64_t keys;
};

/* A GGUF file of keys alone. */
void gguf_image_write(const struct gguf_content *c, struct gguf_image *ret);

#endif
