/* HELLO: the first words on a fresh link. Both ends send what they run with, compare, and name the field that
 * differs with both values, each on its own side; then the session id binds every later frame to this
 * meeting. */
#ifndef CACHET_NET_HELLO_H
#define CACHET_NET_HELLO_H

#include "net/link.h"

enum {
    NET_HELLO_NONCE = 32,
    NET_HELLO_DIGEST = 32,
    NET_HELLO_FIELDS = 32,       /* fields, at most */
    NET_HELLO_NAME = 64,         /* bytes of a field's name, at most */
    NET_HELLO_VALUE = 1024,      /* bytes of a field's value, at most */
    NET_HELLO_STEP = 0x48454c4f, /* step id of its messages */
};

/* One thing that both ends must agree on: build version, ring, suite, model digest, plan digest, share-set
 * digest, cache policy and its digest. Public values only. */
struct net_hello_field {
    const char *name; /* "model digest" */
    const char *text; /* the value, or NULL when it is the bytes below (shown as hex) */
    const void *bytes;
    size_t size;
};

struct net_hello_config {
    uint8_t own_id;                          /* 0, 1, 2 for parties, more for clients; the two ends differ */
    uint8_t peer_id;                         /* whom this end expects */
    uint8_t config_digest[NET_HELLO_DIGEST]; /* of what both ends configured alike; compared, and part of the
                                                session id */
    const struct net_hello_field *fields;    /* borrowed */
    size_t field_count;
};

/* Exchanges and compares, then sets the session on the link. *ret_session, if not NULL, gets the session id:
 * the first 16 bytes of BLAKE2b-256("cachet session 1", nonce of the lower id, nonce of the higher id, config
 * digest). After a failure this end has told the peer why and the link is dead. Cost: one message each way.
 * Reveals: the fields, to the peer. Errors: BASE_ERR_MISMATCH naming the field and both values; BASE_ERR_PEER
 * (malformed, or not the party expected here); those of a link, naming peer and address. */
BASE_MUST_USE enum base_status net_hello(struct net_link *link, const struct net_hello_config *config,
                                         uint8_t ret_session[16], struct base_error *error);

#endif
