/* plan.json: one table of fields drives writing, reading and the digest. */
#include "engine/plan.h"

#include "base/file.h"
#include "base/memory.h"
#include "engine/formats/json_memory.h"
#include "engine/share_files.h"

#include <jansson.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PLAN_FORMAT = 4, MAX_LAYERS = 512, MAX_HEADS = 1024, MAX_CEILING = 4000, MAX_CONTEXT = 1 << 20 };

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
    FIELD(fx, 4, 24),           FIELD(fw, 4, 24),           FIELD(fwo, 4, 24),
    FIELD(fc, 4, 20),           FIELD(fu, 4, 20),           FIELD(fs, 4, 16),
    FIELD(bin, 0, 4),           FIELD(cell, 0, 5),          FIELD(fb, 4, 24),
    FIELD(fe, 4, 32),           FIELD(fo, 4, 32),           FIELD(ring_sv, 0, 64),
    FIELD(fo2, 4, 32),          FIELD(fy, 4, 32),           FIELD(per_octave, 4, 256),
    FIELD(f_reciprocal, 8, 60), FIELD(fg, 2, 16),           FIELD(kg, 4, 24),
    FIELD(hs, 2, 12),           FIELD(f_silu, 8, 40),       FIELD(kn, 12, 36),
    FIELD(ring, 32, 64),        FIELD(fold, 0, 1),          FIELD(context, 1, MAX_CONTEXT),
    FIELD(lm_bits, -20, 40),    FIELD(heads, 1, MAX_HEADS),  FIELD(final_low, -60, 60),
    FIELD(final_high, -60, 60),
};

/* Fields of a layer: what its gates are, pairs for its norms, one number per range, one per head. */
#define LAYER_FIELD(name, low, high)                                                                         \
    {                                                                                                        \
#name, offsetof(struct eng_layer_plan, name), low, high                                              \
    }
#define RANGE_FIELD(name, low, high)                                                                         \
    {                                                                                                        \
        "range_" #name, offsetof(struct eng_range_plan, name), low, high                                     \
    }
#define HEAD_FIELD(name, low, high)                                                                          \
    {                                                                                                        \
        "head_" #name, offsetof(struct eng_head_plan, name), low, high                                       \
    }
static const struct field choices[] = {LAYER_FIELD(wave, 0, ENG_WAVES - 1),
                                       LAYER_FIELD(attention, 0, ENG_ATTENTIONS - 1),
                                       LAYER_FIELD(headroom, 0, 60), LAYER_FIELD(sum, -60, 60)};
static const struct field norm_fields[] = {LAYER_FIELD(rho, -60, 60),  LAYER_FIELD(low, -60, 60),
                                           LAYER_FIELD(high, -60, 60), LAYER_FIELD(ft, -60, 60),
                                           LAYER_FIELD(bt, -60, 60),   LAYER_FIELD(fs, -60, 60)};
static const struct field range_fields[] = {RANGE_FIELD(bits, 0, ENG_MOST_RANGE),
                                            RANGE_FIELD(log_cells, 0, 6)};
static const struct field head_fields[] = {HEAD_FIELD(ceiling, -MAX_CEILING, MAX_CEILING),
                                           HEAD_FIELD(from, 0, ENG_FROMS - 1),
                                           HEAD_FIELD(range, 0, ENG_RANGES - 1)};
static const struct field curve_field = {"curve", 0, 0, KV_PROFILE_ONE};

#define COUNT_OF(table) (int)(sizeof(table) / sizeof *(table))
enum {
    FIELDS = COUNT_OF(fields),
    CHOICES = COUNT_OF(choices),
    NORM_FIELDS = COUNT_OF(norm_fields),
    RANGE_FIELDS = COUNT_OF(range_fields),
    HEAD_FIELDS = COUNT_OF(head_fields),
    LAYER_FIELDS = 1 + CHOICES + NORM_FIELDS + RANGE_FIELDS + HEAD_FIELDS
};

/* A list of integers that lie `stride` bytes apart. */
static json_t *list_to_json(const void *first, size_t count, size_t stride)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(*(const int *)((const char *)first + i * stride)));
    return list;
}

