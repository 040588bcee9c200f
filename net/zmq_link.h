/* Links over TCP: ZeroMQ sockets with CURVE between fixed keys.
 *
 * A link is exactly one authenticated TCP connection. libzmq loses frames silently when it reconnects, so
 * nothing here ever reconnects under a living link: a lost connection ends the link, and a new link starts a
 * new session. A listening socket admits one connection in its life and answers "busy" to others; every
 * net_accept after a link has ended binds a fresh one. Who the peer is follows from its key alone.
 *
 * Ports of a party: base + NET_PORT_CLIENTS, + NET_PORT_FROM_P0, + NET_PORT_FROM_P1 (net/README.md has the
 * picture). */
#ifndef CACHET_NET_ZMQ_LINK_H
#define CACHET_NET_ZMQ_LINK_H

#include "net/link.h"

enum {
    NET_KEY_SIZE = 32, /* a CURVE key, public or secret */
    NET_PORT_CLIENTS = 0,
    NET_PORT_FROM_P0 = 1,
    NET_PORT_FROM_P1 = 2,
};

/* Whom a link joins: two parties, or a client and a party. Client links carry heartbeats. Party links do not,
 * as libzmq ends a link whose reader pauses for longer than the heartbeat, and a dealer that waits at its
 * byte limit is meant to; there TCP keep-alive finds dead hosts, and every wait has its deadline. */
enum net_peer_class {
    NET_PEER_PARTY,
    NET_PEER_CLIENT,
};

struct net_context;
struct net_listener;

/* Zeroed fields take the value in brackets. */
struct net_context_config {
    const uint8_t *secret_key; /* NET_KEY_SIZE bytes; copied into locked memory */
    int io_threads;            /* [1] threads that move and encrypt bytes */
    size_t limit_bytes;        /* [64 MiB] what one link may queue per direction, both ends together */
    int handshake_ms;          /* [5000] after which a half-open connection is closed */
    int heartbeat_ms;          /* [2000] interval on client links; five silent ones end the link */
    int linger_ms;             /* [2000] how long the last frames of a destroyed link may still travel */
    int busy_ms;               /* [1000] how long a client asks again before it reports "busy" */
};

/* One key that may connect, and the name that its owner has in errors and logs. */
struct net_peer_key {
    char name[32];
    uint8_t public_key[NET_KEY_SIZE];
};

struct net_listen_config {
    const char *name; /* of the socket, as "P1 for P0" */
    const char *host; /* address or name of this machine; "*" is every IPv4 address, "::" every address */
    uint16_t port;    /* 0 takes a free one, see net_listener_port */
    enum net_peer_class peers;
    const struct net_peer_key *allowed; /* borrowed; names without control characters */
    size_t allowed_count;
};

struct net_endpoint_config {
    const char *name; /* of the peer, as "P2" */
    const char *host;
    uint16_t port;
    uint8_t public_key[NET_KEY_SIZE]; /* the peer's; no other is accepted */
    enum net_peer_class as;           /* NET_PEER_CLIENT when this end is a client */
};

/* Starts the IO threads and the handler that admits keys, and tests the handler before anything can be bound.
 * Errors: BASE_ERR_MEMORY, BASE_ERR_INTERNAL (libzmq without CURVE; a handler that does not answer as it
 * must), BASE_ERR_IO (too few open files are allowed; the soft limit is raised before). */
BASE_MUST_USE enum base_status net_context_create(struct net_context **ret,
                                                  const struct net_context_config *config,
                                                  struct base_error *error);
/* All links and listeners of the context must be destroyed before. Waits at most linger_ms for last frames.
 */
void net_context_destroy(struct net_context **context);
const uint8_t *net_context_public_key(const struct net_context *context);

/* Binds a socket for one peer class. A peer may connect from now on, and waits until net_accept takes it.
 * Errors: BASE_ERR_IO naming address and reason (in use, not of this machine). */
BASE_MUST_USE enum base_status net_listen(struct net_context *context, const struct net_listen_config *config,
                                          struct net_listener **ret, struct base_error *error);
void net_listener_destroy(struct net_listener **listener);
uint16_t net_listener_port(const struct net_listener *listener);
/* Connections refused so far because their key is not on the list, and because a link was there already. */
uint64_t net_listener_refused(const struct net_listener *listener);
uint64_t net_listener_busy(const struct net_listener *listener);

/* Takes the next link; its peer is named by the key ("P0 from 10.0.0.1"). *ret_who, if not NULL, becomes the
 * index in `allowed`. The link of the previous net_accept must be destroyed before. A peer that fails after
 * its handshake costs one call, not the listener. Errors: BASE_ERR_TIMEOUT, BASE_ERR_CLOSED (cancelled),
 * BASE_ERR_MISMATCH (frame version), BASE_ERR_IO. */
BASE_MUST_USE enum base_status net_accept(struct net_listener *listener, const struct net_wait *wait,
                                          struct net_link **ret, size_t *ret_who, struct base_error *error);

/* Connects, and tries again until the peer has taken the link: peers may start in any order.
 * Errors: BASE_ERR_TIMEOUT (nobody there, no answer, link not taken), BASE_ERR_MISMATCH (our key refused;
 * their key is not the configured one; frame version), BASE_ERR_CLOSED (cancelled; for a client: busy). All
 * name peer and address. */
BASE_MUST_USE enum base_status net_connect(struct net_context *context,
                                           const struct net_endpoint_config *endpoint,
                                           const struct net_wait *wait, struct net_link **ret,
                                           struct base_error *error);

#endif
