#include "parties/children.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 5000, POLL_MS = 20 };

static _Noreturn void become_party(const struct child_form *form, int log, pid_t parent)
{
    const char *arguments[24] = {"cachet",  "party",   "--config",   form->config,
                                 "--key",   form->key, "--shares",   form->shares};
    char threads[16];
    int count = 8;
    (void)snprintf(threads, sizeof threads, "%d", form->threads);
    arguments[count++] = "--threads";
    arguments[count++] = threads;
    if (form->bind != NULL) {
        arguments[count++] = "--bind";
        arguments[count++] = form->bind;
    }
    if (form->spool != NULL) {
        arguments[count++] = "--spool";
        arguments[count++] = form->spool;
    }
    for (const char *const *flag = form->flags; flag != NULL && *flag != NULL && count < 23; flag++)
        arguments[count++] = *flag;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)setpgid(0, 0); /* a Ctrl-C at the terminal goes to the parent, which ends its children in order */
    (void)dup2(log, STDERR_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    (void)dprintf(STDERR_FILENO, "cannot start the program again: %s\n", strerror(errno));
    _exit(127);
}

enum base_status children_start(struct children *c, int index, const struct child_form *form,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    pid_t parent = getpid();
    int fd = open(form->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    TRY_THAT(fd >= 0, error, BASE_ERR_IO, "cannot make %s: %s", form->log, strerror(errno));
    (void)snprintf(c->log[index], sizeof c->log[index], "%s", form->log);
    pid_t pid = fork();
    TRY_THAT(pid >= 0, error, BASE_ERR_MEMORY, "cannot start a process for %s: %s", c->name[index],
             strerror(errno));
    if (pid == 0)
        become_party(form, fd, parent);
    c->pid[index] = pid;
out:
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* The last line of a log that says something. */
static void last_line(const char *path, char *ret, size_t size)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    (void)snprintf(ret, size, "(no log)");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            (void)snprintf(ret, size, "%.590s", line);
    }
    if (file != NULL)
        (void)fclose(file);
}

enum base_status children_check(struct children *c, struct base_error *error)
{
    for (int i = 0; i < 3; i++) {
        char line[600];
        int how;
        if (c->pid[i] > 0 && waitpid(c->pid[i], &how, WNOHANG) == c->pid[i]) {
            c->pid[i] = 0;
            c->ended[i] = true;
            c->signal[i] = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
        }
        if (!c->ended[i])
            continue;
        /* One that was killed could not say why. */
        if (c->signal[i] != 0)
            return base_fail(error, BASE_ERR_PEER, "%s was ended by signal %d (%s): by hand, for want of memory, or by a fault of the program",
                             c->name[i], c->signal[i], strsignal(c->signal[i]));
        last_line(c->log[i], line, sizeof line);
        return base_fail(error, BASE_ERR_PEER, "%s has ended: %s", c->name[i], line);
    }
    return BASE_OK;
}

void children_stop(struct children *c)
{
    int64_t deadline = base_deadline_after(STOP_MS);
    for (int i = 0; i < 3; i++)
        if (c->pid[i] > 0)
            (void)kill(c->pid[i], SIGTERM);
    for (int i = 0; i < 3; i++) {
        while (c->pid[i] > 0 && waitpid(c->pid[i], NULL, WNOHANG) == 0) {
            if (base_clock_ms() >= deadline)
                (void)kill(c->pid[i], SIGKILL);
            base_sleep_ms(POLL_MS);
        }
        c->pid[i] = 0;
    }
}
