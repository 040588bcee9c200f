/* The listening side: one bound socket per link, each admitting one connection. */
#include "net/zmq_internal.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

struct net_listener {
    struct net_context *context;
    char name[48], host[256];
    uint16_t port;
    enum net_peer_class peers;
    struct net_peer_key *allowed;
    size_t allowed_count;
    struct net_zmq *waiting;          /* bound, its link not taken yet; NULL while a link lives */
    char domain[NET_DOMAIN_SIZE];     /* of the newest socket, also while a link has it */
    uint64_t past_refused, past_busy; /* of the sockets before it */
};

/* Adds the newest socket's counters to the past ones, before its domain goes. */
static void read_counters(const struct net_listener *listener, uint64_t *ret_refused, uint64_t *ret_busy)
{
    struct net_auth_state state;
    net_auth_read(listener->context->auth, listener->domain, &state);
    *ret_refused = listener->past_refused + state.refused;
    *ret_busy = listener->past_busy + state.busy;
}

static void drop_waiting(struct net_listener *listener)
{
    if (listener->waiting == NULL)
        return;
    read_counters(listener, &listener->past_refused, &listener->past_busy);
    net_zmq_destroy(&listener->waiting);
}

static void learn_port(struct net_listener *listener, void *socket)
{
    char endpoint[NET_ADDRESS_SIZE];
    size_t size = sizeof endpoint;
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        return;
    const char *colon = strrchr(endpoint, ':');
    if (colon != NULL)
        listener->port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* A listening descriptor of our own, which libzmq then takes: its own bind asks for the list of interfaces first, and ends the process when no
 * descriptor is left for that. -1 with errno set when it fails. */
static int listen_at(const struct net_place *place)
{
    int on = 1, fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                    bind(fd, (const struct sockaddr *)&place->address, place->size) != 0 || listen(fd, NET_BACKLOG) != 0)) {
        int code = errno;
        (void)close(fd);
        errno = code;
        return -1;
    }
    return fd;
}

static enum base_status bind_waiting(const struct net_listener *listener, struct net_zmq *zmq, const struct net_place *place,
                                     struct base_error *error)
{
    char address[NET_ADDRESS_SIZE], what[NET_ADDRESS_SIZE + 96];
    int fd = listen_at(place);
    if (fd >= 0 && zmq_setsockopt(zmq->socket, ZMQ_USE_FD, &fd, sizeof fd) == 0 && zmq_bind(zmq->socket, place->endpoint) == 0)
        return BASE_OK;
    int code = zmq_errno();
    if (fd >= 0)
        (void)close(fd);
    net_address_write(address, listener->host, listener->port);
    (void)snprintf(what, sizeof what, "%s: cannot listen at %s", listener->name, address);
    errno = code;
    return net_zmq_fail_socket(what, BASE_ERR_IO, error);
}

/* Binds a fresh socket. Its domain is new, too, so that a connection that the old socket still takes while it
 * is being closed cannot use up the new one's admission. */
static enum base_status open_waiting(struct net_listener *listener, struct base_error *error)
{
    struct net_context *context = listener->context;
    struct net_zmq *zmq = NULL;
    struct net_place place;
    char domain[NET_DOMAIN_SIZE];
    enum base_status status;
    (void)snprintf(domain, sizeof domain, "%s#%llu", listener->name,
                   (unsigned long long)atomic_fetch_add(&context->serial, 1));
    TRY(net_resolve(listener->host, listener->port, 0, &place, error));
    TRY(net_auth_open(context->auth, domain, listener->allowed, listener->allowed_count, error));
    status = net_zmq_create(&zmq, context, listener->peers, NULL, domain, net_is_ipv6(&place), error);
    if (status != BASE_OK) {
        net_auth_close(context->auth, domain);
        goto out;
    }
    TRY(bind_waiting(listener, zmq, &place, error));
    if (listener->port == 0)
        learn_port(listener, zmq->socket);
    read_counters(listener, &listener->past_refused, &listener->past_busy);
    (void)snprintf(listener->domain, sizeof listener->domain, "%s", domain);
    listener->waiting = zmq;
    zmq = NULL;
out:
    net_zmq_destroy(&zmq);
    return status;
}

