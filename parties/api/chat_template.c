#include "parties/api/chat_template.h"

#include "base/memory.h"
#include "engine/formats/limits.h"
#include "engine/formats/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What stands before and after the text of a message. */
struct turn {
    const char *before, *after;
};

enum order {
    ANY_ORDER,
    ALTERNATING, /* a system message may come first, then user and assistant in turn, user last */
};

enum { SIGNS = 3, MARKERS = 4 };

struct api_template {
    const char *name;
    const struct turn *turns;   /* by enum api_role */
    const char *answer;         /* begins the answer */
    const char *default_system; /* NULL: without a system message there is none */
    const char *preface;        /* before the text of a first system message; NULL: nothing */
    enum order order;
    bool system_in_user; /* the first user message holds the system message, between turns[SYSTEM]; each user turn but
                            the first begins with `again` */
    const char *again;
    bool trim; /* texts lose white space (ASCII) at both ends */
    bool adds_bos;
    const char *stop;
    const char *markers[MARKERS]; /* ordinary text by which the model tells turns apart: no message may hold it */
    const char *signs[SIGNS];     /* a Jinja text with all of these, and without `absent`, is this template */
    const char *absent;
};

static const struct turn chatml_turns[] = {{"<|im_start|>system\n", "<|im_end|>\n"},
                                           {"<|im_start|>user\n", "<|im_end|>\n"},
                                           {"<|im_start|>assistant\n", "<|im_end|>\n"}};
