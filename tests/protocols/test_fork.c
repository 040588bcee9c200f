/* Streams in a forked child: a draw ends it with a line that says why; one that it begins itself is its own; the parent goes on. */
#include "tests/support/child.h"

#include "mpc/stream.h"

#include <stdlib.h>
#include <string.h>

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
        int how = child_ends(draws[i], said, sizeof said);
        assert_true(WIFSIGNALED(how));
        assert_int_equal(WTERMSIG(how), SIGABRT);
        assert_non_null(strstr(said, "a stream of the parent process in a forked child"));
    }
    int how = child_ends(begin_and_draw, said, sizeof said);
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
