#include "parties/serve/completion.h"

#include "base/clock.h"
#include "base/memory.h"
#include "parties/serve/stream.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_MESSAGES = 1024, STANDARD_TOKENS = 16, STOP_WAITS_MS = 1000 };

static enum base_status set_lengths(struct serve_completion *c, struct api_error *refusal)
{
    enum base_status status = BASE_OK;
    size_t context = c->gateway->model.context, count = c->prompt.count;
    size_t room = count < context ? context - count : 0, asked = c->request.max_tokens;
    const char *param = c->request.endpoint == API_CHAT ? "messages" : "prompt";
    const char *padded = c->gateway->options.prompt_multiple > 1 ? ", rounded up by --prompt-bucket" : "";
    if (room == 0)
        return api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, param, "context_length_exceeded",
                        "the prompt has %zu tokens%s; the context holds %zu, the answer included: shorten it", count,
                        padded, context);
    if (asked > room)
        return api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, "max_tokens", "context_length_exceeded",
                        "max_tokens is %zu, but beside the prompt's %zu tokens%s the context of %zu has room for %zu",
                        asked, count, padded, context, room);
    c->asked.max_tokens = asked > 0                                                         ? asked
                          : c->request.endpoint == API_COMPLETION && room > STANDARD_TOKENS ? STANDARD_TOKENS
                                                                                            : room;
    return status;
}

static void fill_request(struct serve_completion *c)
{
    const struct api_request *request = &c->request;
    const char *own = request->endpoint == API_CHAT ? api_template_stop(c->gateway->chat) : NULL;
    size_t stops = 0;
    for (size_t i = 0; i < request->stop_count; i++)
        c->stops[stops++] = request->stop[i];
    if (own != NULL)
        c->stops[stops++] = own;
    c->asked.tokens = c->prompt.tokens;
    c->asked.token_count = c->prompt.count;
    c->asked.temperature = request->temperature;
    c->asked.top_p = request->top_p;
    c->asked.top_k = request->top_k;
    c->asked.seed = request->seed;
    if (!request->has_seed)
        randombytes_buf(&c->asked.seed, sizeof c->asked.seed);
    c->asked.stop = c->stops;
    c->asked.stop_count = stops;
    serve_answer_attach(&c->answer, &c->asked);
}

/* Reads the body and queues the request; BASE_OK or *refusal is filled in. */
static enum base_status submit(struct serve_completion *c, struct serve_exchange *exchange, enum api_endpoint endpoint,
                               struct api_error *refusal)
{
    enum base_status status = BASE_OK;
    struct gateway *gateway = c->gateway;
    struct base_error error = {0};
    struct cachet_error failure = {0};
    const struct api_limits limits = {.body_bytes = gateway->options.body_bytes,
                                      .messages = MOST_MESSAGES,
                                      .max_tokens = gateway->model.context,
                                      .vocabulary = gateway->model.vocabulary};
    if (atomic_load(&gateway->draining))
        return api_fail(refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "stopping",
                        "the gateway is being stopped");
    TRY(api_request_parse(&c->request, endpoint, exchange->body, exchange->body_size, &limits, refusal));
    if (c->request.model[0] != '\0' && strcmp(c->request.model, gateway->model_name) != 0)
        return api_error_model(refusal, gateway->model_name);
    TRY(serve_prompt_make(&c->prompt, gateway, &c->request, refusal));
    TRY(set_lengths(c, refusal));
    if (serve_answer_open(&c->answer, gateway->options.patience_ms / 1e3, &error) != BASE_OK) {
        api_error_from_base(refusal, &error);
        return BASE_ERR_MEMORY;
    }
    fill_request(c);
    if (cachet_submit(gateway->client, &c->asked, &c->job, &failure) != CACHET_OK) {
        api_error_from_cachet(refusal, &failure);
        return BASE_ERR_CLOSED;
    }
    atomic_fetch_add(&gateway->generating, 1);
    (void)snprintf(c->job_id, sizeof c->job_id, "%s", cachet_job_id(c->job));
    base_log_write(&gateway->log, BASE_LOG_INFO, c->job_id, "%s: %zu prompt tokens, at most %zu new%s",
                   endpoint == API_CHAT ? "chat" : "completion", c->prompt.count, c->asked.max_tokens,
                   c->request.stream ? ", as a stream" : "");
out:
    return status;
}

