/* Files as read-only memory, and files that appear whole or not at all. */
#ifndef CACHET_BASE_FILE_H
#define CACHET_BASE_FILE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct base_file {
    const unsigned char *data;
    size_t size;
};

/* Maps a regular file. Errors: BASE_ERR_IO naming the path and the reason. */
BASE_MUST_USE enum base_status base_file_map(struct base_file *ret, const char *path, struct base_error *error);
void base_file_unmap(struct base_file *file);

/* Writes a file of mode 0644 in place of one that may be there: whoever opens `path`, at any time and after a crash,
 * finds the old content or the new one. Errors: BASE_ERR_IO and BASE_ERR_ARGUMENT (too long) naming the path. */
BASE_MUST_USE enum base_status base_file_replace(const char *path, const void *data, size_t size,
                                                 struct base_error *error);

/* Makes it durable that a file was made in its folder, or renamed there. Errors: BASE_ERR_IO; who can go on without need not look. */
enum base_status base_file_sync_folder(const char *path, struct base_error *error);

#endif
