#include "engine/formats/safetensors.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#include <stdlib.h>
#include <string.h>

struct stored_type {
    const char *name;
    size_t bytes;
    bool known; /* cachet computes with it */
    enum eng_dtype dtype;
};

static const struct stored_type *find_type(const char *name)
{
    static const struct stored_type types[] = {
        {"F32", 4, true, ENG_DTYPE_F32}, {"F16", 2, true, ENG_DTYPE_F16}, {"BF16", 2, true, ENG_DTYPE_BF16},
        {"F64", 8, false, 0},            {"I64", 8, false, 0},            {"U64", 8, false, 0},
        {"I32", 4, false, 0},            {"U32", 4, false, 0},            {"I16", 2, false, 0},
        {"U16", 2, false, 0},            {"I8", 1, false, 0},             {"U8", 1, false, 0},
        {"BOOL", 1, false, 0},           {"F8_E4M3", 1, false, 0},        {"F8_E5M2", 1, false, 0},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

/* A JSON array of exactly `count` whole numbers >= 0. */
static bool read_sizes(const json_t *array, size_t count, size_t *ret)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return false;
        ret[i] = (size_t)json_integer_value(item);
    }
    return true;
}

static enum base_status parse_dims(struct eng_named_tensor *tensor, const json_t *entry, const char *name,
                                   size_t item_bytes, size_t *ret_size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *shape = json_object_get(entry, "shape");
    size_t size = item_bytes;
    tensor->rank = json_array_size(shape);
    TRY_THAT(tensor->rank <= 4, error, BASE_ERR_FORMAT, "tensor %s: shape has %zu dimensions; at most 4 are read", name,
             tensor->rank);
    TRY_THAT(read_sizes(shape, tensor->rank, tensor->dims), error, BASE_ERR_FORMAT,
             "tensor %s: shape is not a list of whole numbers", name);
    for (size_t i = 0; i < tensor->rank; i++)
        TRY_THAT(base_size_mul(size, tensor->dims[i], &size), error, BASE_ERR_FORMAT,
                 "tensor %s: shape overflows the size of memory", name);
    *ret_size = size;
out:
    return status;
}

static enum base_status parse_entry(struct eng_named_tensor *ret, const char *name, const json_t *entry,
                                    struct eng_bytes data, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_named_tensor tensor = {.name = {(const uint8_t *)name, strlen(name)}};
    struct eng_printable shown = eng_printable_string(name);
    size_t offsets[2] = {0}, size = 0;
    const char *type_name = json_string_value(json_object_get(entry, "dtype"));
    TRY_THAT(tensor.name.size > 0 && tensor.name.size <= ENG_LIMIT_NAME_BYTES, error, BASE_ERR_FORMAT,
             "a tensor name has %zu bytes; 1 to %u are read", tensor.name.size, ENG_LIMIT_NAME_BYTES);
    TRY_THAT(json_is_object(entry) && json_object_size(entry) == 3, error, BASE_ERR_FORMAT,
             "tensor %s: its entry must be an object of dtype, shape and data_offsets", shown.text);
    const struct stored_type *type = type_name == NULL ? NULL : find_type(type_name);
    TRY_THAT(type != NULL, error, BASE_ERR_FORMAT, "tensor %s: dtype is %s, which safetensors does not define",
             shown.text, eng_json_show(json_object_get(entry, "dtype")).text);
    TRY(parse_dims(&tensor, entry, shown.text, type->bytes, &size, error));
    TRY_THAT(read_sizes(json_object_get(entry, "data_offsets"), 2, offsets), error, BASE_ERR_FORMAT,
             "tensor %s: data_offsets is not a pair of whole numbers", shown.text);
    TRY_THAT(offsets[0] <= offsets[1] && offsets[1] <= data.size, error, BASE_ERR_FORMAT,
             "tensor %s: data_offsets [%zu, %zu] leave the %zu bytes of data: the file is truncated or wrong", shown.text,
             offsets[0], offsets[1], data.size);
    TRY_THAT(offsets[1] - offsets[0] == size, error, BASE_ERR_FORMAT,
             "tensor %s: data_offsets span %zu bytes, but dtype and shape need %zu", shown.text,
             offsets[1] - offsets[0], size);
    tensor.dtype_name = type->name;
    tensor.dtype_known = type->known;
    tensor.dtype = type->dtype;
    tensor.bytes = (struct eng_bytes){data.data + offsets[0], size};
    *ret = tensor;
out:
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct eng_bytes x = ((const struct eng_named_tensor *)a)->bytes;
    const struct eng_bytes y = ((const struct eng_named_tensor *)b)->bytes;
    if (x.data != y.data)
        return x.data < y.data ? -1 : 1;
    return (x.size > y.size) - (x.size < y.size);
}

