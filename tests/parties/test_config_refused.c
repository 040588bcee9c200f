/* What each bad config file is told: file, line, field, value, and what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/parties/config_text.h"

static void check_text_refused(const char *text, size_t size, enum base_status want, const char *says)
{
    struct party_config config = {.client_count = 77};
    struct base_error error = {0};
    check_fails(party_config_parse(&config, "bad.yaml", text, size, &error), want, &error, says);
    check_says(&error, "bad.yaml: ");
    assert_null(strchr(error.text, '\n'));
    assert_int_equal(config.client_count, 77); /* outputs are untouched on failure */
}

struct bad {
    size_t line;
    const char *instead, *says;
};

static void check_all_refused(const struct bad *bad, size_t count)
{
    char text[ROOM];
    for (size_t i = 0; i < count; i++) {
        size_t size = make(text, bad[i].line, bad[i].instead);
        check_text_refused(text, size, BASE_ERR_FORMAT, bad[i].says);
    }
}

#define CHECK_ALL_REFUSED(list) check_all_refused(list, sizeof(list) / sizeof((list)[0]))

static void test_keys_of_the_file(void **state)
{
    static const struct bad bad[] = {
        {2, "modus: three-party", "line 2: unknown key \"modus\": did you mean \"mode\"?"},
        {2, "\n\n  # modus: no\nmodus: three-party", "line 5: unknown key \"modus\""},
        {15, "limits:\n  context: 3\n\n  stepseconds: 4",
         "line 18: unknown key \"limits.stepseconds\": did you mean \"step_seconds\"?"},
        {15, "limits: {qqqqqq: 4}",
         "line 15: unknown key \"limits.qqqqqq\": remove it; the keys here are context, connect_seconds, "
         "step_seconds, ahead_mib, slots"},
        {5, "  p3: {}", "line 5: unknown key \"parties.p3\": did you mean \"p"},
        {9, "  - {name: bob, keys: 3}", "line 9: unknown key \"clients[2].keys\": did you mean \"key\"?"},
        {2, "", "bad.yaml: mode is missing: add it"},
        {1, "", "bad.yaml: version is missing: add it"},
        {6, "", "line 4: parties.p2 is missing: add it"},
        {5, "  p1: {address: \"a:1\"}", "line 5: parties.p1.key is missing: add it"},
        {9, "  - {name: bob}", "line 9: clients[2].key is missing: add it"},
        {12, "", "line 11: model.plan is missing: add it"},
        {14, "cache: {}", "line 14: cache.policy is missing: add it"},
        {15, "limits: {context: 1, context: 2}", "line 15: limits.context is given twice: keep one"},
        {15, "mode: three-party", "line 15: mode is given twice: keep one"},
        {15, "limits:\n  context: 1\nlimits:\n  context: 1", "line 17: limits is given twice: keep one"},
    };
    CHECK_ALL_REFUSED(bad);
}

static void test_forms(void **state)
{
    static const struct bad bad[] = {
        {2, "mode: [three-party]", "line 2: mode: found a list: write a single value in double quotes here"},
        {4, "  p0: 10.0.0.10:7100",
         "line 4: parties.p0: found a single value, or nothing: write a section of keys"},
        {4, "  p0: {address: [::1]:7100, key: a}", "bad.yaml: line 4"},
        {15, "limits:", "line 15: limits: found a single value, or nothing"},
        {15, "limits: {context: {a: 1}}", "line 15: limits.context: found a section of keys"},
        {9, "  - bob", "line 9: clients[2]: found a single value, or nothing: write a section of keys here"},
        {4, "  p0: {address: \"10.0.0.10:7100\", key: *a}",
         "line 4: parties.p0.key: an alias (*name) is not allowed"},
        {4, "  p0: {address: \"10.0.0.10:7100\", key: &a}", "line 4: parties.p0.key: is empty"},
        {4, "  p0: {address: \"10.0.0.10:7100\", key: \"a}", "bad.yaml: line "},
        {10, "model: [", "line 10: model: found a list"},
        {15, "limits: {context: 4", "line 15 or after, near limits.context: is not YAML: "},
        {15, "limits: {context: @4}", "line 15 or after, near limits.context: is not YAML: "},
        {1, "\tversion: 1", "line 1 or after: is not YAML: "},
        {15, " x", "line 14 or after, near cache: is not YAML: "},
        {15, "? [a]\n: 4", "bad.yaml: line "},
        {15, "---\nversion: 1", "has a second document: remove everything from the second"},
    };
    static const char *const whole[] = {"[1, 2]", "text", "", "# nothing\n", "---\n...\n"};
    CHECK_ALL_REFUSED(bad);
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        check_text_refused(whole[i], strlen(whole[i]), BASE_ERR_FORMAT, "bad.yaml: ");
}

