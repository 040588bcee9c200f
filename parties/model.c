#include "parties/model.h"

#include "base/file.h"
#include "base/memory.h"
#include "engine/cost.h"
#include "engine/shape_file.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Texts that margins are taken from, at least. */
enum { TEXTS = 12, LEAST_SAMPLE = 96, SAMPLE_WORK_LOG = 37, SYNTHETIC_TOKENS = 64, LONGEST_WINDOW = 1024 };

static enum base_status open_file(struct model *m, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t digest[ENG_DIGEST_BYTES];
    TRY(eng_model_file_open(&m->file, m->input.path, error));
    m->shape = *eng_model_file_shape(m->file);
    m->source = eng_weights_of_file(m->file);
    TRY(eng_model_file_digest(m->file, digest, error));
    (void)sodium_bin2hex(m->digest, sizeof m->digest, digest, sizeof digest);
out:
    return status;
}

static enum base_status open_shape(struct model *m, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t digest[32];
    TRY(eng_shape_named(m->input.shape, &m->shape, error));
    TRY_THAT(m->input.layers <= m->shape.layers, error, BASE_ERR_ARGUMENT, "--layers is %llu: %s has %zu",
             (unsigned long long)m->input.layers, m->input.shape, m->shape.layers);
    m->shape.layers = m->input.layers > 0 ? (size_t)m->input.layers : m->shape.layers;
    m->shape.one_layer = m->input.one_layer;
    m->source = eng_weights_synthetic(&m->shape);
    char name[64];
    int length = snprintf(name, sizeof name, "%s", m->input.shape);
    if (m->input.layers > 0 || m->input.one_layer)
        length += snprintf(name + length, sizeof name - (size_t)length, " %zu %d", m->shape.layers,
                           m->input.one_layer);
    (void)crypto_hash_sha256(digest, (const uint8_t *)name, (size_t)length);
    (void)sodium_bin2hex(m->digest, sizeof m->digest, digest, sizeof digest);
out:
    return status;
}

enum base_status model_open(struct model *ret, struct model_input input, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct model){.input = input};
    TRY_THAT((input.path == NULL) != (input.shape == NULL), error, BASE_ERR_ARGUMENT,
             "give either --model PATH or --shape NAME");
    TRY_THAT(input.path == NULL || (input.layers == 0 && !input.one_layer), error, BASE_ERR_ARGUMENT,
             "--layers and --one-layer are for shapes: a model has all of its layers");
    TRY(input.path != NULL ? open_file(ret, error) : open_shape(ret, error));
    return BASE_OK;
out:
    model_close(ret);
    return status;
}

void model_close(struct model *model)
{
    eng_model_file_close(&model->file);
}

enum base_status model_check_plan(const struct model *model, const struct eng_plan *plan, const char *path,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_cost cost;
    struct eng_decoder_form form = {.shape = &model->shape,
                                    .plan = plan,
                                    .policy = &kv_policy_full,
                                    .context = plan->context > 1 ? 2 : 1};
    TRY_THAT(strcmp(plan->model, model->digest) == 0, error, BASE_ERR_MISMATCH,
             "%s was made for model %.16s..., this model is %.16s...: make a plan for it with `cachet plan`",
             path, plan->model, model->digest);
    /* One row through the count role: what its gates or rings refuse is said here, not by three parties. */
    if (form.context > 1) {
        status = eng_cost_count(&cost, &form, 1, NULL, error);
        if (status != BASE_OK)
            base_error_prefix(error, "%s", path);
    }
out:
    return status;
}

const char *model_tokenizer_path(const struct model *model)
{
    struct stat info;
    if (model->input.tokenizer != NULL)
        return model->input.tokenizer;
    bool directory =
        model->input.path != NULL && stat(model->input.path, &info) == 0 && S_ISDIR(info.st_mode);
    return directory ? model->input.path : NULL;
}

enum base_status model_tokenizer(const struct model *model, struct eng_tokenizer **ret,
                                 struct base_error *error)
{
    if (model->input.path == NULL && model->input.tokenizer == NULL)
        return BASE_OK;
    enum base_status status = eng_tokenizer_open(
        ret, model->input.tokenizer != NULL ? model->input.tokenizer : model->input.path, error);
    if (status != BASE_OK && model->input.tokenizer == NULL)
        base_error_prefix(error, "no tokenizer beside the model (give --tokenizer PATH)");
    return status;
}

