#include "base/memory.h"
#include "base/text.h"
#include "parties/api/api_json.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char before_event[] = "data: ", after_event[] = "\n\n", field[] = ",\"obfuscation\":\"\"";
enum { FIELD = sizeof field - 1, BEFORE = sizeof before_event - 1, AFTER = sizeof after_event - 1 };
enum { FIGURES = 192 }; /* room for the figures of a token */

/* Random, so that neither a compressing link nor a reader of lengths can take it away. */
static void write_random(char *ret, size_t size)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[256];
    for (size_t at = 0; at < size; at++) {
        if (at % sizeof bytes == 0)
            randombytes_buf(bytes, sizeof bytes);
        ret[at] = letters[bytes[at % sizeof bytes] % (sizeof letters - 1)];
    }
}

/* Bytes of padding text for an event of `size` bytes of JSON. */
static size_t padding_for(const struct api_stream *stream, size_t size)
{
    size_t target = stream->bytes + stream->padding;
    if (size + FIELD > target)
        target += (size + FIELD - target + stream->padding - 1) / stream->padding * stream->padding;
    return target - size - FIELD;
}

/* Appends an event with the value to the text, padded where the stream is; takes the value over. NULL is
 * BASE_ERR_MEMORY. */
static enum base_status append_event(struct api_text *text, const struct api_stream *stream, json_t *value,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct api_text json = {0}, grown = {0};
    TRY(api_json_dump(&json, value, error));
    const size_t padding = stream->obfuscate ? padding_for(stream, json.size) : 0;
    TRY(base_alloc(&grown.data, text->size + BEFORE + json.size + FIELD + padding + AFTER + 1, 1, error));
    char *end = grown.data;
    if (text->size > 0)
        end = mempcpy(end, text->data, text->size);
    end = mempcpy(end, before_event, BEFORE);
    end = mempcpy(end, json.data, json.size - 1); /* all but the last brace */
    if (stream->obfuscate) {
        end = mempcpy(end, field, FIELD - 1);
        write_random(end, padding);
        end += padding;
        *end++ = '"';
    }
    *end++ = '}';
    end = mempcpy(end, after_event, AFTER);
    grown.size = (size_t)(end - grown.data);
    api_text_finish(text);
    *text = grown;
    grown = (struct api_text){0};
out:
    json_decref(value);
    api_text_finish(&json);
    api_text_finish(&grown);
    return status;
}

/* A chunk; takes delta (API_COMPLETION: the text) over, choices are none where it is NULL. */
static json_t *chunk(const struct api_stream *stream, json_t *delta, const char *finish)
{
    json_t *body = api_json_envelope(&stream->answer, true), *choices = json_array();
    bool fine = body != NULL && choices != NULL;
    if (delta != NULL)
        fine = fine && json_array_append_new(choices, stream->answer.endpoint == API_CHAT
                                                          ? json_pack("{s:i, s:O, s:n, s:s?}", "index", 0, "delta",
                                                                      delta, "logprobs", "finish_reason", finish)
                                                          : json_pack("{s:O, s:i, s:n, s:s?}", "text", delta, "index",
                                                                      0, "logprobs", "finish_reason", finish)) == 0;
    fine = fine && json_object_set(body, "choices", choices) == 0;
    if (stream->usage && delta != NULL)
        fine = fine && json_object_set_new(body, "usage", json_null()) == 0;
    json_decref(delta);
    json_decref(choices);
    if (fine)
        return body;
    json_decref(body);
    return NULL;
}

/* A chunk with a piece of text. */
static enum base_status text_chunk(json_t **ret, const struct api_stream *stream, const char *text, size_t size,
                                   struct base_error *error)
{
    json_t *content = NULL;
    enum base_status status = api_json_text(&content, text, size, error);
    if (status != BASE_OK)
        return status;
    json_t *delta = stream->answer.endpoint == API_CHAT ? json_pack("{s:o}", "content", content) : content;
    *ret = delta == NULL ? NULL : chunk(stream, delta, NULL);
    return *ret == NULL ? base_fail(error, BASE_ERR_MEMORY, "no memory for an answer") : BASE_OK;
}

