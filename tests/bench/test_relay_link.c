/* Texts of links and maps: what they mean, what is refused and how it is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/support/failures.h"

#include "parties/relay_link.h"

static struct relay_link parsed(const char *text)
{
    struct relay_link link;
    struct base_error error = {0};
    check_ok(relay_link_parse(text, &link, &error), &error);
    return link;
}

static void check_link(const char *text, struct relay_link want)
{
    struct relay_link link = parsed(text);
    for (int d = 0; d < 2; d++) {
        assert_true(link.delay_ms[d] == want.delay_ms[d]);
        assert_true(link.jitter_ms[d] == want.jitter_ms[d]);
        assert_true(link.mbit[d] == want.mbit[d]);
    }
}

static void test_meaning(void **state)
{
    (void)state;
    check_link("loopback", (struct relay_link){0});
    check_link("lan", (struct relay_link){{0.5, 0.5}, {0, 0}, {5000, 5000}});
    check_link("man", (struct relay_link){{5, 5}, {0, 0}, {1000, 1000}});
    check_link("wan", (struct relay_link){{20, 20}, {0, 0}, {100, 100}});
    check_link("wan100", (struct relay_link){{20, 20}, {0, 0}, {100, 100}});
    check_link("wan400", (struct relay_link){{20, 20}, {0, 0}, {400, 400}});
    check_link("rtt=3", (struct relay_link){{1.5, 1.5}, {0, 0}, {0, 0}});
    check_link("mbit=0.5", (struct relay_link){{0, 0}, {0, 0}, {0.5, 0.5}});
    check_link("rtt=0", (struct relay_link){0});
    check_link("back-mbit=20:rtt=40:jitter=2:mbit=100:back-rtt=80:back-jitter=1",
               (struct relay_link){{20, 40}, {2, 1}, {100, 20}});
    check_link("rtt=40:jitter=2:back-mbit=20", (struct relay_link){{20, 20}, {2, 2}, {0, 20}});
}

static void check_print(const char *text, const char *want)
{
    char printed[RELAY_LINK_TEXT];
    struct relay_link link = parsed(text);
    relay_link_print(&link, printed);
    assert_string_equal(printed, want);
    check_link(printed, link);
}

static void test_printing(void **state)
{
    (void)state;
    check_print("loopback", "loopback");
    check_print("rtt=0:jitter=0", "loopback");
    check_print("wan", "rtt=40:mbit=100");
    check_print("mbit=100:back-mbit=100:rtt=40.0", "rtt=40:mbit=100");
    check_print("back-rtt=0:mbit=7:rtt=0.3", "rtt=0.3:mbit=7:back-rtt=0");
    check_print("back-jitter=0:jitter=0.125:rtt=1:back-mbit=2.5",
                "rtt=1:jitter=0.125:back-jitter=0:back-mbit=2.5");
    check_print("rtt=0.00001", "rtt=0.00001000000000000000");
    for (size_t i = 0; relay_preset_at(i) != NULL; i++) {
        char printed[RELAY_LINK_TEXT];
        check_link(relay_preset_at(i)->name, relay_preset_at(i)->link);
        relay_link_print(&relay_preset_at(i)->link, printed);
        check_link(printed, relay_preset_at(i)->link);
    }
}

static void test_links_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "link \"\": \"\" is neither KEY=VALUE nor a preset"},
        {"wam",
         "\"wam\" is neither KEY=VALUE nor a preset; the presets: loopback, lan, man, wan, wan100, wan400"},
        {"lan:rtt=3", "\"lan\" is neither"},
        {"rtt=3:", "\"\" is neither"},
        {"rtt=3::mbit=3", "\"\" is neither"},
        {"rtt", "\"rtt\" is neither"},
        {"delay=3", "unknown key \"delay\": the keys are rtt"},
        {"rtt=3:back-back-rtt=3", "unknown key \"back-back-rtt\""},
        {"RTT=3", "unknown key \"RTT\""},
        {"rtt=", "rtt is \"\": must be a number of 0 to 10000 (milliseconds)"},
        {"rtt=-1", "rtt is \"-1\""},
        {"rtt=10001", "rtt is \"10001\""},
        {"rtt=1e3", "rtt is \"1e3\""},
        {"rtt=0x10", "rtt is \"0x10\""},
        {"rtt=nan", "rtt is \"nan\""},
        {"rtt=1.2.3", "rtt is \"1.2.3\""},
        {"rtt=3ms", "rtt is \"3ms\""},
        {"back-rtt=inf", "back-rtt is \"inf\""},
        {"mbit=0", "mbit is \"0\": must be a number of 0.001 to 400000"},
        {"rtt=3:back-mbit=0.0", "back-mbit is \"0.0\""},
        {"mbit=400001", "mbit is \"400001\""},
        {"rtt=3:rtt=3", "rtt is given twice"},
        {"back-mbit=3:mbit=3:back-mbit=3", "back-mbit is given twice"},
        {"jitter=1", "jitter is 1: must not be above the one-way delay"},
        {"rtt=10:jitter=5.1", "jitter is 5.1: must not be above the one-way delay, half of rtt, 5"},
        {"rtt=10:jitter=4:back-rtt=6", "back-jitter is 4"},
        {"rtt=100:mbit=10000", "mbit is 10000: with a one-way delay of 50 ms 60 MiB are under way at once"},
        {"rtt=1:mbit=1111111111111111111111111111111111111111111111111111111111111111111", "is no KEY=VALUE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct relay_link link = {.mbit = {77, 78}};
        struct base_error error = {0};
        check_fails(relay_link_parse(bad[i].text, &link, &error), BASE_ERR_ARGUMENT, &error, bad[i].says);
        assert_true(link.mbit[0] == 77 && link.mbit[1] == 78 && link.delay_ms[0] == 0);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bound[2];
    } cases[] = {{"loopback", {1 << 20, 1 << 20}},
                 {"lan", {4 * 625000, 4 * 625000}},
                 {"wan400", {4 * 2000000, 4 * 2000000}},
                 {"rtt=10:mbit=1", {1 << 20, 1 << 20}},
                 {"rtt=100:mbit=400:back-mbit=100", {4 * 5000000, 4 * 1250000}},
                 {"rtt=100:mbit=4000", {64 << 20, 64 << 20}},
                 {"rtt=1", {64 << 20, 64 << 20}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct relay_link link = parsed(cases[i].text);
        for (int d = 0; d < 2; d++)
            assert_int_equal(relay_link_bound(&link, d), cases[i].bound[d]);
    }
}

static void test_maps(void **state)
{
    struct relay_map maps[RELAY_MAPS_MOST];
    struct base_error error = {0};
    char text[RELAY_HOST + 10];
    size_t count = 0;
    (void)state;
    check_ok(relay_map_parse("127.0.0.1:7000=127.0.0.2:7000,[::1]:1=some.host:65535", maps, &count, &error),
             &error);
    assert_int_equal(count, 2);
    assert_string_equal(maps[0].listen.host, "127.0.0.1");
    assert_int_equal(maps[0].listen.port, 7000);
    assert_string_equal(maps[0].to.host, "127.0.0.2");
    assert_string_equal(maps[1].listen.host, "::1");
    assert_string_equal(maps[1].to.host, "some.host");
    assert_int_equal(maps[1].to.port, 65535);
    relay_end_print(&maps[1].listen, text);
    assert_string_equal(text, "[::1]:1");
}

static void test_maps_refused(void **state)
{
    static const char *const bad[] = {"",         "a:1",      "a:1=",        "=a:1",
                                      "a:1=b",    "a:1=b:",   "a:1=b:0",     "a:1=b:65536",
                                      "a:1=b:+5", "a:1=:5",   "::1:5=b:5",   "[]:5=b:5",
                                      "a:1=b:2,", ",a:1=b:2", "a:1=b:2=c:3", "a:1=b:123456",
                                      "a:7=a:7"};
    char many[RELAY_MAPS_MOST * 8 + 16] = "";
    struct relay_map maps[RELAY_MAPS_MOST];
    size_t count = 77;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct base_error error = {0};
        check_fails(relay_map_parse(bad[i], maps, &count, &error), BASE_ERR_ARGUMENT, &error, "map \"");
        assert_int_equal(count, 77);
    }
    for (int i = 0; i <= RELAY_MAPS_MOST; i++)
        (void)strcat(many, i == 0 ? "a:1=b:2" : ",a:1=b:2");
    struct base_error error = {0};
    check_fails(relay_map_parse(many, maps, &count, &error), BASE_ERR_ARGUMENT, &error, "more than 64 maps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meaning), cmocka_unit_test(test_printing), cmocka_unit_test(test_links_refused),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_maps),     cmocka_unit_test(test_maps_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