enum base_status model_encode_file(const struct eng_tokenizer *tokenizer, const char *path, bool add_bos,
                                   struct eng_tokens *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    TRY(base_file_map(&file, path, error));
    status = eng_tokenizer_encode(tokenizer, (const char *)file.data, file.size, add_bos, ret, error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
out:
    base_file_unmap(&file);
    return status;
}

/* --- calibration --------------------------------------------------------------------------------------- */

struct sequences {
    int32_t *tokens;
    size_t *lengths;
    size_t count, total;
};

static void finish_sequences(struct sequences *s)
{
    base_free_secret(&s->tokens);
    base_free(&s->lengths);
}

/* A text as TEXTS windows or more, each with its start token: as long as the context, one after the other
 * where the text is long enough, overlapping where it is not. */
static enum base_status cut_text(const struct eng_tokens *tokens, int32_t bos, size_t window,
                                 struct sequences *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t room = window - (bos >= 0), least = tokens->count < TEXTS ? tokens->count : TEXTS,
           count = (tokens->count + room - 1) / room;
    count = count < least ? least : count;
    size_t stride = (tokens->count + count - 1) / count;
    TRY(base_alloc(&ret->tokens, count * (room + 1), sizeof *ret->tokens, error));
    TRY(base_alloc(&ret->lengths, count, sizeof *ret->lengths, error));
    for (size_t first = 0; first < tokens->count; first += stride) {
        size_t left = tokens->count - first, n = left < room ? left : room;
        if (bos >= 0)
            ret->tokens[ret->total++] = bos;
        memcpy(ret->tokens + ret->total, tokens->ids + first, n * sizeof *tokens->ids);
        ret->total += n;
        ret->lengths[ret->count++] = n + (bos >= 0);
    }
out:
    return status;
}

static enum base_status from_text(const struct model *model, const char *path, size_t window,
                                  struct sequences *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens tokens = {0};
    TRY(model_tokenizer(model, &tokenizer, error));
    TRY_THAT(tokenizer != NULL, error, BASE_ERR_ARGUMENT, "--text needs a tokenizer: give --tokenizer PATH");
    TRY(model_encode_file(tokenizer, path, false, &tokens, error));
    TRY_THAT(tokens.count > 0, error, BASE_ERR_ARGUMENT, "%s is empty: give a text of a few thousand tokens",
             path);
    TRY(cut_text(&tokens, eng_tokenizer_adds_bos(tokenizer) ? eng_tokenizer_bos(tokenizer) : -1, window, ret,
                 error));
out:
    eng_tokens_finish(&tokens);
    eng_tokenizer_close(&tokenizer);
    return status;
}

/* As long as the context, where that is no more than minutes of work. */
static size_t sample_length(const struct model *model, size_t window)
{
    size_t affordable = (size_t)((UINT64_C(1) << SAMPLE_WORK_LOG) / TEXTS / eng_weights_count(&model->shape)),
           length = affordable < LEAST_SAMPLE ? LEAST_SAMPLE : affordable;
    return length < window ? length : window;
}

/* The model's own samples; random tokens for synthetic weights, whose samples mean nothing. */
static enum base_status from_model(const struct model *model, size_t window, struct sequences *ret,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_progress progress = {0};
    bool real = model->file != NULL;
    size_t length = real                        ? sample_length(model, window)
                    : window < SYNTHETIC_TOKENS ? window
                                                : SYNTHETIC_TOKENS,
           count = real ? TEXTS : 2 * SYNTHETIC_TOKENS / length - 1; /* short ones are more, so that margins are those of long ones */
    TRY(base_alloc(&ret->tokens, count * length, sizeof *ret->tokens, error));
    TRY(base_alloc(&ret->lengths, count, sizeof *ret->lengths, error));
    for (size_t i = 0; i < count; i++)
        ret->lengths[i] = length;
    ret->count = count;
    ret->total = count * length;
    if (real) {
        base_progress_start(&progress, "sampling calibration text", ret->total);
        TRY(eng_calibration_samples(&model->source, model->shape.bos, count, length, ret->tokens, &progress,
                                    error));
    } else {
        for (size_t i = 0; i < ret->total; i++)
            ret->tokens[i] = (int32_t)(i * 7919 % model->shape.vocab);
    }
out:
    base_progress_finish(&progress);
    return status;
}

static enum base_status calibrate(const struct model *model, const struct model_plan_options *options,
                                  struct eng_plan *ret, struct model_plan_report *report,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sequences s = {0};
    struct base_progress progress = {0};
    char beside[4096];
    const char *text = options->text;
    size_t window = options->context < LONGEST_WINDOW ? options->context : LONGEST_WINDOW;
    (void)snprintf(beside, sizeof beside, "%s/calibration.txt",
                   model->input.path == NULL ? "" : model->input.path);
    if (text == NULL && model->input.path != NULL && access(beside, R_OK) == 0)
        text = beside;
    TRY(text != NULL ? from_text(model, text, window, &s, error) : from_model(model, window, &s, error));
    struct eng_calibration c = {.tokens = s.tokens,
                                .lengths = s.lengths,
                                .sequences = s.count,
                                .context = options->context,
                                .general_attention = options->general || model->file == NULL,
                                .general_activation = options->general || model->file == NULL,
                                .profile = model->file != NULL,
                                .thin = options->thin,
                                .fold = options->fold};
    base_progress_start(&progress, "calibrating", s.total);
    TRY(eng_calibrate(ret, &model->source, &c, report == NULL ? NULL : report->choices, &progress, error));
    if (report != NULL) {
        report->texts = s.count;
        for (size_t i = 0; i < s.count; i++)
            report->longest = s.lengths[i] > report->longest ? s.lengths[i] : report->longest;
    }
out:
    base_progress_finish(&progress);
    finish_sequences(&s);
    return status;
}

/* What holds in each of some layers, and in later ones, whose residual grows slowly. Weights that serve for all are scaled alike. */
static struct eng_layer_plan widest_of(const struct eng_layer_plan *layer, size_t count)
{
    enum { GROWTH = 2 };
    struct eng_layer_plan widest = layer[0];
    for (size_t l = 1; l < count; l++) {
        for (int w = 0; w < ENG_WIRES; w++)
            widest.bits[w] = layer[l].bits[w] > widest.bits[w] ? layer[l].bits[w] : widest.bits[w];
        for (int norm = 0; norm < ENG_NORMS; norm++) {
            widest.low[norm] = layer[l].low[norm] < widest.low[norm] ? layer[l].low[norm] : widest.low[norm];
            widest.high[norm] = layer[l].high[norm] > widest.high[norm] ? layer[l].high[norm] : widest.high[norm];
        }
    }
    /* What is multiplied by the residual before it is normalised grows with it. */
    static const enum eng_wire grows[] = {ENG_UQ, ENG_UK, ENG_UV, ENG_A, ENG_AOWN, ENG_UG, ENG_UP};
    for (size_t w = 0; w < sizeof grows / sizeof *grows; w++)
        widest.bits[grows[w]] += GROWTH;
    for (int norm = 0; norm < ENG_NORMS; norm++)
        widest.high[norm] += GROWTH;
    return widest;
}

/* Of a shape whose layers have the weights of one, two are calibrated, whose widths serve for all. */
static enum base_status calibrate_few(const struct model *model, const struct model_plan_options *options,
                                      struct eng_plan *ret, struct base_error *error)
{
    enum { FEW = 2 };
    enum base_status status = BASE_OK;
    struct model few = *model;
    struct eng_plan small = {0}, plan = {0};
    size_t layers = model->shape.layers;
    few.shape.layers = layers < FEW ? layers : FEW;
    few.source.shape = &few.shape; /* weights stay those of the whole shape */
    TRY(calibrate(&few, options, &small, NULL, error));
    TRY(eng_plan_init(&plan, layers, model->shape.heads, options->context, error));
    struct eng_layer_plan *layer = plan.layer;
    struct eng_head_plan *head = plan.head;
    plan = small;
    plan.layers = layers;
    plan.layer = layer;
    plan.head = head;
    struct eng_layer_plan widest = widest_of(small.layer, small.layers);
    for (size_t l = 0; l < layers; l++) {
        layer[l] = widest;
        eng_plan_derive_norms(&plan, l, model->shape.width, model->shape.norm_eps);
    }
    *ret = plan;
out:
    eng_plan_finish(&small);
    return status;
}

enum base_status model_plan(const struct model *model, const struct model_plan_options *options,
                            struct eng_plan *ret, struct model_plan_report *report, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(model->shape.one_layer ? calibrate_few(model, options, ret, error)
                               : calibrate(model, options, ret, report, error));
    if (model->file == NULL && !options->general) {
        eng_plan_set_cheap(ret, MODEL_TYPICAL_RANGE, MODEL_TYPICAL_HEADROOM);
        status = eng_plan_check(ret, error);
        if (status != BASE_OK)
            eng_plan_finish(ret);
        TRY(status);
    }
    if (model->file == NULL)
        TRY(kv_profile_init_uniform(&ret->profile, model->shape.layers, model->shape.kv_heads, error));
    (void)snprintf(ret->model, sizeof ret->model, "%s", model->digest);
out:
    return status;
}
