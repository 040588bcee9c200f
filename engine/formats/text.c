#include "engine/formats/text.h"

#include "engine/formats/json_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum base_status eng_file_map(struct base_file *ret, const char *path, size_t limit, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    TRY(base_file_map(&file, path, error));
    TRY_THAT(file.size <= limit, error, BASE_ERR_SUPPORT, "%s: has %zu bytes; cachet reads up to %zu", path, file.size,
             limit);
    *ret = file;
    file = (struct base_file){0};
out:
    base_file_unmap(&file);
    return status;
}

enum base_status eng_path_join(char *ret, size_t capacity, const char *directory, const char *name,
                               struct base_error *error)
{
    int used = snprintf(ret, capacity, "%s/%s", directory, name);
    if (used < 0 || (size_t)used >= capacity)
        return base_fail(error, BASE_ERR_ARGUMENT, "the path to %s is longer than %zu bytes", name, capacity);
    return BASE_OK;
}

struct eng_printable eng_printable(const void *bytes, size_t size)
{
    struct eng_printable ret = {0};
    const unsigned char *source = bytes;
    const size_t capacity = sizeof ret.text - 4;
    size_t count = size < capacity ? size : capacity;
    for (size_t i = 0; i < count; i++)
        ret.text[i] = source[i] >= 0x20 && source[i] < 0x7f ? (char)source[i] : '?';
    if (size > capacity)
        memcpy(ret.text + count, "...", 3);
    return ret;
}

struct eng_printable eng_printable_string(const char *string)
{
    return eng_printable(string, strlen(string));
}

bool eng_bytes_equal(struct eng_bytes bytes, const char *string)
{
    return bytes.size == strlen(string) && memcmp(bytes.data, string, bytes.size) == 0;
}

static enum base_status parse_json(json_t **ret, struct eng_bytes bytes, size_t flags, struct base_error *error)
{
    json_error_t trouble;
    json_t *root = eng_json_read(bytes.data, bytes.size, flags | JSON_REJECT_DUPLICATES, &trouble);
    if (root == NULL && eng_json_lacks_memory())
        return base_fail(error, BASE_ERR_MEMORY, "%zu bytes of JSON are more than there is memory for", bytes.size);
    if (root == NULL)
        return base_fail(error, BASE_ERR_FORMAT, "is not valid JSON: line %d, column %d: %s", trouble.line,
                         trouble.column, eng_printable_string(trouble.text).text);
    *ret = root;
    return BASE_OK;
}

enum base_status eng_json_parse(json_t **ret, struct eng_bytes bytes, struct base_error *error)
{
    return parse_json(ret, bytes, 0, error);
}

enum base_status eng_json_parse_reals(json_t **ret, struct eng_bytes bytes, struct base_error *error)
{
    return parse_json(ret, bytes, JSON_DECODE_INT_AS_REAL, error);
}

struct eng_printable eng_json_show(const json_t *value)
{
    struct eng_printable ret = {0};
    if (json_is_object(value))
        return eng_printable_string("{...}");
    if (json_is_array(value))
        return eng_printable_string("[...]");
    char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (text != NULL)
        ret = eng_printable_string(text);
    else
        ret = eng_printable_string("nothing");
    free(text);
    return ret;
}

enum base_status eng_json_size(const json_t *object, const char *field, struct eng_size_range range, size_t *ret,
                               struct base_error *error)
{
    const json_t *value = json_object_get(object, field);
    if (value == NULL || json_is_null(value)) {
        if (range.fallback == SIZE_MAX)
            return base_fail(error, BASE_ERR_FORMAT, "%s is missing", field);
        *ret = range.fallback;
        return BASE_OK;
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < range.minimum || (uint64_t)number > range.maximum)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s; it must be a whole number from %zu to %zu", field,
                         eng_json_show(value).text, range.minimum, range.maximum);
    *ret = (size_t)number;
    return BASE_OK;
}

enum base_status eng_json_positive(const json_t *object, const char *field, double fallback, double *ret,
                                   struct base_error *error)
{
    const json_t *value = json_object_get(object, field);
    if (value == NULL || json_is_null(value)) {
        if (fallback <= 0)
            return base_fail(error, BASE_ERR_FORMAT, "%s is missing", field);
        *ret = fallback;
        return BASE_OK;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number) || number <= 0)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s; it must be a number above 0", field,
                         eng_json_show(value).text);
    *ret = number;
    return BASE_OK;
}

enum base_status eng_json_bool(const json_t *object, const char *field, bool fallback, bool *ret,
                               struct base_error *error)
{
    const json_t *value = json_object_get(object, field);
    if (value == NULL || json_is_null(value)) {
        *ret = fallback;
        return BASE_OK;
    }
    if (!json_is_boolean(value))
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s; it must be true or false", field,
                         eng_json_show(value).text);
    *ret = json_is_true(value);
    return BASE_OK;
}

enum base_status eng_json_string(const json_t *object, const char *field, const char *fallback, const char **ret,
                                 struct base_error *error)
{
    const json_t *value = json_object_get(object, field);
    if (value == NULL || json_is_null(value)) {
        *ret = fallback;
        return BASE_OK;
    }
    if (!json_is_string(value))
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s; it must be a string", field, eng_json_show(value).text);
    *ret = json_string_value(value);
    return BASE_OK;
}

static bool is_sequence(const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    return type != NULL && strcmp(type, "Sequence") == 0;
}

size_t eng_json_stages(const json_t *json, const char *list)
{
    return is_sequence(json) ? json_array_size(json_object_get(json, list)) : 1;
}

const json_t *eng_json_stage(const json_t *json, const char *list, size_t index)
{
    return is_sequence(json) ? json_array_get(json_object_get(json, list), index) : json;
}
