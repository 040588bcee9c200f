/* One safetensors file: an 8-byte header length, a JSON header, then the tensors without gaps. */
#ifndef CACHET_ENGINE_FORMATS_SAFETENSORS_H
#define CACHET_ENGINE_FORMATS_SAFETENSORS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum eng_dtype { ENG_DTYPE_F32, ENG_DTYPE_F16, ENG_DTYPE_BF16 };

struct eng_safetensor {
    char *name;
    enum eng_dtype dtype;
    size_t rows, columns; /* a vector has one row */
    const unsigned char *data;
    size_t size;
};

struct eng_safetensors {
    size_t count;
    struct eng_safetensor *tensor; /* in file order */
};

/* Reads the header; the tensors point into `data`, which must outlive them. `path` names the file in errors. Every extent is checked
 * against the file: overlaps, gaps, trailing bytes, foreign dtypes and shapes are refused with the tensor's name. */
BASE_MUST_USE enum base_status eng_safetensors_parse(struct eng_safetensors *ret, const unsigned char *data, size_t size,
                                                     const char *path, struct base_error *error);
void eng_safetensors_finish(struct eng_safetensors *file);
const struct eng_safetensor *eng_safetensors_find(const struct eng_safetensors *file, const char *name);

/* `count` values from `first` on as float32. */
void eng_dtype_to_float(enum eng_dtype dtype, const unsigned char *data, size_t first, size_t count, float *ret);

#endif
