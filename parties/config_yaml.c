/* The structure of the config file, by libcyaml, and its complaints in words that help.
 *
 * libcyaml tells where it stands only in its log, after a failure: one line with the reason, then a backtrace
 * with one line per nesting level, innermost first. That log is captured here and never printed. */
#include "parties/config_raw.h"

#include "base/text.h"

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    LEVELS = 8, /* deeper than the format nests */
    FIELDS = 9, /* more than any section has, with its end */
    KEY_ROOM = 32,
};

/* One level of a backtrace. libcyaml reports the last value that it had begun, counted from 1. */
struct level {
    char field[KEY_ROOM]; /* "" for a list entry, or a section whose first key has not come */
    unsigned entry;       /* of a list */
    size_t line, column;
};

struct captured {
    char reason[256];
    struct level levels[LEVELS];
    size_t count;
    bool more_documents;
};

#define TEXT(key, flags, type, member)                                                                       \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, CYAML_UNLIMITED)

static const cyaml_schema_field_t party_fields[] = {
    TEXT("address", 0, struct config_raw_party, address),
    TEXT("key", 0, struct config_raw_party, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t parties_fields[] = {
    CYAML_FIELD_MAPPING("p0", CYAML_FLAG_OPTIONAL, struct config_raw_parties, p0, party_fields),
    CYAML_FIELD_MAPPING("p1", CYAML_FLAG_DEFAULT, struct config_raw_parties, p1, party_fields),
    CYAML_FIELD_MAPPING("p2", CYAML_FLAG_DEFAULT, struct config_raw_parties, p2, party_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t client_fields[] = {
    TEXT("name", 0, struct config_raw_client, name),
    TEXT("key", 0, struct config_raw_client, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t client_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_raw_client, client_fields),
};

static const cyaml_schema_field_t model_fields[] = {
    TEXT("digest", 0, struct config_raw_model, digest),
    TEXT("plan", 0, struct config_raw_model, plan),
    TEXT("shares", 0, struct config_raw_model, shares),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t cache_fields[] = {
    TEXT("policy", 0, struct config_raw_cache, policy),
    TEXT("sinks", CYAML_FLAG_OPTIONAL, struct config_raw_cache, sinks),
    TEXT("window", CYAML_FLAG_OPTIONAL, struct config_raw_cache, window),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
    TEXT("context", CYAML_FLAG_OPTIONAL, struct config_raw_limits, context),
    TEXT("connect_seconds", CYAML_FLAG_OPTIONAL, struct config_raw_limits, connect_seconds),
    TEXT("step_seconds", CYAML_FLAG_OPTIONAL, struct config_raw_limits, step_seconds),
    TEXT("ahead_mib", CYAML_FLAG_OPTIONAL, struct config_raw_limits, ahead_mib),
    TEXT("slots", CYAML_FLAG_OPTIONAL, struct config_raw_limits, slots),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t spool_fields[] = {
    TEXT("most", CYAML_FLAG_OPTIONAL, struct config_raw_spool, most),
    TEXT("dry", CYAML_FLAG_OPTIONAL, struct config_raw_spool, dry),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
    TEXT("version", 0, struct config_raw, version),
    TEXT("mode", 0, struct config_raw, mode),
    CYAML_FIELD_MAPPING("parties", CYAML_FLAG_DEFAULT, struct config_raw, parties, parties_fields),
    CYAML_FIELD_SEQUENCE("clients", CYAML_FLAG_POINTER, struct config_raw, clients, &client_value, 1,
                         PARTY_CONFIG_CLIENTS),
    CYAML_FIELD_MAPPING("model", CYAML_FLAG_DEFAULT, struct config_raw, model, model_fields),
    CYAML_FIELD_MAPPING("cache", CYAML_FLAG_OPTIONAL, struct config_raw, cache, cache_fields),
    CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, struct config_raw, limits, limits_fields),
    CYAML_FIELD_MAPPING("spool", CYAML_FLAG_OPTIONAL, struct config_raw, spool, spool_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_raw, top_fields),
};

/* All that is read of a file before its version is known. */
static const cyaml_schema_field_t version_fields[] = {
    TEXT("version", CYAML_FLAG_OPTIONAL, struct config_raw, version),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t version_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_raw, version_fields),
};

static void capture_level(struct captured *c, const char *line)
{
    struct level level = {0};
    if (c->count == LEVELS)
        return;
    if (sscanf(line, "  in mapping field '%31[^']' (line: %zu, column: %zu)", level.field, &level.line,
               &level.column) == 3 ||
        sscanf(line, "  in sequence entry '%u' (line: %zu, column: %zu)", &level.entry, &level.line,
               &level.column) == 3 ||
        sscanf(line, "  in mapping (line: %zu, column: %zu)", &level.line, &level.column) == 2)
        c->levels[c->count++] = level;
}

static void __attribute__((format(printf, 3, 0)))
capture(cyaml_log_t log_level, void *context, const char *format, va_list arguments)
{
    struct captured *c = context;
    char line[256];
    (void)vsnprintf(line, sizeof line, format, arguments);
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\n')
        line[length - 1] = '\0';
    if (strncmp(line, "Ignoring documents after first", 30) == 0)
        c->more_documents = true;
    else if (strncmp(line, "  in ", 5) == 0)
        capture_level(c, line);
    else if (strncmp(line, "Load: ", 6) == 0 && strcmp(line, "Load: Backtrace:") != 0 && c->reason[0] == '\0')
        memcpy(c->reason, line + 6, strlen(line + 6) + 1);
}

static cyaml_err_t load(const struct config_source *source, const cyaml_schema_value_t *schema,
                        enum cyaml_cfg_flags flags, struct config_raw **ret, struct captured *captured)
{
    const cyaml_config_t config = {
        .log_ctx = captured,
        .log_fn = capture,
        .log_level = CYAML_LOG_WARNING,
        .mem_fn = cyaml_mem,
        .flags = flags,
    };
    return cyaml_load_data(source->data, source->size, &config, schema, (cyaml_data_t **)ret, NULL);
}

static void release(struct config_raw **raw, const cyaml_schema_value_t *schema)
{
    const cyaml_config_t config = {.log_level = CYAML_LOG_ERROR, .mem_fn = cyaml_mem};
    (void)cyaml_free(&config, schema, *raw, 0);
    *raw = NULL;
}

void party_raw_free(struct config_raw **raw)
{
    release(raw, &top_value);
}

/* "parties.p1" or "clients[2]" of the levels from `first` outwards, "" for the top. */
static void write_path(const struct captured *c, size_t first, char *ret, size_t room)
{
    size_t used = 0;
    ret[0] = '\0';
    for (size_t i = c->count; i > first && used < room; i--) {
        const struct level *level = &c->levels[i - 1];
        int size = 0;
        if (level->field[0] != '\0')
            size = snprintf(ret + used, room - used, "%s%s", used > 0 ? "." : "", level->field);
        else if (level->entry > 0)
            size = snprintf(ret + used, room - used, "[%u]", level->entry);
        used += size > 0 ? (size_t)size : 0;
    }
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *key)
{
    for (; fields->key != NULL; fields++)
        if (strcmp(fields->key, key) == 0)
            return fields;
    return NULL;
}

/* The keys that the section around levels[0] may have. */
static const cyaml_schema_field_t *section_fields(const struct captured *c)
{
    const cyaml_schema_field_t *fields = top_fields;
    for (size_t i = c->count; i > 1; i--) {
        const cyaml_schema_field_t *field = find_field(fields, c->levels[i - 1].field);
        if (field != NULL && field->value.type == CYAML_MAPPING)
            fields = field->value.mapping.fields;
        else if (field != NULL && field->value.type == CYAML_SEQUENCE)
            fields = field->value.sequence.entry->mapping.fields;
    }
    return fields;
}

/* "did you mean", or all keys that there are when none is near. */
static void write_advice(const cyaml_schema_field_t *fields, const char *key, char *ret, size_t room)
{
    struct base_text_guess guess = {.given = key};
    size_t used = 0;
    for (const cyaml_schema_field_t *f = fields; f->key != NULL; f++)
        base_text_offer(&guess, f->key);
    if (guess.nearest != NULL) {
        (void)snprintf(ret, room, "did you mean \"%s\"?", guess.nearest);
        return;
    }
    for (; fields->key != NULL && used < room; fields++)
        used += (size_t)snprintf(ret + used, room - used, "%s %s",
                                 used > 0 ? "," : "remove it; the keys here are", fields->key);
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Is `key` at this offset, and is it a key? */
static bool key_is_at(const struct config_source *source, size_t at, const char *key, size_t length)
{
    if (length > source->size - at || memcmp(source->data + at, key, length) != 0 ||
        (at > 0 && is_word(source->data[at - 1])))
        return false;
    at += length;
    while (at < source->size &&
           (source->data[at] == ' ' || source->data[at] == '"' || source->data[at] == '\''))
        at++;
    return at < source->size && source->data[at] == ':';
}

/* libcyaml reports an unexpected key at the value before it; the key itself follows, maybe lines later. */
static size_t key_line(const struct config_source *source, const struct level *before, const char *key)
{
    size_t at = 0, line = 1, length = strlen(key);
    for (; at < source->size && line < before->line; at++)
        line += source->data[at] == '\n';
    for (size_t i = 1; i < before->column && at < source->size && source->data[at] != '\n'; i++)
        at++;
    for (; length > 0 && at < source->size; at++) {
        if (source->data[at] == '#' && at > 0 && strchr(" \t\n", source->data[at - 1]) != NULL)
            while (at + 1 < source->size && source->data[at] != '\n')
                at++;
        if (key_is_at(source, at, key, length))
            return line;
        line += source->data[at] == '\n';
    }
    return before->line;
}

/* An unknown, repeated or missing key. */
static enum base_status explain_key(const struct config_source *source, cyaml_err_t code,
                                    const struct captured *c, struct base_error *error)
{
    char path[128], shown[64], advice[160];
    const char *colon = strchr(c->reason, ':'), *key = colon == NULL ? "" : colon + 1;
    key += key[0] == ' ';
    base_text_clean(shown, sizeof shown, key, strlen(key));
    write_path(c, 1, path, sizeof path);
    const char *dot = path[0] == '\0' ? "" : ".";
    if (code == CYAML_ERR_INVALID_KEY) {
        write_advice(section_fields(c), key, advice, sizeof advice);
        return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: unknown key \"%s%s%s\": %s", source->name,
                         key_line(source, &c->levels[0], key), path, dot, shown, advice);
    }
    if (code == CYAML_ERR_MAPPING_FIELD_MISSING && c->count == 1)
        return base_fail(error, BASE_ERR_FORMAT, "%s: %s is missing: add it", source->name, shown);
    if (code == CYAML_ERR_MAPPING_FIELD_MISSING)
        return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: %s.%s is missing: add it", source->name,
                         c->levels[1].line, path, shown);
    return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: %s%s%s is given twice: keep one", source->name,
                     key_line(source, &c->levels[0], key), path, dot, shown);
}

/* libcyaml's words for what YAML has, in words of people. */
static const char *form(const char *word)
{
    return strncmp(word, "MAPPING", 7) == 0    ? "a section of keys"
           : strncmp(word, "SEQUENCE", 8) == 0 ? "a list"
           : strncmp(word, "STRING", 6) == 0   ? "a single value in double quotes"
           : strncmp(word, "SCALAR", 6) == 0   ? "a single value, or nothing"
                                               : "nothing";
}

static enum base_status explain_form(const struct config_source *source, const struct captured *c,
                                     size_t line, struct base_error *error)
{
    char path[128];
    const char *got = strstr(c->reason, "got event: ");
    write_path(c, 0, path, sizeof path);
    return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: %s: found %s: write %s here", source->name, line,
                     path[0] == '\0' ? "the file" : path, got == NULL ? "nothing" : form(got + 11),
                     form(c->reason + 10));
}

/* Every reason for which libcyaml refuses a file. */
static enum base_status explain(const struct config_source *source, cyaml_err_t code,
                                const struct captured *c, struct base_error *error)
{
    char path[128], shown[160];
    size_t line = c->count > 0 ? c->levels[0].line : 1;
    write_path(c, 0, path, sizeof path);
    const char *name = source->name,
               *reason = strncmp(c->reason, "libyaml: ", 9) == 0 ? c->reason + 9 : c->reason;
    base_text_clean(shown, sizeof shown, reason, strlen(reason));
    if (code == CYAML_ERR_OOM)
        return base_fail(error, BASE_ERR_MEMORY, "%s: too little memory to read it", name);
    if (c->count > 0 && (code == CYAML_ERR_INVALID_KEY || code == CYAML_ERR_MAPPING_FIELD_MISSING ||
                         strncmp(c->reason, "Mapping field already seen: ", 28) == 0))
        return explain_key(source, code, c, error);
    if (strncmp(c->reason, "Expecting ", 10) == 0)
        return explain_form(source, c, line, error);
    if (code == CYAML_ERR_SEQUENCE_ENTRIES_MIN || code == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
        return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: clients: has %s: list 1 to %d", name, line,
                         code == CYAML_ERR_SEQUENCE_ENTRIES_MIN ? "no entry" : "too many entries",
                         PARTY_CONFIG_CLIENTS);
    if (code == CYAML_ERR_ALIAS)
        return base_fail(
            error, BASE_ERR_FORMAT,
            "%s: line %zu: %s: an alias (*name) is not allowed: write the value out, and put keys in "
            "double quotes",
            name, line, path);
    if (code == CYAML_ERR_LIBYAML_PARSER)
        return base_fail(
            error, BASE_ERR_FORMAT,
            "%s: line %zu or after%s%s: is not YAML: %s: check indentation, brackets and quotes; keys "
            "and addresses stand in double quotes",
            name, line, path[0] == '\0' ? "" : ", near ", path, shown);
    return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu or after: is not a config: %s%s%s", name, line,
                     cyaml_strerror(code), shown[0] == '\0' ? "" : ": ", shown);
}

