#include "engine/formats/gguf.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

static enum base_status refuse_type(const char *key, const struct eng_gguf_value *value, const char *wanted,
                                    struct base_error *error)
{
    return base_fail(error, BASE_ERR_FORMAT, "%s has value type %d; it must be %s", key, (int)value->type,
                     wanted);
}

/* A whole number of any width; false for other types and negative numbers. */
static bool load_whole(const struct eng_gguf_value *value, uint64_t *ret)
{
    const uint8_t *bytes = value->bytes.data;
    int64_t number = -1;
    switch (value->type) {
    case ENG_GGUF_U8:
        number = bytes[0];
        break;
    case ENG_GGUF_I8:
        number = (int8_t)bytes[0];
        break;
    case ENG_GGUF_U16:
        number = base_load_u16(bytes);
        break;
    case ENG_GGUF_I16:
        number = (int16_t)base_load_u16(bytes);
        break;
    case ENG_GGUF_U32:
        number = base_load_u32(bytes);
        break;
    case ENG_GGUF_I32:
        number = (int32_t)base_load_u32(bytes);
        break;
    case ENG_GGUF_U64:
    case ENG_GGUF_I64:
        number = (int64_t)base_load_u64(bytes);
        break;
    default:
        break;
    }
    *ret = (uint64_t)number;
    return number >= 0;
}

enum base_status eng_gguf_size(const struct eng_gguf *gguf, const char *key, struct eng_size_range range,
                               size_t *ret, struct base_error *error)
{
    const struct eng_gguf_value *value = eng_gguf_find(gguf, key);
    uint64_t number = 0;
    if (value == NULL && range.fallback == SIZE_MAX)
        return base_fail(error, BASE_ERR_FORMAT, "key %s is missing", key);
    if (value == NULL) {
        *ret = range.fallback;
        return BASE_OK;
    }
    if (!load_whole(value, &number))
        return refuse_type(key, value, "a whole number that is not negative", error);
    if (number < range.minimum || number > range.maximum)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %llu; it must be from %zu to %zu", key,
                         (unsigned long long)number, range.minimum, range.maximum);
    *ret = (size_t)number;
    return BASE_OK;
}

enum base_status eng_gguf_positive(const struct eng_gguf *gguf, const char *key, double fallback, double *ret,
                                   struct base_error *error)
{
    const struct eng_gguf_value *value = eng_gguf_find(gguf, key);
    double number = fallback;
    if (value == NULL && fallback <= 0)
        return base_fail(error, BASE_ERR_FORMAT, "key %s is missing", key);
    if (value != NULL && value->type == ENG_GGUF_F32) {
        float single;
        eng_dequant_row(ENG_DTYPE_F32, value->bytes.data, 1, &single);
        number = single;
    } else if (value != NULL && value->type == ENG_GGUF_F64) {
        uint64_t bits = base_load_u64(value->bytes.data);
        memcpy(&number, &bits, sizeof number);
    } else if (value != NULL) {
        return refuse_type(key, value, "a real number", error);
    }
    if (!isfinite(number) || number <= 0)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %g; it must be a finite number above 0", key, number);
    *ret = number;
    return BASE_OK;
}

enum base_status eng_gguf_bool(const struct eng_gguf *gguf, const char *key, bool fallback, bool *ret,
                               struct base_error *error)
{
    const struct eng_gguf_value *value = eng_gguf_find(gguf, key);
    if (value == NULL) {
        *ret = fallback;
        return BASE_OK;
    }
    if (value->type != ENG_GGUF_BOOL || value->bytes.data[0] > 1)
        return refuse_type(key, value, "a flag of 0 or 1", error);
    *ret = value->bytes.data[0] == 1;
    return BASE_OK;
}

enum base_status eng_gguf_string(const struct eng_gguf *gguf, const char *key, struct eng_bytes *ret,
                                 struct base_error *error)
{
    const struct eng_gguf_value *value = eng_gguf_find(gguf, key);
    if (value == NULL) {
        *ret = (struct eng_bytes){0};
        return BASE_OK;
    }
    if (value->type != ENG_GGUF_STRING)
        return refuse_type(key, value, "a string", error);
    struct eng_bytes rest = value->bytes;
    *ret = eng_gguf_next_string(&rest);
    return BASE_OK;
}

enum base_status eng_gguf_array(const struct eng_gguf *gguf, const char *key, enum eng_gguf_type item_type,
                                const struct eng_gguf_value **ret, struct base_error *error)
{
    const struct eng_gguf_value *value = eng_gguf_find(gguf, key);
    if (value != NULL && (value->type != ENG_GGUF_ARRAY || value->item_type != item_type))
        return refuse_type(key, value, "an array of the type that the specification gives", error);
    *ret = value;
    return BASE_OK;
}

struct eng_bytes eng_gguf_next_string(struct eng_bytes *rest)
{
    struct eng_bytes text = {rest->data + 8, (size_t)base_load_u64(rest->data)};
    *rest = (struct eng_bytes){text.data + text.size, rest->size - 8 - text.size};
    return text;
}