static void test_addresses(void **state)
{
    static const char *const bad[] = {
        "10.0.0.10",
        "10.0.0.10:",
        "10.0.0.10:0",
        "10.0.0.10:65534",
        "10.0.0.10:071",
        "10.0.0.10:+71",
        "10.0.0.10:71x",
        "10.0.0.10:9999999",
        ":7100",
        "a b:7100",
        " a:7100",
        "10.0.0.300:7100",
        "10.0.0:7100",
        "::1:7100",
        "[::1]7100",
        "[::1]",
        "[]:7100",
        "[a]:7100",
        "[::1%]:7100",
        "[10.0.0.10]:7100",
        "tcp://a:7100",
        "a/b:7100",
        "[::1:7100",
        "*:7100",
        "",
        "\xc3\xa4:7100",
        "[::1%e th]:1",
        "[",
        ":",
        "[:1",
    };
    static const char *const fine[] = {"localhost:1", "A-b_c.d:65533", "[fe80::1%eth0]:7100", "[::]:7100",
                                       "127.0.0.1:7100"};
    struct party_config config;
    char line[512], says[512], text[ROOM];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(line, sizeof line, "  p1: {address: \"%s\", key: \"%s\"}", bad[i], KEY_P1);
        (void)snprintf(says, sizeof says, "line 5: parties.p1.address: \"%s\" is not an address", bad[i]);
        check_text_refused(text, make(text, 5, line), BASE_ERR_FORMAT, says);
    }
    (void)snprintf(line, sizeof line, "  p1: {address: \"%0300d:7100\", key: \"%s\"}", 1, KEY_P1);
    check_text_refused(text, make(text, 5, line), BASE_ERR_FORMAT, "line 5: parties.p1.address: \"000");
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        (void)snprintf(line, sizeof line, "  p1: {address: \"%s\", key: \"%s\"}", fine[i], KEY_P1);
        parse_good(&config, 5, line);
    }
}

static void test_values(void **state)
{
    static const struct bad bad[] = {
        {2, "mode: two-parties", "line 2: mode: \"two-parties\" is not a mode: write three-party, two-party-with-dealer or two-party"},
        {2, "mode: two-party", "line 4: parties.p0: mode two-party has no P0: remove it"},
        {8, "  - {name: Alice, key: \"" KEY_ALICE "\"}",
         "line 8: clients[1].name: \"Alice\" is not a client's name"},
        {8, "  - {name: , key: \"" KEY_ALICE "\"}", "line 8: clients[1].name: \"\" is not a client's name"},
        {8, "  - {name: abcdefghijabcdefghijabcdefghijabc, key: \"" KEY_ALICE "\"}",
         "line 8: clients[1].name: \"abcdefghijabcdefghijabcdefghijabc\" is not"},
        {9, "  - {name: alice, key: \"" KEY_BOB "\"}",
         "line 9: clients[2].name: \"alice\" is also the name of clients[1]"},
        {9, "  - {name: bob, key: \"short\"}", "line 9: clients[2].key: \"short\" is not a public key"},
        {9, "  - {name: bob, key: \"\"}", "line 9: clients[2].key: is empty"},
        {4, "  p0: {address: \"a:1\", key: \"~BCDEFGHIJKLMNOPQRST0123456789abcdefghij\"}",
         "line 4: parties.p0.key: \"~BCDEFGHIJKLMNOPQRST0123456789abcdefghij\" is not a public key"},
        {11, "  digest: " HEX, "line 11: model.digest: \"" HEX "\" is not 64 hex digits"},
        {12, "  plan: 0g23456789abcdef" HEX HEX HEX, "line 12: model.plan: \"0g23456789abcdef"},
        {12, "  plan: " HEX64 "0", "line 12: model.plan: "},
        {13, "  shares: 0123456789abcde",
         "line 13: model.shares: \"0123456789abcde\" is not 16 to 64 hex digits"},
        {13, "  shares: " HEX64 "0", "line 13: model.shares: "},
        {14, "cache: {policy: fulll}",
         "line 14: cache.policy: there is no cache policy \"fulll\": choose one of full, window"},
        {14, "cache: {policy: full, sinks: 4}", "line 14: cache.sinks: belongs to policy window: remove it"},
        {14, "cache: {policy: full, window: 4}",
         "line 14: cache.window: belongs to policy window: remove it"},
        {14, "cache: {policy: window, sinks: 4}", "line 14: cache: cache.window is missing"},
        {14, "cache: {policy: window, window: 4}", "line 14: cache: cache.sinks is missing"},
        {14, "cache: {policy: window, sinks: 4, window: 0}",
         "line 14: cache.window: \"0\" is not a whole number from 1 to 1048576"},
        {14, "cache: {policy: window, sinks: -1, window: 2}",
         "line 14: cache.sinks: \"-1\" is not a whole number"},
        {15, "limits: {context: 0}",
         "line 15: limits.context: \"0\" is not a whole number from 1 to 1048576"},
        {15, "limits: {context: 1048577}", "line 15: limits.context: \"1048577\" is not"},
        {15, "limits: {context: many}", "line 15: limits.context: \"many\" is not"},
        {15, "limits: {context: 0x10}", "line 15: limits.context: \"0x10\" is not"},
        {15, "limits: {context: 1.5}", "line 15: limits.context: \"1.5\" is not"},
        {15, "limits: {context: }", "line 15: limits.context: \"\" is not"},
        {15, "limits: {context: 18446744073709551617}",
         "line 15: limits.context: \"18446744073709551617\" is not"},
        {15, "limits:\n  context: 1\n  connect_seconds: 3601",
         "line 17: limits.connect_seconds: \"3601\" is not a whole number from 1 to 3600"},
        {15, "limits: {step_seconds: 3601}",
         "limits.step_seconds: \"3601\" is not a whole number from 1 to 3600"},
        {15, "limits: {slots: 33}", "limits.slots: \"33\" is not a whole number from 1 to 32"},
        {15, "limits: {slots: 0}", "limits.slots: \"0\" is not a whole number from 1 to 32"},
        {15, "limits: {ahead_mib: 65537}",
         "limits.ahead_mib: \"65537\" is not a whole number from 1 to 65536"},
    };
    CHECK_ALL_REFUSED(bad);
}

