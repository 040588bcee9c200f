/* The context: keys, IO threads, the handler that admits keys; and sockets with every option set. */
#include "net/zmq_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

/* zmq.h shows it only with the draft interface, but 4.3 honours it; its return code is checked below. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

enum {
    DEFAULT_LIMIT_BYTES = 64 << 20,
    DEFAULT_HANDSHAKE_MS = 5000,
    DEFAULT_HEARTBEAT_MS = 2000,
    DEFAULT_LINGER_MS = 2000,
    DEFAULT_BUSY_MS = 1000,
    HEARTBEATS_MISSED = 5,
    CONNECT_TIMEOUT_MS = 3000, /* of one attempt; the caller's deadline spans many */
    NEVER_MS = 1000000000, /* libzmq adds up to as much again, and has 31 bits */
    CURVE_OVERHEAD = 33,   /* of a CURVE message: command name 8, nonce 8, flags 1, authenticator 16 */
    KEEPALIVE_IDLE_S = 15,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_COUNT = 4,
    DESCRIPTORS = 64,           /* of a context with its links, amply */
    DESCRIPTORS_WANTED = 65536, /* a flood of half-open connections takes thousands before their handshakes time out */
};

static int or_default(int value, int fallback)
{
    return value > 0 ? value : fallback;
}

/* libzmq ends the process when it can open no descriptor for itself. So the limit is raised as far as the system lets it, and who cannot open
 * what a context needs hears it before libzmq does. */
static enum base_status check_descriptors(struct base_error *error)
{
    struct rlimit limit;
    int opened[DESCRIPTORS], count = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_WANTED && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    while (count < DESCRIPTORS && (opened[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    bool enough = count == DESCRIPTORS;
    while (count > 0)
        (void)close(opened[--count]);
    if (enough)
        return BASE_OK;
    return base_fail(error, BASE_ERR_IO, "fewer than %d files can be opened, which links need: raise the limit of open files (`ulimit -n`)",
                     DESCRIPTORS);
}

enum base_status net_context_create(struct net_context **ret, const struct net_context_config *config,
                                    struct base_error *error)
{
    struct net_context *context;
    enum base_status status = base_alloc(&context, 1, sizeof *context, error);
    if (status != BASE_OK)
        return status;
    context->config = *config;
    context->config.secret_key = NULL;
    context->config.io_threads = or_default(config->io_threads, 1);
    context->config.handshake_ms = or_default(config->handshake_ms, DEFAULT_HANDSHAKE_MS);
    context->config.heartbeat_ms = or_default(config->heartbeat_ms, DEFAULT_HEARTBEAT_MS);
    context->config.linger_ms = or_default(config->linger_ms, DEFAULT_LINGER_MS);
    context->config.busy_ms = or_default(config->busy_ms, DEFAULT_BUSY_MS);
    if (config->limit_bytes == 0)
        context->config.limit_bytes = DEFAULT_LIMIT_BYTES;
    TRY(check_descriptors(error));
    TRY_THAT(zmq_has("curve"), error, BASE_ERR_INTERNAL,
             "libzmq was built without CURVE: install a build that has it");
    TRY(base_alloc_locked(&context->secret_key, NET_KEY_SIZE, error));
    memcpy(context->secret_key, config->secret_key, NET_KEY_SIZE);
    TRY_THAT(crypto_scalarmult_base(context->public_key, context->secret_key) == 0, error, BASE_ERR_ARGUMENT,
             "the secret key is not a CURVE key");
    context->zmq = zmq_ctx_new();
    TRY_THAT(context->zmq != NULL &&
                 zmq_ctx_set(context->zmq, ZMQ_IO_THREADS, context->config.io_threads) == 0,
             error, BASE_ERR_MEMORY, "cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
    TRY(net_auth_create(&context->auth, context->zmq, error));
    *ret = context;
    return BASE_OK;
out:
    net_context_destroy(&context);
    return status;
}

void net_context_destroy(struct net_context **context)
{
    if (context == NULL || *context == NULL)
        return;
    net_auth_destroy(&(*context)->auth);
    if ((*context)->zmq != NULL)
        while (zmq_ctx_term((*context)->zmq) != 0 && zmq_errno() == EINTR)
            continue;
    base_free_locked(&(*context)->secret_key);
    base_free(context);
}

const uint8_t *net_context_public_key(const struct net_context *context)
{
    return context->public_key;
}

/* Integer options, with the names that errors show. */
struct option {
    int option;
    int value;
    const char *name;
};

static enum base_status set_options(void *socket, const struct option *options, size_t count,
                                    struct base_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value) != 0)
            return base_fail(error, BASE_ERR_INTERNAL, "libzmq refuses option %s = %d: %s", options[i].name,
                             options[i].value, zmq_strerror(zmq_errno()));
    return BASE_OK;
}

static enum base_status set_bytes(void *socket, int option, const char *name, const void *value, size_t size,
                                  struct base_error *error)
{
    if (zmq_setsockopt(socket, option, value, size) != 0)
        return base_fail(error, BASE_ERR_INTERNAL, "libzmq refuses option %s: %s", name,
                         zmq_strerror(zmq_errno()));
    return BASE_OK;
}

/* Nothing is left to libzmq's defaults: they wait for ever, queue without bound or speak up too late. */
static enum base_status set_common(void *socket, const struct net_context *context, enum net_peer_class peers,
                                   bool ipv6, struct base_error *error)
{
    /* Half of the limit waits here and half at the peer: the high-water marks of both ends add up. With a
     * mark of one, libzmq 4.3 never delivers a first frame: its own note of the user id fills the queue. */
    size_t frames = context->config.limit_bytes / 2 / (NET_FRAME_PAYLOAD + NET_FRAME_HEADER);
    int mark = frames < 2 ? 2 : frames > INT32_MAX ? INT32_MAX : (int)frames;
    int heartbeat = peers == NET_PEER_CLIENT ? context->config.heartbeat_ms : 0;
    const struct option options[] = {
        {ZMQ_MAXMSGSIZE, 0, "MAXMSGSIZE"}, /* 64 bits wide: set below */
        {ZMQ_SNDHWM, mark, "SNDHWM"},
        {ZMQ_RCVHWM, mark, "RCVHWM"},
        {ZMQ_LINGER, context->config.linger_ms, "LINGER"},
        /* With IMMEDIATE, and with RECONNECT_IVL -1, a connecting socket throws away what it has received but
         * not yet delivered when the peer hangs up: its last frames and its reason. So neither, and an
         * interval of days: no link lives to see a reconnection. */
        {ZMQ_IMMEDIATE, 0, "IMMEDIATE"},
        {ZMQ_RECONNECT_IVL, NEVER_MS, "RECONNECT_IVL"},
        {ZMQ_RECONNECT_IVL_MAX, 0, "RECONNECT_IVL_MAX"},
        {ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS, "CONNECT_TIMEOUT"},
        {ZMQ_HANDSHAKE_IVL, context->config.handshake_ms, "HANDSHAKE_IVL"},
        {ZMQ_HEARTBEAT_IVL, heartbeat, "HEARTBEAT_IVL"},
        {ZMQ_HEARTBEAT_TIMEOUT, heartbeat * HEARTBEATS_MISSED, "HEARTBEAT_TIMEOUT"},
        {ZMQ_HEARTBEAT_TTL, heartbeat * HEARTBEATS_MISSED, "HEARTBEAT_TTL"},
        {ZMQ_SNDTIMEO, 0, "SNDTIMEO"},
        {ZMQ_RCVTIMEO, 0, "RCVTIMEO"},
        {ZMQ_IPV6, ipv6, "IPV6"},
        {ZMQ_BACKLOG, NET_BACKLOG, "BACKLOG"},
        {ZMQ_TCP_KEEPALIVE, 1, "TCP_KEEPALIVE"},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S, "TCP_KEEPALIVE_IDLE"},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S, "TCP_KEEPALIVE_INTVL"},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT, "TCP_KEEPALIVE_CNT"},
        {ZMQ_TCP_MAXRT, 0, "TCP_MAXRT"}, /* it would count a paused reader as a dead one */
    };
    int64_t largest = NET_FRAME_HEADER + NET_FRAME_PAYLOAD + CURVE_OVERHEAD;
    enum base_status status =
        set_bytes(socket, ZMQ_MAXMSGSIZE, "MAXMSGSIZE", &largest, sizeof largest, error);
    return status == BASE_OK ? set_options(socket, options + 1, sizeof options / sizeof options[0] - 1, error)
                             : status;
}

