#include "engine/formats/gguf.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_ALIGNMENT = 32, MAX_ALIGNMENT = 1 << 20, MAGIC_BYTES = 4 };

/* Bytes of one value; 0 for strings and arrays, whose size is in the file. */
static size_t type_bytes(enum eng_gguf_type type)
{
    static const uint8_t sizes[ENG_GGUF_TYPES] = {
        [ENG_GGUF_U8] = 1,  [ENG_GGUF_I8] = 1,  [ENG_GGUF_BOOL] = 1, [ENG_GGUF_U16] = 2,
        [ENG_GGUF_I16] = 2, [ENG_GGUF_U32] = 4, [ENG_GGUF_I32] = 4,  [ENG_GGUF_F32] = 4,
        [ENG_GGUF_U64] = 8, [ENG_GGUF_I64] = 8, [ENG_GGUF_F64] = 8,
    };
    return sizes[type];
}

/* A place in the file that only moves forward, and never past the end. */
struct cursor {
    struct eng_bytes file;
    size_t at;
    struct base_error *error;
};

static enum base_status take(struct cursor *c, size_t size, const char *what, const uint8_t **ret)
{
    if (size > c->file.size - c->at)
        return base_fail(c->error, BASE_ERR_FORMAT,
                         "offset %zu: %s needs %zu bytes, but %zu remain: the file is truncated", c->at, what,
                         size, c->file.size - c->at);
    *ret = c->file.data + c->at;
    c->at += size;
    return BASE_OK;
}

static enum base_status take_u32(struct cursor *c, const char *what, uint32_t *ret)
{
    const uint8_t *bytes = NULL;
    enum base_status status = take(c, 4, what, &bytes);
    if (status == BASE_OK)
        *ret = base_load_u32(bytes);
    return status;
}

static enum base_status take_u64(struct cursor *c, const char *what, uint64_t *ret)
{
    const uint8_t *bytes = NULL;
    enum base_status status = take(c, 8, what, &bytes);
    if (status == BASE_OK)
        *ret = base_load_u64(bytes);
    return status;
}

static enum base_status take_string(struct cursor *c, const char *what, size_t limit, struct eng_bytes *ret)
{
    enum base_status status = BASE_OK;
    uint64_t size = 0;
    size_t start = c->at;
    TRY(take_u64(c, what, &size));
    TRY_THAT(size <= limit, c->error, BASE_ERR_FORMAT, "offset %zu: %s says %llu bytes; at most %zu are read",
             start, what, (unsigned long long)size, limit);
    TRY(take(c, (size_t)size, what, &ret->data));
    ret->size = (size_t)size;
out:
    return status;
}

static enum base_status take_type(struct cursor *c, const char *what, enum eng_gguf_type *ret)
{
    uint32_t type = 0;
    size_t start = c->at;
    enum base_status status = take_u32(c, what, &type);
    if (status != BASE_OK)
        return status;
    if (type >= ENG_GGUF_TYPES)
        return base_fail(c->error, BASE_ERR_FORMAT, "offset %zu: %s is %u, which GGUF does not define", start,
                         what, type);
    *ret = (enum eng_gguf_type)type;
    return BASE_OK;
}

/* `count` values of one type; strings are walked, so that later readers need no checks. */
static enum base_status take_items(struct cursor *c, enum eng_gguf_type type, size_t count,
                                   struct eng_bytes *ret)
{
    enum base_status status = BASE_OK;
    const uint8_t *start = c->file.data + c->at, *bytes;
    size_t size;
    if (type == ENG_GGUF_STRING) {
        struct eng_bytes text;
        for (size_t i = 0; i < count; i++)
            TRY(take_string(c, "a string value", c->file.size, &text));
    } else {
        TRY_THAT(base_size_mul(count, type_bytes(type), &size), c->error, BASE_ERR_FORMAT,
                 "offset %zu: an array of %zu items overflows the size of memory", c->at, count);
        TRY(take(c, size, "a value", &bytes));
    }
    *ret = (struct eng_bytes){start, (size_t)(c->file.data + c->at - start)};
out:
    return status;
}

