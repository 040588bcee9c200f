#include "parties/api/api_read.h"

#include "base/memory.h"

#include <string.h>

static const char content_allowed[] = "a string, or an array of {\"type\": \"text\", \"text\": ...}";

/* Checks one part of a content array; *ret is its text. */
static enum base_status read_part(const struct api_reader *reader, const char *path, const json_t *part,
                                  const json_t **ret)
{
    const char *key;
    json_t *value;
    if (!json_is_object(part))
        return api_refuse(reader, path, part, "{\"type\": \"text\", \"text\": ...}");
    const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
    if (type == NULL)
        return api_refuse_missing(reader, api_path("%s.type", path).text, "\"text\"");
    if (!json_is_string(type) || strcmp(json_string_value(type), "text") != 0)
        return api_refuse(reader, api_path("%s.type", path).text, type, "\"text\": the model reads nothing else");
    json_object_foreach((json_t *)(uintptr_t)part, key,
                        value) if (value != type && value != text) return api_refuse_unknown(reader, path, key,
                                                                                             "type, text");
    if (text == NULL)
        return api_refuse_missing(reader, api_path("%s.text", path).text, "a string");
    if (!json_is_string(text))
        return api_refuse(reader, api_path("%s.text", path).text, text, "a string");
    *ret = text;
    return BASE_OK;
}

/* Joins the texts of a content array, with newlines between them. */
static enum base_status read_parts(const struct api_reader *reader, const char *path, const json_t *parts,
                                   struct api_message *ret)
{
    struct base_error error = {0};
    const json_t *text = NULL;
    size_t size = json_array_size(parts);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        enum base_status status = read_part(reader, api_path("%s[%zu]", path, i).text, json_array_get(parts, i), &text);
        if (status != BASE_OK)
            return status;
        size += json_string_length(text); /* bounded by the body */
    }
    if (base_alloc(&ret->text, size + 1, 1, &error) != BASE_OK)
        return api_refuse_memory(reader, &error);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        text = json_object_get(json_array_get(parts, i), "text");
        if (i > 0)
            ret->text[ret->size++] = '\n';
        memcpy(ret->text + ret->size, json_string_value(text), json_string_length(text));
        ret->size += json_string_length(text);
    }
    return BASE_OK;
}

static enum base_status read_content(const struct api_reader *reader, const char *path, const json_t *content,
                                     struct api_message *ret)
{
    enum base_status status = BASE_OK;
    if (content == NULL)
        return api_refuse_missing(reader, path, content_allowed);
    if (json_is_string(content))
        TRY(api_read_text(reader, content, &ret->text, &ret->size));
    else if (json_is_array(content) && json_array_size(content) > 0)
        TRY(read_parts(reader, path, content, ret));
    else
        return api_refuse(reader, path, content, content_allowed);
    if (ret->role == API_ROLE_USER && ret->size == 0)
        status = api_fail(reader->error, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, path, "invalid_value",
                          "%s is empty; allowed: at least one character", path);
out:
    return status;
}

/* Fields of answers that clients send back as they got them; allowed where they hold nothing. */
static bool holds_nothing(const char *key, const json_t *value)
{
    static const char *const fields[] = {"refusal", "annotations", "audio", "function_call", "tool_calls"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(key, fields[i]) == 0)
            return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
    return false;
}

static enum base_status read_message(const struct api_reader *reader, const char *path, const json_t *message,
                                     struct api_message *ret)
{
    static const struct {
        const char *name;
        enum api_role role;
    } roles[] = {{"system", API_ROLE_SYSTEM},
                 {"developer", API_ROLE_SYSTEM},
                 {"user", API_ROLE_USER},
                 {"assistant", API_ROLE_ASSISTANT}};
    static const char roles_allowed[] = "\"system\", \"developer\", \"user\" or \"assistant\"";
    const char *key;
    json_t *value;
    if (!json_is_object(message))
        return api_refuse(reader, path, message, "{\"role\": ..., \"content\": ...}");
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    json_object_foreach((json_t *)(uintptr_t)message, key,
                        value) if (value != role && value != content &&
                                   !holds_nothing(key, value)) return api_refuse_unknown(reader, path, key,
                                                                                         "role, content");
    const struct api_path role_path = api_path("%s.role", path);
    if (role == NULL)
        return api_refuse_missing(reader, role_path.text, roles_allowed);
    size_t i = 0;
    while (i < sizeof roles / sizeof *roles &&
           (!json_is_string(role) || json_string_length(role) != strlen(roles[i].name) ||
            strcmp(json_string_value(role), roles[i].name) != 0))
        i++;
    if (i == sizeof roles / sizeof *roles)
        return api_refuse(reader, role_path.text, role, roles_allowed);
    ret->role = roles[i].role;
    return read_content(reader, api_path("%s.content", path).text, content, ret);
}

enum base_status api_read_messages(struct api_reader *reader, const char *path, const json_t *value)
{
    struct api_request *request = reader->request;
    struct base_error error = {0};
    const size_t count = json_array_size(value);
    if (!json_is_array(value) || count == 0 || count > reader->limits->messages)
        return api_refuse(reader, path, value,
                          api_path("an array of 1 to %zu messages", reader->limits->messages).text);
    if (base_alloc(&request->messages, count, sizeof *request->messages, &error) != BASE_OK)
        return api_refuse_memory(reader, &error);
    request->message_count = count;
    for (size_t i = 0; i < count; i++) {
        enum base_status status =
            read_message(reader, api_path("%s[%zu]", path, i).text, json_array_get(value, i), &request->messages[i]);
        if (status != BASE_OK)
            return status;
    }
    return BASE_OK;
}

static enum base_status read_ids(struct api_reader *reader, const char *path, const json_t *value)
{
    struct api_request *request = reader->request;
    struct base_error error = {0};
    const size_t count = json_array_size(value);
    if (reader->limits->vocabulary == 0)
        return api_refuse(reader, path, value, "a string");
    if (base_alloc(&request->ids, count, sizeof *request->ids, &error) != BASE_OK)
        return api_refuse_memory(reader, &error);
    request->id_count = count;
    for (size_t i = 0; i < count; i++) {
        size_t id = 0;
        enum base_status status = api_read_size(reader, api_path("%s[%zu]", path, i).text, json_array_get(value, i), 0,
                                                reader->limits->vocabulary - 1, &id);
        if (status != BASE_OK)
            return status;
        request->ids[i] = (int32_t)id;
    }
    return BASE_OK;
}

enum base_status api_read_prompt(struct api_reader *reader, const char *path, const json_t *value)
{
    static const char allowed[] =
        "a string of at least one character, an array of one such string, or an array of token ids";
    const json_t *text = value;
    if (json_is_array(value) && json_is_integer(json_array_get(value, 0)))
        return read_ids(reader, path, value);
    if (json_is_array(value) && json_array_size(value) == 1)
        text = json_array_get(value, 0);
    if (!json_is_string(text) || json_string_length(text) == 0)
        return api_refuse(reader, path, value, allowed);
    return api_read_text(reader, text, &reader->request->prompt, &reader->request->prompt_size);
}