static enum base_status set_curve(struct net_zmq *zmq, const uint8_t *server_key, const char *domain,
                                  struct base_error *error)
{
    static const struct option server[] = {{ZMQ_CURVE_SERVER, 1, "CURVE_SERVER"},
                                           {ZMQ_ZAP_ENFORCE_DOMAIN, 1, "ZAP_ENFORCE_DOMAIN"}};
    const struct net_context *context = zmq->context;
    enum base_status status;
    if (server_key == NULL) {
        TRY(set_options(zmq->socket, server, 2, error));
        TRY(set_bytes(zmq->socket, ZMQ_ZAP_DOMAIN, "ZAP_DOMAIN", domain, strlen(domain), error));
    } else {
        TRY(set_bytes(zmq->socket, ZMQ_CURVE_SERVERKEY, "CURVE_SERVERKEY", server_key, NET_KEY_SIZE, error));
        TRY(set_bytes(zmq->socket, ZMQ_CURVE_PUBLICKEY, "CURVE_PUBLICKEY", context->public_key, NET_KEY_SIZE,
                      error));
    }
    TRY(set_bytes(zmq->socket, ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", context->secret_key, NET_KEY_SIZE,
                  error));
out:
    return status;
}

enum base_status net_zmq_fail_socket(const char *what, enum base_status otherwise, struct base_error *error)
{
    int code = zmq_errno();
    bool used_up = code == EMFILE || code == ENFILE, short_of = used_up || code == ENOMEM || code == ENOBUFS;
    return base_fail(error, short_of ? BASE_ERR_MEMORY : otherwise, "%s: %s%s", what, zmq_strerror(code),
                     used_up                 ? " (raise the limit of open files)"
                     : code == EADDRNOTAVAIL ? " (the host must be an address of this machine, or *)"
                                             : "");
}

