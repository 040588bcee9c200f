/* The model in float32, in the clear: what the numeric plan is calibrated on and what fidelity is measured
 * against. It shares no arithmetic with the engine on integers.
 *
 * Memory: 4 bytes per weight, and 8 bytes per cached element. Belongs to one thread. */
#ifndef CACHET_ENGINE_REFERENCE_H
#define CACHET_ENGINE_REFERENCE_H

#include "engine/weights.h"

/* What a probe sees beside the wires of enum eng_wire: mean squares before the two norms, the un-normalised
 * logits, and the mean squares before the final norm. */
enum {
    ENG_PROBE_SQUARES = ENG_WIRES,
    ENG_PROBE_LOGITS = ENG_WIRES + ENG_NORMS,
    ENG_PROBE_FINAL_SQUARES,
    ENG_PROBES
};

/* `count` values of a wire of one layer: as floats before the plan's scaling (u_q with the gain and 1 /
 * sqrt(head_dim), without 1 / rms), and with LayerNorm as the graph on integers has them: what makes or is
 * the residual without its mean. The model itself is computed as it is written: nothing is centred
 * beforehand. ENG_SCORE: the scores of one row of `head`, its own last; other wires: rows of the whole layer,
 * and head is 0. */
typedef void (*eng_probe_fn)(void *context, int wire, size_t layer, size_t head, const float *values,
                             size_t count);

/* Rows that go through a layer together. */
enum { ENG_REFERENCE_ROWS = 64 };

struct eng_reference;

/* Loads every weight. `context`: positions at most. */
BASE_MUST_USE enum base_status eng_reference_create(struct eng_reference **ret,
                                                    const struct eng_weight_source *source, size_t context,
                                                    struct base_error *error);
void eng_reference_destroy(struct eng_reference **reference);
/* Forgets the context. */
void eng_reference_reset(struct eng_reference *reference);
void eng_reference_set_probe(struct eng_reference *reference, eng_probe_fn probe, void *context);
/* Rows of V of a layer so far, those of the step under way included: [rows][kv_heads][head_dim]. */
const float *eng_reference_values(const struct eng_reference *reference, size_t layer);
/* What the outputs of one KV head's query heads, [heads / kv_heads][head_dim], add to the residual: ret
 * [width]. */
void eng_reference_project(const struct eng_reference *reference, size_t layer, size_t kv_head,
                           const float *outputs, float *ret);

/* Runs n more tokens. ret_logits: [n][vocab] (normalised), NULL to skip the head. Errors: BASE_ERR_ARGUMENT
 * (a token outside the vocabulary, or more positions than the context). */
BASE_MUST_USE enum base_status eng_reference_forward(struct eng_reference *reference, const int32_t *tokens,
                                                     size_t n, float *ret_logits, struct base_error *error);

#endif
