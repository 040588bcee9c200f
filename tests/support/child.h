/* What a forked child does and says: for tests of what ends a process. */
#ifndef CACHET_TESTS_SUPPORT_CHILD_H
#define CACHET_TESTS_SUPPORT_CHILD_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* How a child ends that does it, and what it says. */
static inline int child_ends(void (*what)(void), char *ret_said, size_t size)
{
    int how = 0, said[2];
    size_t at = 0;
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_DUMPABLE, 0); /* no core of an end that is wanted */
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(said[1], STDERR_FILENO);
        what();
        _exit(0);
    }
    (void)close(said[1]);
    for (ssize_t got; at + 1 < size && (got = read(said[0], ret_said + at, size - 1 - at)) > 0;)
        at += (size_t)got;
    ret_said[at] = '\0';
    (void)close(said[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    return how;
}

#endif
