/* Frame headers: the round trip, and every field wrong in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "base/memory.h"
#include "base/text.h"
#include "net/frame.h"

static struct net_frame example(void)
{
    struct net_frame frame = {.kind = NET_FRAME_DATA,
                              .stream = 3,
                              .sequence = 1ull << 40,
                              .total = 700000,
                              .step = 77,
                              .payload = 1000};
    for (int i = 0; i < NET_FRAME_SESSION; i++)
        frame.session[i] = (uint8_t)(i + 1);
    return frame;
}

static void test_round_trip(void **state)
{
    struct net_frame frame = example(), back;
    uint8_t header[NET_FRAME_HEADER];
    struct base_error error = {0};
    net_frame_encode(&frame, header);
    check_ok(net_frame_decode(header, sizeof header, 1000, "P2", &back, &error), &error);
    check_ok(net_frame_expect(&back, &frame, "P2", &error), &error);
    assert_false(back.note);
}

/* The note is one bit beside the kind, and no reason to refuse a frame. */
static void test_note(void **state)
{
    for (int kind = NET_FRAME_DATA; kind <= NET_FRAME_ACCEPT; kind++) {
        struct net_frame frame = example(), back;
        uint8_t plain[NET_FRAME_HEADER], noted[NET_FRAME_HEADER];
        struct base_error error = {0};
        frame.kind = (enum net_frame_kind)kind;
        frame.payload = 100;
        frame.total = 100;
        net_frame_encode(&frame, plain);
        frame.note = true;
        net_frame_encode(&frame, noted);
        for (size_t i = 0; i < sizeof plain; i++)
            assert_int_equal(plain[i] ^ noted[i], i == 5 ? NET_FRAME_NOTE : 0);
        check_ok(net_frame_decode(noted, sizeof noted, 100, "P2", &back, &error), &error);
        assert_true(back.note);
        assert_int_equal(back.kind, kind);
        frame.note = false;
        check_ok(net_frame_expect(&back, &frame, "P2", &error), &error);
    }
}

