#include "engine/share_set.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "engine/formats/json_memory.h"
#include "engine/share_files.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MANIFEST_FORMAT = 3 };
static const char *const role_names[ENG_SHARE_ROLES] = {"p0", "p1", "p2", "client"};

/* --- writing ------------------------------------------------------------------------------------------- */

struct writer {
    char directory[ENG_PATH_MAX]; /* the set under its temporary name */
    const struct eng_weight_source *source;
    const struct eng_plan *plan;
    char set[ENG_SET_ID], plan_digest[ENG_HEX_DIGEST];
    struct eng_out_file weights[ENG_SHARE_PARTIES];
};

static json_t *manifest_of(const struct writer *w, int role, const char *digest, size_t size)
{
    json_t *root = json_object();
    (void)json_object_set_new(root, "format", json_integer(MANIFEST_FORMAT));
    (void)json_object_set_new(root, "role", json_string(role_names[role]));
    (void)json_object_set_new(root, "set", json_string(w->set));
    (void)json_object_set_new(root, "model", json_string(w->plan->model));
    (void)json_object_set_new(root, "plan", json_string(w->plan_digest));
    (void)json_object_set_new(root, "weights_bytes", json_integer((json_int_t)size));
    (void)json_object_set_new(root, "weights_sha256", json_string(digest));
    (void)json_object_set_new(root, "shape", eng_shape_to_json(w->source->shape));
    return root;
}

static enum base_status write_role(const struct writer *w, int role, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX], digest[ENG_HEX_DIGEST] = "";
    size_t size = role < ENG_SHARE_PARTIES ? w->weights[role].size : 0;
    if (role < ENG_SHARE_PARTIES)
        TRY(eng_sha256_hex(w->weights[role].data, size, digest, error));
    TRY(eng_path_print(path, error, "%s/%s/plan.json", w->directory, role_names[role]));
    TRY(eng_plan_write(w->plan, path, error));
    TRY(eng_path_print(path, error, "%s/%s/manifest.json", w->directory, role_names[role]));
    eng_json_watch();
    json_t *root = manifest_of(w, role, digest, size);
    BASE_FAIL_WRITE("engine.manifest.before");
    status = eng_json_write(root, path, JSON_INDENT(1), error);
    json_decref(root);
    BASE_FAIL_WRITE("engine.manifest.after");
out:
    return status;
}

static enum base_status open_outputs(struct writer *w, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    for (int role = 0; role < ENG_SHARE_ROLES; role++) {
        TRY(eng_path_print(path, error, "%s/%s", w->directory, role_names[role]));
        TRY(eng_make_directory(path, error));
        if (role == ENG_SHARE_CLIENT)
            continue;
        TRY(eng_path_print(path, error, "%s/%s/weights.bin", w->directory, role_names[role]));
        TRY(eng_out_file_open(&w->weights[role], path,
                              eng_weights_size((enum mpc_role)role, w->source->shape, w->plan), error));
    }
out:
    return status;
}

static enum base_status fill(struct writer *w, const struct kern_table *kern, struct base_progress *progress,
                             struct base_error *error)
{
    struct eng_weight_targets targets = {.kern = kern};
    for (int role = 0; role < ENG_SHARE_PARTIES; role++)
        targets.block[role] = w->weights[role].data;
    randombytes_buf(targets.key1, sizeof targets.key1);
    randombytes_buf(targets.key2, sizeof targets.key2);
    enum base_status status = eng_weights_make(w->source, w->plan, &targets, progress, error);
    base_wipe(&targets, sizeof targets);
    return status;
}

