#include "parties/serve/state.h"

#include "parties/version.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static enum MHD_Result reply_json(struct serve_exchange *exchange, int http_status, json_t *json)
{
    struct base_error error = {0};
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL) {
        (void)base_fail(&error, BASE_ERR_MEMORY, "no memory for the answer");
        return serve_reply_base_error(exchange, &error);
    }
    enum MHD_Result result = serve_reply_text(exchange, http_status, "application/json", text, strlen(text));
    free(text);
    return result;
}

enum MHD_Result serve_health_answer(struct serve_exchange *exchange)
{
    struct cachet_state state;
    struct api_error refusal = {0};
    cachet_get_state(exchange->gateway->client, &state);
    if (atomic_load(&exchange->gateway->draining))
        (void)api_fail(&refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "stopping",
                       "the gateway is being stopped");
    else if (!state.ready)
        (void)api_fail(&refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "not_ready", "%s", state.reason);
    else
        return reply_json(exchange, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
    return serve_reply_error(exchange, &refusal);
}

static json_t *party_json(const struct cachet_party *party)
{
    return json_pack("{s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "name", party->name, "connected",
                     party->connected, "round_trip_seconds", party->round_trip_seconds, "client_sent_bytes",
                     (json_int_t)party->sent_bytes, "client_received_bytes", (json_int_t)party->received_bytes,
                     "rounds", (json_int_t)party->rounds, "online_bytes", (json_int_t)party->online_bytes,
                     "dealt_bytes", (json_int_t)party->dealt_bytes, "stalled_seconds", party->stalled_seconds,
                     "steps_ahead", (json_int_t)party->steps_ahead);
}

enum MHD_Result serve_state_answer(struct serve_exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;
    const struct cachet_model *model = &gateway->model;
    struct cachet_state state;
    cachet_get_state(gateway->client, &state);
    json_t *json = json_pack(
        "{s:s, s:b, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}, s:{s:I, s:I, s:I, s:I}, s:[o, o, o]}",
        "version", CACHET_VERSION, "ready", state.ready, "reason", state.ready ? "" : state.reason, "model", "id",
        gateway->model_name, "architecture", model->architecture, "digest", model->digest, "plan", model->plan,
        "policy", model->policy, "context", (json_int_t)model->context, "vocabulary", (json_int_t)model->vocabulary,
        "layers", (json_int_t)model->layers, "chat_template", api_template_name(gateway->chat), "requests", "running",
        (json_int_t)state.running, "waiting", (json_int_t)state.waiting, "running_limit",
        (json_int_t)state.most_running, "waiting_limit", (json_int_t)state.most_waiting, "parties",
        party_json(&state.party[0]), party_json(&state.party[1]), party_json(&state.party[2]));
    return reply_json(exchange, MHD_HTTP_OK, json);
}
