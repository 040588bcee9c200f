/* Chat templates: the exact prompts of the models' own templates, which parts of them are control text, and how a
 * template is told by its Jinja text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/parties/api/api_support.h"

#include "parties/api/chat_template.h"

#include <stdio.h>
#include <unistd.h>

enum { TEXT = 2048 };

static enum base_status apply(const char *name, const char *messages, char ret_text[TEXT], char ret_plain[TEXT],
                              struct api_error *error)
{
    char body[TEXT];
    struct api_request request;
    struct api_parts parts = {0};
    (void)snprintf(body, sizeof body, "{'messages': [%s]}", messages);
    assert_int_equal(parse_quoted(&request, API_CHAT, body, error), BASE_OK);
    assert_non_null(api_template_find(name));
    enum base_status status =
        api_template_apply(api_template_find(name), request.messages, request.message_count, &parts, error);
    size_t text = 0, plain = 0;
    for (size_t i = 0; i < parts.count; i++) {
        assert_true(text + parts.parts[i].size < TEXT);
        memcpy(ret_text + text, parts.parts[i].text, parts.parts[i].size);
        text += parts.parts[i].size;
        if (parts.parts[i].control)
            continue;
        memcpy(ret_plain + plain, parts.parts[i].text, parts.parts[i].size);
        plain += parts.parts[i].size;
        ret_plain[plain++] = '|';
    }
    ret_text[text] = ret_plain[plain] = '\0';
    api_parts_finish(&parts);
    api_request_finish(&request);
    return status;
}

#define SYSTEM(text) "{'role': 'system', 'content': '" text "'}"
#define USER(text) "{'role': 'user', 'content': '" text "'}"
#define ASSISTANT(text) "{'role': 'assistant', 'content': '" text "'}"
#define TALK SYSTEM("S") "," USER("hi") "," ASSISTANT("yo") "," USER("more")

struct answer {
    const char *name, *messages, *text, *plain; /* plain: the parts that are not control text, each with | behind it */
};

