#include "engine/weights.h"

#include "base/bits.h"
#include "base/memory.h"
#include "engine/weights_layout.h"

#include <stddef.h>

enum { ALIGNMENT = 64 };

#define KIND(tensor, field, norm)                                                                            \
    {                                                                                                        \
        tensor, offsetof(struct eng_layer_weights, field), norm                                              \
    }
const struct eng_matrix_kind eng_matrix_kinds[ENG_MATRIX_KINDS] = {
    KIND(ENG_TENSOR_Q, q, ENG_NORM_ATTENTION), KIND(ENG_TENSOR_K, k, ENG_NORM_ATTENTION),
    KIND(ENG_TENSOR_V, v, ENG_NORM_ATTENTION), KIND(ENG_TENSOR_O, o, -1),
    KIND(ENG_TENSOR_GATE, gate, ENG_NORM_MLP), KIND(ENG_TENSOR_UP, up, ENG_NORM_MLP),
    KIND(ENG_TENSOR_DOWN, down, -1),           KIND(ENG_TENSOR_Q_BIAS, q_bias, -1),
    KIND(ENG_TENSOR_K_BIAS, k_bias, -1),       KIND(ENG_TENSOR_V_BIAS, v_bias, -1),
    KIND(ENG_TENSOR_O_BIAS, o_bias, -1),       KIND(ENG_TENSOR_UP_BIAS, up_bias, -1),
    KIND(ENG_TENSOR_DOWN_BIAS, down_bias, -1),
};

struct mpc_matrix *eng_matrix_of(struct eng_layer_weights *layer, int kind)
{
    return (struct mpc_matrix *)((char *)layer + eng_matrix_kinds[kind].offset);
}

/* Biases join t u, which has fu + ft fraction bits (RoPE adds fc to those of Q and K), or a product with W_o
 * or W_down. */
int eng_matrix_fraction(const struct eng_plan *plan, size_t layer, int kind)
{
    int folded = plan->fu + plan->layer[layer].ft[ENG_NORM_ATTENTION];
    switch (eng_matrix_kinds[kind].tensor) {
    case ENG_TENSOR_Q_BIAS:
    case ENG_TENSOR_K_BIAS:
        return folded - plan->fc;
    case ENG_TENSOR_V_BIAS:
        return folded;
    case ENG_TENSOR_UP_BIAS:
        return plan->fu + plan->layer[layer].ft[ENG_NORM_MLP];
    case ENG_TENSOR_O_BIAS:
    case ENG_TENSOR_DOWN_BIAS:
        return plan->fu + plan->fwo;
    default:
        return eng_matrix_kinds[kind].norm < 0 ? plan->fwo : plan->fw;
    }
}

int eng_matrix_ring(const struct eng_plan *plan, const struct eng_model_shape *shape, size_t layer, int kind)
{
    switch (eng_matrix_kinds[kind].tensor) {
    case ENG_TENSOR_Q:
    case ENG_TENSOR_K:
        return eng_plan_product_ring(plan, layer, ENG_PRODUCT_QK);
    case ENG_TENSOR_V:
        return eng_plan_product_ring(plan, layer, ENG_PRODUCT_V);
    case ENG_TENSOR_O:
        return eng_plan_product_ring(plan, layer, ENG_PRODUCT_O);
    case ENG_TENSOR_GATE:
        return eng_plan_product_ring(plan, layer, ENG_PRODUCT_GATE);
    case ENG_TENSOR_UP:
        return eng_plan_product_ring(plan, layer, shape->activation == ENG_ACTIVATION_GELU ? ENG_PRODUCT_GATE : ENG_PRODUCT_UP);
    case ENG_TENSOR_DOWN:
        return eng_plan_product_ring(plan, layer, ENG_PRODUCT_DOWN);
    default: /* biases, which join products as they are */
        return plan->ring;
    }
}

int eng_head_ring(const struct eng_plan *plan, const struct eng_model_shape *shape)
{
    return shape->layer_norm ? eng_plan_root_ring(plan) : eng_plan_product_ring(plan, 0, ENG_PRODUCT_HEAD);
}

/* Hands out the block from its start. */
struct cursor {
    enum mpc_role role;
    char *block;
    size_t used;
};

static void *take(struct cursor *c, size_t bytes)
{
    void *at = c->block == NULL ? NULL : c->block + c->used;
    c->used += base_whole_units(bytes, ALIGNMENT);
    return at;
}

size_t eng_weights_head_inner(const struct eng_model_shape *shape)
{
    return shape->width + (shape->layer_norm ? 1 : 0);
}

void eng_masked_extent(const struct eng_model_shape *shape, enum eng_tensor tensor, size_t *ret_rows,
                       size_t *ret_columns)
{
    eng_tensor_extent(shape, tensor, ret_rows, ret_columns);
    if (tensor == ENG_TENSOR_HEAD)
        *ret_columns = eng_weights_head_inner(shape);
}

/* Who may read its own mask halves of these weights ahead of time (mpc/matrix.h). */
static enum mpc_role held_by(enum mpc_role role)
{
    return role == MPC_LEFT || role == MPC_RIGHT ? role : MPC_HELPER;
}

