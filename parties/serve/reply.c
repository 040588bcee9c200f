#include "parties/serve/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RETRY = 1, MOST_RETRY = 120 };

static const struct {
    const char *name, *value;
} always[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"X-Frame-Options", "DENY"},
    {"Cache-Control", "no-store"},
};

enum MHD_Result serve_reply_queue(struct serve_exchange *exchange, int http_status, struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        (void)MHD_add_response_header(response, always[i].name, always[i].value);
    if (exchange->request_id[0] != '\0')
        (void)MHD_add_response_header(response, "X-Request-Id", exchange->request_id);
    enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)http_status, response);
    MHD_destroy_response(response);
    serve_metrics_answered(&exchange->gateway->metrics, http_status);
    return result;
}

static struct MHD_Response *make(const char *content_type, const char *content, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)content, MHD_RESPMEM_MUST_COPY);
    if (response != NULL && content_type != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    return response;
}

enum MHD_Result serve_reply_text(struct serve_exchange *exchange, int http_status, const char *content_type,
                                 const char *content, size_t size)
{
    struct MHD_Response *response = make(content_type, content, size);
    if (response != NULL && exchange->allow != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, exchange->allow);
    return serve_reply_queue(exchange, http_status, response);
}

/* When a place is likely to be free: the requests before this one, at the pace of those that have ended. */
static int retry_seconds(struct gateway *gateway)
{
    struct cachet_state state;
    cachet_get_state(gateway->client, &state);
    double mean = serve_metrics_mean_request(&gateway->metrics);
    double places = state.most_running > 0 ? (double)state.most_running : 1;
    double seconds = state.ready ? mean * ((double)state.waiting + 1) / places : 5;
    return seconds < LEAST_RETRY ? LEAST_RETRY : seconds > MOST_RETRY ? MOST_RETRY : (int)seconds;
}

enum MHD_Result serve_reply_error(struct serve_exchange *exchange, const struct api_error *refusal)
{
    struct api_text text = {0};
    struct base_error error = {0};
    if (api_response_error(&text, refusal, &error) != BASE_OK)
        return MHD_NO;
    struct MHD_Response *response = make("application/json", text.data, text.size);
    api_text_finish(&text);
    if (response == NULL)
        return MHD_NO;
    if (refusal->http_status == 429 || refusal->http_status == 503) {
        char seconds[16];
        (void)snprintf(seconds, sizeof seconds, "%d", retry_seconds(exchange->gateway));
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    base_log_write(&exchange->gateway->log, BASE_LOG_DEBUG,
                   exchange->request_id[0] != '\0' ? exchange->request_id : NULL, "refused: %d %s",
                   refusal->http_status, refusal->code);
    if (refusal->http_status == 401)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    /* Clients of OpenAI ask again after a 500 by themselves; the same request would fail the same way, after as much
     * work. */
    if (refusal->http_status == 500)
        (void)MHD_add_response_header(response, "x-should-retry", "false");
    if (exchange->allow != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, exchange->allow);
    return serve_reply_queue(exchange, refusal->http_status, response);
}

enum MHD_Result serve_reply_base_error(struct serve_exchange *exchange, const struct base_error *error)
{
    struct api_error refusal = {0};
    api_error_from_base(&refusal, error);
    return serve_reply_error(exchange, &refusal);
}
