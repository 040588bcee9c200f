#include "parties/notify.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_BYTES = 512, HALF_MS_IN_US = 2000 };

/* 0, or errno. The name may be abstract: a byte of zero in place of the '@', and no end but its length. */
static int send_datagram(const char *name, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || size >= sizeof address.sun_path)
        return EINVAL;
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    int failure = 0;
    /* Never waits: a manager that does not read must not hold up a request. */
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address,
               length) < 0)
        failure = errno;
    (void)close(fd);
    return failure;
}

static void tell(const struct base_log *log, const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == '\0')
        return;
    int failure = send_datagram(name, text);
    if (failure != 0)
        base_log_write(log, BASE_LOG_WARNING, NULL,
                       "the service manager did not hear \"%.20s\": NOTIFY_SOCKET is %.100s: %s", text, name,
                       strerror(failure));
}

void notify_send(const struct base_log *log, enum notify_state state, const char *format, ...)
{
    static const char *const words[] = {
        [NOTIFY_STATUS] = "", [NOTIFY_READY] = "READY=1\n", [NOTIFY_STOPPING] = "STOPPING=1\n"};
    char status[LINE_BYTES], text[LINE_BYTES + 32];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(status, sizeof status, format, arguments);
    va_end(arguments);
    for (char *c = status; *c != '\0'; c++)
        if (base_text_is_control(*c))
            *c = '?';
    (void)snprintf(text, sizeof text, "%sSTATUS=%s", words[state], status);
    tell(log, text);
}

void notify_watchdog_start(struct notify_watchdog *ret)
{
    *ret = (struct notify_watchdog){0};
    const char *limit = getenv("WATCHDOG_USEC"), *who = getenv("WATCHDOG_PID");
    if (limit == NULL || (who != NULL && strtoll(who, NULL, 10) != (long long)getpid()))
        return;
    long long microseconds = strtoll(limit, NULL, 10);
    if (microseconds <= 0)
        return;
    ret->period_ms = microseconds > HALF_MS_IN_US ? microseconds / HALF_MS_IN_US : 1;
    ret->due_ms = base_clock_ms();
}

void notify_watchdog_feed(struct notify_watchdog *watchdog, const struct base_log *log)
{
    if (watchdog->period_ms == 0 || base_clock_ms() < watchdog->due_ms)
        return;
    watchdog->due_ms = base_deadline_after(watchdog->period_ms);
    tell(log, "WATCHDOG=1");
}
