#include "parties/api/api_request.h"

#include "base/memory.h"
#include "engine/formats/json_memory.h"
#include "parties/api/api_read.h"

#include <stdio.h>
#include <string.h>

enum { IN_CHAT = 1 << API_CHAT, IN_COMPLETION = 1 << API_COMPLETION, IN_BOTH = IN_CHAT | IN_COMPLETION };

static enum base_status read_model(struct api_reader *reader, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    const size_t size = json_string_length(value);
    if (text == NULL || size == 0 || size >= API_MODEL_BYTES || strlen(text) != size)
        return api_refuse(reader, name, value, "the name of a model as /v1/models lists it");
    memcpy(reader->request->model, text, size + 1);
    return BASE_OK;
}

static enum base_status read_max_tokens(struct api_reader *reader, const char *name, const json_t *value)
{
    if (reader->tokens_given_by != NULL)
        return api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, name, "invalid_value",
                        "%s and %s are both given; allowed: one of them", reader->tokens_given_by, name);
    reader->tokens_given_by = name;
    return api_read_size(reader, name, value, 1, reader->limits->max_tokens, &reader->request->max_tokens);
}

static enum base_status read_temperature(struct api_reader *reader, const char *name, const json_t *value)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0 && number <= 2))
        return api_refuse(reader, name, value, "a number, 0 to 2; 0 takes the likeliest token");
    reader->request->temperature = number;
    return BASE_OK;
}

static enum base_status read_top_p(struct api_reader *reader, const char *name, const json_t *value)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 && number <= 1))
        return api_refuse(reader, name, value, "a number above 0, up to 1; 1 leaves every token in");
    reader->request->top_p = number;
    return BASE_OK;
}

static enum base_status read_top_k(struct api_reader *reader, const char *name, const json_t *value)
{
    return api_read_size(reader, name, value, 0, INT32_MAX, &reader->request->top_k);
}

static enum base_status read_seed(struct api_reader *reader, const char *name, const json_t *value)
{
    if (!json_is_integer(value))
        return api_refuse(reader, name, value, "a whole number of 64 bits");
    reader->request->has_seed = true;
    reader->request->seed = (uint64_t)json_integer_value(value);
    return BASE_OK;
}

static enum base_status read_stop_text(struct api_reader *reader, const char *path, const json_t *value)
{
    struct api_request *request = reader->request;
    const size_t size = json_string_length(value);
    if (!json_is_string(value) || size == 0 || size > CACHET_STOP_BYTES || strlen(json_string_value(value)) != size)
        return api_refuse(reader, path, value,
                          api_path("a string of 1 to %d bytes without NUL", CACHET_STOP_BYTES).text);
    size_t copied;
    enum base_status status = api_read_text(reader, value, &request->stop[request->stop_count], &copied);
    if (status == BASE_OK)
        request->stop_count++;
    return status;
}

static enum base_status read_stop(struct api_reader *reader, const char *name, const json_t *value)
{
    enum base_status status = BASE_OK;
    if (!json_is_array(value))
        return read_stop_text(reader, name, value);
    if (json_array_size(value) > API_STOPS)
        return api_refuse(reader, name, value, api_path("a string, or an array of up to %d", API_STOPS).text);
    for (size_t i = 0; i < json_array_size(value) && status == BASE_OK; i++)
        status = read_stop_text(reader, api_path("%s[%zu]", name, i).text, json_array_get(value, i));
    return status;
}

static enum base_status read_stream(struct api_reader *reader, const char *name, const json_t *value)
{
    return api_read_bool(reader, name, value, &reader->request->stream);
}

static enum base_status read_stream_options(struct api_reader *reader, const char *name, const json_t *value)
{
    enum base_status status = BASE_OK;
    const char *key;
    json_t *field;
    if (!json_is_object(value))
        return api_refuse(reader, name, value, "an object");
    reader->has_stream_options = true;
    json_object_foreach((json_t *)(uintptr_t)value, key, field)
    {
        const struct api_path path = api_path("%s.%s", name, key);
        if (json_is_null(field))
            continue;
        if (strcmp(key, "include_usage") == 0)
            TRY(api_read_bool(reader, path.text, field, &reader->request->include_usage));
        else if (strcmp(key, "include_obfuscation") == 0)
            TRY(api_read_bool(reader, path.text, field, &reader->request->include_obfuscation));
        else
            return api_refuse_unknown(reader, name, key, "include_usage, include_obfuscation");
    }
out:
    return status;
}