enum base_status api_stream_open(struct api_stream *stream, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct api_text text = {0};
    json_t *value = NULL;
    if (stream->padding == 0)
        stream->padding = API_PADDING;
    TRY_THAT(stream->padding >= API_PADDING_MIN && stream->padding <= API_PADDING_MAX, error, BASE_ERR_ARGUMENT,
             "chunks are to be padded to multiples of %zu bytes; allowed: %d to %d", stream->padding, API_PADDING_MIN,
             API_PADDING_MAX);
    TRY_THAT(sodium_init() >= 0, error, BASE_ERR_INTERNAL, "no source of random numbers");
    TRY(text_chunk(&value, stream, "", 0, error));
    TRY(api_json_dump(&text, value, error));
    stream->bytes = text.size + FIELD + (stream->costs ? FIGURES : 0);
out:
    json_decref(value);
    api_text_finish(&text);
    return status;
}

enum base_status api_stream_begin(struct api_text *ret, const struct api_stream *stream, struct base_error *error)
{
    json_t *delta = stream->answer.endpoint == API_CHAT
                        ? json_pack("{s:s, s:s, s:n}", "role", "assistant", "content", "", "refusal")
                        : json_string("");
    return append_event(ret, stream, delta == NULL ? NULL : chunk(stream, delta, NULL), error);
}

enum base_status api_stream_token(struct api_text *ret, const struct api_stream *stream,
                                  const struct cachet_token *token, struct base_error *error)
{
    json_t *value = NULL;
    enum base_status status = text_chunk(&value, stream, token->text, token->size, error);
    if (status != BASE_OK)
        return status;
    if (stream->costs &&
        json_object_set_new(value, "cachet",
                            json_pack("{s:I, s:f, s:I, s:I, s:I, s:I, s:I}", "index", (json_int_t)token->index,
                                      "seconds", token->seconds, "rounds", (json_int_t)token->rounds, "online_bytes",
                                      (json_int_t)token->online_bytes, "dealt_bytes", (json_int_t)token->dealt_bytes,
                                      "client_bytes", (json_int_t)token->client_bytes, "shared_with",
                                      (json_int_t)token->shared_with)) != 0) {
        json_decref(value);
        return base_fail(error, BASE_ERR_MEMORY, "no memory for an answer");
    }
    return append_event(ret, stream, value, error);
}

enum base_status api_stream_finish(struct api_text *ret, const struct api_stream *stream,
                                   const struct cachet_result *result, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct api_text text = {0};
    const char *finish = NULL;
    TRY(api_json_finish(&finish, result, error));
    json_t *delta = stream->answer.endpoint == API_CHAT ? json_object() : json_string("");
    json_t *value = delta == NULL ? NULL : chunk(stream, delta, finish);
    if (value != NULL && json_object_set_new(value, "cachet", api_json_figures(result, stream->answer.policy)) != 0) {
        json_decref(value);
        value = NULL;
    }
    TRY(append_event(&text, stream, value, error));
    if (stream->usage) {
        value = chunk(stream, NULL, NULL);
        if (value != NULL && json_object_set_new(value, "usage", api_json_usage(result)) != 0) {
            json_decref(value);
            value = NULL;
        }
        TRY(append_event(&text, stream, value, error));
    }
    *ret = text;
    text = (struct api_text){0};
out:
    api_text_finish(&text);
    return status;
}

enum base_status api_stream_error(struct api_text *ret, const struct api_stream *stream,
                                  const struct api_error *refusal, struct base_error *error)
{
    return append_event(ret, stream, api_json_error(refusal), error);
}

const char *api_stream_end(void)
{
    return "data: [DONE]\n\n";
}

enum base_status api_stream_comment(struct api_text *ret, const char *text, struct base_error *error)
{
    const size_t size = strlen(text);
    enum base_status status = base_alloc(&ret->data, size + 5, 1, error);
    if (status != BASE_OK)
        return status;
    ret->size = (size_t)snprintf(ret->data, size + 5, ": %s\n\n", text);
    for (size_t i = 2; i < 2 + size; i++)
        if (base_text_is_control(ret->data[i]))
            ret->data[i] = ' ';
    return BASE_OK;
}
