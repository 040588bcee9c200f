/* Links over a carrier that delivers frames of the test's making: every way a frame can be wrong, and what
 * follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "base/memory.h"
#include "net/frame.h"
#include "net/memory_link.h"

enum { MAX_FRAMES = 8 };

/* Frames that wait to be received, and what was sent. */
struct script {
    struct {
        uint8_t header[NET_FRAME_HEADER];
        uint8_t payload[2048];
        size_t size;
    } frames[MAX_FRAMES];
    int count, next, sent, closed;
    uint8_t last_header[NET_FRAME_HEADER];
    uint8_t last_payload[2048];
};

static enum base_status script_send(void *carrier, const void *header, size_t header_size,
                                    const void *payload, size_t payload_size, int64_t deadline_ms,
                                    struct base_error *error)
{
    struct script *script = carrier;
    if (script->closed)
        return base_fail(error, BASE_ERR_CLOSED, "the connection is gone");
    memcpy(script->last_header, header, NET_FRAME_HEADER);
    memcpy(script->last_payload, payload, payload_size < 2048 ? payload_size : 2048);
    script->sent++;
    return BASE_OK;
}

static int script_can_send(void *carrier)
{
    return 1;
}

static enum base_status script_receive(void *carrier, void *header, size_t header_size, void *payload,
                                       size_t capacity, size_t *ret_payload_size, int64_t deadline_ms,
                                       struct base_error *error)
{
    struct script *script = carrier;
    if (script->next == script->count) {
        base_sleep_ms(base_deadline_left(deadline_ms, 1000));
        return BASE_ERR_TIMEOUT;
    }
    int i = script->next++;
    memcpy(header, script->frames[i].header, NET_FRAME_HEADER);
    memcpy(payload, script->frames[i].payload,
           script->frames[i].size < capacity ? script->frames[i].size : capacity);
    *ret_payload_size = script->frames[i].size;
    return BASE_OK;
}

static enum base_status script_wait(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send,
                                    int64_t deadline_ms, struct base_error *error)
{
    struct script *script = carrier;
    *ret_can_receive = script->next < script->count;
    *ret_can_send = 1;
    return *ret_can_receive || want_send ? BASE_OK : BASE_ERR_TIMEOUT;
}

static int script_lost(void *carrier)
{
    return 0;
}

static void script_destroy(void *carrier)
{
}

static struct net_link *script_link(struct script *script)
{
    static const struct net_carrier functions = {script_send, script_can_send, script_receive, script_wait,
                                                 script_lost, script_destroy};
    struct net_link *link = NULL;
    struct base_error error = {0};
    memset(script, 0, sizeof *script);
    check_ok(net_link_create(&link, &functions, script, "P2", 1, &error), &error);
    net_link_set_session(link, (const uint8_t *)"0123456789abcdef");
    net_link_set_timeout(link, 150);
    return link;
}

static struct net_frame data_frame(uint64_t sequence, uint32_t step, size_t total, size_t payload)
{
    struct net_frame frame = {.kind = NET_FRAME_DATA,
                              .stream = 1,
                              .sequence = sequence,
                              .total = total,
                              .step = step,
                              .payload = (uint32_t)payload};
    memcpy(frame.session, "0123456789abcdef", NET_FRAME_SESSION);
    return frame;
}

static void push(struct script *script, const struct net_frame *frame, const char *payload, size_t size)
{
    net_frame_encode(frame, script->frames[script->count].header);
    memcpy(script->frames[script->count].payload, payload, size);
    script->frames[script->count++].size = size;
}

static void test_good_frames(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    char data[4];
    struct net_frame first = data_frame(0, 5, 4, 4), second = data_frame(1, 6, 3, 3);
    push(&script, &first, "abcd", 4);
    push(&script, &second, "efg", 3);
    assert_int_equal(net_link_pending(link), 1);
    check_ok(net_link_receive(link, 5, data, 4, &error), &error);
    assert_memory_equal(data, "abcd", 4);
    check_ok(net_link_receive(link, 6, data, 3, &error), &error);
    assert_memory_equal(data, "efg", 3);
    assert_int_equal(net_link_pending(link), 0);
    net_link_destroy(&link);
}

