/* The weights of a model as the decoder reads them: integers of the numeric plan, masked once for the model's
 * life.
 *
 * Everything that is linear and public to the model owner is folded in beforehand, in the clear: norm gains,
 * a power-of-two 1 / rms per norm, 1 / sqrt(head_dim) into Q and its bias. LayerNorm does not see the mean of
 * its input, and nothing else reads the residual: so all that writes it (embedding, positions, O, DOWN and
 * their biases) is centred, rows of the residual have mean 0, and LayerNorm is RMSNorm. Its own bias b joins
 * the next bias: W b + c; that of the logits is one more column of the head, times the rms. A role's weights
 * are one block of memory whose layout follows from shape and plan alone, so that it can be written to a
 * file, mapped, or kept in memory without change. Memory: P1 and P2 two words of 8, 6 or 4 bytes per weight, by
 * the ring of its product (eng_plan_product_ring), and 8 per embedding entry, P0 half of that. */
#ifndef CACHET_ENGINE_WEIGHTS_H
#define CACHET_ENGINE_WEIGHTS_H

#include "base/progress.h"
#include "engine/formats/model_file.h"
#include "engine/plan.h"
#include "mpc/party.h"
#include "protocols/row_lookup.h"

struct eng_layer_weights {
    struct mpc_matrix q, k, v, o, gate, up, down;
    struct mpc_matrix q_bias, k_bias,
        v_bias; /* one row, or none; q and k before RoPE, at the fraction that the folded norm leaves */
    struct mpc_matrix o_bias, up_bias, down_bias; /* one row, or none, at the fraction of what they join */
};

/* The masked weights of a model in one role's form: matrices that point into a block that the caller owns. */
struct eng_weights {
    struct sec_row_table embedding;
    struct sec_row_table positions; /* no rows: none */
    struct eng_layer_weights *layer;
    struct mpc_matrix head; /* [vocab][eng_weights_head_inner] */
};

/* The residual, and the rms where the logits have a bias. */
size_t eng_weights_head_inner(const struct eng_model_shape *shape);

/* Bytes of a role's block; 0 in the count role. The plan has the model's layers (eng_weights_init says so if it does not). */
size_t eng_weights_size(enum mpc_role role, const struct eng_model_shape *shape, const struct eng_plan *plan);

/* Elements of the matrices by the word that they lie in; the embedding and positions are not among them. */
struct eng_weight_words {
    uint64_t count[KERN_WORDS];
};
struct eng_weight_words eng_weights_words(const struct eng_model_shape *shape, const struct eng_plan *plan);

/* Weights that are masked, embedding, positions and head. */
uint64_t eng_weights_count(const struct eng_model_shape *shape);

/* Lays the matrices out over `block` (64-byte aligned, eng_weights_size bytes; NULL in the count role). */
BASE_MUST_USE enum base_status eng_weights_init(struct eng_weights *ret, enum mpc_role role,
                                                const struct eng_model_shape *shape,
                                                const struct eng_plan *plan, void *block,
                                                struct base_error *error);
void eng_weights_finish(struct eng_weights *weights);

/* Where float weights come from: a model file, or numbers made for a shape that only has to be timed. */
struct eng_weight_source {
    const struct eng_model_shape *shape;
    enum base_status (*read)(const void *context, enum eng_tensor tensor, size_t layer,
                             struct eng_row_range range, float *ret, struct base_error *error);
    const void *context;
};
struct eng_weight_source eng_weights_of_file(const struct eng_model_file *file);
/* Repeatable random weights of a shape, scaled so that activations keep their size from layer to layer. */
struct eng_weight_source eng_weights_synthetic(const struct eng_model_shape *shape);

/* The roles to write for, and the keys of the two mask halves: (P0, P1) and (P0, P2). Keys serve for one set
 * of shares and are forgotten. */
struct eng_weight_targets {
    void *block[MPC_COUNT]; /* by role; NULL: not wanted */
    uint8_t key1[16], key2[16];
    const struct kern_table *kern;
};

/* Quantizes and masks every weight into the targets. `progress` may be NULL: it shows weights done.
 * Cost: reads every weight once, matrices that are centred or take a norm's bias in twice; no matrix is held
 * whole. Errors: BASE_ERR_RANGE (a weight too large for the plan; the text names the tensor), and the
 * source's. */
BASE_MUST_USE enum base_status eng_weights_make(const struct eng_weight_source *source,
                                                const struct eng_plan *plan,
                                                const struct eng_weight_targets *targets,
                                                struct base_progress *progress, struct base_error *error);

#endif
