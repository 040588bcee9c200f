/* Bodies of requests: what good ones become, and that bad ones are refused by the field's name without repeating what
 * was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/parties/api/api_support.h"

static struct api_request parse(enum api_endpoint endpoint, const char *text)
{
    struct api_request request;
    struct api_error error = {0};
    if (parse_quoted(&request, endpoint, text, &error) != BASE_OK)
        fail_msg("%s\n%s", text, error.message);
    return request;
}

static void test_defaults(void **state)
{
    struct api_request r = parse(API_CHAT, "{'messages': [{'role': 'user', 'content': 'hi'}]}");
    assert_string_equal(r.model, "");
    assert_int_equal(r.message_count, 1);
    assert_int_equal(r.messages[0].role, API_ROLE_USER);
    assert_int_equal(r.messages[0].size, 2);
    assert_string_equal(r.messages[0].text, "hi");
    assert_int_equal(r.max_tokens, 0);
    assert_true(r.temperature == 1 && r.top_p == 1 && r.top_k == 0);
    assert_true(!r.has_seed && !r.stream && !r.include_usage && r.include_obfuscation);
    assert_int_equal(r.stop_count, 0);
    api_request_finish(&r);
    assert_null(r.messages);
}

static void test_everything(void **state)
{
    struct api_request r =
        parse(API_CHAT, "{'model': 'keeper', 'messages': [{'role': 'developer', 'content': 'be brief'}, {'role': "
                        "'user', 'content': [{'type': 'text', "
                        "'text': 'a'}, {'text': 'b\\u0000c', 'type': 'text'}]}, {'role': 'assistant', 'content': '', "
                        "'refusal': null, 'tool_calls': []}, "
                        "{'content': '\\ud83d\\ude00', 'role': 'user'}], 'max_completion_tokens': 2048, 'temperature': "
                        "0, 'top_p': 0.5, 'top_k': 40, "
                        "'seed': -1, 'stop': ['\\n', 'END'], 'stream': true, 'stream_options': {'include_usage': true, "
                        "'include_obfuscation': false}, "
                        "'user': 'me', 'n': 1, 'presence_penalty': 0, 'frequency_penalty': 0.0, 'logit_bias': {}, "
                        "'logprobs': false, 'top_logprobs': 0, "
                        "'response_format': {'type': 'text'}, 'service_tier': 'auto', 'store': false, 'metadata': {}}");
    assert_string_equal(r.model, "keeper");
    assert_int_equal(r.message_count, 4);
    assert_int_equal(r.messages[0].role, API_ROLE_SYSTEM);
    assert_int_equal(r.messages[1].size, 5);
    assert_memory_equal(r.messages[1].text, "a\nb\0c", 5);
    assert_int_equal(r.messages[2].role, API_ROLE_ASSISTANT);
    assert_int_equal(r.messages[2].size, 0);
    assert_string_equal(r.messages[3].text, "\xf0\x9f\x98\x80");
    assert_int_equal(r.max_tokens, 2048);
    assert_true(r.temperature == 0 && r.top_p == 0.5 && r.top_k == 40);
    assert_true(r.has_seed && r.seed == UINT64_MAX);
    assert_int_equal(r.stop_count, 2);
    assert_string_equal(r.stop[0], "\n");
    assert_string_equal(r.stop[1], "END");
    assert_true(r.stream && r.include_usage && !r.include_obfuscation);
    api_request_finish(&r);
}

static void test_completion(void **state)
{
    struct api_request r =
        parse(API_COMPLETION, "{'prompt': 'Once', 'max_tokens': 1, 'stop': 'x', 'echo': false, 'best_of': 1, "
                              "'suffix': null, 'logprobs': null, 'temperature': 2, 'top_p': 1}");
    assert_int_equal(r.prompt_size, 4);
    assert_string_equal(r.prompt, "Once");
    assert_int_equal(r.max_tokens, 1);
    assert_int_equal(r.stop_count, 1);
    api_request_finish(&r);
    r = parse(API_COMPLETION, "{'prompt': ['Once']}");
    assert_string_equal(r.prompt, "Once");
    api_request_finish(&r);
    r = parse(API_COMPLETION, "{'prompt': [1, 511, 0]}");
    assert_null(r.prompt);
    assert_int_equal(r.id_count, 3);
    assert_int_equal(r.ids[1], 511);
    api_request_finish(&r);
}

/* null counts as not given. */
static void test_nulls(void **state)
{
    struct api_request r =
        parse(API_CHAT, "{'messages': [{'role': 'user', 'content': 'a'}], 'model': null, 'max_tokens': null, "
                        "'max_completion_tokens': 3, 'temperature': null, 'top_p': null, 'top_k': null, 'seed': null, "
                        "'stop': null, 'stream': null, 'stream_options': null, 'n': null, 'metadata': null}");
    assert_int_equal(r.max_tokens, 3);
    assert_true(r.temperature == 1 && !r.has_seed && !r.stream);
    api_request_finish(&r);
}