/* What was sent ahead is dropped up to the mark, but only in its order. */
static void test_skip(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    char data[2];
    struct net_frame frames[] = {data_frame(0, 5, 4, 4), data_frame(1, 6, 3, 3), data_frame(2, 99, 1, 1), data_frame(3, 7, 2, 2), data_frame(5, 99, 1, 1)};
    for (size_t i = 0; i < 5; i++)
        push(&script, &frames[i], "abcd", frames[i].payload);
    check_ok(net_link_skip_to(link, 99, &error), &error);
    check_ok(net_link_receive(link, 7, data, 2, &error), &error);
    assert_memory_equal(data, "ab", 2);
    assert_int_equal(net_link_skip_to(link, 99, &error), BASE_ERR_PEER);
    assert_non_null(strstr(error.text, "sequence"));
    assert_int_equal(net_link_lost(link), 1);
    net_link_destroy(&link);
}

/* Each case mangles the second of two frames. */
static void test_mangled_frames(void **state)
{
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"gap", "P2: frame field sequence is 2, expected 1: frames were lost (step 6)"},
        {"repeat", "P2: frame field sequence is 0, expected 1: a frame came again (step 6)"},
        {"step", "P2: frame field step is 7, expected 6 (step 6)"},
        {"longer", "P2: frame field total is 5, expected 4"},
        {"shorter", "P2: frame field total is 3, expected 4"},
        {"session", "P2: frame field session is 31"},
        {"stream", "P2: frame field stream is 2, expected 1"},
        {"cut", "P2: frame field payload is 4, but 2 bytes came with it"},
        {"extended", "P2: frame field payload is 4, but 9 bytes came with it"},
        {"kind", "P2: frame field kind is 3, expected 1"},
    };
    for (int i = 0; i < 10; i++) {
        struct script script;
        struct net_link *link = script_link(&script);
        struct base_error error = {0}, again = {0};
        char data[4] = "....";
        struct net_frame first = data_frame(0, 5, 4, 4), second = data_frame(1, 6, 4, 4);
        size_t size = 4;
        second.sequence = i == 0 ? 2 : i == 1 ? 0 : 1;
        second.step = i == 2 ? 7 : 6;
        second.total = second.payload = i == 3 ? 5 : i == 4 ? 3 : 4;
        second.session[0] ^= i == 5;
        second.stream += i == 6;
        second.kind = i == 9 ? NET_FRAME_OPEN : NET_FRAME_DATA;
        size = i == 7 ? 2 : i == 8 ? 9 : second.payload;
        push(&script, &first, "abcd", 4);
        push(&script, &second, "efghijklm", size);
        check_ok(net_link_receive(link, 5, data, 4, &error), &error);
        check_fails(net_link_receive(link, 6, data, 4, &error), BASE_ERR_PEER, &error, cases[i].says);
        /* Dead: the same class and text, whatever is asked. */
        check_fails(net_link_send(link, 9, "x", 1, &again), BASE_ERR_PEER, &again, cases[i].says);
        assert_int_equal(script.sent, 0);
        assert_string_equal(net_link_failure(link)->text, error.text);
        net_link_destroy(&link);
    }
}

static void test_wrong_version_is_a_mismatch(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    char data[4];
    struct net_frame frame = data_frame(0, 5, 4, 4);
    push(&script, &frame, "abcd", 4);
    script.frames[0].header[4] = NET_FRAME_VERSION + 1;
    check_fails(net_link_receive(link, 5, data, 4, &error), BASE_ERR_MISMATCH, &error,
                "P2: frame field version is 3, expected 2");
    net_link_destroy(&link);
}

static void test_oversized_frame_stays_in_bounds(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    unsigned char *data = NULL;
    struct net_frame frame = data_frame(0, 5, 2000, 2000);
    char zeros[2000] = {0};
    check_ok(base_alloc(&data, 1000, 1, &error), &error);
    push(&script, &frame, zeros, 2000);
    check_fails(net_link_receive(link, 5, data, 1000, &error), BASE_ERR_PEER, &error,
                "frame field total is 2000, expected 1000");
    base_free(&data);
    net_link_destroy(&link);
}

