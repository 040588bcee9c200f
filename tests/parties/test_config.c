/* The shared config file: what a good one gives, that it survives writing and reading, and its digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/memory.h"
#include "tests/parties/config_text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void test_fields(void **state)
{
    struct party_config config;
    uint8_t key[NET_KEY_BYTES];
    parse_good(&config, 0, NULL);
    assert_int_equal(config.mode, CONFIG_THREE_PARTY);
    assert_string_equal(config.parties[0].host, "10.0.0.10");
    assert_int_equal(config.parties[0].port, 7100);
    assert_string_equal(config.parties[1].host, "2001:db8::1");
    assert_int_equal(config.parties[1].port, 1);
    assert_string_equal(config.parties[2].host, "p2.example.org");
    assert_int_equal(config.parties[2].port, 65533);
    check_ok(net_key_parse_text(KEY_P2, key, NULL), NULL);
    assert_memory_equal(config.parties[2].key, key, NET_KEY_BYTES);
    assert_int_equal(config.client_count, 2);
    assert_string_equal(config.clients[0].name, "alice");
    assert_string_equal(config.clients[1].name, "b_2-x");
    check_ok(net_key_parse_text(KEY_BOB, key, NULL), NULL);
    assert_memory_equal(config.clients[1].key, key, NET_KEY_BYTES);
    assert_int_equal(config.model.digest[1], 0x23);
    assert_int_equal(config.model.plan[0], 0xff);
    assert_int_equal(config.model.plan[31], 0xcd);
    assert_string_equal(config.model.shares, HEX);
    assert_string_equal(config.cache.policy, "window");
    assert_int_equal(config.cache.sinks, 4);
    assert_int_equal(config.cache.window, 256);
    assert_int_equal(config.limits.context, 4096);
    assert_int_equal(config.limits.connect_seconds, 61);
    assert_int_equal(config.limits.step_seconds, 31);
    assert_int_equal(config.limits.ahead_mib, 257);
    assert_int_equal(config.limits.slots, 5);
    party_config_finish(&config);
    assert_int_equal(config.client_count, 0);
}

static void test_defaults(void **state)
{
    struct party_config config;
    parse_good(&config, 14, "");
    assert_string_equal(config.cache.policy, "full");
    assert_int_equal(config.cache.sinks, 0);
    assert_int_equal(config.cache.window, 0);
    parse_good(&config, 14, "cache: {policy: full}");
    assert_string_equal(config.cache.policy, "full");
    parse_good(&config, 15, "");
    assert_int_equal(config.limits.context, 2048);
    assert_int_equal(config.limits.connect_seconds, 60);
    assert_int_equal(config.limits.step_seconds, 30);
    assert_int_equal(config.limits.ahead_mib, 256);
    assert_int_equal(config.limits.slots, 4);
    parse_good(&config, 15, "limits: {step_seconds: 3600}");
    assert_int_equal(config.limits.context, 2048);
    assert_int_equal(config.limits.step_seconds, 3600);
}

static void test_names_and_keys(void **state)
{
    struct party_config config;
    uint8_t key[NET_KEY_BYTES];
    parse_good(&config, 0, NULL);
    assert_string_equal(party_config_name(&config, 0), "P0");
    assert_string_equal(party_config_name(&config, 2), "P2");
    for (size_t i = 0; i < 3; i++) {
        struct config_owner owner = party_config_find_key(&config, config.parties[i].key);
        assert_int_equal(owner.who, CONFIG_PARTY);
        assert_int_equal(owner.index, i);
    }
    struct config_owner owner = party_config_find_key(&config, config.clients[1].key);
    assert_int_equal(owner.who, CONFIG_CLIENT);
    assert_int_equal(owner.index, 1);
    memcpy(key, config.clients[1].key, sizeof key);
    key[31] ^= 1;
    assert_int_equal(party_config_find_key(&config, key).who, CONFIG_NOBODY);
    parse_good(&config, 2, "mode: two-party-with-dealer");
    assert_int_equal(config.mode, CONFIG_TWO_PARTY_WITH_DEALER);
    assert_string_equal(party_config_name(&config, 0), "dealer");
    assert_string_equal(party_config_name(&config, 1), "P1");
}

/* Mode two-party alone has a spool; every number of it is in the digest. */
static void test_spool(void **state)
{
    struct party_config config, again;
    struct base_error error = {0}, none = {0};
    uint8_t digest[3][PARTY_CONFIG_DIGEST];
    char *text = NULL;
    size_t size = 0;
    parse_good(&config, 0, NULL);
    assert_int_equal(config.spool.most, 0);
    config.mode = CONFIG_TWO_PARTY;
    config.parties[0] = (struct config_party){0};
    assert_int_equal(party_config_text(&config, &text, &size, &none), BASE_ERR_ARGUMENT);
    check_says(&none, "spool.most: \"0\" is not a whole number from 1 to 4096");
    config.spool = (struct config_spool){.most = 7, .dry = CONFIG_DRY_REFUSE};
    check_ok(party_config_text(&config, &text, &size, &error), &error);
    check_ok(party_config_parse(&again, "text", text, size, &error), &error);
    assert_int_equal(again.spool.most, 7);
    assert_int_equal(again.spool.dry, CONFIG_DRY_REFUSE);
    base_free(&text);
    for (int i = 0; i < 3; i++) {
        config.spool = (struct config_spool){.most = i == 1 ? 8 : 7, .dry = i == 2 ? CONFIG_DRY_MAKE : CONFIG_DRY_REFUSE};
        party_config_digest(&config, digest[i]);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(digest[i], digest[j], sizeof digest[i]);
    }
}

