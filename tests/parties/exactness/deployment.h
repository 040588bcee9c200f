/* A deployment for tests: three forked processes that run the code of `cachet party` over TCP with CURVE on
 * loopback, with given pair keys, and the files that they need in a temporary directory. */
#ifndef CACHET_TESTS_PARTIES_DEPLOYMENT_H
#define CACHET_TESTS_PARTIES_DEPLOYMENT_H

#include "parties/client.h"
#include "parties/model.h"

#include <sys/types.h>

struct deployment {
    char directory[256];
    pid_t pid[3];
    struct eng_share share[3]; /* the same files, open here, for roles in this process */
    struct client client;
};

enum { DEPLOYMENT_KEY = ENG_SESSION_KEY };
extern const uint8_t deployment_key1[DEPLOYMENT_KEY], deployment_key2[DEPLOYMENT_KEY],
    deployment_key12[DEPLOYMENT_KEY];

/* Writes shares, keys and config, and starts the parties. Call before any thread exists. */
BASE_MUST_USE enum base_status deployment_start(struct deployment *ret, const struct model *model,
                                                const struct eng_plan *plan, struct base_error *error);
/* Ends the parties, checks that they ended in order, removes the files. */
BASE_MUST_USE enum base_status deployment_stop(struct deployment *deployment, struct base_error *error);

#endif