/* The monitor's queue has no mark: at one, the IO thread would stop inside its own event (libzmq issue 3575)
 * and with it every link of the context. Only events that change a link's fate are asked for. */
static enum base_status open_monitor(struct net_zmq *zmq, bool listening, struct base_error *error)
{
    char endpoint[64];
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (!listening)
        events |= ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED |
                  ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                  ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    (void)snprintf(endpoint, sizeof endpoint, "inproc://cachet.monitor.%llu",
                   (unsigned long long)atomic_fetch_add(&zmq->context->serial, 1));
    static const struct option options[] = {{ZMQ_RCVHWM, 0, "RCVHWM"}, {ZMQ_LINGER, 0, "LINGER"}};
    zmq->monitor = zmq_socket(zmq->context->zmq, ZMQ_PAIR);
    if (zmq->monitor == NULL)
        return net_zmq_fail_socket("cannot open a socket", BASE_ERR_INTERNAL, error);
    enum base_status status = set_options(zmq->monitor, options, 2, error);
    if (status == BASE_OK &&
        (zmq_socket_monitor(zmq->socket, endpoint, events) != 0 || zmq_connect(zmq->monitor, endpoint) != 0))
        status = net_zmq_fail_socket("cannot watch a socket", BASE_ERR_INTERNAL, error);
    return status;
}

enum base_status net_zmq_create(struct net_zmq **ret, struct net_context *context, enum net_peer_class peers,
                                const uint8_t *server_key, const char *domain, bool ipv6,
                                struct base_error *error)
{
    struct net_zmq *zmq;
    enum base_status status = base_alloc(&zmq, 1, sizeof *zmq, error);
    if (status != BASE_OK)
        return status;
    zmq->context = context;
    zmq->peer_fd = -1;
    zmq->socket = zmq_socket(context->zmq, ZMQ_DEALER);
    if (zmq->socket == NULL)
        TRY(net_zmq_fail_socket("cannot open a socket", BASE_ERR_INTERNAL, error));
    TRY(set_common(zmq->socket, context, peers, ipv6, error));
    TRY(set_curve(zmq, server_key, domain, error));
    TRY(open_monitor(zmq, server_key == NULL, error));
    if (domain != NULL)
        (void)snprintf(zmq->domain, sizeof zmq->domain, "%s", domain);
    *ret = zmq;
    return BASE_OK;
out:
    net_zmq_destroy(&zmq);
    return status;
}

void net_zmq_destroy(struct net_zmq **zmq)
{
    struct net_zmq *z = *zmq;
    if (z == NULL)
        return;
    if (z->domain[0] != '\0')
        net_auth_close(z->context->auth, z->domain);
    if (z->socket != NULL) {
        /* What was queued for a connection that is gone, or never stood, goes nowhere. */
        int none = 0;
        if (z->lost || !z->succeeded)
            (void)zmq_setsockopt(z->socket, ZMQ_LINGER, &none, sizeof none);
        /* In this order: an event sent to a monitor that nobody reads would stop the IO thread. */
        (void)zmq_socket_monitor(z->socket, NULL, 0);
        (void)zmq_close(z->socket);
    }
    if (z->monitor != NULL)
        (void)zmq_close(z->monitor);
    base_free(zmq);
}

void net_address_write(char ret_text[NET_ADDRESS_SIZE], const char *host, uint16_t port)
{
    bool bare_v6 = strchr(host, ':') != NULL && host[0] != '[';
    (void)snprintf(ret_text, NET_ADDRESS_SIZE, "tcp://%s%.256s%s:%u", bare_v6 ? "[" : "", host,
                   bare_v6 ? "]" : "", port);
}

/* The name service may wait for seconds, so it is asked in the caller's thread, never in libzmq's. */
enum base_status net_resolve(const char *host, uint16_t port, unsigned attempt, struct net_place *ret, struct base_error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    char numeric[64], service[8];
    if (strcmp(host, "*") == 0)
        host = "0.0.0.0";
    (void)snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0)
        return base_fail(error, BASE_ERR_IO, "host name \"%.200s\" does not resolve: %s", host,
                         gai_strerror(code));
    unsigned count = 0;
    for (const struct addrinfo *item = list; item != NULL; item = item->ai_next)
        count++;
    const struct addrinfo *chosen = list;
    for (unsigned i = attempt % count; i > 0; i--)
        chosen = chosen->ai_next;
    memcpy(&ret->address, chosen->ai_addr, chosen->ai_addrlen);
    ret->size = chosen->ai_addrlen;
    code = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, numeric, sizeof numeric, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(list);
    if (code != 0)
        return base_fail(error, BASE_ERR_IO, "host name \"%.200s\" has no address: %s", host,
                         gai_strerror(code));
    net_address_write(ret->endpoint, numeric, port);
    return BASE_OK;
}
