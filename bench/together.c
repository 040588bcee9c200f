/* Several requests at once, through the client library, against one after the other: three parties as processes behind a link. What sharing
 * rounds gives. */
#include "base/clock.h"
#include "base/memory.h"
#include "bench/relay_process.h"
#include "engine/share_files.h"
#include "parties/cachet.h"
#include "parties/command.h"
#include "parties/deployment.h"
#include "parties/options.h"
#include "parties/policy_flags.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { READY_MS = 120000, STEP_SECONDS = 600, MOST = 32 };

struct together {
    struct model_input input;
    struct policy_flags policy_flags;
    const char *link;
    uint64_t requests, prompt, new_tokens;
    bool json;

    struct model model;
    struct eng_plan plan;
    struct deployment deployment;
    struct relay_process relay;
    struct cachet *client;
    int32_t *tokens;
    double *at; /* [MOST][new_tokens] */
};

/* When one request got its tokens. */
struct timing {
    double *at; /* [new_tokens] */
    size_t count;
    uint64_t rounds; /* of its last step */
};

static bool note_token(void *context, const struct cachet_token *token)
{
    struct timing *t = context;
    if (token->id < 0)
        return true;
    t->at[t->count++] = base_clock_seconds();
    t->rounds = token->rounds;
    return true;
}

static bool is_relayed(const struct together *t)
{
    return strcmp(t->link, "none") != 0;
}

static enum base_status start(struct together *t, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {.context = t->prompt + t->new_tokens};
    struct deployment_form form = {
        .model = &t->model, .plan = &t->plan, .limits = deployment_limits(t->prompt + t->new_tokens), .quiet = true};
    struct deployment_files files;
    struct cachet_error failure = {0};
    TRY(policy_flags_read(&t->policy_flags, &form.policy, &form.policy_config, error));
    TRY(model_open(&t->model, t->input, error));
    TRY(model_plan(&t->model, &options, &t->plan, NULL, error));
    form.limits.slots = (uint32_t)t->requests;
    form.limits.step_seconds = STEP_SECONDS;
    form.bind = is_relayed(t) ? RELAY_BEHIND : NULL;
    TRY(deployment_init(&t->deployment, &form, error));
    if (is_relayed(t))
        TRY(relay_process_start_before(&t->relay, t->link, &t->deployment.config, error));
    TRY(deployment_start(&t->deployment, error));
    TRY(deployment_client_files(&t->deployment, &files, error));
    struct cachet_options client = {.config = files.config, .key = files.key, .shares = files.shares};
    enum cachet_code code = cachet_open(&t->client, &client, &failure);
    if (code == CACHET_OK)
        code = cachet_wait_ready(t->client, READY_MS, &failure);
    TRY_THAT(code == CACHET_OK, error, base_status_of_exit_code((int)code), "%s", failure.text);
    TRY(base_alloc(&t->tokens, t->prompt, sizeof *t->tokens, error));
    TRY(base_alloc(&t->at, MOST * t->new_tokens, sizeof *t->at, error));
    for (size_t i = 0; i < t->prompt; i++)
        t->tokens[i] = (int32_t)((i * 7919 + 13) % t->model.shape.vocab);
out:
    return status;
}

/* `count` requests at once. */
static enum base_status ask(struct together *t, size_t count, struct timing *timing, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct cachet_job *job[MOST] = {0};
    struct cachet_error failure = {0};
    for (size_t i = 0; i < count; i++) {
        timing[i] = (struct timing){.at = t->at + i * t->new_tokens};
        struct cachet_request request = {.tokens = t->tokens,
                                         .token_count = t->prompt,
                                         .max_tokens = t->new_tokens,
                                         .top_p = 1,
                                         .ignore_eos = true,
                                         .token = note_token,
                                         .context = &timing[i]};
        TRY_THAT(cachet_submit(t->client, &request, &job[i], &failure) == CACHET_OK, error, BASE_ERR_INTERNAL, "%s", failure.text);
    }
    for (size_t i = 0; i < count; i++)
        TRY_THAT(cachet_wait(job[i], NULL, &failure) == CACHET_OK, error, BASE_ERR_INTERNAL, "%s", failure.text);
out:
    for (size_t i = 0; i < count; i++)
        cachet_release(&job[i]);
    return status;
}

