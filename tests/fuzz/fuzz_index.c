/* Fuzzes what reads a model in shards: the input is model.safetensors.index.json of a directory whose config.json and two shards are good. What is
 * accepted lists every tensor of both shards. */
#include "base/memory.h"
#include "engine/formats/hf_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_ROOM = 128, HEADER = 2048, NUMBERS = 1024 };

static char place[] = P_tmpdir "/cachet-fuzz-index-XXXXXX";
static const char *const files[] = {"config.json", "model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"};

static const char config[] =
    "{\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"intermediate_size\":6,"
    "\"vocab_size\":4,\"max_position_embeddings\":4,\"rope_theta\":10000.0,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true,\"hidden_act\":\"silu\"}";

/* Of both shards. rows 0: a vector. */
static const struct tensor {
    const char *name;
    size_t rows, cols;
    int shard;
} tensors[] = {
    {"model.embed_tokens.weight", 4, 8, 1},
    {"model.norm.weight", 0, 8, 2},
    {"model.layers.0.input_layernorm.weight", 0, 8, 1},
    {"model.layers.0.self_attn.q_proj.weight", 8, 8, 1},
    {"model.layers.0.self_attn.k_proj.weight", 4, 8, 1},
    {"model.layers.0.self_attn.v_proj.weight", 4, 8, 2},
    {"model.layers.0.self_attn.o_proj.weight", 8, 8, 2},
    {"model.layers.0.post_attention_layernorm.weight", 0, 8, 2},
    {"model.layers.0.mlp.gate_proj.weight", 6, 8, 1},
    {"model.layers.0.mlp.up_proj.weight", 6, 8, 2},
    {"model.layers.0.mlp.down_proj.weight", 8, 6, 2},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void write_file(const char *name, const void *data, size_t size)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof path, "%s/%s", place, name);
    FILE *file = fopen(path, "wb");
    check(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void write_shard(int which)
{
    static uint8_t bytes[8 + HEADER + 4 * NUMBERS];
    char header[HEADER];
    int used = snprintf(header, sizeof header, "{");
    size_t at = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        const struct tensor *t = &tensors[i];
        if (t->shard != which)
            continue;
        size_t size = 4 * (t->rows > 0 ? t->rows : 1) * t->cols;
        char rows[24] = "";
        if (t->rows > 0)
            (void)snprintf(rows, sizeof rows, "%zu,", t->rows);
        used += snprintf(header + used, sizeof header - (size_t)used, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s%zu],\"data_offsets\":[%zu,%zu]}",
                         at > 0 ? "," : "", t->name, rows, t->cols, at, at + size);
        at += size;
    }
    used += snprintf(header + used, sizeof header - (size_t)used, "}");
    check(used < HEADER && at <= 4 * NUMBERS);
    base_store_u64(bytes, (uint64_t)used);
    memcpy(bytes + 8, header, (size_t)used);
    write_file(files[which], bytes, 8 + (size_t)used + at);
}

static void remove_all(void)
{
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", place, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(place);
}

/* Every tensor is there, and lies in one of the two shards. */
static void read_table(const struct eng_mapped_model *model)
{
    check(model->map_count == 2);
    for (enum eng_tensor tensor = 0; tensor < ENG_TENSORS; tensor++) {
        const struct eng_tensor_view *view = eng_tensor_table_at(&model->table, tensor, 0);
        size_t rows, cols;
        eng_tensor_extent(&model->table.shape, tensor, &rows, &cols);
        check((view->bytes != NULL) == (rows > 0));
        bool inside = view->bytes == NULL;
        for (size_t m = 0; m < 2; m++)
            inside = inside || (view->bytes >= model->maps[m].data && view->bytes + 4 * rows * cols <= model->maps[m].data + model->maps[m].size);
        check(inside);
    }
}

static void finish(struct eng_mapped_model *model)
{
    eng_tensor_table_finish(&model->table);
    for (size_t i = 0; i < model->map_count; i++)
        base_file_unmap(&model->maps[i]);
    base_free(&model->maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made = false;
    struct eng_mapped_model model = {0};
    struct base_error error = {0};
    if (!made) {
        check(mkdtemp(place) != NULL && atexit(remove_all) == 0);
        write_file(files[0], config, sizeof config - 1);
        write_shard(1);
        write_shard(2);
    }
    made = true;
    write_file(files[3], data, size);
    enum base_status status = eng_hf_dir_load(&model, place, &error);
    check((status == BASE_OK) == (error.text[0] == '\0') && error.code == status && strchr(error.text, '\n') == NULL);
    if (status == BASE_OK)
        read_table(&model);
    else
        check(strncmp(error.text, place, strlen(place)) == 0);
    finish(&model);
    return 0;
}
