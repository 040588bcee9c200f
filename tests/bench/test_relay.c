/* What a relay does to real connections: every byte arrives once and in order, none before its time; ends,
 * resets, absent targets and readers that stall. Times are only held from below, which no busy machine can
 * spoil. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bench/relay_support.h"

#include "base/clock.h"
#include "base/random.h"
#include "bench/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* --- a relay on a thread --------------------------------------------------------------------------- */

struct running {
    struct relay *relay;
    struct relay_link link;
    pthread_t thread;
    int stop[2], listener;
    uint16_t port; /* of the relay */
    enum base_status status;
    struct base_error error;
    char *said;
    size_t said_size;
    FILE *talk;
};

static void *carry(void *context)
{
    struct running *r = context;
    r->status = relay_run(r->relay, r->stop[0], NULL, NULL, &r->error);
    return NULL;
}

static void start(struct running *r, const char *link, bool listens, double patience_ms)
{
    struct relay_map map = {.listen = {.host = "127.0.0.1"}, .to = {.host = "127.0.0.1"}};
    *r = (struct running){0};
    r->listener = bound_socket(&map.to.port);
    if (listens)
        assert_int_equal(listen(r->listener, 8), 0);
    r->talk = open_memstream(&r->said, &r->said_size);
    check_ok(relay_link_parse(link, &r->link, &r->error), &r->error);
    struct relay_form form = {.link = r->link,
                              .maps = &map,
                              .map_count = 1,
                              .seed = 5,
                              .patience_ms = patience_ms,
                              .talk = r->talk};
    check_ok(relay_create(&r->relay, &form, &r->error), &r->error);
    r->port = relay_port(r->relay, 0);
    assert_int_equal(pipe2(r->stop, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&r->thread, NULL, carry, r), 0);
}

/* Ends the relay; nothing is carried afterwards. */
static struct relay_total stop(struct running *r)
{
    (void)close(r->stop[1]);
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    check_ok(r->status, &r->error);
    struct relay_total total = relay_total(r->relay, 0);
    for (int d = 0; d < 2; d++)
        assert_true(total.most_held <= relay_link_bound(&r->link, 0) ||
                    total.most_held <= relay_link_bound(&r->link, 1));
    return total;
}

static void finish(struct running *r)
{
    relay_destroy(&r->relay);
    (void)close(r->stop[0]);
    (void)close(r->listener);
    (void)fclose(r->talk);
    free(r->said);
}

/* --- streams of known bytes ------------------------------------------------------------------------ */

static unsigned char byte_at(uint64_t seed, size_t at)
{
    return (unsigned char)base_random_mix(seed + at);
}

struct writer {
    int fd;
    uint64_t seed;
    size_t total, largest;
    pthread_t thread;
    bool good;
};

/* Writes pieces of 1 to `largest` bytes, then ends the stream. */
static void *write_stream(void *context)
{
    struct writer *w = context;
    unsigned char *bytes = malloc(w->largest);
    uint64_t random = w->seed;
    w->good = bytes != NULL;
    for (size_t at = 0; w->good && at < w->total;) {
        size_t size = 1 + base_random_next(&random) % w->largest;
        size = size < w->total - at ? size : w->total - at;
        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_at(w->seed, at + i);
        for (size_t sent = 0; w->good && sent < size;) {
            ssize_t put = send(w->fd, bytes + sent, size - sent, MSG_NOSIGNAL);
            w->good = put > 0;
            sent += put > 0 ? (size_t)put : 0;
        }
        at += size;
    }
    (void)shutdown(w->fd, SHUT_WR);
    free(bytes);
    return NULL;
}

struct reader {
    int fd;
    uint64_t seed;
    size_t at;
    bool ended;
};

static void read_step(struct reader *r, size_t most)
{
    unsigned char bytes[50000];
    ssize_t got = read_some(r->fd, bytes, most < sizeof bytes ? most : sizeof bytes);
    assert_true(got >= 0);
    r->ended = got == 0;
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] != byte_at(r->seed, r->at++))
            fail_msg("byte %zu is another one", r->at - 1);
}