static struct mpc_matrix lay_out(struct cursor *c, const struct eng_model_shape *shape,
                                 enum eng_tensor tensor, int ring, int frac)
{
    size_t rows, columns;
    eng_masked_extent(shape, tensor, &rows, &columns);
    struct mpc_matrix m = {.ring = ring,
                           .frac = frac,
                           .bound = ring - 1,
                           .outs = rows,
                           .inner = columns,
                           .stride = mpc_matrix_stride(c->role, ring, columns),
                           .held = held_by(c->role),
                           .weights = true};
    m.data = take(c, rows * m.stride);
    return m;
}

static struct sec_row_table lay_out_table(struct cursor *c, const struct eng_model_shape *shape,
                                          enum eng_tensor tensor, int frac, int bound)
{
    size_t rows, columns;
    eng_tensor_extent(shape, tensor, &rows, &columns);
    struct sec_row_table table = {.rows = rows,
                                  .width = shape->width,
                                  .stride = sec_row_table_stride(c->role, shape->width),
                                  .frac = frac,
                                  .bound = bound,
                                  .held = held_by(c->role)};
    table.data = take(c, table.rows * table.stride * sizeof *table.data);
    return table;
}

size_t eng_own_layers(const struct eng_model_shape *shape)
{
    return shape->one_layer && shape->layers > 0 ? 1 : shape->layers;
}

size_t eng_weights_size(enum mpc_role role, const struct eng_model_shape *shape, const struct eng_plan *plan)
{
    struct cursor c = {.role = role};
    (void)lay_out_table(&c, shape, ENG_TENSOR_EMBEDDING, 0, 0);
    (void)lay_out_table(&c, shape, ENG_TENSOR_POSITION, 0, 0);
    for (size_t l = 0; l < eng_own_layers(shape); l++)
        for (int k = 0; k < ENG_MATRIX_KINDS; k++)
            (void)lay_out(&c, shape, eng_matrix_kinds[k].tensor, eng_matrix_ring(plan, shape, l, k), 0);
    (void)lay_out(&c, shape, ENG_TENSOR_HEAD, eng_head_ring(plan, shape), 0);
    return c.used;
}

struct eng_weight_words eng_weights_words(const struct eng_model_shape *shape, const struct eng_plan *plan)
{
    struct eng_weight_words words = {{0}};
    size_t rows, columns;
    for (size_t l = 0; l < eng_own_layers(shape); l++)
        for (int k = 0; k < ENG_MATRIX_KINDS; k++) {
            eng_masked_extent(shape, eng_matrix_kinds[k].tensor, &rows, &columns);
            words.count[kern_word_of(eng_matrix_ring(plan, shape, l, k))] += rows * columns;
        }
    eng_masked_extent(shape, ENG_TENSOR_HEAD, &rows, &columns);
    words.count[kern_word_of(eng_head_ring(plan, shape))] += rows * columns;
    return words;
}

uint64_t eng_weights_count(const struct eng_model_shape *shape)
{
    size_t rows, columns;
    eng_tensor_extent(shape, ENG_TENSOR_POSITION, &rows, &columns);
    uint64_t count = shape->vocab * (shape->width + eng_weights_head_inner(shape)) + rows * columns;
    for (int k = 0; k < ENG_MATRIX_KINDS; k++) {
        eng_tensor_extent(shape, eng_matrix_kinds[k].tensor, &rows, &columns);
        count += eng_own_layers(shape) * rows * columns;
    }
    return count;
}

enum base_status eng_weights_init(struct eng_weights *ret, enum mpc_role role,
                                  const struct eng_model_shape *shape, const struct eng_plan *plan,
                                  void *block, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weights w = {0};
    struct cursor c = {.role = role, .block = block};
    TRY_THAT(shape->layers == plan->layers, error, BASE_ERR_MISMATCH,
             "the plan has %zu layers and the model %zu: make a plan for this model", plan->layers,
             shape->layers);
    TRY_THAT((int)shape->heads == plan->heads, error, BASE_ERR_MISMATCH,
             "the plan has %d heads and the model %zu: make a plan for this model", plan->heads, shape->heads);
    TRY_THAT(!shape->qkv_bias || plan->fold, error, BASE_ERR_MISMATCH,
             "the plan does not fold the norm, which biases of Q, K and V need: make a plan for this model");
    TRY(base_alloc(&w.layer, shape->layers, sizeof *w.layer, error));
    w.embedding = lay_out_table(&c, shape, ENG_TENSOR_EMBEDDING, plan->fx, eng_plan_embedding_bound(plan));
    w.positions = lay_out_table(&c, shape, ENG_TENSOR_POSITION, plan->fx, eng_plan_embedding_bound(plan));
    for (size_t l = 0; l < eng_own_layers(shape); l++)
        for (int k = 0; k < ENG_MATRIX_KINDS; k++)
            *eng_matrix_of(&w.layer[l], k) =
                lay_out(&c, shape, eng_matrix_kinds[k].tensor, eng_matrix_ring(plan, shape, l, k),
                        eng_matrix_fraction(plan, l, k));
    for (size_t l = eng_own_layers(shape); l < shape->layers; l++)
        w.layer[l] = w.layer[0];
    w.head = lay_out(&c, shape, ENG_TENSOR_HEAD, eng_head_ring(plan, shape), plan->fw);
    *ret = w;
out:
    return status;
}

void eng_weights_finish(struct eng_weights *weights)
{
    base_free(&weights->layer);
}
