/* What a bare libzmq socket with the right keys can do to a listener, and what libzmq's own checks are worth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/zmq_support.h"

#include "net/frame.h"

#include <zmq.h>

/* What the domain option is for: without a handler, a socket that has it set admits nobody. */
static void test_enforced_domain_fails_closed(void **state)
{
    uint8_t server_secret[32], server_key[32], secret[32], key[32];
    char endpoint[64];
    size_t size = sizeof endpoint;
    int one = 1, zero = 0, timeout = 500;
    void *context = zmq_ctx_new(), *server = zmq_socket(context, ZMQ_DEALER),
         *client = zmq_socket(context, ZMQ_DEALER);
    randombytes_buf(server_secret, 32);
    randombytes_buf(secret, 32);
    (void)crypto_scalarmult_base(server_key, server_secret);
    (void)crypto_scalarmult_base(key, secret);
    assert_int_equal(zmq_setsockopt(server, 93, &one, sizeof one), 0);
    assert_int_equal(zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, "x", 1), 0);
    assert_int_equal(zmq_setsockopt(server, ZMQ_CURVE_SERVER, &one, sizeof one), 0);
    assert_int_equal(zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, server_secret, 32), 0);
    assert_int_equal(zmq_setsockopt(server, ZMQ_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_int_equal(zmq_setsockopt(server, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, server_key, 32), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, key, 32), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, secret, 32), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    assert_int_equal(zmq_connect(client, endpoint), 0);
    assert_int_equal(zmq_send(client, "hello", 5, 0), 5);
    assert_int_equal(zmq_recv(server, endpoint, sizeof endpoint, 0), -1);
    (void)zmq_close(client);
    (void)zmq_close(server);
    (void)zmq_ctx_term(context);
}

/* A bare socket of libzmq with the right keys, for what net_connect would never send. */
static void *bare_connect(void *context, const struct side *own, const struct side *peer, uint16_t port)
{
    char address[64];
    int zero = 0, timeout = 5000;
    void *other = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(other, ZMQ_CURVE_SERVERKEY, peer->key, 32), 0);
    assert_int_equal(zmq_setsockopt(other, ZMQ_CURVE_PUBLICKEY, own->key, 32), 0);
    assert_int_equal(zmq_setsockopt(other, ZMQ_CURVE_SECRETKEY, own->secret, 32), 0);
    assert_int_equal(zmq_setsockopt(other, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_setsockopt(other, ZMQ_RCVTIMEO, &timeout, sizeof timeout), 0);
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", port);
    assert_int_equal(zmq_connect(other, address), 0);
    return other;
}

/* A peer of the right key that speaks another version of the frame layout: both ends name both versions. */
static void test_other_frame_version(void **state)
{
    struct side p0, p2;
    struct accepting a;
    uint8_t bytes[NET_FRAME_HEADER + NET_ABORT_PAYLOAD];
    side_open(&p0, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    void *context = zmq_ctx_new(), *other = bare_connect(context, &p0, &p2, net_listener_port(listener));
    struct net_frame frame = {.kind = NET_FRAME_OPEN};
    net_frame_encode(&frame, bytes);
    bytes[4] = 9;
    assert_int_equal(zmq_send(other, bytes, NET_FRAME_HEADER, 0), NET_FRAME_HEADER);
    accept_start(&a, listener, 10000);
    accept_finish(&a);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error,
                "P0 from 127.0.0.1: frame field version is 9, expected 2");
    int size = zmq_recv(other, bytes, sizeof bytes, 0);
    assert_true(size > NET_FRAME_HEADER + 4);
    assert_int_equal(bytes[4], NET_FRAME_VERSION);
    assert_int_equal(bytes[5], NET_FRAME_ABORT);
    /* The listener lives on. */
    (void)zmq_close(other);
    (void)zmq_ctx_term(context);
    struct net_link *near, *far;
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    join(listener, &p0, &endpoint, &near, &far);
    net_link_destroy(&near);
    net_link_destroy(&far);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

/* The largest legal frame passes, one byte more ends the connection before it is taken into memory. */
static void test_oversized_frame_ends_the_connection(void **state)
{
    enum { LARGEST = NET_FRAME_HEADER + NET_FRAME_PAYLOAD };
    struct side p0, p2;
    struct accepting a;
    struct base_error error = {0};
    static uint8_t bytes[LARGEST + 1], data[NET_FRAME_PAYLOAD];
    side_open(&p0, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    void *context = zmq_ctx_new(), *other = bare_connect(context, &p0, &p2, net_listener_port(listener));
    struct net_frame open = {.kind = NET_FRAME_OPEN};
    struct net_frame frame = {
        .kind = NET_FRAME_DATA, .total = NET_FRAME_PAYLOAD, .payload = NET_FRAME_PAYLOAD, .step = 1};
    net_frame_encode(&open, bytes);
    assert_int_equal(zmq_send(other, bytes, NET_FRAME_HEADER, 0), NET_FRAME_HEADER);
    accept_start(&a, listener, 10000);
    accept_finish(&a);
    check_ok(a.status, &a.error);
    net_frame_encode(&frame, bytes);
    assert_int_equal(zmq_send(other, bytes, LARGEST, 0), LARGEST);
    check_ok(net_link_receive(a.link, 1, data, NET_FRAME_PAYLOAD, &error), &error);
    assert_int_equal(zmq_send(other, bytes, LARGEST + 1, 0), LARGEST + 1);
    check_fails(net_link_receive(a.link, 1, data, NET_FRAME_PAYLOAD, &error), BASE_ERR_CLOSED, &error,
                "P0 from 127.0.0.1: the connection was lost");
    (void)zmq_close(other);
    (void)zmq_ctx_term(context);
    net_link_destroy(&a.link);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enforced_domain_fails_closed),
        cmocka_unit_test(test_other_frame_version),
        cmocka_unit_test(test_oversized_frame_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
