#include "engine/formats/hf_dir.h"

#include "base/memory.h"
#include "base/text.h"
#include "engine/formats/hf_config.h"
#include "engine/formats/limits.h"
#include "engine/formats/safetensors.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

const struct eng_naming eng_hf_naming = {
    .layer_prefix = "model.layers.",
    .names = {[ENG_TENSOR_EMBEDDING] = "model.embed_tokens.weight",
              [ENG_TENSOR_FINAL_NORM] = "model.norm.weight",
              [ENG_TENSOR_HEAD] = "lm_head.weight",
              [ENG_TENSOR_ATTENTION_NORM] = ".input_layernorm.weight",
              [ENG_TENSOR_Q] = ".self_attn.q_proj.weight",
              [ENG_TENSOR_K] = ".self_attn.k_proj.weight",
              [ENG_TENSOR_V] = ".self_attn.v_proj.weight",
              [ENG_TENSOR_O] = ".self_attn.o_proj.weight",
              [ENG_TENSOR_Q_BIAS] = ".self_attn.q_proj.bias",
              [ENG_TENSOR_K_BIAS] = ".self_attn.k_proj.bias",
              [ENG_TENSOR_V_BIAS] = ".self_attn.v_proj.bias",
              [ENG_TENSOR_MLP_NORM] = ".post_attention_layernorm.weight",
              [ENG_TENSOR_GATE] = ".mlp.gate_proj.weight",
              [ENG_TENSOR_UP] = ".mlp.up_proj.weight",
              [ENG_TENSOR_DOWN] = ".mlp.down_proj.weight"},
    .ignored_suffixes = {".rotary_emb.inv_freq", NULL},
};

/* Q, K and V are columns of one matrix. Old files hold the causal mask, too. */
#define GPT2_NAMES(prefix)                                                                                   \
    {                                                                                                        \
        .layer_prefix = prefix "h.",                                                                         \
        .names = {[ENG_TENSOR_EMBEDDING] = prefix "wte.weight",                                              \
                  [ENG_TENSOR_POSITION] = prefix "wpe.weight",                                               \
                  [ENG_TENSOR_FINAL_NORM] = prefix "ln_f.weight",                                            \
                  [ENG_TENSOR_FINAL_NORM_BIAS] = prefix "ln_f.bias",                                         \
                  [ENG_TENSOR_HEAD] = "lm_head.weight",                                                      \
                  [ENG_TENSOR_ATTENTION_NORM] = ".ln_1.weight",                                              \
                  [ENG_TENSOR_ATTENTION_NORM_BIAS] = ".ln_1.bias",                                           \
                  [ENG_TENSOR_Q] = ".attn.c_attn.weight",                                                    \
                  [ENG_TENSOR_K] = ".attn.c_attn.weight",                                                    \
                  [ENG_TENSOR_V] = ".attn.c_attn.weight",                                                    \
                  [ENG_TENSOR_Q_BIAS] = ".attn.c_attn.bias",                                                 \
                  [ENG_TENSOR_K_BIAS] = ".attn.c_attn.bias",                                                 \
                  [ENG_TENSOR_V_BIAS] = ".attn.c_attn.bias",                                                 \
                  [ENG_TENSOR_O] = ".attn.c_proj.weight",                                                    \
                  [ENG_TENSOR_O_BIAS] = ".attn.c_proj.bias",                                                 \
                  [ENG_TENSOR_MLP_NORM] = ".ln_2.weight",                                                    \
                  [ENG_TENSOR_MLP_NORM_BIAS] = ".ln_2.bias",                                                 \
                  [ENG_TENSOR_UP] = ".mlp.c_fc.weight",                                                      \
                  [ENG_TENSOR_UP_BIAS] = ".mlp.c_fc.bias",                                                   \
                  [ENG_TENSOR_DOWN] = ".mlp.c_proj.weight",                                                  \
                  [ENG_TENSOR_DOWN_BIAS] = ".mlp.c_proj.bias"},                                              \
        .ignored_suffixes = {".attn.bias", ".attn.masked_bias", NULL}, .transposed = true, .fused = true     \
    }
const struct eng_naming eng_hf_gpt2_naming = GPT2_NAMES("transformer."),
                        eng_hf_gpt2_bare_naming = GPT2_NAMES("");