static const struct turn llama3_turns[] = {{"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
                                           {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
                                           {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"}};
static const struct turn llama2_turns[] = {{"<<SYS>>\n", "\n<</SYS>>\n\n"}, {"[INST] ", " [/INST]"}, {" ", " </s>"}};
static const struct turn zephyr_turns[] = {
    {"<|system|>\n", "</s>\n"}, {"<|user|>\n", "</s>\n"}, {"<|assistant|>\n", "</s>\n"}};
static const struct turn plain_turns[] = {{"", "\n\n"}, {"User: ", "\n"}, {"Assistant: ", "\n"}};

/* Sources: chat_template in the tokenizer_config.json of SmolLM2-Instruct, Qwen2-Instruct, Qwen2.5-Instruct,
 * Llama-2-chat, Meta-Llama-3-Instruct, Llama-3.1-Instruct, TinyLlama-1.1B-Chat-v1.0. The first row whose signs are
 * there wins. */
static const struct api_template templates[] = {
    {.name = "smollm2",
     .turns = chatml_turns,
     .answer = "<|im_start|>assistant\n",
     .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
     .signs = {"<|im_start|>", "a helpful AI assistant named SmolLM"},
     .absent = "## Metadata"},
    {.name = "qwen2.5",
     .turns = chatml_turns,
     .answer = "<|im_start|>assistant\n",
     .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
     .signs = {"<|im_start|>", "You are Qwen, created by Alibaba Cloud"}},
    {.name = "qwen2",
     .turns = chatml_turns,
     .answer = "<|im_start|>assistant\n",
     .default_system = "You are a helpful assistant.",
     .signs = {"<|im_start|>", "You are a helpful assistant."}},
    {.name = "chatml",
     .turns = chatml_turns,
     .answer = "<|im_start|>assistant\n",
     .signs = {"<|im_start|>", "<|im_end|>"}},
    {.name = "llama3.1",
     .turns = llama3_turns,
     .answer = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .default_system = "",
     .preface = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
     .trim = true,
     .adds_bos = true,
     .signs = {"<|start_header_id|>", "Cutting Knowledge Date"}},
    {.name = "llama3",
     .turns = llama3_turns,
     .answer = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .trim = true,
     .adds_bos = true,
     .signs = {"<|start_header_id|>"}},
    {.name = "llama2",
     .turns = llama2_turns,
     .answer = "",
     .order = ALTERNATING,
     .system_in_user = true,
     .again = "<s>",
     .trim = true,
     .adds_bos = true,
     .markers = {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"},
     .signs = {"[INST]", "<<SYS>>"}},
    {.name = "zephyr",
     .turns = zephyr_turns,
     .answer = "<|assistant|>\n",
     .adds_bos = true,
     .markers = {"<|system|>", "<|user|>", "<|assistant|>"},
     .signs = {"<|user|>", "<|assistant|>", "eos_token"},
     .absent = "<|end|>"},
    {.name = "plain", .turns = plain_turns, .answer = "Assistant:", .adds_bos = true, .stop = "\nUser:"},
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

const struct api_template *api_template_find(const char *name)
{
    for (size_t i = 0; i < TEMPLATES; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

void api_template_names(char ret[API_TEMPLATE_NAMES])
{
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < TEMPLATES && at < API_TEMPLATE_NAMES; i++)
        at += (size_t)snprintf(ret + at, API_TEMPLATE_NAMES - at, "%s%s", i == 0 ? "" : ", ", templates[i].name);
}

const char *api_template_name(const struct api_template *chat)
{
    return chat->name;
}

bool api_template_adds_bos(const struct api_template *chat)
{
    return chat->adds_bos;
}

const char *api_template_stop(const struct api_template *chat)
{
    return chat->stop;
}

static bool holds(const char *text, size_t size, const char *sign)
{
    return memmem(text, size, sign, strlen(sign)) != NULL;
}

const struct api_template *api_template_guess(const char *jinja, size_t size)
{
    for (size_t i = 0; jinja != NULL && i < TEMPLATES; i++) {
        const struct api_template *t = &templates[i];
        bool all = t->signs[0] != NULL;
        for (size_t k = 0; k < SIGNS && t->signs[k] != NULL; k++)
            all = all && holds(jinja, size, t->signs[k]);
        if (all && (t->absent == NULL || !holds(jinja, size, t->absent)))
            return t;
    }
    return api_template_find("plain");
}

/* chat_template of a tokenizer_config.json: a text, or a list of named texts of which "default" counts. NULL: none. */
static const json_t *template_in(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    if (json_is_string(value))
        return value;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name != NULL && strcmp(name, "default") == 0 && json_is_string(json_object_get(entry, "template")))
            return json_object_get(entry, "template");
    }
    return NULL;
}

static void guess(const struct api_template **ret, bool *ret_known, const char *jinja, size_t size)
{
    *ret = api_template_guess(jinja, size);
    *ret_known = (*ret)->signs[0] != NULL;
}

enum base_status api_template_of_directory(const struct api_template **ret, bool *ret_known, const char *directory,
                                           struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[PATH_MAX];
    struct base_file file = {0};
    json_t *config = NULL;
    guess(ret, ret_known, NULL, 0);
    TRY(eng_path_join(path, sizeof path, directory, "chat_template.jinja", error));
    if (access(path, F_OK) == 0) {
        TRY(eng_file_map(&file, path, ENG_LIMIT_JSON_BYTES, error));
        guess(ret, ret_known, (const char *)file.data, file.size);
        goto out;
    }
    TRY(eng_path_join(path, sizeof path, directory, "tokenizer_config.json", error));
    if (access(path, F_OK) != 0)
        goto out;
    TRY(eng_file_map(&file, path, ENG_LIMIT_JSON_BYTES, error));
    status = eng_json_parse(&config, eng_bytes_of(&file), error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
    else if (template_in(config) != NULL)
        guess(ret, ret_known, json_string_value(template_in(config)), json_string_length(template_in(config)));
out:
    json_decref(config);
    base_file_unmap(&file);
    return status;
}

void api_parts_finish(struct api_parts *parts)
{
    base_free(&parts->parts);
    parts->count = 0;
}

static void add(struct api_parts *parts, const char *text, size_t size, bool control)
{
    if (size > 0)
        parts->parts[parts->count++] = (struct cachet_part){text, size, control};
}

static void add_control(struct api_parts *parts, const char *text)
{
    add(parts, text, strlen(text), true);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
}

struct view {
    const char *text;
    size_t size;
};

static struct view text_of(const struct api_template *chat, const struct api_message *message, bool keep_start)
{
    struct view view = {message->text, message->size};
    if (!chat->trim)
        return view;
    while (view.size > 0 && is_space(view.text[view.size - 1]))
        view.size--;
    while (!keep_start && view.size > 0 && is_space(view.text[0])) {
        view.text++;
        view.size--;
    }
    return view;
}

static enum base_status check_order(const struct api_message *messages, size_t count, struct api_error *error)
{
    const size_t first = messages[0].role == API_ROLE_SYSTEM;
    char param[48];
    for (size_t i = first; i < count; i++)
        if (messages[i].role != ((i - first) % 2 == 0 ? API_ROLE_USER : API_ROLE_ASSISTANT)) {
            (void)snprintf(param, sizeof param, "messages[%zu].role", i);
            return api_fail(
                error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, param, "invalid_value",
                "%s is out of turn; this model allows: one system message first, then user and assistant in turn",
                param);
        }
    if (messages[count - 1].role != API_ROLE_USER) {
        (void)snprintf(param, sizeof param, "messages[%zu].role", count - 1);
        return api_fail(error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, param, "invalid_value",
                        "%s is the last one; this model allows: a user message at the end", param);
    }
    return BASE_OK;
}

static enum base_status check_markers(const struct api_template *chat, const struct api_message *messages, size_t count,
                                      struct api_error *error)
{
    char param[48];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < MARKERS && chat->markers[k] != NULL; k++)
            if (holds(messages[i].text, messages[i].size, chat->markers[k])) {
                (void)snprintf(param, sizeof param, "messages[%zu].content", i);
                return api_fail(error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, param, "invalid_value",
                                "%s holds \"%s\", by which this model tells messages apart; allowed: texts without it",
                                param, chat->markers[k]);
            }
    return BASE_OK;
}

static void add_message(struct api_parts *parts, const struct api_template *chat, const struct api_message *message,
                        bool first)
{
    const struct turn *turn = &chat->turns[message->role];
    const struct view view = text_of(chat, message, false);
    add_control(parts, turn->before);
    if (first && message->role == API_ROLE_SYSTEM && chat->preface != NULL)
        add_control(parts, chat->preface);
    add(parts, view.text, view.size, false);
    add_control(parts, turn->after);
}

static void add_default_system(struct api_parts *parts, const struct api_template *chat)
{
    const struct turn *turn = &chat->turns[API_ROLE_SYSTEM];
    add_control(parts, turn->before);
    if (chat->preface != NULL)
        add_control(parts, chat->preface);
    add_control(parts, chat->default_system);
    add_control(parts, turn->after);
}

/* A user turn of llama2, which is trimmed as a whole: behind a system message only the end is. */
static void add_user_with_system(struct api_parts *parts, const struct api_template *chat,
                                 const struct api_message *system, const struct api_message *user)
{
    const struct view view = text_of(chat, user, system != NULL);
    add_control(parts, chat->turns[API_ROLE_USER].before);
    if (system != NULL) {
        const char *after = chat->turns[API_ROLE_SYSTEM].after;
        size_t size = strlen(after);
        while (view.size == 0 && is_space(after[size - 1]))
            size--;
        add_control(parts, chat->turns[API_ROLE_SYSTEM].before);
        add(parts, system->text, system->size, false);
        add(parts, after, size, true);
    }
    add(parts, view.text, view.size, false);
    add_control(parts, chat->turns[API_ROLE_USER].after);
}

static void add_all(struct api_parts *parts, const struct api_template *chat, const struct api_message *messages,
                    size_t count)
{
    const struct api_message *system = messages[0].role == API_ROLE_SYSTEM ? &messages[0] : NULL;
    if (system == NULL && chat->default_system != NULL)
        add_default_system(parts, chat);
    for (size_t i = 0; i < count; i++)
        if (!chat->system_in_user)
            add_message(parts, chat, &messages[i], i == 0);
        else if (messages[i].role == API_ROLE_USER) {
            const bool first = i == (system != NULL);
            if (!first)
                add_control(parts, chat->again);
            add_user_with_system(parts, chat, first ? system : NULL, &messages[i]);
        } else if (messages[i].role == API_ROLE_ASSISTANT)
            add_message(parts, chat, &messages[i], false);
    add_control(parts, chat->answer);
}

enum base_status api_template_apply(const struct api_template *chat, const struct api_message *messages, size_t count,
                                    struct api_parts *ret, struct api_error *error)
{
    enum base_status status = BASE_OK;
    struct base_error trouble = {0};
    struct api_parts parts = {0};
    if (count == 0)
        return api_fail(error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, "messages", "invalid_value",
                        "messages is empty; allowed: at least one message");
    if (chat->order == ALTERNATING)
        TRY(check_order(messages, count, error));
    TRY(check_markers(chat, messages, count, error));
    /* A message makes four parts at most, the default system message and the answer's beginning five. */
    if (base_alloc(&parts.parts, 4 * count + 5, sizeof *parts.parts, &trouble) != BASE_OK) {
        api_error_from_base(error, &trouble);
        status = BASE_ERR_MEMORY;
        goto out;
    }
    add_all(&parts, chat, messages, count);
    *ret = parts;
out:
    return status;
}
