#include "parties/api/api_read.h"

#include "base/memory.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct api_path api_path(const char *format, ...)
{
    struct api_path path;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(path.text, sizeof path.text, format, arguments);
    va_end(arguments);
    return path;
}

/* The type of a value, or the number that it is: never a string's text. */
static struct api_path show(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) == 0 ? api_path("an empty object") : api_path("an object");
    case JSON_ARRAY:
        return json_array_size(value) == 0 ? api_path("an empty array")
                                           : api_path("an array of %zu", json_array_size(value));
    case JSON_STRING:
        return json_string_length(value) == 0 ? api_path("an empty string") : api_path("a string");
    case JSON_INTEGER:
        return api_path("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return api_path("%.12g", json_real_value(value));
    case JSON_TRUE:
        return api_path("true");
    case JSON_FALSE:
        return api_path("false");
    default:
        return api_path("null");
    }
}

enum base_status api_refuse(const struct api_reader *reader, const char *path, const json_t *value, const char *allowed)
{
    return api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, path, "invalid_value", "%s is %s; allowed: %s",
                    path, show(value).text, allowed);
}

enum base_status api_refuse_unknown(const struct api_reader *reader, const char *path, const char *key,
                                    const char *known)
{
    char clean[48];
    size_t size = base_text_clean(clean, sizeof clean, key, strlen(key));
    const struct api_path full =
        api_path("%s%s%s%s", path, path[0] == '\0' ? "" : ".", clean, size < strlen(key) ? "..." : "");
    return api_fail(reader->error, BASE_ERR_SUPPORT, API_FAULT_REQUEST, full.text, "unknown_parameter",
                    "%s is not supported; supported here: %s", full.text, known);
}

enum base_status api_refuse_missing(const struct api_reader *reader, const char *path, const char *needed)
{
    return api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, path, "missing_required_parameter",
                    "%s is missing; needed: %s", path, needed);
}

enum base_status api_refuse_memory(const struct api_reader *reader, const struct base_error *error)
{
    api_error_from_base(reader->error, error);
    return BASE_ERR_MEMORY;
}

enum base_status api_read_bool(const struct api_reader *reader, const char *path, const json_t *value, bool *ret)
{
    if (!json_is_boolean(value))
        return api_refuse(reader, path, value, "true or false");
    *ret = json_is_true(value);
    return BASE_OK;
}

enum base_status api_read_size(const struct api_reader *reader, const char *path, const json_t *value, size_t minimum,
                               size_t maximum, size_t *ret)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uintmax_t)number < minimum || (uintmax_t)number > maximum)
        return api_refuse(reader, path, value, api_path("a whole number, %zu to %zu", minimum, maximum).text);
    *ret = (size_t)number;
    return BASE_OK;
}

enum base_status api_read_text(const struct api_reader *reader, const json_t *value, char **ret, size_t *ret_size)
{
    struct base_error error = {0};
    const size_t size = json_string_length(value);
    char *copy = NULL;
    if (base_alloc(&copy, size + 1, 1, &error) != BASE_OK)
        return api_refuse_memory(reader, &error);
    memcpy(copy, json_string_value(value), size);
    *ret = copy;
    *ret_size = size;
    return BASE_OK;
}