static json_t *layer_to_json(const struct eng_plan *plan, size_t l)
{
    const struct eng_layer_plan *layer = &plan->layer[l];
    const struct eng_head_plan *head = eng_plan_heads(plan, l);
    json_t *object = json_object(), *bits = json_object();
    for (int w = 0; w < ENG_WIRES; w++)
        json_object_set_new(bits, eng_wire_name((enum eng_wire)w), json_integer(layer->bits[w]));
    json_object_set_new(object, "bits", bits);
    for (int f = 0; f < CHOICES; f++)
        json_object_set_new(object, choices[f].name,
                            json_integer(*(const int *)((const char *)layer + choices[f].offset)));
    for (int f = 0; f < NORM_FIELDS; f++)
        json_object_set_new(
            object, norm_fields[f].name,
            list_to_json((const char *)layer + norm_fields[f].offset, ENG_NORMS, sizeof(int)));
    for (int f = 0; f < RANGE_FIELDS; f++)
        json_object_set_new(object, range_fields[f].name,
                            list_to_json((const char *)layer->range + range_fields[f].offset, ENG_RANGES,
                                         sizeof *layer->range));
    for (int f = 0; f < HEAD_FIELDS; f++)
        json_object_set_new(
            object, head_fields[f].name,
            list_to_json((const char *)head + head_fields[f].offset, (size_t)plan->heads, sizeof *head));
    return object;
}

/* How a list of a score of all heads of a layer is written. */
static struct field score_field(int score)
{
    return (struct field){kv_head_score_name((enum kv_head_score)score), 0, 0, KV_PROFILE_MOST_SCORE};
}

static json_t *profile_to_json(const struct kv_profile *profile)
{
    json_t *root = json_object(), *layers = json_array();
    for (size_t l = 0; l < profile->layers; l++) {
        const struct kv_head_profile *head = profile->head + l * profile->kv_heads;
        json_t *layer = json_object();
        for (int s = 0; s < KV_HEAD_SCORES; s++)
            json_object_set_new(layer, score_field(s).name,
                                list_to_json(&head->score[s], profile->kv_heads, sizeof *head));
        json_object_set_new(
            layer, curve_field.name,
            list_to_json(profile->curve + l * KV_CURVE_POINTS, KV_CURVE_POINTS, sizeof *profile->curve));
        json_array_append_new(layers, layer);
    }
    json_object_set_new(root, "kv_heads", json_integer((json_int_t)profile->kv_heads));
    json_object_set_new(root, "layers", layers);
    return root;
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
        json_array_append_new(layers, layer_to_json(plan, l));
    json_object_set_new(root, "layers", layers);
    if (plan->profile.layers != 0)
        json_object_set_new(root, "profile", profile_to_json(&plan->profile));
    return root;
}

enum base_status eng_plan_write(const struct eng_plan *plan, const char *path, struct base_error *error)
{
    eng_json_watch();
    json_t *root = to_json(plan);
    enum base_status status = eng_json_write(root, path, JSON_INDENT(1) | JSON_SORT_KEYS, error);
    json_decref(root);
    return status;
}

enum base_status eng_plan_digest(const struct eng_plan *plan, uint8_t ret[32], struct base_error *error)
{
    eng_json_watch();
    json_t *root = to_json(plan);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    if (text == NULL || eng_json_lacks_memory()) {
        free(text);
        return base_fail(error, BASE_ERR_MEMORY, "cannot allocate the plan's text");
    }
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

static enum base_status read_list(json_t *object, const struct field *field, size_t count, size_t stride,
                                  void *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *list = json_object_get(object, field->name);
    TRY_THAT(json_is_array(list) && json_array_size(list) == count, error, BASE_ERR_FORMAT,
             "field \"%s\" must be a list of %zu", field->name, count);
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_array_get(list, i);
        TRY_THAT(json_is_integer(value) && json_integer_value(value) >= field->low &&
                     json_integer_value(value) <= field->high,
                 error, BASE_ERR_FORMAT, "field \"%s\" must hold integers of %d to %d", field->name,
                 field->low, field->high);
        *(int *)((char *)ret + i * stride) = (int)json_integer_value(value);
    }
out:
    return status;
}

