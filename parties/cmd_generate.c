/* cachet generate: a prompt in, text out; over the parties of a deployment, or the plaintext twin. */
#include "base/memory.h"
#include "base/progress.h"
#include "engine/share_set.h"
#include "parties/cachet.h"
#include "parties/clear.h"
#include "parties/command.h"
#include "parties/config.h"
#include "parties/generation.h"
#include "parties/policy_flags.h"

#include <stdio.h>
#include <string.h>

struct generate {
    struct generation_flags flags;
    const char *backend, *config, *key, *shares, *plan;
    struct policy_flags policy;
    struct model_input input;
};

/* What the library's thread tells while a request runs. */
struct live {
    const struct generate *g;
    struct generation_run *run;
    struct base_progress progress;
    bool told; /* that no material waits */
};

static bool show_token(void *context, const struct cachet_token *token)
{
    struct live *l = context;
    base_progress_finish(&l->progress);
    if (!l->g->flags.json) {
        (void)fwrite(token->text, 1, token->size, stdout);
        (void)fflush(stdout);
    }
    if (token->id >= 0)
        l->run->generated.tokens[l->run->generated.count++] = token->id;
    return true;
}

static void show_progress(void *context, const struct cachet_progress *progress)
{
    struct live *l = context;
    if (progress->material == CACHET_MATERIAL_DRY && !l->told) {
        bool shown = l->progress.stream != NULL;
        base_progress_finish(&l->progress);
        (void)fprintf(stderr,
                      "no material waits for a request of %zu prompt tokens and %llu new ones: P1 and P2 make each step's before it; `cachet prepare` "
                      "makes it ahead\n",
                      progress->rows, (unsigned long long)l->g->flags.max_tokens);
        if (shown)
            base_progress_start(&l->progress, "prompt, on shares", progress->rows);
        l->told = true;
    }
    base_progress_update(&l->progress, progress->rows_done, 0);
}

static struct eng_phase_usage usage_of(const struct cachet_phase *p)
{
    return (struct eng_phase_usage){.tokens = p->tokens,
                                    .rounds = p->rounds,
                                    .online = p->online_bytes,
                                    .offline = p->dealt_bytes,
                                    .client = p->client_bytes,
                                    .microseconds = (uint64_t)(p->seconds * 1e6),
                                    .cpu_microseconds = (uint64_t)(p->processor_seconds * 1e6)};
}

static void take_result(struct generation_run *run, const struct cachet_result *result)
{
    run->generated.prefill_seconds = result->prompt_seconds;
    run->generated.decode_seconds = result->decode_seconds;
    run->generated.decode_steps = result->steps;
    run->sent_prefill = result->sent_prompt;
    run->sent_decode = result->sent_decode;
    run->source = result->material == CACHET_MATERIAL_SPOOLED ? ENG_TEXT_SPOOLED : result->material == CACHET_MATERIAL_DRY ? ENG_TEXT_DRY : ENG_TEXT_MADE;
    run->texts_left = result->texts_left;
    for (int i = 0; i < 3; i++)
        run->usage[i] = (struct eng_usage){.prefill = usage_of(&result->report[i].prompt),
                                           .decode = usage_of(&result->report[i].decode),
                                           .opened = result->report[i].opened_values,
                                           .peak_memory = result->report[i].peak_memory};
}

/* Until the request has ended, or the program is asked to stop. */
static enum base_status wait_for(struct cachet *client, struct cachet_request *request, struct cachet_result *result,
                                 struct base_error *error)
{
    enum { LOOK_MS = 100 };
    struct cachet_error cause = {0};
    struct cachet_job *job = NULL;
    enum cachet_code code = cachet_submit(client, request, &job, &cause);
    while (code == CACHET_OK && !cachet_wait_for(job, LOOK_MS))
        if (command_stopped(NULL))
            cachet_cancel(job);
    if (code == CACHET_OK)
        code = cachet_wait(job, result, &cause);
    cachet_release(&job);
    if (code == CACHET_OK && result->finish == CACHET_FINISH_CANCELLED)
        return base_fail(error, BASE_ERR_CLOSED, "asked to stop: the answer was cut off, and the parties are free");
    return code == CACHET_OK ? BASE_OK : base_fail(error, base_status_of_exit_code((int)code), "%s", cause.text);
}

