/* A disk that fails under the spool: a text whose mark is not on disk is not used by either party, one that is not wholly written is not there, and errors
 * name the file. The calls that fail are ours: fsync, pwrite and open are wrapped by the linker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair/spool.h"
#include "tests/pair/files.h"

#include <errno.h>
#include <fcntl.h>

static const uint8_t key[PAIR_SEALED_KEY] = {1, 2, 3};
static const struct pair_text_form form = {.prompt_tokens = 7, .new_tokens = 2, .chunk = 4, .mode = 0};
static const struct pair_text_keys keys = {.own = {1}, .input = {2}, .delta = {{3, 4}}};

/* --- the disk ----------------------------------------------------------------------------------------------------------------------------- */

/* The call of its kind that fails, from 1; 0: none. All later ones fail, too, but where it fails once. Both parties of a run call. */
struct calls {
    int fails, made;
};
static struct {
    struct calls fsync, write;
    int error;
    bool once, is_short, read_only; /* is_short: that write writes half */
} disk;

static void mend(void)
{
    disk.fsync = disk.write = (struct calls){0};
    disk.once = disk.is_short = disk.read_only = false;
}

static bool goes_well(struct calls *calls, int *ret_number)
{
    *ret_number = __atomic_add_fetch(&calls->made, 1, __ATOMIC_RELAXED);
    errno = disk.error;
    return calls->fails == 0 || *ret_number < calls->fails || (disk.once && *ret_number > calls->fails);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    int number;
    return goes_well(&disk.fsync, &number) ? __real_fsync(fd) : -1;
}

#define WRAP_PWRITE(name)                                                                        \
    ssize_t __real_##name(int fd, const void *data, size_t size, off_t at);                      \
    ssize_t __wrap_##name(int fd, const void *data, size_t size, off_t at);                      \
    ssize_t __wrap_##name(int fd, const void *data, size_t size, off_t at)                       \
    {                                                                                            \
        int number;                                                                              \
        if (goes_well(&disk.write, &number))                                                     \
            return __real_##name(fd, data, size, at);                                            \
        return disk.is_short && number == disk.write.fails ? __real_##name(fd, data, size / 2, at) : -1; \
    }
#define WRAP_OPEN(name)                                                                          \
    int __real_##name(const char *path, int flags, ...);                                         \
    int __wrap_##name(const char *path, int flags, ...);                                         \
    int __wrap_##name(const char *path, int flags, ...)                                          \
    {                                                                                            \
        va_list list;                                                                            \
        va_start(list, flags);                                                                   \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;                         \
        va_end(list);                                                                            \
        if (disk.read_only && (flags & (O_CREAT | O_RDWR | O_WRONLY)) != 0) {                    \
            errno = EROFS;                                                                       \
            return -1;                                                                           \
        }                                                                                        \
        return __real_##name(path, flags, mode);                                                 \
    }
/* Either name, as files are large or not. */
WRAP_PWRITE(pwrite)
WRAP_PWRITE(pwrite64)
WRAP_OPEN(open)
WRAP_OPEN(open64)

/* --- texts -------------------------------------------------------------------------------------------------------------------------------- */

static enum base_status make_text(const char *path, struct base_error *error)
{
    enum base_status status;
    struct pair_text text = {0};
    struct pair_tape *tape = NULL;
    const struct pair_text_about about = {.party = 1, .id = {9}, .form = form, .owner = {7}};
    static uint8_t record[3 * PAIR_SEALED_FRAME / 2];
    TRY(pair_tape_create(&tape, error));
    pair_tape_close(tape, NULL);
    TRY(pair_text_create(&text, path, key, &about, &keys, error));
    TRY(pair_tape_put(tape, record, sizeof record, 0, error));
    TRY(pair_text_keep(&text, tape, 1, 1, error));
    TRY(pair_text_close(&text, error));
    TRY(pair_text_place(&text, error));
out:
    pair_text_finish(&text);
    pair_tape_destroy(&tape);
    return status;
}

static void assert_wiped(const struct pair_text_keys *got)
{
    static const struct pair_text_keys none;
    assert_memory_equal(got, &none, sizeof none);
}

static const int errors[] = {EIO, ENOSPC, EDQUOT};

/* However the mark fails: no key comes out. What stands on the disk may say either, and the file is not removed as a used one. */
static void test_use(void **state)
{
    const char *path = spool_at("used");
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
        for (int how = 0; how < 3; how++) {
            struct base_error error = {0};
            struct pair_text text = {0};
            struct pair_text_keys got = {{0}, {0}, {{0}}};
            struct pair_text_about about;
            bool used = false;
            mend();
            check_ok(make_text(path, &error), &error);
            disk.error = errors[e];
            disk.fsync = (struct calls){.fails = how == 0};
            disk.write = (struct calls){.fails = how != 0};
            disk.is_short = how == 2;
            assert_int_equal(pair_text_use(&text, path, key, &got, &error), BASE_ERR_IO);
            assert_non_null(strstr(error.text, path));
            assert_non_null(strstr(error.text, strerror(errors[e])));
            assert_null(text.file);
            assert_wiped(&got);
            mend();
            assert_int_equal(access(path, F_OK), 0);
            /* A head that was half overwritten is none; one that was not touched is good, and nobody knows its keys. */
            error = (struct base_error){0};
            enum base_status status = pair_text_look(path, key, &about, &used, &error);
            if (how == 2)
                assert_true(status == BASE_ERR_FORMAT || used);
            else
                assert_true(status == BASE_OK && used == (how == 0));
            (void)unlink(path);
        }
}

