/* cachet up: a whole deployment on this machine, with fresh keys: plan, shares, three parties as processes,
 * one request, and what it cost. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/share_files.h"
#include "parties/policy_flags.h"
#include "parties/children.h"
#include "parties/clear.h"
#include "parties/client.h"
#include "parties/command.h"
#include "parties/loopback.h"
#include "parties/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AHEAD_MIB = 64, STEP_SECONDS = 120, CONNECT_SECONDS = 120 };

struct up {
    struct generation_flags flags;
    struct model_input input;
    struct model_plan_options plan_options;
    const char *plan_path, *mode, *keep;
    struct policy_flags policy_flags;
    bool compare, verbose;

    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eng_tokens prompt;
    const struct kv_policy *policy;
    struct kv_config policy_config;
    struct eng_plan plan;
    size_t context;
    char directory[ENG_PATH_MAX], set_id[ENG_SET_ID];
    bool made;
    struct party_config config;
    struct children children;
    struct client client;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

/* --- preparing ----------------------------------------------------------------------------------------- */

/* With synthetic weights --context is what the cache holds when decoding starts; with a model it is prompt
 * plus answer. */
static enum base_status prepare_prompt(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t given = u->plan_options.context, largest = u->model.shape.context;
    TRY(model_tokenizer(&u->model, &u->tokenizer, error));
    if (u->tokenizer == NULL) {
        u->context = (given > 0 ? given : 64) + u->flags.max_tokens;
        TRY(generation_prompt(&u->flags, NULL, &u->model.shape, u->context, u->context - u->flags.max_tokens,
                              &u->prompt, error));
    } else {
        TRY(generation_prompt(&u->flags, u->tokenizer, &u->model.shape, given > 0 ? given : largest, 0,
                              &u->prompt, error));
        u->context = given > 0 ? given : u->prompt.count + u->flags.max_tokens;
    }
    TRY_THAT(u->context <= largest, error, BASE_ERR_ARGUMENT,
             "a context of %zu tokens: the model was trained for %zu; shorten prompt and answer", u->context,
             largest);
    u->plan_options.context = u->context;
out:
    return status;
}

static enum base_status prepare_plan(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    double start = base_clock_seconds();
    if (u->plan_path == NULL) {
        TRY(model_plan(&u->model, &u->plan_options, &u->plan, NULL, error));
    } else {
        TRY(eng_plan_read(&u->plan, u->plan_path, error));
        TRY(model_check_plan(&u->model, &u->plan, u->plan_path, error));
        TRY_THAT(u->context <= (size_t)u->plan.context, error, BASE_ERR_RANGE,
                 "%s was made for a context of %d, prompt and answer have %zu", u->plan_path, u->plan.context,
                 u->context);
    }
    say("plan: residual %d fraction bits, weights %d, activations %d (%.1f s)", u->plan.fx, u->plan.fw,
        u->plan.fu, base_clock_seconds() - start);
out:
    return status;
}

/* Says the need and refuses what this machine cannot hold, before any weight is read: typical widths stand
 * for those of the plan. */
static enum base_status check_memory(const struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan plan = {0};
    struct memory_form form = {.shape = &u->model.shape,
                               .plan = &plan,
                               .policy = u->policy,
                               .config = u->policy_config,
                               .context = u->context,
                               .queue_bytes = (size_t)AHEAD_MIB << 20};
    uint64_t total = 0, available = memory_available();
    TRY(eng_plan_init(&plan, u->model.shape.layers, u->model.shape.heads, u->context, error));
    TRY(kv_profile_init_uniform(&plan.profile, u->model.shape.layers, u->model.shape.kv_heads, error));
    struct eng_decoder_form sizes = {.shape = &u->model.shape,
                                     .plan = &plan,
                                     .policy = u->policy,
                                     .config = u->policy_config,
                                     .context = u->context};
    TRY(eng_decoder_allows(&sizes, u->prompt.count, u->context - u->prompt.count, error));
    eng_plan_set_typical(&plan, u->model.shape.width, u->model.shape.norm_eps, 5);
    for (int i = 0; i < 3; i++) {
        struct memory_need need;
        TRY(memory_of(&need, (enum mpc_role)i, &form, error));
        total += memory_total(&need);
        say("memory P%d: %.0f MB weights, %.0f MB cache, up to %.0f MB work and queues", i,
            (double)need.weights * 1e-6, (double)need.cache * 1e-6, (double)(need.work + need.queues) * 1e-6);
    }
    TRY_THAT(available == 0 || total <= available, error, BASE_ERR_MEMORY,
             "the three parties need up to %.1f GB together and %.1f GB are free: take a smaller model or "
             "context, or run the parties on three machines",
             (double)total * 1e-9, (double)available * 1e-9);
out:
    eng_plan_finish(&plan);
    return status;
}