/* What is accepted only where it changes nothing. */
static enum base_status expect_zero(struct api_reader *reader, const char *name, const json_t *value)
{
    return json_is_number(value) && json_number_value(value) == 0 ? BASE_OK : api_refuse(reader, name, value, "0");
}

static enum base_status expect_one(struct api_reader *reader, const char *name, const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) == 1 ? BASE_OK : api_refuse(reader, name, value, "1");
}

static enum base_status expect_false(struct api_reader *reader, const char *name, const json_t *value)
{
    return json_is_false(value) ? BASE_OK : api_refuse(reader, name, value, "false");
}

static enum base_status expect_null(struct api_reader *reader, const char *name, const json_t *value)
{
    return api_refuse(reader, name, value, "null"); /* null itself does not come here */
}

static enum base_status expect_empty(struct api_reader *reader, const char *name, const json_t *value)
{
    return json_is_object(value) && json_object_size(value) == 0 ? BASE_OK : api_refuse(reader, name, value, "{}");
}

static enum base_status expect_string(struct api_reader *reader, const char *name, const json_t *value)
{
    return json_is_string(value) ? BASE_OK : api_refuse(reader, name, value, "a string, which is not used");
}

static enum base_status expect_usual_tier(struct api_reader *reader, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && (strcmp(text, "auto") == 0 || strcmp(text, "default") == 0)
               ? BASE_OK
               : api_refuse(reader, name, value, "\"auto\" or \"default\"");
}

static enum base_status expect_text_format(struct api_reader *reader, const char *name, const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return type != NULL && strcmp(type, "text") == 0 && json_object_size(value) == 1
               ? BASE_OK
               : api_refuse(reader, name, value, "{\"type\": \"text\"}");
}

/* Every parameter. A value of null never reaches `read`: it counts as not given, where that is allowed. */
struct parameter {
    const char *name;
    unsigned endpoints;
    enum base_status (*read)(struct api_reader *reader, const char *name, const json_t *value);
    bool required;
};
static const struct parameter parameters[] = {
    {"model", IN_BOTH, read_model, false},
    {"messages", IN_CHAT, api_read_messages, true},
    {"prompt", IN_COMPLETION, api_read_prompt, true},
    {"max_tokens", IN_BOTH, read_max_tokens, false},
    {"max_completion_tokens", IN_CHAT, read_max_tokens, false},
    {"temperature", IN_BOTH, read_temperature, false},
    {"top_p", IN_BOTH, read_top_p, false},
    {"top_k", IN_BOTH, read_top_k, false},
    {"seed", IN_BOTH, read_seed, false},
    {"stop", IN_BOTH, read_stop, false},
    {"stream", IN_BOTH, read_stream, false},
    {"stream_options", IN_BOTH, read_stream_options, false},
    {"user", IN_BOTH, expect_string, false},
    {"n", IN_BOTH, expect_one, false},
    {"presence_penalty", IN_BOTH, expect_zero, false},
    {"frequency_penalty", IN_BOTH, expect_zero, false},
    {"logit_bias", IN_BOTH, expect_empty, false},
    {"logprobs", IN_BOTH, expect_false, false},
    {"top_logprobs", IN_CHAT, expect_zero, false},
    {"best_of", IN_COMPLETION, expect_one, false},
    {"echo", IN_COMPLETION, expect_false, false},
    {"suffix", IN_COMPLETION, expect_null, false},
    {"response_format", IN_CHAT, expect_text_format, false},
    {"service_tier", IN_CHAT, expect_usual_tier, false},
    {"store", IN_CHAT, expect_false, false},
    {"metadata", IN_CHAT, expect_empty, false},
};
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

static enum base_status refuse_parameter(const struct api_reader *reader, const char *key)
{
    char known[512];
    size_t at = 0;
    for (size_t i = 0; i < PARAMETERS && at < sizeof known; i++)
        if ((parameters[i].endpoints & 1u << reader->request->endpoint) != 0)
            at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at == 0 ? "" : ", ", parameters[i].name);
    return api_refuse_unknown(reader, "", key, known);
}

static enum base_status read_parameters(struct api_reader *reader, const json_t *body)
{
    enum base_status status = BASE_OK;
    const unsigned here = 1u << reader->request->endpoint;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        size_t i = 0;
        while (i < PARAMETERS && ((parameters[i].endpoints & here) == 0 || strcmp(parameters[i].name, key) != 0))
            i++;
        if (i == PARAMETERS)
            return refuse_parameter(reader, key);
        if (!json_is_null(value) || parameters[i].required)
            TRY(parameters[i].read(reader, parameters[i].name, value));
    }
    for (size_t i = 0; i < PARAMETERS; i++)
        if (parameters[i].required && (parameters[i].endpoints & here) != 0 &&
            json_object_get(body, parameters[i].name) == NULL)
            return api_refuse_missing(reader, parameters[i].name,
                                      reader->request->endpoint == API_CHAT ? "an array of messages" : "a string");
    if (reader->has_stream_options && !reader->request->stream)
        return api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, "stream_options", "invalid_value",
                        "stream_options is given without a stream; allowed: only with \"stream\": true");
