#include "engine/formats/model_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "engine/formats/hf_config.h"
#include "engine/formats/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SHARDS = 1024, PATH_SIZE = 4096 };

struct eng_model_file {
    char path[PATH_SIZE];
    struct eng_model_shape shape;
    size_t shards;
    struct base_file *file;
    struct eng_safetensors *part;
};

static const char *const tensor_names[ENG_TENSORS] = {
    "model.embed_tokens.weight",
    "model.layers.%zu.input_layernorm.weight",
    "model.layers.%zu.self_attn.q_proj.weight",
    "model.layers.%zu.self_attn.k_proj.weight",
    "model.layers.%zu.self_attn.v_proj.weight",
    "model.layers.%zu.self_attn.o_proj.weight",
    "model.layers.%zu.post_attention_layernorm.weight",
    "model.layers.%zu.mlp.gate_proj.weight",
    "model.layers.%zu.mlp.up_proj.weight",
    "model.layers.%zu.mlp.down_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
};

static enum base_status open_shard(struct eng_model_file *m, const char *name, struct base_error *error)
{
    char path[PATH_SIZE + 300];
    (void)snprintf(path, sizeof path, "%s/%s", m->path, name);
    size_t i = m->shards++;
    enum base_status status = base_file_map(&m->file[i], path, error);
    if (status != BASE_OK)
        return status;
    return eng_safetensors_parse(&m->part[i], m->file[i].data, m->file[i].size, path, error);
}

static bool already_open(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* model.safetensors.index.json: weight_map names the shard of every tensor. */
static enum base_status open_index(struct eng_model_file *m, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *key, *names[MAX_SHARDS];
    size_t count = 0;
    json_t *value;
    json_error_t where;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &where), *map = json_object_get(root, "weight_map");
    TRY_THAT(json_is_object(map), error, BASE_ERR_FORMAT, "%s: line %d: no \"weight_map\" object", path, where.line);
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        TRY_THAT(name != NULL && strchr(name, '/') == NULL && strlen(name) < 256, error, BASE_ERR_FORMAT,
                 "%s: \"%.80s\" must name a file in the same directory", path, key);
        if (already_open(names, count, name))
            continue;
        TRY_THAT(count < MAX_SHARDS, error, BASE_ERR_SUPPORT, "%s: more than %d shards", path, MAX_SHARDS);
        names[count++] = name;
        TRY(open_shard(m, name, error));
    }
out:
    json_decref(root);
    return status;
}