static void test_deadline(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    char data[4];
    int64_t start = base_clock_ms();
    check_fails(net_link_receive(link, 5, data, 4, &error), BASE_ERR_TIMEOUT, &error,
                "P2: nothing came within 150 ms");
    check_says(&error, "(step 5)");
    assert_in_range(base_clock_ms() - start, 140, 2000);
    net_link_destroy(&link);
}

static int always(void *context)
{
    ++*(int *)context;
    return *(int *)context >= 3;
}

static void test_cancel(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0}, cause = {.code = BASE_ERR_CLOSED, .text = "asked to stop"};
    int asked = 0;
    char data[4];
    int64_t start = base_clock_ms();
    net_link_set_timeout(link, 60000);
    net_link_set_cancel(link, always, &asked);
    check_fails(net_link_receive(link, 5, data, 4, &error), BASE_ERR_CLOSED, &error,
                "P2: the wait was cancelled here");
    assert_in_range(base_clock_ms() - start, 0, 2000);
    /* The peer lives, so it is told. */
    net_link_abort(link, &cause);
    assert_int_equal(script.sent, 1);
    assert_int_equal(script.last_header[5], NET_FRAME_ABORT);
    assert_memory_equal(script.last_payload + 4, "asked to stop", 13);
    net_link_destroy(&link);
}

static void test_abort_comes_in_place_of_data(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0}, cause = {.code = BASE_ERR_MEMORY, .text = "no memory\nleft"};
    uint8_t payload[NET_ABORT_PAYLOAD], data[4];
    size_t size = net_abort_encode(&cause, payload);
    struct net_frame frame = data_frame(0, 99, size, size);
    frame.kind = NET_FRAME_ABORT;
    memset(frame.session, 0, sizeof frame.session);
    push(&script, &frame, (const char *)payload, size);
    check_fails(net_link_receive(link, 5, data, 4, &error), BASE_ERR_CLOSED, &error,
                "P2 stopped: no memory?left (step 5)");
    net_link_abort(link, &cause);
    assert_int_equal(script.sent, 0); /* nobody listens */
    net_link_destroy(&link);
}

static void test_reason_found_when_the_peer_is_gone(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0}, cause = {.code = BASE_ERR_IO, .text = "disk full"};
    uint8_t payload[NET_ABORT_PAYLOAD];
    size_t size = net_abort_encode(&cause, payload);
    struct net_frame unread = data_frame(0, 3, 4, 4), frame = data_frame(1, 99, size, size);
    frame.kind = NET_FRAME_ABORT;
    push(&script, &unread, "abcd", 4);
    push(&script, &frame, (const char *)payload, size);
    script.closed = 1;
    check_fails(net_link_send(link, 5, "x", 1, &error), BASE_ERR_CLOSED, &error, "P2 stopped: disk full");
    net_link_destroy(&link);
}

static void test_blob_limit(void **state)
{
    struct script script;
    struct net_link *link = script_link(&script);
    struct base_error error = {0};
    unsigned char *data = NULL;
    size_t size = 0;
    struct net_frame frame = data_frame(0, 5, 8, 8);
    push(&script, &frame, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
    check_fails(net_link_receive_blob(link, 5, 100, &data, &size, &error), BASE_ERR_PEER, &error,
                "P2: a message of 9223372036854775807 bytes was announced, expected at most 100 (step 5)");
    assert_null(data);
    assert_non_null(net_link_failure(link));
    net_link_destroy(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_frames), cmocka_unit_test(test_skip),
        cmocka_unit_test(test_mangled_frames),
        cmocka_unit_test(test_wrong_version_is_a_mismatch),
        cmocka_unit_test(test_oversized_frame_stays_in_bounds),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_abort_comes_in_place_of_data),
        cmocka_unit_test(test_reason_found_when_the_peer_is_gone),
        cmocka_unit_test(test_blob_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