enum base_status net_listen(struct net_context *context, const struct net_listen_config *config,
                            struct net_listener **ret, struct base_error *error)
{
    enum base_status status;
    struct net_listener *listener = NULL;
    TRY_THAT(config->allowed_count > 0, error, BASE_ERR_ARGUMENT,
             "%s: no key may connect: add one to the config", config->name);
    TRY(base_alloc(&listener, 1, sizeof *listener, error));
    listener->context = context;
    listener->port = config->port;
    listener->peers = config->peers;
    listener->allowed_count = config->allowed_count;
    (void)snprintf(listener->name, sizeof listener->name, "%s", config->name);
    TRY_THAT(strlen(config->host) < sizeof listener->host, error, BASE_ERR_ARGUMENT,
             "%s: the host name is too long", config->name);
    (void)snprintf(listener->host, sizeof listener->host, "%s", config->host);
    TRY(base_alloc(&listener->allowed, config->allowed_count, sizeof *listener->allowed, error));
    memcpy(listener->allowed, config->allowed, config->allowed_count * sizeof *listener->allowed);
    TRY(open_waiting(listener, error));
    *ret = listener;
    listener = NULL;
out:
    net_listener_destroy(&listener);
    return status;
}

void net_listener_destroy(struct net_listener **listener)
{
    if (listener == NULL || *listener == NULL)
        return;
    drop_waiting(*listener);
    base_free(&(*listener)->allowed);
    base_free(listener);
}

uint16_t net_listener_port(const struct net_listener *listener)
{
    return listener->port;
}

uint64_t net_listener_refused(const struct net_listener *listener)
{
    uint64_t refused, busy;
    read_counters(listener, &refused, &busy);
    return refused;
}

uint64_t net_listener_busy(const struct net_listener *listener)
{
    uint64_t refused, busy;
    read_counters(listener, &refused, &busy);
    return busy;
}

/* Reads the first frame of an admitted connection: BASE_OK when it asks for a link, BASE_ERR_TIMEOUT when
 * there is none yet. Writes the peer's name and address as libzmq knows them from the handshake. */
static enum base_status read_open(struct net_listener *listener, size_t *ret_who, char *ret_name,
                                  size_t name_size, struct base_error *error)
{
    struct net_zmq *zmq = listener->waiting;
    struct net_auth_state state;
    struct net_frame frame;
    zmq_msg_t message;
    enum base_status status;
    (void)zmq_msg_init(&message);
    if (zmq_msg_recv(&message, zmq->socket, ZMQ_DONTWAIT) < 0) {
        status = BASE_ERR_TIMEOUT;
        goto out;
    }
    BASE_FAIL_RECEIVE("net.open.receive");
    zmq->peer_fd = zmq_msg_get(&message, ZMQ_SRCFD);
    const char *user = zmq_msg_gets(&message, "User-Id"), *from = zmq_msg_gets(&message, "Peer-Address");
    net_auth_read(listener->context->auth, zmq->domain, &state);
    TRY_THAT(state.taken && user != NULL && strcmp(user, listener->allowed[state.who].name) == 0 &&
                 zmq->peer_fd >= 0,
             error, BASE_ERR_INTERNAL, "%s: a connection came past the check of its key", listener->name);
    (void)snprintf(ret_name, name_size, "%s from %s", user, from == NULL ? "an unknown address" : from);
    TRY(net_frame_decode(
        zmq_msg_data(&message),
        zmq_msg_size(&message) < NET_FRAME_HEADER ? zmq_msg_size(&message) : NET_FRAME_HEADER,
        zmq_msg_size(&message) < NET_FRAME_HEADER ? 0 : zmq_msg_size(&message) - NET_FRAME_HEADER, ret_name,
        &frame, error));
    TRY_THAT(frame.kind == NET_FRAME_OPEN, error, BASE_ERR_PEER,
             "%s: frame field kind is %d, expected %d: no link is open yet", ret_name, frame.kind,
             NET_FRAME_OPEN);
    *ret_who = state.who;
out:
    (void)zmq_msg_close(&message);
    return status;
}

/* True when a connection was admitted long ago and has said nothing: it died in between, and the socket with
 * it. */
static bool is_stale(const struct net_listener *listener)
{
    struct net_auth_state state;
    net_auth_read(listener->context->auth, listener->waiting->domain, &state);
    return state.taken && base_clock_ms() - state.taken_ms > listener->context->config.handshake_ms;
}

