/* Two parties without P0: the pair's generator, COTs and maker behind a session (engine/session.h). */
#ifndef CACHET_PARTIES_TWO_H
#define CACHET_PARTIES_TWO_H

#include "base/log.h"
#include "engine/session.h"
#include "pair/maker.h"
#include "pair/store_file.h"

struct party_two {
    struct eng_session_maker of_session;
    const struct kern_table *kern;
    struct pair_party pair;
    struct pair_tape *tape;
    struct pair_maker maker;
    struct pair_reader reader;
    bool joined;
    struct pair_store weights;     /* encrypted, of this model: they outlive meetings and, in a file, the process */
    struct pair_store_owner owner;
    char path[4096];               /* of that file; empty: none */
    bool fresh;                    /* they are not in it */
    const struct base_log *log;    /* NULL: says nothing */
};

/* Stays where it is while its session lives. */
BASE_MUST_USE enum base_status party_two_init(struct party_two *ret, const struct kern_table *kern, struct base_error *error);
/* Before the first join: encrypted weights are read from a file in `directory`, and written to it when they are made. digest: of what they belong to. A file that
 * cannot be used is named in the log and made anew. Errors: BASE_ERR_ARGUMENT (too long a path). */
BASE_MUST_USE enum base_status party_two_keep(struct party_two *two, int party, const char *directory, const uint8_t digest[PAIR_STORE_DIGEST],
                                              struct base_error *error);
void party_two_finish(struct party_two *two);

#endif