static void check_streams(const char *link, size_t total, size_t back, size_t largest)
{
    struct running r;
    start(&r, link, true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    struct writer writers[2] = {{client, 1000000007, total, largest, 0, false},
                                {target, 9000000011, back, largest, 0, false}};
    struct reader readers[2] = {{target, 1000000007, 0, false}, {client, 9000000011, 0, false}};
    uint64_t random = 3;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_stream, &writers[i]), 0);
    while (!readers[0].ended || !readers[1].ended) {
        struct pollfd wait[2];
        for (int i = 0; i < 2; i++)
            wait[i] = (struct pollfd){.fd = readers[i].ended ? -1 : readers[i].fd, .events = POLLIN};
        assert_true(poll(wait, 2, RELAY_TEST_MS) > 0);
        for (int i = 0; i < 2; i++)
            if (wait[i].revents != 0)
                read_step(&readers[i], 1 + base_random_next(&random) % 50000);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        assert_true(writers[i].good);
    }
    struct relay_total counted = stop(&r);
    assert_int_equal(readers[0].at, total);
    assert_int_equal(readers[1].at, back);
    assert_int_equal(counted.bytes[0], total);
    assert_int_equal(counted.bytes[1], back);
    assert_int_equal(counted.connections, 1);
    assert_int_equal(counted.failed, 0);
    (void)close(client);
    (void)close(target);
    finish(&r);
}

static void test_streams(void **state)
{
    (void)state;
    check_streams("loopback", 100003, 5, 1);
    check_streams("loopback", 3000017, 2000003, 70000);
    check_streams("rtt=4:jitter=2", 300007, 200003, 17);
    check_streams("rtt=4:jitter=2:mbit=400:back-mbit=100:back-rtt=9", 3000017, 1000003, 70000);
    check_streams("rtt=0.5:jitter=0.25:mbit=200", 1000003, 0, 3000);
}

/* --- ends ------------------------------------------------------------------------------------------ */

/* Either side may end first and still be answered; and sides that have ended wake nobody. */
static void check_half_close(const char *link, bool target_first)
{
    struct running r;
    char text[64];
    start(&r, link, true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    int first = target_first ? target : client, second = target_first ? client : target;
    write_all(first, "question", 8);
    assert_int_equal(shutdown(first, SHUT_WR), 0);
    read_all(second, text, 8);
    assert_memory_equal(text, "question", 8);
    assert_int_equal(read_some(second, text, sizeof text), 0);
    base_sleep_ms(30);
    write_all(second, "an answer", 9);
    read_all(first, text, 9);
    assert_memory_equal(text, "an answer", 9);
    base_sleep_ms(30);
    assert_int_equal(shutdown(second, SHUT_WR), 0);
    assert_int_equal(read_some(first, text, sizeof text), 0);
    base_sleep_ms(30);
    struct relay_total total = stop(&r);
    assert_int_equal(total.bytes[target_first], 8);
    assert_int_equal(total.bytes[!target_first], 9);
    assert_true(relay_waits(r.relay) < 200);
    (void)close(client);
    (void)close(target);
    finish(&r);
}

static void test_half_close(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        check_half_close("loopback", i == 1);
        check_half_close("rtt=6:mbit=10", i == 1);
    }
}

/* What was sent before a reset still comes, then the reset; in both directions. */
static void check_reset(const char *link, bool by_target)
{
    struct running r;
    char text[8];
    start(&r, link, true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    int lost = by_target ? target : client, left = by_target ? client : target;
    write_all(lost, "last", 4);
    /* The relay has it, so that the reset cannot overtake it in the system's buffers. */
    base_sleep_ms(20);
    close_with_reset(lost);
    read_all(left, text, 4);
    assert_memory_equal(text, "last", 4);
    assert_int_equal(read_some(left, text, sizeof text), -1);
    assert_int_equal(errno, ECONNRESET);
    (void)close(left);
    (void)stop(&r);
    assert_true(relay_waits(r.relay) < 200);
    finish(&r);
}

static void test_reset(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        check_reset("loopback", i == 1);
        check_reset("rtt=60", i == 1);
    }
}

/* --- targets that are not there -------------------------------------------------------------------- */

