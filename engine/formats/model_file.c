#include "engine/formats/model_file.h"

#include "base/memory.h"
#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_dir.h"
#include "engine/formats/limits.h"
#include "engine/formats/llama2c.h"
#include "engine/formats/tensor_table.h"

#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct eng_model_file {
    struct eng_mapped_model mapped;
};

/* What a single-file format needs to be recognised and read. */
struct format {
    bool (*matches)(struct eng_bytes file);
    enum base_status (*load)(struct eng_tensor_table *ret, struct eng_bytes file, struct base_error *error);
};

/* A header size that the format allows: no llama2.c header begins so, its second number would be 0. */
static bool is_safetensors(struct eng_bytes file)
{
    return file.size > 8 && base_load_u64(file.data) <= ENG_LIMIT_SAFETENSORS_HEADER_BYTES && file.data[8] == '{';
}

static enum base_status refuse_safetensors(struct eng_tensor_table *ret, struct eng_bytes file,
                                           struct base_error *error)
{
    return base_fail(error, BASE_ERR_ARGUMENT,
                     "is a bare safetensors file: give the directory that holds it and its config.json");
}

static enum base_status refuse_unknown(struct eng_tensor_table *ret, struct eng_bytes file, struct base_error *error)
{
    return base_fail(error, BASE_ERR_FORMAT,
                     "is no model file that cachet knows: give a Hugging Face directory, a .gguf file or a llama2.c .bin file");
}

static bool matches_anything(struct eng_bytes file)
{
    return true;
}

static const struct format *find_format(struct eng_bytes file)
{
    static const struct format formats[] = {
        {eng_gguf_matches, eng_gguf_load},
        {is_safetensors, refuse_safetensors},
        {eng_llama2c_matches, eng_llama2c_load},
        {matches_anything, refuse_unknown},
    };
    size_t i = 0;
    while (!formats[i].matches(file))
        i++;
    return &formats[i];
}

