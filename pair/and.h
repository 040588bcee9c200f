/* AND of two bits that P1 and P2 draw: shares mod 2^R of rho1 rho2, one COT. What an extension of a wire, a lift or a product of masked
 * bits needs. rho of the COTs' receiver is the COT's own choice bit, so nothing is asked for; rho of the sender is drawn afresh.
 * (An AND of bits that are given is pair_gilboa with bits = 1.)
 *
 * Cost, n bits: 1 exchange, n COTs, the sender sends n R bits (R = 1: XOR shares). Reveals: nothing (pair/ot.h). */
#ifndef CACHET_PAIR_AND_H
#define CACHET_PAIR_AND_H

#include "pair/party.h"

struct pair_and_form {
    int sender; /* of the COTs; batches do well to take turns */
    size_t count;
    int ring;
};

struct pair_and {
    struct pair_job job;
    struct pair_and_form form;
    uint64_t *rho, *share; /* [count] each, complete after the job */
    uint64_t *sent;
    struct pair_block *scratch;
    uint64_t first;
    const struct pair_block *key;
};

BASE_MUST_USE enum base_status pair_and_init(struct pair_and *ret, const struct pair_party *p, struct pair_and_form form, uint64_t *rho,
                                             uint64_t *share, struct base_error *error);
struct pair_cost pair_and_cost(struct pair_and_form form);

#endif
