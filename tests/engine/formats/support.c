#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/support.h"

#include "base/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void buffer_put(struct buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    if (buffer->capacity - buffer->size < size) {
        buffer->capacity = 2 * buffer->capacity + size;
        buffer->data = realloc(buffer->data, buffer->capacity);
        assert_non_null(buffer->data);
    }
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

void buffer_put_u32(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];
    base_store_u32(bytes, value);
    buffer_put(buffer, bytes, sizeof bytes);
}

void buffer_put_u64(struct buffer *buffer, uint64_t value)
{
    uint8_t bytes[8];
    base_store_u64(bytes, value);
    buffer_put(buffer, bytes, sizeof bytes);
}

void buffer_put_f32(struct buffer *buffer, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    buffer_put_u32(buffer, bits);
}

void buffer_align(struct buffer *buffer, size_t alignment)
{
    while (buffer->size % alignment != 0)
        buffer_put(buffer, "", 1);
}

void buffer_finish(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

int directory_setup(void **state)
{
    char *path = strdup("formats-XXXXXX");
    *state = path;
    return path == NULL || mkdtemp(path) == NULL ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    return remove(path);
}

int directory_teardown(void **state)
{
    int failure = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return failure;
}

void make_path(char ret[TEST_PATH_BYTES], const char *directory, const char *name)
{
    int used = snprintf(ret, TEST_PATH_BYTES, "%s/%s", directory, name);
    assert_true(used > 0 && used < TEST_PATH_BYTES);
}

void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_text(const char *directory, const char *name, const char *text)
{
    char path[TEST_PATH_BYTES];
    make_path(path, directory, name);
    write_file(path, text, strlen(text));
}

void cut_file(const char *path, size_t size)
{
    assert_int_equal(truncate(path, (off_t)size), 0);
}

void check_refused(const char *path, enum base_status want, const char *part)
{
    struct base_error error = {0};
    struct eng_model_file *const untouched = (struct eng_model_file *)&error;
    struct eng_model_file *file = untouched;
    enum base_status status = eng_model_file_open(&file, path, &error);
    if (status != want)
        print_error("status is %s where %s was due (%s): %s\n", base_status_name(status),
                    base_status_name(want), part, error.text);
    assert_int_equal(status, want);
    assert_int_equal(error.code, want);
    assert_ptr_equal(file, untouched);
    check_says(&error, path);
    check_says(&error, part);
}

void check_bytes_refused(const char *directory, const struct buffer *bytes, enum base_status want,
                         const char *part)
{
    char path[TEST_PATH_BYTES];
    make_path(path, directory, "model.bin");
    write_file(path, bytes->data, bytes->size);
    check_refused(path, want, part);
}

void check_cuts_refused(const char *path, size_t size)
{
    while (size-- > 0) {
        cut_file(path, size);
        struct base_error error = {0};
        struct eng_model_file *file = NULL;
        enum base_status status = eng_model_file_open(&file, path, &error);
        if (status != (size == 0 ? BASE_ERR_IO : BASE_ERR_FORMAT))
            print_error("cut to %zu bytes: %s: %s\n", size, base_status_name(status), error.text);
        assert_int_equal(status, size == 0 ? BASE_ERR_IO : BASE_ERR_FORMAT);
        assert_null(file);
        check_says(&error, path);
    }
}

void check_unreadable(const char *path, enum eng_tensor tensor, size_t layer, const char *part)
{
    struct base_error error = {0};
    struct eng_model_file *file = NULL;
    size_t rows, cols;
    check_ok(eng_model_file_open(&file, path, &error), &error);
    eng_tensor_extent(eng_model_file_shape(file), tensor, &rows, &cols);
    float *values = calloc(rows * cols, sizeof *values);
    assert_non_null(values);
    enum base_status status = eng_model_file_read(file, tensor, layer, values, &error);
    free(values);
    eng_model_file_close(&file);
    assert_int_equal(status, BASE_ERR_FORMAT);
    check_says(&error, part);
}
