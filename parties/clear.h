/* Generation without shares: the plaintext twin of a model and a plan. */
#ifndef CACHET_PARTIES_CLEAR_H
#define CACHET_PARTIES_CLEAR_H

#include "engine/decoder.h"
#include "parties/generation.h"
#include "parties/model.h"

struct clear_form {
    const struct model *model;
    const struct eng_plan *plan;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t context;
};

/* A model's weights in the clear form of a plan, and the plan's gates: what every twin of it borrows. */
struct clear_model {
    struct eng_weights weights;
    struct eng_gates gates;
    void *block;
};
/* Quantizes the model in memory (8 bytes per weight). Errors: those of weights and gates. */
BASE_MUST_USE enum base_status clear_open(struct clear_model *ret, const struct model *model,
                                          const struct eng_plan *plan, struct base_error *error);
/* Accepts a zeroed one. */
void clear_close(struct clear_model *clear);

/* Quantizes the model in memory (8 bytes per weight) and runs it. live: the text is printed as it comes. */
BASE_MUST_USE enum base_status clear_generate(const struct clear_form *form,
                                              const struct generation_context *context,
                                              const struct eng_tokens *prompt, bool live,
                                              struct generation_run *ret, struct base_error *error);

#endif
