#include "tests/engine/decoder/model_support.h"

#include "base/memory.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void calibrate(struct model *m, struct model_options options)
{
    struct base_error error = {0};
    size_t lengths[MODEL_SAMPLES];
    /* A model knows no more than its positions. */
    const struct eng_model_shape *shape = m->source.shape;
    size_t length =
        shape->positions && shape->context < MODEL_SAMPLE_LENGTH ? shape->context : MODEL_SAMPLE_LENGTH;
    int32_t texts[MODEL_SAMPLES * MODEL_SAMPLE_LENGTH];
    for (size_t i = 0; i < MODEL_SAMPLES; i++)
        lengths[i] = length;
    check_ok(eng_calibration_samples(&m->source, shape->bos, MODEL_SAMPLES, length, texts, NULL, &error),
             &error, "samples");
    for (size_t i = 0; i < MODEL_SAMPLES; i++)
        memcpy(m->samples[i], texts + i * length, length * sizeof *texts);
    struct eng_calibration c = {.tokens = texts,
                                .lengths = lengths,
                                .sequences = MODEL_SAMPLES,
                                .context = options.context,
                                .general_attention = options.general_attention,
                                .general_activation = options.general_activation,
                                .profile = true,
                                .thin = options.thin,
                                .fold = options.fold};
    check_ok(eng_calibrate(&m->plan, &m->source, &c, NULL, NULL, &error), &error, "plan");
    enum { ROOMY_SCORE = 9, ROOMY_FRACTION = 20 };
    for (size_t l = 0; options.roomy && l < m->plan.layers; l++) {
        struct eng_layer_plan *layer = &m->plan.layer[l];
        layer->bits[ENG_SCORE] = ROOMY_SCORE;
        layer->bt[ENG_NORM_ATTENTION] += ROOMY_FRACTION - layer->ft[ENG_NORM_ATTENTION];
        layer->ft[ENG_NORM_ATTENTION] = ROOMY_FRACTION;
    }
    if (options.pair)
        eng_plan_set_pair(&m->plan);
    check_ok(eng_plan_check(&m->plan, &error), &error, "plan");
}

const struct eng_model_shape model_odd_shape = {.layers = 2,
                                                .width = 20,
                                                .heads = 3,
                                                .kv_heads = 1,
                                                .head_dim = 10,
                                                .ffn = 37,
                                                .vocab = 53,
                                                .context = 64,
                                                .rope_theta = 10000,
                                                .norm_eps = 1e-5,
                                                .bos = -1,
                                                .model_type = "odd"};

/* What else makes the same outputs. */
static enum eng_tensor bias_of(enum eng_tensor tensor)
{
    return tensor == ENG_TENSOR_UP ? ENG_TENSOR_UP_BIAS : ENG_TENSORS;
}

static enum base_status read_with_gain(const void *context, enum eng_tensor tensor, size_t layer,
                                       struct eng_row_range range, float *ret, struct base_error *error)
{
    const struct model_gain *gain = context;
    enum base_status status = gain->of.read(gain->of.context, tensor, layer, range, ret, error);
    size_t rows, columns;
    eng_tensor_extent(gain->of.shape, tensor, &rows, &columns);
    for (size_t i = 0; i < range.rows && tensor == gain->tensor && layer == gain->layer; i++)
        if (range.first_row + i >= gain->first && range.first_row + i < gain->first + gain->rows)
            for (size_t c = 0; c < columns; c++)
                ret[i * columns + c] *= gain->factor;
    for (size_t c = 0; c < columns && tensor == bias_of(gain->tensor) && layer == gain->layer; c++)
        if (c >= gain->first && c < gain->first + gain->rows)
            ret[c] *= gain->factor;
    return status;
}

static void add_gain(struct model *m, struct model_gain gain)
{
    if (gain.rows == 0)
        return;
    m->gain = gain;
    m->gain.of = m->source;
    m->source = (struct eng_weight_source){m->source.shape, read_with_gain, &m->gain};
}

bool model_open(struct model *ret, const char *path, struct model_options options)
{
    struct base_error error = {0};
    char full[1024];
    struct stat info;
    (void)snprintf(full, sizeof full, "%s/%s", CACHET_SOURCE_DIR, path);
    *ret = (struct model){0};
    if (options.shape != NULL) {
        ret->source = eng_weights_synthetic(options.shape);
    } else if (stat(full, &info) != 0) {
        (void)fprintf(stderr, "skipped: %s is not there\n", path);
        return false;
    } else {
        check_ok(eng_model_file_open(&ret->file, full, &error), &error, path);
        ret->source = eng_weights_of_file(ret->file);
    }
    if (!options.gain.tame)
        add_gain(ret, options.gain);
    calibrate(ret, options);
    if (options.gain.tame)
        add_gain(ret, options.gain);
    check_ok(eng_gates_init(&ret->gates, ret->source.shape, &ret->plan, &error), &error, "gates");
    struct eng_weight_targets targets = {.key1 = {1}, .key2 = {2}, .kern = kern_table_select(~0u)};
    for (int role = 0; role < MPC_COUNT; role++) {
        check_ok(base_alloc(&ret->block[role], eng_weights_size((enum mpc_role)role, ret->source.shape, &ret->plan), 1,
                            &error),
                 &error, "weights");
        targets.block[role] = ret->block[role];
    }
    check_ok(eng_weights_make(&ret->source, &ret->plan, &targets, NULL, &error), &error, "weights");
    for (int role = 0; role <= MPC_COUNT; role++)
        check_ok(eng_weights_init(&ret->weights[role], (enum mpc_role)role, ret->source.shape, &ret->plan,
                                  role < MPC_COUNT ? ret->block[role] : NULL, &error),
                 &error, "weights");
    return true;
}

void model_close(struct model *model)
{
    for (int role = 0; role <= MPC_COUNT; role++)
        eng_weights_finish(&model->weights[role]);
    for (int role = 0; role < MPC_COUNT; role++)
        base_free_secret(&model->block[role]);
    eng_gates_finish(&model->gates);
    eng_plan_finish(&model->plan);
    eng_model_file_close(&model->file);
}
