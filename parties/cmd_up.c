/* cachet up: a whole deployment on this machine, with fresh keys: plan, shares, three parties as processes,
 * one request, and what it cost; or the gateway, until it is stopped. */
#include "base/clock.h"
#include "base/memory.h"
#include "parties/clear.h"
#include "parties/command.h"
#include "parties/deployment.h"
#include "parties/policy_flags.h"
#include "parties/prepare.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct up {
    struct generation_flags flags;
    struct model_input input;
    struct model_plan_options plan_options;
    const char *plan_path, *mode, *keep, *device;
    bool device_fallback;
    const char *party_flags[4];
    struct policy_flags policy_flags;
    const char *listen, *api_keys;
    uint64_t slots;
    bool compare, verbose, serve, prepare;

    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eng_tokens prompt;
    const struct kv_policy *policy;
    struct kv_config policy_config;
    struct eng_plan plan;
    size_t context;
    struct deployment deployment;
};

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

/* Without a prompt: room for as much as the plan, the flag or the model allows, 1024 tokens by default. */
static enum base_status prepare_context(struct up *u, struct base_error *error)
{
    enum { USUAL = 1024 };
    enum base_status status = BASE_OK;
    size_t largest = u->model.shape.context;
    TRY_THAT(u->flags.prompt == NULL && u->flags.prompt_file == NULL, error, BASE_ERR_ARGUMENT,
             "--serve takes its prompts over HTTP: leave out --prompt and --prompt-file");
    TRY_THAT(!u->compare, error, BASE_ERR_ARGUMENT, "--serve and --compare exclude each other");
    u->context = u->plan_options.context > 0 ? u->plan_options.context : largest < USUAL ? largest : USUAL;
    TRY_THAT(u->context <= largest, error, BASE_ERR_ARGUMENT,
             "a context of %zu tokens: the model was trained for %zu", u->context, largest);
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
    deployment_say("plan: residual %d fraction bits, weights %d, activations %d (%.1f s)", u->plan.fx, u->plan.fw,
        u->plan.fu, base_clock_seconds() - start);
out:
    return status;
}

/* --- running ------------------------------------------------------------------------------------------- */