static enum base_status make_directory(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *base = getenv("TMPDIR");
    if (u->keep != NULL) {
        TRY(eng_path_print(u->directory, error, "%s", u->keep));
        TRY(eng_make_directory(u->directory, error));
    } else {
        TRY(eng_path_print(u->directory, error, "%s/cachet-up-XXXXXX",
                           base != NULL && *base != '\0' ? base : "/tmp"));
        TRY_THAT(mkdtemp(u->directory) != NULL, error, BASE_ERR_IO, "cannot make a directory %s: %s",
                 u->directory, strerror(errno));
    }
    u->made = true;
out:
    return status;
}

static enum base_status make_shares(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    struct base_progress progress = {0};
    double start = base_clock_seconds();
    uint64_t weights = eng_weights_count(&u->model.shape);
    TRY(eng_path_print(path, error, "%s/set", u->directory));
    base_progress_start(&progress, "sharing", weights);
    status = eng_share_set_write(path, &u->model.source, &u->plan, model_tokenizer_path(&u->model),
                                 kern_table_select(~0u), &progress, u->set_id, error);
    base_progress_finish(&progress);
    TRY(status);
    say("shares: %.1f million weights masked for P0, P1 and P2 (%.1f s)", (double)weights * 1e-6,
        base_clock_seconds() - start);
out:
    return status;
}

static enum base_status make_config(struct up *u, struct base_error *error)
{
    struct party_config *c = &u->config;
    kv_config_print(u->policy, &u->policy_config, c->cache.policy);
    c->limits = (struct config_limits){.context = (uint32_t)u->context,
                                       .connect_seconds = CONNECT_SECONDS,
                                       .step_seconds = STEP_SECONDS,
                                       .ahead_mib = AHEAD_MIB};
    struct loopback_form form = {
        .directory = u->directory, .model = u->model.digest, .set = u->set_id, .plan = &u->plan};
    return loopback_make(c, &form, error);
}

/* --- running ------------------------------------------------------------------------------------------- */

static enum base_status start_parties(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char config[ENG_PATH_MAX], key[ENG_PATH_MAX], shares[ENG_PATH_MAX], log[ENG_PATH_MAX];
    TRY(eng_path_print(config, error, "%s/config.yaml", u->directory));
    for (int i = 0; i < 3; i++) {
        u->children.name[i] = party_config_name(&u->config, (size_t)i);
        TRY(eng_path_print(key, error, "%s/%s.key", u->directory, loopback_end(i)));
        TRY(eng_path_print(shares, error, "%s/set/%s", u->directory, loopback_end(i)));
        TRY(eng_path_print(log, error, "%s/%s.log", u->directory, loopback_end(i)));
        TRY(children_start(&u->children, i, config, key, shares, log, error));
    }
    say("P0, P1 and P2 run as three processes over TCP with CURVE on 127.0.0.1, ports from %u, %u and %u",
        (unsigned)u->config.parties[0].port, (unsigned)u->config.parties[1].port,
        (unsigned)u->config.parties[2].port);
out:
    return status;
}

static int child_ended(void *context)
{
    struct up *u = context;
    return command_stopped(NULL) || children_check(&u->children, NULL) != BASE_OK;
}

static enum base_status ask(struct up *u, struct generation_context *context, struct generation_run *run,
                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    char config[ENG_PATH_MAX], key[ENG_PATH_MAX], shares[ENG_PATH_MAX];
    TRY(eng_path_print(config, error, "%s/config.yaml", u->directory));
    TRY(eng_path_print(key, error, "%s/client.key", u->directory));
    TRY(eng_path_print(shares, error, "%s/set/client", u->directory));
    TRY(client_open(&u->client, config, key, shares, error));
    u->client.cancelled = child_ended;
    u->client.cancel_context = u;
    TRY(client_connect(&u->client, error));
    TRY(client_generate(&u->client, context, &u->prompt, run, error));
out:
    return status;
}

static enum base_status generate(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct generation_run run = {0}, clear = {0};
    struct generation_context context = {.flags = &u->flags,
                                         .tokenizer = u->tokenizer,
                                         .shape = &u->model.shape,
                                         .plan = &u->plan,
                                         .policy = u->policy->name,
                                         .mode = u->mode,
                                         .prompt_tokens = u->prompt.count,
                                         .last_prompt_token = u->prompt.ids[u->prompt.count - 1]};
    say("prompt: %zu tokens, as shares; answer:", u->prompt.count);
    status = ask(u, &context, &run, error);
    client_close(&u->client);
    children_stop(&u->children);
    TRY(status);
    if (u->compare) {
        struct clear_form form = {.model = &u->model,
                                  .plan = &u->plan,
                                  .policy = u->policy,
                                  .config = u->policy_config,
                                  .context = u->context};
        TRY(clear_generate(&form, &context, &u->prompt, false, &clear, error));
    }
    TRY(generation_report(&context, &run, u->compare ? &clear : NULL, error));
out:
    generation_finish(&run);
    generation_finish(&clear);
    return status;
}

