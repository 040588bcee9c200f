/* What the model owner's commands start from: a model (or a named shape with synthetic weights), its
 * tokenizer, and its numeric plan. */
#ifndef CACHET_PARTIES_MODEL_H
#define CACHET_PARTIES_MODEL_H

#include "engine/calibrate.h"
#include "engine/tokenizer/tokenizer.h"

struct model_input {
    const char *path;      /* a model directory or file; or NULL and */
    const char *shape;     /* the name of a shape */
    const char *tokenizer; /* NULL: where the model is */
    /* Of a shape: its first layers alone, 0: all; and the weights of one layer in every one of them. */
    uint64_t layers;
    bool one_layer;
};

struct model {
    struct model_input input;
    struct eng_model_file *file; /* NULL for a named shape */
    struct eng_model_shape shape;
    struct eng_weight_source source;
    char digest[65];
};

/* The model must stay where it is while it lives. Errors: BASE_ERR_ARGUMENT when both or neither are given,
 * and those of the reader. */
BASE_MUST_USE enum base_status model_open(struct model *ret, struct model_input input,
                                          struct base_error *error);
void model_close(struct model *model);

/* What a client gets as tokenizer: --tokenizer, else the model directory; NULL when the model is one file or
 * a shape. */
const char *model_tokenizer_path(const struct model *model);
/* *ret stays NULL for a named shape: it has no tokenizer. */
BASE_MUST_USE enum base_status model_tokenizer(const struct model *model, struct eng_tokenizer **ret,
                                               struct base_error *error);

/* A whole text file as tokens. Errors: BASE_ERR_IO, BASE_ERR_ARGUMENT (empty, not UTF-8; the text starts with
 * the path). */
BASE_MUST_USE enum base_status model_encode_file(const struct eng_tokenizer *tokenizer, const char *path,
                                                 bool add_bos, struct eng_tokens *ret,
                                                 struct base_error *error);

/* That a plan was made for this model and that its gates and rings hold; `path` names the plan in the error.
 * Errors: BASE_ERR_MISMATCH with both digests, BASE_ERR_RANGE. */
BASE_MUST_USE enum base_status model_check_plan(const struct model *model, const struct eng_plan *plan,
                                                const char *path, struct base_error *error);

struct model_plan_options {
    const char *text; /* calibration text; NULL: calibration.txt of the model directory, else the model's own
                         samples */
    uint64_t context;
    bool general, thin, fold;
};
/* Ranges of scores and headroom, in bits, that stand for those of a real model where weights are synthetic.
 */
enum { MODEL_TYPICAL_RANGE = 64, MODEL_TYPICAL_HEADROOM = 24 };
/* What a plan was made from. */
struct model_plan_report {
    struct eng_layer_choice *choices; /* [layers], the caller's; NULL: not wanted */
    size_t texts, longest;            /* calibration texts, and tokens of the longest */
};
/* Calibrates. Shows progress on a terminal. report: NULL, or zeroed but for its choices. */
BASE_MUST_USE enum base_status model_plan(const struct model *model, const struct model_plan_options *options,
                                          struct eng_plan *ret, struct model_plan_report *report,
                                          struct base_error *error);

#endif
