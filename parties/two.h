/* Two parties without P0: the pair's generator, COTs and maker behind a session (engine/session.h), and its texts made ahead of use. */
#ifndef CACHET_PARTIES_TWO_H
#define CACHET_PARTIES_TWO_H

#include "base/log.h"
#include "engine/session.h"
#include "net/hello.h"
#include "net/keys.h"
#include "pair/maker.h"
#include "pair/store_file.h"
#include "pair/spool.h"

struct party_two {
    struct eng_session_maker of_session;
    const struct kern_table *kern;
    struct pair_party pair;
    struct pair_tape *tape;
    struct pair_maker maker;
    struct pair_reader reader;
    struct pair_spool spool;
    bool refuses; /* requests for which no text waits; set by the owner */
    struct pair_text text; /* that is being used */
    struct pair_party old; /* Delta of the session in which it was made */
    bool joined;
    struct pair_store weights;     /* encrypted, of this model: they outlive meetings and, in a file, the process */
    struct pair_store_owner owner;
    char path[4096];               /* of that file; empty: none */
    bool fresh;                    /* they are not in it */
    const struct base_log *log;    /* NULL: says nothing */
};

/* Stays where it is while its session lives. There is no spool at first. */
BASE_MUST_USE enum base_status party_two_init(struct party_two *ret, const struct kern_table *kern, struct base_error *error);
/* Before the first join: encrypted weights are read from a file in `directory`, and written to it when they are made. digest: of what they belong to. A file that
 * cannot be used is named in the log and made anew. Errors: BASE_ERR_ARGUMENT (too long a path). */
BASE_MUST_USE enum base_status party_two_keep(struct party_two *two, int party, const char *directory, const uint8_t digest[PAIR_STORE_DIGEST],
                                              struct base_error *error);
void party_two_finish(struct party_two *two);
/* What such a pair would make, counted and not made. */
void party_two_count(struct pair_maker *ret);

struct party_two_spool {
    const char *directory;
    const struct base_log *log;
    int party;
    const struct net_key *key;            /* the party's: that of its files follows from it */
    const struct net_hello_field *fields; /* what the material depends on (node_identify) */
    size_t field_count;
    uint32_t most;
};
/* How the spool of such a party is opened; names and ends as pair_spool_open. */
void party_two_spool_config(const struct party_two_spool *form, struct pair_spool_config *ret);
BASE_MUST_USE enum base_status party_two_open_spool(struct party_two *two, const struct party_two_spool *form, struct base_error *error);

#endif