/* A text that could not be written at any of its writes or syncs is not there, and nothing of it. */
static void test_make(void **state)
{
    static char path[2 * PLACE_ROOM], begun[2 * PLACE_ROOM + 16];
    (void)snprintf(path, sizeof path, "%s", spool_at("made"));
    (void)snprintf(begun, sizeof begun, "%s.partial", path);
    for (int kind = 0; kind < 3; kind++)
        for (int call = 1;; call++) {
            struct base_error error = {0};
            mend();
            disk.error = EIO;
            struct calls *calls = kind == 0 ? &disk.fsync : &disk.write;
            calls->fails = call;
            disk.is_short = kind == 2;
            enum base_status status = make_text(path, &error);
            bool fell = calls->made >= call;
            mend();
            if (status == BASE_OK) {
                assert_int_equal(access(path, F_OK), 0);
                (void)unlink(path);
                assert_true(call > 2 && !fell);
                break;
            }
            assert_int_equal(status, BASE_ERR_IO);
            assert_non_null(strstr(error.text, spool_place));
            assert_int_not_equal(access(path, F_OK), 0);
            assert_int_not_equal(access(begun, F_OK), 0);
        }
}

/* --- two parties -------------------------------------------------------------------------------------------------------------------------- */

struct scene {
    struct pair_spool spool[3];
    char folder[3][PLACE_ROOM + 16];
    struct base_error refusal[3];
    bool makes, took[3];
};

static enum base_status run_side(struct pair_party *p, void *context, struct base_error *error)
{
    struct scene *s = context;
    struct pair_spool *spool = &s->spool[p->id];
    struct base_error *refusal = &s->refusal[p->id];
    struct pair_spool_config config = {.directory = s->folder[p->id], .party = p->id, .owner = {7}, .most = 3};
    struct pair_text text = {0};
    struct pair_text_keys got;
    struct pair_tape *tape = NULL;
    enum base_status status;
    config.key[0] = (uint8_t)p->id;
    TRY(pair_tape_create(&tape, error));
    pair_tape_close(tape, NULL);
    TRY(pair_spool_open(spool, &config, error));
    TRY(pair_spool_meet(spool, p, error));
    if (s->makes) {
        pair_spool_begin(spool, &form, &keys, refusal);
        TRY(pair_tape_put(tape, "record", 6, 0, error));
        if (refusal->code == BASE_OK)
            TRY(pair_spool_keep(spool, p, tape, 1, 1, refusal, error));
        if (refusal->code == BASE_OK)
            TRY(pair_spool_end(spool, p, refusal, error));
    } else
        TRY(pair_spool_take(spool, p, &form, &text, &got, error));
    s->took[p->id] = text.file != NULL;
out:
    pair_text_finish(&text);
    pair_tape_destroy(&tape);
    return status;
}

static void play(struct scene *s, bool makes)
{
    static uint64_t session = 1;
    struct pair_ran ran;
    s->makes = makes;
    memset(s->refusal, 0, sizeof s->refusal);
    pair_run_both((struct pair_run_options){.seed = session, .session = session}, run_side, s, &ran);
    session++;
    mend();
    for (int id = 1; id <= 2; id++) {
        check_ok(ran.status[id], &ran.error[id]);
        pair_spool_close(&s->spool[id]);
    }
    assert_int_equal(s->took[1], s->took[2]);
}

static struct scene new_scene(void)
{
    struct scene s = {.spool = {{.lock = -1}, {.lock = -1}, {.lock = -1}}};
    for (int id = 1; id <= 2; id++) {
        (void)snprintf(s.folder[id], sizeof s.folder[id], "%s/s%d", spool_place, id);
        spool_clear(s.folder[id]);
    }
    mend();
    return s;
}

/* One sync of the two fails, whoever's it is: neither uses the text, then or later. */
static void test_one_mark_fails(void **state)
{
    for (int sync = 1; sync <= 2; sync++) {
        struct scene s = new_scene();
        play(&s, true);
        assert_int_equal(s.refusal[1].code, BASE_OK);
        disk.error = EIO;
        disk.fsync.fails = sync;
        disk.once = true;
        play(&s, false);
        assert_false(s.took[1]);
        play(&s, false);
        assert_false(s.took[1]);
        play(&s, true);
        assert_int_equal(s.refusal[1].code, BASE_OK);
        play(&s, false);
        assert_true(s.took[1]);
    }
}

static void test_read_only(void **state)
{
    struct scene s = new_scene();
    play(&s, true);
    disk.read_only = true;
    play(&s, true);
    for (int id = 1; id <= 2; id++) {
        assert_int_equal(s.refusal[id].code, BASE_ERR_IO);
        assert_non_null(strstr(s.refusal[id].text, s.folder[id]));
        assert_non_null(strstr(s.refusal[id].text, strerror(EROFS)));
    }
    disk.read_only = true;
    play(&s, false);
    assert_false(s.took[1]);
    /* Nothing was marked: what waited is there when the folder can be written again. */
    play(&s, false);
    assert_true(s.took[1]);
    struct base_error error = {0};
    struct pair_text text = {0};
    struct pair_text_keys got;
    mend();
    check_ok(make_text(spool_at("alone"), &error), &error);
    disk.read_only = true;
    assert_int_equal(pair_text_use(&text, spool_at("alone"), key, &got, &error), BASE_ERR_IO);
    mend();
    assert_non_null(strstr(error.text, "alone"));
    assert_non_null(strstr(error.text, strerror(EROFS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_use), cmocka_unit_test(test_make), cmocka_unit_test(test_one_mark_fails),
                                       cmocka_unit_test(test_read_only)};
    mend();
    return cmocka_run_group_tests(tests, spool_open_place, spool_close_place);
}
