#include "engine/formats/tensor_table.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum base_status eng_tensor_table_init(struct eng_tensor_table *table, const struct eng_model_shape *shape,
                                       const struct eng_naming *naming, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tensor_view *views = NULL;
    TRY(eng_model_shape_check(shape, error));
    TRY(base_alloc(&views, shape->layers * ENG_TENSORS, sizeof *views, error));
    *table = (struct eng_tensor_table){.shape = *shape, .naming = naming, .views = views};
out:
    return status;
}

void eng_tensor_table_finish(struct eng_tensor_table *table)
{
    base_free(&table->views);
}

static struct eng_tensor_view *view_at(const struct eng_tensor_table *table, enum eng_tensor tensor, size_t layer)
{
    if (tensor == ENG_TENSOR_HEAD && table->shape.tied)
        tensor = ENG_TENSOR_EMBEDDING;
    return &table->views[(eng_tensor_has_layer(tensor) ? layer : 0) * ENG_TENSORS + (size_t)tensor];
}

const struct eng_tensor_view *eng_tensor_table_at(const struct eng_tensor_table *table, enum eng_tensor tensor,
                                                  size_t layer)
{
    return view_at(table, tensor, layer);
}

static void write_name(char *ret, size_t capacity, const struct eng_naming *naming, enum eng_tensor tensor,
                       size_t layer)
{
    if (eng_tensor_has_layer(tensor))
        (void)snprintf(ret, capacity, "%s%zu%s", naming->layer_prefix, layer, naming->names[tensor]);
    else
        (void)snprintf(ret, capacity, "%s", naming->names[tensor]);
}

struct eng_printable eng_tensor_table_name(const struct eng_tensor_table *table, enum eng_tensor tensor, size_t layer)
{
    struct eng_printable ret = {0};
    write_name(ret.text, sizeof ret.text, table->naming, tensor, layer);
    return ret;
}

enum base_status eng_tensor_table_put(struct eng_tensor_table *table, enum eng_tensor tensor, size_t layer,
                                      struct eng_tensor_view view, size_t size, struct base_error *error)
{
    struct eng_printable name = eng_tensor_table_name(table, tensor, layer);
    size_t total;
    view.row_bytes = eng_dtype_row_bytes(view.dtype, view.cols);
    if (view.row_bytes == 0)
        return base_fail(error, BASE_ERR_FORMAT, "%s: rows of %zu numbers do not fill whole %s blocks", name.text,
                         view.cols, eng_dtype_name(view.dtype));
    if (!base_size_mul(view.row_bytes, view.rows, &total) || total != size)
        return base_fail(error, BASE_ERR_FORMAT, "%s: has %zu bytes, but %zu x %zu numbers of %s need %zu", name.text,
                         size, view.rows, view.cols, eng_dtype_name(view.dtype), view.row_bytes * view.rows);
    *view_at(table, tensor, layer) = view;
    return BASE_OK;
}