enum base_status eng_hf_tensors_fill(struct eng_tensor_table *table, struct eng_named_tensor *tensors, size_t count,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_named_tensors_sort(tensors, count, error));
    if (table->naming == &eng_hf_gpt2_naming &&
        eng_named_tensors_find(tensors, count, eng_hf_gpt2_bare_naming.names[ENG_TENSOR_EMBEDDING]) != NULL)
        table->naming = &eng_hf_gpt2_bare_naming;
    const char *const embedding_name = table->naming->names[ENG_TENSOR_EMBEDDING];
    const char *const head_name = table->naming->names[ENG_TENSOR_HEAD];
    struct eng_named_tensor *embedding = eng_named_tensors_find(tensors, count, embedding_name);
    struct eng_named_tensor *head = eng_named_tensors_find(tensors, count, head_name);
    if (table->shape.tied && head != NULL && embedding == NULL) {
        head->name = (struct eng_bytes){(const uint8_t *)embedding_name, strlen(embedding_name)};
    } else if (table->shape.tied && head != NULL) {
        TRY_THAT(head->dtype_known && embedding->dtype_known && head->dtype == embedding->dtype &&
                     head->bytes.size == embedding->bytes.size &&
                     memcmp(head->bytes.data, embedding->bytes.data, head->bytes.size) == 0,
                 error, BASE_ERR_FORMAT,
                 "tensor %s differs from %s, but config.json says "
                 "tie_word_embeddings: set it to false if the head is its own",
                 head_name, embedding_name);
        head->used = true;
    } else if (!table->shape.tied && head == NULL) {
        status = base_fail(error, BASE_ERR_FORMAT,
                           "tensor lm_head.weight is missing, and config.json does not set tie_word_embeddings to true");
        goto out;
    }
    TRY(eng_tensor_table_fill(table, tensors, count, false, error));
out:
    return status;
}

/* One safetensors file of the directory, mapped by the model and parsed. */
struct shard {
    const char *name; /* borrowed */
    struct eng_safetensors parsed;
};

struct shard_set {
    struct shard *shards;
    size_t count;
};

static void shard_set_finish(struct shard_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        eng_safetensors_finish(&set->shards[i].parsed);
    base_free(&set->shards);
    set->count = 0;
}

static enum base_status read_config(struct eng_model_shape *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file map = {0};
    char name[PATH_MAX];
    TRY(eng_path_join(name, sizeof name, path, "config.json", error));
    TRY(eng_file_map(&map, name, ENG_LIMIT_JSON_BYTES, error));
    status = eng_hf_config_parse(ret, eng_bytes_of(&map), error);
    if (status != BASE_OK) {
        base_error_prefix(error, "%s", name);
        goto out;
    }
    base_file_unmap(&map);
    TRY(eng_path_join(name, sizeof name, path, "generation_config.json", error));
    if (access(name, F_OK) != 0)
        goto out;
    TRY(eng_file_map(&map, name, ENG_LIMIT_JSON_BYTES, error));
    status = eng_hf_generation_parse(ret, eng_bytes_of(&map), error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", name);
out:
    base_file_unmap(&map);
    return status;
}

static enum base_status load_shard(struct eng_mapped_model *model, struct shard_set *set, const char *path,
                                   const char *name, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char full[PATH_MAX];
    struct shard *shard = &set->shards[set->count];
    TRY(eng_path_join(full, sizeof full, path, name, error));
    TRY(base_file_map(&model->maps[model->map_count], full, error));
    model->map_count++;
    status = eng_safetensors_parse(&shard->parsed, eng_bytes_of(&model->maps[model->map_count - 1]), error);
    if (status != BASE_OK) {
        base_error_prefix(error, "%s", full);
        goto out;
    }
    shard->name = name;
    set->count++;
out:
    return status;
}

static struct shard *find_shard(const struct shard_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->shards[i].name, name) == 0)
            return &set->shards[i];
    return NULL;
}

/* A shard must be a plain name in the same directory, which errors can show as it is. */
static bool is_plain_name(const char *name)
{
    for (const char *c = name; c != NULL && *c != '\0'; c++)
        if (base_text_is_control(*c))
            return false;
    return name != NULL && name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < NAME_MAX;
}

