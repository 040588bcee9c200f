/* A party between its links: agrees on keys with its peers once, then answers requests one after the other.
 *
 * P1 and P2 compute in step with the client. P0 deals for the whole request as soon as it has come, as far
 * ahead as the byte limit of its links allows, and receives nothing until the client is done. Every request
 * draws from fresh streams, derived from keys to which both ends of a pair contributed. The same code runs
 * over memory links (three roles in one process) and over TCP. */
#ifndef CACHET_ENGINE_SESSION_H
#define CACHET_ENGINE_SESSION_H

#include "engine/decoder.h"
#include "engine/request.h"

enum { ENG_SESSION_KEY = 32 };

struct eng_session_links {
    struct net_link *to[3]; /* the other two parties; the own entry is NULL */
};

struct eng_session {
    struct eng_decoder decoder;
    struct mpc_party party;
    struct mpc_link_source source;
    struct eng_session_links links;
    uint8_t key1[ENG_SESSION_KEY],
        key2[ENG_SESSION_KEY],  /* with (P0, P1) and with (P0, P2), as far as the role holds them */
        key12[ENG_SESSION_KEY]; /* with (P1, P2): P0 does not hold it */
    uint64_t requests;
    bool made_up_rows; /* takes requests that begin with made-up cached rows */
    int (*cancelled)(void *context); /* non-zero ends P0's wait for the client; NULL: never */
};

/* Makes decoder and work area. The session must stay where it is while it lives. */
BASE_MUST_USE enum base_status eng_session_init(struct eng_session *ret, enum mpc_role role,
                                                struct eng_decoder_form form, const struct kern_table *kern,
                                                struct base_error *error);
void eng_session_finish(struct eng_session *session);

/* Takes fresh links to the other parties (borrowed) and agrees on the keys of this meeting. Cost: 32 bytes
 * each way with each of them. */
BASE_MUST_USE enum base_status eng_session_join(struct eng_session *session,
                                                const struct eng_session_links *links,
                                                struct base_error *error);
/* Given keys instead of agreed ones: for runs that must be repeated bit for bit. */
void eng_session_set_keys(struct eng_session *session, const uint8_t key1[ENG_SESSION_KEY],
                          const uint8_t key2[ENG_SESSION_KEY], const uint8_t key12[ENG_SESSION_KEY]);

/* Answers one request of a client, and pings before it; a client that only pinged leaves *ret_usage zero. A
 * request that must be refused costs the client its link, nothing else; any failure after its start tells
 * every peer and ends the links to them, and the parties have to join again: *ret_joined says which. Errors:
 * BASE_ERR_ARGUMENT (refused), and those of links and gates. */
BASE_MUST_USE enum base_status eng_session_serve(struct eng_session *session, struct net_link *client,
                                                 struct eng_usage *ret_usage, bool *ret_joined,
                                                 struct base_error *error);

#endif
