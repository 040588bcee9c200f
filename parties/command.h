/* The sub-commands of the program: one file each, one line each in parties/main.c, from which help,
 * man pages and completions follow. */
#ifndef CACHET_PARTIES_COMMAND_H
#define CACHET_PARTIES_COMMAND_H

#include "base/status.h"

#include <stdbool.h>

struct command {
    const char *name;
    const char *summary; /* for `cachet --help` */
    /* argv[0] is "cachet NAME". Results on stdout, talk on stderr. */
    enum base_status (*run)(int argc, char **argv, struct base_error *error);
    bool ends_in_order; /* SIGINT and the like ask it to stop; else they end the process, which leaves nothing
                           behind */
};

extern const struct command command_keygen, command_plan, command_share, command_party, command_generate,
    command_up, command_check, command_cost, command_eval, command_bench,
    command_relay, command_serve, command_prepare, command_config, command_man, command_completion;

/* All of them, NULL at the end, in the order of `cachet --help`. */
const struct command *const *command_list(void);
/* Errors: BASE_ERR_ARGUMENT, with the nearest name. */
BASE_MUST_USE enum base_status command_find(const char *name, const struct command **ret, struct base_error *error);

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT ask the program to stop; SIGPIPE is ignored. */
void command_catch_signals(void);
/* Ends when the program was asked to stop (SIGINT, SIGTERM, SIGHUP, SIGQUIT): for net_link_set_cancel and
 * net_wait. */
int command_stopped(void *context);

/* From here on a mapped file that is cut while it is read ends the program with a line that names it, and the exit code of BASE_ERR_IO (cut_file.c).
 * command: its name, borrowed. */
void command_watch_files(const char *command);

#endif