static enum base_status connect(const struct generate *g, struct cachet **ret, struct base_error *error)
{
    enum { LOOK_MS = 100 };
    struct cachet_error cause = {0};
    struct cachet_options options = {
        .config = g->config, .key = g->key, .shares = g->shares, .tokenizer = g->input.tokenizer, .once = true};
    enum cachet_code code = cachet_open(ret, &options, &cause);
    while (code == CACHET_OK && !command_stopped(NULL)) {
        enum cachet_code ready = cachet_wait_ready(*ret, LOOK_MS, &cause);
        if (ready == CACHET_OK)
            return BASE_OK;
        if (ready != CACHET_NOT_READY)
            code = ready;
    }
    if (code == CACHET_OK)
        return base_fail(error, BASE_ERR_CLOSED, "asked to stop");
    return base_fail(error, base_status_of_exit_code((int)code), "%s", cause.text);
}

static enum base_status on_shares(const struct generate *g, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct party_config config = {0};
    struct eng_share share = {0};
    struct cachet *client = NULL;
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens prompt = {0};
    struct generation_run run = {0};
    struct cachet_result result = {0};
    struct live live = {.g = g, .run = &run};
    TRY_THAT(g->config != NULL && g->key != NULL && g->shares != NULL, error, BASE_ERR_ARGUMENT,
             "--config, --key and --shares are needed to ask the parties (or --backend clear with --model "
             "and --plan)");
    TRY(party_config_read(&config, g->config, error));
    TRY(eng_share_open(&share, g->shares, ENG_SHARE_CLIENT, NULL, error));
    TRY(eng_tokenizer_open(&tokenizer, g->input.tokenizer != NULL ? g->input.tokenizer : g->shares, error));
    TRY(generation_prompt(&g->flags, tokenizer, &share.shape, config.limits.context, 0, &prompt, error));
    TRY(connect(g, &client, error));
    struct generation_context context = {.flags = &g->flags,
                                         .tokenizer = tokenizer,
                                         .shape = &share.shape,
                                         .plan = &share.plan,
                                         .policy = config.cache.policy,
                                         .mode = party_config_mode_name(config.mode),
                                         .prompt_tokens = prompt.count,
                                         .last_prompt_token = prompt.ids[prompt.count - 1]};
    struct cachet_request request = {.tokens = prompt.ids,
                                     .token_count = prompt.count,
                                     .max_tokens = g->flags.max_tokens,
                                     .temperature = g->flags.temperature,
                                     .top_p = g->flags.top_p,
                                     .top_k = g->flags.top_k,
                                     .seed = g->flags.seed,
                                     .inside = g->flags.inside,
                                     .ignore_eos = g->flags.ignore_eos,
                                     .token = show_token,
                                     .progress = show_progress,
                                     .context = &live};
    TRY(base_alloc(&run.generated.tokens, g->flags.max_tokens, sizeof *run.generated.tokens, error));
    base_progress_start(&live.progress, "prompt, on shares", prompt.count);
    status = wait_for(client, &request, &result, error);
    base_progress_finish(&live.progress);
    if (!g->flags.json && run.generated.count > 0)
        (void)putchar('\n');
    TRY(status);
    take_result(&run, &result);
    TRY(generation_report(&context, &run, NULL, error));
out:
    cachet_close(&client);
    generation_finish(&run);
    eng_tokens_finish(&prompt);
    eng_tokenizer_close(&tokenizer);
    eng_share_close(&share);
    party_config_finish(&config);
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