static enum base_status take_value(struct cursor *c, struct eng_gguf_value *ret)
{
    enum base_status status = BASE_OK;
    struct eng_gguf_value value = {.count = 1};
    uint64_t count = 0;
    TRY(take_string(c, "a key", ENG_LIMIT_NAME_BYTES, &value.key));
    TRY(take_type(c, "a value type", &value.type));
    if (value.type == ENG_GGUF_ARRAY) {
        size_t start = c->at;
        TRY(take_type(c, "an item type", &value.item_type));
        TRY(take_u64(c, "an array size", &count));
        TRY_THAT(value.item_type != ENG_GGUF_ARRAY, c->error, BASE_ERR_SUPPORT,
                 "offset %zu: %s is an array of arrays; cachet reads flat ones", start,
                 eng_printable(value.key.data, value.key.size).text);
        TRY_THAT(count <= ENG_LIMIT_GGUF_ARRAY_ITEMS, c->error, BASE_ERR_FORMAT,
                 "offset %zu: %s has %llu items; at most %u are read", start,
                 eng_printable(value.key.data, value.key.size).text, (unsigned long long)count,
                 ENG_LIMIT_GGUF_ARRAY_ITEMS);
        value.count = (size_t)count;
        TRY(take_items(c, value.item_type, value.count, &value.bytes));
    } else {
        TRY(take_items(c, value.type, 1, &value.bytes));
    }
    *ret = value;
out:
    return status;
}

static int compare_keys(struct eng_bytes a, struct eng_bytes b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_values(const void *a, const void *b)
{
    return compare_keys(((const struct eng_gguf_value *)a)->key, ((const struct eng_gguf_value *)b)->key);
}

static enum base_status take_values(struct cursor *c, struct eng_gguf *gguf, size_t count)
{
    enum base_status status = BASE_OK;
    TRY(base_alloc(&gguf->values, count, sizeof *gguf->values, c->error));
    for (; gguf->value_count < count; gguf->value_count++)
        TRY(take_value(c, &gguf->values[gguf->value_count]));
    if (count > 1)
        qsort(gguf->values, count, sizeof *gguf->values, compare_values);
    for (size_t i = 1; i < count; i++)
        TRY_THAT(compare_values(&gguf->values[i - 1], &gguf->values[i]) != 0, c->error, BASE_ERR_FORMAT,
                 "key %s is given twice",
                 eng_printable(gguf->values[i].key.data, gguf->values[i].key.size).text);
out:
    return status;
}

/* Stored types by GGUF number: those that cachet reads, and names for the error about the others. */
static enum base_status name_dtype(uint32_t type, struct eng_named_tensor *tensor, struct base_error *error)
{
    static const struct {
        uint32_t type;
        enum eng_dtype dtype; /* ENG_DTYPE_COUNT: not read */
        const char *name;
    } types[] = {
        {0, ENG_DTYPE_F32, "F32"},       {1, ENG_DTYPE_F16, "F16"},       {2, ENG_DTYPE_Q4_0, "Q4_0"},
        {3, ENG_DTYPE_Q4_1, "Q4_1"},     {6, ENG_DTYPE_COUNT, "Q5_0"},    {7, ENG_DTYPE_COUNT, "Q5_1"},
        {8, ENG_DTYPE_Q8_0, "Q8_0"},     {10, ENG_DTYPE_COUNT, "Q2_K"},   {11, ENG_DTYPE_COUNT, "Q3_K"},
        {12, ENG_DTYPE_COUNT, "Q4_K"},   {13, ENG_DTYPE_COUNT, "Q5_K"},   {14, ENG_DTYPE_COUNT, "Q6_K"},
        {20, ENG_DTYPE_COUNT, "IQ4_NL"}, {23, ENG_DTYPE_COUNT, "IQ4_XS"}, {24, ENG_DTYPE_COUNT, "I8"},
        {26, ENG_DTYPE_COUNT, "I32"},    {28, ENG_DTYPE_COUNT, "F64"},    {30, ENG_DTYPE_BF16, "BF16"}};
    const char *name = "an unknown type";
    enum eng_dtype dtype = ENG_DTYPE_COUNT;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].type == type) {
            name = types[i].name;
            dtype = types[i].dtype;
        }
    }
    if (dtype == ENG_DTYPE_COUNT)
        return base_fail(
            error, BASE_ERR_SUPPORT,
            "tensor %s: is stored as %s (type %u); cachet reads F32, F16, BF16, Q8_0, Q4_0, Q4_1: quantize "
            "the model to one of those",
            eng_printable(tensor->name.data, tensor->name.size).text, name, type);
    tensor->dtype = dtype;
    tensor->dtype_name = name;
    tensor->dtype_known = true;
    return BASE_OK;
}

