/* How the client chooses the next token from logits that it alone has seen. */
#ifndef CACHET_ENGINE_SAMPLER_H
#define CACHET_ENGINE_SAMPLER_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed: greedy. */
struct eng_sampling {
    double temperature; /* 0: the largest logit, the lowest id among equal ones */
    size_t top_k;       /* 0: all; else only the k largest logits */
    double top_p;       /* 0 or 1: all; else the fewest tokens whose probabilities reach it */
    uint64_t seed;      /* equal seeds and logits, equal tokens; nearly equal logits, nearly always */
};

struct eng_sampler {
    struct eng_sampling sampling;
    size_t vocab;
    uint64_t state;
    struct eng_candidate *candidate; /* [vocab] */
    double *noise;                   /* [vocab] */
};

/* Errors: BASE_ERR_ARGUMENT naming the value outside 0 to 100 (temperature) or 0 to 1 (top_p). */
BASE_MUST_USE enum base_status eng_sampler_init(struct eng_sampler *ret, struct eng_sampling sampling,
                                                size_t vocab, struct base_error *error);
void eng_sampler_finish(struct eng_sampler *sampler);

/* logits [vocab], normalised. Order: temperature, then top_k, then top_p, then one draw. */
int32_t eng_sampler_pick(struct eng_sampler *sampler, const double *logits);

#endif
