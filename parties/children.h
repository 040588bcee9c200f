/* The parties of a deployment as child processes of one program: for trying, and for tests. They end with
 * their parent. */
#ifndef CACHET_PARTIES_CHILDREN_H
#define CACHET_PARTIES_CHILDREN_H

#include "base/status.h"

#include <sys/types.h>

struct children {
    pid_t pid[3]; /* 0: not running */
    char log[3][4096];
    const char *name[3];
};

/* Runs `cachet party` once more for party `index`, its log going into the file `log`. */
BASE_MUST_USE enum base_status children_start(struct children *children, int index, const char *config,
                                              const char *key, const char *shares, const char *log,
                                              struct base_error *error);
/* Errors: BASE_ERR_PEER when a child has ended, with the last line of its log. */
BASE_MUST_USE enum base_status children_check(struct children *children, struct base_error *error);
/* Asks all to stop, waits, and kills what is left after five seconds. */
void children_stop(struct children *children);

#endif