/* Every tensor of every shard must be mapped to that shard, and the map must list no other. */
static enum base_status check_weight_map(const json_t *weight_map, const struct shard_set *set,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t found = 0;
    for (size_t s = 0; s < set->count; s++) {
        const struct eng_safetensors *parsed = &set->shards[s].parsed;
        for (size_t i = 0; i < parsed->count; i++) {
            const char *name = (const char *)parsed->tensors[i].name.data; /* a JSON string of the header */
            const char *place = json_string_value(json_object_get(weight_map, name));
            TRY_THAT(place != NULL && strcmp(place, set->shards[s].name) == 0, error, BASE_ERR_FORMAT,
                     "weight_map puts tensor %s into %s, but %s has one", eng_printable_string(name).text,
                     place == NULL ? "no shard" : eng_printable_string(place).text,
                     eng_printable_string(set->shards[s].name).text);
        }
        found += parsed->count;
    }
    TRY_THAT(found == json_object_size(weight_map), error, BASE_ERR_FORMAT,
             "weight_map lists %zu tensors, but the shards hold %zu", json_object_size(weight_map), found);
out:
    return status;
}

static enum base_status load_index(struct eng_mapped_model *model, struct shard_set *set, const char *path,
                                   const json_t *index, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *weight_map = json_object_get(index, "weight_map");
    const char *key;
    json_t *value;
    TRY_THAT(json_is_object(weight_map) && json_object_size(weight_map) > 0, error, BASE_ERR_FORMAT,
             "weight_map is missing or empty");
    TRY(base_alloc(&model->maps, ENG_LIMIT_SHARDS, sizeof *model->maps, error));
    TRY(base_alloc(&set->shards, ENG_LIMIT_SHARDS, sizeof *set->shards, error));
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value)
    {
        const char *name = json_string_value(value);
        TRY_THAT(is_plain_name(name), error, BASE_ERR_FORMAT,
                 "weight_map.%s is %s; it must name a file of this directory", eng_printable_string(key).text,
                 eng_json_show(value).text);
        if (find_shard(set, name) != NULL)
            continue;
        TRY_THAT(set->count < ENG_LIMIT_SHARDS, error, BASE_ERR_FORMAT, "weight_map names more than %u shards",
                 ENG_LIMIT_SHARDS);
        TRY(load_shard(model, set, path, name, error));
    }
    TRY(check_weight_map(weight_map, set, error));
out:
    return status;
}

static enum base_status gather(struct eng_tensor_table *table, const struct shard_set *set, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_named_tensor *all = NULL;
    size_t count = 0;
    for (size_t s = 0; s < set->count; s++)
        count += set->shards[s].parsed.count;
    TRY(base_alloc(&all, count, sizeof *all, error));
    count = 0;
    for (size_t s = 0; s < set->count; s++) {
        const struct eng_safetensors *parsed = &set->shards[s].parsed;
        if (parsed->count > 0)
            memcpy(all + count, parsed->tensors, parsed->count * sizeof *all);
        count += parsed->count;
    }
    TRY(eng_hf_tensors_fill(table, all, count, error));
out:
    base_free(&all);
    return status;
}

static enum base_status load_tensors(struct eng_mapped_model *model, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file index_map = {0};
    json_t *index = NULL;
    struct shard_set set = {0};
    char full[PATH_MAX];
    TRY(eng_path_join(full, sizeof full, path, "model.safetensors", error));
    if (access(full, F_OK) == 0) {
        TRY(base_alloc(&model->maps, 1, sizeof *model->maps, error));
        TRY(base_alloc(&set.shards, 1, sizeof *set.shards, error));
        TRY(load_shard(model, &set, path, "model.safetensors", error));
    } else {
        TRY(eng_path_join(full, sizeof full, path, "model.safetensors.index.json", error));
        TRY_THAT(access(full, F_OK) == 0, error, BASE_ERR_IO,
                 "%s: holds neither model.safetensors nor model.safetensors.index.json: convert the weights to "
                 "safetensors",
                 path);
        TRY(eng_file_map(&index_map, full, ENG_LIMIT_JSON_BYTES, error));
        status = eng_json_parse(&index, eng_bytes_of(&index_map), error);
        if (status == BASE_OK)
            status = load_index(model, &set, path, index, error);
        if (status != BASE_OK) {
            base_error_prefix(error, "%s", full);
            goto out;
        }
    }
    status = gather(&model->table, &set, error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", full);
out:
    shard_set_finish(&set);
    json_decref(index);
    base_file_unmap(&index_map);
    return status;
}

enum base_status eng_hf_dir_load(struct eng_mapped_model *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_model_shape shape = {0};
    TRY(read_config(&shape, path, error));
    status = eng_tensor_table_init(&ret->table, &shape,
                                   shape.positions ? &eng_hf_gpt2_naming : &eng_hf_naming, error);
    if (status != BASE_OK) {
        base_error_prefix(error, "%s/config.json", path);
        goto out;
    }
    TRY(load_tensors(ret, path, error));
out:
    return status;
}