static enum base_status load_single(struct eng_mapped_model *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(base_alloc(&ret->maps, 1, sizeof *ret->maps, error));
    TRY(base_file_map(&ret->maps[0], path, error));
    ret->map_count = 1;
    status = find_format(eng_bytes_of(&ret->maps[0]))->load(&ret->table, eng_bytes_of(&ret->maps[0]), error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
out:
    return status;
}

enum base_status eng_model_file_open(struct eng_model_file **ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_file *file = NULL;
    struct stat info;
    TRY_THAT(stat(path, &info) == 0, error, BASE_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    TRY_THAT(S_ISDIR(info.st_mode) || S_ISREG(info.st_mode), error, BASE_ERR_IO, "%s: is neither a file nor a directory",
             path);
    TRY(base_alloc(&file, 1, sizeof *file, error));
    if (S_ISDIR(info.st_mode))
        TRY(eng_hf_dir_load(&file->mapped, path, error));
    else
        TRY(load_single(&file->mapped, path, error));
    *ret = file;
    file = NULL;
out:
    eng_model_file_close(&file);
    return status;
}

void eng_model_file_close(struct eng_model_file **file)
{
    if (*file == NULL)
        return;
    eng_tensor_table_finish(&(*file)->mapped.table);
    for (size_t i = 0; i < (*file)->mapped.map_count; i++)
        base_file_unmap(&(*file)->mapped.maps[i]);
    base_free(&(*file)->mapped.maps);
    base_free(file);
}

const struct eng_model_shape *eng_model_file_shape(const struct eng_model_file *file)
{
    return &file->mapped.table.shape;
}

/* Where row `row` of the rotate-half order lies in a file that keeps pairs together: feature i < head_dim / 2 comes
 * from row 2 i of its head, feature i + head_dim / 2 from row 2 i + 1. */
static size_t stored_row(size_t row, size_t head_dim)
{
    size_t head = row / head_dim, feature = row % head_dim, half = head_dim / 2;
    return head * head_dim + (feature < half ? 2 * feature : 2 * (feature - half) + 1);
}

static enum base_status read_row(const struct eng_tensor_view *view, size_t row, size_t head_dim, float *ret)
{
    size_t source = view->interleaved ? stored_row(row, head_dim) : row;
    eng_dequant_row(view->dtype, view->bytes + source * view->row_bytes, view->cols, ret);
    for (size_t c = 0; c < view->cols; c++)
        if (!isfinite(ret[c]))
            return BASE_ERR_FORMAT;
    return BASE_OK;
}

/* A vector is kept as rows of one number, but people see one row. */
static enum base_status name_bad_weight(const char *name, bool vector, size_t row, const float *values,
                                        struct base_error *error)
{
    size_t c = 0;
    while (isfinite(values[c]))
        c++;
    return base_fail(error, BASE_ERR_FORMAT,
                     "%s: weight [%zu][%zu] is not a finite number: the file is damaged or "
                     "training diverged",
                     name, vector ? 0 : row, vector ? row : c);
}

/* Columns of the stored matrix: of every stored row the numbers of these outputs. */
static enum base_status read_turned(const struct eng_tensor_view *view, const char *name,
                                    struct eng_row_range range, float *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    float *row = NULL;
    const size_t before = range.first_row * eng_dtype_row_bytes(view->dtype, 1);
    TRY(base_alloc(&row, range.rows + 1, sizeof *row, error));
    for (size_t c = 0; c < view->cols; c++) {
        eng_dequant_row(view->dtype, view->bytes + c * view->row_bytes + before, range.rows, row);
        for (size_t r = 0; r < range.rows; r++) {
            ret[r * view->cols + c] = row[r];
            if (isfinite(row[r]))
                continue;
            status = name_bad_weight(name, false, range.first_row + r, ret + r * view->cols, error);
            goto out;
        }
    }
out:
    base_free_secret(&row);
    return status;
}

enum base_status eng_model_file_read_rows(const struct eng_model_file *file, enum eng_tensor tensor, size_t layer,
                                          struct eng_row_range range, float *ret, struct base_error *error)
{
    const struct eng_tensor_table *table = &file->mapped.table;
    size_t rows, cols;
    if ((unsigned)tensor >= ENG_TENSORS || (eng_tensor_has_layer(tensor) && layer >= table->shape.layers))
        return base_fail(error, BASE_ERR_ARGUMENT, "tensor %d of layer %zu: the model has %zu layers", (int)tensor,
                         layer, table->shape.layers);
    const struct eng_tensor_view *view = eng_tensor_table_at(table, tensor, layer);
    struct eng_printable name = eng_tensor_table_name(table, tensor, layer);
    eng_tensor_extent(&table->shape, tensor, &rows, &cols);
    if (view->bytes == NULL)
        return base_fail(error, BASE_ERR_ARGUMENT, "%s: this model has no such tensor", name.text);
    if (range.first_row > rows || range.rows > rows - range.first_row)
        return base_fail(error, BASE_ERR_ARGUMENT, "%s: has %zu rows; %zu from row %zu were asked for", name.text, rows,
                         range.rows, range.first_row);
    if (view->transposed)
        return read_turned(view, name.text, range, ret, error);
    size_t stored_rows_per_row = view->rows / rows;
    size_t first = range.first_row * stored_rows_per_row, count = range.rows * stored_rows_per_row;
    for (size_t r = 0; r < count; r++) {
        float *out = ret + r * view->cols;
        if (read_row(view, first + r, table->shape.head_dim, out) != BASE_OK)
            return name_bad_weight(name.text, view->rows != rows, first + r, out, error);
    }
    return BASE_OK;
}

enum base_status eng_model_file_read(const struct eng_model_file *file, enum eng_tensor tensor, size_t layer,
                                     float *ret, struct base_error *error)
{
    size_t rows = 0, cols = 0;
    if ((unsigned)tensor < ENG_TENSORS)
        eng_tensor_extent(&file->mapped.table.shape, tensor, &rows, &cols);
    return eng_model_file_read_rows(file, tensor, layer, (struct eng_row_range){0, rows}, ret, error);
}

static bool hash_shape(EVP_MD_CTX *hash, const struct eng_model_shape *s)
{
    char text[1024];
    int used = snprintf(text, sizeof text,
                        "cachet model 1\n%s\nlayers %zu width %zu heads %zu kv %zu head %zu ffn %zu vocab %zu context %zu\n"
                        "rope %.17g %d %.17g %.17g %.17g %.17g\neps %.17g tied %d bias %d activation %d\nbos %d eos",
                        s->model_type, s->layers, s->width, s->heads, s->kv_heads, s->head_dim, s->ffn, s->vocab,
                        s->context, s->rope_theta, (int)s->rope_scaling.kind, s->rope_scaling.factor,
                        s->rope_scaling.low_freq_factor, s->rope_scaling.high_freq_factor,
                        s->rope_scaling.original_context, s->norm_eps, s->tied, s->qkv_bias,
                        (int)s->activation, (int)s->bos);
    if (s->linear_bias || s->layer_norm || s->positions)
        used += snprintf(text + used, sizeof text - (size_t)used, " biases %d layernorm %d positions %d",
                         s->linear_bias, s->layer_norm, s->positions);
    for (size_t i = 0; i < s->eos_count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %d", (int)s->eos[i]);
    return EVP_DigestUpdate(hash, text, (size_t)used) == 1;
}

static bool hash_tensor(EVP_MD_CTX *hash, const struct eng_tensor_view *view, enum eng_tensor tensor, size_t layer)
{
    char text[128];
    int used = snprintf(text, sizeof text, "\ntensor %d layer %zu: %s, %zu x %zu, %s\n", (int)tensor, layer,
                        eng_dtype_name(view->dtype), view->rows, view->cols,
                        view->transposed    ? "columns"
                        : view->interleaved ? "pairs"
                                            : "halves");
    bool sound = EVP_DigestUpdate(hash, text, (size_t)used) == 1;
    if (!view->transposed)
        return sound && EVP_DigestUpdate(hash, view->bytes, view->rows * view->row_bytes) == 1;
    for (size_t c = 0; c < view->cols; c++)
        sound = sound && EVP_DigestUpdate(hash, view->bytes + c * view->row_bytes,
                                          eng_dtype_row_bytes(view->dtype, view->rows)) == 1;
    return sound;
}

enum base_status eng_model_file_digest(const struct eng_model_file *file, uint8_t ret[ENG_DIGEST_BYTES],
                                       struct base_error *error)
{
    const struct eng_tensor_table *table = &file->mapped.table;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool sound = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && hash_shape(hash, &table->shape);
    for (size_t layer = 0; layer < table->shape.layers; layer++) {
        for (enum eng_tensor tensor = 0; tensor < ENG_TENSORS; tensor++) {
            const struct eng_tensor_view *view = eng_tensor_table_at(table, tensor, layer);
            if (view->bytes != NULL && (layer == 0 || eng_tensor_has_layer(tensor)))
                sound = sound && hash_tensor(hash, view, tensor, layer);
        }
    }
    sound = sound && EVP_DigestFinal_ex(hash, ret, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return sound ? BASE_OK : base_fail(error, BASE_ERR_INTERNAL, "OpenSSL cannot compute a SHA-256");
}
