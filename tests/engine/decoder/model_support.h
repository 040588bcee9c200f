/* What the tests of the engine share: a real model from the tree (or from ../shared, where it is present),
 * its plan, its weights in the form of every role, and its gates. */
#ifndef CACHET_TESTS_ENGINE_MODEL_SUPPORT_H
#define CACHET_TESTS_ENGINE_MODEL_SUPPORT_H

#include "engine/calibrate.h"
#include "engine/decoder.h"
#include "tests/protocols/check.h"

enum { MODEL_SAMPLES = 4, MODEL_SAMPLE_LENGTH = 96 };

/* Rows of one weight of one layer, and their biases in the MLP, times a factor: what they make is as much
 * larger. */
struct model_gain {
    enum eng_tensor tensor;
    size_t layer, first, rows;
    float factor;
    bool tame;                   /* the plan is made without it */
    struct eng_weight_source of; /* the weights without it: model_open sets it */
};

struct model {
    int32_t samples[MODEL_SAMPLES][MODEL_SAMPLE_LENGTH]; /* the text that the plan was made from */
    struct eng_model_file *file;
    struct eng_weight_source source;
    struct model_gain gain;
    struct eng_plan plan;
    struct eng_gates gates;
    void *block[MPC_COUNT];
    struct eng_weights weights[MPC_COUNT + 1];
};

/* Odd extents, one KV head for all, a separate head, and heads wider together than the residual. */
extern const struct eng_model_shape model_odd_shape;

/* How a test wants its plan. */
struct model_options {
    size_t context;
    bool general_attention, general_activation, thin, fold, pair;
    bool roomy; /* scores and 1 / rms get more bits than the text asks for, so many that two parties extend t */
    const struct eng_model_shape *shape; /* synthetic weights of this shape instead of a file */
    struct model_gain gain;              /* no rows: none */
};

/* false (and a message) when the model is not there; any other failure ends the test. `path` is relative to
 * the source tree. */
/* *ret stays where it is while its source is used. */
bool model_open(struct model *ret, const char *path, struct model_options options);
void model_close(struct model *model);

/* Told each token of a generation: ends it after `stop_after` tokens when it is not 0. */
struct counter {
    size_t tokens, stop_after;
};

static inline bool count_token(void *context, int32_t token)
{
    struct counter *c = context;
    (void)token;
    return ++c->tokens != c->stop_after;
}

#endif