/* Between the first tokens of all and the first last token every step serves every request. Returns tokens per second there. */
static double rate_of(const struct timing *timing, size_t count)
{
    double from = 0, until = 0;
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++) {
        const struct timing *t = &timing[i];
        from = t->at[0] > from ? t->at[0] : from;
        until = i == 0 || t->at[t->count - 1] < until ? t->at[t->count - 1] : until;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < timing[i].count; j++)
            tokens += timing[i].at[j] > from && timing[i].at[j] <= until;
    return until > from ? (double)tokens / (until - from) : 0;
}

static enum base_status measure(struct together *t, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct timing one, all[MOST];
    size_t n = (size_t)t->requests;
    TRY(ask(t, 1, &one, error));
    double alone = rate_of(&one, 1);
    uint64_t rounds = one.rounds;
    TRY(ask(t, n, all, error));
    double together = rate_of(all, n);
    TRY_THAT(together > 0, error, BASE_ERR_ARGUMENT,
             "the first answer ended before the last prompt was read: raise --new-tokens beyond %llu",
             (unsigned long long)t->new_tokens);
    if (t->json)
        (void)printf("{\"link\": \"%s\", \"requests\": %zu, \"prompt\": %llu, \"rounds_alone\": %llu, \"rounds_together\": %llu, "
                     "\"rate_alone\": %.4f, \"rate_together\": %.4f, \"ratio\": %.2f}\n",
                     t->link, n, (unsigned long long)t->prompt, (unsigned long long)rounds, (unsigned long long)all[0].rounds, alone,
                     together, together / alone);
    else
        (void)printf("link %s: one request %.3f tokens per second, %llu rounds each; %zu together %.3f tokens per second, %llu rounds for "
                     "all: %.2f times as many\n",
                     t->link, alone, (unsigned long long)rounds, n, together, (unsigned long long)all[0].rounds, together / alone);
out:
    return status;
}

static void finish(struct together *t)
{
    cachet_close(&t->client);
    deployment_finish(&t->deployment);
    relay_process_kill(&t->relay);
    eng_plan_finish(&t->plan);
    model_close(&t->model);
    base_free(&t->tokens);
    base_free(&t->at);
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct together t = {.policy_flags = POLICY_FLAGS_STANDARD, .link = "none", .requests = 8, .prompt = 16, .new_tokens = 24};
    bool done = false;
    const struct option_entry options[] = {
        OPTION_MODEL(&t.input.path),
        {.name = "shape", .value = "NAME", .help = "instead: a public shape with synthetic weights", .target = &t.input.shape},
        OPTIONS_SHAPE(&t.input),
        {.name = "link", .value = "LINK", .help = "as cachet relay takes it; none (default): loopback without a relay", .target = &t.link},
        {.name = "requests", .value = "N", .help = "at once (default 8)", .kind = OPTION_COUNT, .target = &t.requests, .low = 2, .high = MOST},
        {.name = "prompt", .value = "N", .help = "tokens of each prompt (default 16)", .kind = OPTION_COUNT, .target = &t.prompt, .low = 1, .high = 1 << 20},
        {.name = "new-tokens", .value = "N", .help = "of each answer (default 24)", .kind = OPTION_COUNT, .target = &t.new_tokens, .low = 4, .high = 4096},
        OPTIONS_POLICY(&t.policy_flags),
        {.name = "json", .help = "print an object", .kind = OPTION_FLAG, .target = &t.json},
        OPTION_END};
    TRY(options_parse(argc, argv, "Measures requests that share rounds, through the client library, beside one after the other.", NULL, options,
                      &done, error));
    if (!done) {
        status = start(&t, error);
        if (status == BASE_OK)
            status = measure(&t, error);
        finish(&t);
    }
out:
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    char name[] = "bench_together";
    enum base_status status;
    if (sodium_init() < 0)
        return 1;
    command_catch_signals();
    /* Parties and relay are this program again. */
    if (argc > 1 && strcmp(argv[1], "party") == 0)
        status = command_party.run(argc - 1, argv + 1, &error);
    else if (argc > 1 && strcmp(argv[1], "relay") == 0)
        status = command_relay.run(argc - 1, argv + 1, &error);
    else {
        argv[0] = name;
        status = run(argc, argv, &error);
    }
    if (status != BASE_OK)
        (void)fprintf(stderr, "%s: error (%s): %s\n", argv[0], base_status_name(status), error.text);
    return base_status_exit_code(status);
}
