/* The numeric plan of a model from calibration tokens: runs the float model, takes the largest magnitude of
 * every wire, adds a margin, and gives the finest plan that fits its rings.
 *
 * Margin: one bit on every wire, 30 % on scores and a quarter on the activation's input, two bits each way on
 * mean squares. Each layer takes the cheap gates where its ranges allow them (engine/calibrate_scores.h), the
 * general ones elsewhere. Source: specification, plan.py (calibrate). */
#ifndef CACHET_ENGINE_CALIBRATE_H
#define CACHET_ENGINE_CALIBRATE_H

#include "engine/reference.h"

struct eng_calibration {
    const int32_t *tokens; /* sequences one after the other */
    const size_t *lengths;
    size_t sequences;
    size_t context; /* longest prompt plus answer that the plan is for */
    /* General gates even where the range of a layer would allow the cheap ones. */
    bool general_attention, general_activation;
    bool profile; /* the profile of heads and layers, too (engine/calibrate_profile.h) */
    /* Of layers whose attention finds row maxima: */
    bool thin; /* bins of 4 nats and cells of 8: fewer dealt bytes, one round more per layer */
    bool fold; /* the norm is folded into q, k, v when decoding too: 17 rounds, fewer bytes per cached row */
};

/* Why a layer has its gates. */
struct eng_layer_choice {
    double largest_score; /* magnitude, in nats */
    double largest_gate;  /* of the activation's input */
    bool looked;          /* whether ceilings were looked for */
};

/* ret_choices: [layers], or NULL. Errors: BASE_ERR_RANGE when no choice of widths fits (the text names layer
 * and condition), and the reference's. */
BASE_MUST_USE enum base_status eng_calibrate(struct eng_plan *ret, const struct eng_weight_source *source,
                                             const struct eng_calibration *calibration,
                                             struct eng_layer_choice *ret_choices,
                                             struct base_progress *progress, struct base_error *error);

/* Calibration tokens when no text is given: the model's own samples at temperature 0.8 from `start`,
 * `sequences` of `length` each, repeatable. ret: [sequences * length]. */
BASE_MUST_USE enum base_status eng_calibration_samples(const struct eng_weight_source *source, int32_t start,
                                                       size_t sequences, size_t length, int32_t *ret,
                                                       struct base_progress *progress,
                                                       struct base_error *error);

#endif
