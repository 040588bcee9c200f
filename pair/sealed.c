#include "pair/sealed.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_ROOM = 4096,
    FRAME = PAIR_SEALED_FRAME,
    EXTRA = crypto_secretstream_xchacha20poly1305_ABYTES,
    SALT = 32,
    TAG = 32,
    START = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    WHOLE = 1, /* state; 0: used */
    AT_STATE = 8,
    AT_ABOUT = 12,
    AT_SIZE = AT_ABOUT + PAIR_SEALED_ABOUT + 4,
    AT_SALT = AT_SIZE + 8,
    AT_START = AT_SALT + SALT,
    AT_TAG = PAIR_SEALED_HEAD - TAG,
};
static const uint8_t magic[8] = "CCHTSEA1";

_Static_assert(AT_START + START <= AT_TAG, "head");

/* In locked memory. */
struct pair_sealed {
    int fd;
    char path[PATH_ROOM], partial[PATH_ROOM];
    bool writes, placed, used;
    uint8_t key[PAIR_SEALED_KEY]; /* the owner's */
    uint8_t head[PAIR_SEALED_HEAD];
    crypto_secretstream_xchacha20poly1305_state state;
    uint64_t size, at; /* bytes of the stream; of them, those that went by */
    uint8_t *plain, *sealed; /* [FRAME], [FRAME + EXTRA] */
    size_t have, taken;      /* in plain */
};

static enum base_status fail_io(const char *path, const char *what, struct base_error *error)
{
    return base_fail(error, BASE_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

static enum base_status write_at(const struct pair_sealed *s, const uint8_t *data, size_t size, off_t at, struct base_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t now = pwrite(s->fd, data + done, size - done, at + (off_t)done);
        if (now < 0 && errno == EINTR)
            continue;
        if (now <= 0)
            return fail_io(s->path, "cannot be written", error);
        done += (size_t)now;
    }
    return BASE_OK;
}

static enum base_status read_at(int fd, const char *path, uint8_t *ret, size_t size, off_t at, struct base_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t now = pread(fd, ret + done, size - done, at + (off_t)done);
        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0)
            return fail_io(path, "cannot be read", error);
        if (now == 0)
            return base_fail(error, BASE_ERR_FORMAT, "%s: ends before it should: it was cut; remove it", path);
        done += (size_t)now;
    }
    return BASE_OK;
}

static void tag_of(const uint8_t head[PAIR_SEALED_HEAD], const uint8_t key[PAIR_SEALED_KEY], uint8_t ret[TAG])
{
    (void)crypto_generichash(ret, TAG, head, AT_TAG, key, PAIR_SEALED_KEY);
}

static void stream_key(const struct pair_sealed *s, uint8_t ret[crypto_secretstream_xchacha20poly1305_KEYBYTES])
{
    static const char label[] = "cachet sealed stream 1";
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, s->key, sizeof s->key, crypto_secretstream_xchacha20poly1305_KEYBYTES);
    (void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    (void)crypto_generichash_update(&state, s->head + AT_SALT, SALT);
    (void)crypto_generichash_final(&state, ret, crypto_secretstream_xchacha20poly1305_KEYBYTES);
    base_wipe(&state, sizeof state);
}

static uint64_t frames_of(uint64_t size)
{
    return size == 0 ? 1 : (size + FRAME - 1) / FRAME;
}

/* Where the frame lies that begins with byte `at` of the stream. */
static off_t place_of(uint64_t at)
{
    return (off_t)(PAIR_SEALED_HEAD + at + at / FRAME * EXTRA);
}

static enum base_status allocate(struct pair_sealed **ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], struct base_error *error)
{
    enum base_status status;
    struct pair_sealed *s = NULL;
    TRY(base_alloc_locked(&s, sizeof *s, error));
    s->fd = -1;
    memcpy(s->key, key, sizeof s->key);
    TRY(base_alloc(&s->plain, FRAME, 1, error));
    TRY(base_alloc(&s->sealed, FRAME + EXTRA, 1, error));
    TRY_THAT((size_t)snprintf(s->path, sizeof s->path, "%s", path) < sizeof s->path &&
                 (size_t)snprintf(s->partial, sizeof s->partial, "%s.partial", path) < sizeof s->partial,
             error, BASE_ERR_ARGUMENT, "the path %.40s... is too long", path);
    *ret = s;
    s = NULL;
out:
    pair_sealed_finish(&s);
    return status;
}

void pair_sealed_finish(struct pair_sealed **file)
{
    struct pair_sealed *s = *file;
    if (s == NULL)
        return;
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->fd >= 0 && s->writes && !s->placed)
        (void)unlink(s->partial);
    if (s->used)
        (void)unlink(s->path);
    base_free_secret(&s->plain);
    base_free_secret(&s->sealed);
    base_free_locked(file);
}

/* --- writing --------------------------------------------------------------------------------------------------------------------------- */

