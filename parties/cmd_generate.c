/* cachet generate: a prompt in, text out; over the parties of a deployment, or the plaintext twin. */
#include "parties/policy_flags.h"
#include "parties/clear.h"
#include "parties/client.h"
#include "parties/command.h"

#include <string.h>

struct generate {
    struct generation_flags flags;
    const char *backend, *config, *key, *shares, *plan;
    struct policy_flags policy;
    struct model_input input;
};

static enum base_status on_shares(const struct generate *g, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct client client = {0};
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens prompt = {0};
    struct generation_run run = {0};
    TRY_THAT(g->config != NULL && g->key != NULL && g->shares != NULL, error, BASE_ERR_ARGUMENT,
             "--config, --key and --shares are needed to ask the parties (or --backend clear with --model "
             "and --plan)");
    TRY(client_open(&client, g->config, g->key, g->shares, error));
    TRY(eng_tokenizer_open(&tokenizer, g->input.tokenizer != NULL ? g->input.tokenizer : g->shares, error));
    TRY(generation_prompt(&g->flags, tokenizer, &client.share.shape, client.config.limits.context, 0, &prompt,
                          error));
    TRY(client_connect(&client, error));
    struct generation_context context = {.flags = &g->flags,
                                         .tokenizer = tokenizer,
                                         .shape = &client.share.shape,
                                         .plan = &client.share.plan,
                                         .policy = client.config.cache.policy,
                                         .mode = party_config_mode_name(client.config.mode),
                                         .prompt_tokens = prompt.count,
                                         .last_prompt_token = prompt.ids[prompt.count - 1]};
    TRY(client_generate(&client, &context, &prompt, &run, error));
    TRY(generation_report(&context, &run, NULL, error));
out:
    generation_finish(&run);
    eng_tokens_finish(&prompt);
    eng_tokenizer_close(&tokenizer);
    client_close(&client);
    return status;
}

static enum base_status in_clear(const struct generate *g, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model model = {0};
    struct eng_plan plan = {0};
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens prompt = {0};
    struct generation_run run = {0};
    const struct kv_policy *policy;
    struct kv_config config;
    TRY_THAT(g->plan != NULL, error, BASE_ERR_ARGUMENT,
             "--backend clear needs --plan FILE (make one with `cachet plan`)");
    TRY(policy_flags_read(&g->policy, &policy, &config, error));
    TRY(eng_plan_read(&plan, g->plan, error));
    TRY(model_open(&model, g->input, error));
    TRY(model_check_plan(&model, &plan, g->plan, error));
    TRY(model_tokenizer(&model, &tokenizer, error));
    size_t context_size = (size_t)plan.context,
           synthetic = context_size > g->flags.max_tokens ? context_size - g->flags.max_tokens : 1;
    TRY(generation_prompt(&g->flags, tokenizer, &model.shape, context_size, synthetic, &prompt, error));
    struct generation_context context = {.flags = &g->flags,
                                         .tokenizer = tokenizer,
                                         .shape = &model.shape,
                                         .plan = &plan,
                                         .policy = policy->name,
                                         .mode = "clear",
                                         .prompt_tokens = prompt.count,
                                         .last_prompt_token = prompt.ids[prompt.count - 1]};
    struct clear_form form = {.model = &model,
                              .plan = &plan,
                              .policy = policy,
                              .config = config,
                              .context = context_size};
    TRY(clear_generate(&form, &context, &prompt, true, &run, error));
    TRY(generation_report(&context, &run, NULL, error));
out:
    generation_finish(&run);
    eng_tokens_finish(&prompt);
    eng_tokenizer_close(&tokenizer);
    eng_plan_finish(&plan);
    model_close(&model);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct generate g = {.backend = "shares", .policy = POLICY_FLAGS_STANDARD};
    bool done = false;
    const struct option_entry own[] = {
        {.name = "config",
         .value = "FILE",
         .help = "the config that all parties and clients share",
         .target = &g.config},
        {.name = "key", .value = "FILE", .help = "this client's key pair, from keygen", .target = &g.key},
        {.name = "shares", .value = "DIR", .help = "the client directory, from share", .target = &g.shares},
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer, when it is not in the client directory or beside the model",
         .target = &g.input.tokenizer},
        {.name = "backend",
         .value = "NAME",
         .help = "shares (default): the parties; clear: the plaintext twin, which needs the next flags",
         .target = &g.backend},
        {.name = "model",
         .value = "PATH",
         .help = "clear: model directory (Hugging Face), .gguf or llama2.c file",
         .target = &g.input.path},
        {.name = "shape",
         .value = "NAME",
         .help = "clear, instead: a public shape with synthetic weights",
         .target = &g.input.shape},
        {.name = "plan", .value = "FILE", .help = "clear: plan.json of this model", .target = &g.plan},
        OPTIONS_POLICY(&g.policy)};
    enum { OWN = sizeof own / sizeof *own };
    struct option_entry options[GENERATION_OPTIONS + OWN + 1] = {{0}};
    generation_options(&g.flags, options);
    memcpy(options + GENERATION_OPTIONS, own, sizeof own);
    TRY(options_parse(
        argc, argv,
        "Sends a prompt to the parties as shares and prints the text as it comes, then what it cost.", NULL,
        options, &done, error));
    if (done)
        return BASE_OK;
    TRY_THAT(strcmp(g.backend, "shares") == 0 || strcmp(g.backend, "clear") == 0, error, BASE_ERR_ARGUMENT,
             "--backend is \"%s\": must be shares or clear", g.backend);
    TRY(strcmp(g.backend, "clear") == 0 ? in_clear(&g, error) : on_shares(&g, error));
out:
    return status;
}

const struct command command_generate = {"generate", "a prompt in, text out", run, true};