enum base_status eng_share_set_write(const char *out, const struct eng_weight_source *source,
                                     const struct eng_plan *plan, const char *tokenizer,
                                     const struct kern_table *kern, struct base_progress *progress,
                                     char ret_set[ENG_SET_ID], struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct writer w = {.source = source, .plan = plan};
    uint8_t id[(ENG_SET_ID - 1) / 2], digest[32];
    char path[ENG_PATH_MAX];
    bool made = false;
    TRY_THAT(access(out, F_OK) != 0, error, BASE_ERR_IO,
             "%s exists: give a new directory with --out, or remove this one", out);
    TRY(eng_plan_check(plan, error));
    TRY(eng_path_print(w.directory, error, "%s.partial", out));
    TRY_THAT(access(w.directory, F_OK) != 0, error, BASE_ERR_IO,
             "%s is in the way, which `cachet share` makes while it works: if none is running, one was killed; remove it", w.directory);
    TRY(eng_make_directory(w.directory, error));
    made = true;
    randombytes_buf(id, sizeof id);
    (void)sodium_bin2hex(w.set, sizeof w.set, id, sizeof id);
    TRY(eng_plan_digest(plan, digest, error));
    (void)sodium_bin2hex(w.plan_digest, sizeof w.plan_digest, digest, sizeof digest);
    TRY(open_outputs(&w, error));
    BASE_FAIL_WRITE("engine.weights.before");
    TRY(fill(&w, kern, progress, error));
    BASE_FAIL_WRITE("engine.weights.after");
    for (int role = 0; role < ENG_SHARE_ROLES; role++)
        TRY(write_role(&w, role, error));
    TRY(eng_path_print(path, error, "%s/%s", w.directory, role_names[ENG_SHARE_CLIENT]));
    if (tokenizer != NULL)
        TRY(eng_copy_tokenizer(tokenizer, path, error));
    for (int role = 0; role < ENG_SHARE_PARTIES; role++)
        TRY(eng_out_file_close(&w.weights[role], error));
    BASE_FAIL_WRITE("engine.shares.written");
    TRY(eng_rename(w.directory, out, error));
    BASE_FAIL_WRITE("engine.shares.after");
    made = false;
    memcpy(ret_set, w.set, ENG_SET_ID);
out:
    for (int role = 0; role < ENG_SHARE_PARTIES; role++)
        eng_out_file_discard(&w.weights[role]);
    if (made)
        eng_remove_tree(w.directory);
    return status;
}

/* --- opening ------------------------------------------------------------------------------------------- */

static enum base_status text_field(const json_t *root, const char *name, char *ret, size_t size,
                                   struct base_error *error)
{
    const char *text = json_string_value(json_object_get(root, name));
    if (text == NULL || strlen(text) >= size)
        return base_fail(error, BASE_ERR_FORMAT,
                         "field \"%s\" is missing or not a text of at most %zu letters", name, size - 1);
    (void)snprintf(ret, size, "%s", text);
    return BASE_OK;
}

struct manifest {
    char role[16], weights[ENG_HEX_DIGEST];
    size_t size;
};

/* SHA-256 of the canonical form: equal shapes, equal digests. */
static enum base_status digest_shape(const struct eng_model_shape *shape, char ret[ENG_HEX_DIGEST],
                                     struct base_error *error)
{
    eng_json_watch();
    json_t *root = eng_shape_to_json(shape);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    if (text == NULL || eng_json_lacks_memory()) {
        free(text);
        return base_fail(error, BASE_ERR_MEMORY, "cannot allocate the text of the model's shape");
    }
    enum base_status status = eng_sha256_hex(text, strlen(text), ret, error);
    free(text);
    return status;
}

static enum base_status read_manifest(const json_t *root, struct eng_share *ret, struct manifest *manifest,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *format = json_object_get(root, "format"), *bytes = json_object_get(root, "weights_bytes");
    TRY_THAT(json_is_object(root) && json_object_size(root) == 8, error, BASE_ERR_FORMAT,
             "not a manifest of 8 fields");
    TRY_THAT(json_is_integer(format) && json_integer_value(format) == MANIFEST_FORMAT, error,
             BASE_ERR_SUPPORT, "field \"format\": this program reads %d; share the model again",
             MANIFEST_FORMAT);
    TRY_THAT(json_is_integer(bytes) && json_integer_value(bytes) >= 0, error, BASE_ERR_FORMAT,
             "field \"weights_bytes\" must be a size");
    TRY(text_field(root, "role", manifest->role, sizeof manifest->role, error));
    TRY(text_field(root, "set", ret->set, sizeof ret->set, error));
    TRY(text_field(root, "model", ret->model, sizeof ret->model, error));
    TRY(text_field(root, "plan", ret->plan_digest, sizeof ret->plan_digest, error));
    TRY(text_field(root, "weights_sha256", manifest->weights, sizeof manifest->weights, error));
    TRY(eng_shape_from_json(json_object_get(root, "shape"), &ret->shape, error));
    TRY(digest_shape(&ret->shape, ret->shape_digest, error));
    manifest->size = (size_t)json_integer_value(bytes);
out:
    return status;
}

