/* Words to the service manager, read from a real datagram socket, with a path and with an abstract name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "parties/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROOM = 1024 };

/* What a manager is: a bound socket whose name stands in the environment. */
struct manager {
    char folder[64], name[96];
    int fd;
};

static void manager_start(struct manager *m, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(m->fd >= 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    assert_int_equal(bind(m->fd, (const struct sockaddr *)&address, length), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static void manager_start_at_path(struct manager *m)
{
    char path[96];
    (void)snprintf(m->folder, sizeof m->folder, "%s/cachet-notify-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(path, sizeof path, "%s/socket", m->folder);
    manager_start(m, path);
}

static void manager_start_abstract(struct manager *m)
{
    char name[64];
    m->folder[0] = '\0';
    (void)snprintf(name, sizeof name, "@cachet-notify-%ld", (long)getpid());
    manager_start(m, name);
}

static void manager_finish(struct manager *m)
{
    (void)unsetenv("NOTIFY_SOCKET");
    (void)close(m->fd);
    if (m->folder[0] != '\0') {
        (void)unlink(m->name);
        (void)rmdir(m->folder);
    }
}

/* The next datagram, or "" when there is none. */
static const char *heard(const struct manager *m, char text[ROOM])
{
    ssize_t size = recv(m->fd, text, ROOM - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static void check_words(struct manager *m)
{
    char text[ROOM];
    notify_send(NULL, NOTIFY_STATUS, "waiting for %d", 2);
    assert_string_equal(heard(m, text), "STATUS=waiting for 2");
    notify_send(NULL, NOTIFY_READY, "ready");
    assert_string_equal(heard(m, text), "READY=1\nSTATUS=ready");
    notify_send(NULL, NOTIFY_STOPPING, "ending");
    assert_string_equal(heard(m, text), "STOPPING=1\nSTATUS=ending");
    assert_string_equal(heard(m, text), "");
}

static void test_path(void **state)
{
    struct manager m;
    manager_start_at_path(&m);
    check_words(&m);
    manager_finish(&m);
}

static void test_abstract(void **state)
{
    struct manager m;
    manager_start_abstract(&m);
    check_words(&m);
    manager_finish(&m);
}

/* A status that holds a line of its own must not become a word to the manager; a long one is cut. */
static void test_hostile_status(void **state)
{
    struct manager m;
    char text[ROOM], longest[2000];
    manager_start_abstract(&m);
    notify_send(NULL, NOTIFY_STATUS, "%s", "lost\nMAINPID=1\r\x7f");
    assert_string_equal(heard(&m, text), "STATUS=lost?MAINPID=1??");
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    notify_send(NULL, NOTIFY_READY, "%s", longest);
    assert_int_equal(strncmp(heard(&m, text), "READY=1\nSTATUS=xxx", 18), 0);
    assert_int_equal(strlen(text), strlen("READY=1\nSTATUS=") + 511);
    manager_finish(&m);
}

/* Lines of the log that a call wrote. */
static void send_logged(const char *socket_name, char ret[ROOM])
{
    FILE *stream = fmemopen(ret, ROOM, "w");
    struct base_log log = {.stream = stream, .level = BASE_LOG_DEBUG, .who = "P1"};
    assert_non_null(stream);
    ret[0] = '\0';
    if (socket_name == NULL)
        (void)unsetenv("NOTIFY_SOCKET");
    else
        assert_int_equal(setenv("NOTIFY_SOCKET", socket_name, 1), 0);
    notify_send(&log, NOTIFY_READY, "ready");
    (void)fclose(stream);
    (void)unsetenv("NOTIFY_SOCKET");
}

static void test_nobody_listens(void **state)
{
    char text[ROOM], too_long[200];
    send_logged(NULL, text);
    assert_string_equal(text, "");
    send_logged("", text);
    assert_string_equal(text, "");
    send_logged("/nonexistent/notify", text);
    assert_non_null(strstr(text, "warning P1"));
    assert_non_null(strstr(text, "/nonexistent/notify: No such file or directory"));
    send_logged("relative", text);
    assert_non_null(strstr(text, "relative: Invalid argument"));
    memset(too_long, 'x', sizeof too_long);
    too_long[0] = '/';
    too_long[sizeof too_long - 1] = '\0';
    send_logged(too_long, text);
    assert_non_null(strstr(text, "Invalid argument"));
}

static void start_watchdog(struct notify_watchdog *watchdog, const char *limit, const char *who)
{
    assert_int_equal(setenv("WATCHDOG_USEC", limit, 1), 0);
    if (who != NULL)
        assert_int_equal(setenv("WATCHDOG_PID", who, 1), 0);
    notify_watchdog_start(watchdog);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void test_watchdog(void **state)
{
    struct manager m;
    struct notify_watchdog watchdog;
    char text[ROOM], own[32];
    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    manager_start_abstract(&m);
    start_watchdog(&watchdog, "3600000000", own);
    assert_int_equal(watchdog.period_ms, 1800000);
    notify_watchdog_feed(&watchdog, NULL);
    assert_string_equal(heard(&m, text), "WATCHDOG=1");
    notify_watchdog_feed(&watchdog, NULL); /* not due again for half an hour */
    assert_string_equal(heard(&m, text), "");
    watchdog.due_ms = base_clock_ms();
    notify_watchdog_feed(&watchdog, NULL);
    assert_string_equal(heard(&m, text), "WATCHDOG=1");
    manager_finish(&m);
}

static void test_watchdog_not_asked_for(void **state)
{
    struct notify_watchdog watchdog;
    notify_watchdog_start(&watchdog);
    assert_int_equal(watchdog.period_ms, 0);
    start_watchdog(&watchdog, "3000000", "1"); /* meant for another process */
    assert_int_equal(watchdog.period_ms, 0);
    static const char *const bad[] = {"0", "-5", "soon", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        start_watchdog(&watchdog, bad[i], NULL);
        assert_int_equal(watchdog.period_ms, 0);
    }
    start_watchdog(&watchdog, "1", NULL);
    assert_int_equal(watchdog.period_ms, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),           cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_hostile_status), cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_watchdog),       cmocka_unit_test(test_watchdog_not_asked_for),
    };
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
