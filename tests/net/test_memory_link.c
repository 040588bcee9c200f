/* Two threads over a memory pair: large messages through tiny queues, counters, closing, aborting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "base/memory.h"
#include "net/frame.h"
#include "net/memory_link.h"

#include <pthread.h>

enum { BIG = 3 * NET_FRAME_PAYLOAD + 17 };

/* What the second thread does with its end, and how it went. */
struct other {
    struct net_link *link;
    size_t send_size, receive_size;
    enum base_status status;
    struct base_error error;
    unsigned char *out, *in;
};

static void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + seed + i / 4096);
}

static void *exchange_thread(void *context)
{
    struct other *other = context;
    other->status = net_link_exchange(other->link, 4, other->out, other->send_size, other->in,
                                      other->receive_size, &other->error);
    return NULL;
}

static void make_pair(struct net_link **ret_a, struct net_link **ret_b, size_t limit)
{
    struct base_error error = {0};
    check_ok(net_memory_pair_create(ret_a, ret_b, "P1", "P2", 0, limit, &error), &error);
    net_link_set_timeout(*ret_a, 5000);
    net_link_set_timeout(*ret_b, 5000);
}

static void check_exchange(size_t limit, size_t a_sends, size_t b_sends)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    unsigned char *out = NULL, *in = NULL;
    make_pair(&a, &b, limit);
    struct other other = {.link = b, .send_size = b_sends, .receive_size = a_sends};
    check_ok(base_alloc(&out, BIG, 1, &error), &error);
    check_ok(base_alloc(&in, BIG, 1, &error), &error);
    check_ok(base_alloc(&other.out, BIG, 1, &error), &error);
    check_ok(base_alloc(&other.in, BIG, 1, &error), &error);
    fill(out, BIG, 1);
    fill(other.out, BIG, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, exchange_thread, &other), 0);
    check_ok(net_link_exchange(a, 4, out, a_sends, in, b_sends, &error), &error);
    (void)pthread_join(thread, NULL);
    check_ok(other.status, &other.error);
    assert_memory_equal(in, other.out, b_sends);
    assert_memory_equal(other.in, out, a_sends);
    base_free(&out);
    base_free(&in);
    base_free(&other.out);
    base_free(&other.in);
    net_link_destroy(&a);
    net_link_destroy(&b);
}

/* What either end notes in an exchange both know after it, in this exchange alone; messages of several frames and one-sided ones, too. */
static void test_note(void **state)
{
    static const size_t sizes[][2] = {{8, 8}, {NET_FRAME_PAYLOAD + 1, 8}, {8, 3 * NET_FRAME_PAYLOAD}, {8, 0}, {0, 8}};
    struct net_link *a, *b;
    static unsigned char out[2][3 * NET_FRAME_PAYLOAD], in[2][3 * NET_FRAME_PAYLOAD];
    make_pair(&a, &b, BIG);
    assert_false(net_link_noted(a));
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
        const size_t *size = sizes[i / 4];
        bool a_notes = i & 1, b_notes = i & 2, noted = (a_notes && size[0] > 0) || (b_notes && size[1] > 0);
        struct base_error error = {0};
        struct other other = {.link = b, .send_size = size[1], .receive_size = size[0], .out = out[1], .in = in[1]};
        pthread_t thread;
        net_link_set_note(a, a_notes);
        net_link_set_note(b, b_notes);
        assert_int_equal(pthread_create(&thread, NULL, exchange_thread, &other), 0);
        check_ok(net_link_exchange(a, 4, out[0], size[0], in[0], size[1], &error), &error);
        (void)pthread_join(thread, NULL);
        check_ok(other.status, &other.error);
        assert_int_equal(net_link_noted(a), noted);
        assert_int_equal(net_link_noted(b), noted);
    }
    net_link_destroy(&a);
    net_link_destroy(&b);
}

/* Waiting for a word: not longer than said, and at once where there is one or none can come; time that receives wait is counted. */
static void test_wait(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    char word[2];
    make_pair(&a, &b, BIG);
    assert_int_equal(net_link_timeout(a), 5000);
    assert_int_equal(net_link_wait(a, 0), 0);
    assert_int_equal(net_link_wait(a, 20), 0);
    assert_true(net_link_waited(a) == 0);
    check_ok(net_link_send(b, 1, "ok", 2, &error), &error);
    assert_int_equal(net_link_wait(a, 60000), 1);
    check_ok(net_link_receive(a, 1, word, 2, &error), &error);
    net_link_set_timeout(a, 50);
    assert_int_equal(net_link_receive(a, 2, word, 2, &error), BASE_ERR_TIMEOUT);
    assert_true(net_link_waited(a) > 0.04); /* clocks count in whole milliseconds */
    assert_int_equal(net_link_wait(a, 60000), 1);
    net_link_destroy(&a);
    assert_int_equal(net_link_wait(b, 60000), 1);
    net_link_destroy(&b);
}

static void test_exchange_through_tiny_queues(void **state)
{
    check_exchange(1, BIG, BIG);
    check_exchange(5000, BIG, BIG);
    check_exchange(1, BIG, 8);
    check_exchange(1, 8, BIG);
    check_exchange(1, 0, BIG);
    check_exchange(1, BIG, 0);
    check_exchange(1, 0, 0);
    check_exchange(1 << 20, NET_FRAME_PAYLOAD, NET_FRAME_PAYLOAD + 1);
}