void serve_completion_keep(struct serve_completion *c, bool waiting)
{
    unsigned seconds = waiting ? 0 : (unsigned)((c->gateway->options.patience_ms + 999) / 1000);
    (void)MHD_set_connection_option(c->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

void serve_completion_count_token(struct serve_completion *c, const struct cachet_token *token)
{
    if (c->tokens++ == 0)
        serve_metrics_timing(&c->gateway->metrics, SERVE_FIRST_TOKEN, base_clock_seconds() - c->began);
    else
        serve_metrics_timing(&c->gateway->metrics, SERVE_PER_TOKEN, token->seconds);
}

void serve_completion_settle(struct serve_completion *c, enum serve_outcome outcome)
{
    static const char *const words[SERVE_OUTCOMES] = {"end of text", "as long as asked", "cancelled", "failed",
                                                      "refused"};
    if (c->settled)
        return;
    c->settled = true;
    serve_metrics_outcome(&c->gateway->metrics, outcome);
    if (c->job_id[0] == '\0')
        return;
    double seconds = base_clock_seconds() - c->began;
    if (outcome == SERVE_OUT_STOP || outcome == SERVE_OUT_LENGTH) {
        serve_metrics_timing(&c->gateway->metrics, SERVE_PROMPT, c->result.prompt_seconds);
        serve_metrics_timing(&c->gateway->metrics, SERVE_WHOLE, seconds);
    }
    base_log_write(&c->gateway->log, BASE_LOG_INFO, c->job_id, "%s: %zu new tokens in %.2f s", words[outcome],
                   c->tokens, seconds);
}

void serve_completion_cancel(struct serve_completion *c, enum serve_event why)
{
    const char *reason = why == SERVE_TOO_SLOW   ? "its reader does not read"
                         : why == SERVE_STOPPING ? "the gateway stops"
                                                 : "its client is gone";
    cachet_cancel(c->job);
    if (!c->settled)
        base_log_write(&c->gateway->log, BASE_LOG_INFO, c->job_id, "to be cancelled: %s", reason);
    serve_completion_settle(c, SERVE_OUT_CANCELLED);
}

bool serve_completion_result(struct serve_completion *c, struct api_error *refusal)
{
    struct cachet_error failure = {0};
    if (cachet_wait(c->job, &c->result, &failure) != CACHET_OK) {
        serve_completion_settle(c, SERVE_OUT_FAILED);
        base_log_write(&c->gateway->log, BASE_LOG_WARNING, c->job_id, "%s", failure.text);
        api_error_from_cachet(refusal, &failure);
        return false;
    }
    if (c->result.finish == CACHET_FINISH_STOP || c->result.finish == CACHET_FINISH_LENGTH) {
        serve_completion_settle(c, c->result.finish == CACHET_FINISH_STOP ? SERVE_OUT_STOP : SERVE_OUT_LENGTH);
        return true;
    }
    serve_completion_settle(c, SERVE_OUT_CANCELLED);
    (void)api_fail(refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "cancelled", "the request was cancelled");
    return false;
}

/* The whole answer: tokens are put together until the end. */
static enum MHD_Result answer_whole(struct serve_exchange *exchange, struct serve_completion *c)
{
    struct api_error refusal = {0};
    struct base_error error = {0};
    struct cachet_token token;
    struct api_text json = {0};
    char *text = NULL;
    size_t size = 0;
    enum serve_event event;
    enum MHD_Result result = MHD_NO;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return MHD_NO;
    serve_completion_keep(c, true);
    while ((event = serve_answer_next(&c->answer, c->socket, &c->gateway->stopping, STOP_WAITS_MS, &token)) ==
               SERVE_TOKEN ||
           event == SERVE_QUIET)
        if (event == SERVE_TOKEN) {
            serve_completion_count_token(c, &token);
            (void)fwrite(token.text, 1, token.size, out);
        }
    serve_completion_keep(c, false);
    bool whole = fclose(out) == 0;
    if (event == SERVE_STOPPING) {
        serve_completion_cancel(c, event);
        (void)api_fail(&refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "stopping",
                       "the gateway is being stopped");
        result = serve_reply_error(exchange, &refusal);
    } else if (event != SERVE_ENDED) {
        serve_completion_cancel(c, event);
    } else if (!serve_completion_result(c, &refusal)) {
        result = serve_reply_error(exchange, &refusal);
    } else if (!whole || api_response_whole(&json, &c->stream.answer, text, size, &c->result, &error) != BASE_OK) {
        if (!whole)
            (void)base_fail(&error, BASE_ERR_MEMORY, "no memory for the answer");
        result = serve_reply_base_error(exchange, &error);
    } else {
        result = serve_reply_text(exchange, MHD_HTTP_OK, "application/json", json.data, json.size);
    }
    api_text_finish(&json);
    if (text != NULL)
        base_wipe(text, size);
    free(text);
    return result;
}

enum MHD_Result serve_completion_answer(struct serve_exchange *exchange, enum api_endpoint endpoint)
{
    struct gateway *gateway = exchange->gateway;
    struct base_error error = {0};
    struct api_error refusal = {0};
    struct serve_completion *c = NULL;
    if (base_alloc(&c, 1, sizeof *c, &error) != BASE_OK)
        return serve_reply_base_error(exchange, &error);
    exchange->completion = c;
    c->gateway = gateway;
    c->connection = exchange->connection;
    c->socket = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    c->began = base_clock_seconds();
    enum base_status status = submit(c, exchange, endpoint, &refusal);
    base_free_secret(&exchange->body);
    if (status != BASE_OK) {
        serve_completion_settle(c, SERVE_OUT_REFUSED);
        return serve_reply_error(exchange, &refusal);
    }
    (void)snprintf(exchange->request_id, sizeof exchange->request_id, "%s", c->job_id);
    c->stream.answer = (struct api_answer){.endpoint = endpoint,
                                           .job = c->job_id,
                                           .model = gateway->model_name,
                                           .digest = gateway->model.digest,
                                           .policy = gateway->model.policy,
                                           .created = (int64_t)time(NULL)};
    return c->request.stream ? serve_stream_answer(exchange, c) : answer_whole(exchange, c);
}

void serve_completion_end(struct serve_completion *c)
{
    if (c == NULL)
        return;
    if (c->job != NULL) {
        if (!c->settled)
            serve_completion_cancel(c, SERVE_HUNG_UP);
        cachet_release(&c->job);
        atomic_fetch_sub(&c->gateway->generating, 1);
    }
    serve_answer_close(&c->answer);
    serve_prompt_finish(&c->prompt);
    api_request_finish(&c->request);
    api_text_finish(&c->event);
    base_free_secret(&c);
}
