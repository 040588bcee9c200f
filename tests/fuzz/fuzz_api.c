/* Fuzzes what reads requests and chat templates. The first byte chooses the endpoint and a template; the rest is a
 * body. A body that is accepted goes through the template and comes back as an answer and as a stream whose events have
 * one length. */
#include "parties/api/api_response.h"
#include "parties/api/chat_template.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_json(const char *text, size_t size)
{
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    check(json != NULL);
    json_decref(json);
}

static void check_refusal(const struct api_error *refusal)
{
    struct api_text text = {0};
    check(refusal->http_status >= 400 && refusal->type[0] != '\0' && refusal->message[0] != '\0');
    check(api_response_error(&text, refusal, NULL) == BASE_OK);
    check_json(text.data, text.size);
    api_text_finish(&text);
}

static void answer(const struct api_request *request, const char *text, size_t size)
{
    const struct cachet_result result = {.finish = CACHET_FINISH_STOP};
    const struct cachet_token token = {.text = text, .size = size}, empty = {.text = "", .size = 0};
    struct api_stream stream = {.answer = {.endpoint = request->endpoint, .job = "0123456789abcdef", .model = "m"},
                                .usage = request->include_usage,
                                .obfuscate = true};
    struct api_text whole = {0}, one = {0}, two = {0};
    check(api_response_whole(&whole, &stream.answer, text, size, &result, NULL) == BASE_OK);
    check_json(whole.data, whole.size);
    check(api_stream_open(&stream, NULL) == BASE_OK);
    check(api_stream_token(&one, &stream, &token, NULL) == BASE_OK);
    check(api_stream_token(&two, &stream, &empty, NULL) == BASE_OK);
    check_json(one.data + 6, one.size - 8);
    check((one.size - two.size) % stream.padding == 0 && (size > 60 || one.size == two.size));
    api_text_finish(&whole);
    api_text_finish(&one);
    api_text_finish(&two);
}

/* Control text is the same whatever users write: as often as there are messages. */
static void apply(const struct api_template *chat, const struct api_request *request)
{
    struct api_parts parts = {0};
    struct api_error refusal = {0};
    if (api_template_apply(chat, request->messages, request->message_count, &parts, &refusal) != BASE_OK) {
        check(parts.parts == NULL);
        check_refusal(&refusal);
        return;
    }
    for (size_t i = 0; i < parts.count; i++) {
        bool from_message = false;
        for (size_t k = 0; k < request->message_count; k++)
            from_message =
                from_message || (parts.parts[i].text >= request->messages[k].text &&
                                 parts.parts[i].text < request->messages[k].text + request->messages[k].size);
        check(parts.parts[i].size > 0 && parts.parts[i].control != from_message);
    }
    api_parts_finish(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"smollm2", "chatml", "llama3.1", "llama3", "llama2", "zephyr", "plain"};
    static const struct api_limits limits = {
        .body_bytes = 65536, .messages = 64, .max_tokens = 2048, .vocabulary = 512};
    struct api_request request;
    struct api_error refusal = {0};
    if (size < 1)
        return 0;
    const enum api_endpoint endpoint = (data[0] & 1) != 0 ? API_CHAT : API_COMPLETION;
    (void)api_template_guess((const char *)data, size);
    if (api_request_parse(&request, endpoint, data + 1, size - 1, &limits, &refusal) != BASE_OK) {
        check(request.messages == NULL && request.prompt == NULL && request.ids == NULL && request.stop_count == 0);
        check_refusal(&refusal);
        return 0;
    }
    check(request.temperature >= 0 && request.temperature <= 2 && request.top_p > 0 && request.top_p <= 1 &&
          request.max_tokens <= 2048);
    if (endpoint == API_CHAT) {
        apply(api_template_find(names[(data[0] >> 1) % (sizeof names / sizeof *names)]), &request);
        answer(&request, request.messages[0].text, request.messages[0].size);
    } else
        answer(&request, request.prompt, request.prompt_size);
    api_request_finish(&request);
    return 0;
}