static void test_decode_refuses(void **state)
{
    static const struct {
        int offset;
        uint8_t value;
        size_t payload;
        enum base_status status;
        const char *says;
    } cases[] = {
        {0, 'X', 1000, BASE_ERR_PEER, "P2: frame field magic is 0x54484358, expected 0x54484343"},
        {4, 9, 1000, BASE_ERR_MISMATCH, "P2: frame field version is 9, expected 2"},
        {5, 0, 1000, BASE_ERR_PEER, "P2: frame field kind is 0, expected 1 to 4"},
        {5, 5, 1000, BASE_ERR_PEER, "P2: frame field kind is 5, expected 1 to 4"},
        {5, NET_FRAME_NOTE, 1000, BASE_ERR_PEER, "P2: frame field kind is 0, expected 1 to 4"},
        {5, NET_FRAME_NOTE + 5, 1000, BASE_ERR_PEER, "P2: frame field kind is 5, expected 1 to 4"},
        {5, 64 + 1, 1000, BASE_ERR_PEER, "P2: frame field kind is 65, expected 1 to 4"},
        {5, 2, 1000, BASE_ERR_PEER, "P2: frame field payload is 1000, expected at most 604"},
        {4, NET_FRAME_VERSION, 999, BASE_ERR_PEER, "P2: frame field payload is 1000, but 999 bytes came with it"},
        {4, NET_FRAME_VERSION, 1001, BASE_ERR_PEER, "P2: frame field payload is 1000, but 1001 bytes came with it"},
        {46, 16, 1000 + (16 << 16), BASE_ERR_PEER,
         "P2: frame field payload is 1049576, expected at most 262144"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_frame frame = example(), back;
        uint8_t header[NET_FRAME_HEADER];
        struct base_error error = {0};
        net_frame_encode(&frame, header);
        header[cases[i].offset] = cases[i].value;
        enum base_status status =
            net_frame_decode(header, sizeof header, cases[i].payload, "P2", &back, &error);
        check_fails(status, cases[i].status, &error, cases[i].says);
    }
}

static void test_decode_lengths(void **state)
{
    struct net_frame frame = example(), back;
    uint8_t header[NET_FRAME_HEADER];
    struct base_error short_header = {0}, beyond = {0}, empty = {0};
    net_frame_encode(&frame, header);
    check_fails(net_frame_decode(header, 47, 1000, "P2", &back, &short_header), BASE_ERR_PEER, &short_header,
                "P2: frame field header size is 47, expected 48");
    frame.total = 999;
    net_frame_encode(&frame, header);
    check_fails(net_frame_decode(header, sizeof header, 1000, "P2", &back, &beyond), BASE_ERR_PEER, &beyond,
                "payload is 1000, more than its message's 999");
    frame.payload = 0;
    net_frame_encode(&frame, header);
    check_fails(net_frame_decode(header, sizeof header, 0, "P2", &back, &empty), BASE_ERR_PEER, &empty,
                "payload is 0 in a data frame");
}

static void test_expect_names_the_field(void **state)
{
    static const char *says[] = {
        "frame field kind is 2, expected 1",
        "frame field session is ff02",
        "frame field stream is 4, expected 3",
        "frame field sequence is 1099511627777, expected 1099511627776: frames were lost",
        "frame field sequence is 1099511627775, expected 1099511627776: a frame came again",
        "frame field step is 78, expected 77",
        "frame field total is 700001, expected 700000",
        "frame field payload is 999, expected 1000",
    };
    for (int i = 0; i < 8; i++) {
        struct net_frame want = example(), got = example();
        struct base_error error = {0};
        got.kind = i == 0 ? NET_FRAME_ABORT : got.kind;
        got.session[0] = i == 1 ? 0xff : got.session[0];
        got.stream += i == 2;
        got.sequence += i == 3 ? 1 : i == 4 ? -1ull : 0;
        got.step += i == 5;
        got.total += i == 6;
        got.payload -= i == 7;
        check_fails(net_frame_expect(&got, &want, "P1", &error), BASE_ERR_PEER, &error, says[i]);
        check_says(&error, "P1: ");
    }
}

static void test_abort_text_is_cleaned(void **state)
{
    struct base_error cause = {.code = BASE_ERR_RANGE}, error = {0}, none = {0};
    uint8_t payload[NET_ABORT_PAYLOAD];
    memset(cause.text, 'x', sizeof cause.text - 1);
    memcpy(cause.text, "a\nb\x1b[2Jc\xc3\xa9\xff", 11);
    size_t size = net_abort_encode(&cause, payload);
    assert_int_equal(size, NET_ABORT_PAYLOAD);
    check_fails(net_abort_decode(payload, size, "P2", &error), BASE_ERR_CLOSED, &error,
                "P2 stopped: a?b?[2Jc\xc3\xa9?");
    check_fails(net_abort_decode(payload, 2, "P2", &none), BASE_ERR_CLOSED, &none,
                "P2 stopped: it gave no reason");
}

static void test_text_clean(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},      {"\t\r\n", "???"},
        {"\x7f\xc2\x85", "???"}, {"\xc0\xaf", "??"},           /* overlong */
        {"\xed\xa0\x80", "???"}, {"\xf4\x90\x80\x80", "????"}, /* surrogate; beyond Unicode */
        {"\xe2\x80\xae", "???"}, {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xe2\x82", "??"},      {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    char text[16];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        base_text_clean(text, sizeof text, cases[i].in, strlen(cases[i].in));
        assert_string_equal(text, cases[i].out);
    }
    assert_int_equal(base_text_clean(text, 3, "\xe2\x82\xac", 3), 0); /* never half a character */
    assert_int_equal(base_text_clean(text, 3, "abcdef", 6), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_note),
        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_decode_lengths),
        cmocka_unit_test(test_expect_names_the_field),
        cmocka_unit_test(test_abort_text_is_cleaned),
        cmocka_unit_test(test_text_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