#define CHAT "{'messages': [{'role': 'user', 'content': 'SECRET'}], "
#define MESSAGES(m) "{'messages': [" m "]}"
#define BIG "99999999999999999999999999"

struct bad {
    enum api_endpoint endpoint;
    const char *body;
    const char *param; /* "": none */
    const char *part;  /* of the message */
};

static const struct bad bads[] = {
    /* no JSON object */
    {API_CHAT, "", "", "the body is empty"},
    {API_CHAT, "SECRET", "", "near byte"},
    {API_CHAT, "{", "", "ends too early"},
    {API_CHAT, "[]", "", "needed: a JSON object"},
    {API_CHAT, "5", "", "near byte"},
    {API_CHAT, "null", "", "near byte"},
    {API_CHAT, "{} SECRET", "", "something follows"},
    {API_CHAT, "{'SECRET': }", "", "near byte"},
    {API_CHAT, "{'messages': 'SECRET", "", "near byte"},
    {API_CHAT, CHAT "'seed': " BIG "}", "", "a number is too large"},
    {API_CHAT, CHAT "'temperature': 1e999}", "", "a number is too large"},
    {API_CHAT, CHAT "'temperature': NaN}", "", "near byte"},
    {API_CHAT, CHAT "'temperature': -Infinity}", "", "near byte"},
    {API_CHAT, CHAT "'seed': 01}", "", "near byte"},
    {API_CHAT, CHAT "'top_k': 0x10}", "", "near byte"},
    {API_CHAT, CHAT "'n': 1, 'n': 1}", "", "stands twice"},
    {API_CHAT, MESSAGES("{'role': 'user', 'role': 'user', 'content': 'SECRET'}"), "", "stands twice"},
    {API_CHAT, CHAT "'a\\u0000b': 1}", "", "a key holds a NUL"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET\xff'}"), "", "not valid UTF-8"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET\xc0\xaf'}"), "", "not valid UTF-8"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET\xed\xa0\x80'}"), "", "not valid UTF-8"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET\\ud800'}"), "", "near byte"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET\n'}"), "", "near byte"},
    {API_CHAT, "{'a': [[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]}", "", "nested too deep at byte"},
    {API_CHAT, "{'a': [[[[[[[[[[[[[[[[[[[[[[[[", "", "nested too deep at byte"},
    /* messages */
    {API_CHAT, "{}", "messages", "is missing"},
    {API_CHAT, "{'model': 'SECRET'}", "messages", "is missing"},
    {API_CHAT, "{'messages': null}", "messages", "messages is null"},
    {API_CHAT, "{'messages': 'SECRET'}", "messages", "messages is a string"},
    {API_CHAT, "{'messages': {}}", "messages", "messages is an empty object"},
    {API_CHAT, MESSAGES(""), "messages", "messages is an empty array; allowed: an array of 1 to 8 messages"},
    {API_CHAT, MESSAGES("1,1,1,1,1,1,1,1,1"), "messages", "messages is an array of 9"},
    {API_CHAT, MESSAGES("'SECRET'"), "messages[0]", "messages[0] is a string"},
    {API_CHAT, MESSAGES("{'content': 'SECRET'}"), "messages[0].role", "is missing"},
    {API_CHAT, MESSAGES("{'role': 'SECRET', 'content': 'a'}"), "messages[0].role", "is a string; allowed: \"system\""},
    {API_CHAT, MESSAGES("{'role': 'tool', 'content': 'SECRET'}"), "messages[0].role", "allowed"},
    {API_CHAT, MESSAGES("{'role': 'User', 'content': 'SECRET'}"), "messages[0].role", "allowed"},
    {API_CHAT, MESSAGES("{'role': 'user\\u0000', 'content': 'SECRET'}"), "messages[0].role", "allowed"},
    {API_CHAT, MESSAGES("{'role': 1, 'content': 'SECRET'}"), "messages[0].role", "messages[0].role is 1"},
    {API_CHAT, MESSAGES("{'role': null, 'content': 'SECRET'}"), "messages[0].role", "is null"},
    {API_CHAT, MESSAGES("{'role': 'user'}"), "messages[0].content", "is missing"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': null}"), "messages[0].content", "is null"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 7}"), "messages[0].content", "is 7"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': {}}"), "messages[0].content", "is an empty object"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': ''}"), "messages[0].content",
     "is empty; allowed: at least one character"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': []}"), "messages[0].content", "is an empty array"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': ['SECRET']}"), "messages[0].content[0]", "is a string"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'text': 'SECRET'}]}"), "messages[0].content[0].type",
     "is missing"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'type': 'text'}]}"), "messages[0].content[0].text",
     "is missing"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'type': 'text', 'text': 1}]}"), "messages[0].content[0].text",
     "is 1"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'type': 'text', 'text': ''}]}"), "messages[0].content",
     "is empty"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'type': 'text', 'text': 'SECRET', 'cache': 1}]}"),
     "messages[0].content[0].cache", "is not supported"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': 'SECRET'}}]}"),
     "messages[0].content[0].type", "the model reads nothing else"},
    {API_CHAT, MESSAGES("{'role': 'user', 'content': 'SECRET', 'name': 'SECRET'}"), "messages[0].name",
     "is not supported"},
    {API_CHAT, MESSAGES("{'role': 'assistant', 'content': 'SECRET', 'tool_calls': [{'id': 'SECRET'}]}"),
     "messages[0].tool_calls", "is not supported"},
    /* prompts */
    {API_COMPLETION, "{}", "prompt", "is missing"},
    {API_COMPLETION, "{'prompt': null}", "prompt", "is null"},
    {API_COMPLETION, "{'prompt': ''}", "prompt", "prompt is an empty string"},
    {API_COMPLETION, "{'prompt': ['']}", "prompt", "allowed: a string of at least one character"},
    {API_COMPLETION, "{'prompt': []}", "prompt", "prompt is an empty array"},
    {API_COMPLETION, "{'prompt': ['SECRET', 'SECRET']}", "prompt", "prompt is an array of 2"},
    {API_COMPLETION, "{'prompt': [[1, 2]]}", "prompt", "allowed"},
    {API_COMPLETION, "{'prompt': [1, 'SECRET']}", "prompt[1]", "is a string"},
    {API_COMPLETION, "{'prompt': [1, -1]}", "prompt[1]", "prompt[1] is -1; allowed: a whole number, 0 to 511"},
    {API_COMPLETION, "{'prompt': [512]}", "prompt[0]", "prompt[0] is 512"},
    {API_COMPLETION, "{'prompt': [1, 2.0]}", "prompt[1]", "allowed: a whole number"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'messages': []}", "messages", "is not supported"},
    {API_CHAT, CHAT "'prompt': 'SECRET'}", "prompt", "is not supported"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'max_completion_tokens': 5}", "max_completion_tokens", "is not supported"},
    /* numbers */
    {API_CHAT, CHAT "'max_tokens': 0}", "max_tokens", "max_tokens is 0; allowed: a whole number, 1 to 2048"},
    {API_CHAT, CHAT "'max_tokens': -1}", "max_tokens", "max_tokens is -1"},
    {API_CHAT, CHAT "'max_tokens': 2049}", "max_tokens", "max_tokens is 2049"},
    {API_CHAT, CHAT "'max_tokens': 9223372036854775807}", "max_tokens", "max_tokens is 9223372036854775807"},
    {API_CHAT, CHAT "'max_tokens': 1.5}", "max_tokens", "max_tokens is 1.5"},
    {API_CHAT, CHAT "'max_tokens': '5'}", "max_tokens", "max_tokens is a string"},
    {API_CHAT, CHAT "'max_tokens': true}", "max_tokens", "max_tokens is true"},
    {API_CHAT, CHAT "'max_tokens': 5, 'max_completion_tokens': 5}", "max_completion_tokens", "are both given"},
    {API_CHAT, CHAT "'temperature': -0.1}", "temperature", "temperature is -0.1"},
    {API_CHAT, CHAT "'temperature': 2.1}", "temperature", "temperature is 2.1; allowed: a number, 0 to 2"},
    {API_CHAT, CHAT "'temperature': 1e308}", "temperature", "temperature is 1e+308"},
    {API_CHAT, CHAT "'temperature': 'SECRET'}", "temperature", "temperature is a string"},
    {API_CHAT, CHAT "'temperature': []}", "temperature", "is an empty array"},
    {API_CHAT, CHAT "'top_p': 0}", "top_p", "top_p is 0"},
    {API_CHAT, CHAT "'top_p': 1.01}", "top_p", "top_p is 1.01"},
    {API_CHAT, CHAT "'top_p': false}", "top_p", "top_p is false"},
    {API_CHAT, CHAT "'top_k': -1}", "top_k", "top_k is -1"},
    {API_CHAT, CHAT "'top_k': 1e3}", "top_k", "top_k is 1000; allowed: a whole number"},
    {API_CHAT, CHAT "'top_k': 4294967296}", "top_k", "top_k is 4294967296"},
    {API_CHAT, CHAT "'seed': 1.5}", "seed", "seed is 1.5"},
    {API_CHAT, CHAT "'seed': 'SECRET'}", "seed", "seed is a string"},
    /* the rest */
    {API_CHAT, CHAT "'model': ''}", "model", "model is an empty string"},
    {API_CHAT, CHAT "'model': 5}", "model", "model is 5"},
    {API_CHAT, CHAT "'model': 'SECRET\\u0000'}", "model", "model is a string"},
    {API_CHAT, CHAT "'stop': ''}", "stop", "stop is an empty string"},
    {API_CHAT, CHAT "'stop': 5}", "stop", "stop is 5"},
    {API_CHAT, CHAT "'stop': ['a', '']}", "stop[1]", "stop[1] is an empty string"},
    {API_CHAT, CHAT "'stop': ['a', 1]}", "stop[1]", "stop[1] is 1"},
    {API_CHAT, CHAT "'stop': ['SECRET\\u0000']}", "stop[0]", "without NUL"},
    {API_CHAT, CHAT "'stop': ['a', 'b', 'c', 'd', 'e']}", "stop",
     "stop is an array of 5; allowed: a string, or an array of up to 4"},
    {API_CHAT, CHAT "'stream': 1}", "stream", "stream is 1; allowed: true or false"},
    {API_CHAT, CHAT "'stream': 'true'}", "stream", "stream is a string"},
    {API_CHAT, CHAT "'stream_options': {}}", "stream_options", "given without a stream"},
    {API_CHAT, CHAT "'stream': true, 'stream_options': []}", "stream_options", "is an empty array"},
    {API_CHAT, CHAT "'stream': true, 'stream_options': {'include_usage': 1}}", "stream_options.include_usage", "is 1"},
    {API_CHAT, CHAT "'stream': true, 'stream_options': {'usage': true}}", "stream_options.usage", "is not supported"},
    {API_CHAT, CHAT "'n': 2}", "n", "n is 2; allowed: 1"},
    {API_CHAT, CHAT "'n': 0}", "n", "n is 0"},
    {API_CHAT, CHAT "'presence_penalty': 0.5}", "presence_penalty", "presence_penalty is 0.5; allowed: 0"},
    {API_CHAT, CHAT "'frequency_penalty': 'SECRET'}", "frequency_penalty", "is a string"},
    {API_CHAT, CHAT "'logprobs': true}", "logprobs", "logprobs is true"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'logprobs': 0}", "logprobs", "logprobs is 0"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'echo': true}", "echo", "echo is true"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'best_of': 2}", "best_of", "best_of is 2"},
    {API_COMPLETION, "{'prompt': 'SECRET', 'suffix': 'SECRET'}", "suffix", "suffix is a string; allowed: null"},
    {API_CHAT, CHAT "'logit_bias': {'50256': -100}}", "logit_bias", "logit_bias is an object"},
    {API_CHAT, CHAT "'response_format': {'type': 'json_object'}}", "response_format", "allowed: {\"type\": \"text\"}"},
    {API_CHAT, CHAT "'response_format': {'type': 'text', 'schema': 1}}", "response_format", "allowed"},
    {API_CHAT, CHAT "'service_tier': 'SECRET'}", "service_tier", "is a string"},
    {API_CHAT, CHAT "'store': true}", "store", "store is true"},
    {API_CHAT, CHAT "'metadata': {'a': 'SECRET'}}", "metadata", "metadata is an object"},
    {API_CHAT, CHAT "'user': 5}", "user", "user is 5"},
    {API_CHAT, CHAT "'tools': []}", "tools", "tools is not supported; supported here: model, messages"},
    {API_CHAT, CHAT "'parallel_tool_calls': true}", "parallel_tool_calls", "is not supported"},
    {API_CHAT, CHAT "'functions': null}", "functions", "is not supported"},
    {API_CHAT, CHAT "'max_token': 5}", "max_token", "is not supported"},
    {API_CHAT, CHAT "'': 5}", "", "is not supported"},
    {API_CHAT, CHAT "'a\\nb\\u001b[31m': 5}", "a?b?[31m", "a?b?[31m is not supported"},
};

