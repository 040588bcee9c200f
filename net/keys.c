#include "net/keys.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define FILE_FORMAT "cachet key 1\npublic %s\nsecret %s\n"

enum {
    PUBLIC_AT = 13 + 7, /* where the keys stand in the file */
    SECRET_AT = PUBLIC_AT + 40 + 1 + 7,
    FILE_SIZE = SECRET_AT + 40 + 1,
};

enum base_status net_key_generate(struct net_key *ret, struct base_error *error)
{
    struct net_key key = {0};
    enum base_status status = base_alloc_locked(&key.secret, NET_KEY_BYTES, error);
    if (status != BASE_OK)
        return status;
    (void)crypto_box_keypair(key.public_key, key.secret);
    *ret = key;
    return BASE_OK;
}

void net_key_finish(struct net_key *key)
{
    base_free_locked(&key->secret);
    base_wipe(key, sizeof *key);
}

void net_key_write_text(const uint8_t public_key[NET_KEY_BYTES], char ret_text[NET_KEY_TEXT])
{
    (void)zmq_z85_encode(ret_text, public_key, NET_KEY_BYTES);
}

/* libzmq's decoder trusts its input more than a key file deserves, so every character is looked at first. */
static int decode(const char *text, uint8_t ret_key[NET_KEY_BYTES])
{
    static const char alphabet[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    if (strlen(text) != NET_KEY_TEXT - 1 || strspn(text, alphabet) != NET_KEY_TEXT - 1)
        return 0;
    return zmq_z85_decode(ret_key, text) != NULL;
}

enum base_status net_key_parse_text(const char *text, uint8_t ret_public_key[NET_KEY_BYTES],
                                    struct base_error *error)
{
    uint8_t key[NET_KEY_BYTES];
    char shown[64];
    if (!decode(text, key)) {
        base_text_clean(shown, sizeof shown, text, strlen(text));
        return base_fail(error, BASE_ERR_FORMAT,
                         "\"%s\" is not a public key: expected the 40 characters that keygen prints", shown);
    }
    memcpy(ret_public_key, key, sizeof key);
    return BASE_OK;
}

static enum base_status fail_io(const char *path, const char *what, struct base_error *error)
{
    return base_fail(error, BASE_ERR_IO, "key file %s: %s: %s", path, what, strerror(errno));
}

/* Puts the finished file in place unless there is one. Not every file system can do that in one step; there a
 * file that appears in the same instant would be lost. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat info;
    if (lstat(to, &info) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

static enum base_status write_file(int fd, const char *text, const char *path, struct base_error *error)
{
    size_t at = 0;
    while (at < FILE_SIZE) {
        ssize_t size = write(fd, text + at, FILE_SIZE - at);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return fail_io(path, "cannot write", error);
        at += (size_t)size;
    }
    /* The mode was asked for at creation; an unusual umask must not have the last word. */
    if (fchmod(fd, 0600) != 0 || fsync(fd) != 0)
        return fail_io(path, "cannot write", error);
    return BASE_OK;
}

enum base_status net_key_save(const struct net_key *key, const char *path, struct base_error *error)
{
    char temporary[4096], public_text[NET_KEY_TEXT], secret_text[NET_KEY_TEXT], text[FILE_SIZE + 1];
    enum base_status status;
    int fd = -1;
    TRY_THAT((size_t)snprintf(temporary, sizeof temporary, "%s.%08x.tmp", path, randombytes_random()) <
                 sizeof temporary,
             error, BASE_ERR_ARGUMENT, "the path of the key file is too long");
    (void)zmq_z85_encode(public_text, key->public_key, NET_KEY_BYTES);
    (void)zmq_z85_encode(secret_text, key->secret, NET_KEY_BYTES);
    (void)snprintf(text, sizeof text, FILE_FORMAT, public_text, secret_text);
    BASE_FAIL_WRITE("net.key.before");
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        status = fail_io(path, "cannot create", error);
        goto out;
    }
    status = write_file(fd, text, path, error);
    if (close(fd) != 0 && status == BASE_OK)
        status = fail_io(path, "cannot write", error);
    BASE_FAIL_WRITE("net.key.written");
    if (status == BASE_OK && rename_new(temporary, path) != 0)
        status = errno == EEXIST ? base_fail(error, BASE_ERR_IO,
                                             "key file %s exists: a key is never overwritten; move it away "
                                             "or choose another name",
                                             path)
                                 : fail_io(path, "cannot put in place", error);
    BASE_FAIL_WRITE("net.key.after");
    if (status != BASE_OK)
        (void)unlink(temporary);
    else
        (void)base_file_sync_folder(path, NULL);
