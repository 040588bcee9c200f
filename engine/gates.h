/* The gate tables of a model, made once from its shape and plan: public, and the same bits at every party. */
#ifndef CACHET_ENGINE_GATES_H
#define CACHET_ENGINE_GATES_H

#include "engine/formats/model_file.h"
#include "engine/plan.h"
#include "protocols/coarse_max.h"
#include "protocols/exp.h"
#include "protocols/exp_two.h"
#include "protocols/guard.h"
#include "protocols/reciprocal_two.h"
#include "protocols/segments.h"
#include "protocols/spline.h"
#include "protocols/wave.h"
#include "protocols/windows.h"

struct eng_layer_gates {
    struct sec_spline norm_squared; /* t and t^2, before attention when the norm is deferred */
    struct sec_spline norm[ENG_NORMS];
    struct sec_coarse_max coarse_max;
    /* Attention by a row maximum. */
    size_t exp; /* index into eng_gates.exp: layers of equal form share a table; the same below */
    /* Attention by ceilings. */
    size_t exp_two[ENG_RANGES];
    size_t reciprocal_two;
    /* Of scores (the first one in a layer with a row maximum), and of the activation's input. */
    struct sec_guard guard[ENG_RANGES];
    struct sec_guard guard_activation;
    uint64_t guard_activation_offset;
};

struct eng_gates {
    size_t layers;
    struct eng_layer_gates *layer;
    size_t exp_count, exp_two_count, reciprocal_two_count;
    struct sec_exp *exp;
    struct sec_exp_two *exp_two;
    struct sec_reciprocal_two *reciprocal_two;
    struct sec_spline reciprocal;
    struct sec_windows windows;      /* instead, of two parties: 1 / S */
    struct sec_spline root;          /* the final rms, where logits have biases */
    struct sec_wave wave[ENG_WAVES]; /* those that a layer uses */
    struct sec_segments activation;  /* SiLU, or GELU where the MLP has no gate */
    int sum_bits;                    /* bits of S as the division reads it */
    int sum_cut;                     /* bits that S loses before */
};

BASE_MUST_USE enum base_status eng_gates_init(struct eng_gates *ret, const struct eng_model_shape *shape,
                                              const struct eng_plan *plan, struct base_error *error);
/* r = sqrt(s / d + eps) with the residual's fraction, from the final s = sum x^2, in the ring
 * eng_plan_root_ring. */
struct sec_spline_form eng_gates_root_form(const struct eng_model_shape *shape, const struct eng_plan *plan);
void eng_gates_finish(struct eng_gates *gates);
/* SHA-256 over every public table: parties compare it, so that a machine whose arithmetic differs is refused.
 */
void eng_gates_digest(const struct eng_gates *gates, uint8_t ret[32]);

#endif
