/* cachet serve: the gateway, OpenAI's API over HTTP in front of a deployment. */
#include "parties/command.h"
#include "parties/notify.h"
#include "parties/options.h"
#include "parties/serve/prompt.h"
#include "parties/serve/server.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_MS = 100 };

struct serve {
    struct gateway gateway;
    struct cachet_options client;
    const char *listen, *keys, *template, *level;
    uint64_t running, waiting, bucket, connections, body_kib, padding, request_seconds, patience_seconds;
    double ping_seconds, drain_seconds;
    bool no_key, json;
};

static void log_client(void *context, int level, const char *request, const char *text)
{
    const struct base_log *log = context;
    base_log_write(log,
                   level < 0                ? BASE_LOG_ERROR
                   : level > BASE_LOG_DEBUG ? BASE_LOG_DEBUG
                                            : (enum base_log_level)level,
                   request, "%s", text);
}

/* What can be refused before any file of the deployment is read. */
static enum base_status check_access(struct serve *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool local;
    TRY(base_log_level_parse(s->level, &s->gateway.log.level, error));
    TRY(serve_listen_check(s->listen, &local, error));
    TRY_THAT(s->keys == NULL || !s->no_key, error, BASE_ERR_ARGUMENT,
             "--api-key-file and --no-api-key exclude each other");
    TRY_THAT(local || s->keys != NULL || s->no_key, error, BASE_ERR_ARGUMENT,
             "--listen %.80s lets other machines ask: give --api-key-file FILE, or --no-api-key if something in front "
             "checks who asks",
             s->listen);
    if (s->keys != NULL)
        TRY(serve_keys_read(&s->gateway.keys, s->keys, error));
    s->gateway.check_host = local || s->gateway.host_name != NULL;
out:
    return status;
}

/* It is said in JSON and asked for in requests. */
static enum base_status check_model_name(const char *name, struct base_error *error)
{
    char clean[API_MODEL_BYTES];
    (void)base_text_clean(clean, sizeof clean, name, strlen(name));
    if (*name != '\0' && strcmp(clean, name) == 0)
        return BASE_OK;
    return base_fail(
        error, BASE_ERR_ARGUMENT,
        "the model's name is \"%.80s\": must be printable UTF-8 of 1 to %d bytes; give one with --model-name", clean,
        API_MODEL_BYTES - 1);
}

static enum base_status choose_template(struct serve *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char names[API_TEMPLATE_NAMES];
    bool known = false;
    if (s->template != NULL) {
        s->gateway.chat = api_template_find(s->template);
        api_template_names(names);
        TRY_THAT(s->gateway.chat != NULL, error, BASE_ERR_ARGUMENT, "--chat-template is \"%.40s\": must be one of %s",
                 s->template, names);
        return BASE_OK;
    }
    TRY(api_template_of_directory(&s->gateway.chat, &known, s->client.shares, error));
    if (!known)
        base_log_write(&s->gateway.log, BASE_LOG_WARNING, NULL,
                       "the client directory has no chat template that is known: messages are written as \"%s\"; see "
                       "--chat-template",
                       api_template_name(s->gateway.chat));
out:
    return status;
}

static enum base_status open_client(struct serve *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct cachet_error failure = {0};
    struct gateway *gateway = &s->gateway;
    s->client.most_running = (size_t)s->running;
    s->client.most_waiting = (size_t)s->waiting;
    s->client.log = log_client;
    s->client.log_context = &gateway->log;
    enum cachet_code code = cachet_open(&gateway->client, &s->client, &failure);
    TRY_THAT(code == CACHET_OK, error, base_status_of_exit_code((int)code), "%s", failure.text);
    cachet_describe(gateway->client, &gateway->model);
    if (gateway->model_name == NULL)
        gateway->model_name = gateway->model.name;
    TRY(check_model_name(gateway->model_name, error));
    gateway->created = (int64_t)time(NULL);
    gateway->options = (struct serve_options){.most_connections = (size_t)s->connections,
                                              .body_bytes = (size_t)s->body_kib * 1024,
                                              .ping_ms = (int)(s->ping_seconds * 1e3),
                                              .request_ms = (int)s->request_seconds * 1000,
                                              .patience_ms = (int)s->patience_seconds * 1000,
                                              .prompt_multiple = (size_t)s->bucket,
                                              .padding = (size_t)s->padding};
    if (s->bucket > 1)
        TRY(serve_prompt_choose_pad(gateway, error));
out:
    return status;
}