static enum base_status check_wait(const struct net_listener *listener, const struct net_wait *wait,
                                   int64_t deadline_ms, struct base_error *error)
{
    if (wait->cancelled != NULL && wait->cancelled(wait->context) != 0)
        return base_fail(error, BASE_ERR_CLOSED, "%s: the wait was cancelled here", listener->name);
    if (base_clock_ms() >= deadline_ms)
        return base_fail(error, BASE_ERR_TIMEOUT,
                         "%s: nobody connected to port %u within %lld ms: start the peer, or check "
                         "its key, its config and the firewall",
                         listener->name, listener->port, (long long)wait->timeout_ms);
    return BASE_OK;
}

/* Waits until a peer has opened a link on the waiting socket, replacing the socket as often as it must. */
static enum base_status wait_open(struct net_listener *listener, const struct net_wait *wait, size_t *ret_who,
                                  char *ret_name, size_t name_size, struct base_error *error)
{
    int64_t deadline_ms = base_deadline_after(wait->timeout_ms);
    for (;;) {
        struct base_error bind_error = {0};
        enum base_status status = BASE_OK;
        if (listener->waiting == NULL)
            status = open_waiting(listener, &bind_error);
        bool bound = status == BASE_OK;
        if (!bound) {
            /* The socket before it closes in the background and may hold the port for a moment; and others may hold connections until no
             * descriptor is left, which they can do without a key. */
            if (base_clock_ms() >= deadline_ms || (status != BASE_ERR_IO && status != BASE_ERR_MEMORY))
                return base_fail(error, status, "%s", bind_error.text);
            base_sleep_ms(10);
        } else {
            net_zmq_drain(listener->waiting);
            status = read_open(listener, ret_who, ret_name, name_size, error);
            if (status != BASE_OK && status != BASE_ERR_TIMEOUT)
                return status;
            net_zmq_drain(listener->waiting); /* of what happened since, now that the connection is known */
            if (status == BASE_OK && !listener->waiting->lost)
                return BASE_OK;
            if (status == BASE_OK || is_stale(listener)) {
                drop_waiting(listener);
            } else {
                int64_t slice = base_deadline_after(NET_SLICE_MS);
                status = net_zmq_poll(listener->waiting, ZMQ_POLLIN,
                                      slice < deadline_ms ? slice : deadline_ms, error);
                if (status != BASE_OK && status != BASE_ERR_TIMEOUT)
                    return status;
            }
        }
        status = check_wait(listener, wait, bound ? deadline_ms : INT64_MAX, error); /* the next try has its own text */
        if (status != BASE_OK)
            return status;
    }
}

enum base_status net_accept(struct net_listener *listener, const struct net_wait *wait, struct net_link **ret,
                            size_t *ret_who, struct base_error *error)
{
    char name[112] = "";
    size_t who = 0;
    struct base_error cause = {0};
    struct net_link *link = NULL;
    enum base_status status = wait_open(listener, wait, &who, name, sizeof name, &cause);
    if (status != BASE_OK) {
        /* A peer that we do not understand may understand why, and its successor finds a fresh socket. */
        if (status == BASE_ERR_PEER || status == BASE_ERR_MISMATCH) {
            net_zmq_drain(listener->waiting);
            (void)net_zmq_send_control(listener->waiting, NET_FRAME_ABORT, &cause);
        }
        if (status != BASE_ERR_TIMEOUT && status != BASE_ERR_CLOSED)
            drop_waiting(listener);
        return base_fail(error, status, "%s", cause.text);
    }
    TRY(net_link_create(&link, &net_zmq_carrier, listener->waiting, name, 0, error));
    struct net_zmq *zmq = listener->waiting;
    listener->waiting = NULL; /* the link's now */
    BASE_FAIL_SEND("net.accept.send");
    TRY_THAT(net_zmq_send_control(zmq, NET_FRAME_ACCEPT, NULL), error, BASE_ERR_CLOSED,
             "%s: the connection was lost while it was taken", name);
    *ret = link;
    link = NULL;
    if (ret_who != NULL)
        *ret_who = who;
out:
    net_link_destroy(&link);
    return status;
}
