/* cachet share: a model as one share directory per party. */
#include "engine/share_set.h"
#include "parties/command.h"
#include "parties/model.h"
#include "parties/options.h"

#include <sodium.h>
#include <stdio.h>

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_input input = {0};
    const char *plan_path = NULL, *out = NULL;
    bool json = false, done = false;
    struct model model = {0};
    struct eng_plan plan = {0};
    struct base_progress progress = {0};
    char set[ENG_SET_ID], plan_hex[ENG_HEX_DIGEST];
    uint8_t plan_digest[32];
    const struct option_entry options[] = {
        OPTION_MODEL(&input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: a public shape with synthetic weights",
         .target = &input.shape},
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer to give to clients (default: the model directory's)",
         .target = &input.tokenizer},
        {.name = "plan",
         .value = "FILE",
         .help = "plan.json of this model",
         .target = &plan_path,
         .required = true},
        {.name = "out",
         .value = "DIR",
         .help = "new directory: p0, p1, p2 and client are made in it",
         .target = &out,
         .required = true},
        {.name = "json",
         .help = "print an object instead of sentences",
         .kind = OPTION_FLAG,
         .target = &json},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Masks a model's weights, writes one directory per party and prints the model's line for the shared config. Any two of the three "
                      "parties' directories give the model away: "
                      "send each to its own party and keep none.",
                      NULL, options, &done, error));
    if (done)
        return BASE_OK;
    TRY(eng_plan_read(&plan, plan_path, error));
    TRY(model_open(&model, input, error));
    TRY(model_check_plan(&model, &plan, plan_path, error));
    TRY(eng_plan_digest(&plan, plan_digest, error));
    (void)sodium_bin2hex(plan_hex, sizeof plan_hex, plan_digest, sizeof plan_digest);
    base_progress_start(&progress, "sharing", eng_weights_count(&model.shape));
    TRY(eng_share_set_write(out, &model.source, &plan, model_tokenizer_path(&model), kern_table_select(~0u),
                            &progress, set, error));
    base_progress_finish(&progress);
    if (json)
        (void)printf("{\"set\": \"%s\", \"model\": \"%s\", \"plan\": \"%s\", \"weights\": %llu}\n", set, model.digest,
                     plan_hex, (unsigned long long)eng_weights_count(&model.shape));
    else
        (void)printf("%s: share set %s of model %.16s...\nsend p0, p1 and p2 to their parties and client to "
                     "the clients; the line for the shared config:\nmodel: {digest: \"%s\", plan: \"%s\", shares: \"%s\"}\n",
                     out, set, model.digest, model.digest, plan_hex, set);
out:
    base_progress_finish(&progress);
    eng_plan_finish(&plan);
    model_close(&model);
    return status;
}

const struct command command_share = {"share", "a model as one share directory per party", run, true};