enum base_status pair_sealed_create(struct pair_sealed **ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], struct base_error *error)
{
    enum base_status status;
    uint8_t derived[crypto_secretstream_xchacha20poly1305_KEYBYTES];
    struct pair_sealed *s = NULL;
    TRY(allocate(&s, path, key, error));
    s->writes = true;
    (void)unlink(s->partial);
    s->fd = open(s->partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->fd < 0)
        TRY(fail_io(s->path, "cannot be created", error));
    randombytes_buf(s->head + AT_SALT, SALT);
    stream_key(s, derived);
    (void)crypto_secretstream_xchacha20poly1305_init_push(&s->state, s->head + AT_START, derived);
    base_wipe(derived, sizeof derived);
    *ret = s;
    s = NULL;
out:
    pair_sealed_finish(&s);
    return status;
}

/* What waits, as one frame. */
static enum base_status push(struct pair_sealed *s, bool last, struct base_error *error)
{
    unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    unsigned long long size = 0;
    (void)crypto_secretstream_xchacha20poly1305_push(&s->state, s->sealed, &size, s->plain, s->have, NULL, 0, tag);
    enum base_status status = write_at(s, s->sealed, (size_t)size, place_of(s->size - s->have), error);
    s->have = 0;
    return status;
}

enum base_status pair_sealed_put(struct pair_sealed *s, const void *data, size_t size, struct base_error *error)
{
    const uint8_t *from = data;
    enum base_status status = BASE_OK;
    while (size > 0) {
        if (s->have == FRAME)
            TRY(push(s, false, error));
        size_t now = FRAME - s->have < size ? FRAME - s->have : size;
        memcpy(s->plain + s->have, from, now);
        s->have += now;
        s->size += now;
        from += now;
        size -= now;
    }
out:
    return status;
}

enum base_status pair_sealed_close(struct pair_sealed *s, const uint8_t about[PAIR_SEALED_ABOUT], struct base_error *error)
{
    enum base_status status;
    TRY(push(s, true, error));
    memcpy(s->head, magic, sizeof magic);
    base_store_u32(s->head + AT_STATE, WHOLE);
    memcpy(s->head + AT_ABOUT, about, PAIR_SEALED_ABOUT);
    base_store_u64(s->head + AT_SIZE, s->size);
    tag_of(s->head, s->key, s->head + AT_TAG);
    BASE_FAIL_WRITE("pair.sealed.head");
    TRY(write_at(s, s->head, sizeof s->head, 0, error));
    if (fsync(s->fd) != 0)
        TRY(fail_io(s->path, "cannot be written", error));
    BASE_FAIL_WRITE("pair.sealed.closed");
out:
    return status;
}

enum base_status pair_sealed_place(struct pair_sealed **file, struct base_error *error)
{
    struct pair_sealed *s = *file;
    enum base_status status = BASE_OK;
    if (rename(s->partial, s->path) != 0)
        TRY(fail_io(s->path, "cannot be put in place", error));
    s->placed = true;
    BASE_FAIL_WRITE("pair.sealed.placed");
    status = base_file_sync_folder(s->path, error);
    if (status != BASE_OK)
        (void)unlink(s->path);
out:
    pair_sealed_finish(file);
    return status;
}

/* --- reading --------------------------------------------------------------------------------------------------------------------------- */

/* An open file of this user alone, and its head. */
static enum base_status open_checked(const char *path, int *ret_fd, uint8_t head[PAIR_SEALED_HEAD], uint64_t *ret_size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct stat about;
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_io(path, "cannot be opened", error);
    if (fstat(fd, &about) != 0)
        TRY(fail_io(path, "cannot be looked at", error));
    TRY_THAT(S_ISREG(about.st_mode), error, BASE_ERR_FORMAT, "%s: is not a regular file: remove it", path);
    TRY_THAT(about.st_uid == geteuid() && (about.st_mode & 077) == 0, error, BASE_ERR_MISMATCH,
             "%s: others than this user may read or write it (mode %03o): what it holds may be known; remove it", path, (unsigned)about.st_mode & 0777);
    TRY_THAT(about.st_size >= PAIR_SEALED_HEAD, error, BASE_ERR_FORMAT, "%s: has %lld bytes: it was cut; remove it", path, (long long)about.st_size);
    TRY(read_at(fd, path, head, PAIR_SEALED_HEAD, 0, error));
    TRY_THAT(memcmp(head, magic, sizeof magic) == 0, error, BASE_ERR_FORMAT, "%s: is not a file of material of this version: remove it", path);
    *ret_size = (uint64_t)about.st_size;
    *ret_fd = fd;
    return BASE_OK;
out:
    (void)close(fd);
    return status;
}

static bool is_used(const uint8_t head[PAIR_SEALED_HEAD])
{
    return base_load_u32(head + AT_STATE) != WHOLE;
}

/* Of one that is not used. */
static enum base_status check_head(const char *path, const uint8_t head[PAIR_SEALED_HEAD], uint64_t size, const uint8_t key[PAIR_SEALED_KEY],
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t tag[TAG];
    tag_of(head, key, tag);
    TRY_THAT(sodium_memcmp(tag, head + AT_TAG, TAG) == 0, error, BASE_ERR_FORMAT,
             "%s: its head was edited, or it was written by another party or under another key: remove it", path);
    uint64_t plain = base_load_u64(head + AT_SIZE);
    TRY_THAT(plain <= INT64_MAX / 2 && size == PAIR_SEALED_HEAD + plain + frames_of(plain) * EXTRA, error, BASE_ERR_FORMAT,
             "%s: has %llu bytes, and its head speaks of %llu and the seals over them: it was cut or added to; remove it", path, (unsigned long long)size,
             (unsigned long long)plain);
out:
    return status;
}