/* A later version may have other keys; then the version is what is wrong, not the first new key. */
static enum base_status check_version(const struct config_source *source, struct base_error *error)
{
    struct captured captured = {0};
    struct config_raw *raw = NULL;
    enum base_status status = BASE_OK;
    char shown[64];
    if (load(source, &version_value, CYAML_CFG_IGNORE_UNKNOWN_KEYS | CYAML_CFG_NO_ALIAS, &raw, &captured) ==
            CYAML_OK &&
        raw != NULL && raw->version != NULL && strcmp(raw->version, "1") != 0) {
        base_text_clean(shown, sizeof shown, raw->version, strlen(raw->version));
        status =
            base_fail(error, BASE_ERR_SUPPORT,
                      "%s: line %zu: version: is \"%s\", and this program reads version 1: take the program "
                      "that belongs to the file, or write the file anew",
                      source->name, party_raw_line(source, "version"), shown);
    }
    if (raw != NULL)
        release(&raw, &version_value);
    return status;
}

enum base_status party_raw_load(struct config_raw **ret, const struct config_source *source,
                                struct base_error *error)
{
    struct captured captured = {0};
    struct config_raw *raw = NULL;
    enum base_status status;
    TRY(check_version(source, error));
    cyaml_err_t code = load(source, &top_value, CYAML_CFG_NO_ALIAS, &raw, &captured);
    if (code != CYAML_OK) {
        status = explain(source, code, &captured, error);
        goto out;
    }
    TRY_THAT(raw != NULL, error, BASE_ERR_FORMAT,
             "%s: has no content: it needs version, mode, parties, clients, model", source->name);
    TRY_THAT(!captured.more_documents, error, BASE_ERR_FORMAT,
             "%s: has a second document: remove everything from the second \"---\" line on", source->name);
    *ret = raw;
    raw = NULL;
out:
    party_raw_free(&raw);
    return status;
}

