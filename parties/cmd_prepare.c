/* cachet prepare: mode two-party; P1 and P2 make the material of texts that will come, and keep it. */
#include "parties/command.h"
#include "parties/options.h"
#include "parties/prepare.h"

#include <jansson.h>
#include <stdio.h>

enum { TOKENS_MOST = 1 << 20, TEXTS_MOST = 4096 };

struct arguments {
    const char *config, *key, *shares;
    struct prepare_form form;
    bool json;
};

static void report(const struct arguments *a, const struct prepared *made)
{
    const struct prepare_form *f = &a->form;
    if (a->json) {
        json_t *root = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "texts", (json_int_t)made->complete, "wanted", (json_int_t)f->texts, "prompt_tokens",
                                 (json_int_t)f->prompt_tokens, "new_tokens", (json_int_t)f->tokens, "bytes", (json_int_t)made->bytes, "seconds", made->seconds);
        (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        (void)putchar('\n');
        json_decref(root);
        return;
    }
    (void)printf("%llu of %llu texts made ahead of use, each of %llu prompt tokens and %llu new ones: %.1f MB between P1 and P2, %.1f s\n",
                 (unsigned long long)made->complete, (unsigned long long)f->texts, (unsigned long long)f->prompt_tokens, (unsigned long long)f->tokens,
                 (double)made->bytes * 1e-6, made->seconds);
}

static enum base_status prepare(const struct arguments *a, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct client client = {0};
    struct prepared made = {0};
    TRY(client_open(&client, a->config, a->key, a->shares, error));
    TRY(prepare_check(&client.config, a->config, &a->form, error));
    TRY(client_connect(&client, error));
    TRY(prepare_texts(&client, &a->form, &made, error));
    report(a, &made);
    TRY_THAT(!made.stopped, error, BASE_ERR_CLOSED, "asked to stop: %llu of %llu texts are complete and stay, what was made of another one is dropped",
             (unsigned long long)made.complete, (unsigned long long)a->form.texts);
out:
    client_close(&client);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct arguments a = {.form.texts = 1};
    bool done = false;
    const struct option_entry options[] = {
        {.name = "config", .value = "FILE", .help = "the config that all parties and clients share", .target = &a.config, .required = true},
        {.name = "key", .value = "FILE", .help = "this client's key pair, from keygen", .target = &a.key, .required = true},
        {.name = "shares", .value = "DIR", .help = "the client directory, from share", .target = &a.shares, .required = true},
        {.name = "prompt-tokens",
         .value = "P",
         .help = "tokens of the prompts that will come, exactly",
         .kind = OPTION_COUNT,
         .target = &a.form.prompt_tokens,
         .required = true,
         .low = 1,
         .high = TOKENS_MOST},
        {.name = "tokens",
         .value = "N",
         .help = "new tokens of their answers, at most",
         .kind = OPTION_COUNT,
         .target = &a.form.tokens,
         .required = true,
         .low = 1,
         .high = TOKENS_MOST},
        {.name = "texts",
         .value = "K",
         .help = "for so many requests (default 1)",
         .kind = OPTION_COUNT,
         .target = &a.form.texts,
         .low = 1,
         .high = TEXTS_MOST},
        {.name = "json", .help = "print an object instead of a line", .kind = OPTION_FLAG, .target = &a.json},
        OPTION_END};
    TRY(options_parse(argc, argv, "Mode two-party: P1 and P2 make the material of requests that will come, and keep it for them (party --spool).",
                      "A request uses a text of its prompt's length and of as many new tokens or more, once. Stopped with Ctrl-C it ends after the step "
                      "under way and keeps what is complete.",
                      options, &done, error));
    if (!done)
        TRY(prepare(&a, error));
out:
    return status;
}

const struct command command_prepare = {"prepare", "mode two-party: makes material ahead of requests", run, true};
