/* Files and directories of a share set: private to engine/. Every error names the path and the reason. */
#ifndef CACHET_ENGINE_SHARE_FILES_H
#define CACHET_ENGINE_SHARE_FILES_H

#include "base/progress.h"
#include "base/status.h"
#include "engine/shape_file.h"

enum { ENG_PATH_MAX = 4096 };

/* Errors: BASE_ERR_ARGUMENT when the path is too long. */
__attribute__((format(printf, 3, 4))) BASE_MUST_USE enum base_status
eng_path_print(char ret[ENG_PATH_MAX], struct base_error *error, const char *format, ...);
BASE_MUST_USE enum base_status eng_make_directory(const char *path, struct base_error *error);
/* A new directory, STEM-XXXXXX, where TMPDIR says. */
BASE_MUST_USE enum base_status eng_make_temporary(char ret[ENG_PATH_MAX], const char *stem, struct base_error *error);
BASE_MUST_USE enum base_status eng_rename(const char *from, const char *to, struct base_error *error);
/* Best effort. */
void eng_remove_tree(const char *path);

/* A new file of a known size, mapped for writing, its space reserved (mode 0600: it holds shares). */
struct eng_out_file {
    unsigned char *data;
    size_t size;
    int fd;
};
BASE_MUST_USE enum base_status eng_out_file_open(struct eng_out_file *ret, const char *path, size_t size,
                                                 struct base_error *error);
/* Writes it out and closes it. */
BASE_MUST_USE enum base_status eng_out_file_close(struct eng_out_file *file, struct base_error *error);
/* Closes without a promise; accepts a zeroed or closed file. */
void eng_out_file_discard(struct eng_out_file *file);

BASE_MUST_USE enum base_status eng_sha256_hex(const void *data, size_t size, char ret[65],
                                              struct base_error *error);
BASE_MUST_USE enum base_status eng_sha256_hex_watched(const void *data, size_t size, char ret[65],
                                                      struct base_progress *progress,
                                                      struct base_error *error);
BASE_MUST_USE enum base_status eng_json_load(const char *path, json_t **ret, struct base_error *error);

/* Copies what the tokenizer of a model directory, or a tokenizer file, consists of. */
BASE_MUST_USE enum base_status eng_copy_tokenizer(const char *from, const char *directory,
                                                  struct base_error *error);

#endif
