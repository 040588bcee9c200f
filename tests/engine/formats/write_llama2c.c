#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include <math.h>

static void put_tensors(struct buffer *ret, const struct tiny *tiny, enum eng_tensor tensor)
{
    for (size_t layer = 0; layer < (eng_tensor_has_layer(tensor) ? tiny->shape.layers : 1); layer++) {
        const struct tiny_tensor *found = tiny_find(tiny, tensor, layer);
        if (found != NULL)
            tiny_put(ret, tiny, found, true);
    }
}

static void put_rope_table(struct buffer *ret, const struct eng_model_shape *s, double (*function)(double))
{
    for (size_t position = 0; position < s->context; position++)
        for (size_t i = 0; i < s->head_dim / 2; i++)
            buffer_put_f32(
                ret, (float)function((double)position * pow(10000, -2.0 * (double)i / (double)s->head_dim)));
}

static void put_header(struct buffer *ret, const struct eng_model_shape *s, uint32_t version)
{
    uint32_t vocab = (uint32_t)s->vocab;
    if (version == 0 && !s->tied)
        vocab = -vocab;
    const uint32_t sizes[] = {(uint32_t)s->width,  (uint32_t)s->ffn,      (uint32_t)s->layers,
                              (uint32_t)s->heads,  (uint32_t)s->kv_heads, vocab,
                              (uint32_t)s->context};
    if (version > 0) {
        buffer_put_u32(ret, 0x616b3432);
        buffer_put_u32(ret, version);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        buffer_put_u32(ret, sizes[i]);
    if (version > 0) {
        buffer_put(ret, s->tied ? "\1" : "\0", 1);
        buffer_align(ret, 256);
    }
}

void put_llama2c(struct buffer *ret, const struct tiny *tiny, uint32_t version)
{
    static const enum eng_tensor legacy[] = {
        ENG_TENSOR_EMBEDDING, ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_Q,    ENG_TENSOR_K,    ENG_TENSOR_V,
        ENG_TENSOR_O,         ENG_TENSOR_MLP_NORM,       ENG_TENSOR_GATE, ENG_TENSOR_DOWN, ENG_TENSOR_UP,
        ENG_TENSOR_FINAL_NORM};
    static const enum eng_tensor first[] = {ENG_TENSOR_ATTENTION_NORM,
                                            ENG_TENSOR_MLP_NORM,
                                            ENG_TENSOR_FINAL_NORM,
                                            ENG_TENSOR_EMBEDDING,
                                            ENG_TENSOR_Q,
                                            ENG_TENSOR_K,
                                            ENG_TENSOR_V,
                                            ENG_TENSOR_O,
                                            ENG_TENSOR_GATE,
                                            ENG_TENSOR_DOWN,
                                            ENG_TENSOR_UP};
    put_header(ret, &tiny->shape, version);
    for (size_t i = 0; i < sizeof legacy / sizeof *legacy; i++)
        put_tensors(ret, tiny, version == 0 ? legacy[i] : first[i]);
    if (version == 0) {
        put_rope_table(ret, &tiny->shape, cos);
        put_rope_table(ret, &tiny->shape, sin);
    }
    put_tensors(ret, tiny, ENG_TENSOR_HEAD);
}
