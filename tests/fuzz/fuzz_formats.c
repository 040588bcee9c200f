/* Fuzzes what reads model files: every input is tried as a safetensors file, a GGUF file, a llama2.c file and
 * a config.json. What a parser accepts is then read to the last byte, so that a view outside the input cannot
 * hide. */
#include "base/memory.h"
#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/formats/hf_dir.h"
#include "engine/formats/llama2c.h"
#include "engine/formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failure must leave a text, a success none. */
static void check_error(enum base_status status, const struct base_error *error)
{
    if (status != error->code || (status != BASE_OK) != (error->text[0] != '\0'))
        abort();
}

static void read_view(const struct eng_tensor_view *view, struct eng_bytes input)
{
    const size_t at = (size_t)(view->bytes - input.data);
    float *row = NULL;
    if (view->bytes == NULL)
        return;
    const size_t lines = view->transposed ? view->cols : view->rows,
                 numbers = view->transposed ? view->rows : view->cols,
                 last = eng_dtype_row_bytes(view->dtype, numbers);
    if (at > input.size || last > input.size - at || lines - 1 > (input.size - at - last) / view->row_bytes)
        abort();
    if (base_alloc(&row, numbers, sizeof *row, NULL) != BASE_OK)
        abort();
    for (size_t r = 0; r < lines; r++)
        eng_dequant_row(view->dtype, view->bytes + r * view->row_bytes, numbers, row);
    base_free(&row);
}

/* A table that was filled has every tensor that its shape calls for. */
static void read_table(const struct eng_tensor_table *table, struct eng_bytes input)
{
    for (size_t layer = 0; layer < table->shape.layers; layer++) {
        for (enum eng_tensor tensor = 0; tensor < ENG_TENSORS; tensor++) {
            const struct eng_tensor_view *view = eng_tensor_table_at(table, tensor, layer);
            size_t rows, cols;
            eng_tensor_extent(&table->shape, tensor, &rows, &cols);
            if ((view->bytes != NULL) != (rows > 0) || view->rows * view->cols != rows * cols)
                abort();
            if (layer == 0 || eng_tensor_has_layer(tensor))
                read_view(view, input);
        }
    }
}

static void try_single(enum base_status (*load)(struct eng_tensor_table *, struct eng_bytes,
                                                struct base_error *),
                       struct eng_bytes input)
{
    struct eng_tensor_table table = {0};
    struct base_error error = {0};
    enum base_status status = load(&table, input, &error);
    check_error(status, &error);
    if (status == BASE_OK)
        read_table(&table, input);
    eng_tensor_table_finish(&table);
}

static void try_safetensors(struct eng_bytes input, bool gpt2)
{
    const struct eng_model_shape shape = {.layers = 1,
                                          .width = 8,
                                          .heads = 2,
                                          .kv_heads = gpt2 ? 2 : 1,
                                          .head_dim = 4,
                                          .ffn = 6,
                                          .vocab = 4,
                                          .context = 4,
                                          .rope_theta = 10000,
                                          .norm_eps = 1e-5,
                                          .tied = true,
                                          .qkv_bias = gpt2,
                                          .linear_bias = gpt2,
                                          .layer_norm = gpt2,
                                          .positions = gpt2,
                                          .activation =
                                              gpt2 ? ENG_ACTIVATION_GELU : ENG_ACTIVATION_SILU_GATED,
                                          .bos = -1};
    struct eng_safetensors parsed = {0};
    struct eng_tensor_table table = {0};
    struct base_error error = {0};
    enum base_status status = eng_safetensors_parse(&parsed, input, &error);
    check_error(status, &error);
    if (status != BASE_OK)
        return;
    if (eng_tensor_table_init(&table, &shape, gpt2 ? &eng_hf_gpt2_naming : &eng_hf_naming, NULL) != BASE_OK)
        abort();
    status = eng_hf_tensors_fill(&table, parsed.tensors, parsed.count, &error);
    check_error(status, &error);
    if (status == BASE_OK)
        read_table(&table, input);
    eng_tensor_table_finish(&table);
    eng_safetensors_finish(&parsed);
}

/* What config.json gives is either refused for what it is, or fit for every computation on shapes. */
static void try_config(struct eng_bytes input)
{
    struct eng_model_shape shape = {0}, generation = {0};
    struct base_error error = {0}, other = {0};
    enum base_status status = eng_hf_config_parse(&shape, input, &error);
    check_error(status, &error);
    check_error(eng_hf_generation_parse(&generation, input, &other), &other);
    if (status != BASE_OK || eng_model_shape_check(&shape, NULL) != BASE_OK)
        return;
    uint64_t *turns = NULL;
    if (base_alloc(&turns, shape.head_dim / 2, sizeof *turns, NULL) != BASE_OK)
        abort();
    eng_model_rope_turns(&shape, turns);
    base_free(&turns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct eng_bytes input = {data, size};
    try_single(eng_gguf_load, input);
    try_single(eng_llama2c_load, input);
    try_safetensors(input, false);
    try_safetensors(input, true);
    try_config(input);
    return 0;
}
