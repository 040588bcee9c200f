#include "engine/formats/dequant.h"

#include "base/memory.h"

#include <string.h>

enum { BLOCK = 32 };

struct layout {
    const char *name;
    size_t block;       /* numbers per block */
    size_t block_bytes;
};

static struct layout layout_of(enum eng_dtype dtype)
{
    static const struct layout layouts[ENG_DTYPE_COUNT] = {
        [ENG_DTYPE_F32] = {"F32", 1, 4},
        [ENG_DTYPE_F16] = {"F16", 1, 2},
        [ENG_DTYPE_BF16] = {"BF16", 1, 2},
        [ENG_DTYPE_Q8_0] = {"Q8_0", BLOCK, 2 + BLOCK},
        [ENG_DTYPE_Q4_0] = {"Q4_0", BLOCK, 2 + BLOCK / 2},
        [ENG_DTYPE_Q4_1] = {"Q4_1", BLOCK, 4 + BLOCK / 2},
    };
    return layouts[dtype];
}

const char *eng_dtype_name(enum eng_dtype dtype)
{
    return layout_of(dtype).name;
}

size_t eng_dtype_row_bytes(enum eng_dtype dtype, size_t cols)
{
    struct layout layout = layout_of(dtype);
    size_t bytes;
    if (cols % layout.block != 0 || !base_size_mul(cols / layout.block, layout.block_bytes, &bytes))
        return 0;
    return bytes;
}

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float eng_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1fu;
    uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0) {
        /* Subnormals and zero: mantissa * 2^-24, exact in float32. */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | mantissa << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static void dequant_block(enum eng_dtype dtype, const uint8_t *block, float *ret)
{
    float scale = eng_half_to_float(base_load_u16(block));
    if (dtype == ENG_DTYPE_Q8_0) {
        for (size_t i = 0; i < BLOCK; i++)
            ret[i] = scale * (float)(int8_t)block[2 + i];
        return;
    }
    /* The low nibbles are the first half of the block, the high nibbles the second. */
    const uint8_t *nibbles = dtype == ENG_DTYPE_Q4_1 ? block + 4 : block + 2;
    float minimum = dtype == ENG_DTYPE_Q4_1 ? eng_half_to_float(base_load_u16(block + 2)) : -8.0f * scale;
    for (size_t i = 0; i < BLOCK / 2; i++) {
        ret[i] = scale * (float)(nibbles[i] & 15) + minimum;
        ret[i + BLOCK / 2] = scale * (float)(nibbles[i] >> 4) + minimum;
    }
}

void eng_dequant_row(enum eng_dtype dtype, const uint8_t *bytes, size_t cols, float *ret)
{
    struct layout layout = layout_of(dtype);
    switch (dtype) {
    case ENG_DTYPE_F32:
        for (size_t i = 0; i < cols; i++)
            ret[i] = float_from_bits(base_load_u32(bytes + 4 * i));
        return;
    case ENG_DTYPE_F16:
        for (size_t i = 0; i < cols; i++)
            ret[i] = eng_half_to_float(base_load_u16(bytes + 2 * i));
        return;
    case ENG_DTYPE_BF16:
        for (size_t i = 0; i < cols; i++)
            ret[i] = float_from_bits((uint32_t)base_load_u16(bytes + 2 * i) << 16);
        return;
    case ENG_DTYPE_Q8_0:
    case ENG_DTYPE_Q4_0:
    case ENG_DTYPE_Q4_1:
        for (size_t i = 0; i < cols; i += BLOCK)
            dequant_block(dtype, bytes + i / BLOCK * layout.block_bytes, ret + i);
        return;
    case ENG_DTYPE_COUNT:
        return;
    }
}
