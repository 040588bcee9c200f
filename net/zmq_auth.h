/* Admission of keys: the ZAP handler thread of a context (ZeroMQ RFC 27). For net/zmq_*.c alone.
 *
 * A domain is one bound socket. It has a list of keys and admits one connection: the first with a key on the
 * list. An unknown key is refused (400), a known one behind it is told "busy" (500). */
#ifndef CACHET_NET_ZMQ_AUTH_H
#define CACHET_NET_ZMQ_AUTH_H

#include "net/zmq_link.h"

#include <stdbool.h>

enum { NET_DOMAIN_SIZE = 80 };

struct net_auth;

struct net_auth_state {
    bool taken;       /* a connection was admitted */
    int64_t taken_ms; /* when (base_clock_ms) */
    size_t who;       /* index in the list */
    uint64_t refused; /* connections with a key that is not on the list */
    uint64_t busy;    /* connections that came while it was taken */
};

/* Starts the handler and asks it one request that it must accept and three that it must refuse. */
BASE_MUST_USE enum base_status net_auth_create(struct net_auth **ret, void *zmq_context,
                                               struct base_error *error);
void net_auth_destroy(struct net_auth **auth);

/* Adds a domain (its name must be new; the keys are copied), removes it, reads it (zeros when it is not
 * there). */
BASE_MUST_USE enum base_status net_auth_open(struct net_auth *auth, const char *domain,
                                             const struct net_peer_key *allowed, size_t allowed_count,
                                             struct base_error *error);
void net_auth_close(struct net_auth *auth, const char *domain);
void net_auth_read(struct net_auth *auth, const char *domain, struct net_auth_state *ret);

#endif