out:
    return status;
}

/* Whether brackets are nested deeper than API_DEPTH; counted before the parser, which would recurse, sees them. */
static bool too_deep(const char *body, size_t size, size_t *ret_offset)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string && body[i] == '\\')
            i++;
        else if (body[i] == '"')
            in_string = !in_string;
        else if (!in_string && (body[i] == '[' || body[i] == '{') && ++depth > API_DEPTH) {
            *ret_offset = i;
            return true;
        } else if (!in_string && (body[i] == ']' || body[i] == '}') && depth > 0)
            depth--;
    }
    return false;
}

/* jansson's own texts quote the body; these do not. */
static enum base_status refuse_syntax(const struct api_reader *reader, const json_error_t *trouble)
{
    static const struct {
        enum json_error_code code;
        const char *text;
    } reasons[] = {
        {json_error_invalid_utf8, "the text is not valid UTF-8"},
        {json_error_premature_end_of_input, "the text ends too early"},
        {json_error_end_of_input_expected, "something follows the object"},
        {json_error_duplicate_key, "a key stands twice in one object"},
        {json_error_numeric_overflow, "a number is too large"},
        {json_error_null_byte_in_key, "a key holds a NUL"},
    };
    const char *text = "not what JSON has at this place";
    if (eng_json_lacks_memory())
        return api_refuse_memory(reader,
                                 &(struct base_error){.code = BASE_ERR_MEMORY, .text = "no memory to read the body"});
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == json_error_code(trouble))
            text = reasons[i].text;
    return api_fail(reader->error, BASE_ERR_FORMAT, API_FAULT_REQUEST, NULL, "invalid_json",
                    "the body is no valid JSON near byte %d (line %d): %s", trouble->position, trouble->line, text);
}

static enum base_status parse_body(const struct api_reader *reader, const char *body, size_t size, json_t **ret)
{
    json_error_t trouble;
    size_t offset = 0;
    if (size > reader->limits->body_bytes)
        return api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_TOO_LARGE, NULL, "body_too_large",
                        "the body has %zu bytes; allowed: up to %zu", size, reader->limits->body_bytes);
    if (size == 0)
        return api_fail(reader->error, BASE_ERR_FORMAT, API_FAULT_REQUEST, NULL, "invalid_json",
                        "the body is empty; needed: a JSON object");
    if (too_deep(body, size, &offset))
        return api_fail(reader->error, BASE_ERR_FORMAT, API_FAULT_REQUEST, NULL, "invalid_json",
                        "the body is nested too deep at byte %zu; allowed: %d levels", offset, API_DEPTH);
    *ret = eng_json_read(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &trouble);
    if (*ret == NULL)
        return refuse_syntax(reader, &trouble);
    if (!json_is_object(*ret))
        return api_fail(reader->error, BASE_ERR_FORMAT, API_FAULT_REQUEST, NULL, "invalid_json",
                        "the body is an array; needed: a JSON object");
    return BASE_OK;
}

enum base_status api_request_parse(struct api_request *ret, enum api_endpoint endpoint, const void *body, size_t size,
                                   const struct api_limits *limits, struct api_error *error)
{
    enum base_status status = BASE_OK;
    json_t *json = NULL;
    struct api_request request = {.endpoint = endpoint, .temperature = 1, .top_p = 1, .include_obfuscation = true};
    struct api_reader reader = {.request = &request, .limits = limits, .error = error};
    *ret = (struct api_request){0};
    TRY(parse_body(&reader, body, size, &json));
    TRY(read_parameters(&reader, json));
    *ret = request;
    request = (struct api_request){0};
out:
    api_request_finish(&request);
    json_decref(json);
    return status;
}

void api_request_finish(struct api_request *request)
{
    for (size_t i = 0; i < request->message_count; i++)
        base_free_secret(&request->messages[i].text);
    base_free(&request->messages);
    base_free_secret(&request->prompt);
    base_free_secret(&request->ids);
    for (size_t i = 0; i < request->stop_count; i++)
        base_free_secret(&request->stop[i]);
    base_wipe(request, sizeof *request);
}
