/* What the model file tests share: growing buffers, a directory of their own, checks of failures. Include
 * after cmocka's headers. */
#ifndef CACHET_TESTS_ENGINE_FORMATS_SUPPORT_H
#define CACHET_TESTS_ENGINE_FORMATS_SUPPORT_H

#include "base/status.h"
#include "engine/formats/model_file.h"
#include "engine/formats/text.h"
#include "tests/support/failures.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that grow at the end. Zero-initialise. */
struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};
void buffer_put(struct buffer *buffer, const void *bytes, size_t size);
void buffer_put_u32(struct buffer *buffer, uint32_t value);
void buffer_put_u64(struct buffer *buffer, uint64_t value);
void buffer_put_f32(struct buffer *buffer, float value);
void buffer_align(struct buffer *buffer, size_t alignment);
void buffer_finish(struct buffer *buffer);

/* cmocka fixtures: *state becomes a path to a fresh directory, which is removed with all that is in it. */
int directory_setup(void **state);
int directory_teardown(void **state);

enum { TEST_PATH_BYTES = 512 };

/* directory/name in ret; borrowed by nobody. */
void make_path(char ret[TEST_PATH_BYTES], const char *directory, const char *name);
void write_file(const char *path, const void *bytes, size_t size);
void write_text(const char *directory, const char *name, const char *text);
void cut_file(const char *path, size_t size);


/* Opening the model must fail with this status, name the path and say `part`, and leave its output alone. */
void check_refused(const char *path, enum base_status want, const char *part);

/* The same for bytes that are written to a file "model.bin" of the directory. */
void check_bytes_refused(const char *directory, const struct buffer *bytes, enum base_status want,
                         const char *part);

/* Every proper beginning of the file up to `size` bytes must be refused: as malformed, and the empty one as
 * unreadable. */
void check_cuts_refused(const char *path, size_t size);

/* The model opens, but reading this tensor must fail with FORMAT, naming the path-independent `part`. */
void check_unreadable(const char *path, enum eng_tensor tensor, size_t layer, const char *part);

#endif