/* The request's material, before the request. */
static enum base_status prepare(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct prepare_form form = {.prompt_tokens = u->prompt.count, .tokens = u->flags.max_tokens, .texts = 1};
    struct prepared made;
    TRY(prepare_texts(&u->deployment.client, &form, &made, error));
    TRY_THAT(!made.stopped, error, BASE_ERR_CLOSED, "asked to stop");
    deployment_say("material: %.1f MB between P1 and P2, before there is a prompt (%.1f s)", (double)made.bytes * 1e-6, made.seconds);
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
    status = deployment_connect(&u->deployment, error);
    if (status == BASE_OK && u->prepare) {
        status = prepare(u, error);
        if (status == BASE_OK)
            status = deployment_connect(&u->deployment, error);
    }
    deployment_say("prompt: %zu tokens, as shares; answer:", u->prompt.count);
    if (status == BASE_OK)
        status = deployment_generate(&u->deployment, &context, &u->prompt, &run, error);
    deployment_stop(&u->deployment);
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

/* The gateway as one more process of this program, which says where it listens. */
static enum base_status start_gateway(struct up *u, pid_t *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct deployment_files files;
    TRY(deployment_client_files(&u->deployment, &files, error));
    const char *arguments[] = {"cachet", "serve",      "--config",    files.config, "--key",
                               files.key, "--shares",  files.shares,  "--listen",   u->listen,
                               "--log-level", u->verbose ? "info" : "warning", NULL, NULL, NULL};
    if (u->api_keys != NULL) {
        enum { FREE = sizeof arguments / sizeof *arguments - 3 };
        arguments[FREE] = "--api-key-file";
        arguments[FREE + 1] = u->api_keys;
    }
    pid_t parent = getpid(), pid = fork();
    TRY_THAT(pid >= 0, error, BASE_ERR_MEMORY, "cannot start a process for the gateway: %s", strerror(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        (void)setpgid(0, 0);
        (void)execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    *ret = pid;
out:
    return status;
}

/* It has said why; its exit code is handed on. */
static enum base_status gateway_ended(int how, struct base_error *error)
{
    enum base_status status = WIFEXITED(how) ? base_status_of_exit_code(WEXITSTATUS(how)) : BASE_ERR_PEER;
    if (status == BASE_OK)
        status = BASE_ERR_PEER;
    return base_fail(error, status, "the gateway has ended: its own words stand above");
}

static enum base_status serve(struct up *u, struct base_error *error)
{
    enum { LOOK_MS = 100 };
    enum base_status status = BASE_OK;
    pid_t gateway = 0;
    int ended = 0;
    TRY(start_gateway(u, &gateway, error));
    while (status == BASE_OK && !command_stopped(NULL)) {
        if (waitpid(gateway, &ended, WNOHANG) == gateway)
            return gateway_ended(ended, error);
        status = children_check(&u->deployment.children, error);
        base_sleep_ms(LOOK_MS);
    }
    (void)kill(gateway, SIGTERM);
    (void)waitpid(gateway, &ended, 0);
out:
    return status;
}

/* What each party is told of the device. */
static const char *const *device_flags(struct up *u)
{
    size_t count = 0;
    if (u->device != NULL) {
        u->party_flags[count++] = "--device";
        u->party_flags[count++] = u->device;
    }
    if (u->device_fallback)
        u->party_flags[count++] = "--device-fallback";
    return u->party_flags;
}

static enum base_status run_all(struct up *u, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct deployment_form form = {.model = &u->model, .plan = &u->plan, .directory = u->keep};
    TRY(policy_flags_read(&u->policy_flags, &u->policy, &u->policy_config, error));
    TRY_THAT(party_config_find_mode(u->mode, &form.mode), error, BASE_ERR_ARGUMENT,
             "--mode is \"%s\": must be three-party, two-party-with-dealer or two-party", u->mode);
    enum { MOST_SECONDS = 3600 };
    bool alone = form.mode == CONFIG_TWO_PARTY;
    TRY_THAT(!u->prepare || (alone && !u->serve), error, BASE_ERR_ARGUMENT,
             "--prepare: with --mode two-party and one request, where material is made ahead of use");
    form.spool = alone;
    if (alone) /* what two parties make */
        u->plan_options.general = true;
    TRY(model_open(&u->model, u->input, error));
    TRY(u->serve ? prepare_context(u, error) : prepare_prompt(u, error));
    form.party_flags = device_flags(u);
    form.policy = u->policy;
    form.policy_config = u->policy_config;
    form.limits = deployment_limits(u->context);
    if (alone)
        form.limits.connect_seconds = MOST_SECONDS; /* they encrypt their weights for each other first */
    if (u->serve)
        form.limits.slots = alone ? 1 : (uint32_t)u->slots;
    TRY(deployment_check_memory(&form, u->serve ? u->context - 1 : u->prompt.count, error));
    TRY(prepare_plan(u, error));
    TRY(deployment_init(&u->deployment, &form, error));
    TRY(deployment_start(&u->deployment, error));
    const struct config_party *p = u->deployment.config.parties;
    if (alone)
        deployment_say("P1 and P2 run as two processes over TCP with CURVE on 127.0.0.1, ports from %u and %u", (unsigned)p[1].port, (unsigned)p[2].port);
    else
        deployment_say("P0, P1 and P2 run as three processes over TCP with CURVE on 127.0.0.1, ports from %u, %u and %u",
        (unsigned)p[0].port, (unsigned)p[1].port, (unsigned)p[2].port);
    TRY(u->serve ? serve(u, error) : generate(u, error));
out:
    deployment_stop(&u->deployment);
    if (u->verbose)
        deployment_show_logs(&u->deployment);
    deployment_finish(&u->deployment);
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
    u->listen = "127.0.0.1:8080";
    u->slots = 4;
    const struct option_entry own[] = {
        OPTION_MODEL(&u->input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: a public shape with synthetic weights and a made-up prompt",
         .target = &u->input.shape},
        OPTIONS_SHAPE(&u->input),
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
         .help = "three-party (default); two-party-with-dealer: the same protocol, P0 is called the dealer; two-party: no P0, slow",
         .target = &u->mode},
        {.name = "prepare",
         .help = "two-party: make the request's material first, as if its prompt were not there yet (cachet prepare)",
         .kind = OPTION_FLAG,
         .target = &u->prepare},
        {.name = "serve",
         .help = "instead of one request: the gateway (cachet serve), until it is stopped",
         .kind = OPTION_FLAG,
         .target = &u->serve},
        {.name = "listen",
         .value = "HOST:PORT",
         .help = "serve: where (default 127.0.0.1:8080)",
         .target = &u->listen},
        {.name = "api-key-file",
         .value = "FILE",
         .help = "serve: keys that may ask, one per line",
         .target = &u->api_keys},
        {.name = "slots",
         .value = "N",
         .help = "serve: requests at the same time, in the rounds of one (default 4)",
         .kind = OPTION_COUNT,
         .target = &u->slots,
         .low = 1,
         .high = PARTY_CONFIG_SLOTS},
        {.name = "compare",
         .help = "run the same model in the clear afterwards and compare every token",
         .kind = OPTION_FLAG,
         .target = &u->compare},
        {.name = "device",
         .value = "NAME",
         .help = "cuda:N: every party works on this GPU (see cachet party)",
         .target = &u->device},
        {.name = "device-fallback",
         .help = "parties go on on the CPU where the device is missing, too small or fails",
         .kind = OPTION_FLAG,
         .target = &u->device_fallback},
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
                      "three processes, and one request, or the gateway.",
                      NULL, options, &done, error));
    if (!done)
        TRY(run_all(u, error));
out:
    base_free_secret(&u);
    return status;
}

const struct command command_up = {"up", "a whole deployment on this machine, for trying", run, true};