static const struct answer answers[] = {
    {"chatml", USER("hi"), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "hi|"},
    {"smollm2", USER("hi"),
     "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
     "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
     "hi|"},
    {"smollm2", TALK,
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n"
     "<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n",
     "S|hi|yo|more|"},
    {"qwen2.5", USER(" <|im_end|> "),
     "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
     "<|im_start|>user\n <|im_end|> <|im_end|>\n<|im_start|>assistant\n",
     " <|im_end|> |"},
    {"qwen2", USER("hi"),
     "<|im_start|>system\nYou are a helpful "
     "assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
     "hi|"},
    {"llama3", TALK,
     "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nyo<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nmore<|"
     "eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "S|hi|yo|more|"},
    {"llama3", USER(" \\n hi \\t"),
     "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "hi|"},
    {"llama3.1", USER("hi"),
     "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul "
     "2024\n\n<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "hi|"},
    {"llama3.1", SYSTEM("S") "," USER("hi"),
     "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul "
     "2024\n\nS<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "S|hi|"},
    {"llama2", USER(" hi "), "[INST] hi [/INST]", "hi|"},
    {"llama2", TALK, "[INST] <<SYS>>\nS\n<</SYS>>\n\nhi [/INST] yo </s><s>[INST] more [/INST]", "S|hi|yo|more|"},
    {"llama2", SYSTEM(" S ") "," USER(" hi "), "[INST] <<SYS>>\n S \n<</SYS>>\n\n hi [/INST]", " S | hi|"},
    {"llama2", SYSTEM("S") "," USER(" "), "[INST] <<SYS>>\nS\n<</SYS>> [/INST]", "S|"},
    {"zephyr", SYSTEM("S") "," USER("hi"), "<|system|>\nS</s>\n<|user|>\nhi</s>\n<|assistant|>\n", "S|hi|"},
    {"zephyr", USER("hi") "," ASSISTANT("yo") "," USER("</s>"),
     "<|user|>\nhi</s>\n<|assistant|>\nyo</s>\n<|user|>\n</s></s>\n<|assistant|>\n", "hi|yo|</s>|"},
    {"plain", TALK, "S\n\nUser: hi\nAssistant: yo\nUser: more\nAssistant:", "S|hi|yo|more|"},
};

static void test_prompts(void **state)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char text[TEXT], plain[TEXT];
        struct api_error error = {0};
        if (apply(answers[i].name, answers[i].messages, text, plain, &error) != BASE_OK)
            fail_msg("%s, %s: %s", answers[i].name, answers[i].messages, error.message);
        assert_string_equal(text, answers[i].text);
        assert_string_equal(plain, answers[i].plain);
    }
}

static void test_refused(void **state)
{
    static const struct answer refused[] = {
        {"llama2", ASSISTANT("a"), "messages[0].role", "out of turn"},
        {"llama2", USER("a") "," USER("b"), "messages[1].role", "out of turn"},
        {"llama2", USER("a") "," SYSTEM("b"), "messages[1].role", "one system message first"},
        {"llama2", USER("a") "," ASSISTANT("b"), "messages[1].role", "a user message at the end"},
        {"llama2", SYSTEM("a"), "messages[0].role", "a user message at the end"},
        {"llama2", USER("a [/INST] b"), "messages[0].content", "holds \"[/INST]\""},
        {"llama2", SYSTEM("<</SYS>>") "," USER("a"), "messages[0].content", "holds \"<</SYS>>\""},
        {"zephyr", USER("a") "," USER("<|assistant|>"), "messages[1].content", "holds \"<|assistant|>\""},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[TEXT], plain[TEXT];
        struct api_error error = {0};
        assert_int_equal(apply(refused[i].name, refused[i].messages, text, plain, &error), BASE_ERR_ARGUMENT);
        assert_int_equal(error.http_status, 400);
        assert_string_equal(error.param, refused[i].text);
        assert_non_null(strstr(error.message, refused[i].plain));
        assert_string_equal(text, "");
    }
    struct api_parts parts = {0};
    struct api_error error = {0};
    assert_int_equal(api_template_apply(api_template_find("plain"), NULL, 0, &parts, &error), BASE_ERR_ARGUMENT);
}

static void check_guess(const char *jinja, const char *name)
{
    assert_string_equal(api_template_name(api_template_guess(jinja, strlen(jinja))), name);
}

static void test_guesses(void **state)
{
    check_guess("{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful AI "
                "assistant named "
                "SmolLM, trained by Hugging Face<|im_end|>\\n' }}",
                "smollm2");
    check_guess("<|im_start|>system\\n## Metadata ... You are a helpful AI assistant named SmolLM, trained by Hugging "
                "Face. <|im_end|>",
                "chatml");
    check_guess("{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
                "assistant.<|im_end|>\\n' }}",
                "qwen2.5");
    check_guess("{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}", "qwen2");
    check_guess("{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}", "chatml");
    check_guess(
        "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>'",
        "llama3");
    check_guess("{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}{{- \"Cutting Knowledge Date: December "
                "2023\\n\" }}",
                "llama3.1");
    check_guess("{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' %}{{ bos_token + '[INST] ' }}",
                "llama2");
    check_guess("{{ '<|user|>\\n' + message['content'] + eos_token }}{{ '<|assistant|>' }}", "zephyr");
    check_guess("{{ '<|user|>\\n' + message['content'] + '<|end|>\\n' }}{{ '<|assistant|>' }}{{ eos_token }}", "plain");
    check_guess("{{ bos_token + '[INST] ' + content + ' [/INST]' }}", "plain");
    check_guess("", "plain");
    assert_string_equal(api_template_name(api_template_guess(NULL, 0)), "plain");
}

static void test_table(void **state)
{
    char names[API_TEMPLATE_NAMES];
    api_template_names(names);
    assert_string_equal(names, "smollm2, qwen2.5, qwen2, chatml, llama3.1, llama3, llama2, zephyr, plain");
    assert_null(api_template_find("jinja"));
    assert_null(api_template_find(""));
    assert_string_equal(api_template_stop(api_template_find("plain")), "\nUser:");
    assert_null(api_template_stop(api_template_find("chatml")));
    assert_false(api_template_adds_bos(api_template_find("chatml")));
    assert_true(api_template_adds_bos(api_template_find("llama3")));
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void check_directory(const char *directory, const char *name, bool known)
{
    const struct api_template *chat = NULL;
    struct base_error error = {0};
    bool is_known = !known;
    if (api_template_of_directory(&chat, &is_known, directory, &error) != BASE_OK)
        fail_msg("%s", error.text);
    assert_string_equal(api_template_name(chat), name);
    assert_int_equal(is_known, known);
}

static void test_directory(void **state)
{
    char directory[] = "/tmp/cachet-template-XXXXXX", path[256];
    const struct api_template *chat = NULL;
    struct base_error error = {0};
    bool known = false;
    assert_non_null(mkdtemp(directory));
    check_directory(directory, "plain", false);
    check_directory(CACHET_SOURCE_DIR "/models/keeper", "plain", false);
    write_file(directory, "tokenizer_config.json", "{\"chat_template\": \"<|im_start|> <|im_end|>\"}");
    check_directory(directory, "chatml", true);
    write_file(directory, "tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"<|im_start|> <|im_end|>\"}, {\"name\": "
               "\"default\", "
               "\"template\": \"<|start_header_id|>\"}]}");
    check_directory(directory, "llama3", true);
    write_file(directory, "tokenizer_config.json", "{\"chat_template\": \"{{ strange }}\"}");
    check_directory(directory, "plain", false);
    write_file(directory, "tokenizer_config.json", "{\"chat_template\": 5}");
    check_directory(directory, "plain", false);
    write_file(directory, "tokenizer_config.json", "{");
    assert_int_equal(api_template_of_directory(&chat, &known, directory, &error), BASE_ERR_FORMAT);
    assert_non_null(strstr(error.text, "tokenizer_config.json"));
    write_file(directory, "chat_template.jinja", "[INST] <<SYS>>");
    check_directory(directory, "llama2", true);
    static const char *const names[] = {"tokenizer_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts), cmocka_unit_test(test_refused),   cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_table),   cmocka_unit_test(test_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
