/* Answers, byte for byte; and that the events of a stream are all of one length, whatever the tokens are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "parties/api/api_response.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct api_answer chat = {.endpoint = API_CHAT,
                                       .job = "0123456789abcdef",
                                       .model = "keeper",
                                       .digest = "fedcba98765432100123456789abcdef",
                                       .policy = "keep all",
                                       .created = 1700000000};
static const struct cachet_result result = {.finish = CACHET_FINISH_STOP,
                                            .prompt_tokens = 5,
                                            .new_tokens = 3,
                                            .waited_seconds = 0,
                                            .prompt_seconds = 1.25,
                                            .decode_seconds = 0.123456789,
                                            .rounds = 10,
                                            .online_bytes = 2000,
                                            .dealt_bytes = 30000,
                                            .client_bytes = 400};

#define ENVELOPE(id, object)                                                                                           \
    "{\"id\":\"" id "-0123456789abcdef\",\"object\":\"" object                                                         \
    "\",\"created\":1700000000,\"model\":\"keeper\",\"system_fingerprint\":\"fp_fedcba9876543210\","
#define FIGURES                                                                                                        \
    "\"cachet\":{\"rounds\":10,\"online_bytes\":2000,\"dealt_bytes\":30000,\"client_bytes\":400,\"waited_seconds\":0." \
    "0,"                                                                                                               \
    "\"prompt_seconds\":1.25,\"decode_seconds\":0.123457,\"policy\":\"keep all\"}"
#define USAGE "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_tokens\":8}"

static void check_text(struct api_text *text, enum base_status status, const struct base_error *error,
                       const char *wanted)
{
    if (status != BASE_OK)
        fail_msg("%s", error->text);
    assert_string_equal(text->data, wanted);
    assert_int_equal(text->size, strlen(wanted));
    api_text_finish(text);
    assert_null(text->data);
}

static void test_whole(void **state)
{
    struct api_text text = {0};
    struct base_error error = {0};
    struct api_answer completion = chat;
    struct cachet_result cut = result;
    enum base_status status = api_response_whole(&text, &chat, "a\"\n\0\xc3\xa9", 6, &result, &error);
    check_text(&text, status, &error,
               ENVELOPE("chatcmpl",
                        "chat.completion") "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                                           "\"a\\\"\\n\\u0000\xc3\xa9\",\"refusal\":null},\"logprobs\":null,"
                                           "\"finish_reason\":\"stop\"}]," USAGE "," FIGURES "}");
    completion.endpoint = API_COMPLETION;
    completion.digest = "";
    cut.finish = CACHET_FINISH_LENGTH;
    status = api_response_whole(&text, &completion, "", 0, &cut, &error);
    check_text(
        &text, status, &error,
        "{\"id\":\"cmpl-0123456789abcdef\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"keeper\","
        "\"system_fingerprint\":null,\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":"
        "\"length\"}]," USAGE "," FIGURES "}");
}

static void test_no_answers(void **state)
{
    struct api_text text = {0};
    struct base_error error = {0};
    struct cachet_result failed = result;
    assert_int_equal(api_response_whole(&text, &chat, "a\xff", 2, &result, &error), BASE_ERR_ARGUMENT);
    assert_string_equal(error.text, "an answer's text is not valid UTF-8 at byte offset 1");
    failed.finish = CACHET_FINISH_FAILED;
    assert_int_equal(api_response_whole(&text, &chat, "a", 1, &failed, &error), BASE_ERR_ARGUMENT);
    failed.finish = CACHET_FINISH_CANCELLED;
    assert_int_equal(api_response_whole(&text, &chat, "a", 1, &failed, &error), BASE_ERR_ARGUMENT);
    assert_null(text.data);
}

static void test_error(void **state)
{
    struct api_text text = {0};
    struct base_error error = {0};
    struct api_error refusal;
    (void)api_fail(&refusal, BASE_OK, API_FAULT_REQUEST, "messages[2].content", "invalid_value", "content is %d", 5);
    enum base_status status = api_response_error(&text, &refusal, &error);
    check_text(
        &text, status, &error,
        "{\"error\":{\"message\":\"content is 5\",\"type\":\"invalid_request_error\",\"param\":\"messages[2].content\","
        "\"code\":\"invalid_value\"}}");
    (void)api_fail(&refusal, BASE_OK, API_FAULT_KEY, NULL, NULL, "no \"key\"");
    status = api_response_error(&text, &refusal, &error);
    check_text(
        &text, status, &error,
        "{\"error\":{\"message\":\"no \\\"key\\\"\",\"type\":\"authentication_error\",\"param\":null,\"code\":null}}");
}

static void test_models(void **state)
{
    static const struct cachet_model model = {.architecture = "llama",
                                              .digest = "ab",
                                              .plan = "cd",
                                              .policy = "keep all",
                                              .context = 2048,
                                              .vocabulary = 512,
                                              .layers = 4,
                                              .slots = 2};
    static const char one[] =
        "{\"id\":\"keeper\",\"object\":\"model\",\"created\":7,\"owned_by\":\"cachet\",\"cachet\":{\"architecture\":"
        "\"llama\",\"digest\":\"ab\",\"plan\":\"cd\",\"policy\":\"keep all\",\"context\":2048,\"vocabulary\":512,"
        "\"layers\":4,\"slots\":2}}";
    char list[sizeof one + 64];
    struct api_text text = {0};
    struct base_error error = {0};
    enum base_status status = api_response_model(&text, &model, "keeper", 7, &error);
    check_text(&text, status, &error, one);
    (void)snprintf(list, sizeof list, "{\"object\":\"list\",\"data\":[%s]}", one);
    status = api_response_models(&text, &model, "keeper", 7, &error);
    check_text(&text, status, &error, list);
}

static struct api_stream open_stream(enum api_endpoint endpoint)
{
    struct api_stream stream = {.answer = chat, .obfuscate = true};
    struct base_error error = {0};
    stream.answer.endpoint = endpoint;
    assert_int_equal(api_stream_open(&stream, &error), BASE_OK);
    assert_int_equal(stream.padding, API_PADDING);
    return stream;
}

/* Events as they are sent, without padding. */
static void test_events(void **state)
{
    struct api_stream stream = open_stream(API_CHAT);
    struct api_text text = {0};
    struct base_error error = {0};
    struct cachet_token token = {.index = 2,
                                 .text = "x\n",
                                 .size = 2,
                                 .seconds = 0.5,
                                 .rounds = 1,
                                 .online_bytes = 20,
                                 .dealt_bytes = 30,
                                 .client_bytes = 40,
                                 .shared_with = 3};
    stream.obfuscate = false;
    enum base_status status;
#define CHUNK "data: " ENVELOPE("chatcmpl", "chat.completion.chunk")
    status = api_stream_begin(&text, &stream, &error);
    check_text(&text, status, &error,
               CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                     "\"logprobs\":null,"
                     "\"finish_reason\":null}]}\n\n");
    status = api_stream_token(&text, &stream, &token, &error);
    check_text(
        &text, status, &error,
        CHUNK
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\\n\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    status = api_stream_finish(&text, &stream, &result, &error);
    check_text(&text, status, &error,
               CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]," FIGURES
                     "}\n\n");
    stream.usage = stream.costs = true;
    status = api_stream_token(&text, &stream, &token, &error);
    check_text(
        &text, status, &error,
        CHUNK
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\\n\"},\"logprobs\":null,\"finish_reason\":null}],"
        "\"usage\":null,\"cachet\":{\"index\":2,\"seconds\":0.5,\"rounds\":1,\"online_bytes\":20,\"dealt_bytes\":30,"
        "\"client_bytes\":40,\"shared_with\":3}}\n\n");
    status = api_stream_finish(&text, &stream, &result, &error);
    check_text(
        &text, status, &error,
        CHUNK
        "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null," FIGURES
        "}\n\n" CHUNK "\"choices\":[]," USAGE "}\n\n");
    stream.usage = stream.costs = false;
    stream.answer.endpoint = API_COMPLETION;
#undef CHUNK
#define CHUNK "data: " ENVELOPE("cmpl", "text_completion")
    status = api_stream_token(&text, &stream, &token, &error);
    check_text(&text, status, &error,
               CHUNK "\"choices\":[{\"text\":\"x\\n\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    status = api_stream_finish(&text, &stream, &result, &error);
    check_text(&text, status, &error,
               CHUNK "\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}]," FIGURES
                     "}\n\n");
    status = api_stream_comment(&text, "prompt 5/9\n\ndata: x", &error);
    check_text(&text, status, &error, ": prompt 5/9  data: x\n\n");
    assert_string_equal(api_stream_end(), "data: [DONE]\n\n");
}

/* The JSON of one padded event, checked; its obfuscation is letters and digits. */
static json_t *read_event(const char *event, size_t size)
{
    assert_true(size > 8 && memcmp(event, "data: ", 6) == 0 && memcmp(event + size - 2, "\n\n", 2) == 0);
    assert_null(memchr(event, '\n', size - 2));
    json_t *json = json_loadb(event + 6, size - 8, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    const char *padding = json_string_value(json_object_get(json, "obfuscation"));
    assert_non_null(padding);
    for (; *padding != '\0'; padding++)
        assert_true(isalnum((unsigned char)*padding));
    return json;
}

/* Size of the event of a token with this text. */
static size_t token_size(const struct api_stream *stream, const char *token_text, size_t size, unsigned turn)
{
    struct api_text text = {0};
    struct base_error error = {0};
    struct cachet_token token = {.text = token_text, .size = size};
    if (turn % 2 == 1)
        token = (struct cachet_token){.index = 1u << 20,
                                      .text = token_text,
                                      .size = size,
                                      .seconds = 12.34567890123,
                                      .rounds = 1u << 20,
                                      .online_bytes = UINT64_C(1) << 50,
                                      .dealt_bytes = UINT64_C(1) << 50,
                                      .client_bytes = UINT64_C(1) << 50,
                                      .shared_with = 99};
    if (api_stream_token(&text, stream, &token, &error) != BASE_OK)
        fail_msg("%s", error.text);
    json_t *json = read_event(text.data, text.size);
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *back = stream->answer.endpoint == API_CHAT
                             ? json_object_get(json_object_get(choice, "delta"), "content")
                             : json_object_get(choice, "text");
    assert_int_equal(json_string_length(back), size);
    assert_true(size == 0 || memcmp(json_string_value(back), token_text, size) == 0);
    const size_t length = text.size;
    json_decref(json);
    api_text_finish(&text);
    return length;
}

/* Texts of 0 to 60 bytes, of characters that JSON writes as one to six. */
static void test_lengths(void **state)
{
    static const char *const characters[] = {"a",    "\"", "\\",       "\n",           "\x01",
                                             "\x7f", "/",  "\xc3\xa9", "\xe2\x80\xa8", "\xf0\x9f\x98\x80"};
    for (unsigned form = 0; form < 8; form++) {
        struct api_stream stream = open_stream((form & 1) != 0 ? API_CHAT : API_COMPLETION);
        struct base_error error = {0};
        stream.costs = (form & 2) != 0;
        stream.usage = (form & 4) != 0;
        assert_int_equal(api_stream_open(&stream, &error), BASE_OK);
        const size_t length = token_size(&stream, "", 0, 0);
        assert_int_equal(length, stream.bytes + stream.padding + strlen("data: \n\n"));
        assert_in_range(length, API_PADDING, 2 * API_PADDING);
        for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
            char text[61];
            const size_t one = strlen(characters[i]);
            for (size_t size = 0; size <= 60; size += one) {
                assert_int_equal(token_size(&stream, text, size, (unsigned)(i + size)), length);
                if (size + one <= 60)
                    memcpy(text + size, characters[i], one);
            }
        }
        char zeros[60] = {0};
        assert_int_equal(token_size(&stream, zeros, sizeof zeros, 1), length);
    }
}

/* First and last events are as long as the others, and their padding is not the same twice. */
static void test_other_events(void **state)
{
    for (unsigned form = 0; form < 4; form++) {
        struct api_stream stream = open_stream((form & 1) != 0 ? API_CHAT : API_COMPLETION);
        struct api_text begin = {0}, again = {0}, finish = {0}, failed = {0};
        struct base_error error = {0};
        struct api_error refusal;
        stream.usage = (form & 2) != 0;
        assert_int_equal(api_stream_open(&stream, &error), BASE_OK);
        const size_t length = token_size(&stream, "x", 1, 0);
        assert_int_equal(api_stream_begin(&begin, &stream, &error), BASE_OK);
        assert_int_equal(api_stream_begin(&again, &stream, &error), BASE_OK);
        assert_int_equal(begin.size, length);
        assert_int_equal(again.size, length);
        assert_memory_not_equal(begin.data, again.data, length);
        assert_int_equal(api_stream_finish(&finish, &stream, &result, &error), BASE_OK);
        assert_int_equal(finish.size, (stream.usage ? 2 : 1) * length);
        json_decref(read_event(finish.data, length));
        if (stream.usage)
            json_decref(read_event(finish.data + length, length));
        (void)api_fail(&refusal, BASE_OK, API_FAULT_UNAVAILABLE, NULL, "party_gone", "P1 is gone");
        assert_int_equal(api_stream_error(&failed, &stream, &refusal, &error), BASE_OK);
        assert_int_equal(failed.size, length);
        json_t *json = read_event(failed.data, failed.size);
        assert_string_equal(json_string_value(json_object_get(json_object_get(json, "error"), "code")), "party_gone");
        json_decref(json);
        api_text_finish(&begin);
        api_text_finish(&again);
        api_text_finish(&finish);
        api_text_finish(&failed);
    }
}

/* What does not fit takes whole multiples more: the length tells the multiple alone. */
static void test_multiples(void **state)
{
    struct api_stream stream = open_stream(API_CHAT);
    struct base_error error = {0};
    char text[400];
    memset(text, 'a', sizeof text);
    stream.padding = API_PADDING_MIN;
    assert_int_equal(api_stream_open(&stream, &error), BASE_OK);
    const size_t length = token_size(&stream, "", 0, 0);
    for (size_t size = 0; size <= sizeof text; size++) {
        const size_t more = size <= API_PADDING_MIN ? 0 : (size - 1) / API_PADDING_MIN * API_PADDING_MIN;
        assert_int_equal(token_size(&stream, text, size, 0), length + more);
    }
    stream.padding = 8;
    assert_int_equal(api_stream_open(&stream, &error), BASE_ERR_ARGUMENT);
    assert_string_equal(error.text, "chunks are to be padded to multiples of 8 bytes; allowed: 64 to 65536");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),        cmocka_unit_test(test_no_answers), cmocka_unit_test(test_error),
        cmocka_unit_test(test_models),       cmocka_unit_test(test_events),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_other_events), cmocka_unit_test(test_multiples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
