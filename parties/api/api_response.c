#include "parties/api/api_response.h"

#include "base/memory.h"
#include "engine/formats/json_memory.h"
#include "engine/tokenizer/utf8.h"
#include "parties/api/api_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void api_text_finish(struct api_text *text)
{
    base_free_secret(&text->data);
    text->size = 0;
}

enum base_status api_json_dump(struct api_text *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6));
    size_t size = text == NULL ? 0 : strlen(text);
    bool lacking = eng_json_lacks_memory();
    eng_json_watch(); /* one answer without memory is not the next one's failure */
    TRY_THAT(text != NULL && !lacking, error, BASE_ERR_MEMORY, "no memory for an answer");
    TRY(base_alloc(&ret->data, size + 1, 1, error));
    memcpy(ret->data, text, size);
    ret->size = size;
out:
    if (text != NULL)
        base_wipe(text, size);
    free(text);
    return status;
}

enum base_status api_json_text(json_t **ret, const char *text, size_t size, struct base_error *error)
{
    const size_t valid = eng_utf8_check((struct eng_bytes){(const uint8_t *)text, size});
    if (valid != size)
        return base_fail(error, BASE_ERR_ARGUMENT, "an answer's text is not valid UTF-8 at byte offset %zu", valid);
    *ret = json_stringn(size == 0 ? "" : text, size);
    return *ret == NULL ? base_fail(error, BASE_ERR_MEMORY, "no memory for an answer") : BASE_OK;
}

json_t *api_json_envelope(const struct api_answer *answer, bool chunk)
{
    const bool chat = answer->endpoint == API_CHAT;
    const bool has_digest = answer->digest != NULL && answer->digest[0] != '\0';
    char id[48], fingerprint[24];
    (void)snprintf(id, sizeof id, "%s%.32s", chat ? "chatcmpl-" : "cmpl-", answer->job);
    (void)snprintf(fingerprint, sizeof fingerprint, "fp_%.16s", has_digest ? answer->digest : "");
    return json_pack("{s:s, s:s, s:I, s:s, s:s?}", "id", id, "object",
                     !chat   ? "text_completion"
                     : chunk ? "chat.completion.chunk"
                             : "chat.completion",
                     "created", (json_int_t)answer->created, "model", answer->model, "system_fingerprint",
                     has_digest ? fingerprint : NULL);
}

json_t *api_json_usage(const struct cachet_result *result)
{
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)result->prompt_tokens, "completion_tokens",
                     (json_int_t)result->new_tokens, "total_tokens",
                     (json_int_t)(result->prompt_tokens + result->new_tokens));
}

json_t *api_json_figures(const struct cachet_result *result, const char *policy)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:s?}", "rounds", (json_int_t)result->rounds, "online_bytes",
                     (json_int_t)result->online_bytes, "dealt_bytes", (json_int_t)result->dealt_bytes, "client_bytes",
                     (json_int_t)result->client_bytes, "waited_seconds", result->waited_seconds, "prompt_seconds",
                     result->prompt_seconds, "decode_seconds", result->decode_seconds, "policy", policy);
}

enum base_status api_json_finish(const char **ret, const struct cachet_result *result, struct base_error *error)
{
    if (result->finish != CACHET_FINISH_STOP && result->finish != CACHET_FINISH_LENGTH)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "a request that failed or was cancelled has no finish_reason; answer it with an error");
    *ret = result->finish == CACHET_FINISH_STOP ? "stop" : "length";
    return BASE_OK;
}

enum base_status api_response_whole(struct api_text *ret, const struct api_answer *answer, const char *text,
                                    size_t size, const struct cachet_result *result, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *body = NULL, *content = NULL, *choice = NULL;
    const char *finish = NULL;
    TRY(api_json_finish(&finish, result, error));
    TRY(api_json_text(&content, text, size, error));
    choice = answer->endpoint == API_CHAT
                 ? json_pack("{s:i, s:{s:s, s:O, s:n}, s:n, s:s}", "index", 0, "message", "role", "assistant",
                             "content", content, "refusal", "logprobs", "finish_reason", finish)
                 : json_pack("{s:O, s:i, s:n, s:s}", "text", content, "index", 0, "logprobs", "finish_reason", finish);
    body = api_json_envelope(answer, false);
    TRY_THAT(body != NULL && json_object_set_new(body, "choices", json_pack("[O]", choice)) == 0 &&
                 json_object_set_new(body, "usage", api_json_usage(result)) == 0 &&
                 json_object_set_new(body, "cachet", api_json_figures(result, answer->policy)) == 0,
             error, BASE_ERR_MEMORY, "no memory for an answer");
    TRY(api_json_dump(ret, body, error));
out:
    json_decref(body);
    json_decref(choice);
    json_decref(content);
    return status;
}

static json_t *or_null(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

json_t *api_json_error(const struct api_error *refusal)
{
    return json_pack("{s:{s:s, s:s, s:o, s:o}}", "error", "message", refusal->message, "type", refusal->type, "param",
                     or_null(refusal->param), "code", or_null(refusal->code));
}

enum base_status api_response_error(struct api_text *ret, const struct api_error *refusal, struct base_error *error)
{
    json_t *body = api_json_error(refusal);
    enum base_status status = api_json_dump(ret, body, error);
    json_decref(body);
    return status;
}

static json_t *model_object(const struct cachet_model *model, const char *name, int64_t created)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}}", "id", name, "object", "model",
                     "created", (json_int_t)created, "owned_by", "cachet", "cachet", "architecture",
                     model->architecture, "digest", model->digest, "plan", model->plan, "policy", model->policy,
                     "context", (json_int_t)model->context, "vocabulary", (json_int_t)model->vocabulary, "layers",
                     (json_int_t)model->layers, "slots", (json_int_t)model->slots);
}

enum base_status api_response_models(struct api_text *ret, const struct cachet_model *model, const char *name,
                                     int64_t created, struct base_error *error)
{
    json_t *body = json_pack("{s:s, s:[o]}", "object", "list", "data", model_object(model, name, created));
    enum base_status status = api_json_dump(ret, body, error);
    json_decref(body);
    return status;
}

enum base_status api_response_model(struct api_text *ret, const struct cachet_model *model, const char *name,
                                    int64_t created, struct base_error *error)
{
    json_t *body = model_object(model, name, created);
    enum base_status status = api_json_dump(ret, body, error);
    json_decref(body);
    return status;
}