/* Dimensions come fastest first; ours go slowest first. */
static enum base_status take_dims(struct cursor *c, struct eng_named_tensor *tensor)
{
    enum base_status status = BASE_OK;
    uint32_t rank = 0;
    struct eng_printable name = eng_printable(tensor->name.data, tensor->name.size);
    TRY(take_u32(c, "a tensor's rank", &rank));
    TRY_THAT(rank >= 1 && rank <= 4, c->error, BASE_ERR_FORMAT,
             "tensor %s: has %u dimensions; 1 to 4 are read", name.text, rank);
    tensor->rank = rank;
    for (size_t i = 0; i < rank; i++) {
        uint64_t extent = 0;
        TRY(take_u64(c, "a tensor's extent", &extent));
        TRY_THAT(extent >= 1 && extent <= SIZE_MAX / 2, c->error, BASE_ERR_FORMAT,
                 "tensor %s: an extent is %llu", name.text, (unsigned long long)extent);
        tensor->dims[rank - 1 - i] = (size_t)extent;
    }
out:
    return status;
}

/* One entry of the tensor list; its offset waits in bytes.size until the place of the data is known. */
static enum base_status take_tensor(struct cursor *c, struct eng_named_tensor *ret)
{
    enum base_status status = BASE_OK;
    struct eng_named_tensor tensor = {0};
    uint32_t type = 0;
    uint64_t offset = 0;
    TRY(take_string(c, "a tensor name", ENG_LIMIT_NAME_BYTES, &tensor.name));
    TRY(take_dims(c, &tensor));
    TRY(take_u32(c, "a tensor's type", &type));
    TRY(name_dtype(type, &tensor, c->error));
    TRY(take_u64(c, "a tensor's offset", &offset));
    tensor.bytes.size = (size_t)offset;
    *ret = tensor;
out:
    return status;
}

static enum base_status tensor_bytes(const struct eng_named_tensor *tensor, size_t *ret,
                                     struct base_error *error)
{
    size_t size = eng_dtype_row_bytes(tensor->dtype, tensor->dims[tensor->rank - 1]);
    bool sound = size > 0;
    for (size_t i = 0; i + 1 < tensor->rank; i++)
        sound = sound && base_size_mul(size, tensor->dims[i], &size);
    *ret = size;
    return sound ? BASE_OK
                 : base_fail(error, BASE_ERR_FORMAT,
                             "tensor %s: its shape fills no whole %s blocks or overflows",
                             eng_printable(tensor->name.data, tensor->name.size).text, tensor->dtype_name);
}

static size_t align_up(size_t value, size_t alignment)
{
    return value + (alignment - value % alignment) % alignment;
}

static int compare_offsets(const void *a, const void *b)
{
    size_t x = ((const struct eng_named_tensor *)a)->bytes.size,
           y = ((const struct eng_named_tensor *)b)->bytes.size;
    return (x > y) - (x < y);
}

/* In order of offset, each tensor begins at the first aligned byte behind the one before; the file ends with
 * the last. */
static enum base_status place_tensors(struct eng_gguf *gguf, struct eng_bytes data, size_t alignment,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t expected = 0, end = 0, size = 0;
    if (gguf->tensor_count > 1)
        qsort(gguf->tensors, gguf->tensor_count, sizeof *gguf->tensors, compare_offsets);
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        struct eng_named_tensor *tensor = &gguf->tensors[i];
        struct eng_printable name = eng_printable(tensor->name.data, tensor->name.size);
        size_t offset = tensor->bytes.size;
        TRY_THAT(offset % alignment == 0, error, BASE_ERR_FORMAT,
                 "tensor %s: data offset %zu is no multiple of %zu", name.text, offset, alignment);
        TRY_THAT(offset == expected, error, BASE_ERR_FORMAT,
                 "tensor %s: begins at data byte %zu instead of %zu (%s)", name.text, offset, expected,
                 offset < expected ? "overlap" : "gap");
        TRY(tensor_bytes(tensor, &size, error));
        TRY_THAT(offset <= data.size && size <= data.size - offset, error, BASE_ERR_FORMAT,
                 "tensor %s: needs %zu bytes at data byte %zu, but the data has %zu: the file is truncated",
                 name.text, size, offset, data.size);
        tensor->bytes = (struct eng_bytes){data.data + offset, size};
        end = offset + size;
        expected = align_up(end, alignment);
    }
    TRY_THAT(data.size <= expected, error, BASE_ERR_FORMAT, "%zu bytes follow the last tensor",
             data.size - end);