static void say_ready(const struct gateway *gateway)
{
    const char *key = gateway->keys.count > 0 ? " -H 'Authorization: Bearer KEY'" : "";
    (void)printf("ready at %s (a page for browsers); ask with: curl -N %s/v1/chat/completions%s -H 'Content-Type: "
                 "application/json' -d "
                 "'{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"stream\":true}'\n",
                 gateway->listen.url, gateway->listen.url, key);
    (void)fflush(stdout);
}

/* Until it is asked to stop; says once when all parties are there. */
static void serve_until_stopped(struct serve *s)
{
    struct gateway *gateway = &s->gateway;
    struct cachet_state state;
    struct notify_watchdog watchdog = {0};
    bool said = false;
    notify_watchdog_start(&watchdog);
    notify_send(&gateway->log, NOTIFY_STATUS, "waiting for the parties");
    base_log_write(&gateway->log, BASE_LOG_INFO, NULL, "listening at %s, waiting for the parties", gateway->listen.url);
    while (!command_stopped(NULL)) {
        if (!said) {
            cachet_get_state(gateway->client, &state);
            said = state.ready;
            if (said) {
                say_ready(gateway);
                notify_send(&gateway->log, NOTIFY_READY, "listening at %s", gateway->listen.url);
            }
        }
        notify_watchdog_feed(&watchdog, &gateway->log);
        serve_server_look(gateway);
        base_sleep_ms(LOOK_MS);
    }
    notify_send(&gateway->log, NOTIFY_STOPPING, "asked to stop");
    base_log_write(&gateway->log, BASE_LOG_INFO, NULL, "stopping: %zu requests may go on for %.0f s",
                   atomic_load(&gateway->generating), s->drain_seconds);
    serve_server_stop(gateway, (int)(s->drain_seconds * 1e3));
}

static enum base_status run_gateway(struct serve *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct gateway *gateway = &s->gateway;
    gateway->listen.socket = -1;
    serve_metrics_open(&gateway->metrics);
    TRY(check_access(s, error));
    TRY(open_client(s, error));
    TRY(choose_template(s, error));
    TRY(serve_listen_open(&gateway->listen, s->listen, error));
    TRY(serve_server_start(gateway, error));
    serve_until_stopped(s);
out:
    serve_listen_close(&gateway->listen);
    cachet_close(&gateway->client);
    serve_keys_finish(&gateway->keys);
    serve_metrics_close(&gateway->metrics);
    return status;
}