static enum base_status open_manifest(struct eng_share *ret, const char *directory, int role,
                                      struct manifest *manifest, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    json_t *root = NULL;
    TRY(eng_path_print(path, error, "%s/manifest.json", directory));
    TRY(eng_json_load(path, &root, error));
    status = read_manifest(root, ret, manifest, error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
    TRY(status);
    TRY_THAT(strcmp(manifest->role, role_names[role]) == 0, error, BASE_ERR_MISMATCH,
             "%s holds the shares of %s, this is %s: give the directory that was made for it", directory,
             manifest->role, role_names[role]);
out:
    json_decref(root);
    return status;
}

static enum base_status open_plan(struct eng_share *ret, const char *directory, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX], hex[ENG_HEX_DIGEST];
    uint8_t digest[32];
    TRY(eng_path_print(path, error, "%s/plan.json", directory));
    TRY(eng_plan_read(&ret->plan, path, error));
    TRY(eng_plan_digest(&ret->plan, digest, error));
    (void)sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    TRY_THAT(strcmp(hex, ret->plan_digest) == 0, error, BASE_ERR_MISMATCH,
             "%s has digest %.16s..., its manifest says %.16s...: the plan of another set was put here", path,
             hex, ret->plan_digest);
    TRY_THAT(strcmp(ret->plan.model, ret->model) == 0, error, BASE_ERR_MISMATCH,
             "%s was made for model %.16s..., its manifest says %.16s...: copy the whole directory again",
             path, ret->plan.model, ret->model);
    TRY_THAT(ret->plan.layers == ret->shape.layers, error, BASE_ERR_MISMATCH,
             "%s has %zu layers, its manifest says %zu: copy the whole directory again", path,
             ret->plan.layers, ret->shape.layers);
out:
    return status;
}

/* The size of weights.bin follows from shape and plan. */
static enum base_status check_size(const struct eng_share *share, const char *directory, const struct manifest *manifest,
                                   struct base_error *error)
{
    size_t size = share->role < ENG_SHARE_PARTIES ? eng_weights_size((enum mpc_role)share->role, &share->shape, &share->plan) : 0;
    if (manifest->size == size)
        return BASE_OK;
    return base_fail(error, BASE_ERR_FORMAT,
                     "%s/manifest.json: field \"weights_bytes\" is %zu, the shape beside it needs %zu: the file is damaged or of "
                     "another set; copy it again",
                     directory, manifest->size, size);
}

static enum base_status open_weights(struct eng_share *ret, const char *directory,
                                     const struct manifest *manifest, struct base_progress *progress,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX], hex[ENG_HEX_DIGEST];
    size_t size = manifest->size;
    TRY(eng_path_print(path, error, "%s/weights.bin", directory));
    TRY(base_file_map(&ret->file, path, error));
    TRY_THAT(
        ret->file.size == size, error, BASE_ERR_FORMAT,
        "%s has %zu bytes, its manifest says %zu: the file is truncated or of another set; copy it again",
        path, ret->file.size, size);
    TRY(eng_sha256_hex_watched(ret->file.data, size, hex, progress, error));
    TRY_THAT(strcmp(hex, manifest->weights) == 0, error, BASE_ERR_FORMAT,
             "%s has digest %.16s..., its manifest says %.16s...: the file is damaged or of another set; "
             "copy it again",
             path, hex, manifest->weights);
    TRY(eng_weights_init(&ret->weights, (enum mpc_role)ret->role, &ret->shape, &ret->plan,
                         (void *)(uintptr_t)ret->file.data, error));
out:
    return status;
}

enum base_status eng_share_open(struct eng_share *ret, const char *directory, int role,
                                struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_share share = {.role = role};
    struct manifest manifest = {0};
    TRY(open_manifest(&share, directory, role, &manifest, error));
    TRY(open_plan(&share, directory, error));
    TRY(check_size(&share, directory, &manifest, error));
    if (role != ENG_SHARE_CLIENT)
        TRY(open_weights(&share, directory, &manifest, progress, error));
    *ret = share;
    return BASE_OK;
out:
    eng_share_close(&share);
    return status;
}

void eng_share_close(struct eng_share *share)
{
    eng_weights_finish(&share->weights);
    eng_plan_finish(&share->plan);
    base_file_unmap(&share->file);
}
