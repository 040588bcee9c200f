/* API keys, and what Host and Origin headers may say. */
#include "parties/serve/access.h"
#include "parties/serve/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum base_status read_text(struct serve_keys *ret, const char *text, size_t size, struct base_error *error)
{
    char path[] = "/tmp/cachet_keys_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0);
    enum base_status status = serve_keys_read(ret, path, error);
    assert_int_equal(unlink(path), 0);
    return status;
}

static void test_keys(void **state)
{
    static const char text[] =
        "# of alice\nalice-0123456789abcdef\r\n\n  \nbob-0123456789abcdef  \n#x\ncarol-0123456789abcdef";
    struct base_error error = {0};
    struct serve_keys keys = {0};
    assert_true(serve_keys_allow(&keys, NULL)); /* no keys: everyone */
    assert_int_equal(read_text(&keys, text, sizeof text - 1, &error), BASE_OK);
    assert_int_equal(keys.count, 3);
    assert_true(serve_keys_allow(&keys, "Bearer alice-0123456789abcdef"));
    assert_true(serve_keys_allow(&keys, "bearer bob-0123456789abcdef"));
    assert_true(serve_keys_allow(&keys, "Bearer carol-0123456789abcdef"));
    static const char *const bad[] = {"",
                                      "Bearer",
                                      "Bearer ",
                                      "Bearer  alice-0123456789abcdef",
                                      "alice-0123456789abcdef",
                                      "Basic alice-0123456789abcdef",
                                      "Bearer alice-0123456789abcde",
                                      "Bearer alice-0123456789abcdefg",
                                      "Bearer ALICE-0123456789abcdef",
                                      "Bearer # of alice",
                                      "Bearer alice-0123456789abcdef\r"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(serve_keys_allow(&keys, bad[i]));
    assert_false(serve_keys_allow(&keys, NULL));
    serve_keys_finish(&keys);
    serve_keys_finish(&keys);
}

static void test_bad_key_files(void **state)
{
    static const char with_nul[] = "0123456789\0abcdef0123456789\n";
    char long_key[SERVE_MOST_KEY + 3];
    memset(long_key, 'k', sizeof long_key);
    const struct {
        const char *text, *says;
        size_t size;
    } files[] = {{"", "no API key", 0},
                 {"\n\n# nothing\n", "no API key", 12},
                 {"a-key-of-good-length\nshort\n", "line 2", 27},
                 {"two words in one key\n", "character 4", 21},
                 {"0123456789abcde\xc3\xa4\n", "character 16", 18},
                 {long_key, "line 1", SERVE_MOST_KEY + 1},
                 {with_nul, "line 1", sizeof with_nul - 1}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct base_error error = {0};
        struct serve_keys keys = {0};
        assert_int_equal(read_text(&keys, files[i].text, files[i].size, &error), BASE_ERR_FORMAT);
        assert_non_null(strstr(error.text, files[i].says));
        assert_null(strstr(error.text, "short")); /* keys stay out of errors */
        assert_null(keys.hashes);
    }
    struct base_error error = {0};
    struct serve_keys keys = {0};
    assert_int_equal(serve_keys_read(&keys, "/no/such/file", &error), BASE_ERR_IO);
}

static void test_hosts(void **state)
{
    static const char *const local[] = {"localhost",      "localhost:8080", "LocalHost:1", "127.0.0.1",
                                        "127.0.0.1:8080", "127.255.0.1",    "[::1]",       "[::1]:8080"};
    static const char *const other[] = {"",
                                        ":",
                                        ":8080",
                                        "example.com",
                                        "localhost.example.com",
                                        "localhost:80:80",
                                        "localhost:8a",
                                        "127.0.0.1.example.com",
                                        "127.0.0",
                                        "127.0.0.1.1",
                                        "128.0.0.1",
                                        "127.0.0.-1",
                                        "127. 0.0.1",
                                        "[::2]",
                                        "[::1",
                                        "[::1]x",
                                        "::1",
                                        "xlocalhost",
                                        "localhost@example.com",
                                        "127.0.0.1:80@example.com",
                                        "0127.0.0.1"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(serve_host_is_local(local[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(serve_host_is_local(other[i]));
    assert_false(serve_host_is_local(NULL));
    assert_true(serve_host_is("gateway.example", "gateway.example") &&
                serve_host_is("Gateway.Example:443", "gateway.example"));
    assert_false(serve_host_is("gateway.example.com", "gateway.example") ||
                 serve_host_is("gateway.exampl", "gateway.example"));
    assert_false(serve_host_is("gateway.example:443x", "gateway.example") || serve_host_is(NULL, "gateway.example"));
}

static void test_origins(void **state)
{
    assert_true(serve_origin_is_own(NULL, "localhost:8080"));
    assert_true(serve_origin_is_own("http://localhost:8080", "localhost:8080"));
    assert_true(serve_origin_is_own("https://gateway.example", "gateway.example"));
    static const char *const other[] = {"",
                                        "null",
                                        "localhost:8080",
                                        "http://localhost",
                                        "http://localhost:8081",
                                        "ftp://localhost:8080",
                                        "http://localhost:8080.example.com",
                                        "http://example.com",
                                        "http://",
                                        "file://localhost:8080"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(serve_origin_is_own(other[i], "localhost:8080"));
    assert_false(serve_origin_is_own("http://localhost:8080", NULL));
}

static void test_listen(void **state)
{
    static const char *const bad[] = {"",
                                      "8080",
                                      "localhost",
                                      "localhost:",
                                      ":8080",
                                      "localhost:65536",
                                      "localhost:-1",
                                      "localhost:80x",
                                      "localhost: 80",
                                      "[]:80"};
    struct base_error error = {0};
    bool local = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(serve_listen_check(bad[i], &local, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(serve_listen_check("0.0.0.0:80", &local, &error), BASE_OK);
    assert_false(local);
    assert_int_equal(serve_listen_check("127.3.0.1:80", &local, &error), BASE_OK);
    assert_true(local);
    assert_int_equal(serve_listen_check("[::1]:80", &local, &error), BASE_OK);
    assert_true(local);
    assert_int_equal(serve_listen_check("[::]:80", &local, &error), BASE_OK);
    assert_false(local);
    struct serve_listen listen = {.socket = -1};
    assert_int_equal(serve_listen_open(&listen, "127.0.0.1:0", &error), BASE_OK);
    assert_true(strncmp(listen.url, "http://127.0.0.1:", 17) == 0 && atoi(listen.url + 17) > 0);
    struct serve_listen second = {.socket = -1};
    assert_int_equal(serve_listen_open(&second, listen.url + 7, &error), BASE_ERR_IO);
    assert_int_equal(second.socket, -1);
    serve_listen_close(&listen);
    serve_listen_close(&listen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_bad_key_files),
                                       cmocka_unit_test(test_hosts), cmocka_unit_test(test_origins),
                                       cmocka_unit_test(test_listen)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
