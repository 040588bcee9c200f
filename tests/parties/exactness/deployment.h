/* A deployment for tests: three forked processes that run the code of `cachet party` over TCP with CURVE on
 * loopback, with given pair keys, and the files that they need in a temporary directory. */
#ifndef CACHET_TESTS_PARTIES_DEPLOYMENT_H
#define CACHET_TESTS_PARTIES_DEPLOYMENT_H

#include "parties/client.h"
#include "parties/model.h"

#include <stdio.h>
#include <sys/types.h>

struct deployment {
    char directory[256];
    pid_t pid[3];
    struct eng_share share[3]; /* the same files, open here, for roles in this process */
    struct client client;
    const char *const *watched;
    FILE *seen[2]; /* what P0 and P1 wrote of the watched wires */
};

enum { DEPLOYMENT_KEY = ENG_SESSION_KEY };
extern const uint8_t deployment_key1[DEPLOYMENT_KEY], deployment_key2[DEPLOYMENT_KEY],
    deployment_key12[DEPLOYMENT_KEY];

/* Writes shares, keys and config, and starts the parties. policy: NAME[:KEY=VALUE ...] (kvcache/config.h).
 * watched: labels of wires of which P0 and P1 write their parts to files for deployment_next_seen, which a
 * party never does; NULL-terminated, or NULL. Call while no thread runs. Stop what it leaves, whatever the
 * answer. */
BASE_MUST_USE enum base_status deployment_start(struct deployment *ret, const struct model *model,
                                                const struct eng_plan *plan, const char *policy,
                                                const char *const *watched, struct base_error *error);
/* The same in another mode; two-party: P1 and P2 alone, with keys of their own, and nothing watched. */
BASE_MUST_USE enum base_status deployment_start_mode(struct deployment *ret, const struct model *model, const struct eng_plan *plan,
                                                     enum config_mode mode, const char *policy, const char *const *watched,
                                                     struct base_error *error);
/* Whether a wire of that label is watched. */
bool deployment_watches(const struct deployment *deployment, const char *label);
/* The next watched wire that the parties have completed, put together: `count` values of Z_2^ring. Errors:
 * BASE_ERR_MISMATCH when there is none, or of another size. */
BASE_MUST_USE enum base_status deployment_next_seen(struct deployment *deployment, size_t count, int ring,
                                                    int64_t *ret, struct base_error *error);
/* Ends the parties, checks that they ended in order, removes the files. */
BASE_MUST_USE enum base_status deployment_stop(struct deployment *deployment, struct base_error *error);

#endif
