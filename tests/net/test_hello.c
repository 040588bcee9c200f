/* HELLO over a memory pair: agreement, every kind of difference named on both sides, and malformed messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "base/memory.h"
#include "net/hello.h"
#include "net/memory_link.h"

#include <pthread.h>

enum { FIELDS = 9 };

struct half {
    struct net_link *link;
    struct net_hello_config config;
    struct net_hello_field fields[FIELDS];
    uint8_t session[16];
    enum base_status status;
    struct base_error error;
};

static void *hello_thread(void *context)
{
    struct half *half = context;
    half->status = net_hello(half->link, &half->config, half->session, &half->error);
    return NULL;
}

static void half_init(struct half *half, uint8_t own, uint8_t peer)
{
    static const char digest[32] = "0123456789abcdef0123456789abcdef";
    const struct net_hello_field fields[FIELDS] = {
        {.name = "build version", .text = "0.1.0"},
        {.name = "protocol version", .text = "1"},
        {.name = "ring", .text = "2^64"},
        {.name = "suite", .text = "dealer"},
        {.name = "model digest", .bytes = digest, .size = 32},
        {.name = "plan digest", .bytes = digest, .size = 32},
        {.name = "share-set digest", .bytes = digest, .size = 32},
        {.name = "cache policy", .text = "mpcache"},
        {.name = "cache policy digest", .bytes = digest, .size = 32},
    };
    *half = (struct half){.config = {.own_id = own, .peer_id = peer, .field_count = FIELDS}};
    memcpy(half->fields, fields, sizeof fields);
}

static void meet(struct half *a, struct half *b)
{
    pthread_t thread;
    struct base_error error = {0};
    check_ok(net_memory_pair_create(&a->link, &b->link, "P1", "P2", 0, 1 << 20, &error), &error);
    net_link_set_timeout(a->link, 5000);
    net_link_set_timeout(b->link, 5000);
    a->config.fields = a->fields;
    b->config.fields = b->fields;
    assert_int_equal(pthread_create(&thread, NULL, hello_thread, b), 0);
    hello_thread(a);
    (void)pthread_join(thread, NULL);
}

static void part(struct half *a, struct half *b)
{
    net_link_destroy(&a->link);
    net_link_destroy(&b->link);
}

static void test_agreement(void **state)
{
    struct half a, b, c, d;
    struct base_error error = {0};
    char data[4];
    half_init(&a, 1, 2);
    half_init(&b, 2, 1);
    meet(&a, &b);
    check_ok(a.status, &a.error);
    check_ok(b.status, &b.error);
    assert_memory_equal(a.session, b.session, 16);
    check_ok(net_link_send(a.link, 1, "go", 2, &error), &error);
    check_ok(net_link_receive(b.link, 1, data, 2, &error), &error);
    half_init(&c, 1, 2);
    half_init(&d, 2, 1);
    meet(&c, &d);
    check_ok(c.status, &c.error);
    assert_memory_not_equal(a.session, c.session, 16); /* fresh nonces */
    /* A frame of the other meeting is refused. */
    net_link_set_session(a.link, c.session);
    check_ok(net_link_send(a.link, 2, "no", 2, &error), &error);
    check_fails(net_link_receive(b.link, 2, data, 2, &error), BASE_ERR_PEER, &error,
                "a frame of another session");
    part(&a, &b);
    part(&c, &d);
}

static void test_each_field_is_named_on_both_sides(void **state)
{
    static const char other_digest[32] = "X123456789abcdef0123456789abcdef";
    for (int i = 0; i < FIELDS; i++) {
        struct half a, b;
        char here[160], there[160];
        half_init(&a, 1, 2);
        half_init(&b, 2, 1);
        const char *name = b.fields[i].name, *old_text = b.fields[i].text;
        if (old_text != NULL)
            b.fields[i].text = "other";
        else
            b.fields[i].bytes = other_digest;
        meet(&a, &b);
        (void)snprintf(here, sizeof here, "P2: %s differs: \"%s\" here, \"%s", name,
                       old_text != NULL ? old_text
                                        : "30313233343536373839616263646566"
                                          "30313233343536373839616263646566",
                       old_text != NULL ? "other" : "58313233");
        (void)snprintf(there, sizeof there, "P1: %s differs: \"%s", name,
                       old_text != NULL ? "other\" here, \"" : "58313233");
        check_fails(a.status, BASE_ERR_MISMATCH, &a.error, here);
        check_fails(b.status, BASE_ERR_MISMATCH, &b.error, there);
        assert_non_null(net_link_failure(a.link));
        part(&a, &b);
    }
}