static void test_absent(void **state)
{
    struct running r;
    char text[8];
    (void)state;
    start(&r, "rtt=2", false, 50);
    for (int i = 0; i < 3; i++) {
        int client = connect_to(r.port);
        assert_int_equal(read_some(client, text, sizeof text), -1);
        assert_int_equal(errno, ECONNRESET);
        (void)close(client);
    }
    struct relay_total total = stop(&r);
    assert_int_equal(total.connections, 3);
    assert_int_equal(total.failed, 3);
    (void)fflush(r.talk);
    char *first = strstr(r.said, "cannot connect to 127.0.0.1:");
    assert_non_null(first);
    assert_non_null(strstr(first, "Connection refused"));
    assert_null(strstr(first + 1, "cannot connect"));
    finish(&r);
}

/* A target that comes later gets what was sent before. */
static void test_late(void **state)
{
    struct running r;
    char text[8];
    (void)state;
    start(&r, "rtt=2", false, RELAY_TEST_MS);
    int client = connect_to(r.port);
    write_all(client, "early", 5);
    base_sleep_ms(60);
    assert_int_equal(listen(r.listener, 8), 0);
    int target = accept_one(r.listener);
    read_all(target, text, 5);
    assert_memory_equal(text, "early", 5);
    struct relay_total total = stop(&r);
    assert_int_equal(total.failed, 0);
    assert_int_equal(total.bytes[0], 5);
    (void)close(client);
    (void)close(target);
    finish(&r);
}

static void test_in_use(void **state)
{
    struct base_error error = {0};
    struct relay_map map = {.listen = {.host = "127.0.0.1"}, .to = {.host = "127.0.0.1", .port = 1}};
    struct relay_form form = {.maps = &map, .map_count = 1};
    struct relay *relay = NULL;
    int fd = bound_socket(&map.listen.port);
    (void)state;
    assert_int_equal(listen(fd, 1), 0);
    check_fails(relay_create(&relay, &form, &error), BASE_ERR_IO, &error, "Address already in use");
    check_says(&error, "cannot listen on 127.0.0.1:");
    assert_null(relay);
    (void)close(fd);
    (void)snprintf(map.listen.host, sizeof map.listen.host, "192.0.2.1");
    error = (struct base_error){0};
    check_fails(relay_create(&relay, &form, &error), BASE_ERR_IO, &error,
                "must be an address of this machine");
    (void)snprintf(map.to.host, sizeof map.to.host, "no such host");
    error = (struct base_error){0};
    check_fails(relay_create(&relay, &form, &error), BASE_ERR_IO, &error, "no such host has no address");
}

/* --- readers that stall ---------------------------------------------------------------------------- */

/* Writes what the relay and the system take while nobody reads; returns how much that is. */
static size_t fill(int fd, uint64_t seed)
{
    size_t at = 0;
    for (struct pollfd wait = {.fd = fd, .events = POLLOUT}; poll(&wait, 1, 200) == 1;) {
        unsigned char bytes[10000];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = byte_at(seed, at + i);
        ssize_t put = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(put > 0 || errno == EAGAIN);
        at += put > 0 ? (size_t)put : 0;
    }
    return at;
}

