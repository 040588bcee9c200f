#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
