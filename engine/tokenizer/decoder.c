#include "engine/tokenizer/decoder.h"

#include "engine/tokenizer/stages.h"

#include <string.h>

static enum base_status add_replace(struct eng_decoder *ret, const char *from, const char *to, struct base_error *error)
{
    if (strlen(to) > strlen(from))
        return base_fail(error, BASE_ERR_SUPPORT, "decoder Replace makes text longer; cachet supports it shorter");
    return eng_normalizer_add(&ret->rewrite, ENG_NORMAL_REPLACE, from, to, error);
}

static enum base_status parse_metaspace(struct eng_decoder *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *replacement = NULL, *scheme = NULL;
    bool old_prefix = true;
    TRY(eng_json_string(json, "replacement", "\xe2\x96\x81", &replacement, error));
    TRY(eng_json_bool(json, "add_prefix_space", true, &old_prefix, error));
    TRY(eng_json_string(json, "prepend_scheme", old_prefix ? "always" : "never", &scheme, error));
    TRY(add_replace(ret, replacement, " ", error));
    ret->strip = ' ';
    ret->strip_count = strcmp(scheme, "never") == 0 ? 0 : 1;
out:
    return status;
}

static enum base_status parse_replace(struct eng_decoder *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *from = json_string_value(json_object_get(json_object_get(json, "pattern"), "String")), *to = NULL;
    TRY_THAT(from != NULL, error, BASE_ERR_SUPPORT, "decoder Replace has another pattern than {\"String\": ...}");
    TRY(eng_json_string(json, "content", "", &to, error));
    TRY(add_replace(ret, from, to, error));
out:
    return status;
}

static enum base_status parse_strip(struct eng_decoder *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *content = NULL;
    size_t stop = 0;
    TRY(eng_json_string(json, "content", " ", &content, error));
    TRY(eng_json_size(json, "start", (struct eng_size_range){0, 16, 0}, &ret->strip_count, error));
    TRY(eng_json_size(json, "stop", (struct eng_size_range){0, 16, 0}, &stop, error));
    TRY_THAT(stop == 0 && strlen(content) == 1, error, BASE_ERR_SUPPORT,
             "decoder Strip: content \"%s\" and stop %zu; cachet supports one ASCII character at the start",
             eng_printable_string(content).text, stop);
    ret->strip = content[0];
out:
    return status;
}

static enum base_status parse_stage(struct eng_decoder *ret, const json_t *json, struct base_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return base_fail(error, BASE_ERR_SUPPORT, "decoder is %s; cachet needs one with a type",
                         eng_json_show(json).text);
    if (strcmp(type, "ByteLevel") == 0)
        ret->byte_level = true;
    else if (strcmp(type, "ByteFallback") == 0)
        ret->byte_fallback = true;
    else if (strcmp(type, "Metaspace") == 0)
        return parse_metaspace(ret, json, error);
    else if (strcmp(type, "Replace") == 0)
        return parse_replace(ret, json, error);
    else if (strcmp(type, "Strip") == 0)
        return parse_strip(ret, json, error);
    else if (strcmp(type, "Fuse") != 0)
        return base_fail(error, BASE_ERR_SUPPORT,
                         "decoder type is \"%s\"; cachet supports ByteLevel, Metaspace, Replace, ByteFallback, Fuse, "
                         "Strip, Sequence",
                         eng_printable_string(type).text);
    return BASE_OK;
}

enum base_status eng_decoder_parse(struct eng_decoder *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_stages_check(json, "decoder", "decoders", error));
    for (size_t i = 0; i < eng_json_stages(json, "decoders"); i++)
        TRY(parse_stage(ret, eng_json_stage(json, "decoders", i), error));
out:
    return status;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of "<0x0A>", -1 for any other text. */
static int fallback_byte(struct eng_bytes text)
{
    if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
        return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

enum base_status eng_decoder_apply(const struct eng_decoder *decoder, struct eng_vocab *vocab, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_buffer work = {0};
    for (size_t id = 0; id < vocab->count && !decoder->byte_level; id++) {
        const struct eng_entry *entry = &vocab->entries[id];
        if (entry->kind != ENG_ENTRY_MODEL && entry->kind != ENG_ENTRY_ADDED)
            continue;
        int byte = decoder->byte_fallback ? fallback_byte(entry->text) : -1;
        const uint8_t single = (uint8_t)byte;
        struct eng_bytes out = {&single, 1};
        if (byte < 0)
            TRY(eng_normalizer_run(&decoder->rewrite, entry->out, &work, &out, error));
        if (out.data != entry->out.data)
            TRY(eng_vocab_set_out(vocab, id, out, error));
    }
out:
    eng_buffer_finish(&work);
    return status;
}