static enum base_status open_directory(struct eng_model_file *m, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file config = {0};
    char path[PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/config.json", m->path);
    TRY(base_file_map(&config, path, error));
    TRY(eng_hf_config_parse((const char *)config.data, config.size, path, &m->shape, error));
    TRY(base_alloc(&m->file, MAX_SHARDS, sizeof *m->file, error));
    TRY(base_alloc(&m->part, MAX_SHARDS, sizeof *m->part, error));
    (void)snprintf(path, sizeof path, "%s/model.safetensors.index.json", m->path);
    if (access(path, F_OK) == 0)
        TRY(open_index(m, path, error));
    else
        TRY(open_shard(m, "model.safetensors", error));
out:
    base_file_unmap(&config);
    return status;
}

static enum base_status find_tensor(struct eng_model_file *m, enum eng_tensor tensor, size_t layer, const struct eng_safetensor **ret,
                                    struct base_error *error)
{
    char name[128];
    size_t rows, columns;
    const struct eng_safetensor *found = NULL;
    if (tensor == ENG_TENSOR_HEAD && m->shape.tied)
        tensor = ENG_TENSOR_EMBEDDING;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(name, sizeof name, tensor_names[tensor], layer);
#pragma GCC diagnostic pop
    for (size_t i = 0; i < m->shards; i++) {
        const struct eng_safetensor *here = eng_safetensors_find(&m->part[i], name);
        if (here != NULL && found != NULL)
            return base_fail(error, BASE_ERR_FORMAT, "%s: tensor %s is in two shards", m->path, name);
        found = here != NULL ? here : found;
    }
    eng_tensor_extent(&m->shape, tensor, &rows, &columns);
    if (found == NULL)
        return base_fail(error, BASE_ERR_FORMAT, "%s: tensor %s is missing: is the model complete?", m->path, name);
    if (found->rows != rows || found->columns != columns)
        return base_fail(error, BASE_ERR_FORMAT, "%s: tensor %s is %zu x %zu, config.json asks for %zu x %zu", m->path, name, found->rows,
                         found->columns, rows, columns);
    *ret = found;
    return BASE_OK;
}

static bool has_layer(enum eng_tensor tensor)
{
    return tensor >= ENG_TENSOR_ATTENTION_NORM && tensor <= ENG_TENSOR_DOWN;
}

static enum base_status find_all(struct eng_model_file *m, struct base_error *error)
{
    const struct eng_safetensor *found;
    for (int t = 0; t < ENG_TENSORS; t++)
        for (size_t l = 0; l < (has_layer((enum eng_tensor)t) ? m->shape.layers : 1); l++) {
            enum base_status status = find_tensor(m, (enum eng_tensor)t, l, &found, error);
            if (status != BASE_OK)
                return status;
        }
    return BASE_OK;
}

enum base_status eng_model_file_open(struct eng_model_file **ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_file *m = NULL;
    struct stat about;
    TRY_THAT(stat(path, &about) == 0, error, BASE_ERR_IO, "%s: no such model", path);
    TRY_THAT(S_ISDIR(about.st_mode) && strlen(path) < PATH_SIZE, error, BASE_ERR_SUPPORT,
             "%s: is not a Hugging Face directory with config.json and safetensors", path);
    TRY(base_alloc(&m, 1, sizeof *m, error));
    (void)snprintf(m->path, sizeof m->path, "%s", path);
    TRY(open_directory(m, error));
    TRY(find_all(m, error));
    *ret = m;
    m = NULL;
out:
    eng_model_file_close(&m);
    return status;
}

void eng_model_file_close(struct eng_model_file **file)
{
    if (*file == NULL)
        return;
    for (size_t i = 0; (*file)->part != NULL && i < (*file)->shards; i++) {
        eng_safetensors_finish(&(*file)->part[i]);
        base_file_unmap(&(*file)->file[i]);
    }
    base_free(&(*file)->file);
    base_free(&(*file)->part);
    base_free(file);
}

const struct eng_model_shape *eng_model_file_shape(const struct eng_model_file *file)
{
    return &file->shape;
}

enum base_status eng_model_file_read(struct eng_model_file *file, enum eng_tensor tensor, size_t layer, float *ret,
                                     struct base_error *error)
{
    const struct eng_safetensor *found;
    enum base_status status = find_tensor(file, tensor, layer, &found, error);
    if (status != BASE_OK)
        return status;
    size_t count = found->rows * found->columns;
    eng_dtype_to_float(found->dtype, found->data, 0, count, ret);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(ret[i]))
            return base_fail(error, BASE_ERR_FORMAT, "%s: tensor %s: value %zu is not finite", file->path, found->name, i);
    return BASE_OK;
}

enum base_status eng_model_file_digest(struct eng_model_file *file, uint8_t ret[32], struct base_error *error)
{
    enum base_status status = BASE_OK;
    crypto_hash_sha256_state state;
    float *values = NULL;
    size_t rows, columns, largest = 0;
    char head[256];
    const struct eng_model_shape *s = &file->shape;
    for (int t = 0; t < ENG_TENSORS; t++) {
        eng_tensor_extent(s, (enum eng_tensor)t, &rows, &columns);
        largest = rows * columns > largest ? rows * columns : largest;
    }
    TRY(base_alloc(&values, largest, sizeof *values, error));
    (void)snprintf(head, sizeof head, "%zu %zu %zu %zu %zu %zu %zu %a %a", s->layers, s->width, s->heads, s->kv_heads, s->head_dim, s->ffn,
                   s->vocab, s->rope_theta, s->norm_eps);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)head, strlen(head));
    for (int t = 0; t < ENG_TENSORS; t++)
        for (size_t l = 0; l < (has_layer((enum eng_tensor)t) ? s->layers : 1); l++) {
            TRY(eng_model_file_read(file, (enum eng_tensor)t, l, values, error));
            eng_tensor_extent(s, (enum eng_tensor)t, &rows, &columns);
            crypto_hash_sha256_update(&state, (const unsigned char *)values, rows * columns * sizeof *values);
        }
    crypto_hash_sha256_final(&state, ret);
out:
    base_free(&values);
    return status;
}
