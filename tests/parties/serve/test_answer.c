/* The queue between the client library's thread and a connection's: order, bounds, readers that do not read, the end.
 */
#include "parties/serve/answer.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct serve_answer answer;
    struct cachet_request request;
    int pair[2];
    atomic_bool stopping;
};

static int open_fixture(void **state)
{
    static struct fixture f;
    struct base_error error = {0};
    memset(&f, 0, sizeof f);
    *state = &f;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair) != 0 || serve_answer_open(&f.answer, 0.2, &error) != BASE_OK)
        return -1;
    serve_answer_attach(&f.answer, &f.request);
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    serve_answer_close(&f->answer);
    (void)close(f->pair[0]);
    (void)close(f->pair[1]);
    return 0;
}

static bool put(struct fixture *f, size_t index, size_t size)
{
    char text[SERVE_MOST_TEXT + 1];
    memset(text, 'a' + (int)(index % 26), sizeof text);
    const struct cachet_token token = {.index = index, .text = text, .size = size};
    return f->request.token(f->request.context, &token);
}

static enum serve_event next(struct fixture *f, int quiet_ms, struct cachet_token *ret)
{
    return serve_answer_next(&f->answer, f->pair[0], &f->stopping, quiet_ms, ret);
}

/* Sizes that make the records wander through the queue and around its end. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    struct cachet_token token;
    size_t written = 0, taken = 0;
    for (int turn = 0; turn < 400; turn++) {
        for (int i = 0; i < 1 + turn % 7; i++, written++)
            assert_true(put(f, written, written * 131 % 4096));
        while (taken < written) {
            assert_int_equal(next(f, 0, &token), SERVE_TOKEN);
            assert_int_equal(token.index, taken);
            assert_int_equal(token.size, taken * 131 % 4096);
            for (size_t c = 0; c < token.size; c++)
                assert_int_equal(token.text[c], 'a' + (int)(taken % 26));
            taken++;
        }
        assert_int_equal(next(f, 0, &token), SERVE_QUIET);
    }
    assert_true(put(f, 0, SERVE_MOST_TEXT));
    f->request.ended(f->request.context);
    assert_int_equal(next(f, 1000, &token), SERVE_TOKEN); /* tokens before the end */
    assert_int_equal(next(f, 1000, &token), SERVE_ENDED);
    assert_int_equal(next(f, 1000, &token), SERVE_ENDED);
}

static void test_full(void **state)
{
    struct fixture *f = *state;
    struct cachet_token token;
    size_t count = 0;
    while (count < 10000 && put(f, count, 1000))
        count++;
    assert_in_range(count, 50, SERVE_QUEUE_BYTES / 1000);
    assert_false(put(f, count, 0)); /* once too slow, always */
    assert_int_equal(next(f, 0, &token), SERVE_TOO_SLOW);
}

static void test_too_long(void **state)
{
    struct fixture *f = *state;
    assert_false(put(f, 0, SERVE_MOST_TEXT + 1));
}

static void test_patience(void **state)
{
    struct fixture *f = *state;
    struct cachet_token token;
    assert_true(put(f, 0, 1));
    base_sleep_ms(150);
    assert_int_equal(next(f, 0, &token), SERVE_TOKEN);
    assert_true(put(f, 1, 1) && put(f, 2, 1));
    base_sleep_ms(150);
    assert_int_equal(next(f, 0, &token), SERVE_TOKEN); /* one of two: it reads */
    base_sleep_ms(150);
    assert_true(put(f, 3, 1));
    base_sleep_ms(250);
    assert_false(put(f, 4, 1));
    assert_int_equal(next(f, 0, &token), SERVE_TOO_SLOW);
}

static void test_hang_up(void **state)
{
    struct fixture *f = *state;
    struct cachet_token token;
    double begun = base_clock_seconds();
    assert_int_equal(next(f, 120, &token), SERVE_QUIET);
    assert_true(base_clock_seconds() - begun > 0.1);
    assert_int_equal(shutdown(f->pair[1], SHUT_RDWR), 0);
    begun = base_clock_seconds();
    assert_int_equal(next(f, 5000, &token), SERVE_HUNG_UP);
    assert_true(base_clock_seconds() - begun < 2);
    /* Tokens that keep coming do not hide it. */
    base_sleep_ms(SERVE_HANGUP_MS + 10);
    assert_true(put(f, 0, 1));
    assert_int_equal(next(f, 0, &token), SERVE_HUNG_UP);
}

static void *stop_later(void *context)
{
    struct fixture *f = context;
    base_sleep_ms(50);
    atomic_store(&f->stopping, true);
    return NULL;
}

static void test_stopping(void **state)
{
    struct fixture *f = *state;
    struct cachet_token token;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_later, f), 0);
    assert_int_equal(next(f, 5000, &token), SERVE_STOPPING);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    const struct cachet_progress given = {.ahead = 2, .rows = 7, .layer = 3};
    struct cachet_progress got;
    assert_false(serve_answer_progress(&f->answer, &got));
    f->request.progress(f->request.context, &given);
    assert_true(serve_answer_progress(&f->answer, &got));
    assert_true(got.ahead == 2 && got.rows == 7 && got.layer == 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_order),    TEST(test_full),    TEST(test_too_long),
                                       TEST(test_patience), TEST(test_hang_up), TEST(test_stopping),
                                       TEST(test_progress)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
