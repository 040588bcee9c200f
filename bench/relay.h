/* Links with a delay and a bandwidth, in user space: connections to an address of ours are carried on to
 * another address, each direction through a link of its own.
 *
 * The model: a byte leaves at max(its arrival, departure of the byte before) + 1 / bandwidth, and is passed
 * on one delay later, never before the byte before it. What is read at once, at most 16 KiB, travels as one
 * piece: its last byte is exact, the others wait for it. The end of a stream and a reset take the same way as
 * bytes (but a reset does not wait for room); what is on its way to an end that was reset is dropped. The
 * three messages that open a TCP connection are answered here, without delay. */
#ifndef CACHET_BENCH_RELAY_H
#define CACHET_BENCH_RELAY_H

#include "parties/relay_link.h"

#include <stdio.h>

struct relay;

struct relay_form {
    struct relay_link link;
    const struct relay_map *maps; /* a port 0 to listen on is any free one */
    size_t map_count;
    uint64_t seed;      /* of jitter */
    double patience_ms; /* how long a connection is kept while its target takes none */
    FILE *talk;         /* borrowed; one line for each map whose target is not there; NULL: silent */
};

/* Of one map since the start. bytes: passed on, to the target and back. */
struct relay_total {
    uint64_t connections, failed; /* taken; of them, those whose target was not there */
    uint64_t bytes[2];
    uint64_t most_held; /* by one direction of one connection, with what it takes to keep it */
};

/* Listens on every map. Errors: BASE_ERR_IO naming the map and the reason (address in use, not of this
 * machine, no address of that name). */
BASE_MUST_USE enum base_status relay_create(struct relay **ret, const struct relay_form *form,
                                            struct base_error *error);
/* Ends all connections. */
void relay_destroy(struct relay **relay);

uint16_t relay_port(const struct relay *relay, size_t map);
struct relay_total relay_total(const struct relay *relay, size_t map);
/* How often it has waited: a relay with nothing to do sleeps. */
uint64_t relay_waits(const struct relay *relay);

/* True when the relay is to end: asked after every wait, which a signal ends. */
typedef int (*relay_stopped_fn)(void *context);

/* Carries bytes until `stopped` (NULL: never) says so or `until_eof`, a pipe or socket (-1: none), ends.
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT reach this thread only while it waits. One thread. Errors:
 * BASE_ERR_ARGUMENT when `until_eof` cannot be waited for; BASE_ERR_INTERNAL. */
BASE_MUST_USE enum base_status relay_run(struct relay *relay, int until_eof, relay_stopped_fn stopped,
                                         void *context, struct base_error *error);

#endif
