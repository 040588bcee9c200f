#include "parties/serve/route.h"

#include "parties/serve/completion.h"
#include "parties/serve/page.h"
#include "parties/serve/state.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum MHD_Result answer_chat(struct serve_exchange *exchange)
{
    return serve_completion_answer(exchange, API_CHAT);
}

static enum MHD_Result answer_completion(struct serve_exchange *exchange)
{
    return serve_completion_answer(exchange, API_COMPLETION);
}

static enum MHD_Result answer_models(struct serve_exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;
    struct base_error error = {0};
    struct api_error refusal = {0};
    struct api_text text = {0};
    enum base_status status;
    if (*exchange->rest != '\0' && strcmp(exchange->rest, gateway->model_name) != 0) {
        (void)api_error_model(&refusal, gateway->model_name);
        return serve_reply_error(exchange, &refusal);
    }
    if (*exchange->rest != '\0')
        status = api_response_model(&text, &gateway->model, gateway->model_name, gateway->created, &error);
    else
        status = api_response_models(&text, &gateway->model, gateway->model_name, gateway->created, &error);
    if (status != BASE_OK)
        return serve_reply_base_error(exchange, &error);
    enum MHD_Result result = serve_reply_text(exchange, MHD_HTTP_OK, "application/json", text.data, text.size);
    api_text_finish(&text);
    return result;
}

static enum MHD_Result answer_metrics(struct serve_exchange *exchange)
{
    struct gateway *gateway = exchange->gateway;
    struct base_error error = {0};
    struct cachet_state state;
    char *text = NULL;
    size_t size = 0;
    cachet_get_state(gateway->client, &state);
    if (serve_metrics_text(&gateway->metrics, &gateway->model, &state, &text, &size, &error) != BASE_OK)
        return serve_reply_base_error(exchange, &error);
    enum MHD_Result result =
        serve_reply_text(exchange, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, size);
    free(text);
    return result;
}

static const struct serve_route routes[] = {
    {.path = "/v1/chat/completions", .post = true, .answer = answer_chat},
    {.path = "/v1/completions", .post = true, .answer = answer_completion},
    {.path = "/v1/models", .answer = answer_models},
    {.path = "/v1/models/", .below = true, .answer = answer_models},
    {.path = "/health", .open = true, .answer = serve_health_answer},
    {.path = "/metrics", .answer = answer_metrics},
    {.path = "/state", .answer = serve_state_answer},
    {.path = "/", .open = true, .answer = serve_page_answer},
    {.path = "/page.css", .open = true, .answer = serve_page_answer},
    {.path = "/page.js", .open = true, .answer = serve_page_answer},
};

static const struct serve_route *find(const char *path, const char **ret_rest)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t size = strlen(routes[i].path);
        if (routes[i].below ? strncmp(path, routes[i].path, size) == 0 && path[size] != '\0'
                            : strcmp(path, routes[i].path) == 0) {
            *ret_rest = routes[i].below ? path + size : "";
            return &routes[i];
        }
    }
    return NULL;
}

static const char *header(const struct serve_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* "application/json", with or without parameters. Pages of other origins cannot send this type without being allowed to
 * first. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    return type != NULL && strncasecmp(type, json, sizeof json - 1) == 0 &&
           strchr(";, \t", type[sizeof json - 1]) != NULL;
}

/* Who asks, and from where. */
static bool refuse_asker(struct serve_exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;
    const char *host = header(exchange, MHD_HTTP_HEADER_HOST), *origin = header(exchange, MHD_HTTP_HEADER_ORIGIN);
    struct api_error *refusal = &exchange->refusal;
    bool named = gateway->host_name != NULL && serve_host_is(host, gateway->host_name);
    if (gateway->check_host && !named && !serve_host_is_local(host))
        (void)api_fail(
            refusal, BASE_ERR_ARGUMENT, API_FAULT_FORBIDDEN, NULL, "host_not_allowed",
            "the Host header must name this machine (localhost, 127.0.0.1 or [::1]) or be the gateway's --host-name");
    else if (!serve_origin_is_own(origin, host))
        (void)api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_FORBIDDEN, NULL, "origin_not_allowed",
                       "requests from pages of other origins are not answered");
    else if (exchange->route != NULL && !exchange->route->open &&
             !serve_keys_allow(&gateway->keys, header(exchange, MHD_HTTP_HEADER_AUTHORIZATION)))
        (void)api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_KEY, NULL, "invalid_api_key",
                       "an API key of this gateway is needed: header \"Authorization: Bearer KEY\"");
    return refusal->http_status != 0;
}

static void check_method(struct serve_exchange *exchange, const char *method)
{
    const struct serve_route *route = exchange->route;
    bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    if (route->post ? post : get)
        return;
    exchange->allow = route->post ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) != 0)
        (void)api_fail(&exchange->refusal, BASE_ERR_ARGUMENT, API_FAULT_METHOD, NULL, "method_not_allowed",
                       "this path takes %s alone", exchange->allow);
}

void serve_route_begin(struct serve_exchange *exchange, const char *path, const char *method)
{
    struct api_error *refusal = &exchange->refusal;
    exchange->route = find(path, &exchange->rest);
    if (refuse_asker(exchange))
        return;
    if (exchange->route == NULL) {
        (void)api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_NOT_FOUND, NULL, "not_found",
                       "there is no such path; there are /v1/chat/completions, /v1/completions, /v1/models, /health, "
                       "/metrics, /state and /");
        return;
    }
    check_method(exchange, method);
    if (refusal->http_status != 0 || exchange->allow != NULL || !exchange->route->post)
        return;
    if (!is_json(header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE)))
        (void)api_fail(refusal, BASE_ERR_ARGUMENT, API_FAULT_MEDIA_TYPE, NULL, "unsupported_media_type",
                       "the header \"Content-Type: application/json\" is needed");
}

enum MHD_Result serve_route_answer(struct serve_exchange *exchange)
{
    if (exchange->refusal.http_status != 0)
        return serve_reply_error(exchange, &exchange->refusal);
    if (exchange->allow != NULL)
        return serve_reply_text(exchange, MHD_HTTP_NO_CONTENT, NULL, "", 0);
    return exchange->route->answer(exchange);
}
