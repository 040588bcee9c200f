/* Streams in a forked child: a draw ends it with a line that says why; one that it begins itself is its own; the parent goes on. */
#include "mpc/stream.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 8 };

static const uint8_t key[16] = {1, 2, 3};
static struct mpc_stream stream;

static void draw_words(void)
{
    uint64_t words[COUNT];
    mpc_stream_words(&stream, words, COUNT, 64);
}

static void draw_words_later(void)
{
    uint64_t words[COUNT];
    mpc_stream_words_later(&stream, words, COUNT, 64);
}

static void draw_bytes(void)
{
    uint8_t bytes[COUNT];
    mpc_stream_bytes(&stream, bytes, COUNT);
}

static void draw_permutation(void)
{
    uint32_t order[COUNT];
    uint64_t scratch[COUNT];
    mpc_stream_permutation(&stream, order, COUNT, scratch);
}

static void begin_and_draw(void)
{
    mpc_stream_init(&stream, stream.kern, key);
    draw_words();
}

/* How a child ends that does it, and what it says. */
static int ends(void (*what)(void), char *ret_said, size_t size)
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

static void test_draw_in_a_child(void **state)
{
    static void (*const draws[])(void) = {draw_words, draw_words_later, draw_bytes, draw_permutation};
    const struct kern_table *kern = kern_table_select(~0u);
    uint64_t wanted[2][COUNT], got[2][COUNT];
    char said[512];
    mpc_stream_init(&stream, kern, key);
    for (int i = 0; i < 2; i++)
        mpc_stream_words(&stream, wanted[i], COUNT, 64);
    mpc_stream_init(&stream, kern, key);
    mpc_stream_words(&stream, got[0], COUNT, 64);
    for (size_t i = 0; i < sizeof draws / sizeof *draws; i++) {
        int how = ends(draws[i], said, sizeof said);
        assert_true(WIFSIGNALED(how));
        assert_int_equal(WTERMSIG(how), SIGABRT);
        assert_non_null(strstr(said, "a stream of the parent process in a forked child"));
    }
    int how = ends(begin_and_draw, said, sizeof said);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    mpc_stream_words(&stream, got[1], COUNT, 64);
    assert_memory_equal(got, wanted, sizeof wanted);
    mpc_stream_finish(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_draw_in_a_child)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