out:
    return status;
}

bool eng_gguf_matches(struct eng_bytes file)
{
    return file.size >= MAGIC_BYTES && memcmp(file.data, "GGUF", MAGIC_BYTES) == 0;
}

static enum base_status take_header(struct cursor *c, size_t *ret_values, size_t *ret_tensors)
{
    enum base_status status = BASE_OK;
    uint32_t version = 0;
    uint64_t tensors = 0, values = 0;
    TRY_THAT(eng_gguf_matches(c->file), c->error, BASE_ERR_FORMAT,
             "offset 0: the file does not begin with GGUF");
    c->at = MAGIC_BYTES;
    TRY(take_u32(c, "the version", &version));
    TRY_THAT(version == 2 || version == 3, c->error, BASE_ERR_SUPPORT,
             "version is %u%s; cachet reads little-endian GGUF 2 and 3: convert the model again", version,
             version != 0 && (version & 0xffff) == 0 ? " (a big-endian file)" : "");
    TRY(take_u64(c, "the number of tensors", &tensors));
    TRY(take_u64(c, "the number of keys", &values));
    TRY_THAT(tensors <= ENG_LIMIT_TENSORS && values <= ENG_LIMIT_GGUF_KEYS, c->error, BASE_ERR_FORMAT,
             "lists %llu tensors and %llu keys; at most %u and %u are read", (unsigned long long)tensors,
             (unsigned long long)values, ENG_LIMIT_TENSORS, ENG_LIMIT_GGUF_KEYS);
    /* The shortest key takes 13 bytes and the shortest tensor 32: more cannot be there. */
    TRY_THAT(tensors * 32 + values * 13 <= c->file.size, c->error, BASE_ERR_FORMAT,
             "lists %llu tensors and %llu keys, more than its %zu bytes can hold",
             (unsigned long long)tensors, (unsigned long long)values, c->file.size);
    *ret_values = (size_t)values;
    *ret_tensors = (size_t)tensors;
out:
    return status;
}

enum base_status eng_gguf_parse(struct eng_gguf *ret, struct eng_bytes file, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_gguf gguf = {0};
    struct cursor c = {.file = file, .error = error};
    size_t values = 0, tensors = 0, alignment = 0;
    TRY(take_header(&c, &values, &tensors));
    TRY(take_values(&c, &gguf, values));
    TRY(eng_gguf_size(&gguf, "general.alignment",
                      (struct eng_size_range){1, MAX_ALIGNMENT, DEFAULT_ALIGNMENT}, &alignment, error));
    TRY_THAT(alignment % 8 == 0, error, BASE_ERR_FORMAT,
             "general.alignment is %zu; it must be a multiple of 8", alignment);
    TRY(base_alloc(&gguf.tensors, tensors, sizeof *gguf.tensors, error));
    for (; gguf.tensor_count < tensors; gguf.tensor_count++)
        TRY(take_tensor(&c, &gguf.tensors[gguf.tensor_count]));
    size_t start = align_up(c.at, alignment);
    struct eng_bytes data = {file.data + file.size, 0};
    if (start < file.size)
        data = (struct eng_bytes){file.data + start, file.size - start};
    TRY(place_tensors(&gguf, data, alignment, error));
    *ret = gguf;
    gguf = (struct eng_gguf){0};
out:
    eng_gguf_finish(&gguf);
    return status;
}

void eng_gguf_finish(struct eng_gguf *gguf)
{
    base_free(&gguf->values);
    base_free(&gguf->tensors);
    *gguf = (struct eng_gguf){0};
}

const struct eng_gguf_value *eng_gguf_find(const struct eng_gguf *gguf, const char *key)
{
    struct eng_gguf_value sought = {.key = {(const uint8_t *)key, strlen(key)}};
    if (gguf->value_count == 0)
        return NULL;
    return bsearch(&sought, gguf->values, gguf->value_count, sizeof *gguf->values, compare_values);
}
