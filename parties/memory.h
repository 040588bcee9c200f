/* What a party will need, said before it starts. */
#ifndef CACHET_PARTIES_MEMORY_H
#define CACHET_PARTIES_MEMORY_H

#include "engine/session.h"

struct memory_need {
    uint64_t weights, cache, work, queues; /* bytes */
    uint64_t encrypted;                    /* two parties: the other's weights, encrypted */
};
struct memory_form {
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t context;
    size_t slots;       /* requests at the same time; 0: one */
    size_t queue_bytes; /* per link */
    bool alone;         /* two parties without P0 */
};
/* role: MPC_HELPER, MPC_LEFT, MPC_RIGHT, or MPC_CLEAR for the twin. Errors: those of the policy. */
BASE_MUST_USE enum base_status memory_of(struct memory_need *ret, enum mpc_role role,
                                         const struct memory_form *form, struct base_error *error);
uint64_t memory_total(const struct memory_need *need);
/* "12 MB weights, ..", for people. Returns ret. */
enum { MEMORY_TEXT = 160 };
const char *memory_text(const struct memory_need *need, char ret[MEMORY_TEXT]);
/* Bytes that the system could give now; 0 when it does not say. */
uint64_t memory_available(void);

#endif
