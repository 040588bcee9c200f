/* Sockets of tests of the relay: what a client or a target does. Include after cmocka's headers. */
#ifndef CACHET_TESTS_BENCH_RELAY_SUPPORT_H
#define CACHET_TESTS_BENCH_RELAY_SUPPORT_H

#include "tests/support/failures.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RELAY_TEST_MS = 10000 };

static inline struct sockaddr_in loopback_address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket with a port of its own, which refuses connections until it listens. */
static inline int bound_socket(uint16_t *ret_port)
{
    struct sockaddr_in address = loopback_address(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline int connect_to(uint16_t port)
{
    struct sockaddr_in address = loopback_address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Fails the test instead of hanging. */
static inline void await(int fd, short events)
{
    struct pollfd wait = {.fd = fd, .events = events};
    assert_int_equal(poll(&wait, 1, RELAY_TEST_MS), 1);
}

static inline int accept_one(int listener)
{
    await(listener, POLLIN);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* As read, when there is something. */
static inline ssize_t read_some(int fd, void *ret, size_t size)
{
    await(fd, POLLIN);
    return read(fd, ret, size);
}

static inline void read_all(int fd, void *ret, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = read_some(fd, (char *)ret + at, size - at);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

static inline void write_all(int fd, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t put = send(fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL);
        assert_true(put > 0);
        at += (size_t)put;
    }
}

static inline void close_with_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    (void)close(fd);
}

#endif
