/* Where float weights come from: model files, and numbers made for a shape. */
#include "base/random.h"
#include "engine/weights.h"

#include <math.h>

static enum base_status read_file(const void *context, enum eng_tensor tensor, size_t layer,
                                  struct eng_row_range range, float *ret, struct base_error *error)
{
    return eng_model_file_read_rows(context, tensor, layer, range, ret, error);
}

struct eng_weight_source eng_weights_of_file(const struct eng_model_file *file)
{
    return (struct eng_weight_source){
        .shape = eng_model_file_shape(file), .read = read_file, .context = file};
}

static enum base_status read_synthetic(const void *context, enum eng_tensor tensor, size_t layer,
                                       struct eng_row_range range, float *ret, struct base_error *error)
{
    (void)error;
    const struct eng_model_shape *shape = context;
    size_t rows, columns;
    eng_tensor_extent(shape, tensor, &rows, &columns);
    if (shape->one_layer)
        layer = 0;
    bool gain = tensor == ENG_TENSOR_ATTENTION_NORM || tensor == ENG_TENSOR_MLP_NORM ||
                tensor == ENG_TENSOR_FINAL_NORM;
    /* A tied head is the embedding. Residual branches are damped, as trained models keep them. */
    if (tensor == ENG_TENSOR_HEAD && shape->tied)
        tensor = ENG_TENSOR_EMBEDDING;
    bool branch = tensor == ENG_TENSOR_O || tensor == ENG_TENSOR_DOWN;
    bool bias = !gain && eng_tensor_is_vector(tensor);
    bool table = tensor == ENG_TENSOR_EMBEDDING || tensor == ENG_TENSOR_POSITION;
    /* Those of Q, K and V are as large as what they join; the others keep out of the way. */
    double level =
        tensor == ENG_TENSOR_Q_BIAS || tensor == ENG_TENSOR_K_BIAS || tensor == ENG_TENSOR_V_BIAS ? 1 : 0.1;
    double spread = sqrt(3.0 / (double)columns) * (branch ? sqrt(0.5 / (double)shape->layers) : 1.0);
    uint64_t seed = base_random_mix((uint64_t)(tensor + 1) << 32 | layer);
    /* A layer that serves for all reads a residual of one size. */
    double embedding = shape->one_layer ? sqrt(3.0) : 0.05;
    for (size_t i = 0; i < range.rows * columns; i++) {
        double unit = (double)(int64_t)base_random_mix(seed + range.first_row * columns + i) * 0x1p-63;
        ret[i] = (float)(gain ? 1 + 0.25 * unit : unit * (bias ? level : table ? embedding : spread));
    }
    return BASE_OK;
}

struct eng_weight_source eng_weights_synthetic(const struct eng_model_shape *shape)
{
    return (struct eng_weight_source){.shape = shape, .read = read_synthetic, .context = shape};
}