struct seen {
    size_t sizes[8];
    int sent[8];
    uint32_t steps[8];
    int count;
};

static void see(void *context, int sent, uint32_t step, size_t payload_bytes)
{
    struct seen *seen = context;
    seen->sent[seen->count] = sent;
    seen->steps[seen->count] = step;
    seen->sizes[seen->count++] = payload_bytes;
}

static void test_counters_and_trace(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    struct seen seen = {0};
    static unsigned char big[NET_FRAME_PAYLOAD + 5];
    make_pair(&a, &b, 1 << 22);
    net_link_set_trace(a, see, &seen);
    net_link_set_phase(a, NET_PHASE_PREFILL);
    check_ok(net_link_send(a, 1, big, sizeof big, &error), &error);
    net_link_set_phase(a, NET_PHASE_DECODE);
    check_ok(net_link_send(b, 2, "reply", 5, &error), &error);
    check_ok(net_link_exchange(a, 2, "ask", 3, big, 5, &error), &error);
    check_ok(net_link_send(a, 3, NULL, 0, &error), &error);
    const struct net_count *prefill = net_link_count(a, NET_PHASE_PREFILL);
    assert_int_equal(prefill->frames, 2);
    assert_int_equal(prefill->payload_bytes, sizeof big);
    assert_int_equal(prefill->wire_bytes, sizeof big + 2 * NET_FRAME_HEADER);
    assert_int_equal(prefill->rounds, 0);
    const struct net_count *decode = net_link_count(a, NET_PHASE_DECODE);
    assert_int_equal(decode->frames, 1);
    assert_int_equal(decode->payload_bytes, 3);
    assert_int_equal(decode->rounds, 1);
    assert_int_equal(net_link_count(a, NET_PHASE_SETUP)->frames, 0);
    assert_int_equal(net_link_count(b, NET_PHASE_SETUP)->payload_bytes, 5);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.sizes[1], 5);
    assert_int_equal(seen.steps[3], 2);
    assert_int_equal(seen.sent[3], 0);
    net_link_reset_count(a);
    assert_int_equal(net_link_count(a, NET_PHASE_DECODE)->rounds, 0);
    net_link_destroy(&a);
    net_link_destroy(&b);
}

static void test_blobs(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    unsigned char *data = NULL;
    size_t size = 9;
    make_pair(&a, &b, 1 << 20);
    check_ok(net_link_send_blob(a, 1, "hello", 5, &error), &error);
    check_ok(net_link_send_blob(a, 2, NULL, 0, &error), &error);
    check_ok(net_link_receive_blob(b, 1, 5, &data, &size, &error), &error);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    base_free_secret(&data);
    check_ok(net_link_receive_blob(b, 2, 5, &data, &size, &error), &error);
    assert_int_equal(size, 0);
    base_free_secret(&data);
    net_link_destroy(&a);
    net_link_destroy(&b);
}

static void test_full_queue_times_out(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    static unsigned char big[2 * NET_FRAME_PAYLOAD];
    make_pair(&a, &b, 1);
    net_link_set_timeout(a, 120);
    check_fails(net_link_send(a, 1, big, sizeof big, &error), BASE_ERR_TIMEOUT, &error,
                "P2: it took no frame within 120 ms");
    net_link_destroy(&a);
    net_link_destroy(&b);
}

static void test_close_after_what_was_sent(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    char data[4];
    make_pair(&a, &b, 1 << 20);
    check_ok(net_link_send(a, 1, "last", 4, &error), &error);
    net_link_destroy(&a);
    check_ok(net_link_receive(b, 1, data, 4, &error), &error);
    assert_int_equal(net_link_pending(b), 1); /* a receive would fail at once */
    check_fails(net_link_receive(b, 2, data, 4, &error), BASE_ERR_CLOSED, &error,
                "P1: it has closed the link (step 2)");
    net_link_destroy(&b);
}

static void *abort_thread(void *context)
{
    struct other *other = context;
    struct base_error cause = {.code = BASE_ERR_RANGE, .text = "the plan's bound does not hold"};
    base_sleep_ms(50);
    net_link_abort(other->link, &cause);
    other->status = net_link_send(other->link, 1, "x", 1, &other->error);
    net_link_destroy(&other->link);
    return NULL;
}

static void test_abort_ends_a_wait_at_once(void **state)
{
    struct net_link *a, *b;
    struct base_error error = {0};
    static unsigned char big[BIG];
    pthread_t thread;
    make_pair(&a, &b, 1);
    struct other other = {.link = b};
    int64_t start = base_clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, abort_thread, &other), 0);
    check_fails(net_link_exchange(a, 4, big, 2, big, BIG, &error), BASE_ERR_CLOSED, &error,
                "P2 stopped: the plan's bound does not hold (step 4)");
    (void)pthread_join(thread, NULL);
    assert_in_range(base_clock_ms() - start, 0, 2000);
    assert_int_equal(other.status, BASE_ERR_CLOSED);
    net_link_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_through_tiny_queues),
        cmocka_unit_test(test_note),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_counters_and_trace),
        cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_full_queue_times_out),
        cmocka_unit_test(test_close_after_what_was_sent),
        cmocka_unit_test(test_abort_ends_a_wait_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
