/* plan.json: one table of fields drives writing, reading and the digest. */
#include "engine/plan.h"

#include "base/memory.h"
#include "engine/share_files.h"

#include <jansson.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PLAN_FORMAT = 2, MAX_LAYERS = 512, MAX_CONTEXT = 1 << 20 };

struct field {
    const char *name;
    size_t offset;
    int low, high;
};

#define FIELD(name, low, high)                                                                               \
    {                                                                                                        \
#name, offsetof(struct eng_plan, name), low, high                                                    \
    }
static const struct field fields[] = {
    FIELD(fx, 4, 24),        FIELD(fw, 4, 24),    FIELD(fwo, 4, 24),         FIELD(fc, 4, 20),
    FIELD(fu, 4, 20),        FIELD(fs, 4, 16),    FIELD(bin, 0, 4),          FIELD(cell, 0, 5),
    FIELD(fb, 4, 24),        FIELD(fe, 4, 32),    FIELD(fo, 4, 32),          FIELD(ring_sv, 0, 64),
    FIELD(fo2, 4, 32),       FIELD(fy, 4, 32),    FIELD(per_octave, 4, 256), FIELD(f_reciprocal, 8, 60),
    FIELD(fg, 2, 16),        FIELD(kg, 4, 24),    FIELD(hs, 2, 12),          FIELD(f_silu, 8, 40),
    FIELD(kn, 12, 36),       FIELD(ring, 32, 64), FIELD(fold, 0, 1),         FIELD(context, 1, MAX_CONTEXT),
    FIELD(lm_bits, -20, 40),
};

struct norm_field {
    const char *name;
    size_t offset;
};
#define NORM_FIELD(name)                                                                                     \
    {                                                                                                        \
#name, offsetof(struct eng_layer_plan, name)                                                         \
    }
static const struct norm_field norm_fields[] = {NORM_FIELD(rho), NORM_FIELD(low), NORM_FIELD(high),
                                                NORM_FIELD(ft),  NORM_FIELD(bt),  NORM_FIELD(fs)};

enum { FIELDS = sizeof fields / sizeof *fields, NORM_FIELDS = sizeof norm_fields / sizeof *norm_fields };

static json_t *layer_to_json(const struct eng_layer_plan *layer)
{
    json_t *object = json_object(), *bits = json_object();
    for (int w = 0; w < ENG_WIRES; w++)
        json_object_set_new(bits, eng_wire_name((enum eng_wire)w), json_integer(layer->bits[w]));
    json_object_set_new(object, "bits", bits);
    json_object_set_new(object, "wave", json_integer(layer->wave));
    for (int f = 0; f < NORM_FIELDS; f++) {
        const int *pair = (const int *)((const char *)layer + norm_fields[f].offset);
        json_object_set_new(object, norm_fields[f].name, json_pack("[ii]", pair[0], pair[1]));
    }
    return object;
}

static json_t *to_json(const struct eng_plan *plan)
{
    json_t *root = json_object(), *layers = json_array();
    json_object_set_new(root, "format", json_integer(PLAN_FORMAT));
    json_object_set_new(root, "model", json_string(plan->model));
    for (int f = 0; f < FIELDS; f++)
        json_object_set_new(root, fields[f].name,
                            json_integer(*(const int *)((const char *)plan + fields[f].offset)));
    for (size_t l = 0; l < plan->layers; l++)
        json_array_append_new(layers, layer_to_json(&plan->layer[l]));
    json_object_set_new(root, "layers", layers);
    return root;
}

