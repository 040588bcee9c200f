/* The record of draws that a test build keeps: it ends a process that would draw a mask twice, and no other. */
#include "tests/support/child.h"

#include "mpc/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mpc_stream stream, other;
static const uint8_t key[16] = {1}, no_key[16];

static void begin(struct mpc_stream *s, const uint8_t with[16])
{
    mpc_stream_init(s, kern_table_select(~0u), with);
}

static void draw(struct mpc_stream *s, int times)
{
    uint64_t words[4];
    for (int i = 0; i < times; i++)
        mpc_stream_words(s, words, 4, 64);
}

static void again_from_the_start(void)
{
    begin(&stream, key);
    draw(&stream, 1);
    begin(&stream, key);
    draw(&stream, 1);
}

static void counter_stands_still(void)
{
    begin(&stream, key);
    draw(&stream, 5);
    stream.counter--;
    draw(&stream, 1);
}

static void old_key_after_others(void)
{
    uint8_t one[16] = {2};
    begin(&stream, key);
    draw(&stream, 3);
    for (uint32_t i = 0; i < 10000; i++) {
        memcpy(one + 4, &i, sizeof i);
        begin(&stream, one);
        draw(&stream, 2);
    }
    begin(&stream, key);
    stream.counter = 2;
    draw(&stream, 1);
}

static void good(void)
{
    begin(&stream, key);
    begin(&other, key); /* two holders */
    for (int i = 0; i < 3; i++) {
        draw(&stream, 2);
        draw(&other, 2);
    }
    stream.counter += 10;
    draw(&stream, 1);
    for (int i = 0; i < 2; i++) {
        begin(&stream, no_key);
        draw(&stream, 2);
    }
}

static void more_than_it_holds(void)
{
    uint8_t one[16] = {3};
    for (uint32_t i = 0; i < 50000; i++) {
        memcpy(one + 4, &i, sizeof i);
        begin(&stream, one);
        draw(&stream, 1);
    }
}

static void test_repeats(void **state)
{
    static void (*const repeats[])(void) = {again_from_the_start, counter_stands_still, old_key_after_others};
    char said[512];
    for (size_t i = 0; i < sizeof repeats / sizeof *repeats; i++) {
        int how = child_ends(repeats[i], said, sizeof said);
        assert_true(WIFSIGNALED(how));
        assert_int_equal(WTERMSIG(how), SIGABRT);
        assert_non_null(strstr(said, "a mask is drawn twice"));
    }
}

static void test_good(void **state)
{
    char said[512];
    int how = child_ends(good, said, sizeof said);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_string_equal(said, "");
    how = child_ends(more_than_it_holds, said, sizeof said);
    assert_true(WIFEXITED(how));
    assert_non_null(strstr(said, "forgets them"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repeats), cmocka_unit_test(test_good)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