enum base_status pair_sealed_look(const char *path, const uint8_t key[PAIR_SEALED_KEY], enum pair_sealed_state *ret, uint8_t ret_about[PAIR_SEALED_ABOUT],
                                  struct base_error *error)
{
    enum base_status status;
    uint8_t head[PAIR_SEALED_HEAD];
    uint64_t size = 0;
    int fd = -1;
    TRY(open_checked(path, &fd, head, &size, error));
    *ret = is_used(head) ? PAIR_SEALED_USED : PAIR_SEALED_WHOLE;
    if (*ret == PAIR_SEALED_WHOLE)
        TRY(check_head(path, head, size, key, error));
    memcpy(ret_about, head + AT_ABOUT, PAIR_SEALED_ABOUT);
out:
    if (fd >= 0)
        (void)close(fd);
    base_wipe(head, sizeof head);
    return status;
}

static enum base_status begin_reading(struct pair_sealed *s, struct base_error *error)
{
    uint8_t derived[crypto_secretstream_xchacha20poly1305_KEYBYTES];
    stream_key(s, derived);
    int bad = crypto_secretstream_xchacha20poly1305_init_pull(&s->state, s->head + AT_START, derived);
    base_wipe(derived, sizeof derived);
    s->at = 0;
    s->have = s->taken = 0;
    return bad == 0 ? BASE_OK : base_fail(error, BASE_ERR_FORMAT, "%s: its head was edited: remove it", s->path);
}

/* The next frame. */
static enum base_status pull(struct pair_sealed *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint64_t left = s->size - s->at;
    size_t size = left < FRAME ? (size_t)left : FRAME;
    unsigned char tag = 0, wanted = left <= FRAME ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    TRY(read_at(s->fd, s->path, s->sealed, size + EXTRA, place_of(s->at), error));
    TRY_THAT(crypto_secretstream_xchacha20poly1305_pull(&s->state, s->plain, NULL, &tag, s->sealed, size + EXTRA, NULL, 0) == 0 && tag == wanted, error,
             BASE_ERR_FORMAT, "%s: was edited behind byte %llu: remove it", s->path, (unsigned long long)s->at);
    s->at += size;
    s->have = size;
    s->taken = 0;
out:
    return status;
}

enum base_status pair_sealed_open(struct pair_sealed **ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], uint8_t ret_about[PAIR_SEALED_ABOUT],
                                  struct base_error *error)
{
    enum base_status status;
    struct pair_sealed *s = NULL;
    uint64_t size = 0;
    TRY(allocate(&s, path, key, error));
    TRY(open_checked(path, &s->fd, s->head, &size, error));
    TRY_THAT(!is_used(s->head), error, BASE_ERR_FORMAT, "%s: was used before: remove it", path);
    TRY(check_head(path, s->head, size, key, error));
    s->size = base_load_u64(s->head + AT_SIZE);
    TRY(begin_reading(s, error));
    do
        TRY(pull(s, error));
    while (s->at < s->size);
    TRY(begin_reading(s, error));
    memcpy(ret_about, s->head + AT_ABOUT, PAIR_SEALED_ABOUT);
    *ret = s;
    s = NULL;
out:
    pair_sealed_finish(&s);
    return status;
}

enum base_status pair_sealed_use(struct pair_sealed *s, struct base_error *error)
{
    enum base_status status;
    uint8_t head[PAIR_SEALED_HEAD] = {0};
    memcpy(head, magic, sizeof magic);
    BASE_FAIL_WRITE("pair.sealed.use");
    TRY(write_at(s, head, sizeof head, 0, error));
    if (fsync(s->fd) != 0)
        TRY(fail_io(s->path, "cannot be marked as used", error));
    s->used = true;
    BASE_FAIL_WRITE("pair.sealed.used");
out:
    return status;
}

enum base_status pair_sealed_get(struct pair_sealed *s, void *ret_data, size_t size, struct base_error *error)
{
    uint8_t *to = ret_data;
    enum base_status status = BASE_OK;
    TRY_THAT(size <= pair_sealed_left(s), error, BASE_ERR_FORMAT, "%s: has %llu bytes left, and %zu are wanted: it is malformed", s->path,
             (unsigned long long)pair_sealed_left(s), size);
    while (size > 0) {
        if (s->taken == s->have)
            TRY(pull(s, error));
        size_t now = s->have - s->taken < size ? s->have - s->taken : size;
        memcpy(to, s->plain + s->taken, now);
        s->taken += now;
        to += now;
        size -= now;
    }
out:
    return status;
}

uint64_t pair_sealed_left(const struct pair_sealed *s)
{
    return s->size - s->at + s->have - s->taken;
}
