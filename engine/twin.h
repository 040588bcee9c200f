/* The plaintext twin as a backend: the decoder graph of the parties on the same fixed-point integers, in one
 * process. The oracle of every test, and the checker of every declared bound and range. */
#ifndef CACHET_ENGINE_TWIN_H
#define CACHET_ENGINE_TWIN_H

#include "engine/backend.h"
#include "engine/decoder.h"

struct eng_twin {
    struct eng_decoder decoder;
    struct mpc_party party;
    struct eng_request request;
    int64_t *hot; /* [chunk][vocab] */
};

/* form.weights in the clear form. The twin must stay where it is while it lives. */
BASE_MUST_USE enum base_status eng_twin_init(struct eng_twin *ret, struct eng_decoder_form form,
                                             const struct kern_table *kern, enum eng_request_mode mode,
                                             struct base_error *error);
void eng_twin_finish(struct eng_twin *twin);
struct eng_backend eng_twin_backend(struct eng_twin *twin);
/* Forgets the context. Violations go on counting. */
void eng_twin_reset(struct eng_twin *twin);

#endif