/* Puts a copy of the section's keys into `copy` and in place of them; returns the value of one of them, or
 * NULL. */
static cyaml_schema_value_t *open_section(cyaml_schema_value_t *section, cyaml_schema_field_t copy[FIELDS],
                                          const char *key, size_t length)
{
    cyaml_schema_value_t *found = NULL;
    size_t i = 0;
    for (; section->mapping.fields[i].key != NULL; i++) {
        copy[i] = section->mapping.fields[i];
        if (strlen(copy[i].key) == length && memcmp(copy[i].key, key, length) == 0)
            found = &copy[i].value;
    }
    copy[i] = (cyaml_schema_field_t)CYAML_FIELD_END;
    section->mapping.fields = copy;
    return found;
}

/* Asks libcyaml for a section where a value stands, a value where a section stands, or a list that ends
 * before the entry, so that its backtrace tells the line. */
size_t party_raw_line(const struct config_source *source, const char *path)
{
    static const cyaml_schema_field_t none[] = {CYAML_FIELD_END};
    cyaml_schema_field_t copies[3][FIELDS];
    cyaml_schema_value_t schema = top_value, *value = &schema;
    struct captured captured = {0};
    struct config_raw *raw = NULL;
    unsigned entry = 0;
    for (size_t depth = 0; depth < 3 && *path != '\0' && entry == 0; depth++) {
        size_t length = strcspn(path, ".[");
        value = open_section(value, copies[depth], path, length);
        if (value == NULL)
            return 0;
        path += length;
        if (*path == '[')
            (void)sscanf(path, "[%u]", &entry);
        path += *path == '.';
    }
    if (entry > 0) {
        value->sequence.min = 0;
        value->sequence.max = entry - 1;
    } else if (value->type == CYAML_STRING) {
        *value = (cyaml_schema_value_t){CYAML_VALUE_MAPPING(value->flags & CYAML_FLAG_OPTIONAL, char, none)};
    } else {
        *value = (cyaml_schema_value_t){CYAML_VALUE_UINT(value->flags & CYAML_FLAG_OPTIONAL, uint8_t)};
    }
    if (load(source, &schema, CYAML_CFG_NO_ALIAS | CYAML_CFG_IGNORE_UNKNOWN_KEYS, &raw, &captured) ==
        CYAML_OK)
        release(&raw, &schema);
    return captured.count > 0 ? captured.levels[0].line : 0;
}