/* A folder of its own per test. */
struct place {
    char folder[64], path[96];
};

static void place_make(struct place *place)
{
    (void)snprintf(place->folder, sizeof place->folder, "%s/cachet-config-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/shared.yaml", place->folder);
}

static void place_clear(struct place *place)
{
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0); /* nothing else was left behind */
}

static void check_round_trip(const struct party_config *config, const struct place *place)
{
    struct party_config again;
    struct base_error error = {0};
    uint8_t before[PARTY_CONFIG_DIGEST], after[PARTY_CONFIG_DIGEST];
    check_ok(party_config_write(config, place->path, &error), &error);
    check_ok(party_config_read(&again, place->path, &error), &error);
    assert_int_equal(config->mode, again.mode);
    assert_memory_equal(config->parties, again.parties, sizeof again.parties);
    assert_int_equal(config->client_count, again.client_count);
    assert_memory_equal(config->clients, again.clients, sizeof again.clients);
    assert_memory_equal(&config->model, &again.model, sizeof again.model);
    assert_memory_equal(&config->cache, &again.cache, sizeof again.cache);
    assert_memory_equal(&config->limits, &again.limits, sizeof again.limits);
    party_config_digest(config, before);
    party_config_digest(&again, after);
    assert_memory_equal(before, after, sizeof after);
}

static void test_round_trip(void **state)
{
    struct place place;
    struct party_config config;
    place_make(&place);
    parse_good(&config, 0, NULL);
    check_round_trip(&config, &place);
    parse_good(&config, 14, "");
    check_round_trip(&config, &place); /* over the file that is there */
    parse_good(&config, 2, "mode: two-party-with-dealer");
    config.client_count = PARTY_CONFIG_CLIENTS;
    for (size_t i = 0; i < PARTY_CONFIG_CLIENTS; i++) {
        memset(config.clients[i].name, 0, sizeof config.clients[i].name);
        (void)snprintf(config.clients[i].name, sizeof config.clients[i].name, "client-with-a-long-name-%08zu",
                       i);
        memset(config.clients[i].key, (int)i + 1, NET_KEY_BYTES);
    }
    for (size_t i = 0; i < 3; i++)
        memset(config.parties[i].host, 'h', 255);
    config.parties[1].port = 103;
    config.parties[2].port = 106;
    config.parties[0].port = 100;
    check_round_trip(&config, &place);
    place_clear(&place);
}

static void test_write_refuses(void **state)
{
    struct place place;
    struct party_config config, broken;
    struct base_error errors[6] = {0};
    char missing[128];
    place_make(&place);
    parse_good(&config, 0, NULL);
    broken = config;
    memcpy(broken.parties[1].host, "a\", key: \"", 11);
    check_fails(party_config_write(&broken, place.path, &errors[0]), BASE_ERR_ARGUMENT, &errors[0],
                "the config cannot be written");
    broken = config;
    broken.limits.context = 0;
    check_fails(party_config_write(&broken, place.path, &errors[1]), BASE_ERR_ARGUMENT, &errors[1],
                "limits.context: \"0\"");
    broken = config;
    broken.mode = (enum config_mode)7;
    check_fails(party_config_write(&broken, place.path, &errors[2]), BASE_ERR_ARGUMENT, &errors[2],
                "would read back with other values");
    broken = config;
    broken.client_count = 65;
    check_fails(party_config_write(&broken, place.path, &errors[3]), BASE_ERR_ARGUMENT, &errors[3],
                "65 clients");
    (void)snprintf(missing, sizeof missing, "%s/none/shared.yaml", place.folder);
    check_fails(party_config_write(&config, missing, &errors[4]), BASE_ERR_IO, &errors[4],
                "cannot be created");
    check_fails(party_config_write(&config, place.folder, &errors[5]), BASE_ERR_IO, &errors[5],
                "cannot be put in place");
    place_clear(&place);
}