out:
    base_wipe(secret_text, sizeof secret_text);
    base_wipe(text, sizeof text);
    return status;
}

/* Opens without following links and checks who may read. */
static enum base_status open_checked(const char *path, int *ret_fd, struct base_error *error)
{
    struct stat info;
    enum base_status status = BASE_OK;
    /* Non-blocking, so that a pipe in its place cannot hang the program. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return base_fail(error, BASE_ERR_IO, "key file %s is a link: give the path of the file itself", path);
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = fail_io(path, "cannot open", error);
        goto out;
    }
    TRY_THAT(S_ISREG(info.st_mode), error, BASE_ERR_IO, "key file %s is not a regular file", path);
    TRY_THAT(info.st_uid == geteuid(), error, BASE_ERR_IO,
             "key file %s belongs to user %u, expected %u: chown it", path, (unsigned)info.st_uid,
             (unsigned)geteuid());
    TRY_THAT((info.st_mode & 077) == 0, error, BASE_ERR_IO,
             "key file %s has mode %04o, expected 0600: others may read it; chmod it, and make a new key if "
             "they did",
             path, (unsigned)info.st_mode & 07777);
    *ret_fd = fd;
    return BASE_OK;
out:
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* Checks the text of a key file and takes the keys out of it. */
static enum base_status parse_file(const char *text, size_t size, const char *path, struct net_key *key,
                                   struct base_error *error)
{
    char public_text[NET_KEY_TEXT] = "", secret_text[NET_KEY_TEXT] = "", again[FILE_SIZE + 1] = "";
    uint8_t derived[NET_KEY_BYTES];
    enum base_status status = BASE_OK;
    TRY_THAT(size == FILE_SIZE, error, BASE_ERR_FORMAT, "key file %s has %zu bytes%s, expected %d", path,
             size, size > FILE_SIZE ? " or more" : "", FILE_SIZE);
    memcpy(public_text, text + PUBLIC_AT, NET_KEY_TEXT - 1);
    memcpy(secret_text, text + SECRET_AT, NET_KEY_TEXT - 1);
    (void)snprintf(again, sizeof again, FILE_FORMAT, public_text, secret_text);
    TRY_THAT(memcmp(text, again, FILE_SIZE) == 0, error, BASE_ERR_FORMAT,
             "key file %s is not a cachet key file, or was edited", path);
    TRY_THAT(decode(public_text, key->public_key), error, BASE_ERR_FORMAT,
             "key file %s: the public key is malformed", path);
    TRY_THAT(decode(secret_text, key->secret), error, BASE_ERR_FORMAT,
             "key file %s: the secret key is malformed", path);
    TRY_THAT(crypto_scalarmult_base(derived, key->secret) == 0 &&
                 memcmp(derived, key->public_key, sizeof derived) == 0,
             error, BASE_ERR_FORMAT, "key file %s: its two keys do not belong together", path);
out:
    base_wipe(secret_text, sizeof secret_text);
    base_wipe(again, sizeof again);
    return status;
}

enum base_status net_key_load(struct net_key *ret, const char *path, struct base_error *error)
{
    struct net_key key = {0};
    char text[FILE_SIZE + 1];
    size_t size = 0;
    int fd = -1;
    enum base_status status;
    TRY(base_alloc_locked(&key.secret, NET_KEY_BYTES, error));
    TRY(open_checked(path, &fd, error));
    while (size < sizeof text) {
        ssize_t got = read(fd, text + size, sizeof text - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = fail_io(path, "cannot read", error);
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    if (status == BASE_OK)
        status = parse_file(text, size, path, &key, error);
    if (status != BASE_OK)
        goto out;
    *ret = key;
    key.secret = NULL;
out:
    if (fd >= 0)
        (void)close(fd);
    base_wipe(text, sizeof text);
    net_key_finish(&key);
    return status;
}