static const char more[] = "The gateway is the client's own software: it sees prompts and answers in the clear, the "
                           "parties see shares. Run it on "
                           "the client's side. There is no TLS in it: beyond this machine, put a proxy with TLS in "
                           "front. Logs go to stderr; they "
                           "never hold a prompt or an answer.";

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct serve s = {.listen = "127.0.0.1:8080",
                      .level = "info",
                      .waiting = 16,
                      .bucket = 1,
                      .connections = 256,
                      .body_kib = 1024,
                      .padding = API_PADDING,
                      .request_seconds = 30,
                      .patience_seconds = 30,
                      .ping_seconds = 1,
                      .drain_seconds = 5};
    bool done = false;
    /* clang-format off */
    const struct option_entry options[] = {
        {.name = "config", .value = "FILE", .target = &s.client.config, .required = true,
         .help = "the config that all parties and clients share"},
        {.name = "key", .value = "FILE", .target = &s.client.key, .required = true,
         .help = "this client's key pair, from keygen"},
        {.name = "shares", .value = "DIR", .target = &s.client.shares, .required = true,
         .help = "the client directory, from share"},
        {.name = "tokenizer", .value = "PATH", .target = &s.client.tokenizer,
         .help = "tokenizer, when it is not in the client directory"},
        {.name = "listen", .value = "HOST:PORT", .target = &s.listen,
         .help = "address (default 127.0.0.1:8080: this machine alone)"},
        {.name = "host-name", .value = "NAME", .target = &s.gateway.host_name,
         .help = "name under which a proxy in front is known: Host may hold it, too, and nothing else"},
        {.name = "api-key-file", .value = "FILE", .help = "keys that may ask, one per line", .target = &s.keys},
        {.name = "no-api-key", .kind = OPTION_FLAG, .target = &s.no_key,
         .help = "let everyone ask, even from other machines"},
        {.name = "model-name", .value = "NAME", .target = &s.gateway.model_name,
         .help = "what requests call the model (default: its own name)"},
        {.name = "chat-template", .value = "NAME", .target = &s.template,
         .help = "how messages become a prompt (default: told from the tokenizer's files)"},
        {.name = "most-running", .value = "N", .kind = OPTION_COUNT, .target = &s.running, .low = 1, .high = 4096,
         .help = "requests at the same time (default: as the config's limits.slots)"},
        {.name = "most-waiting", .value = "N", .kind = OPTION_COUNT, .target = &s.waiting, .low = 0, .high = 65536,
         .help = "requests that may wait; further ones get 429 (default 16)"},
        {.name = "prompt-bucket", .value = "N", .kind = OPTION_COUNT, .target = &s.bucket, .low = 1, .high = 65536,
         .help = "fill prompts up with white space to a multiple of N tokens, so that the parties do not see their "
                 "true lengths; may change answers a little (default 1: off)"},
        {.name = "event-bytes", .value = "N", .kind = OPTION_COUNT, .target = &s.padding, .low = API_PADDING_MIN, .high = API_PADDING_MAX,
         .help = "padding of a stream's events, so that their lengths do not tell the tokens (default 512)"},
        {.name = "most-connections", .value = "N", .kind = OPTION_COUNT, .target = &s.connections, .low = 1, .high = 16384,
         .help = "open connections; further ones get 503 (default 256)"},
        {.name = "body-kib", .value = "N", .kind = OPTION_COUNT, .target = &s.body_kib, .low = 1, .high = 65536,
         .help = "longest body of a request; longer ones get 413 (default 1024)"},
        {.name = "request-seconds", .value = "N", .kind = OPTION_COUNT, .target = &s.request_seconds, .low = 1, .high = 3600,
         .help = "time for a request to arrive whole (default 30)"},
        {.name = "patience-seconds", .value = "N", .kind = OPTION_COUNT, .target = &s.patience_seconds, .low = 1, .high = 3600,
         .help = "a client that does not read for so long is cancelled (default 30)"},
        {.name = "ping-seconds", .value = "N", .kind = OPTION_REAL, .target = &s.ping_seconds, .low = 0.02, .high = 3600,
         .help = "a stream without a token says so often how far the request is (default 1)"},
        {.name = "drain-seconds", .value = "N", .kind = OPTION_REAL, .target = &s.drain_seconds, .low = 0, .high = 86400,
         .help = "after SIGTERM, time for requests that run; then they are cancelled (default 5)"},
        {.name = "log-level", .value = "LEVEL", .help = "error, warning, info or debug (default info)", .target = &s.level},
        {.name = "json", .help = "log as JSON, one object per line", .kind = OPTION_FLAG, .target = &s.json},
        OPTION_END};
    /* clang-format on */
    TRY(options_parse(
        argc, argv, "Serves OpenAI's API over HTTP: chat completions, completions, models, health, metrics and a page.",
        more, options, &done, error));
    if (done)
        return BASE_OK;
    s.gateway.log = (struct base_log){.stream = stderr, .json = s.json, .who = "gateway"};
    TRY(run_gateway(&s, error));
out:
    return status;
}

const struct command command_serve = {"serve", "OpenAI's API over HTTP in front of a deployment", run, true};
