/* The good config file of the config tests, and changes to it. Include after cmocka's headers. */
#ifndef CACHET_TESTS_PARTIES_CONFIG_TEXT_H
#define CACHET_TESTS_PARTIES_CONFIG_TEXT_H

#include "tests/net/support.h"

#include "parties/config.h"

#define KEY_P0 "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define KEY_P1 "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_P2 "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define KEY_ALICE "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
#define KEY_BOB "ABCDEFGHIJKLMNOPQRST0123456789abcdefghij"
#define HEX "0123456789abcdef"
#define HEX64 HEX HEX HEX HEX

/* One part per line of the file, so that tests know the lines. */
static const char *const good[] = {
    "version: 1",
    "mode: three-party  # or another",
    "parties:",
    "  p0: {address: \"10.0.0.10:7100\", key: \"" KEY_P0 "\"}",
    "  p1: {address: \"[2001:db8::1]:1\", key: \"" KEY_P1 "\"}",
    "  p2: {address: \"p2.example.org:65533\", key: \"" KEY_P2 "\"}",
    "clients:",
    "  - {name: alice, key: \"" KEY_ALICE "\"}",
    "  - {name: b_2-x, key: \"" KEY_BOB "\"}",
    "model:",
    "  digest: " HEX64,
    "  plan: FF" HEX HEX HEX "0123456789abcd",
    "  shares: 0123456789ABCDEF",
    "cache: {policy: window, sinks: 4, window: 256}",
    "limits: {context: 4096, connect_seconds: 61, step_seconds: 31, ahead_mib: 257, slots: 5}",
};

enum {
    LINES = sizeof good / sizeof good[0],
    ROOM = 16384,
};

/* The good file with line `line` (from 1; 0 for none) replaced. Returns its length. */
static inline size_t make(char text[ROOM], size_t line, const char *instead)
{
    size_t used = 0;
    for (size_t i = 0; i < LINES; i++)
        used += (size_t)snprintf(text + used, ROOM - used, "%s\n", i + 1 == line ? instead : good[i]);
    assert_true(used < ROOM);
    return used;
}

static inline void parse_good(struct party_config *ret, size_t line, const char *instead)
{
    char text[ROOM];
    struct base_error error = {0};
    size_t size = make(text, line, instead);
    check_ok(party_config_parse(ret, "good.yaml", text, size, &error), &error);
}

#endif
