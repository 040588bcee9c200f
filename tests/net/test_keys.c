/* Key files: the round trip, and everything that must not be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/support.h"

#include "net/keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own per test, and a key file in it. */
struct place {
    char folder[64], path[96];
    struct net_key key;
};

static void place_make(struct place *place)
{
    struct base_error error = {0};
    (void)snprintf(place->folder, sizeof place->folder, "%s/cachet-keys-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/key", place->folder);
    check_ok(net_key_generate(&place->key, &error), &error);
    check_ok(net_key_save(&place->key, place->path, &error), &error);
}

static void place_clear(struct place *place)
{
    net_key_finish(&place->key);
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0); /* nothing else was left behind */
}

static void check_refused(const char *path, enum base_status want, const char *says)
{
    struct net_key key = {0};
    struct base_error error = {0};
    check_fails(net_key_load(&key, path, &error), want, &error, says);
    assert_null(key.secret);
}

static void test_round_trip(void **state)
{
    struct place place;
    struct net_key back = {0};
    struct base_error error = {0}, exists = {0};
    struct stat info;
    char text[NET_KEY_TEXT];
    uint8_t key[NET_KEY_BYTES];
    place_make(&place);
    assert_int_equal(stat(place.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    check_ok(net_key_load(&back, place.path, &error), &error);
    assert_memory_equal(back.public_key, place.key.public_key, NET_KEY_BYTES);
    assert_memory_equal(back.secret, place.key.secret, NET_KEY_BYTES);
    net_key_write_text(back.public_key, text);
    check_ok(net_key_parse_text(text, key, &error), &error);
    assert_memory_equal(key, back.public_key, NET_KEY_BYTES);
    check_fails(net_key_save(&back, place.path, &exists), BASE_ERR_IO, &exists,
                "exists: a key is never overwritten");
    net_key_finish(&back);
    place_clear(&place);
}

static void test_modes_and_kinds(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0601, 0777};
    struct place place;
    char other[112];
    place_make(&place);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(place.path, modes[i]), 0);
        check_refused(place.path, BASE_ERR_IO, "expected 0600");
    }
    assert_int_equal(chmod(place.path, 0400), 0);
    struct net_key key = {0};
    struct base_error error = {0};
    check_ok(net_key_load(&key, place.path, &error), &error);
    net_key_finish(&key);
    (void)snprintf(other, sizeof other, "%s/other", place.folder);
    assert_int_equal(symlink(place.path, other), 0);
    check_refused(other, BASE_ERR_IO, "is a link");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    check_refused(other, BASE_ERR_IO, "is not a regular file");
    assert_int_equal(unlink(other), 0);
    check_refused(other, BASE_ERR_IO, "No such file");
    check_refused(place.folder, BASE_ERR_IO, "is not a regular file");
    if (geteuid() == 0) {
        assert_int_equal(chown(place.path, 12345, 12345), 0);
        check_refused(place.path, BASE_ERR_IO, "belongs to user 12345");
    }
    place_clear(&place);
}

/* Changes one byte of the file, or its length. */
static void rewrite(const struct place *place, const char *text, size_t size)
{
    int fd = open(place->path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    (void)close(fd);
}

static void test_content(void **state)
{
    struct place place;
    char text[256], changed[256];
    place_make(&place);
    int fd = open(place.path, O_RDONLY);
    ssize_t size = read(fd, text, sizeof text);
    (void)close(fd);
    assert_int_equal(size, 109);
    for (ssize_t cut = 0; cut < size; cut += 9) {
        rewrite(&place, text, (size_t)cut);
        check_refused(place.path, BASE_ERR_FORMAT, "expected 109");
    }
    memcpy(text + size, "\n", 2);
    rewrite(&place, text, (size_t)size + 1);
    check_refused(place.path, BASE_ERR_FORMAT, "or more, expected 109");
    static const struct {
        int at;
        char value;
        const char *says;
    } cases[] = {{0, 'C', "not a cachet key file"},    {11, '2', "not a cachet key file"},
                 {25, '~', "public key is malformed"}, {25, '\0', "not a cachet key file"},
                 {75, '"', "secret key is malformed"}, {108, ' ', "not a cachet key file"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(changed, text, sizeof changed);
        changed[cases[i].at] = cases[i].value;
        rewrite(&place, changed, (size_t)size);
        check_refused(place.path, BASE_ERR_FORMAT, cases[i].says);
    }
    memcpy(changed, text, sizeof changed);
    changed[24] = changed[24] == '0' ? '1' : '0';
    rewrite(&place, changed, (size_t)size);
    check_refused(place.path, BASE_ERR_FORMAT, "do not belong together");
    place_clear(&place);
}

static void test_text(void **state)
{
    static const char *const bad[] = {"", "short", "0123456789012345678901234567890123456789x",
                                      "01234567890123456789012345678901234567 9",
                                      "#####################################\x1b[2J"};
    uint8_t key[NET_KEY_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct base_error error = {0};
        check_fails(net_key_parse_text(bad[i], key, &error), BASE_ERR_FORMAT, &error, "is not a public key");
        assert_null(strchr(error.text, '\x1b'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_modes_and_kinds),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
