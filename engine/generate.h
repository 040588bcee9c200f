/* From a prompt to tokens: feeds the prompt in chunks, then one token at a time, over any backend. */
#ifndef CACHET_ENGINE_GENERATE_H
#define CACHET_ENGINE_GENERATE_H

#include "engine/backend.h"
#include "engine/sampler.h"

/* Called for each new token; false ends the generation. And for prompt rows done, with new_tokens 0. */
typedef bool (*eng_token_fn)(void *context, int32_t token);
typedef void (*eng_prefill_fn)(void *context, size_t done, size_t total);

/* Whether the token ends the model's text. */
bool eng_ends_text(const struct eng_model_shape *shape, int32_t token);

struct eng_generation {
    const struct eng_backend *backend;
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    struct eng_sampler *sampler; /* unused when tokens are chosen inside */
    const int32_t *prompt;
    size_t prompt_tokens;
    size_t made_up; /* of them, the first so many are not fed (engine/request.h) */
    size_t new_tokens;  /* at most */
    bool ignore_eos;    /* go on after the model's end of text */
    eng_token_fn token; /* may be NULL, as the next one */
    eng_prefill_fn prefill;
    void *context;
};

struct eng_generated {
    int32_t *tokens; /* [count]; an end-of-text token is not among them */
    size_t count;
    double prefill_seconds, decode_seconds; /* until the first token; from there on */
    size_t decode_steps;                    /* steps after the prompt's */
    double *step_seconds;                   /* [decode_steps] */
};

/* Errors: the backend's. Free with eng_generated_finish. */
BASE_MUST_USE enum base_status eng_generate(const struct eng_generation *generation,
                                            struct eng_generated *ret, struct base_error *error);
void eng_generated_finish(struct eng_generated *generated);

#endif
