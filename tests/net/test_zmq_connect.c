/* Who gets a link over TCP and who does not, and what each side is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/zmq_support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <errno.h>

enum { FEW = 256 }; /* open files, where they run out */

static const struct net_context_config quick = {.linger_ms = 300, .handshake_ms = 600, .busy_ms = 300};

static void test_happy_path(void **state)
{
    struct side p0, p2;
    struct net_link *near, *far;
    struct base_error error = {0};
    char data[8];
    side_open(&p0, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    join(listener, &p0, &endpoint, &near, &far);
    assert_string_equal(net_link_peer(far), "P0 from 127.0.0.1");
    assert_non_null(strstr(net_link_peer(near), "P2 at tcp://127.0.0.1:"));
    check_ok(net_link_send(near, 1, "to P2", 5, &error), &error);
    check_ok(net_link_exchange(far, 2, "to P0", 5, data, 0, &error), &error);
    check_ok(net_link_receive(far, 1, data, 5, &error), &error);
    assert_memory_equal(data, "to P2", 5);
    check_ok(net_link_receive(near, 2, data, 5, &error), &error);
    assert_memory_equal(data, "to P0", 5);
    net_link_destroy(&near);
    net_link_destroy(&far);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

static void test_unknown_key_is_refused_at_once(void **state)
{
    struct side p0, stranger, p2;
    struct net_link *near = NULL;
    struct base_error error = {0};
    struct accepting a;
    side_open(&p0, NULL);
    side_open(&stranger, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    struct net_wait wait = {.timeout_ms = 10000};
    int64_t start = base_clock_ms();
    accept_start(&a, listener, 700);
    check_fails(net_connect(stranger.context, &endpoint, &wait, &near, &error), BASE_ERR_MISMATCH, &error,
                "refused our key");
    check_says(&error, "P2 at tcp://127.0.0.1:");
    assert_in_range(base_clock_ms() - start, 0, 3000);
    accept_finish(&a);
    check_fails(a.status, BASE_ERR_TIMEOUT, &a.error, "P2 for P0: nobody connected");
    assert_null(a.link);
    assert_int_equal(net_listener_refused(listener), 1);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&stranger.context);
    net_context_destroy(&p2.context);
}

static void test_wrong_server_key(void **state)
{
    struct side p0, p2;
    struct net_link *near = NULL;
    struct base_error error = {0};
    side_open(&p0, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&p0, net_listener_port(listener), NET_PEER_PARTY);
    struct net_wait wait = {.timeout_ms = 10000};
    int64_t start = base_clock_ms();
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &error), BASE_ERR_MISMATCH, &error,
                "does not run with the key configured for it");
    assert_in_range(base_clock_ms() - start, 0, 3000);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

/* A port that nobody listens at, found by binding and letting go. */
static uint16_t free_port(int *ret_socket)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_socket = fd;
    return ntohs(address.sin_port);
}

static int after_some(void *context)
{
    return ++*(int *)context > 3;
}

static void test_nobody_there(void **state)
{
    struct side p0;
    struct net_link *near = NULL;
    struct base_error refused = {0}, unresolved = {0}, cancelled = {0}, silent = {0};
    int fd, polls = 0;
    side_open(&p0, &quick);
    struct net_endpoint_config endpoint = endpoint_of(&p0, free_port(&fd), NET_PEER_PARTY);
    struct net_wait wait = {.timeout_ms = 400};
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &refused), BASE_ERR_TIMEOUT, &refused,
                "nobody answers at P2 at tcp://127.0.0.1:");
    /* Something takes the connection and says nothing. */
    assert_int_equal(listen(fd, 16), 0);
    wait.timeout_ms = 1500;
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &silent), BASE_ERR_TIMEOUT, &silent,
                "takes connections but does not answer them");
    (void)close(fd);
    struct net_wait polled = {.timeout_ms = 20000, .cancelled = after_some, .context = &polls};
    check_fails(net_connect(p0.context, &endpoint, &polled, &near, &cancelled), BASE_ERR_CLOSED, &cancelled,
                "the wait was cancelled here");
    endpoint.host = "no-such-host.invalid";
    wait.timeout_ms = 200;
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &unresolved), BASE_ERR_TIMEOUT, &unresolved,
                "host name \"no-such-host.invalid\" does not resolve");
    net_context_destroy(&p0.context);
}