/* In file order the tensors must tile the data exactly. */
static enum base_status check_tiling(struct eng_named_tensor *tensors, size_t count, struct eng_bytes data,
                                     struct base_error *error)
{
    if (count > 1)
        qsort(tensors, count, sizeof *tensors, compare_places);
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        size_t begin = (size_t)(tensors[i].bytes.data - data.data);
        if (begin != expected)
            return base_fail(error, BASE_ERR_FORMAT, "tensor %s: begins at data byte %zu, but the one before ends at %zu (%s)",
                             eng_printable(tensors[i].name.data, tensors[i].name.size).text, begin, expected,
                             begin < expected ? "overlap" : "gap");
        expected = begin + tensors[i].bytes.size;
    }
    if (expected != data.size)
        return base_fail(error, BASE_ERR_FORMAT, "%zu bytes follow the last tensor", data.size - expected);
    return BASE_OK;
}

static enum base_status check_metadata(const json_t *metadata, struct base_error *error)
{
    const char *key;
    json_t *value;
    if (metadata != NULL && !json_is_object(metadata))
        return base_fail(error, BASE_ERR_FORMAT, "__metadata__ is not an object");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return base_fail(error, BASE_ERR_FORMAT, "__metadata__.%s is not a string", eng_printable_string(key).text);
    }
    return BASE_OK;
}

static enum base_status parse_header(json_t **ret, struct eng_bytes file, struct eng_bytes *ret_data,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *header = NULL;
    TRY_THAT(file.size >= 8, error, BASE_ERR_FORMAT, "has %zu bytes, too few for a safetensors header", file.size);
    uint64_t size = base_load_u64(file.data);
    TRY_THAT(size <= ENG_LIMIT_SAFETENSORS_HEADER_BYTES, error, BASE_ERR_FORMAT,
             "offset 0: the header size is %llu, above the limit of %u: this is no safetensors file",
             (unsigned long long)size, ENG_LIMIT_SAFETENSORS_HEADER_BYTES);
    TRY_THAT(size <= file.size - 8, error, BASE_ERR_FORMAT,
             "offset 0: the header size is %llu, but only %zu bytes follow: the file is truncated",
             (unsigned long long)size, file.size - 8);
    struct eng_bytes text = {file.data + 8, (size_t)size};
    TRY_THAT(size > 0 && text.data[0] == '{', error, BASE_ERR_FORMAT, "offset 8: the header does not begin with {");
    TRY(eng_json_parse(&header, text, error));
    TRY_THAT(json_is_object(header), error, BASE_ERR_FORMAT, "offset 8: the header is not an object");
    *ret_data = (struct eng_bytes){text.data + text.size, file.size - 8 - text.size};
    *ret = header;
    header = NULL;
out:
    json_decref(header);
    return status;
}

enum base_status eng_safetensors_parse(struct eng_safetensors *ret, struct eng_bytes file, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_safetensors parsed = {0};
    struct eng_bytes data = {0};
    const char *key;
    json_t *value;
    TRY(parse_header(&parsed.header, file, &data, error));
    TRY(check_metadata(json_object_get(parsed.header, "__metadata__"), error));
    size_t entries = json_object_size(parsed.header);
    TRY_THAT(entries <= ENG_LIMIT_TENSORS, error, BASE_ERR_FORMAT, "lists %zu tensors; at most %u are read", entries,
             ENG_LIMIT_TENSORS);
    TRY(base_alloc(&parsed.tensors, entries, sizeof *parsed.tensors, error));
    json_object_foreach(parsed.header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        TRY(parse_entry(&parsed.tensors[parsed.count], key, value, data, error));
        parsed.count++;
    }
    TRY(check_tiling(parsed.tensors, parsed.count, data, error));
    *ret = parsed;
    parsed = (struct eng_safetensors){0};
out:
    eng_safetensors_finish(&parsed);
    return status;
}

void eng_safetensors_finish(struct eng_safetensors *file)
{
    base_free(&file->tensors);
    json_decref(file->header);
    *file = (struct eng_safetensors){0};
}
