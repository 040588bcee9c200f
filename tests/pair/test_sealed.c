/* Sealed files: refused when a byte of them is another, used once, and marked on disk before that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair/sealed.h"
#include "tests/pair/files.h"

static const uint8_t key[PAIR_SEALED_KEY] = {1, 2, 3}, other_key[PAIR_SEALED_KEY] = {1, 2, 4};

static void write_sealed(const char *path, size_t size, uint64_t seed)
{
    struct base_error error = {0};
    struct pair_sealed *file = NULL;
    uint8_t about[PAIR_SEALED_ABOUT], *bytes = pair_test_alloc(size, 1);
    spool_fill(about, sizeof about, seed + 99);
    spool_fill(bytes, size, seed);
    check_ok(pair_sealed_create(&file, path, key, &error), &error);
    for (size_t done = 0; done < size;) { /* in pieces that fit no frame */
        size_t now = size - done < 77777 ? size - done : 77777;
        check_ok(pair_sealed_put(file, bytes + done, now, &error), &error);
        done += now;
    }
    check_ok(pair_sealed_close(file, about, &error), &error);
    assert_int_not_equal(access(path, F_OK), 0);
    check_ok(pair_sealed_place(&file, &error), &error);
    assert_null(file);
    base_free(&bytes);
}

/* Refused by name, and left where it is. */
static void refuse(const char *path, const uint8_t *with, const char *says)
{
    struct base_error error = {0};
    struct pair_sealed *file = NULL;
    uint8_t about[PAIR_SEALED_ABOUT];
    assert_int_not_equal(pair_sealed_open(&file, path, with, about, &error), BASE_OK);
    assert_null(file);
    assert_non_null(strstr(error.text, path));
    if (strstr(error.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, says);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, PAIR_SEALED_FRAME - 1, PAIR_SEALED_FRAME, PAIR_SEALED_FRAME + 1, 3 * PAIR_SEALED_FRAME, 3 * PAIR_SEALED_FRAME + 17};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *path = spool_at("sized");
        struct base_error error = {0};
        struct pair_sealed *file = NULL;
        size_t size = sizes[i], file_size;
        enum pair_sealed_state known;
        uint8_t about[PAIR_SEALED_ABOUT], wanted_about[PAIR_SEALED_ABOUT], *wanted = pair_test_alloc(size, 1), *got = pair_test_alloc(size, 1), one;
        spool_fill(wanted, size, i);
        spool_fill(wanted_about, sizeof wanted_about, i + 99);
        write_sealed(path, size, i);
        check_ok(pair_sealed_look(path, key, &known, about, &error), &error);
        assert_int_equal(known, PAIR_SEALED_WHOLE);
        assert_memory_equal(about, wanted_about, sizeof about);
        check_ok(pair_sealed_open(&file, path, key, about, &error), &error);
        assert_memory_equal(about, wanted_about, sizeof about);
        assert_int_equal(pair_sealed_left(file), size);
        check_ok(pair_sealed_use(file, &error), &error);
        /* Marked when that returns: nobody can open it, and its salt is gone. */
        uint8_t *bytes = spool_read(path, &file_size);
        for (size_t b = 8; b < PAIR_SEALED_HEAD; b++)
            assert_int_equal(bytes[b], 0);
        base_free(&bytes);
        refuse(path, key, "was used before");
        check_ok(pair_sealed_look(path, key, &known, about, &error), &error);
        assert_int_equal(known, PAIR_SEALED_USED);
        check_ok(pair_sealed_get(file, got, size, &error), &error);
        assert_memory_equal(got, wanted, size);
        assert_int_equal(pair_sealed_get(file, &one, 1, &error), BASE_ERR_FORMAT);
        pair_sealed_finish(&file);
        assert_int_not_equal(access(path, F_OK), 0);
        base_free(&wanted);
        base_free(&got);
    }
}

/* Every byte of a small file, and some of every frame of a larger one; every length; bytes behind it. */
static void test_edited(void **state)
{
    static const size_t sizes[] = {100, 2 * PAIR_SEALED_FRAME + 50};
    for (size_t i = 0; i < 2; i++) {
        const char *path = spool_at("edited");
        size_t size;
        write_sealed(path, sizes[i], 5);
        uint8_t *bytes = spool_read(path, &size);
        size_t step = i == 0 ? 1 : 50021;
        for (size_t b = 0; b < size; b += step) {
            bytes[b] ^= (uint8_t)(1 << b % 8);
            spool_write(path, bytes, size);
            refuse(path, key, "remove it");
            bytes[b] ^= (uint8_t)(1 << b % 8);
        }
        for (size_t cut = 0; cut < size; cut += step) {
            spool_write(path, bytes, cut);
            refuse(path, key, "remove it");
        }
        uint8_t *longer = pair_test_alloc(size + 1, 1);
        memcpy(longer, bytes, size);
        spool_write(path, longer, size + 1);
        refuse(path, key, "cut or added to");
        spool_write(path, bytes, size);
        refuse(path, other_key, "written by another party or under another key");
        if (i == 1) { /* two frames change places */
            memcpy(longer + PAIR_SEALED_HEAD, bytes + PAIR_SEALED_HEAD + PAIR_SEALED_FRAME + 17, PAIR_SEALED_FRAME + 17);
            memcpy(longer + PAIR_SEALED_HEAD + PAIR_SEALED_FRAME + 17, bytes + PAIR_SEALED_HEAD, PAIR_SEALED_FRAME + 17);
            spool_write(path, longer, size);
            refuse(path, key, "was edited");
        }
        base_free(&longer);
        base_free(&bytes);
        (void)unlink(path);
    }
}

static void test_not_own(void **state)
{
    const char *path = spool_at("own"), *link_path = spool_at("linked");
    write_sealed(path, 10, 1);
    assert_int_equal(chmod(path, 0640), 0);
    refuse(path, key, "others than this user");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(symlink(path, link_path), 0);
    refuse(link_path, key, "cannot be opened");
    (void)unlink(link_path);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(path, key, "is not a regular file");
    (void)unlink(path);
    refuse(path, key, "cannot be opened");
}

/* A file that is not complete is not there. */
static void test_not_placed(void **state)
{
    struct base_error error = {0};
    struct pair_sealed *file = NULL;
    check_ok(pair_sealed_create(&file, spool_at("begun"), key, &error), &error);
    check_ok(pair_sealed_put(file, "abc", 3, &error), &error);
    assert_int_equal(access(spool_at("begun.partial"), F_OK), 0);
    pair_sealed_finish(&file);
    assert_int_not_equal(access(spool_at("begun.partial"), F_OK), 0);
    assert_int_not_equal(access(spool_at("begun"), F_OK), 0);
    assert_int_equal(pair_sealed_create(&file, spool_at("no/such/folder"), key, &error), BASE_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_edited), cmocka_unit_test(test_not_own),
                                       cmocka_unit_test(test_not_placed)};
    return cmocka_run_group_tests(tests, spool_open_place, spool_close_place);
}
