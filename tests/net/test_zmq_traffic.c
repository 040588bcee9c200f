/* Links over TCP under load and when the other process dies, freezes, restarts or stops reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/zmq_support.h"

#include "base/memory.h"
#include "net/frame.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIG = 24 << 20 };

/* A second process that listens with a given key, takes one link from P0, answers one message and then sits
 * still. */
struct child {
    pid_t pid;
    uint16_t port;
};

static void child_run(const uint8_t *secret, const struct net_peer_key *allowed, uint16_t port,
                      enum net_peer_class peers, int report)
{
    struct net_context_config config = {.secret_key = secret, .heartbeat_ms = 100};
    struct net_listen_config listening = {.name = "P2 for P0",
                                          .host = "127.0.0.1",
                                          .port = port,
                                          .peers = peers,
                                          .allowed = allowed,
                                          .allowed_count = 1};
    struct net_wait wait = {.timeout_ms = 20000};
    struct net_context *context = NULL;
    struct net_listener *listener = NULL;
    struct net_link *link = NULL;
    char data[4];
    if (net_context_create(&context, &config, NULL) != BASE_OK ||
        net_listen(context, &listening, &listener, NULL) != BASE_OK)
        _exit(1);
    port = net_listener_port(listener);
    if (write(report, &port, sizeof port) != sizeof port)
        _exit(1);
    if (net_accept(listener, &wait, &link, NULL, NULL) != BASE_OK ||
        net_link_receive(link, 1, data, 4, NULL) != BASE_OK ||
        net_link_send(link, 2, data, 4, NULL) != BASE_OK)
        _exit(1);
    for (;;)
        (void)pause();
}

/* Before any context of this process exists, as threads do not survive a fork. */
static void child_start(struct child *child, const uint8_t *secret, const struct net_peer_key *allowed,
                        uint16_t port, enum net_peer_class peers)
{
    int report[2];
    assert_int_equal(pipe(report), 0);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0)
        child_run(secret, allowed, port, peers, report[1]);
    (void)close(report[1]);
    assert_int_equal(read(report[0], &child->port, sizeof child->port), sizeof child->port);
    (void)close(report[0]);
}

static void child_end(struct child *child)
{
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
}

/* Keys made before the contexts, so that children can have them. */
static void make_keys(uint8_t *secret, uint8_t *key)
{
    assert_true(sodium_init() >= 0);
    (void)crypto_box_keypair(key, secret);
}

static void connect_to(struct net_context *context, const uint8_t *key, uint16_t port, enum net_peer_class as,
                       struct net_link **ret)
{
    struct net_endpoint_config endpoint = {.name = "P2", .host = "127.0.0.1", .port = port, .as = as};
    struct net_wait wait = {.timeout_ms = 20000};
    struct base_error error = {0};
    char data[4];
    memcpy(endpoint.public_key, key, NET_KEY_SIZE);
    check_ok(net_connect(context, &endpoint, &wait, ret, &error), &error);
    net_link_set_timeout(*ret, 15000);
    check_ok(net_link_send(*ret, 1, "ping", 4, &error), &error);
    check_ok(net_link_receive(*ret, 2, data, 4, &error), &error);
}

static void test_killed_and_restarted_peer(void **state)
{
    uint8_t secret0[32], key0[32], secret2[32], key2[32];
    struct child first, second;
    struct net_context *context = NULL;
    struct net_link *link = NULL, *again = NULL;
    struct base_error error = {0}, lost = {0};
    char data[4];
    make_keys(secret0, key0);
    make_keys(secret2, key2);
    struct net_peer_key allowed = {.name = "P0"};
    memcpy(allowed.public_key, key0, 32);
    child_start(&first, secret2, &allowed, 0, NET_PEER_PARTY);
    struct net_context_config config = {.secret_key = secret0, .linger_ms = 200};
    check_ok(net_context_create(&context, &config, &error), &error);
    connect_to(context, key2, first.port, NET_PEER_PARTY, &link);
    /* Frames that libzmq takes but the peer never reads, as it dies: silently lost, if we let it. */
    for (uint32_t i = 0; i < 50; i++)
        check_ok(net_link_send(link, 10 + i, "gone", 4, &error), &error);
    child_end(&first);
    child_start(&second, secret2, &allowed, first.port, NET_PEER_PARTY);
    int64_t start = base_clock_ms();
    check_fails(net_link_receive(link, 99, data, 4, &lost), BASE_ERR_CLOSED, &lost,
                "the connection was lost");
    check_says(&lost, "P2 at tcp://127.0.0.1:");
    assert_in_range(base_clock_ms() - start, 0, 3000);
    assert_int_equal(net_link_send(link, 100, "x", 1, NULL), BASE_ERR_CLOSED);
    /* The restarted one starts a new link with new numbers. */
    connect_to(context, key2, second.port, NET_PEER_PARTY, &again);
    net_link_destroy(&again);
    net_link_destroy(&link);
    net_context_destroy(&context);
    child_end(&second);
}