enum base_status eng_plan_write(const struct eng_plan *plan, const char *path, struct base_error *error)
{
    json_t *root = to_json(plan);
    int failed = json_dump_file(root, path, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    if (failed)
        return base_fail(error, BASE_ERR_IO,
                         "cannot write the plan to %s: check the directory and its free space", path);
    return BASE_OK;
}

enum base_status eng_plan_digest(const struct eng_plan *plan, uint8_t ret[32], struct base_error *error)
{
    json_t *root = to_json(plan);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    if (text == NULL)
        return base_fail(error, BASE_ERR_MEMORY, "cannot allocate the plan's text");
    crypto_hash_sha256(ret, (const unsigned char *)text, strlen(text));
    free(text);
    return BASE_OK;
}

/* --- reading ------------------------------------------------------------------------------------------- */

static enum base_status read_int(json_t *object, const char *key, int low, int high, int *ret,
                                 struct base_error *error)
{
    json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return base_fail(error, BASE_ERR_FORMAT, "field \"%s\" is missing or not an integer", key);
    json_int_t number = json_integer_value(value);
    if (number < low || number > high)
        return base_fail(error, BASE_ERR_FORMAT, "field \"%s\" is %lld: must be %d to %d", key,
                         (long long)number, low, high);
    *ret = (int)number;
    return BASE_OK;
}

static enum base_status read_layer(json_t *object, struct eng_layer_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *bits = json_object_get(object, "bits");
    TRY_THAT(json_is_object(object) && json_is_object(bits) && json_object_size(bits) == ENG_WIRES &&
                 json_object_size(object) == NORM_FIELDS + 2,
             error, BASE_ERR_FORMAT, "a layer must hold \"bits\" of %d wires, \"wave\" and %d norm fields",
             ENG_WIRES, NORM_FIELDS);
    for (int w = 0; w < ENG_WIRES; w++)
        TRY(read_int(bits, eng_wire_name((enum eng_wire)w), -40, 40, &ret->bits[w], error));
    TRY(read_int(object, "wave", 0, ENG_WAVES - 1, &ret->wave, error));
    for (int f = 0; f < NORM_FIELDS; f++) {
        json_t *pair = json_object_get(object, norm_fields[f].name);
        int *out = (int *)((char *)ret + norm_fields[f].offset);
        TRY_THAT(json_array_size(pair) == ENG_NORMS, error, BASE_ERR_FORMAT, "field \"%s\" must be a pair",
                 norm_fields[f].name);
        for (size_t i = 0; i < ENG_NORMS; i++) {
            json_t *value = json_array_get(pair, i);
            TRY_THAT(
                json_is_integer(value) && json_integer_value(value) >= -60 && json_integer_value(value) <= 60,
                error, BASE_ERR_FORMAT, "field \"%s\" must hold integers of -60 to 60", norm_fields[f].name);
            out[i] = (int)json_integer_value(value);
        }
    }
out:
    return status;
}

static enum base_status from_json(json_t *root, struct eng_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan plan = {0};
    int format = 0;
    TRY_THAT(json_is_object(root), error, BASE_ERR_FORMAT, "not a JSON object");
    TRY(read_int(root, "format", 0, 1000, &format, error));
    TRY_THAT(format == PLAN_FORMAT, error, BASE_ERR_SUPPORT,
             "plan format %d, this program reads %d: make the plan again with `cachet plan`", format,
             PLAN_FORMAT);
    json_t *layers = json_object_get(root, "layers");
    const char *model = json_string_value(json_object_get(root, "model"));
    size_t count = json_array_size(layers);
    TRY_THAT(count >= 1 && count <= MAX_LAYERS, error, BASE_ERR_FORMAT,
             "field \"layers\" has %zu entries: must be 1 to %d", count, MAX_LAYERS);
    TRY_THAT(model != NULL && strlen(model) == 64, error, BASE_ERR_FORMAT,
             "field \"model\" must be a digest of 64 hex digits");
    TRY_THAT(json_object_size(root) == FIELDS + 3, error, BASE_ERR_FORMAT,
             "%zu fields where a plan has %d: an unknown field is present or one is missing",
             json_object_size(root), FIELDS + 3);
    TRY(eng_plan_init(&plan, count, 1, error));
    memcpy(plan.model, model, sizeof plan.model);
    for (int f = 0; f < FIELDS; f++)
        TRY(read_int(root, fields[f].name, fields[f].low, fields[f].high,
                     (int *)((char *)&plan + fields[f].offset), error));
    for (size_t l = 0; l < count; l++) {
        status = read_layer(json_array_get(layers, l), &plan.layer[l], error);
        if (status != BASE_OK) {
            base_error_prefix(error, "layer %zu", l);
            goto out;
        }
    }
    TRY(eng_plan_check(&plan, error));
    *ret = plan;
    return BASE_OK;
out:
    eng_plan_finish(&plan);
    return status;
}

enum base_status eng_plan_read(struct eng_plan *ret, const char *path, struct base_error *error)
{
    json_t *root = NULL;
    enum base_status status = eng_json_load(path, &root, error);
    if (status != BASE_OK)
        return status;
    status = from_json(root, ret, error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
    json_decref(root);
    return status;
}
