/* Two contexts with fresh keys, a listener, and a thread that accepts: what every test over real sockets
 * needs. */
#ifndef CACHET_TESTS_NET_ZMQ_SUPPORT_H
#define CACHET_TESTS_NET_ZMQ_SUPPORT_H

#include "tests/net/support.h"

#include "net/zmq_link.h"

#include <pthread.h>
#include <sodium.h>

struct side {
    struct net_context *context;
    uint8_t secret[NET_KEY_SIZE], key[NET_KEY_SIZE];
};

static inline void side_open(struct side *side, const struct net_context_config *base)
{
    struct net_context_config config = base == NULL ? (struct net_context_config){.linger_ms = 300} : *base;
    struct base_error error = {0};
    randombytes_buf(side->secret, sizeof side->secret);
    config.secret_key = side->secret;
    check_ok(net_context_create(&side->context, &config, &error), &error);
    memcpy(side->key, net_context_public_key(side->context), NET_KEY_SIZE);
}

static inline struct net_peer_key side_peer(const struct side *side, const char *name)
{
    struct net_peer_key peer = {{0}, {0}};
    (void)snprintf(peer.name, sizeof peer.name, "%s", name);
    memcpy(peer.public_key, side->key, NET_KEY_SIZE);
    return peer;
}

static inline struct net_listener *listen_for(struct side *side, uint16_t port, enum net_peer_class peers,
                                              const struct net_peer_key *allowed, size_t count)
{
    struct net_listen_config config = {.name = "P2 for P0",
                                       .host = "127.0.0.1",
                                       .port = port,
                                       .peers = peers,
                                       .allowed = allowed,
                                       .allowed_count = count};
    struct net_listener *listener = NULL;
    struct base_error error = {0};
    check_ok(net_listen(side->context, &config, &listener, &error), &error);
    return listener;
}

static inline struct net_endpoint_config endpoint_of(const struct side *side, uint16_t port,
                                                     enum net_peer_class as)
{
    struct net_endpoint_config endpoint = {.name = "P2", .host = "127.0.0.1", .port = port, .as = as};
    memcpy(endpoint.public_key, side->key, NET_KEY_SIZE);
    return endpoint;
}

/* net_accept in a thread of its own. */
struct accepting {
    struct net_listener *listener;
    struct net_wait wait;
    struct net_link *link;
    size_t who;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

static inline void *accept_thread(void *context)
{
    struct accepting *a = context;
    a->status = net_accept(a->listener, &a->wait, &a->link, &a->who, &a->error);
    return NULL;
}

static inline void accept_start(struct accepting *a, struct net_listener *listener, int64_t timeout_ms)
{
    *a = (struct accepting){.listener = listener, .wait = {.timeout_ms = timeout_ms}};
    assert_int_equal(pthread_create(&a->thread, NULL, accept_thread, a), 0);
}

static inline void accept_finish(struct accepting *a)
{
    (void)pthread_join(a->thread, NULL);
}

/* Both ends of a fresh link. */
static inline void join(struct net_listener *listener, struct side *connecting,
                        const struct net_endpoint_config *endpoint, struct net_link **ret_near,
                        struct net_link **ret_far)
{
    struct accepting a;
    struct net_wait wait = {.timeout_ms = 10000};
    struct base_error error = {0};
    accept_start(&a, listener, 10000);
    enum base_status status = net_connect(connecting->context, endpoint, &wait, ret_near, &error);
    accept_finish(&a);
    check_ok(status, &error);
    check_ok(a.status, &a.error);
    *ret_far = a.link;
    net_link_set_timeout(*ret_near, 10000);
    net_link_set_timeout(*ret_far, 10000);
}

#endif
