/* Two parties without P0: the pair's generator, COTs and maker behind a session (engine/session.h). */
#ifndef CACHET_PARTIES_TWO_H
#define CACHET_PARTIES_TWO_H

#include "engine/session.h"
#include "pair/maker.h"

struct party_two {
    struct eng_session_maker of_session;
    const struct kern_table *kern;
    struct pair_party pair;
    struct pair_tape *tape;
    struct pair_maker maker;
    struct pair_reader reader;
    bool joined;
};

/* Stays where it is while its session lives. */
BASE_MUST_USE enum base_status party_two_init(struct party_two *ret, const struct kern_table *kern, struct base_error *error);
void party_two_finish(struct party_two *two);

#endif
