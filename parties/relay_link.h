/* What a relay adds to a connection, and where it stands: parsed from text, printed again. */
#ifndef CACHET_PARTIES_RELAY_LINK_H
#define CACHET_PARTIES_RELAY_LINK_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { RELAY_HOST = 256, RELAY_LINK_TEXT = 256, RELAY_MAPS_MOST = 64 };

/* A link of its own for each connection. Index 0: from the one that connected; 1: back to it.
 * Units: one-way delay and jitter (uniform, +-, at most the delay) in milliseconds, bandwidth in 10^6 bits
 * per second of payload; mbit 0 is no limit. Zeroed, it adds nothing. */
struct relay_link {
    double delay_ms[2], jitter_ms[2], mbit[2];
};

struct relay_preset {
    const char *name;
    struct relay_link link;
};

/* Row i of the table of presets, NULL past its end. */
const struct relay_preset *relay_preset_at(size_t i);

/* Reads the name of a preset, or KEY=VALUE:... of rtt (both directions together, ms), jitter (ms), mbit, and
 * the same with back- for the direction back, which is otherwise as the first: back-rtt=80 is a delay of 40
 * ms. Errors: BASE_ERR_ARGUMENT naming the key and its value. */
BASE_MUST_USE enum base_status relay_link_parse(const char *text, struct relay_link *ret,
                                                struct base_error *error);

/* The text that parses to `link`: only what differs from nothing, "loopback" where nothing does. */
void relay_link_print(const struct relay_link *link, char ret_text[RELAY_LINK_TEXT]);

/* Most bytes that one direction of one connection holds: 4 times bandwidth x round trip, at least 1 MiB, at
 * most 64 MiB, which is also what a link with a delay and without a bandwidth gets. */
size_t relay_link_bound(const struct relay_link *link, int direction);

struct relay_end {
    char host[RELAY_HOST];
    uint16_t port;
};

struct relay_map {
    struct relay_end listen, to;
};

/* Reads HOST:PORT=HOST:PORT[,...]; IPv6 addresses stand in brackets.
 * Shapes: ret [RELAY_MAPS_MOST]. Errors: BASE_ERR_ARGUMENT naming the map. */
BASE_MUST_USE enum base_status relay_map_parse(const char *text, struct relay_map *ret, size_t *ret_count,
                                               struct base_error *error);

/* "host:port", as it was read. */
void relay_end_print(const struct relay_end *end, char ret_text[RELAY_HOST + 10]);

#endif
