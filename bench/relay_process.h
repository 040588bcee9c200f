/* The relay as a child process, `cachet relay`, of a program that has this command. It ends with its parent.
 */
#ifndef CACHET_BENCH_RELAY_PROCESS_H
#define CACHET_BENCH_RELAY_PROCESS_H

#include "bench/relay.h"
#include "parties/config.h"

#include <sys/types.h>

struct relay_process {
    pid_t pid;                /* 0: not running */
    int input, output, words; /* its standard input and output, what it says */
    size_t map_count;
};

/* Runs this program again as a relay and waits until every map listens. `link` and `maps` are texts for
 * --link and --map. *process is zeroed before, and zero again after a failure.
 * Errors: BASE_ERR_ARGUMENT (link, map), BASE_ERR_IO with what the relay says (an address in use), and
 * BASE_ERR_TIMEOUT. */
BASE_MUST_USE enum base_status relay_process_start(struct relay_process *process, const char *link,
                                                   const char *maps, struct base_error *error);

/* The same before a deployment whose config names ports of 127.0.0.1 and whose parties listen on the same ports of RELAY_BEHIND, from the
 * first port of P0 to the last of P2. */
#define RELAY_BEHIND "127.0.0.2"
enum { RELAY_DEPLOYMENT_MAPS = PARTY_CONFIG_PARTIES * PARTY_CONFIG_PORTS };
BASE_MUST_USE enum base_status relay_process_start_before(struct relay_process *process, const char *link,
                                                          const struct party_config *config,
                                                          struct base_error *error);

/* Ends it, which ends its connections, and gives what it counted. It is gone afterwards, whatever the answer.
 * Shapes: ret_totals [maps], of which most_held stays 0; or NULL. Errors: BASE_ERR_PEER when it ended before,
 * with what it says; BASE_ERR_TIMEOUT. */
BASE_MUST_USE enum base_status relay_process_stop(struct relay_process *process,
                                                  struct relay_total *ret_totals, struct base_error *error);

/* Ends it at once; accepts one that does not run. */
void relay_process_kill(struct relay_process *process);

#endif
