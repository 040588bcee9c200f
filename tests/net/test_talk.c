/* Log lines, progress bars and deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "base/log.h"
#include "base/progress.h"

#include <stdlib.h>

/* What was written to a stream in memory. */
struct captured {
    char *text;
    size_t size;
    FILE *stream;
};

static void capture(struct captured *captured)
{
    captured->stream = open_memstream(&captured->text, &captured->size);
    assert_non_null(captured->stream);
    (void)fflush(captured->stream);
}

static void captured_free(struct captured *captured)
{
    (void)fclose(captured->stream);
    free(captured->text);
}

static void test_text_log(void **state)
{
    struct captured out;
    capture(&out);
    struct base_log log = {.stream = out.stream, .level = BASE_LOG_INFO, .who = "P1"};
    base_log_write(&log, BASE_LOG_DEBUG, NULL, "not shown");
    assert_int_equal(out.size, 0);
    base_log_write(&log, BASE_LOG_INFO, "r-7", "took %d", 3);
    assert_string_equal(out.text + 24, " info P1 [r-7] took 3\n");
    assert_int_equal(out.text[10], 'T');
    assert_int_equal(out.text[23], 'Z');
    base_log_write(&log, BASE_LOG_ERROR, NULL, "a\nb\x1b[0m \xff");
    assert_non_null(strstr(out.text, " error P1 a?b?[0m ?\n"));
    base_log_write(NULL, BASE_LOG_ERROR, NULL, "nowhere");
    captured_free(&out);
}

static void test_json_log(void **state)
{
    struct captured out;
    capture(&out);
    struct base_log log = {.stream = out.stream, .level = BASE_LOG_DEBUG, .json = true, .who = "P\"0"};
    base_log_write(&log, BASE_LOG_WARNING, "id", "say \"x\\y\"\n\xc3\xa9");
    assert_non_null(strstr(out.text,
                           "\"level\":\"warning\",\"who\":\"P\\\"0\",\"request\":\"id\",\"message\":"
                           "\"say \\\"x\\\\y\\\"?\xc3\xa9\"}\n"));
    /* A long message is cut, never the line's end. */
    char big[5000];
    memset(big, '"', sizeof big);
    big[sizeof big - 1] = '\0';
    base_log_write(&log, BASE_LOG_WARNING, big, "%s", big);
    assert_int_equal(out.text[out.size - 1], '\n');
    assert_int_equal(out.text[out.size - 2], '}');
    assert_int_equal(out.text[out.size - 3], '"');
    captured_free(&out);
}

static void test_levels(void **state)
{
    enum base_log_level level = BASE_LOG_ERROR;
    struct base_error error = {0};
    check_ok(base_log_level_parse("debug", &level, &error), &error);
    assert_int_equal(level, BASE_LOG_DEBUG);
    check_fails(base_log_level_parse("loud", &level, &error), BASE_ERR_ARGUMENT, &error,
                "log level is \"loud\"");
}

static void test_progress(void **state)
{
    struct captured out;
    struct base_progress bar, silent = {0};
    capture(&out);
    base_progress_start_on(&bar, out.stream, "share", 1000);
    for (uint64_t i = 0; i < 1000; i++)
        base_progress_update(&bar, i, i * 5000);
    int drawn = 0;
    for (const char *at = out.text; (at = strchr(at, '\r')) != NULL; at++)
        drawn++;
    assert_in_range(drawn, 1, 5); /* at most ten a second */
    base_progress_update(&bar, 1000, 5000000);
    assert_non_null(strstr(out.text, "\rshare [########################] 1000/1000 5.0 MB\033[K"));
    base_progress_finish(&bar);
    base_progress_finish(&bar);
    assert_string_equal(out.text + out.size - 4, "\r\033[K");
    captured_free(&out);
    base_progress_update(&silent, 1, 0);
    base_progress_finish(&silent);
    base_progress_start_on(&silent, NULL, "x", 0);
    base_progress_update(&silent, 1, 0);
}

static void test_deadlines(void **state)
{
    int64_t now = base_clock_ms();
    assert_in_range(base_deadline_after(1000) - now, 1000, 1200);
    assert_true(base_deadline_after(INT64_MAX) == INT64_MAX);
    assert_in_range(base_deadline_after(-5) - now, 0, 200);
    assert_int_equal(base_deadline_left(now - 1, 100), 0);
    assert_int_equal(base_deadline_left(INT64_MAX, 100), 100);
    base_sleep_ms(5);
    assert_true(base_clock_ms() > now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_log), cmocka_unit_test(test_json_log),  cmocka_unit_test(test_levels),
        cmocka_unit_test(test_progress), cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