/* A party that ended is the cause of whatever the client saw. */
static void blame_child(struct up *u, struct base_error *error)
{
    struct base_error cause = {0};
    if (children_check(&u->children, &cause) == BASE_OK)
        return;
    *error = cause;
}

static void copy_logs(const struct up *u)
{
    for (int i = 0; i < 3; i++) {
        char line[1024];
        FILE *file = u->children.log[i][0] == '\0' ? NULL : fopen(u->children.log[i], "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            (void)fputs(line, stderr);
        if (file != NULL)
            (void)fclose(file);
    }
}

static enum base_status run_all(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(policy_flags_read(&u->policy_flags, &u->policy, &u->policy_config, error));
    TRY_THAT(party_config_find_mode(u->mode, &u->config.mode), error, BASE_ERR_ARGUMENT,
             "--mode is \"%s\": must be three-party or two-party-with-dealer", u->mode);
    TRY(model_open(&u->model, u->input, error));
    TRY(prepare_prompt(u, error));
    TRY(check_memory(u, error));
    TRY(prepare_plan(u, error));
    TRY(make_directory(u, error));
    TRY(make_shares(u, error));
    TRY(make_config(u, error));
    TRY(start_parties(u, error));
    status = generate(u, error);
    if (status != BASE_OK)
        blame_child(u, error);
out:
    client_close(&u->client);
    children_stop(&u->children);
    if (u->verbose)
        copy_logs(u);
    if (u->made && u->keep == NULL)
        eng_remove_tree(u->directory);
    eng_tokens_finish(&u->prompt);
    eng_tokenizer_close(&u->tokenizer);
    eng_plan_finish(&u->plan);
    model_close(&u->model);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct up *u = NULL;
    bool done = false;
    TRY(base_alloc(&u, 1, sizeof *u, error));
    u->policy_flags = (struct policy_flags)POLICY_FLAGS_STANDARD;
    u->mode = "three-party";
    const struct option_entry own[] = {
        OPTION_MODEL(&u->input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: a public shape with synthetic weights and a made-up prompt",
         .target = &u->input.shape},
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer, when it is not where the model is",
         .target = &u->input.tokenizer},
        {.name = "context",
         .value = "N",
         .help = "model: longest prompt plus answer (default: as needed); shape: tokens in the cache when "
                 "decoding starts",
         .kind = OPTION_COUNT,
         .target = &u->plan_options.context,
         .low = 1,
         .high = 1 << 20},
        {.name = "plan",
         .value = "FILE",
         .help = "use this numeric plan (default: calibrate one)",
         .target = &u->plan_path},
        {.name = "text",
         .value = "FILE",
         .help = "calibration text (see cachet plan)",
         .target = &u->plan_options.text},
        OPTIONS_WIDTHS(&u->plan_options),
        OPTIONS_POLICY(&u->policy_flags),
        {.name = "mode",
         .value = "NAME",
         .help = "three-party (default) or two-party-with-dealer: the same protocol, P0 is called the dealer",
         .target = &u->mode},
        {.name = "compare",
         .help = "run the same model in the clear afterwards and compare every token",
         .kind = OPTION_FLAG,
         .target = &u->compare},
        {.name = "keep",
         .value = "DIR",
         .help = "keep config, keys, shares and logs in this new directory",
         .target = &u->keep},
        {.name = "verbose",
         .help = "print the parties' logs at the end",
         .kind = OPTION_FLAG,
         .target = &u->verbose}};
    enum { OWN = sizeof own / sizeof *own };
    struct option_entry options[GENERATION_OPTIONS + OWN + 1] = {{0}};
    generation_options(&u->flags, options);
    memcpy(options + GENERATION_OPTIONS, own, sizeof own);
    TRY(options_parse(argc, argv,
                      "Runs a whole deployment on this machine: fresh keys, plan, shares, three parties as "
                      "three processes, and one request.",
                      NULL, options, &done, error));
    if (!done)
        TRY(run_all(u, error));
out:
    base_free_secret(&u);
    return status;
}

const struct command command_up = {"up", "a whole deployment on this machine, for trying", run, true};
