#include "engine/tokenizer/normalizer.h"

#include "engine/tokenizer/normal_form.h"
#include "engine/tokenizer/stages.h"

#include <string.h>
#include <utf8proc.h>

static enum base_status set_text(uint8_t ret[ENG_NORMAL_TEXT], size_t *ret_size, const char *text,
                                 struct base_error *error)
{
    size_t size = text == NULL ? 0 : strlen(text);
    if (size > ENG_NORMAL_TEXT)
        return base_fail(error, BASE_ERR_SUPPORT, "a normalizer text has %zu bytes; cachet supports %d", size,
                         (int)ENG_NORMAL_TEXT);
    if (size > 0)
        memcpy(ret, text, size);
    *ret_size = size;
    return BASE_OK;
}

static enum base_status check_room(const struct eng_normalizer *normalizer, struct base_error *error)
{
    if (normalizer->count == ENG_LIMIT_PIPELINE_STAGES)
        return base_fail(error, BASE_ERR_SUPPORT, "the normalizer has more than %u steps", ENG_LIMIT_PIPELINE_STAGES);
    return BASE_OK;
}

enum base_status eng_normalizer_add(struct eng_normalizer *normalizer, enum eng_normal_kind kind, const char *from,
                                    const char *to, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_normal_stage stage = {.kind = kind};
    TRY(check_room(normalizer, error));
    TRY(set_text(stage.from, &stage.from_size, from, error));
    TRY(set_text(stage.to, &stage.to_size, to, error));
    TRY_THAT(kind != ENG_NORMAL_REPLACE || stage.from_size > 0, error, BASE_ERR_FORMAT,
             "normalizer Replace has an empty pattern");
    size_t growth = kind == ENG_NORMAL_REPLACE ? (stage.to_size + stage.from_size - 1) / stage.from_size : 1;
    growth = (growth > 1 ? growth : 1) * (normalizer->growth > 1 ? normalizer->growth : 1);
    TRY_THAT(growth <= ENG_NORMAL_GROWTH, error, BASE_ERR_SUPPORT,
             "the normalizer's Replace steps make text %zu times as long; cachet supports up to %d times", growth,
             (int)ENG_NORMAL_GROWTH);
    normalizer->growth = growth;
    normalizer->stages[normalizer->count++] = stage;
out:
    return status;
}

bool eng_normalizer_add_unicode(struct eng_normalizer *normalizer, const char *name)
{
    const struct {
        const char *name;
        int options;
    } forms[] = {{"NFC", UTF8PROC_COMPOSE},
                 {"NFD", UTF8PROC_DECOMPOSE},
                 {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                 {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].name, name) == 0 && normalizer->count < ENG_LIMIT_PIPELINE_STAGES) {
            normalizer->stages[normalizer->count++] = (struct eng_normal_stage){
                .kind = ENG_NORMAL_UNICODE, .unicode_options = UTF8PROC_STABLE | forms[i].options};
            return true;
        }
    }
    return false;
}

static enum base_status parse_stage(struct eng_normalizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *type = json_string_value(json_object_get(json, "type")), *text = NULL, *pattern = NULL;
    TRY_THAT(type != NULL, error, BASE_ERR_FORMAT, "normalizer has no type");
    TRY(check_room(ret, error));
    if (eng_normalizer_add_unicode(ret, type))
        goto out;
    if (strcmp(type, "Prepend") == 0) {
        TRY(eng_json_string(json, "prepend", "", &text, error));
        TRY(eng_normalizer_add(ret, ENG_NORMAL_PREPEND, NULL, text, error));
    } else if (strcmp(type, "Replace") == 0) {
        const json_t *shape = json_object_get(json, "pattern");
        pattern = json_string_value(json_object_get(shape, "String"));
        TRY_THAT(pattern != NULL, error, BASE_ERR_SUPPORT,
                 "normalizer Replace has another pattern than {\"String\": ...}");
        TRY(eng_json_string(json, "content", "", &text, error));
        TRY(eng_normalizer_add(ret, ENG_NORMAL_REPLACE, pattern, text, error));
    } else {
        status = base_fail(error, BASE_ERR_SUPPORT,
                           "normalizer type is \"%s\"; cachet supports NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence",
                           eng_printable_string(type).text);
    }
out:
    return status;
}

enum base_status eng_normalizer_parse(struct eng_normalizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (json == NULL || json_is_null(json))
        goto out;
    TRY(eng_stages_check(json, "normalizer", "normalizers", error));
    for (size_t i = 0; i < eng_json_stages(json, "normalizers"); i++)
        TRY(parse_stage(ret, eng_json_stage(json, "normalizers", i), error));
out:
    return status;
}

static bool is_ascii(struct eng_bytes text)
{
    uint8_t all = 0;
    for (size_t i = 0; i < text.size; i++)
        all |= text.data[i];
    return all < 0x80;
}

enum base_status eng_normalizer_run(const struct eng_normalizer *normalizer, struct eng_bytes text,
                                    struct eng_buffer *work, struct eng_bytes *ret_text, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < normalizer->count && text.size > 0; i++) {
        const struct eng_normal_stage *stage = &normalizer->stages[i];
        const struct eng_bytes from = {stage->from, stage->from_size}, to = {stage->to, stage->to_size};
        struct eng_rewrite rewrite = {.from = from, .to = to};
        if (stage->kind == ENG_NORMAL_UNICODE) {
            if (is_ascii(text))
                continue;
            TRY(eng_normal_form(stage->unicode_options, text, work, error));
        } else {
            if (stage->kind == ENG_NORMAL_PREPEND)
                rewrite = (struct eng_rewrite){.prefix = to};
            TRY(eng_buffer_rewrite(work, text, &rewrite, error));
        }
        text = eng_buffer_bytes(work);
    }
    *ret_text = text;
out:
    return status;
}
