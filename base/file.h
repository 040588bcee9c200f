/* Files as read-only memory. */
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

#endif