static int compare_names(struct eng_bytes a, struct eng_bytes b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_tensors(const void *a, const void *b)
{
    return compare_names(((const struct eng_named_tensor *)a)->name, ((const struct eng_named_tensor *)b)->name);
}

enum base_status eng_named_tensors_sort(struct eng_named_tensor *tensors, size_t count, struct base_error *error)
{
    if (count > 1)
        qsort(tensors, count, sizeof *tensors, compare_tensors);
    for (size_t i = 1; i < count; i++)
        if (compare_tensors(&tensors[i - 1], &tensors[i]) == 0)
            return base_fail(error, BASE_ERR_FORMAT, "tensor %s is listed twice",
                             eng_printable(tensors[i].name.data, tensors[i].name.size).text);
    return BASE_OK;
}

struct eng_named_tensor *eng_named_tensors_find(struct eng_named_tensor *tensors, size_t count, const char *name)
{
    struct eng_named_tensor key = {.name = {(const uint8_t *)name, strlen(name)}};
    return count == 0 ? NULL : bsearch(&key, tensors, count, sizeof *tensors, compare_tensors);
}

static enum base_status check_dims(const struct eng_named_tensor *tensor, const char *name, size_t rows, size_t cols,
                                   bool vector, struct base_error *error)
{
    if (tensor->rank == (vector ? 1u : 2u) && tensor->dims[0] == rows && (vector || tensor->dims[1] == cols))
        return BASE_OK;
    char found[128] = "a single number";
    size_t used = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%zu", i > 0 ? " x " : "", tensor->dims[i]);
    if (vector)
        return base_fail(error, BASE_ERR_FORMAT, "%s: its shape is %s, but the model's shape asks for %zu", name, found,
                         rows);
    return base_fail(error, BASE_ERR_FORMAT, "%s: its shape is %s, but the model's shape asks for %zu x %zu", name,
                     found, rows, cols);
}

/* Where the outputs of a tensor lie among those of the stored one. */
struct part {
    size_t first, total;
};

static struct part part_of(const struct eng_tensor_table *table, enum eng_tensor tensor, size_t rows)
{
    const struct eng_model_shape *s = &table->shape;
    const size_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    if (table->naming->fused)
        switch (tensor) {
        case ENG_TENSOR_Q:
        case ENG_TENSOR_Q_BIAS:
            return (struct part){0, q + 2 * kv};
        case ENG_TENSOR_K:
        case ENG_TENSOR_K_BIAS:
            return (struct part){q, q + 2 * kv};
        case ENG_TENSOR_V:
        case ENG_TENSOR_V_BIAS:
            return (struct part){q + kv, q + 2 * kv};
        default:
            break;
        }
    return (struct part){0, rows};
}

/* From the view of a whole stored tensor to the tensor that is a part of it. */
static void take_part(struct eng_tensor_view *view, size_t rows, size_t cols, bool transposed, size_t first)
{
    view->bytes += first * (transposed ? eng_dtype_row_bytes(view->dtype, 1) : view->row_bytes);
    view->transposed = transposed;
    view->rows = rows;
    view->cols = cols;
}

static enum base_status fill_one(struct eng_tensor_table *table, enum eng_tensor tensor, size_t layer,
                                 struct eng_named_tensor *found, bool interleaved, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tensor_view view = {.interleaved = interleaved && (tensor == ENG_TENSOR_Q || tensor == ENG_TENSOR_K ||
                                                                  tensor == ENG_TENSOR_Q_BIAS ||
                                                                  tensor == ENG_TENSOR_K_BIAS)};
    struct eng_printable name = eng_tensor_table_name(table, tensor, layer);
    eng_tensor_extent(&table->shape, tensor, &view.rows, &view.cols);
    const bool vector = eng_tensor_is_vector(tensor);
    const bool transposed = table->naming->transposed && eng_tensor_has_layer(tensor) && !vector;
    if (vector) {
        view.rows = view.cols;
        view.cols = 1;
    }
    const struct part part = part_of(table, tensor, view.rows);
    const size_t rows = view.rows, cols = view.cols;
    view.rows = transposed ? cols : part.total;
    view.cols = transposed ? part.total : cols;
    TRY(check_dims(found, name.text, view.rows, view.cols, vector, error));
    TRY_THAT(found->dtype_known, error, BASE_ERR_SUPPORT,
             "%s: is stored as %s; cachet reads F32, F16 and BF16: convert the model",
             name.text, found->dtype_name);
    TRY_THAT((!vector && !transposed) || eng_dtype_row_bytes(found->dtype, 1) > 0, error, BASE_ERR_SUPPORT,
             "%s: is stored as %s; cachet reads vectors as F32, F16 and BF16: convert the model", name.text,
             found->dtype_name);
    view.dtype = found->dtype;
    view.bytes = found->bytes.data;
    TRY(eng_tensor_table_put(table, tensor, layer, view, found->bytes.size, error));
    take_part(view_at(table, tensor, layer), rows, cols, transposed, part.first);
    found->used = true;
out:
    return status;
}

static bool is_ignored(const struct eng_naming *naming, struct eng_bytes name)
{
    for (const char *const *suffix = naming->ignored_suffixes; *suffix != NULL; suffix++) {
        size_t size = strlen(*suffix);
        if (name.size >= size && memcmp(name.data + name.size - size, *suffix, size) == 0)
            return true;
    }
    return false;
}

enum base_status eng_tensor_table_fill(struct eng_tensor_table *table, struct eng_named_tensor *tensors, size_t count,
                                       bool interleaved, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_named_tensors_sort(tensors, count, error));
    for (size_t layer = 0; layer < table->shape.layers; layer++) {
        for (enum eng_tensor tensor = 0; tensor < ENG_TENSORS; tensor++) {
            size_t rows, cols;
            eng_tensor_extent(&table->shape, tensor, &rows, &cols);
            if (rows == 0 || (layer > 0 && !eng_tensor_has_layer(tensor)) ||
                (tensor == ENG_TENSOR_HEAD && table->shape.tied))
                continue;
            char name[128];
            write_name(name, sizeof name, table->naming, tensor, layer);
            struct eng_named_tensor *found = eng_named_tensors_find(tensors, count, name);
            TRY_THAT(found != NULL, error, BASE_ERR_FORMAT, "tensor %s is missing", name);
            TRY(fill_one(table, tensor, layer, found, interleaved, error));
        }
    }
    for (size_t i = 0; i < count; i++)
        TRY_THAT(tensors[i].used || is_ignored(table->naming, tensors[i].name), error, BASE_ERR_SUPPORT,
                 "tensor %s has no place in a %s model of this shape: cachet would compute without it",
                 eng_printable(tensors[i].name.data, tensors[i].name.size).text, table->shape.model_type);
out:
    return status;
}
