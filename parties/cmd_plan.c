/* cachet plan: the numeric plan of a model, from calibration text. */
#include "parties/command.h"
#include "parties/model.h"
#include "parties/options.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a model owner wants to see: widths, and where a layer is wide. */
static void print_plan(const struct eng_plan *plan, const char *out, bool json)
{
    int widest = 0;
    size_t layer = 0;
    for (size_t l = 0; l < plan->layers; l++)
        if (plan->layer[l].bits[ENG_SCORE] > widest) {
            widest = plan->layer[l].bits[ENG_SCORE];
            layer = l;
        }
    if (json) {
        json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b}", "file", out,
                                 "model", plan->model, "context", plan->context, "residual_fraction",
                                 plan->fx, "weight_fraction", plan->fw, "activation_fraction", plan->fu,
                                 "rope_fraction", plan->fc, "widest_score_bits", widest, "widest_score_layer",
                                 (int)layer, "thin", plan->ring_sv != 0, "fold", plan->fold);
        (void)json_dumpf(root, stdout, JSON_INDENT(1));
        (void)putchar('\n');
        json_decref(root);
        return;
    }
    (void)printf("%s: residual %d fraction bits, weights %d, activations %d, context %d\n", out, plan->fx,
                 plan->fw, plan->fu, plan->context);
    (void)printf("widest attention scores: within %d nats (layer %zu)%s\n", 1 << widest, layer,
                 widest > 6 ? ": such heads make large exp tables and cost dealt bytes" : "");
}

/* A path that cannot be written is said before minutes of calibration, not after. */
static enum base_status check_writable(const char *path, struct base_error *error)
{
    char copy[4096];
    (void)snprintf(copy, sizeof copy, "%s", path);
    const char *asked = access(path, F_OK) == 0 ? path : dirname(copy);
    if (access(asked, W_OK) == 0)
        return BASE_OK;
    return base_fail(error, BASE_ERR_IO, "cannot write the plan to %s: %s", path, strerror(errno));
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_input input = {0};
    struct model_plan_options plan_options = {.context = 2048};
    const char *out = NULL;
    bool json = false, done = false;
    struct model model = {0};
    struct eng_plan plan = {0};
    const struct option_entry options[] = {
        OPTION_MODEL(&input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: a public shape with synthetic weights",
         .target = &input.shape},
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer, when it is not where the model is",
         .target = &input.tokenizer},
        {.name = "text",
         .value = "FILE",
         .help = "calibration text; default: calibration.txt of the model directory, else samples of the "
                 "model itself",
         .target = &plan_options.text},
        {.name = "context",
         .value = "N",
         .help = "longest prompt plus answer in tokens (default 2048)",
         .kind = OPTION_COUNT,
         .target = &plan_options.context,
         .low = 2,
         .high = 1 << 20},
        OPTIONS_WIDTHS(&plan_options),
        {.name = "out", .value = "FILE", .help = "plan.json to write", .target = &out, .required = true},
        {.name = "json",
         .help = "print an object instead of sentences",
         .kind = OPTION_FLAG,
         .target = &json},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Makes the numeric plan of a model: ring, fraction bits and bound of every wire. It "
                      "publishes these numbers and nothing else.",
                      NULL, options, &done, error));
    if (done)
        return BASE_OK;
    TRY(check_writable(out, error));
    TRY(model_open(&model, input, error));
    TRY(model_plan(&model, &plan_options, &plan, error));
    TRY(eng_plan_write(&plan, out, error));
    print_plan(&plan, out, json);
out:
    eng_plan_finish(&plan);
    model_close(&model);
    return status;
}

const struct command command_plan = {"plan", "the numeric plan of a model, from calibration text", run,
                                     false};