static void *late_thread(void *context)
{
    struct accepting *a = context;
    base_sleep_ms(400);
    return accept_thread(a);
}

static void test_late_peer(void **state)
{
    struct side p0, p2;
    struct net_link *near = NULL;
    struct base_error error = {0};
    int fd;
    side_open(&p0, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    uint16_t port = free_port(&fd);
    struct net_endpoint_config endpoint = endpoint_of(&p2, port, NET_PEER_PARTY);
    struct net_wait wait = {.timeout_ms = 200};
    (void)close(fd);
    struct net_listener *listener = listen_for(&p2, port, NET_PEER_PARTY, &allowed, 1);
    /* Bound and admitting, but nobody takes the link. */
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &error), BASE_ERR_TIMEOUT, &error,
                "is there but did not take the link within 200 ms");
    /* Whoever connects now waits until the late one accepts; the connection given up before is passed over.
     */
    struct accepting a = {.listener = listener, .wait = {.timeout_ms = 10000}};
    assert_int_equal(pthread_create(&a.thread, NULL, late_thread, &a), 0);
    wait.timeout_ms = 10000;
    error = (struct base_error){0};
    check_ok(net_connect(p0.context, &endpoint, &wait, &near, &error), &error);
    accept_finish(&a);
    check_ok(a.status, &a.error);
    net_link_destroy(&near);
    net_link_destroy(&a.link);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

static void test_second_client_is_told_busy(void **state)
{
    struct side one, two, p2;
    struct net_link *near, *far, *other = NULL;
    struct base_error error = {0};
    char data[8];
    side_open(&one, &quick);
    side_open(&two, &quick);
    side_open(&p2, &quick);
    struct net_peer_key allowed[] = {side_peer(&one, "one"), side_peer(&two, "two")};
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_CLIENT, allowed, 2);
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_CLIENT);
    struct net_wait wait = {.timeout_ms = 10000};
    join(listener, &one, &endpoint, &near, &far);
    int64_t start = base_clock_ms();
    check_fails(net_connect(two.context, &endpoint, &wait, &other, &error), BASE_ERR_CLOSED, &error,
                "is busy with another session");
    assert_in_range(base_clock_ms() - start, 0, 3000);
    assert_true(net_listener_busy(listener) > 0);
    /* The first has noticed nothing. */
    error = (struct base_error){0};
    check_ok(net_link_send(near, 1, "still", 5, &error), &error);
    check_ok(net_link_receive(far, 1, data, 5, &error), &error);
    check_ok(net_link_send(far, 2, "here", 4, &error), &error);
    check_ok(net_link_receive(near, 2, data, 4, &error), &error);
    net_link_destroy(&near);
    net_link_destroy(&far);
    /* And then it is the second's turn. */
    join(listener, &two, &endpoint, &near, &far);
    assert_string_equal(net_link_peer(far), "two from 127.0.0.1");
    net_link_destroy(&near);
    net_link_destroy(&far);
    net_listener_destroy(&listener);
    net_context_destroy(&one.context);
    net_context_destroy(&two.context);
    net_context_destroy(&p2.context);
}