/* Every single change of a field changes the digest, and no two changes give the same one. */
static void test_digest(void **state)
{
    static const struct {
        size_t line;
        const char *instead;
    } changes[] = {
        {0, ""},
        {2, "mode: two-party-with-dealer"},
        {4, "  p0: {address: \"10.0.0.11:7100\", key: \"" KEY_P0 "\"}"},
        {4, "  p0: {address: \"10.0.0.10:7101\", key: \"" KEY_P0 "\"}"},
        {4, "  p0: {address: \"10.0.0.10:7100\", key: \"0"
            "q:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"}"},
        {5, "  p1: {address: \"[2001:db8::2]:1\", key: \"" KEY_P1 "\"}"},
        {5, "  p1: {address: \"[2001:db8::1]:2\", key: \"" KEY_P1 "\"}"},
        {5, "  p1: {address: \"[2001:db8::1]:1\", key: \"0"
            "ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"}"},
        {6, "  p2: {address: \"p3.example.org:65533\", key: \"" KEY_P2 "\"}"},
        {6, "  p2: {address: \"p2.example.org:65532\", key: \"" KEY_P2 "\"}"},
        {6, "  p2: {address: \"p2.example.org:65533\", key: \"0"
            ":)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\"}"},
        {8, "  - {name: alice2, key: \"" KEY_ALICE "\"}"},
        {8, "  - {name: alice, key: \"0"
            "TKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"}"},
        {9, "  - {name: b_2-y, key: \"" KEY_BOB "\"}"},
        {9, ""},
        {11, "  digest: 1"
             "123456789abcdef" HEX HEX HEX},
        {12, "  plan: FE" HEX HEX HEX "0123456789abcd"},
        {13, "  shares: 0123456789ABCDE0"},
        {13, "  shares: 0123456789ABCDEF0"},
        {14, ""},
        {14, "cache: {policy: window, sinks: 5, window: 256}"},
        {14, "cache: {policy: window, sinks: 4, window: 257}"},
        {15, ""},
        {15, "limits: {context: 4097, connect_seconds: 61, step_seconds: 31, ahead_mib: 257, slots: 5}"},
        {15, "limits: {context: 4096, connect_seconds: 62, step_seconds: 31, ahead_mib: 257, slots: 5}"},
        {15, "limits: {context: 4096, connect_seconds: 61, step_seconds: 32, ahead_mib: 257, slots: 5}"},
        {15, "limits: {context: 4096, connect_seconds: 61, step_seconds: 31, ahead_mib: 258, slots: 5}"},
        {15, "limits: {context: 4096, connect_seconds: 61, step_seconds: 31, ahead_mib: 257, slots: 6}"},
    };
    enum { COUNT = sizeof changes / sizeof changes[0] };
    uint8_t digests[COUNT][PARTY_CONFIG_DIGEST];
    struct party_config config;
    for (size_t i = 0; i < COUNT; i++) {
        parse_good(&config, changes[i].line, changes[i].instead);
        party_config_digest(&config, digests[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(digests[i], digests[j], PARTY_CONFIG_DIGEST);
    }
    parse_good(&config, 2, "mode:   'three-party'   # layout does not count");
    party_config_digest(&config, digests[1]);
    assert_memory_equal(digests[0], digests[1], PARTY_CONFIG_DIGEST);
}

static void test_files(void **state)
{
    struct place place;
    struct party_config config = {0};
    struct base_error errors[4] = {0};
    place_make(&place);
    check_fails(party_config_read(&config, place.path, &errors[0]), BASE_ERR_IO, &errors[0],
                "cannot be opened");
    check_says(&errors[0], place.path);
    check_fails(party_config_read(&config, place.folder, &errors[1]), BASE_ERR_IO, &errors[1],
                "is not a regular file");
    int fd = open(place.path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    check_fails(party_config_read(&config, place.path, &errors[2]), BASE_ERR_IO, &errors[2], "with content");
    assert_int_equal(ftruncate(fd, PARTY_CONFIG_BYTES + 1), 0);
    (void)close(fd);
    check_fails(party_config_read(&config, place.path, &errors[3]), BASE_ERR_FORMAT, &errors[3],
                "has 1048577 bytes, and a config has at most 1048576");
    place_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_spool), cmocka_unit_test(test_names_and_keys), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_write_refuses),  cmocka_unit_test(test_digest),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