static void test_ids_and_config(void **state)
{
    struct half a, b;
    half_init(&a, 1, 2);
    half_init(&b, 0, 1);
    meet(&a, &b);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error, "2 is expected at the other end, it says it is 0");
    check_fails(b.status, BASE_ERR_MISMATCH, &b.error, "this end is 0, the other end expects 2");
    part(&a, &b);
    half_init(&a, 1, 1);
    half_init(&b, 1, 1);
    meet(&a, &b);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error, "party id is 1 at both ends");
    part(&a, &b);
    half_init(&a, 1, 2);
    half_init(&b, 2, 1);
    b.config.config_digest[31] = 9;
    meet(&a, &b);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error, "config digest differs: \"0000");
    check_fails(b.status, BASE_ERR_MISMATCH, &b.error, "config digest differs: \"0000");
    part(&a, &b);
    half_init(&a, 1, 2);
    half_init(&b, 2, 1);
    b.config.field_count--;
    meet(&a, &b);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error, "HELLO has 9 fields here, 8 there");
    part(&a, &b);
    half_init(&a, 1, 2);
    half_init(&b, 2, 1);
    b.fields[3].name = "suit";
    meet(&a, &b);
    check_fails(a.status, BASE_ERR_MISMATCH, &a.error, "HELLO field 3 is \"suite\" here, \"suit\" there");
    part(&a, &b);
}

/* Another end that sends these bytes as its HELLO. */
static void check_malformed(const uint8_t *bytes, size_t size, enum base_status want, const char *says)
{
    struct half a;
    struct net_link *other;
    struct base_error error = {0};
    half_init(&a, 1, 2);
    a.config.fields = a.fields;
    check_ok(net_memory_pair_create(&a.link, &other, "P1", "P2", 0, 1 << 20, &error), &error);
    check_ok(net_link_send_blob(other, NET_HELLO_STEP, bytes, size, &error), &error);
    hello_thread(&a);
    check_fails(a.status, want, &a.error, says);
    net_link_destroy(&a.link);
    net_link_destroy(&other);
}

static void test_malformed(void **state)
{
    uint8_t bytes[80] = {1, 2, 1};
    check_malformed(bytes, 67, BASE_ERR_PEER, "its HELLO has 67 bytes, expected at least 68");
    check_malformed(bytes, 69, BASE_ERR_PEER, "its HELLO has 1 bytes too many");
    bytes[67] = 33;
    check_malformed(bytes, 68, BASE_ERR_PEER, "its HELLO has 33 fields");
    bytes[67] = 1;
    check_malformed(bytes, 68, BASE_ERR_PEER, "cut short or malformed in field 0");
    bytes[68] = 1;
    bytes[69] = 64;
    check_malformed(bytes, 80, BASE_ERR_PEER, "cut short or malformed in field 0");
    bytes[69] = 0;
    bytes[70] = 9; /* a value of 9 bytes with 8 left */
    check_malformed(bytes, 80, BASE_ERR_PEER, "cut short or malformed in field 0");
    bytes[0] = 2;
    check_malformed(bytes, 68, BASE_ERR_MISMATCH, "HELLO version differs: 1 here, 2 there");
}

static void test_missing_peer(void **state)
{
    struct half a;
    struct net_link *other;
    struct base_error error = {0};
    half_init(&a, 1, 2);
    a.config.fields = a.fields;
    check_ok(net_memory_pair_create(&a.link, &other, "P1", "P2 at tcp://h:1", 0, 1 << 20, &error), &error);
    net_link_set_timeout(a.link, 120);
    hello_thread(&a);
    check_fails(a.status, BASE_ERR_TIMEOUT, &a.error, "P2 at tcp://h:1: nothing came within 120 ms");
    net_link_destroy(&a.link);
    net_link_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement),      cmocka_unit_test(test_each_field_is_named_on_both_sides),
        cmocka_unit_test(test_ids_and_config), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_missing_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
