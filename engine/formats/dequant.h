/* Stored number formats of model files, and how each becomes float32. */
#ifndef CACHET_ENGINE_FORMATS_DEQUANT_H
#define CACHET_ENGINE_FORMATS_DEQUANT_H

#include <stddef.h>
#include <stdint.h>

/* The value of each constant enters the model digest: append only. */
enum eng_dtype {
    ENG_DTYPE_F32,
    ENG_DTYPE_F16,
    ENG_DTYPE_BF16,
    ENG_DTYPE_Q8_0, /* blocks of 32: f16 scale, 32 int8 */
    ENG_DTYPE_Q4_0, /* blocks of 32: f16 scale, 32 nibbles with offset 8 */
    ENG_DTYPE_Q4_1, /* blocks of 32: f16 scale, f16 minimum, 32 nibbles */
    ENG_DTYPE_COUNT
};

/* "F32", "Q8_0", ... */
const char *eng_dtype_name(enum eng_dtype dtype);

/* Bytes of one row of `cols` numbers; 0 when cols is no multiple of the block or the size overflows. */
size_t eng_dtype_row_bytes(enum eng_dtype dtype, size_t cols);

/* Turns one stored row into float32.
 * Shapes: bytes holds eng_dtype_row_bytes(dtype, cols), little-endian, any alignment; ret holds cols floats.
 * Source: IEEE 754 binary16 and bfloat16; block layouts of the GGUF specification (ggml/docs/gguf.md). */
void eng_dequant_row(enum eng_dtype dtype, const uint8_t *bytes, size_t cols, float *ret);

/* binary16 bits to float32, exact for every input including subnormals, infinities and NaN. */
float eng_half_to_float(uint16_t half);

#endif
