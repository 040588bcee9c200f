/* A request's steps on three roles beside the twin: what tests of the decoder and of cache policies share. */
#ifndef CACHET_TESTS_ENGINE_REQUEST_SUPPORT_H
#define CACHET_TESTS_ENGINE_REQUEST_SUPPORT_H

#include "engine/placed.h"
#include "tests/engine/decoder/model_support.h"

enum { REQUEST_STEPS = 40 };

/* One request: rows per step. */
struct request {
    const struct model *model;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t rows[REQUEST_STEPS];
    size_t steps;
    size_t context, chunk;
    size_t prompt; /* rows; 0: the policy does not ask */
    const struct trio_ahead *ahead; /* two parties without P0 (tests/support/two_parties.h) */
    const struct kern_table *kern;  /* NULL: the best */
    struct kern_device *device;     /* weights and caches are placed there; NULL: none */
    int only;        /* 1 + the role whose kern and device these are: the others have none; 0: everybody's */
    /* Before each step, and once after the last one; NULL: nobody. */
    void (*watch)(const struct request *request, struct mpc_party *p, size_t step);
    int linear;      /* how these make products: trio_job.linear */
    bool all_logits; /* of every row, not of the last one of a step */
};

/* Only runs it. */
BASE_MUST_USE enum base_status request_try(const struct request *request, uint64_t seed, struct trio *ret, struct base_error *error);
/* And checks every wire of all steps against the twin's on equal inputs, and declared against counted cost. `seed` chooses the prompt. */
void request_run(const struct request *request, uint64_t seed, struct trio *ret, const char *what);

#endif
