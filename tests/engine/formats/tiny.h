/* A tiny model made of random numbers, with the values that every reader must find in it. */
#ifndef CACHET_TESTS_ENGINE_FORMATS_TINY_H
#define CACHET_TESTS_ENGINE_FORMATS_TINY_H

#include "engine/formats/dequant.h"
#include "engine/formats/model_file.h"
#include "tests/engine/formats/support.h"

/* Rows lie in rotate-half order, in both forms. */
struct tiny_tensor {
    enum eng_tensor tensor;
    size_t layer;
    size_t rows; /* as eng_tensor_extent gives them */
    size_t cols;
    bool vector; /* has one extent in files that name their shapes */
    enum eng_dtype dtype;
    uint8_t *stored;
    size_t row_bytes;
    float *values;
};

struct tiny {
    struct eng_model_shape shape;
    struct tiny_tensor *tensors;
    size_t count;
};

/* A llama with rows of whole quantization blocks, and the smallest one there is. */
struct eng_model_shape tiny_shape(void);
struct eng_model_shape smallest_shape(void);

/* Matrices stored as `matrices`, vectors as F32. A tied model has no head. */
void tiny_create(struct tiny *ret, const struct eng_model_shape *shape, enum eng_dtype matrices);
void tiny_destroy(struct tiny *tiny);

struct tiny_tensor *tiny_find(const struct tiny *tiny, enum eng_tensor tensor, size_t layer);

/* Appends the stored tensor; `pairs` puts the rows of Q and K (and their biases) as llama.cpp and llama2.c
 * keep them. */
void tiny_put(struct buffer *buffer, const struct tiny *tiny, const struct tiny_tensor *tensor, bool pairs);

/* What a stored row means, from the definition of the formats in real numbers. */
void reference_row(enum eng_dtype dtype, const uint8_t *stored, size_t cols, float *ret);
size_t reference_row_bytes(enum eng_dtype dtype, size_t cols);

/* The model at the path must have this shape and exactly these values, whole and in ranges of rows. */
void check_same_model(const char *path, const struct tiny *tiny);

#endif