static void test_frozen_peer_of_a_client(void **state)
{
    uint8_t secret0[32], key0[32], secret2[32], key2[32];
    struct child child;
    struct net_context *context = NULL;
    struct net_link *link = NULL;
    struct base_error error = {0}, lost = {0};
    char data[4];
    make_keys(secret0, key0);
    make_keys(secret2, key2);
    struct net_peer_key allowed = {.name = "one"};
    memcpy(allowed.public_key, key0, 32);
    child_start(&child, secret2, &allowed, 0, NET_PEER_CLIENT);
    struct net_context_config config = {.secret_key = secret0, .linger_ms = 200, .heartbeat_ms = 100};
    check_ok(net_context_create(&context, &config, &error), &error);
    connect_to(context, key2, child.port, NET_PEER_CLIENT, &link);
    (void)kill(child.pid, SIGSTOP);
    int64_t start = base_clock_ms();
    check_fails(net_link_receive(link, 3, data, 4, &lost), BASE_ERR_CLOSED, &lost, "the connection was lost");
    assert_in_range(base_clock_ms() - start, 100, 6000);
    net_link_destroy(&link);
    net_context_destroy(&context);
    child_end(&child);
}

/* The other end of traffic tests, in a thread. */
struct far_end {
    struct net_link *link;
    unsigned char *out, *in;
    size_t count;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

static void *exchange_thread(void *context)
{
    struct far_end *far = context;
    far->status = net_link_exchange(far->link, 4, far->out, BIG, far->in, BIG, &far->error);
    return NULL;
}

/* A pair of links with its contexts. */
struct rig {
    struct side p0, p2;
    struct net_listener *listener;
    struct net_link *near, *far;
};

static void rig_open(struct rig *rig, const struct net_context_config *config, enum net_peer_class peers)
{
    side_open(&rig->p0, config);
    side_open(&rig->p2, config);
    struct net_peer_key allowed = side_peer(&rig->p0, "P0");
    rig->listener = listen_for(&rig->p2, 0, peers, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&rig->p2, net_listener_port(rig->listener), peers);
    join(rig->listener, &rig->p0, &endpoint, &rig->near, &rig->far);
}

static void rig_close(struct rig *rig)
{
    net_link_destroy(&rig->near);
    net_link_destroy(&rig->far);
    net_listener_destroy(&rig->listener);
    net_context_destroy(&rig->p0.context);
    net_context_destroy(&rig->p2.context);
}

static void test_large_exchange_with_tiny_limits(void **state)
{
    const struct net_context_config tiny = {.linger_ms = 200, .limit_bytes = 1};
    struct rig rig;
    struct far_end far = {0};
    struct base_error error = {0};
    unsigned char *out = NULL, *in = NULL;
    rig_open(&rig, &tiny, NET_PEER_PARTY);
    check_ok(base_alloc(&out, BIG, 1, &error), &error);
    check_ok(base_alloc(&in, BIG, 1, &error), &error);
    check_ok(base_alloc(&far.out, BIG, 1, &error), &error);
    check_ok(base_alloc(&far.in, BIG, 1, &error), &error);
    for (size_t i = 0; i < BIG; i += 61) {
        out[i] = (unsigned char)(i >> 3);
        far.out[i] = (unsigned char)(i >> 5);
    }
    far.link = rig.far;
    assert_int_equal(pthread_create(&far.thread, NULL, exchange_thread, &far), 0);
    enum base_status status = net_link_exchange(rig.near, 4, out, BIG, in, BIG, &error);
    (void)pthread_join(far.thread, NULL);
    check_ok(status, &error);
    check_ok(far.status, &far.error);
    assert_memory_equal(in, far.out, BIG);
    assert_memory_equal(far.in, out, BIG);
    base_free(&out);
    base_free(&in);
    base_free(&far.out);
    base_free(&far.in);
    rig_close(&rig);
}

static void *slow_reader_thread(void *context)
{
    struct far_end *far = context;
    /* Longer than heartbeats would allow (five of 100 ms): a party link must sit it out. */
    base_sleep_ms(1500);
    for (uint32_t step = 0; step < far->count && far->status == BASE_OK; step++)
        far->status = net_link_receive(far->link, step, far->in, NET_FRAME_PAYLOAD, &far->error);
    return NULL;
}

static void test_back_pressure(void **state)
{
    const struct net_context_config small = {.linger_ms = 200, .limit_bytes = 4 << 20, .heartbeat_ms = 100};
    enum { COUNT = 160 }; /* 40 MiB */
    struct rig rig;
    struct base_error error = {0};
    unsigned char *out = NULL;
    struct far_end far = {.count = COUNT};
    rig_open(&rig, &small, NET_PEER_PARTY);
    check_ok(base_alloc(&out, NET_FRAME_PAYLOAD, 1, &error), &error);
    check_ok(base_alloc(&far.in, NET_FRAME_PAYLOAD, 1, &error), &error);
    far.link = rig.far;
    assert_int_equal(pthread_create(&far.thread, NULL, slow_reader_thread, &far), 0);
    int64_t start = base_clock_ms();
    uint32_t early = 0;
    for (uint32_t step = 0; step < COUNT; step++) {
        check_ok(net_link_send(rig.near, step, out, NET_FRAME_PAYLOAD, &error), &error);
        early += base_clock_ms() - start < 1200;
    }
    (void)pthread_join(far.thread, NULL);
    check_ok(far.status, &far.error);
    /* While nobody read, what went ahead is the limit and what the kernel's buffers hold. */
    assert_in_range(early, 8, 120);
    base_free(&out);
    base_free(&far.in);
    rig_close(&rig);
}

static void test_reader_that_never_reads(void **state)
{
    const struct net_context_config small = {.linger_ms = 200, .limit_bytes = 1 << 20};
    struct rig rig;
    struct base_error error = {0};
    unsigned char *out = NULL;
    enum base_status status = BASE_OK;
    rig_open(&rig, &small, NET_PEER_PARTY);
    net_link_set_timeout(rig.near, 300);
    check_ok(base_alloc(&out, NET_FRAME_PAYLOAD, 1, &error), &error);
    for (uint32_t step = 0; step < 200 && status == BASE_OK; step++)
        status = net_link_send(rig.near, step, out, NET_FRAME_PAYLOAD, &error);
    check_fails(status, BASE_ERR_TIMEOUT, &error, "it took no frame within 300 ms");
    base_free(&out);
    rig_close(&rig);
}

static void test_abort_and_orderly_end(void **state)
{
    struct rig rig;
    struct base_error error = {0},
                      cause = {.code = BASE_ERR_MEMORY, .text = "too little memory for this context"};
    char data[4];
    rig_open(&rig, NULL, NET_PEER_PARTY);
    check_ok(net_link_send(rig.far, 1, "last", 4, &error), &error);
    net_link_abort(rig.far, &cause);
    net_link_destroy(&rig.far); /* and gone at once: both frames must still arrive */
    base_sleep_ms(100);
    check_ok(net_link_receive(rig.near, 1, data, 4, &error), &error);
    check_fails(net_link_receive(rig.near, 2, data, 4, &error), BASE_ERR_CLOSED, &error,
                "stopped: too little memory for this context (step 2)");
    rig_close(&rig);
    /* The sender learns the reason, too, although it only sends. */
    struct base_error sender = {0};
    enum base_status status = BASE_OK;
    rig_open(&rig, NULL, NET_PEER_PARTY);
    net_link_abort(rig.far, &cause);
    net_link_destroy(&rig.far);
    base_sleep_ms(100);
    for (int i = 0; i < 100 && status == BASE_OK; i++)
        status = net_link_send(rig.near, 3, data, 4, &sender);
    check_fails(status, BASE_ERR_CLOSED, &sender, "stopped: too little memory for this context (step 3)");
    rig_close(&rig);
}

/* The same seen from the listening side, among connections that come and go. */
static void test_connecting_end_hangs_up(void **state)
{
    struct rig rig;
    struct base_error error = {0};
    char data[4];
    rig_open(&rig, NULL, NET_PEER_PARTY);
    assert_int_equal(net_link_pending(rig.far), 0);
    check_ok(net_link_send(rig.near, 1, "last", 4, &error), &error);
    net_link_destroy(&rig.near);
    base_sleep_ms(100);
    assert_int_equal(net_link_pending(rig.far), 1);
    check_ok(net_link_receive(rig.far, 1, data, 4, &error), &error);
    int64_t start = base_clock_ms();
    check_fails(net_link_receive(rig.far, 2, data, 4, &error), BASE_ERR_CLOSED, &error,
                "P0 from 127.0.0.1: the connection was lost");
    assert_in_range(base_clock_ms() - start, 0, 2000);
    rig_close(&rig);
}

static void test_many_sessions_on_one_port(void **state)
{
    struct rig rig;
    struct base_error error = {0};
    char data[4];
    rig_open(&rig, NULL, NET_PEER_CLIENT);
    struct net_endpoint_config endpoint =
        endpoint_of(&rig.p2, net_listener_port(rig.listener), NET_PEER_CLIENT);
    for (uint32_t i = 0; i < 20; i++) {
        net_link_destroy(&rig.near);
        net_link_destroy(&rig.far);
        join(rig.listener, &rig.p0, &endpoint, &rig.near, &rig.far);
        check_ok(net_link_send(rig.near, i, "go", 2, &error), &error);
        check_ok(net_link_receive(rig.far, i, data, 2, &error), &error);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_and_restarted_peer),
        cmocka_unit_test(test_frozen_peer_of_a_client),
        cmocka_unit_test(test_large_exchange_with_tiny_limits),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_reader_that_never_reads),
        cmocka_unit_test(test_abort_and_orderly_end),
        cmocka_unit_test(test_connecting_end_hangs_up),
        cmocka_unit_test(test_many_sessions_on_one_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