static enum base_status read_layer(json_t *object, const struct eng_plan *plan, size_t l,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_layer_plan *ret = &plan->layer[l];
    struct eng_head_plan *head = plan->head + l * (size_t)plan->heads;
    json_t *bits = json_object_get(object, "bits");
    TRY_THAT(json_is_object(object) && json_is_object(bits) && json_object_size(bits) == ENG_WIRES &&
                 json_object_size(object) == LAYER_FIELDS,
             error, BASE_ERR_FORMAT, "a layer must hold \"bits\" of %d wires and %d other fields", ENG_WIRES,
             LAYER_FIELDS - 1);
    for (int w = 0; w < ENG_WIRES; w++)
        TRY(read_int(bits, eng_wire_name((enum eng_wire)w), -40, 40, &ret->bits[w], error));
    for (int f = 0; f < CHOICES; f++)
        TRY(read_int(object, choices[f].name, choices[f].low, choices[f].high,
                     (int *)((char *)ret + choices[f].offset), error));
    for (int f = 0; f < NORM_FIELDS; f++)
        TRY(read_list(object, &norm_fields[f], ENG_NORMS, sizeof(int), (char *)ret + norm_fields[f].offset,
                      error));
    for (int f = 0; f < RANGE_FIELDS; f++)
        TRY(read_list(object, &range_fields[f], ENG_RANGES, sizeof *ret->range,
                      (char *)ret->range + range_fields[f].offset, error));
    for (int f = 0; f < HEAD_FIELDS; f++)
        TRY(read_list(object, &head_fields[f], (size_t)plan->heads, sizeof *head,
                      (char *)head + head_fields[f].offset, error));
out:
    return status;
}

static enum base_status read_profile_layer(json_t *object, struct kv_profile *profile, size_t l,
                                           struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_head_profile *head = profile->head + l * profile->kv_heads;
    TRY_THAT(json_is_object(object) && json_object_size(object) == KV_HEAD_SCORES + 1, error, BASE_ERR_FORMAT,
             "a layer of the profile must hold \"%s\" and %d other fields", curve_field.name, KV_HEAD_SCORES);
    for (int s = 0; s < KV_HEAD_SCORES; s++) {
        struct field field = score_field(s);
        TRY(read_list(object, &field, profile->kv_heads, sizeof *head, &head->score[s], error));
    }
    TRY(read_list(object, &curve_field, KV_CURVE_POINTS, sizeof *profile->curve,
                  profile->curve + l * KV_CURVE_POINTS, error));
out:
    return status;
}

static enum base_status read_profile(json_t *object, struct eng_plan *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *layers = json_object_get(object, "layers");
    int kv_heads = 0;
    TRY_THAT(json_is_object(object) && json_object_size(object) == 2 &&
                 json_array_size(layers) == plan->layers,
             error, BASE_ERR_FORMAT, "field \"profile\" must hold \"kv_heads\" and \"layers\", %zu of them",
             plan->layers);
    TRY(read_int(object, "kv_heads", 1, plan->heads, &kv_heads, error));
    TRY_THAT(plan->heads % kv_heads == 0, error, BASE_ERR_FORMAT,
             "field \"kv_heads\" is %d: must divide the %d heads", kv_heads, plan->heads);
    TRY(kv_profile_init(&plan->profile, plan->layers, (size_t)kv_heads, error));
    for (size_t l = 0; l < plan->layers; l++) {
        status = read_profile_layer(json_array_get(layers, l), &plan->profile, l, error);
        if (status != BASE_OK) {
            base_error_prefix(error, "profile, layer %zu", l);
            goto out;
        }
    }
    TRY(kv_profile_check(&plan->profile, error));
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
    json_t *layers = json_object_get(root, "layers"), *profile = json_object_get(root, "profile");
    const size_t present = FIELDS + 3 + (profile != NULL);
    const char *model = json_string_value(json_object_get(root, "model"));
    size_t count = json_array_size(layers);
    TRY_THAT(count >= 1 && count <= MAX_LAYERS, error, BASE_ERR_FORMAT,
             "field \"layers\" has %zu entries: must be 1 to %d", count, MAX_LAYERS);
    TRY_THAT(model != NULL && strlen(model) == 64, error, BASE_ERR_FORMAT,
             "field \"model\" must be a digest of 64 hex digits");
    TRY_THAT(json_object_size(root) == present, error, BASE_ERR_FORMAT,
             "%zu fields where a plan has %zu: an unknown field is present or one is missing",
             json_object_size(root), present);
    int heads = 0;
    TRY(read_int(root, "heads", 1, MAX_HEADS, &heads, error));
    TRY(eng_plan_init(&plan, count, (size_t)heads, 1, error));
    memcpy(plan.model, model, sizeof plan.model);
    for (int f = 0; f < FIELDS; f++)
        TRY(read_int(root, fields[f].name, fields[f].low, fields[f].high,
                     (int *)((char *)&plan + fields[f].offset), error));
    for (size_t l = 0; l < count; l++) {
        status = read_layer(json_array_get(layers, l), &plan, l, error);
        if (status != BASE_OK) {
            base_error_prefix(error, "layer %zu", l);
            goto out;
        }
    }
    if (profile != NULL)
        TRY(read_profile(profile, &plan, error));
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
