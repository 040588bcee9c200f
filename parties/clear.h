/* Generation without shares: the plaintext twin of a model and a plan. */
#ifndef CACHET_PARTIES_CLEAR_H
#define CACHET_PARTIES_CLEAR_H

#include "kvcache/policy.h"
#include "parties/generation.h"
#include "parties/model.h"

struct clear_form {
    const struct model *model;
    const struct eng_plan *plan;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t context;
};

/* Quantizes the model in memory (8 bytes per weight) and runs it. live: the text is printed as it comes. */
BASE_MUST_USE enum base_status clear_generate(const struct clear_form *form,
                                              const struct generation_context *context,
                                              const struct eng_tokens *prompt, bool live,
                                              struct generation_run *ret, struct base_error *error);

#endif
