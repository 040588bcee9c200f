/* What the zmq_*.c files share. */
#ifndef CACHET_NET_ZMQ_INTERNAL_H
#define CACHET_NET_ZMQ_INTERNAL_H

#include "net/frame.h"
#include "net/zmq_auth.h"
#include "net/zmq_link.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

enum {
    NET_SLICE_MS = 100,     /* waits look at their cancel function at least this often */
    NET_ADDRESS_SIZE = 288, /* "tcp://host:port" */
    NET_BACKLOG = 128,      /* connections that the kernel keeps for a listening socket */
};

struct net_context {
    void *zmq;
    struct net_auth *auth;
    uint8_t *secret_key; /* locked */
    uint8_t public_key[NET_KEY_SIZE];
    struct net_context_config config; /* defaults filled in; secret_key is NULL */
    atomic_uint_fast64_t serial;      /* makes names of inproc endpoints and domains unique */
};

/* One socket with its monitor; the carrier of a link once that is made. */
struct net_zmq {
    struct net_context *context;
    void *socket, *monitor;
    char domain[NET_DOMAIN_SIZE]; /* of a listening socket; empty on the connecting side */
    int peer_fd;                  /* the connection; -1 before the peer's first frame, on the connecting side before TCP stands */
    bool succeeded;               /* a handshake has ended well */
    bool lost;                    /* the connection is gone for good */
    int failure_event;            /* connecting side: the first ZMQ_EVENT_ that decided against us, or 0 */
    int failure_value;
    int64_t connected_ms; /* connecting side: when TCP stood, 0 before */
};

/* What libzmq or the system answered when a socket was asked for: BASE_ERR_MEMORY when descriptors or memory have run out, which can pass;
 * `otherwise` for the rest. `what`: "cannot open a socket". */
enum base_status net_zmq_fail_socket(const char *what, enum base_status otherwise, struct base_error *error);

/* One event of a socket monitor. */
struct net_zmq_event {
    int event;
    int value;
};

/* Makes a DEALER socket with every option set, for a peer class, and its monitor. `server_key` is the peer's
 * key on the connecting side and NULL on the listening side, which then needs `domain`, open in the context's
 * net_auth. */
BASE_MUST_USE enum base_status net_zmq_create(struct net_zmq **ret, struct net_context *context,
                                              enum net_peer_class peers, const uint8_t *server_key,
                                              const char *domain, bool ipv6, struct base_error *error);
/* Closes the socket, its monitor and its domain. */
void net_zmq_destroy(struct net_zmq **zmq);

/* Reads what the monitor has seen (no waiting) and updates succeeded, lost and failure_*. */
void net_zmq_drain(struct net_zmq *zmq);

/* Waits for `events` (ZMQ_POLLIN, ZMQ_POLLOUT) or the monitor, until the deadline. BASE_ERR_TIMEOUT when
 * nothing came. */
enum base_status net_zmq_poll(struct net_zmq *zmq, short events, int64_t deadline_ms,
                              struct base_error *error);

/* Sends a frame without payload but a failure's text (OPEN, ACCEPT, ABORT); false when it cannot go now. */
bool net_zmq_send_control(struct net_zmq *zmq, enum net_frame_kind kind, const struct base_error *cause);

/* The functions of net/link.h over a struct net_zmq. */
extern const struct net_carrier net_zmq_carrier;

/* Resolves host and port to the numeric endpoint number `attempt` (it takes turns when there are several),
 * for bind or connect. Errors: BASE_ERR_IO naming host and reason. */
struct net_place {
    char endpoint[NET_ADDRESS_SIZE];
    struct sockaddr_storage address;
    socklen_t size;
};
BASE_MUST_USE enum base_status net_resolve(const char *host, uint16_t port, unsigned attempt, struct net_place *ret, struct base_error *error);
static inline bool net_is_ipv6(const struct net_place *place)
{
    return place->address.ss_family == AF_INET6;
}

/* "tcp://host:port", for people. */
void net_address_write(char ret_text[NET_ADDRESS_SIZE], const char *host, uint16_t port);

#endif