static void test_between_values(void **state)
{
    static const struct bad bad[] = {
        {5, "  p1: {address: \"a:1\", key: \"" KEY_P0 "\"}",
         "line 5: parties.p1.key: is the same as parties.p0.key"},
        {9, "  - {name: bob, key: \"" KEY_P2 "\"}",
         "line 9: clients[2].key: the key of bob is the same as parties.p2.key"},
        {9, "  - {name: bob, key: \"" KEY_ALICE "\"}",
         "line 9: clients[2].key: the key of bob is the same as clients[1].key"},
        {6, "  p2: {address: \"10.0.0.10:7102\", key: \"" KEY_P2 "\"}",
         "line 6: parties.p2.address: port 7102 of host \"10.0.0.10\" overlaps port 7100 of parties.p0"},
        {6, "  p2: {address: \"10.0.0.10:7098\", key: \"" KEY_P2 "\"}",
         "line 6: parties.p2.address: port 7098"},
    };
    struct party_config config;
    CHECK_ALL_REFUSED(bad);
    parse_good(&config, 6, "  p2: {address: \"10.0.0.10:7103\", key: \"" KEY_P2 "\"}");
}

static void test_version(void **state)
{
    char text[ROOM];
    check_text_refused(text, make(text, 1, "version: 2"), BASE_ERR_SUPPORT,
                       "line 1: version: is \"2\", and this program reads version 1");
    /* The new version's keys are not what is wrong. */
    check_text_refused(text, make(text, 1, "shape: {of: [the, new]}\nversion: 3"), BASE_ERR_SUPPORT,
                       "line 2: version: is \"3\"");
}

static void test_client_count(void **state)
{
    char text[ROOM], clients[ROOM / 2], key[NET_KEY_TEXT];
    size_t used = 0;
    struct party_config config;
    for (size_t i = 0; i < PARTY_CONFIG_CLIENTS - 1; i++) {
        uint8_t bytes[NET_KEY_BYTES] = {(uint8_t)i};
        net_key_write_text(bytes, key);
        used += (size_t)snprintf(clients + used, sizeof clients - used, "%s  - {name: c%zu, key: \"%s\"}",
                                 i == 0 ? "" : "\n", i, key);
    }
    parse_good(&config, 9, clients);
    assert_int_equal(config.client_count, PARTY_CONFIG_CLIENTS);
    (void)snprintf(clients + used, sizeof clients - used, "\n  - {name: last, key: \"%s\"}", KEY_BOB);
    check_text_refused(text, make(text, 9, clients), BASE_ERR_FORMAT,
                       "line 72: clients: has too many entries: list 1 to 64");
    check_text_refused(text, make(text, 7, "clients: []\nx:"), BASE_ERR_FORMAT,
                       "line 7: clients: has no entry");
}

static void test_bytes(void **state)
{
    static const char *const bytes[] = {"\x01",     "\x7f",         "\xff",        "\xc3",
                                        "\xc0\xaf", "\xed\xa0\x80", "\xe2\x80\xae"};
    char text[ROOM], line[64];
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        (void)snprintf(line, sizeof line, "mode: three-party # %s", bytes[i]);
        check_text_refused(text, make(text, 2, line), BASE_ERR_FORMAT, "line 2: byte 0x");
    }
    size_t size = make(text, 0, NULL);
    text[size++] = '\0';
    check_text_refused(text, size, BASE_ERR_FORMAT, "line 16: byte 0x00 at offset ");
    struct party_config config;
    parse_good(&config, 2, "mode: three-party # \xc3\xa4\xe2\x82\xac\r");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_the_file), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_addresses),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_between_values),   cmocka_unit_test(test_version),
        cmocka_unit_test(test_client_count),     cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
