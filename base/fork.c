#include "base/fork.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

unsigned base_forks;

static void count(void)
{
    base_forks++;
}

/* Without it no fork would be seen: a program that cannot have it does not start. */
__attribute__((constructor)) static void start(void)
{
    if (pthread_atfork(NULL, NULL, count) != 0) {
        (void)fprintf(stderr, "cachet: no memory to watch for forks\n");
        abort();
    }
}

void base_fork_refuse(const char *what)
{
    (void)fprintf(stderr, "cachet: %s of the parent process in a forked child: both would draw the same masks; make it anew after the fork\n", what);
    abort();
}
