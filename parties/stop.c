/* Being asked to stop: the one flag of the process, set by signals, looked at by every wait. */
#include "parties/command.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    stop_requested = 1;
}

void command_catch_signals(void)
{
    struct sigaction stop = {.sa_handler = request_stop};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    (void)sigaction(SIGQUIT, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int command_stopped(void *context)
{
    (void)context;
    return stop_requested;
}