static void test_half_open_connections(void **state)
{
    enum { FLOOD = 20 };
    struct side p0, p2;
    struct net_link *near, *far;
    int sockets[FLOOD], fd;
    side_open(&p0, &quick);
    side_open(&p2, &quick);
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(net_listener_port(listener))};
    for (int i = 0; i < FLOOD; i++) {
        fd = sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        if (i % 2 == 0)
            assert_int_equal(send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL), 16);
    }
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    join(listener, &p0, &endpoint, &near, &far);
    base_sleep_ms(quick.handshake_ms + 300); /* libzmq closes them in this time; ours must live on */
    struct base_error error = {0};
    char data[4];
    check_ok(net_link_send(near, 1, "ok", 2, &error), &error);
    check_ok(net_link_receive(far, 1, data, 2, &error), &error);
    int open = 0;
    for (int i = 0; i < FLOOD; i++) {
        char bytes[64];
        ssize_t size;
        while ((size = recv(sockets[i], bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
            continue;
        open += size < 0 && errno == EAGAIN;
        (void)close(sockets[i]);
    }
    assert_int_equal(open, 0);
    net_link_destroy(&near);
    net_link_destroy(&far);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

/* Descriptors that others hold until none is left: a listener and a connecting party wait for some to come back, and say what they wait for. */
struct hoard {
    struct rlimit before;
    int fds[FEW];
    int count;
};

static int open_files(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

static void hoard_all(struct hoard *hoard)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &hoard->before), 0);
    struct rlimit few = {.rlim_cur = FEW, .rlim_max = hoard->before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (hoard->count = 0; (hoard->fds[hoard->count] = dup(STDOUT_FILENO)) >= 0;)
        hoard->count++;
    assert_int_equal(errno, EMFILE);
}

static void hoard_release(struct hoard *hoard)
{
    while (hoard->count > 0)
        (void)close(hoard->fds[--hoard->count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &hoard->before), 0);
}

static void *release_thread(void *context)
{
    base_sleep_ms(500);
    hoard_release(context);
    return NULL;
}

static void test_no_descriptor_left(void **state)
{
    struct side p0, p2;
    struct net_link *near = NULL, *far;
    struct base_error deaf = {0}, stuck = {0}, at_once = {0}, error = {0};
    struct hoard hoard;
    struct net_wait wait = {.timeout_ms = 300};
    pthread_t thread;
    side_open(&p0, &quick);
    side_open(&p2, &quick);
    int at_rest = open_files();
    struct net_peer_key allowed = side_peer(&p0, "P0");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    join(listener, &p0, &endpoint, &near, &far);
    net_link_destroy(&near);
    net_link_destroy(&far);
    while (open_files() > at_rest)
        base_sleep_ms(10); /* sockets close in the background */
    hoard_all(&hoard);
    check_fails(net_accept(listener, &wait, &far, NULL, &deaf), BASE_ERR_MEMORY, &deaf, "raise the limit of open files");
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &stuck), BASE_ERR_MEMORY, &stuck, "raise the limit of open files");
    check_says(&stuck, "P2 at tcp://127.0.0.1:");
    /* A client has nobody who could hold its descriptors. */
    endpoint.as = NET_PEER_CLIENT;
    check_fails(net_connect(p0.context, &endpoint, &wait, &near, &at_once), BASE_ERR_MEMORY, &at_once, "raise the limit of open files");
    endpoint.as = NET_PEER_PARTY;
    /* Both wait from here on, and meet when there are some again. */
    assert_int_equal(pthread_create(&thread, NULL, release_thread, &hoard), 0);
    join(listener, &p0, &endpoint, &near, &far);
    (void)pthread_join(thread, NULL);
    char data[4];
    check_ok(net_link_send(near, 1, "ok", 2, &error), &error);
    check_ok(net_link_receive(far, 1, data, 2, &error), &error);
    net_link_destroy(&near);
    net_link_destroy(&far);
    net_listener_destroy(&listener);
    net_context_destroy(&p0.context);
    net_context_destroy(&p2.context);
}

static void test_listen_errors(void **state)
{
    struct side p2;
    struct net_listener *listener = NULL, *second = NULL;
    struct base_error in_use = {0}, not_ours = {0}, nobody = {0};
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p2, "P0");
    listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_listen_config config = {.name = "P2 for P0",
                                       .host = "127.0.0.1",
                                       .port = net_listener_port(listener),
                                       .allowed = &allowed,
                                       .allowed_count = 1};
    check_fails(net_listen(p2.context, &config, &second, &in_use), BASE_ERR_IO, &in_use,
                "Address already in use");
    config.host = "192.0.2.1";
    check_fails(net_listen(p2.context, &config, &second, &not_ours), BASE_ERR_IO, &not_ours,
                "must be an address of this machine");
    config.allowed_count = 0;
    check_fails(net_listen(p2.context, &config, &second, &nobody), BASE_ERR_ARGUMENT, &nobody,
                "no key may connect");
    net_listener_destroy(&listener);
    net_context_destroy(&p2.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_happy_path),
        cmocka_unit_test(test_unknown_key_is_refused_at_once),
        cmocka_unit_test(test_wrong_server_key),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_late_peer),
        cmocka_unit_test(test_second_client_is_told_busy),
        cmocka_unit_test(test_half_open_connections),
        cmocka_unit_test(test_no_descriptor_left),
        cmocka_unit_test(test_listen_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