static void check_stall(const char *link, bool back)
{
    struct running r;
    start(&r, link, true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    int from = back ? target : client, to = back ? client : target;
    size_t total = fill(from, 77), bound = relay_link_bound(&r.link, back);
    assert_int_equal(shutdown(from, SHUT_WR), 0);
    struct reader reader = {.fd = to, .seed = 77};
    while (!reader.ended)
        read_step(&reader, 50000);
    struct relay_total counted = stop(&r);
    assert_int_equal(reader.at, total);
    assert_int_equal(counted.bytes[back], total);
    assert_true(counted.most_held <= bound);
    assert_true(counted.most_held > bound - 40000); /* it was full */
    assert_true(relay_waits(r.relay) < 20000);
    (void)close(client);
    (void)close(target);
    finish(&r);
}

static void test_stall(void **state)
{
    (void)state;
    check_stall("loopback", false);
    check_stall("rtt=2:back-mbit=4000", true);
}

/* A reset reaches a reader that stalls, and the relay forgets what that one did not take. */
static void test_stalled_reset(void **state)
{
    struct running r;
    char bytes[50000];
    ssize_t got;
    (void)state;
    start(&r, "rtt=2:mbit=10000", true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    size_t total = fill(client, 77), taken = 0;
    close_with_reset(client);
    await(target, POLLERR);
    while ((got = read_some(target, bytes, sizeof bytes)) > 0)
        taken += (size_t)got;
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
    assert_true(taken < total);
    (void)close(target);
    (void)stop(&r);
    finish(&r);
}

/* --- time ------------------------------------------------------------------------------------------ */

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Messages to and fro, and when the last byte was there. */
static void check_delay(const char *link, double there_ms, double back_ms, size_t size)
{
    enum { TIMES = 12, MOST = 100000 };
    struct running r;
    double beyond[2][TIMES];
    static const char bytes[MOST];
    char *into = malloc(MOST);
    assert_non_null(into);
    start(&r, link, true, 0);
    int ends[2] = {connect_to(r.port), accept_one(r.listener)};
    for (int i = 0; i < 2 * TIMES; i++) {
        int d = i % 2;
        double least_ms = d == 0 ? there_ms : back_ms, before = base_clock_seconds();
        write_all(ends[d], bytes, size);
        read_all(ends[1 - d], into, size);
        double took_ms = (base_clock_seconds() - before) * 1e3;
        if (took_ms < least_ms)
            fail_msg("%s: %zu bytes after %.6f ms, at least %.6f", link, size, took_ms, least_ms);
        beyond[d][i / 2] = took_ms - least_ms;
    }
    for (int d = 0; d < 2; d++)
        qsort(beyond[d], TIMES, sizeof beyond[d][0], order);
    (void)printf("%s, %zu bytes: beyond the least delay %.0f us there, %.0f us back (medians of %d)\n", link,
                 size, beyond[0][TIMES / 2] * 1e3, beyond[1][TIMES / 2] * 1e3, TIMES);
    struct relay_total total = stop(&r);
    assert_int_equal(total.bytes[0], TIMES * size);
    assert_int_equal(total.bytes[1], TIMES * size);
    (void)close(ends[0]);
    (void)close(ends[1]);
    free(into);
    finish(&r);
}

static void test_delay(void **state)
{
    (void)state;
    check_delay("loopback", 0, 0, 1);
    check_delay("rtt=1", 0.5, 0.5, 1);
    check_delay("rtt=6:back-rtt=2", 3, 1, 1000);
    check_delay("rtt=4:jitter=1.5", 0.5, 0.5, 1000);
    check_delay("rtt=4:mbit=100:back-mbit=400", 2 + 8, 2 + 2, 100000);
}

/* At every moment, no more has come than the bandwidth allows. */
static void check_bandwidth(const char *link, bool back, size_t total)
{
    struct running r;
    start(&r, link, true, 0);
    int client = connect_to(r.port), target = accept_one(r.listener);
    struct writer writer = {back ? target : client, 77, total, 60000, 0, false};
    struct reader reader = {.fd = back ? client : target, .seed = 77};
    double started = base_clock_seconds(), took = 0, least = 0;
    assert_int_equal(pthread_create(&writer.thread, NULL, write_stream, &writer), 0);
    while (!reader.ended) {
        read_step(&reader, 50000);
        took = base_clock_seconds() - started;
        least = (double)reader.at * 8e-6 / r.link.mbit[back] + r.link.delay_ms[back] * 1e-3;
        if (took < least)
            fail_msg("%s: %zu bytes after %.6f s, at least %.6f", link, reader.at, took, least);
    }
    assert_int_equal(pthread_join(writer.thread, NULL), 0);
    assert_int_equal(reader.at, total);
    (void)printf("%s: %zu bytes in %.4f s, at least %.4f\n", link, total, took, least);
    (void)stop(&r);
    (void)close(client);
    (void)close(target);
    finish(&r);
}

static void test_bandwidth(void **state)
{
    (void)state;
    check_bandwidth("rtt=10:mbit=100", false, 3000000);
    check_bandwidth("rtt=10:mbit=100:back-mbit=1000", true, 20000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_streams), cmocka_unit_test(test_half_close),
                                       cmocka_unit_test(test_reset),   cmocka_unit_test(test_absent),
                                       cmocka_unit_test(test_late),    cmocka_unit_test(test_in_use),
                                       cmocka_unit_test(test_stall),   cmocka_unit_test(test_stalled_reset),
                                       cmocka_unit_test(test_delay),   cmocka_unit_test(test_bandwidth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
