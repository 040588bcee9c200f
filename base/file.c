#include "base/file.h"

#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum base_status fail_io(const char *path, const char *what, struct base_error *error)
{
    return base_fail(error, BASE_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

static enum base_status write_all(int fd, const unsigned char *data, size_t count, const char *path,
                                  struct base_error *error)
{
    for (size_t at = 0; at < count;) {
        ssize_t size = write(fd, data + at, count - at);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return fail_io(path, "cannot be written", error);
        at += (size_t)size;
    }
    return fsync(fd) == 0 ? BASE_OK : fail_io(path, "cannot be written", error);
}

enum base_status base_file_sync_folder(const char *path, struct base_error *error)
{
    char folder[4096];
    enum base_status status = BASE_OK;
    const char *slash = strrchr(path, '/');
    int length = slash == NULL || slash == path ? 1 : (int)(slash - path);
    (void)snprintf(folder, sizeof folder, "%.*s", length, slash == NULL ? "." : path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        status = fail_io(folder, "cannot be written", error);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

enum base_status base_file_map(struct base_file *ret, const char *path, struct base_error *error)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    if (file < 0)
        return base_fail(error, BASE_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0) {
        (void)close(file);
        return base_fail(error, BASE_ERR_IO, "%s: is not a regular file with content", path);
    }
    size_t size = (size_t)about.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file);
    if (data == MAP_FAILED)
        return base_fail(error, BASE_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    *ret = (struct base_file){.data = data, .size = size};
    return BASE_OK;
}

void base_file_unmap(struct base_file *file)
{
    if (file->data != NULL)
        (void)munmap((void *)(uintptr_t)file->data, file->size);
    *file = (struct base_file){0};
}

enum base_status base_file_replace(const char *path, const void *data, size_t size, struct base_error *error)
{
    char temporary[4096];
    enum base_status status = BASE_OK;
    TRY_THAT((size_t)snprintf(temporary, sizeof temporary, "%s.%08x.tmp", path, randombytes_random()) <
                 sizeof temporary,
             error, BASE_ERR_ARGUMENT, "the path %.40s... is too long", path);
    BASE_FAIL_WRITE("base.replace.before");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_io(path, "cannot be created", error);
    status = write_all(fd, data, size, path, error);
    if (close(fd) != 0 && status == BASE_OK)
        status = fail_io(path, "cannot be written", error);
    BASE_FAIL_WRITE("base.replace.written");
    if (status == BASE_OK && rename(temporary, path) != 0)
        status = fail_io(path, "cannot be put in place", error);
    BASE_FAIL_WRITE("base.replace.after");
    if (status != BASE_OK)
        (void)unlink(temporary);
    else
        (void)base_file_sync_folder(path, NULL);
out:
    return status;
}