static void test_bad(void **state)
{
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct api_request request;
        struct api_error error = {0};
        enum base_status status = parse_quoted(&request, bads[i].endpoint, bads[i].body, &error);
        if (status == BASE_OK || error.http_status != 400 || strcmp(error.type, "invalid_request_error") != 0 ||
            error.code[0] == '\0' || strcmp(error.param, bads[i].param) != 0 ||
            strstr(error.message, bads[i].part) == NULL || strstr(error.message, "SECRET") != NULL)
            fail_msg("%s\nis answered %d, param \"%s\", code \"%s\": %s", bads[i].body, (int)status, error.param,
                     error.code, error.message);
        assert_null(request.messages);
        api_request_finish(&request);
    }
}

/* Bodies that are bad by their size, or hold a NUL. */
static void test_sizes(void **state)
{
    struct api_request request;
    struct api_error error = {0};
    const size_t size = 4 << 20;
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, 'a', size);
    assert_int_equal(api_request_parse(&request, API_CHAT, body, size, &api_test_limits, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(error.http_status, 413);
    assert_string_equal(error.message, "the body has 4194304 bytes; allowed: up to 65536");

    struct api_limits limits = api_test_limits;
    limits.body_bytes = size;
    static const char start[] = "{\"prompt\": \"", end[] = "\"}";
    memcpy(body, start, sizeof start - 1);
    memcpy(body + size - (sizeof end - 1), end, sizeof end - 1);
    assert_int_equal(api_request_parse(&request, API_COMPLETION, body, size, &limits, &error), BASE_OK);
    assert_int_equal(request.prompt_size, size - sizeof start - sizeof end + 2);
    api_request_finish(&request);

    memset(body, '[', size);
    assert_int_equal(api_request_parse(&request, API_COMPLETION, body, size, &limits, &error), BASE_ERR_FORMAT);
    assert_non_null(strstr(error.message, "nested too deep"));

    static const char nul[] = "{\"prompt\": \"a\0b\"}";
    assert_int_equal(api_request_parse(&request, API_COMPLETION, nul, sizeof nul - 1, &limits, &error),
                     BASE_ERR_FORMAT);

    /* A stop text and a model of one byte too many; a key longer than errors show. */
    static const struct {
        const char *start, *end;
        size_t size;
        const char *param;
    } longs[] = {{"{\"prompt\":\"p\",\"stop\":\"", "\"}", CACHET_STOP_BYTES + 1, "stop"},
                 {"{\"prompt\":\"p\",\"model\":\"", "\"}", API_MODEL_BYTES, "model"},
                 {"{\"prompt\":\"p\",\"", "\":1}", 5000, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."}};
    for (size_t i = 0; i < sizeof longs / sizeof *longs; i++) {
        char *at = stpcpy(body, longs[i].start);
        memset(at, 'a', longs[i].size);
        at = stpcpy(at + longs[i].size, longs[i].end);
        assert_int_not_equal(api_request_parse(&request, API_COMPLETION, body, (size_t)(at - body), &limits, &error),
                             BASE_OK);
        assert_string_equal(error.param, longs[i].param);
        assert_true(strlen(error.message) < 600);
    }
    free(body);

    limits.vocabulary = 0;
    static const char ids[] = "{\"prompt\": [1]}";
    assert_int_equal(api_request_parse(&request, API_COMPLETION, ids, sizeof ids - 1, &limits, &error),
                     BASE_ERR_ARGUMENT);
    assert_string_equal(error.message, "prompt is an array of 1; allowed: a string");
}

/* Every prefix of a good body is refused, and nothing is left behind. */
static void test_cut_off(void **state)
{
    char *body = quoted("{'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': 'a\\u00e9'}]}], 'stop': "
                        "['a', 'b'], 'seed': 5}");
    for (size_t size = 0; size < strlen(body); size++) {
        struct api_request request;
        struct api_error error = {0};
        assert_int_equal(api_request_parse(&request, API_CHAT, body, size, &api_test_limits, &error), BASE_ERR_FORMAT);
        assert_int_equal(error.http_status, 400);
    }
    free(body);
}

static void test_errors_of_others(void **state)
{
    struct api_error error;
    struct cachet_error busy = {CACHET_BUSY, "4 requests wait; allowed: 4"}, odd = {(enum cachet_code)99, "odd"};
    api_error_from_cachet(&error, &busy);
    assert_int_equal(error.http_status, 429);
    assert_string_equal(error.type, "rate_limit_error");
    assert_string_equal(error.code, "queue_full");
    assert_string_equal(error.message, busy.text);
    busy.code = CACHET_NOT_READY;
    api_error_from_cachet(&error, &busy);
    assert_int_equal(error.http_status, 503);
    api_error_from_cachet(&error, &odd);
    assert_int_equal(error.http_status, 500);
    assert_int_equal(api_error_model(&error, "keeper"), BASE_ERR_ARGUMENT);
    assert_int_equal(error.http_status, 404);
    assert_string_equal(error.message, "model is none that is served here; served: \"keeper\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_everything),
        cmocka_unit_test(test_completion), cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_bad),        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cut_off),    cmocka_unit_test(test_errors_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
