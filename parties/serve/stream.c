#include "parties/serve/stream.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_SIZE = 4096 };

/* How far a request is; public figures alone. */
static void describe(struct serve_completion *c, char *ret_text, size_t size)
{
    struct cachet_progress p;
    if (!serve_answer_progress(&c->answer, &p))
        (void)snprintf(ret_text, size, "waiting");
    else if (p.ahead > 0)
        (void)snprintf(ret_text, size, "waiting, %zu ahead", p.ahead);
    else if (c->tokens > 0)
        (void)snprintf(ret_text, size, "token %zu, layer %zu/%zu", c->tokens + 1, p.layer, p.layers);
    else if (p.expected > 0)
        (void)snprintf(ret_text, size, "prompt %zu/%zu rows, layer %zu/%zu, %.0f of about %.0f s", p.rows_done, p.rows,
                       p.layer, p.layers, p.seconds, p.expected);
    else
        (void)snprintf(ret_text, size, "prompt %zu/%zu rows, layer %zu/%zu, %.0f s", p.rows_done, p.rows, p.layer,
                       p.layers, p.seconds);
}

/* The last events: what it cost and [DONE], or the refusal that says why there is no more. */
static enum base_status finish(struct serve_completion *c, const struct api_error *refusal, struct base_error *error)
{
    c->done = true;
    if (refusal != NULL)
        return api_stream_error(&c->event, &c->stream, refusal, error);
    c->says_done = true;
    return api_stream_finish(&c->event, &c->stream, &c->result, error);
}

/* Waits for the next event and puts its text into c->event. */
static enum base_status next_event(struct serve_completion *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct cachet_token token;
    struct api_error refusal = {0};
    char text[160];
    enum serve_event event =
        serve_answer_next(&c->answer, c->socket, &c->gateway->stopping, c->gateway->options.ping_ms, &token);
    switch (event) {
    case SERVE_TOKEN:
        serve_completion_count_token(c, &token);
        TRY(api_stream_token(&c->event, &c->stream, &token, error));
        break;
    case SERVE_QUIET:
        describe(c, text, sizeof text);
        TRY(api_stream_comment(&c->event, text, error));
        break;
    case SERVE_ENDED:
        TRY(finish(c, serve_completion_result(c, &refusal) ? NULL : &refusal, error));
        break;
    case SERVE_STOPPING:
        serve_completion_cancel(c, event);
        (void)api_fail(&refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "stopping",
                       "the gateway is being stopped");
        TRY(finish(c, &refusal, error));
        break;
    default:
        serve_completion_cancel(c, event);
        return base_fail(error, BASE_ERR_CLOSED, "the reader is gone or slow");
    }
out:
    return status;
}

/* Puts what is sent next into c->sending; false: nothing is left. */
static bool refill(struct serve_completion *c, enum base_status *ret_status)
{
    struct base_error error = {0};
    api_text_finish(&c->event);
    c->sent = 0;
    if (c->done && !c->says_done)
        return false;
    if (c->done) {
        c->says_done = false;
        c->sending = api_stream_end();
        c->sending_size = strlen(c->sending);
        return true;
    }
    serve_completion_keep(c, true);
    *ret_status = c->begun ? next_event(c, &error) : api_stream_begin(&c->event, &c->stream, &error);
    serve_completion_keep(c, false);
    c->begun = true;
    c->sending = c->event.data;
    c->sending_size = c->event.size;
    return true;
}

static ssize_t read_stream(void *context, uint64_t position, char *ret, size_t most)
{
    struct serve_completion *c = context;
    enum base_status status = BASE_OK;
    while (c->sent == c->sending_size) {
        if (!refill(c, &status))
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (status != BASE_OK)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t size = c->sending_size - c->sent < most ? c->sending_size - c->sent : most;
    memcpy(ret, c->sending + c->sent, size);
    c->sent += size;
    return (ssize_t)size;
}

enum MHD_Result serve_stream_answer(struct serve_exchange *exchange, struct serve_completion *c)
{
    struct base_error error = {0};
    const char *costs = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, SERVE_COSTS_HEADER);
    c->stream.usage = c->request.include_usage;
    c->stream.obfuscate = c->request.include_obfuscation;
    c->stream.costs = costs != NULL && strcmp(costs, "1") == 0;
    c->stream.padding = c->gateway->options.padding;
    if (api_stream_open(&c->stream, &error) != BASE_OK)
        return serve_reply_base_error(exchange, &error);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_stream, c, NULL);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream; charset=utf-8");
    /* Proxies keep streams back otherwise. */
    (void)MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return serve_reply_queue(exchange, MHD_HTTP_OK, response);
}
