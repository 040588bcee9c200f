#include "engine/formats/safetensors.h"

#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 << 20, MAX_TENSORS = 1 << 16, LENGTH_FIELD = 8 };

static const struct {
    const char *name;
    enum eng_dtype dtype;
    size_t size;
} dtypes[] = {{"F32", ENG_DTYPE_F32, 4}, {"F16", ENG_DTYPE_F16, 2}, {"BF16", ENG_DTYPE_BF16, 2}};

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | fraction << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        float value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void eng_dtype_to_float(enum eng_dtype dtype, const unsigned char *data, size_t first, size_t count, float *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (dtype == ENG_DTYPE_F16) {
            ret[i] = half_to_float(base_load_u16(data + 2 * (first + i)));
            continue;
        }
        uint32_t bits = dtype == ENG_DTYPE_F32 ? base_load_u32(data + 4 * (first + i))
                                               : (uint32_t)base_load_u16(data + 2 * (first + i)) << 16;
        memcpy(&ret[i], &bits, sizeof bits);
    }
}

struct parser {
    const char *path;
    const unsigned char *body;
    size_t body_size;
    struct base_error *error;
};

static enum base_status parse_size(json_t *value, size_t *ret)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return BASE_ERR_FORMAT;
    *ret = (size_t)json_integer_value(value);
    return BASE_OK;
}

static enum base_status parse_tensor(const struct parser *p, const char *name, json_t *entry, struct eng_safetensor *ret)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    size_t begin, end, rows = 1, columns = 1, unit = 0, bytes;
    for (size_t i = 0; dtype != NULL && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, dtype) == 0) {
            ret->dtype = dtypes[i].dtype;
            unit = dtypes[i].size;
        }
    if (unit == 0)
        return base_fail(p->error, BASE_ERR_SUPPORT, "%s: tensor %.80s: dtype %.20s: cachet reads F32, F16 and BF16", p->path, name,
                         dtype == NULL ? "missing" : dtype);
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank < 1 || rank > 2 || parse_size(json_array_get(shape, rank - 1), &columns) != BASE_OK ||
        (rank == 2 && parse_size(json_array_get(shape, 0), &rows) != BASE_OK))
        return base_fail(p->error, BASE_ERR_FORMAT, "%s: tensor %.80s: shape must hold one or two sizes", p->path, name);
    if (json_array_size(offsets) != 2 || parse_size(json_array_get(offsets, 0), &begin) != BASE_OK ||
        parse_size(json_array_get(offsets, 1), &end) != BASE_OK || begin > end || end > p->body_size)
        return base_fail(p->error, BASE_ERR_FORMAT, "%s: tensor %.80s: data_offsets leave the file's %zu data bytes", p->path, name, p->body_size);
    if (!base_size_mul(rows, columns, &bytes) || !base_size_mul(bytes, unit, &bytes) || bytes != end - begin)
        return base_fail(p->error, BASE_ERR_FORMAT, "%s: tensor %.80s: %zu x %zu %s values need other than its %zu bytes", p->path, name, rows,
                         columns, dtype, end - begin);
    ret->rows = rows;
    ret->columns = columns;
    ret->data = p->body + begin;
    ret->size = bytes;
    ret->name = strdup(name);
    return ret->name == NULL ? base_fail(p->error, BASE_ERR_MEMORY, "cannot allocate a tensor's name") : BASE_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct eng_safetensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Tensors must tile the data: no overlap, no gap, nothing behind. */
static enum base_status check_tiling(const struct parser *p, struct eng_safetensors *file)
{
    const unsigned char *at = p->body;
    qsort(file->tensor, file->count, sizeof *file->tensor, by_place);
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensor[i].data != at)
            return base_fail(p->error, BASE_ERR_FORMAT, "%s: tensor %.80s at data byte %zu: expected byte %zu (overlap or gap)", p->path,
                             file->tensor[i].name, (size_t)(file->tensor[i].data - p->body), (size_t)(at - p->body));
        at += file->tensor[i].size;
    }
    if (at != p->body + p->body_size)
        return base_fail(p->error, BASE_ERR_FORMAT, "%s: %zu bytes behind the last tensor: the file is not what its header says", p->path,
                         (size_t)(p->body + p->body_size - at));
    return BASE_OK;
}

static enum base_status parse_entries(const struct parser *p, json_t *root, struct eng_safetensors *file)
{
    enum base_status status = BASE_OK;
    const char *name;
    json_t *entry;
    size_t entries = json_object_size(root);
    TRY_THAT(json_is_object(root) && entries >= 1 && entries <= MAX_TENSORS, p->error, BASE_ERR_FORMAT,
             "%s: the header holds %zu entries: must be an object of 1 to %d", p->path, entries, MAX_TENSORS);
    TRY(base_alloc(&file->tensor, entries, sizeof *file->tensor, p->error));
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        TRY(parse_tensor(p, name, entry, &file->tensor[file->count]));
        file->count++;
    }
    TRY(check_tiling(p, file));
out:
    return status;
}

enum base_status eng_safetensors_parse(struct eng_safetensors *ret, const unsigned char *data, size_t size, const char *path,
                                       struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_safetensors file = {0};
    json_t *root = NULL;
    json_error_t where;
    TRY_THAT(size >= LENGTH_FIELD, error, BASE_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, size);
    uint64_t header = base_load_u64(data);
    TRY_THAT(header >= 2 && header <= MAX_HEADER && header <= size - LENGTH_FIELD, error, BASE_ERR_FORMAT,
             "%s: header length %llu: the file has %zu bytes and a header at most %d", path, (unsigned long long)header, size, MAX_HEADER);
    root = json_loadb((const char *)data + LENGTH_FIELD, (size_t)header, JSON_REJECT_DUPLICATES, &where);
    TRY_THAT(root != NULL, error, BASE_ERR_FORMAT, "%s: header byte %d: %s", path, where.position, where.text);
    struct parser p = {path, data + LENGTH_FIELD + header, size - LENGTH_FIELD - (size_t)header, error};
    TRY(parse_entries(&p, root, &file));
    *ret = file;
    file = (struct eng_safetensors){0};
out:
    eng_safetensors_finish(&file);
    json_decref(root);
    return status;
}

void eng_safetensors_finish(struct eng_safetensors *file)
{
    for (size_t i = 0; file->tensor != NULL && i < file->count; i++)
        free(file->tensor[i].name);
    base_free(&file->tensor);
    file->count = 0;
}

const struct eng_safetensor *eng_safetensors_find(const struct eng_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}
