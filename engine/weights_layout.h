/* What lays the weights out and what makes them share; private to engine/. */
#ifndef CACHET_ENGINE_WEIGHTS_LAYOUT_H
#define CACHET_ENGINE_WEIGHTS_LAYOUT_H

#include "engine/weights.h"

/* The matrices of a layer in the order of the block: tensor, place, norm whose gain is folded in (-1: none).
 */
struct eng_matrix_kind {
    enum eng_tensor tensor;
    size_t offset; /* in struct eng_layer_weights */
    int norm;
};
enum { ENG_MATRIX_KINDS = 13 };
extern const struct eng_matrix_kind eng_matrix_kinds[ENG_MATRIX_KINDS];

struct mpc_matrix *eng_matrix_of(struct eng_layer_weights *layer, int kind);
/* Fraction bits of a kind in a layer. */
int eng_matrix_fraction(const struct eng_plan *plan, size_t layer, int kind);
/* Ring in which a kind is masked and multiplied in a layer, and that of the head. */
int eng_matrix_ring(const struct eng_plan *plan, const struct eng_model_shape *shape, size_t layer, int kind);
int eng_head_ring(const struct eng_plan *plan, const struct eng_model_shape *shape);
/* Extents of a tensor as it is masked: eng_tensor_extent's, and a column more of the head where logits have
 * biases. */
void eng_masked_extent(const struct eng_model_shape *shape, enum eng_tensor tensor, size_t *ret_rows,
                       size_t *ret_columns);
/* Layers that have weights of their own. */
size_t eng_own_layers(const struct eng_model_shape *shape);

#endif
