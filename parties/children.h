/* The parties of a deployment as child processes of one program: for trying, and for tests. They end with
 * their parent. */
#ifndef CACHET_PARTIES_CHILDREN_H
#define CACHET_PARTIES_CHILDREN_H

#include "base/status.h"

#include <stdbool.h>
#include <sys/types.h>

struct children {
    pid_t pid[3]; /* 0: not running */
    bool ended[3]; /* by itself */
    int signal[3]; /* that ended it; 0: none */
    char log[3][4096];
    const char *name[3];
};

/* The files of a child, as `cachet party` takes them, and where its log goes. */
struct child_form {
    const char *config, *key, *shares, *log;
    const char *spool; /* NULL: none */
    const char *bind;  /* NULL: where the config says */
    int threads;
    const char *const *flags; /* further ones, NULL after the last; NULL: none */
};
/* Runs `cachet party` once more for party `index`. */
BASE_MUST_USE enum base_status children_start(struct children *children, int index,
                                              const struct child_form *form, struct base_error *error);
/* Errors: BASE_ERR_PEER when a child has ended, with the signal or the last line of its log; whenever it is asked. */
BASE_MUST_USE enum base_status children_check(struct children *children, struct base_error *error);
/* Asks all to stop, waits, and kills what is left after five seconds. */
void children_stop(struct children *children);

#endif
