/* The relay as a child of this program, which stands for one that has the command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bench/relay_support.h"

#include "bench/relay_process.h"
#include "parties/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct place {
    uint16_t port;
    int target;
    char maps[64];
};

static struct place make_place(void)
{
    struct place place;
    uint16_t to;
    int free_port = bound_socket(&place.port);
    place.target = bound_socket(&to);
    assert_int_equal(listen(place.target, 4), 0);
    (void)close(free_port);
    (void)snprintf(place.maps, sizeof place.maps, "127.0.0.1:%u=127.0.0.1:%u", (unsigned)place.port,
                   (unsigned)to);
    return place;
}

static void test_totals(void **state)
{
    struct relay_process relay = {0};
    struct relay_total total;
    struct base_error error = {0};
    struct place place = make_place();
    char text[8];
    (void)state;
    check_ok(relay_process_start(&relay, "rtt=2", place.maps, &error), &error);
    pid_t pid = relay.pid;
    int client = connect_to(place.port), target = accept_one(place.target);
    write_all(client, "there", 5);
    read_all(target, text, 5);
    write_all(target, "back", 4);
    read_all(client, text, 4);
    check_ok(relay_process_stop(&relay, &total, &error), &error);
    assert_int_equal(total.connections, 1);
    assert_int_equal(total.failed, 0);
    assert_int_equal(total.bytes[0], 5);
    assert_int_equal(total.bytes[1], 4);
    assert_int_equal(relay.pid, 0);
    assert_int_equal(kill(pid, 0), -1);
    (void)close(client);
    (void)close(target);
    (void)close(place.target);
}

static void test_refused(void **state)
{
    struct relay_process relay = {0};
    struct base_error error = {0};
    struct place place = make_place();
    uint16_t port;
    char maps[64];
    int taken = bound_socket(&port);
    (void)state;
    assert_int_equal(listen(taken, 1), 0);
    (void)snprintf(maps, sizeof maps, "127.0.0.1:%u=127.0.0.1:1", (unsigned)port);
    check_fails(relay_process_start(&relay, "lan", maps, &error), BASE_ERR_IO, &error,
                "Address already in use");
    assert_int_equal(relay.pid, 0);
    error = (struct base_error){0};
    check_fails(relay_process_start(&relay, "fast", place.maps, &error), BASE_ERR_ARGUMENT, &error,
                "\"fast\"");
    error = (struct base_error){0};
    check_fails(relay_process_start(&relay, "lan", "nowhere", &error), BASE_ERR_ARGUMENT, &error,
                "\"nowhere\"");
    assert_int_equal(relay.pid, 0);
    (void)close(taken);
    (void)close(place.target);
}

/* A relay that has ended by itself, and one that is ended without a question. */
static void test_killed(void **state)
{
    struct relay_process relay = {0};
    struct base_error error = {0};
    struct place place = make_place();
    (void)state;
    check_ok(relay_process_start(&relay, "lan", place.maps, &error), &error);
    assert_int_equal(kill(relay.pid, SIGKILL), 0);
    check_fails(relay_process_stop(&relay, NULL, &error), BASE_ERR_PEER, &error, "the relay has ended");
    assert_int_equal(relay.pid, 0);
    error = (struct base_error){0};
    check_ok(relay_process_start(&relay, "lan", place.maps, &error), &error);
    relay_process_kill(&relay);
    assert_int_equal(relay.pid, 0);
    relay_process_kill(&relay);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    (void)close(place.target);
}

/* A parent that dies takes it along. */
static void test_orphan(void **state)
{
    struct place place = make_place();
    int told[2], code;
    pid_t orphan;
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe(told), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct relay_process relay = {0};
        if (relay_process_start(&relay, "lan", place.maps, NULL) == BASE_OK)
            (void)!write(told[1], &relay.pid, sizeof relay.pid);
        (void)raise(SIGKILL);
    }
    read_all(told[0], &orphan, sizeof orphan);
    assert_int_equal(waitpid(parent, &code, 0), parent);
    assert_int_equal(waitpid(orphan, &code, 0), orphan);
    assert_true(WIFEXITED(code));
    (void)close(told[0]);
    (void)close(told[1]);
    (void)close(place.target);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_totals), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_killed), cmocka_unit_test(test_orphan)};
    if (argc > 1 && strcmp(argv[1], "relay") == 0) {
        struct base_error error = {0};
        command_catch_signals();
        enum base_status status = command_relay.run(argc - 1, argv + 1, &error);
        if (status != BASE_OK)
            (void)fprintf(stderr, "%s\n", error.text);
        return fflush(stdout) != 0 ? 1 : base_status_exit_code(status);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
